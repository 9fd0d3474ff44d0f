"""Agents on Dask: one in each Dask worker, brought by a task; a job is a task on that worker, too.

So Dask sees a worker as busy while a job runs, and lets no other task or adaptive cluster take it away.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import functools
import itertools
import logging
import multiprocessing
import os
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import dask
from distributed import Client, Future, LocalCluster, Worker, get_worker
from distributed.comm import get_address_host_port
from distributed.deploy import Cluster

from hposweep.errors import ConfigError
from hposweep.failure import line_of_exception
from hposweep.workers.agent import Agent, AgentSpec, Greeting
from hposweep.workers.local import parent_death
from hposweep.workers.local.pool import n_cores
from hposweep.workers.local.worker import JobAnswer
from hposweep.workers.remote import RemotePool, RemoteSlot, Running

log = logging.getLogger(__name__)

SECONDS_BETWEEN_LOOKS = 0.25  # of an agent, at whether its controller still wants it
SECONDS_TO_ANSWER = 10.0  # for the scheduler
MOST_REPLACED = 8  # Dask workers of this machine, until it is said that none can be started
SECONDS_UNTIL_SAID = 15.0  # that no Dask worker has come
MOST_SECONDS_TO_END = 5.0  # for all agents, at the end of a sweep
SCHEDULER_GONE = "the Dask scheduler is gone"
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
# Of Dask's states of a task, those of one that nobody wants any more.
UNWANTED = ("cancelled", "released", "forgotten", "error")
LOGGERS = ("distributed", "distributed.client", "tornado.application")  # whose lines would stand among the sweep's


class NoAgentError(Exception):
    """A task came to a Dask worker without the agent that is to run its job: the one that had it is another process."""


_agents: dict[str, Agent] = {}  # of this process, by the key of the task that has brought each


def bring_agent(spec: AgentSpec, n_slots: int, folder: str) -> Greeting:
    """The task that starts an agent, which ends when nobody wants the task's result any more.

    Raises:
        NoAgentError: if Dask has begun it again, in another process than that with this folder.
    """
    worker = get_worker()
    if worker.local_directory != folder:
        raise NoAgentError
    # Dask's nanny makes its workers daemons, which multiprocessing lets start no process.
    multiprocessing.current_process().daemon = False
    # Dask sets them to 1; a job's threads are the trainer's business, and the same on all engines.
    preset = dask.config.get("distributed.nanny.pre-spawn-environ")
    for name in THREAD_VARIABLES:
        if name in preset and os.environ.get(name) == str(preset[name]):
            del os.environ[name]
    agent = Agent(spec, n_slots=n_slots)
    greeting = agent.greeting()
    if not greeting.refusal:
        task = worker.get_current_task()
        _agents[task] = agent
        threading.Thread(target=_keep, args=(worker, task), daemon=True, name="hposweep-dask").start()
    return greeting


def run_on_agent(agent_key: str, job: str, arguments: tuple[Any, ...], timeout_s: float | None) -> JobAnswer:
    """The task of a job, on an agent of this worker.

    Raises:
        NoAgentError: if that is not there.
    """
    worker = get_worker()
    task = worker.get_current_task()
    agent = _agents.get(agent_key)
    if agent is None:
        raise NoAgentError
    running = agent.run(job, arguments, timeout_s)
    while not concurrent.futures.wait([running], SECONDS_BETWEEN_LOOKS).done:
        if not _is_wanted(worker, task):
            agent.cancel(job)
    return running.result()


def cancel_on_agent(agent_key: str, job: str) -> None:
    """Ends this job, if it is not over."""
    agent = _agents.get(agent_key)
    if agent is not None:
        agent.cancel(job)


async def end_agents(agent_keys: Collection[str]) -> None:
    """Ends these agents, as far as they are here, with the jobs that they run."""
    agents = [_agents.pop(key) for key in agent_keys if key in _agents]
    for agent in agents:
        await asyncio.to_thread(agent.stop)


def _keep(worker: Worker, task: str) -> None:
    """Ends the agent when its controller has let go of its task, or died: then Dask does."""
    while _is_wanted(worker, task):
        time.sleep(SECONDS_BETWEEN_LOOKS)
    agent = _agents.pop(task, None)
    if agent is not None:
        agent.stop()


def _is_wanted(worker: Worker, task: str) -> bool:
    state = worker.state.tasks.get(task)
    return worker.status.name in ("running", "paused") and state is not None and state.state not in UNWANTED


@dataclass(eq=False)
class Host:
    """A Dask worker with an agent, as the controller sees it."""

    key: tuple[str, str]  # its address, which another process may take, and the folder of its process alone
    n_slots: int
    agent: Future  # of the task that brings it
    is_coming: bool = True
    slots: list[RemoteSlot] = field(default_factory=list)
    last_seen: float = 0.0  # by the scheduler's clock

    @property
    def address(self) -> str:
        """Where Dask finds it."""
        return self.key[0]


class DaskConnection:
    """The way to one slot of a Dask worker's agent."""

    def __init__(self, engine: DaskEngine, host: Host) -> None:
        self._engine, self._host = engine, host
        self.address = host.address
        self._task: Future | None = None

    def send(self, job: str, arguments: tuple[Any, ...], timeout_s: float | None, running: Running) -> None:
        self._task = self._engine.submit_job(self._host, job, arguments, timeout_s, running)

    def cancel(self, job: str) -> None:
        self._engine.cancel_job(self._host, job)

    def close(self) -> None:
        # The agent ends a job whose task is let go of, and itself with the last controller that wants it.
        if self._task is not None:
            self._task.release()


class DaskEngine:
    """Brings agents to the workers of a Dask scheduler.

    Args:
        spec: what the agents have to know.
        address: of the scheduler; None: there is none yet.
        make_cluster: makes the cluster, where there is no address; None: workers of this machine are started.
        n_workers: Dask workers to use and, where the cluster is made for this sweep, to ask it for; None: all.
        threads: of a Dask worker, that a job takes.
        resources: Dask's, that a job takes of its worker.
    """

    def __init__(
        self,
        spec: AgentSpec,
        address: str | None,
        make_cluster: Callable[[], Cluster] | None,
        n_workers: int | None,
        threads: int,
        resources: Mapping[str, float],
    ) -> None:
        self._spec, self._address, self._make_cluster = spec, address, make_cluster
        self._n_workers, self._threads, self._resources = n_workers, threads, dict(resources)
        self._sweep = f"hposweep-{secrets.token_hex(8)}"  # what the keys of its tasks begin with
        self._numbers = itertools.count()
        # What Dask tells is passed on in a thread of our own, so that its own is never held up.
        self._answers = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="hposweep-dask")
        self._hosts: dict[tuple[str, str], Host] = {}
        self._client: Any = None  # a Client, once there is a scheduler
        self._cluster: Cluster | None = None
        self._processes: LocalWorkers | None = None
        self._started_at = 0.0
        self._is_said = self._is_stopped = False

    def start(self, pool: RemotePool) -> None:
        self._pool = pool
        for name in LOGGERS:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self._started_at = time.monotonic()
        if self._address is None:
            self._cluster = self._local() if self._make_cluster is None else self._make_cluster()
            if self._make_cluster is not None and self._n_workers is not None:
                self._cluster.scale(self._n_workers)
        try:
            if self._address is not None:
                get_address_host_port(self._address)  # a Client that raises for it holds up the program's end
            self._client = Client(
                self._address or self._cluster, set_as_default=False, name="hposweep", timeout=SECONDS_TO_ANSWER
            )
        except (OSError, ValueError) as error:
            reason = line_of_exception(error)
            raise ConfigError(f"hydra.launcher.address: no Dask scheduler at {self._address!r} ({reason})") from None
        self.look(pool)

    @property
    def n_coming(self) -> int:
        return sum(host.is_coming for host in list(self._hosts.values()))

    def look(self, pool: RemotePool) -> None:
        if self._processes is not None:
            self._processes.keep_up()
            if not self._hosts and self._processes.n_replaced > MOST_REPLACED:
                pool.refuse("hydra/launcher=hposweep_dask: Dask workers of this machine end as soon as they start")
        if self._client.status == "closed":
            for host in list(self._hosts.values()):
                self._lose(host, SCHEDULER_GONE)
            pool.refuse(f"hydra/launcher=hposweep_dask: {SCHEDULER_GONE}")
            return
        workers = self._client.scheduler_info(n_workers=-1)["workers"]
        there = {(address, worker["local_directory"]): worker for address, worker in workers.items()}
        for key in [key for key in self._hosts if key not in there]:
            self._lose(self._hosts[key], _gone(key[0]))
        for key, worker in there.items():
            self._hear(key, worker["last_seen"])
            if key not in self._hosts:
                self._bring(key, worker)
        if not self._hosts and not self._is_said and time.monotonic() - self._started_at > SECONDS_UNTIL_SAID:
            self._is_said = True
            needs = ", ".join(f"{name}={amount:g}" for name, amount in self._resources.items())
            log.warning("no Dask worker%s has come by now; the sweep waits for one", needs and f" with {needs}")

    def stop(self) -> None:
        self._is_stopped = True
        if self._client is not None:
            with contextlib.suppress(Exception):  # whatever Dask raises whose scheduler is gone, and agents with it
                self._client.sync(self._end_agents)
        for host in list(self._hosts.values()):
            host.agent.release()
        self._answers.shutdown(wait=False)
        for closed in (self._client, self._processes, self._cluster):
            if closed is not None:
                with contextlib.suppress(Exception):
                    closed.close()

    def submit_job(
        self, host: Host, job: str, arguments: tuple[Any, ...], timeout_s: float | None, running: Running
    ) -> Future:
        """Runs a job on the agent of this Dask worker."""
        task = self._submit(
            host.address, "job", run_on_agent, host.agent.key, job, arguments, timeout_s, resources=self._resources
        )
        self._when_done(task, functools.partial(self._answer, running, host))
        return task

    def cancel_job(self, host: Host, job: str) -> None:
        """Ends this job; returns at once."""
        # From its loop, where Dask's calls wait for nothing.
        self._client.loop.add_callback(
            self._client.run, cancel_on_agent, host.agent.key, job, workers=[host.address], on_error="ignore"
        )

    def _local(self) -> LocalCluster:
        cluster = LocalCluster(
            n_workers=0, host="127.0.0.1", dashboard_address="127.0.0.1:0", silence_logs=logging.CRITICAL
        )
        n_workers = self._n_workers or max(1, n_cores() // self._threads)
        self._processes = LocalWorkers(cluster.scheduler_address, n_workers, self._threads)
        return cluster

    def _bring(self, key: tuple[str, str], worker: Mapping[str, Any]) -> None:
        """Starts an agent in this Dask worker, if that is needed and fits."""
        has = worker["resources"]
        if self._n_workers is not None and len(self._hosts) >= self._n_workers:
            return
        if worker["status"] != "running" or any(has.get(name, 0) < need for name, need in self._resources.items()):
            return
        n_slots = max(1, worker["nthreads"] // self._threads)
        n_slots = min([n_slots, *(int(has[name] / need) for name, need in self._resources.items() if need)])
        task = self._submit(key[0], "agent", bring_agent, self._spec, n_slots, key[1])
        host = self._hosts[key] = Host(key, n_slots, task)
        self._when_done(task, functools.partial(self._came, host))

    def _submit(self, address: str, kind: str, function: Callable[..., Any], *arguments: Any, **options: Any) -> Future:
        # Once and there: one that Dask began again, or elsewhere, would find no agent.
        return self._client.submit(
            function,
            *arguments,
            key=f"{self._sweep}-{kind}-{next(self._numbers)}",
            pure=False,
            retries=0,
            workers=[address],
            allow_other_workers=False,
            **options,
        )

    def _when_done(self, task: Future, call: Callable[[Future, Any], None]) -> None:
        """Calls with the task and its result, or the exception in its place."""

        async def watch() -> None:
            try:
                result = await task
            except (Exception, asyncio.CancelledError) as error:
                result = error
            with contextlib.suppress(RuntimeError):  # after the end
                self._answers.submit(call, task, result)

        self._client.loop.add_callback(watch)

    def _answer(self, running: Running, host: Host, task: Future, result: JobAnswer | BaseException) -> None:
        if isinstance(result, JobAnswer):
            running.answer(result)
        elif isinstance(result, NoAgentError):  # another process has the address by now
            self._lose(host, _gone(host.address))
        elif isinstance(result, asyncio.CancelledError):
            running.lose(SCHEDULER_GONE)
        else:
            running.lose(f"the Dask worker {host.address} could not run the job ({line_of_exception(result)})")

    def _came(self, host: Host, task: Future, result: Any) -> None:
        host.is_coming = False
        if self._is_stopped or self._hosts.get(host.key) is not host:
            return
        if isinstance(result, asyncio.CancelledError):
            self._lose(host, SCHEDULER_GONE)
        elif isinstance(result, NoAgentError):
            self._lose(host, _gone(host.address))
        elif isinstance(result, BaseException):
            self._pool.refuse(f"the Dask worker {host.address} can't serve ({line_of_exception(result)})")
        else:
            for _ in range(host.n_slots):
                slot = self._pool.came(DaskConnection(self, host), result)
                if slot is None:
                    return
                host.slots.append(slot)

    def _hear(self, key: tuple[str, str], last_seen: float) -> None:
        """Takes in when the scheduler has last heard of this Dask worker, which may have been silent until now."""
        host = self._hosts.get(key)
        if host is None or host.last_seen == last_seen:
            return
        host.last_seen = last_seen
        for slot in host.slots:
            slot.heard_at = time.monotonic()
        if host.slots and not set(host.slots) & set(self._pool.slots):  # it was given up, and lives
            self._lose(host, "")

    def _lose(self, host: Host, reason: str) -> None:
        if self._hosts.pop(host.key, None) is None:
            return
        for slot in host.slots:
            self._pool.give_up(slot, reason)
        host.agent.release()

    async def _end_agents(self) -> None:
        keys = [host.agent.key for host in list(self._hosts.values())]
        ended: Awaitable[Any] = self._client.run(end_agents, keys, on_error="ignore")
        await asyncio.wait_for(ended, MOST_SECONDS_TO_END)


def _gone(address: str) -> str:
    return f"the Dask worker {address} is gone"


class LocalWorkers:
    """Dask workers of this machine: each in a session of its own, which a terminal's Ctrl-C doesn't reach.

    Those of `LocalCluster` are in the terminal's, and run the user's script again. These end with the controller, one
    that is still starting, too.
    """

    def __init__(self, scheduler: str, n_workers: int, threads: int) -> None:
        self._command = [sys.executable, "-m", "distributed.cli.dask_worker", scheduler, "--no-nanny", "--no-dashboard"]
        self._command += ["--nthreads", f"{threads}", "--memory-limit", "0", "--host", "127.0.0.1"]
        first = f"import os; from {parent_death.__name__} import die_with; die_with(os.getppid())"
        self._command += ["--preload", first]
        self.processes = [self._started() for _ in range(n_workers)]
        self.n_replaced = 0

    def keep_up(self) -> None:
        """Replaces those that have died."""
        for number, process in enumerate(self.processes):
            if process.poll() is not None:
                self.processes[number] = self._started()
                self.n_replaced += 1

    def close(self) -> None:
        """Ends them."""
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.wait()

    def _started(self) -> subprocess.Popen[bytes]:
        nothing = subprocess.DEVNULL
        return subprocess.Popen(  # noqa: S603 (a command of ours)
            self._command, stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True
        )
