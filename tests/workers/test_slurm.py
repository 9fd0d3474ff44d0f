"""Jobs on a real Slurm: what becomes of them when it, a node or a controller fails."""

import hashlib
import os
import re
import signal
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from hposweep.errors import ConfigError
from hposweep.trial import SegmentEnd, SegmentResult
from hposweep.workers import slurm as slurm_module
from hposweep.workers.agent import Surroundings
from hposweep.workers.local.worker import JobAnswer, Outcome
from hposweep.workers.slurm import SlurmPool
from hposweep.workers.slurm_commands import end_by, last_state, listed_jobs
from hposweep.workers.slurm_job import TrialPaths
from support.engines import slurm_pool
from support.processes import is_alive, wait_for
from support.slurm import Slurm, slurm
from support.worker_jobs import Jobs

pytestmark = pytest.mark.process


class JobsToBeEnded(Jobs):
    """Jobs that last until somebody ends them."""

    def last(self, started: str) -> float:
        Path(started).write_text(str(os.getpid()))
        while not Path(f"{started}.end").exists():
            time.sleep(0.02)
        return 7.0

    def run(self, *arguments: Any) -> Outcome:
        if arguments[0] != "end_when_told":
            return super().run(*arguments)
        _, started, notice, checkpoint = arguments
        Path(started).write_text(str(os.getpid()))
        self.wait_for(notice)
        if checkpoint:
            Path(checkpoint).write_text("weights")
        return Outcome(SegmentResult(1.0, failure="told to end", end=SegmentEnd.LOST))


@pytest.fixture(scope="module")
def running_slurm() -> Iterator[Slurm]:
    with slurm() as found:
        yield found


@pytest.fixture
def cluster(running_slurm: Slurm) -> Iterator[Slurm]:
    """A Slurm without jobs."""
    yield running_slurm
    running_slurm.end_all()


@pytest.fixture(autouse=True)
def asks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slurm_module, "SECONDS_BETWEEN_QUESTIONS", 0.3)


@pytest.fixture
def pool(cluster: Slurm, tmp_path: Path) -> Iterator[SlurmPool]:
    made = slurm_pool(JobsToBeEnded(), tmp_path, 2)
    yield made
    made.stop()


def result_of(future: Future[JobAnswer]) -> SegmentResult:
    return future.result(timeout=60).result


def begun(cluster: Slurm, pool: SlurmPool, path: Path) -> tuple[Future[JobAnswer], str]:
    """A job that lasts, and Slurm's id of it."""
    future = pool.submit(("last", str(path)))
    wait_for(path.exists)
    wait_for(lambda: len(cluster.running()) == 1 and "queued" not in pool.overview())
    return future, next(iter(cluster.running()))


def test_a_job_whose_script_was_killed_is_lost(cluster: Slurm, pool: SlurmPool, tmp_path: Path) -> None:
    future, job = begun(cluster, pool, tmp_path / "pid")
    os.kill(cluster.processes_of(job)[0], signal.SIGKILL)
    result = result_of(future)
    assert (result.end, result.place) == (SegmentEnd.LOST, "n1")
    assert result.failure == f"the Slurm job {job} is gone: FAILED"


def test_a_job_whose_node_is_down_is_lost_at_once(cluster: Slurm, pool: SlurmPool, tmp_path: Path) -> None:
    future, job = begun(cluster, pool, tmp_path / "pid")
    node = cluster.running()[job]
    cluster.run("scontrol", "update", f"nodename={node}", "state=down", "reason=test")
    try:
        result = result_of(future)
        assert (result.end, result.place) == (SegmentEnd.LOST, node)
        assert result.failure == f"the Slurm job {job} is gone: NODE_FAIL"
        assert job not in cluster.jobs()
        assert result_of(pool.submit(("echo", 1.0))).value == 1.0
    finally:
        cluster.bring_back(node)


def test_a_job_that_slurm_puts_back_into_its_queue_is_lost_and_leaves_it(cluster: Slurm, tmp_path: Path) -> None:
    pool = slurm_pool(JobsToBeEnded(), tmp_path, 1, parameters={"slurm_additional_parameters": {"requeue": True}})
    future, job = begun(cluster, pool, tmp_path / "pid")
    cluster.run("scontrol", "requeue", job)
    result = result_of(future)
    assert result.end is SegmentEnd.LOST
    assert result.failure.startswith("Slurm has put the job back into its queue (")
    assert job not in cluster.jobs()
    pool.stop()


def test_a_preempted_job_saves_and_leaves_the_queue(cluster: Slurm, pool: SlurmPool, tmp_path: Path) -> None:
    started, notice, checkpoint = (str(tmp_path / name) for name in ("pid", "ends_soon", "checkpoint"))
    future = pool.submit(("end_when_told", started, notice, checkpoint))
    wait_for(Path(started).exists)
    job = next(iter(cluster.running()))
    cluster.preempt()
    result = result_of(future)
    assert (result.end, result.failure, result.place) == (SegmentEnd.LOST, "told to end", "n1")
    wait_for(lambda: job not in cluster.jobs())
    assert result_of(pool.submit(("echo", 1.0))).place == "n2"


@pytest.mark.parametrize(("number", "saves"), [("USR2", True), ("USR2", False), ("TERM", False)])
def test_a_job_is_told_that_slurm_is_to_end_it(
    cluster: Slurm, pool: SlurmPool, tmp_path: Path, number: str, saves: bool
) -> None:
    started, notice, checkpoint = (str(tmp_path / name) for name in ("pid", "ends_soon", "checkpoint"))
    future = pool.submit(("end_when_told", started, notice, checkpoint if saves else ""))
    wait_for(Path(started).exists)
    cluster.run("scancel", f"--signal={number}", next(iter(cluster.running())))
    result = result_of(future)
    if number == "USR2" and not saves:
        assert result.end is SegmentEnd.DIED
        assert result.failure == "ran into hydra.launcher.timeout_min=5 without a new checkpoint"
    else:
        reason = "told to end" if number == "TERM" else "ran into hydra.launcher.timeout_min=5"
        assert (result.end, result.failure) == (SegmentEnd.LOST, reason)


def test_a_trial_whose_jobs_run_into_their_time_limit_too_often_has_timed_out(
    cluster: Slurm, pool: SlurmPool, tmp_path: Path
) -> None:
    pool._max_num_timeout = 0
    started, notice, checkpoint = (str(tmp_path / name) for name in ("pid", "ends_soon", "checkpoint"))
    future = pool.submit(("end_when_told", started, notice, checkpoint))
    wait_for(Path(started).exists)
    cluster.run("scancel", "--signal=USR2", next(iter(cluster.running())))
    assert result_of(future).end is SegmentEnd.TIMED_OUT


def test_jobs_outlive_their_controller_and_are_adopted(cluster: Slurm, tmp_path: Path) -> None:
    first = slurm_pool(JobsToBeEnded(), tmp_path, 3)
    paths = [tmp_path / name for name in ("ends_unseen", "runs_on", "is_not_wanted")]
    for path in paths:
        first.submit(("last", str(path)))
    wait_for(lambda: all(path.exists() for path in paths))
    jobs = set(cluster.running())
    _forget(first)
    Path(f"{paths[0]}.end").touch()
    wait_for(lambda: len(cluster.jobs()) == 2)
    second = slurm_pool(JobsToBeEnded(), tmp_path, 3, place=first._folder)
    try:
        adopted = [second.adopted(name) for name in ("0_1", "1_1")]
        assert second.adopted("0_2") is None
        assert adopted[0] is not None
        assert adopted[1] is not None
        assert result_of(adopted[0]).value == 7.0
        assert not adopted[1].done()
        # What nobody has adopted ends before anything else begins.
        assert result_of(second.submit(("echo", 1.0))).value == 1.0
        wait_for(lambda: not is_alive(int(paths[2].read_text())))
        assert is_alive(int(paths[1].read_text()))
        Path(f"{paths[1]}.end").touch()
        assert result_of(adopted[1]).value == 7.0
        assert len(jobs) == 3
    finally:
        second.stop()
    assert not first._folder.exists()


@pytest.mark.parametrize(
    ("text", "part"),
    [("", ""), ("-0", "-1"), ('"0_1"', '"../0_1"'), ('"end_notice"', '"notice"')],
    ids=["damaged", "of another sweep", "outside", "without a key"],
)
def test_a_list_of_jobs_that_is_not_ours_is_done_without(
    cluster: Slurm, tmp_path: Path, text: str, part: str, caplog: pytest.LogCaptureFixture
) -> None:
    first = slurm_pool(JobsToBeEnded(), tmp_path, 1)
    first.submit(("last", str(tmp_path / "pid")))
    wait_for((tmp_path / "pid").exists)
    _forget(first)
    path = first._folder / "batch-0.json"
    path.write_text(path.read_text().replace(text, part) if text else "{")
    second = slurm_pool(JobsToBeEnded(), tmp_path, 1, place=first._folder)
    assert second.adopted("0_1") is None
    second.stop()
    assert "damaged" in caplog.text
    assert len(cluster.jobs()) == 1


def _forget(pool: SlurmPool) -> None:
    """Ends a controller as a kill does: its jobs stay as they are."""
    pool._is_stopped.set()
    assert pool._thread is not None
    pool._thread.join()


def test_a_job_that_waits_in_slurms_queue_leaves_it_when_cancelled(cluster: Slurm, tmp_path: Path) -> None:
    pool = slurm_pool(JobsToBeEnded(), tmp_path, 2, parameters={"slurm_additional_parameters": {"begin": "now+1hour"}})
    future = pool.submit(("echo", 1.0))
    wait_for(cluster.jobs)
    assert pool.overview() == "1 job queued"
    pool.cancel(future)
    assert result_of(future).end is SegmentEnd.CUT_OFF
    assert not cluster.jobs()
    pool.stop()


def test_a_node_with_another_program_ends_the_sweep_in_one_line(cluster: Slurm, tmp_path: Path) -> None:
    other = Surroundings({**Surroundings.here().versions, "hydra-core": "0.1"}, {}, (), str(Path.cwd()))
    pool = slurm_pool(JobsToBeEnded(), tmp_path, 1, surroundings=other)
    pool.submit(("echo", 1.0))
    assert _why_not(pool).startswith("n1 is another than the controller: hydra-core ")
    pool.stop()


def test_a_sweep_whose_nodes_all_come_to_refuse_it_ends_in_one_line(cluster: Slurm, tmp_path: Path) -> None:
    module = tmp_path / "mine.py"
    module.write_text("one")
    known = {"mine": hashlib.sha256(module.read_bytes()).hexdigest()}
    here = Surroundings.here()
    mine = Surroundings({}, known, (str(tmp_path), *here.path), here.folder)
    pool = slurm_pool(JobsToBeEnded(), tmp_path, 1, surroundings=mine)
    assert result_of(pool.submit(("echo", 1.0))).value == 1.0
    module.write_text("another")
    assert [result_of(pool.submit(("echo", 1.0))).end for _ in range(2)] == [SegmentEnd.LOST] * 2
    pool.submit(("echo", 1.0))
    assert _why_not(pool) == f"n1 is another than the controller: another {module}"
    pool.stop()


@pytest.mark.parametrize(
    ("parameters", "line"),
    [
        (
            {"slurm_partition": "none"},
            "hydra/launcher=hposweep_slurm: sbatch: error: invalid partition specified: none",
        ),
        ({"slurm_setup": ["exit 3"]}, "the Slurm job .* is gone: FAILED, before it began"),
    ],
)
def test_what_keeps_all_jobs_from_beginning_ends_the_sweep_in_one_line(
    cluster: Slurm, tmp_path: Path, parameters: dict[str, object], line: str
) -> None:
    pool = slurm_pool(JobsToBeEnded(), tmp_path, 1, parameters=parameters)
    pool.submit(("echo", 1.0))
    assert re.match(line, _why_not(pool))
    pool.stop()


def _why_not(pool: SlurmPool) -> str:
    reasons: list[str] = []

    def is_refused() -> bool:
        try:
            pool.check()
        except ConfigError as error:
            reasons.append(f"{error}")
        return bool(reasons)

    wait_for(is_refused)
    return reasons[0]


@pytest.mark.parametrize(
    ("state", "by_signal", "end"),
    [
        ("NODE_FAIL", 0, SegmentEnd.LOST),
        ("PREEMPTED", 0, SegmentEnd.LOST),
        ("CANCELLED", 15, SegmentEnd.LOST),
        ("BOOT_FAIL", 0, SegmentEnd.LOST),
        ("", 0, SegmentEnd.LOST),
        ("FAILED", 9, SegmentEnd.LOST),
        ("FAILED", 0, SegmentEnd.DIED),
        ("OUT_OF_MEMORY", 9, SegmentEnd.DIED),
    ],
)
def test_slurms_word_tells_whether_the_job_is_to_blame(state: str, by_signal: int, end: SegmentEnd) -> None:
    assert end_by(state, by_signal) is end


def test_a_folder_without_a_file_is_no_checkpoint(tmp_path: Path) -> None:
    folder, file = tmp_path / "checkpoint", tmp_path / "checkpoint.npz"
    paths = TrialPaths("", (str(file), str(folder)))
    assert paths.saved_at() == 0.0
    folder.mkdir()
    assert paths.saved_at() == 0.0
    for path, time_s in ((file, 100.0), (folder / "state", 200.0)):
        path.touch()
        os.utime(path, (time_s, time_s))
        assert paths.saved_at() == time_s


SQUEUE = "12_3|RUNNING|n1|1-02:03:04|None|a|b\n12_4|PENDING||0:00|Resources|a|b\n"


def test_the_queue_is_read_whatever_a_job_is_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _command(tmp_path, "squeue", SQUEUE)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    first, second = listed_jobs()
    assert (first.slurm_id, first.index, first.seconds, first.node) == ("12_3", 3, 93784.0, "n1")
    assert (second.name, second.is_waiting, second.reason) == ("a|b", True, "Resources")


@pytest.mark.parametrize(
    ("shown", "accounted", "state"),
    [
        ("JobId=1 JobState=TIMEOUT Reason=TimeLimit ExitCode=0:15", "", ("TIMEOUT", 15)),
        ("", "CANCELLED by 1000|0:15", ("CANCELLED", 15)),
        ("", "", ("", 0)),
    ],
)
def test_accounting_is_asked_for_what_slurm_has_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shown: str, accounted: str, state: tuple[str, int]
) -> None:
    for name, text in (("scontrol", shown), ("sacct", accounted)):
        _command(tmp_path, name, text, fails=not text)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert last_state("1") == state


def _command(folder: Path, name: str, text: str, fails: bool = False) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\nprintf '{text}'\nexit {int(fails)}\n")
    path.chmod(0o700)
