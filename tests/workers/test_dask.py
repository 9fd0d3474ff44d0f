"""Agents on a Dask scheduler: its workers die, fall silent, come late; nothing runs twice unasked."""

import dataclasses
import os
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import dask
import pytest

from hposweep.errors import ConfigError
from hposweep.trial import SegmentEnd
from hposweep.workers import remote
from hposweep.workers.agent import Surroundings
from hposweep.workers.dask import DaskEngine, LocalWorkers
from hposweep.workers.local.worker import JobAnswer
from hposweep.workers.remote import RemotePool
from support.engines import DaskCluster, agent_spec, dask_cluster, dask_pool
from support.processes import is_alive, wait_for
from support.worker_jobs import Jobs

pytestmark = pytest.mark.process


class NotingJobs(Jobs):
    """Jobs that leave a note whenever they begin."""

    def note_and_hang(self, path: str) -> None:
        self.note(path, f"{os.getpid()}\n")
        while True:
            signal.pause()

    def threads(self) -> bytes:
        return os.environ.get("OMP_NUM_THREADS", "-").encode()


@pytest.fixture(scope="module")
def cluster() -> Iterator[DaskCluster]:
    """A scheduler; each test starts the workers that it needs."""
    with dask_cluster(0) as found:
        yield found


@pytest.fixture
def pools(cluster: DaskCluster, tmp_path: Path) -> Iterator[Any]:
    """Makes pools on that scheduler; its workers end with the test."""
    made: list[RemotePool] = []

    def make(n_workers: int | None = None, **options: Any) -> RemotePool:
        made.append(dask_pool(NotingJobs(), tmp_path, n_workers, cluster.address, **options))
        return made[-1]

    yield make
    for pool in made:
        pool.stop()
    cluster.kill_workers()


@pytest.fixture
def short_timeout() -> Iterator[None]:
    """Dask gives up soon where nobody answers, not after half a minute."""
    with dask.config.set({"distributed.comm.timeouts.connect": "1s"}):
        yield


def answer_of(future: Future[JobAnswer]) -> JobAnswer:
    return future.result(timeout=60)


def refusal_of(pool: RemotePool) -> str:
    try:
        pool.check()
    except ConfigError as error:
        return f"{error}"
    return ""


def processes_of(path: Path) -> list[int]:
    """Those in which the job has begun."""
    wait_for(lambda: path.exists() and path.read_text().endswith("\n"))
    return [int(line) for line in path.read_text().split()]


# The second: the pool looks when the address has been taken again long ago.
@pytest.mark.parametrize("seconds_between_looks", [1.0, 5.0])
def test_a_job_whose_dask_worker_dies_is_lost_ends_and_does_not_begin_again(
    cluster, pools, tmp_path, monkeypatch, seconds_between_looks
) -> None:
    monkeypatch.setattr(remote, "SECONDS_BETWEEN_LOOKS", seconds_between_looks)
    worker = cluster.add_worker("--worker-port", "0")
    pool = pools()
    future = pool.submit(("note_and_hang", str(tmp_path / "notes")))
    (job,) = processes_of(tmp_path / "notes")
    address = pool.slots[0].connection.address
    worker.kill()
    worker.wait()
    # At the same address, as where its port is configured: Dask would run the task there.
    cluster.add_worker("--worker-port", address.rpartition(":")[2])
    result = answer_of(future).result
    assert (result.end, result.failure) == (SegmentEnd.LOST, f"the Dask worker {address} is gone")
    wait_for(lambda: not is_alive(job))
    assert answer_of(pool.submit(("echo", 1.0))).result.value == 1.0
    assert processes_of(tmp_path / "notes") == [job]


def test_a_dask_worker_that_falls_silent_is_given_up_and_taken_again_when_it_wakes_up(
    cluster, pools, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(remote, "MOST_SILENT_S", 2.0)
    worker = cluster.add_worker()
    pool = pools()
    future = pool.submit(("note_and_hang", str(tmp_path / "notes")))
    (job,) = processes_of(tmp_path / "notes")
    worker.send_signal(signal.SIGSTOP)
    result = answer_of(future).result
    assert result.end is SegmentEnd.LOST
    assert "nothing was heard from" in result.failure
    waiting = pool.submit(("echo", 1.0))
    worker.send_signal(signal.SIGCONT)
    assert answer_of(waiting).result.value == 1.0
    wait_for(lambda: not is_alive(job))
    assert processes_of(tmp_path / "notes") == [job]


def test_a_dask_worker_that_comes_late_gets_the_jobs_that_wait(cluster, pools) -> None:
    pool = pools()
    waiting = pool.submit(("echo", 1.0))
    assert pool.n_workers == 0
    assert pool.overview() == "waiting for workers"
    cluster.add_worker()
    assert answer_of(waiting).result.value == 1.0
    cluster.add_worker()
    wait_for(lambda: pool.n_workers == 2)


@pytest.mark.parametrize("options", [("--nthreads", "2"), ("--nthreads", "2", "--nanny")])
def test_a_dask_worker_runs_a_job_on_each_of_its_threads(cluster, pools, tmp_path, options) -> None:
    cluster.add_worker(*options)
    pool = pools()
    paths = str(tmp_path / "a"), str(tmp_path / "b")
    futures = [pool.submit(("touch_and_wait_for", *each)) for each in (paths, paths[::-1])]
    assert [answer_of(each).result.end for each in futures] == [SegmentEnd.RETURNED] * 2


def test_a_job_computes_on_as_many_threads_as_anywhere_else(cluster, pools, monkeypatch) -> None:
    cluster.add_worker("--nanny")  # which sets OMP_NUM_THREADS=1
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert answer_of(pools().submit(("threads",))).payload == b"-"


def test_only_workers_with_the_resources_are_taken_and_no_more_than_are_wanted(cluster, pools) -> None:
    cluster.add_worker()
    for _ in range(2):
        cluster.add_worker("--nthreads", "3", "--resources", "gpu=2")
    pool = pools(1, resources={"gpu": 1})
    assert answer_of(pool.submit(("echo", 1.0))).result.value == 1.0
    assert pool.n_workers == 2  # a job a gpu, on one worker


def test_agents_end_with_their_pool_and_dasks_workers_stay(cluster, pools) -> None:
    worker = cluster.add_worker()
    pool = pools()
    job = int(answer_of(pool.submit(("pid",))).result.value or 0)
    pool.stop()
    wait_for(lambda: not is_alive(job))
    assert worker.poll() is None
    assert answer_of(pools().submit(("echo", 1.0))).result.value == 1.0


def test_a_worker_that_cannot_serve_says_why(cluster, pools) -> None:
    cluster.add_worker()
    here = Surroundings.here()
    pool = pools(surroundings=dataclasses.replace(here, versions={**here.versions, "numpy": "0.1"}))
    pool.start()
    wait_for(lambda: "instead of 0.1" in refusal_of(pool))


def test_the_death_of_the_scheduler_loses_the_jobs_and_ends_the_sweep(short_timeout: None, tmp_path: Path) -> None:
    with dask_cluster(1) as cluster:
        pool = dask_pool(NotingJobs(), tmp_path, None, cluster.address)
        future = pool.submit(("note_and_hang", str(tmp_path / "notes")))
        (job,) = processes_of(tmp_path / "notes")
        cluster.scheduler.kill()
        assert answer_of(future).result.end is SegmentEnd.LOST
        wait_for(lambda: not is_alive(job))
        wait_for(lambda: "the Dask scheduler is gone" in refusal_of(pool))
        pool.stop()


def test_an_address_without_a_scheduler_is_refused(short_timeout: None, tmp_path: Path) -> None:
    engine = DaskEngine(agent_spec(Jobs(), tmp_path), "127.0.0.1:1", None, None, 1, {})
    with pytest.raises(ConfigError, match=r"hydra.launcher.address: no Dask scheduler at '127.0.0.1:1'"):
        RemotePool(engine).start()


def test_that_no_worker_comes_is_said(pools, monkeypatch, caplog) -> None:
    monkeypatch.setattr("hposweep.workers.dask.SECONDS_UNTIL_SAID", 0.0)
    pools(resources={"gpu": 2}).start()
    assert "no Dask worker with gpu=2 has come by now" in caplog.text


def test_workers_of_this_machine_that_cannot_start_end_the_sweep(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("hposweep.workers.dask.MOST_REPLACED", 1)
    monkeypatch.setattr(sys, "executable", "/bin/false")
    pool = dask_pool(Jobs(), tmp_path, 2, None)
    pool.start()
    wait_for(lambda: "Dask workers of this machine end as soon as they start" in refusal_of(pool))
    pool.stop()


def test_workers_of_this_machine_are_replaced_when_they_die(cluster, pools) -> None:
    pool = pools()
    workers = LocalWorkers(cluster.address, 1, 1)
    try:
        wait_for(lambda: pool.n_workers == 1)
        before = pool.slots[0]
        workers.processes[0].kill()
        workers.processes[0].wait()
        workers.keep_up()
        wait_for(lambda: pool.slots not in ([], [before]))
        assert answer_of(pool.submit(("echo", 1.0))).result.value == 1.0
    finally:
        workers.close()
