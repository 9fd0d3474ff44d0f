"""Agents on Ray: an actor for each worker, replaced when it or its node is lost."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import dataclasses
import functools
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from typing import Any

import ray
from ray.exceptions import RayActorError, RayError, RayTaskError

from hposweep.errors import ConfigError
from hposweep.failure import line_of_exception
from hposweep.trial import SegmentEnd
from hposweep.workers.agent import Agent, AgentSpec, Greeting
from hposweep.workers.local.worker import JobAnswer
from hposweep.workers.remote import RemotePool, RemoteSlot, Running

log = logging.getLogger(__name__)

SECONDS_BEFORE_ANOTHER_TRY = 2.0  # for an actor that could not be started, since its node had died, say
SECONDS_AFTER_A_REFUSAL = 30.0  # of a node that is another than the controller
SECONDS_UNTIL_SAID = 15.0  # that the cluster has no room for any worker
SECONDS_TO_ANSWER = 5.0  # for the head of a cluster
IN_ITSELF = "creation task"  # Ray's words for an actor that died of an error of its own
OUT_OF_MEMORY = "OUT_OF_MEMORY"  # Ray's word for why it has ended an actor


class RayAgent:
    """The actor; asynchronous, so that `cancel` gets through while a job runs."""

    def __init__(self, spec: AgentSpec) -> None:
        # Ray sets it by num_cpus; a job's threads are the trainer's business, and the same on all engines.
        os.environ.pop("OMP_NUM_THREADS", None)
        self._agent = Agent(spec)

    async def greeting(self) -> tuple[Greeting, str]:
        """Says that it is there, and on which of Ray's nodes."""
        return self._agent.greeting(), ray.get_runtime_context().get_node_id()

    async def run(self, job: str, arguments: tuple[Any, ...], timeout_s: float | None) -> JobAnswer:
        """As `Agent.run`."""
        return await asyncio.wrap_future(self._agent.run(job, arguments, timeout_s))

    async def cancel(self, job: str) -> None:
        """As `Agent.cancel`."""
        self._agent.cancel(job)


class RayConnection:
    """The way to one actor."""

    def __init__(self, actor: Any, when_done: Callable[[Any, Callable[[Future[Any]], None]], None]) -> None:
        self.actor, self._when_done = actor, when_done
        self.is_asked = False  # whether it has to answer that it lives

    def send(self, job: str, arguments: tuple[Any, ...], timeout_s: float | None, running: Running) -> None:
        def pass_on(reply: Future[JobAnswer]) -> None:
            try:
                running.answer(reply.result())
            except RayError as error:
                reason = _reason(error)
                # An error in the agent itself would come again wherever the job is started anew.
                is_to_blame = isinstance(error, RayTaskError) or OUT_OF_MEMORY in reason
                running.lose(reason, SegmentEnd.DIED if is_to_blame else SegmentEnd.LOST)

        self._when_done(self.actor.run.remote(job, arguments, timeout_s), pass_on)

    def cancel(self, job: str) -> None:
        self.actor.cancel.remote(job)

    def close(self) -> None:
        with contextlib.suppress(RayError):
            ray.kill(self.actor, no_restart=True)


class RayEngine:
    """Brings agents to the nodes of a Ray cluster.

    Args:
        spec: what the agents have to know.
        n_workers: how many agents to have; None: as many as the cluster has room for, at any time.
        address: of the cluster; None: as Ray has it, that of RAY_ADDRESS, else one that runs on this machine, else one
            is started; `local`: one is started in any case.
        needs: `num_cpus`, `num_gpus` and `resources` of an agent, in Ray's words.
        runtime_env: Ray's, of the agents.
    """

    def __init__(
        self,
        spec: AgentSpec,
        n_workers: int | None,
        address: str | None,
        needs: Mapping[str, Any],
        runtime_env: Mapping[str, Any],
    ) -> None:
        self._spec, self._n_workers, self._address = spec, n_workers, address
        self._needs, self._runtime_env = dict(needs), dict(runtime_env)
        # What Ray tells is passed on in a thread of our own: a call of Ray's in one of Ray's threads waits for ever.
        self._answers = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="hposweep-ray")
        self._coming: set[Any] = set()  # actors that are asked for
        self._wait_until = 0.0
        self._is_own = self._is_said = False
        self._started_at = 0.0
        self._lock = threading.Lock()
        self._is_stopped = False

    def start(self, pool: RemotePool) -> None:
        self._is_own = not ray.is_initialized()
        if self._is_own:
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
            try:
                _knock_at(self._address)
                with _signal_handlers_kept():
                    ray.init(self._address, log_to_driver=False, include_dashboard=False, logging_level=logging.ERROR)
            except (OSError, ValueError, RuntimeError) as error:
                reason = line_of_exception(error)
                raise ConfigError(f"hydra.launcher.address: no Ray at {self._address!r} ({reason})") from None
        self._spec_ref = ray.put(self._spec)
        self._started_at = time.monotonic()
        self._bring(pool)

    @property
    def n_coming(self) -> int:
        return len(self._coming)

    def look(self, pool: RemotePool) -> None:
        self._bring(pool)
        for slot in pool.slots:
            connection = slot.connection
            assert isinstance(connection, RayConnection)
            if not connection.is_asked:
                connection.is_asked = True
                self._when_done(connection.actor.greeting.remote(), functools.partial(self._heard, pool, slot))

    def stop(self) -> None:
        with self._lock:
            self._is_stopped = True
            actors = list(self._coming)  # those that are there were ended by the pool
        for actor in actors:
            with contextlib.suppress(RayError):
                ray.kill(actor, no_restart=True)
        self._answers.shutdown(wait=False)
        if self._is_own:
            with _signal_handlers_kept():
                ray.shutdown()

    def _bring(self, pool: RemotePool) -> None:
        """Asks for the actors that are missing."""
        wanted = _room(self._needs) if self._n_workers is None else self._n_workers
        with self._lock:
            n_there = len(pool.slots)
            missing = wanted - len(self._coming) - n_there
            if self._is_stopped or time.monotonic() < self._wait_until:
                return
            actors = [self._asked_for() for _ in range(missing)]
            self._coming.update(actors)
        for actor in actors:
            self._when_done(actor.greeting.remote(), functools.partial(self._came, pool, actor))
        if not n_there and not self._is_said and time.monotonic() - self._started_at > SECONDS_UNTIL_SAID:
            self._is_said = True
            needs = ", ".join(f"{name}={value}" for name, value in self._needs.items())
            log.warning("no node of the Ray cluster has room for a worker by now (%s); the sweep waits for one", needs)

    def _asked_for(self) -> Any:
        options = {"max_restarts": 0, "runtime_env": self._runtime_env or None, **self._needs}
        return ray.remote(RayAgent).options(**options).remote(self._spec_ref)

    def _came(self, pool: RemotePool, actor: Any, reply: Future[tuple[Greeting, str]]) -> None:
        try:
            greeting, node_id = reply.result()
            named = dataclasses.replace(greeting, node=_name(node_id, greeting.node))
            if pool.came(RayConnection(actor, self._when_done), named) is None:
                self._wait_until = time.monotonic() + SECONDS_AFTER_A_REFUSAL
        except RayError as error:  # its node was lost before it began, or its environment can't be made
            log.debug("a worker could not be started: %s", _reason(error))
            self._wait_until = time.monotonic() + SECONDS_BEFORE_ANOTHER_TRY
            if not self._is_stopped and (not isinstance(error, RayActorError) or IN_ITSELF in str(error)):
                pool.refuse(f"hydra/launcher=hposweep_ray: a worker can't be started ({_reason(error)})")
        finally:
            # Only now: in between it would be missing, and another one asked for.
            with self._lock:
                self._coming.discard(actor)

    def _heard(self, pool: RemotePool, slot: RemoteSlot, reply: Future[Any]) -> None:
        connection = slot.connection
        assert isinstance(connection, RayConnection)
        connection.is_asked = False
        try:
            reply.result()
        except RayError as error:
            pool.went(slot, _reason(error))
        else:
            slot.heard_at = time.monotonic()

    def _when_done(self, reply: Any, call: Callable[[Future[Any]], None]) -> None:
        def pass_on(done: Future[Any]) -> None:
            with contextlib.suppress(RuntimeError):  # after the end
                self._answers.submit(call, done)

        reply.future().add_done_callback(pass_on)


def _knock_at(address: str | None) -> None:
    """Raises an OSError if nobody answers there: Ray itself would try for more than a minute, and say so at length."""
    host, _, port = (address or "").rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), SECONDS_TO_ANSWER).close()


def _room(needs: Mapping[str, Any]) -> int:
    """How many agents the nodes have room for, if nobody else used them."""
    wanted = {"CPU": needs["num_cpus"], "GPU": needs["num_gpus"], **needs["resources"]}
    wanted = {name: amount for name, amount in wanted.items() if amount}
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if not wanted:
        return len(nodes)
    return sum(min(int(node.get(name, 0) / amount) for name, amount in wanted.items()) for node in nodes)


def _name(node_id: str, host: str) -> str:
    """The node's host or, where several nodes share that, a name that tells them apart."""
    hosts = [node["NodeManagerHostname"] for node in ray.nodes() if node["Alive"]]
    return host if hosts.count(host) <= 1 else f"{host}:{node_id[:6]}"


def _reason(error: RayError) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if any(OUT_OF_MEMORY in line for line in lines):
        return f"Ray has ended the worker: {OUT_OF_MEMORY}"
    return lines[-1] if lines else type(error).__name__


@contextlib.contextmanager
def _signal_handlers_kept() -> Iterator[None]:
    """Ray sets handlers of its own; who stops a sweep is told by ours."""
    numbers = (signal.SIGINT, signal.SIGTERM) if threading.current_thread() is threading.main_thread() else ()
    before = {number: signal.getsignal(number) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
