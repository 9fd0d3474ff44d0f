"""The pool of local workers: order, warm reuse, and every way in which a job, a worker or the pool ends."""

import math
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
import types
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path

import pebble.pool.process
import psutil
import pytest
from pebble import CONSTS

from hposweep.errors import ConfigError
from hposweep.trial import SegmentEnd, SegmentResult
from hposweep.workers.local import forkserver
from hposweep.workers.local import pool as pool_module
from hposweep.workers.local.pool import TIMEOUT_MESSAGE, LocalSlot, WorkerPool, checked_n_workers
from hposweep.workers.local.worker import JobAnswer, WorkerState
from hposweep.workers.slots import CUT_OFF_MESSAGE
from support.processes import is_alive, wait_for
from support.worker_jobs import Deadly, Jobs

pytestmark = pytest.mark.process

MakePool = Callable[..., WorkerPool]


def make(state: WorkerState | None = None, n_workers: int = 1, max_memory_mb: float = math.inf) -> WorkerPool:
    return WorkerPool(state or Jobs(), n_workers, preload=[], env={}, max_memory_mb=max_memory_mb)


@pytest.fixture(autouse=True)
def short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """What ignores SIGTERM is killed after less than pebble's three seconds."""
    monkeypatch.setattr(CONSTS, "term_timeout", 0.5)


@pytest.fixture(scope="module")
def one() -> Iterator[WorkerPool]:
    """One worker, for all tests of this file that leave the pool in order: even those that kill the worker do."""
    pool = make()
    yield pool
    pool.stop()


@pytest.fixture(scope="module")
def two() -> Iterator[WorkerPool]:
    """Two workers."""
    pool = make(n_workers=2)
    yield pool
    pool.stop()


@pytest.fixture
def new_pool() -> Iterator[MakePool]:
    """Makes pools for this test alone."""
    pools: list[WorkerPool] = []

    def new(*arguments: object, **options: object) -> WorkerPool:
        pools.append(make(*arguments, **options))  # type: ignore[arg-type]
        return pools[-1]

    yield new
    for pool in pools:
        pool.stop()


def answer_of(future: Future[JobAnswer]) -> JobAnswer:
    return future.result(timeout=60)


def result_of(pool: WorkerPool, *job: object, timeout_s: float | None = None) -> SegmentResult:
    return answer_of(pool.submit(job, timeout_s)).result


def pid_of(pool: WorkerPool) -> int:
    """The process of the worker that takes the next job."""
    return int(result_of(pool, "pid").value or 0)


def test_jobs_begin_in_the_order_in_which_they_came(one: WorkerPool, tmp_path: Path) -> None:
    path = str(tmp_path / "notes")
    futures = [one.submit(("note", path, str(number))) for number in range(8)]
    for future in futures:
        answer_of(future)
    assert Path(path).read_text() == "01234567"


def test_a_worker_is_warm_from_job_to_job(one: WorkerPool) -> None:
    assert len({pid_of(one) for _ in range(3)}) == 1
    assert result_of(one, "entered").value == 1


def test_two_workers_run_two_jobs_at_once(two: WorkerPool, tmp_path: Path) -> None:
    first, second = str(tmp_path / "first"), str(tmp_path / "second")
    futures = [two.submit(("touch_and_wait_for", *paths)) for paths in ((first, second), (second, first))]
    assert [answer_of(future).result.end for future in futures] == [SegmentEnd.RETURNED] * 2


def test_a_free_worker_takes_the_next_job_while_another_is_busy(two: WorkerPool, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    busy = two.submit(("wait_for", str(gate)))
    assert [result_of(two, "echo", float(number)).value for number in range(3)] == [0.0, 1.0, 2.0]
    assert not busy.done()
    gate.touch()
    assert answer_of(busy).result.end is SegmentEnd.RETURNED


def test_an_answer_tells_value_payload_and_memory(one: WorkerPool) -> None:
    answer = answer_of(one.submit(("echo", b"more")))
    assert (answer.result.value, answer.payload, answer.error) == (None, b"more", None)
    assert 10 < answer.memory_mb < 1000


@pytest.mark.parametrize(
    ("job", "failure"),
    [
        (("fail", "no"), "ValueError: no"),
        (("lock",), "TypeError: cannot pickle '_thread.lock' object"),
        (("deadly",), "LookupError: can't be read"),
    ],
    ids=["raises", "its answer has no pickle", "its answer can't be read"],
)
def test_what_goes_wrong_around_a_job_on_two_workers_is_its_error(
    one: WorkerPool, job: tuple[str, ...], failure: str
) -> None:
    answer = answer_of(one.submit(job))
    assert (answer.result.failure, answer.result.end) == (failure, SegmentEnd.RETURNED)
    assert answer.error is not None


def test_an_exception_without_a_pickle_ends_the_job_and_not_the_pool(one: WorkerPool) -> None:
    answer = answer_of(one.submit(("fail_with_what_has_no_pickle",)))
    assert answer.result.failure
    assert result_of(one, "echo", 1.0).value == 1.0


@pytest.mark.parametrize(
    ("job", "failure"),
    [
        (("exit", 4), "the worker process exited with code 4"),
        (("exit", 0), "the worker process exited with code 0"),
        (("kill", signal.SIGKILL), "the worker process was killed by SIGKILL"),
        (("kill", signal.SIGSEGV), "the worker process was killed by SIGSEGV"),
        (("kill", signal.SIGRTMIN + 1), f"the worker process was killed by signal {signal.SIGRTMIN + 1}"),
    ],
    ids=["exits", "exits as if all were well", "killed", "segfault", "a signal without a name"],
)
def test_a_worker_that_dies_is_told_and_replaced(one: WorkerPool, job: tuple[str, int], failure: str) -> None:
    before = pid_of(one)
    result = result_of(one, *job)
    assert (result.failure, result.end, result.value) == (failure, SegmentEnd.DIED, None)
    assert pid_of(one) != before
    assert not is_alive(before)


def test_the_jobs_behind_a_dead_worker_are_run_in_their_order(one: WorkerPool, tmp_path: Path) -> None:
    path = str(tmp_path / "notes")
    futures = [one.submit(job) for job in (("note", path, "a"), ("exit", 1), ("note", path, "b"), ("note", path, "c"))]
    ends = [answer_of(future).result.end for future in futures]
    assert ends == [SegmentEnd.RETURNED, SegmentEnd.DIED, SegmentEnd.RETURNED, SegmentEnd.RETURNED]
    assert Path(path).read_text() == "abc"


def test_a_job_that_hangs_and_ignores_sigterm_is_killed_at_its_time_limit(two: WorkerPool, tmp_path: Path) -> None:
    started = tmp_path / "started"
    result = result_of(two, "hang", str(started), timeout_s=0.3)
    assert (result.failure, result.end) == (TIMEOUT_MESSAGE, SegmentEnd.TIMED_OUT)
    assert result.duration_s >= 0.3
    # The next jobs don't wait for its death.
    assert [result_of(two, "echo", 1.0).value for _ in range(2)] == [1.0, 1.0]
    process = int(started.read_text())
    wait_for(lambda: not is_alive(process))


def test_a_time_limit_that_is_not_reached_changes_nothing(one: WorkerPool) -> None:
    assert result_of(one, "echo", 2.0, timeout_s=60).value == 2.0


def test_a_waiting_job_is_cut_off_and_never_begins(one: WorkerPool, tmp_path: Path) -> None:
    gate, path = tmp_path / "gate", tmp_path / "notes"
    busy = one.submit(("wait_for", str(gate)))
    waiting, behind = one.submit(("note", str(path), "waiting")), one.submit(("note", str(path), "behind"))
    one.cancel(waiting)
    result = waiting.result(timeout=0).result
    assert (result.failure, result.end, result.duration_s) == (CUT_OFF_MESSAGE, SegmentEnd.CUT_OFF, 0.0)
    gate.touch()
    assert answer_of(busy).result.end is answer_of(behind).result.end is SegmentEnd.RETURNED
    assert path.read_text() == "behind"


def test_a_running_job_is_cut_off_and_its_worker_killed(one: WorkerPool, tmp_path: Path) -> None:
    started = tmp_path / "started"
    running = one.submit(("hang", str(started)))
    wait_for(lambda: started.exists() and started.read_text())
    one.cancel(running)
    result = answer_of(running).result
    assert (result.failure, result.end) == (CUT_OFF_MESSAGE, SegmentEnd.CUT_OFF)
    process = int(started.read_text())
    assert pid_of(one) != process
    wait_for(lambda: not is_alive(process))


def test_a_job_that_is_done_can_not_be_cut_off(one: WorkerPool) -> None:
    future = one.submit(("echo", 1.0))
    answer_of(future)
    one.cancel(future)
    assert answer_of(future).result.value == 1.0
    assert result_of(one, "echo", 2.0).value == 2.0


def test_a_worker_that_dies_while_it_is_idle_costs_no_job_anything(one: WorkerPool) -> None:
    before = pid_of(one)
    os.kill(before, signal.SIGKILL)
    wait_for(lambda: not is_alive(before))
    assert pid_of(one) not in (0, before)


def test_a_worker_that_dies_before_it_takes_the_job_costs_it_nothing(one: WorkerPool) -> None:
    worker = pid_of(one)
    os.kill(worker, signal.SIGSTOP)  # so that it can't take the job
    job = one.submit(("pid",))
    os.kill(worker, signal.SIGKILL)
    result = answer_of(job).result
    assert result.end is SegmentEnd.RETURNED
    assert result.value not in (None, worker)


def test_a_job_whose_workers_never_come_to_life_is_tried_twice_and_ends(new_pool: MakePool) -> None:
    result = result_of(new_pool(Deadly()), "pid")
    assert (result.failure, result.end) == ("the worker process died", SegmentEnd.DIED)


def test_a_job_that_pebble_forgets_is_tried_twice_and_ends(new_pool: MakePool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pebble.pool.process.TaskManager, "tasks_abort", lambda *arguments: None)
    monkeypatch.setattr(pool_module, "SECONDS_TO_BE_TOLD", 0.1)
    assert result_of(new_pool(Deadly()), "echo", 1).failure == "the worker process died"


@pytest.mark.parametrize(("limit_mb", "n_workers_in_all"), [(0, 3), (math.inf, 1)])
def test_a_worker_above_the_memory_limit_is_replaced_after_its_job(
    new_pool: MakePool, limit_mb: float, n_workers_in_all: int
) -> None:
    pool = new_pool(max_memory_mb=limit_mb)
    workers = [pid_of(pool) for _ in range(3)]
    assert len(set(workers)) == n_workers_in_all
    wait_for(lambda: sum(map(is_alive, set(workers))) == (0 if limit_mb == 0 else 1))


def test_stopping_ends_busy_workers_and_leaves_nothing_behind(new_pool: MakePool, tmp_path: Path) -> None:
    threads = set(threading.enumerate())
    pool = new_pool(n_workers=2)
    paths = [tmp_path / "first", tmp_path / "second"]
    busy = [pool.submit(("hang", str(path))) for path in paths]
    wait_for(lambda: all(path.exists() and path.read_text() for path in paths))
    waiting = pool.submit(("echo", 1.0))
    pool.stop()
    assert {answer_of(future).result.end for future in (*busy, waiting)} == {SegmentEnd.CUT_OFF}
    workers = [int(path.read_text()) for path in paths]
    wait_for(lambda: not any(map(is_alive, workers)))
    wait_for(lambda: set(threading.enumerate()) <= threads)


def test_a_pool_that_has_stopped_starts_again_with_the_next_job(new_pool: MakePool) -> None:
    pool = new_pool()
    before = pid_of(pool)
    pool.stop()
    assert pid_of(pool) != before


def test_a_pool_without_a_job_starts_no_process(new_pool: MakePool) -> None:
    threads = set(threading.enumerate())
    new_pool().stop()
    assert set(threading.enumerate()) <= threads


def test_no_more_workers_are_started_than_there_are_jobs_for(new_pool: MakePool) -> None:
    pool = new_pool(n_workers=24)
    ended = [answer_of(future) for future in [pool.submit(("pid",)) for _ in range(2)]]
    assert len({answer.result.value for answer in ended}) == 2
    (server,) = {psutil.Process(int(answer.result.value or 0)).ppid() for answer in ended}
    assert len(psutil.Process(server).children()) == 2


def test_more_workers_than_open_files_allow_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda which: (64, 64))
    most = checked_n_workers("n_workers", None, 1000)
    assert 1 <= most <= 7
    assert checked_n_workers("n_workers", None, 1) == checked_n_workers("n_workers", 1, 1000) == 1
    with pytest.raises(ConfigError, match=rf"^n_workers: must be from 1 to {most}, as .*\(ulimit -n\), got 16$"):
        checked_n_workers("n_workers", 16, 1)
    monkeypatch.setattr(resource, "getrlimit", lambda which: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert checked_n_workers("n_workers", 100_000, 1) == 100_000


def test_a_folder_of_temporary_files_with_a_long_path_will_do(
    new_pool: MakePool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("x" * 103)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    monkeypatch.delitem(multiprocessing.current_process()._config, "tempdir", raising=False)  # type: ignore[attr-defined]
    assert result_of(new_pool(), "echo", 1).value == 1
    assert tempfile.gettempdir() == str(long)
    monkeypatch.setattr(forkserver, "SHORT_FOLDERS", ("/nosuch",))
    with pytest.raises(ConfigError, match=r"^TMPDIR: .*x is too long a path for sockets, and /nosuch can't be "):
        new_pool().submit(("echo", 1))


def test_descriptors_do_not_pile_up(one: WorkerPool) -> None:
    def n_open() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    result_of(one, "exit", 1)
    pid_of(one)
    before = n_open()
    for _ in range(8):
        result_of(one, "exit", 1)
        pid_of(one)
    wait_for(lambda: n_open() <= before)


def test_a_job_that_is_cut_off_on_its_way_to_a_worker_ends(
    new_pool: MakePool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pool, on_its_way, go_on = new_pool(), threading.Event(), threading.Event()
    run = LocalSlot.run

    def held_up(slot: LocalSlot, arguments: tuple[object, ...], timeout_s: float | None) -> Future[bytes]:
        if arguments[-1] == str(tmp_path / "never"):
            on_its_way.set()
            assert go_on.wait(60)
        return run(slot, arguments, timeout_s)

    monkeypatch.setattr(LocalSlot, "run", held_up)
    first = pool.submit(("wait_for", str(tmp_path / "now")))
    second = pool.submit(("wait_for", str(tmp_path / "never")))
    (tmp_path / "now").touch()
    assert on_its_way.wait(60)
    pool.cancel(second)
    go_on.set()
    assert answer_of(second).result.end is SegmentEnd.CUT_OFF
    assert answer_of(first).result.end is SegmentEnd.RETURNED
    assert pid_of(pool)


def family_of(path: Path) -> list[int]:
    """The processes that a job has started, once all of them are there."""
    wait_for(Path(f"{path}.started").exists)
    wait_for(lambda: len(path.read_text().split()) == 3)
    processes = [int(text) for text in path.read_text().split()]
    assert all(map(is_alive, processes))
    return processes


def forkserver_of(worker: int) -> psutil.Process:
    parent = psutil.Process(worker).parent()
    assert parent is not None
    return parent


@pytest.mark.parametrize("end", ["killed", "time limit", "cut off", "stopped"])
def test_what_a_job_has_started_ends_with_it(new_pool: MakePool, tmp_path: Path, end: str) -> None:
    pool = new_pool()
    job = pool.submit(("family", str(tmp_path / "pids")), 1.0 if end == "time limit" else None)
    family = family_of(tmp_path / "pids")
    if end == "killed":
        os.kill(int((tmp_path / "pids.started").read_text()), signal.SIGKILL)
    elif end == "cut off":
        pool.cancel(job)
    elif end == "stopped":
        pool.stop()
    answer_of(job)
    if end == "cut off":  # it is answered at once
        wait_for(lambda: not any(map(is_alive, family)))
    assert not any(map(is_alive, family))


def test_what_a_job_has_started_ends_with_a_controller_that_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "pids"
    code = f"""
import math
from hposweep.workers.local.pool import WorkerPool
from support.worker_jobs import Jobs
WorkerPool(Jobs(), 1, [], {{}}, math.inf).submit(("family", {str(path)!r})).result()
"""
    controller = subprocess.Popen(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    )
    family = [*family_of(path), int((tmp_path / "pids.started").read_text())]
    controller.kill()
    controller.wait()
    wait_for(lambda: not any(map(is_alive, family)))


def test_a_stopped_pool_leaves_no_forkserver(new_pool: MakePool) -> None:
    pool = new_pool()
    server = forkserver_of(pid_of(pool)).pid
    pool.stop()
    assert not is_alive(server)


def test_a_worker_that_is_ended_while_it_starts_takes_no_other_with_it() -> None:
    context = forkserver.worker_context([], {})
    try:
        healthy, *others = (context.Process(target=time.sleep, args=(1000,)) for _ in range(5))
        healthy.start()
        for young in others:
            young.start()
            young.terminate()
            young.join(0.3)  # Python may lose a signal that comes at the very moment of the fork
            young.kill()
            young.join()
        assert healthy.is_alive()
    finally:
        context.stop()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forkserver, "MOST_SECONDS_STOPPED", 0.0)
    monkeypatch.setattr(forkserver, "SECONDS_BETWEEN_LOOKS", 0.05)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("is_busy", [True, False], ids=["busy", "idle"])
def test_a_forkserver_that_somebody_stops_holds_up_no_end(new_pool: MakePool, tmp_path: Path, is_busy: bool) -> None:
    pool = new_pool()
    worker = pid_of(pool)
    server = forkserver_of(worker)
    if is_busy:
        pool.submit(("hang", str(tmp_path / "started")))
        wait_for((tmp_path / "started").exists)
    server.suspend()
    pool.stop()
    assert not is_alive(worker)
    assert not is_alive(server.pid)


@pytest.mark.usefixtures("impatient")
def test_a_forkserver_that_somebody_stops_is_replaced_where_a_worker_is_needed(new_pool: MakePool) -> None:
    pool = new_pool()
    worker = pid_of(pool)
    forkserver_of(worker).suspend()
    os.kill(worker, signal.SIGKILL)
    assert pid_of(pool) not in (0, worker)


def test_a_module_that_workers_can_not_import_is_named(new_pool: MakePool, monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("made_here_alone")
    exec("def job(): pass", vars(module))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    jobs = Jobs()
    jobs.job = module.job  # type: ignore[attr-defined]
    assert result_of(new_pool(jobs), "pid").failure == "ModuleNotFoundError: No module named 'made_here_alone'"


def test_a_job_that_comes_while_its_pool_is_stopped_is_told(
    new_pool: MakePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool, on_its_way, go_on = new_pool(), threading.Event(), threading.Event()
    run = LocalSlot.run

    def held_up(slot: LocalSlot, arguments: tuple[object, ...], timeout_s: float | None) -> Future[bytes]:
        on_its_way.set()
        go_on.wait(60)
        return run(slot, arguments, timeout_s)

    monkeypatch.setattr(LocalSlot, "run", held_up)
    futures: list[Future[JobAnswer]] = []
    thread = threading.Thread(target=lambda: futures.append(pool.submit(("echo", 1.0))))
    thread.start()
    on_its_way.wait(60)
    pool.stop()
    go_on.set()
    thread.join(60)
    assert answer_of(futures[0]).result.end in (SegmentEnd.DIED, SegmentEnd.CUT_OFF)
