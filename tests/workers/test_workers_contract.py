"""What every kind of workers does alike: a new engine is a row in `support.engines.KINDS`."""

import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from hposweep.hydra_glue.launchers.pool import Pool
from hposweep.trial import SegmentEnd, SegmentResult
from hposweep.workers.local.worker import JobAnswer
from support.engines import KINDS, Kind
from support.processes import is_alive, wait_for
from support.worker_jobs import Deadly, Jobs

pytestmark = pytest.mark.process

MakePool = Callable[..., Pool]


class JobsOfContract(Jobs):
    """Jobs that tell of the process in which they run."""

    def folder(self) -> bytes:
        return str(Path.cwd()).encode()

    def path(self) -> bytes:
        return "\n".join(sys.path).encode()

    def environment(self, name: str) -> bytes:
        return os.environ.get(name, "-").encode()


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> Iterator[Kind]:
    """Each kind of workers, with its engine."""
    with KINDS[request.param]() as found:
        yield found


@pytest.fixture(scope="module")
def pool(kind: Kind, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    """Two workers, for all tests that leave them in order."""
    made = kind.make(JobsOfContract(), tmp_path_factory.mktemp("sweep"), 2)
    yield made
    made.stop()


def answer_of(future: Future[JobAnswer]) -> JobAnswer:
    return future.result(timeout=60)


def result_of(pool: Pool, *job: object, timeout_s: float | None = None) -> SegmentResult:
    return answer_of(pool.submit(job, timeout_s)).result


def process_of(path: Path) -> int:
    """The process that a job has written down."""
    wait_for(lambda: path.exists() and path.read_text().strip())
    return int(path.read_text())


def test_jobs_are_answered(pool: Pool) -> None:
    futures = [pool.submit(("echo", float(number))) for number in range(6)]
    assert [answer_of(future).result.value for future in futures] == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]


def test_two_run_at_once(pool: Pool, tmp_path: Path) -> None:
    first, second = str(tmp_path / "first"), str(tmp_path / "second")
    futures = [pool.submit(("touch_and_wait_for", *paths)) for paths in ((first, second), (second, first))]
    assert [answer_of(future).result.end for future in futures] == [SegmentEnd.RETURNED] * 2
    assert pool.n_workers == 2


def test_a_worker_is_warm_from_job_to_job(pool: Pool, kind: Kind) -> None:
    if not kind.is_warm:
        pytest.skip("each job has a worker of its own")
    assert len({result_of(pool, "pid").value for _ in range(6)}) <= 2


def test_a_job_runs_in_the_controllers_folder_and_finds_its_modules(pool: Pool) -> None:
    assert answer_of(pool.submit(("folder",))).payload.decode() == str(Path.cwd())
    path = answer_of(pool.submit(("path",))).payload.decode().splitlines()
    assert {Path(each).absolute() for each in sys.path} <= {Path(each).absolute() for each in path}


def test_the_place_of_a_job_is_its_node(pool: Pool, kind: Kind) -> None:
    assert bool(result_of(pool, "echo", 1.0).place) == kind.has_nodes
    assert bool(pool.overview()) == kind.has_nodes


@pytest.mark.parametrize(
    ("job", "words"),
    [
        (("kill", 9), "the worker process was killed by SIGKILL"),
        (("kill", 11), "the worker process was killed by SIGSEGV"),
        (("exit", 3), "the worker process exited with code 3"),
        (("exit", 0), "the worker process exited with code 0"),
    ],
)
def test_the_death_of_a_worker_is_its_jobs_alone(pool: Pool, job: tuple[object, ...], words: str) -> None:
    other = pool.submit(("echo", 7.0))
    result = result_of(pool, *job)
    assert (result.end, result.failure) == (SegmentEnd.DIED, words)
    assert answer_of(other).result.value == 7.0
    assert result_of(pool, "echo", 8.0).value == 8.0


def test_a_job_that_outlives_its_time_is_killed_whatever_it_ignores(pool: Pool, tmp_path: Path) -> None:
    result = result_of(pool, "hang", str(tmp_path / "pid"), timeout_s=1.0)
    assert result.end is SegmentEnd.TIMED_OUT
    assert not is_alive(process_of(tmp_path / "pid"))


def test_a_cancelled_job_ends_whatever_it_ignores(pool: Pool, tmp_path: Path) -> None:
    future = pool.submit(("hang", str(tmp_path / "pid")))
    process = process_of(tmp_path / "pid")
    pool.cancel(future)
    assert answer_of(future).result.end is SegmentEnd.CUT_OFF
    wait_for(lambda: not is_alive(process))
    assert result_of(pool, "echo", 1.0).value == 1.0


def test_a_job_that_waits_is_cancelled(pool: Pool, tmp_path: Path) -> None:
    gate = str(tmp_path / "gate")
    busy = [pool.submit(("wait_for", gate)) for _ in range(2)]
    waiting = pool.submit(("echo", 1.0))
    pool.cancel(waiting)
    assert answer_of(waiting).result.end is SegmentEnd.CUT_OFF
    Path(gate).touch()
    assert [answer_of(future).result.end for future in busy] == [SegmentEnd.RETURNED] * 2


@pytest.mark.parametrize("job", [("fail", "no such thing"), ("fail_with_what_has_no_pickle",), ("lock",)])
def test_what_a_job_raises_is_told(pool: Pool, job: tuple[object, ...]) -> None:
    answer = answer_of(pool.submit(job))
    assert answer.error is not None
    assert answer.result.failure
    assert result_of(pool, "echo", 2.0).value == 2.0


def test_a_jobs_processes_end_with_it(pool: Pool, tmp_path: Path) -> None:
    future = pool.submit(("family", str(tmp_path / "pids")))
    wait_for(lambda: (tmp_path / "pids.started").exists())
    family = [int(each) for each in (tmp_path / "pids").read_text().split()]
    pool.cancel(future)
    answer_of(future)
    wait_for(lambda: not any(map(is_alive, family)))


def test_no_job_outlives_the_end_of_its_pool(kind: Kind, tmp_path: Path) -> None:
    pool = kind.make(JobsOfContract(), tmp_path, 1)
    future = pool.submit(("hang", str(tmp_path / "pid")))
    waiting = pool.submit(("echo", 1.0))
    process = process_of(tmp_path / "pid")
    pool.stop()
    assert {answer_of(each).result.end for each in (future, waiting)} == {SegmentEnd.CUT_OFF}
    wait_for(lambda: not is_alive(process))


def test_a_state_that_kills_every_worker_ends_its_jobs(kind: Kind, tmp_path: Path) -> None:
    pool: Any = kind.make(Deadly(), tmp_path, 1)
    try:
        assert result_of(pool, "echo", 1.0).end is SegmentEnd.DIED
    finally:
        pool.stop()
