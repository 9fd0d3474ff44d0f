"""A pool of agents that come, go and fall silent, without an engine."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import pytest

from hposweep.errors import ConfigError
from hposweep.trial import SegmentEnd, SegmentResult
from hposweep.workers import remote
from hposweep.workers.agent import Greeting
from hposweep.workers.local.worker import JobAnswer
from hposweep.workers.remote import RemotePool, RemoteSlot, Running
from support.processes import wait_for


class FakeConnection:
    """An agent that answers when the test says so."""

    def __init__(self) -> None:
        self.jobs: dict[str, Running] = {}
        self.sent: list[tuple[Any, ...]] = []
        self.cancelled: list[str] = []
        self.is_closed = False

    def send(self, job: str, arguments: tuple[Any, ...], timeout_s: float | None, running: Running) -> None:
        self.jobs[job] = running
        self.sent.append(arguments)

    def cancel(self, job: str) -> None:
        self.cancelled.append(job)

    def close(self) -> None:
        for running in self.jobs.values():
            if not running.done():
                running.lose("the connection is closed")
        self.is_closed = True

    def answer(self, value: float = 1.0) -> None:
        """Answers the job that was sent first."""
        job = next(iter(self.jobs))
        self.jobs.pop(job).answer(JobAnswer(SegmentResult(0.5, value), 0.0))


class FakeEngine:
    """Whose agents the test brings."""

    n_coming = 0
    is_alive = True

    def start(self, pool: RemotePool) -> None:
        pass

    def look(self, pool: RemotePool) -> None:
        if self.is_alive:
            for slot in pool.slots:
                slot.heard_at = time.monotonic()

    def stop(self) -> None:
        pass


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
def pool(engine: FakeEngine) -> Iterator[RemotePool]:
    made = RemotePool(engine)
    yield made
    made.stop()


def come(pool: RemotePool, node: str = "node1") -> tuple[FakeConnection, RemoteSlot]:
    connection = FakeConnection()
    slot = pool.came(connection, Greeting(node, 1))
    assert slot is not None
    return connection, slot


def result_of(future: Future[JobAnswer]) -> SegmentResult:
    return future.result(timeout=10).result


def test_jobs_wait_for_agents_and_go_to_them_in_order(pool: RemotePool) -> None:
    futures = [pool.submit((number,)) for number in range(3)]
    assert (pool.n_workers, pool.overview()) == (0, "waiting for workers")
    (first, _), (second, _) = come(pool, "node1"), come(pool, "node2")
    assert (first.sent, second.sent) == ([(0,)], [(1,)])
    assert (pool.n_workers, pool.overview()) == (2, "2 workers on 2 nodes, 1 queued")
    second.answer()
    assert second.sent == [(1,), (2,)]
    assert result_of(futures[1]).place == "node2"


def test_a_job_is_lost_with_its_agent_alone(pool: RemotePool) -> None:
    (first, slot), (second, _) = come(pool), come(pool)
    jobs = [pool.submit((number,)) for number in range(2)]
    pool.went(slot, "node1 is gone")
    lost = next(job for job, connection in zip(jobs, (second, first), strict=True) if connection is first)
    assert (result_of(lost).end, result_of(lost).failure) == (SegmentEnd.LOST, "node1 is gone")
    second.answer()
    assert pool.n_workers == 1


def test_an_agent_that_is_gone_gets_no_job(pool: RemotePool) -> None:
    connection, slot = come(pool)
    pool.went(slot, "node1 is gone")
    future = pool.submit((1,))
    assert connection.sent == []
    other, _ = come(pool)
    other.answer()
    assert result_of(future).end is SegmentEnd.RETURNED


def test_an_answer_that_comes_after_all_changes_nothing(pool: RemotePool) -> None:
    connection, slot = come(pool)
    future = pool.submit((1,))
    pool.went(slot, "node1 is gone")
    connection.answer()
    assert result_of(future).end is SegmentEnd.LOST
    assert pool.n_workers == 0


def test_an_agent_that_says_nothing_is_given_up(
    pool: RemotePool, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "MOST_SILENT_S", 0.2)
    monkeypatch.setattr(remote, "SECONDS_BETWEEN_LOOKS", 0.05)
    connection, _ = come(pool)
    future = pool.submit((1,))
    engine.is_alive = False
    result = result_of(future)
    assert (result.end, result.failure) == (SegmentEnd.LOST, "nothing was heard from node1 for 0.2 s")
    wait_for(lambda: connection.is_closed)


def test_an_agent_that_ends_no_job_is_given_up(pool: RemotePool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "MOST_SECONDS_TO_CANCEL", 0.1)
    monkeypatch.setattr(remote, "SECONDS_BETWEEN_LOOKS", 0.05)
    connection, _ = come(pool)
    future = pool.submit((1,))
    pool.cancel(future)
    assert len(connection.cancelled) == 1
    assert result_of(future).end is SegmentEnd.CUT_OFF
    wait_for(lambda: connection.is_closed)
    assert pool.n_workers == 0


def test_an_engine_that_fails_to_tell_is_no_end(
    pool: RemotePool, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "SECONDS_BETWEEN_LOOKS", 0.01)
    looked = threading.Event()

    def look(pool: RemotePool) -> None:
        looked.set()
        raise OSError("no head")

    monkeypatch.setattr(engine, "look", look)
    connection, _ = come(pool)
    future = pool.submit((1,))
    assert looked.wait(10)
    connection.answer()
    assert result_of(future).value == 1.0


def test_a_refused_agent_ends_a_sweep_that_has_no_other(pool: RemotePool, engine: FakeEngine) -> None:
    pool.start()
    engine.n_coming = 1
    connection = FakeConnection()
    assert pool.came(connection, Greeting("node1", 1, "node1 is another")) is None
    assert connection.is_closed
    pool.check()
    engine.n_coming = 0
    with pytest.raises(ConfigError, match="node1 is another"):
        pool.check()
    come(pool, "node2")
    pool.check()


def test_what_comes_after_the_end_is_sent_away(pool: RemotePool) -> None:
    pool.start()
    pool.stop()
    connection = FakeConnection()
    assert pool.came(connection, Greeting("node1", 1)) is None
    assert connection.is_closed


def test_stop_cuts_off_what_runs_and_what_waits(pool: RemotePool) -> None:
    connection, _ = come(pool)
    futures = [pool.submit((number,)) for number in range(2)]
    pool.stop()
    assert [result_of(future).end for future in futures] == [SegmentEnd.CUT_OFF] * 2
    assert connection.is_closed
    wait_for(lambda: not any(each.name == "hposweep-engine" for each in threading.enumerate()))
