"""Jobs on a real Slurm: what becomes of them when it, a node or a controller fails."""

import itertools
import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest

from hposweep.errors import ConfigError
from hposweep.trial import SegmentEnd, SegmentResult
from hposweep.workers import slurm as slurm_module
from hposweep.workers.agent import Surroundings
from hposweep.workers.local.worker import JobAnswer
from hposweep.workers.slurm import SlurmPool
from hposweep.workers.slurm_commands import end_by, last_state
from hposweep.workers.slurm_job import TrialPaths
from support.engines import agent_spec, slurm_pool
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

    def end_when_told(self, started: str, notice: str, checkpoint: str) -> float:
        Path(started).write_text(str(os.getpid()))
        self.wait_for(notice)
        if checkpoint:
            Path(checkpoint).write_text("weights")
        return 1.0


@pytest.fixture(scope="module")
def cluster() -> Iterator[Slurm]:
    with slurm() as found:
        yield found


@pytest.fixture
def pool(cluster: Slurm, tmp_path: Path) -> Iterator[SlurmPool]:
    made = slurm_pool(JobsToBeEnded(), tmp_path, 2)
    yield made
    made.stop()
    cluster.end_all()


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
        assert "queue" in result.failure
        assert job not in cluster.jobs()
        assert result_of(pool.submit(("echo", 1.0))).value == 1.0
    finally:
        cluster.run("scontrol", "update", f"nodename={node}", "state=resume")


def test_a_preempted_job_is_lost_and_leaves_the_queue(cluster: Slurm, pool: SlurmPool, tmp_path: Path) -> None:
    future, job = begun(cluster, pool, tmp_path / "pid")
    cluster.preempt()
    result = result_of(future)
    assert (result.end, result.place) == (SegmentEnd.LOST, "n1")
    wait_for(lambda: job not in cluster.jobs())
    assert result_of(pool.submit(("echo", 1.0))).place == "n2"


@pytest.mark.parametrize(
    ("saves", "end"), [(True, SegmentEnd.RETURNED), (False, SegmentEnd.RETURNED)], ids=["saves", "doesn't"]
)
def test_a_job_near_its_time_limit_is_told(
    cluster: Slurm, pool: SlurmPool, tmp_path: Path, saves: bool, end: SegmentEnd
) -> None:
    started, notice, checkpoint = (str(tmp_path / name) for name in ("pid", "ends_soon", "checkpoint"))
    future = pool.submit(("end_when_told", started, notice, checkpoint if saves else ""))
    wait_for(Path(started).exists)
    cluster.run("scancel", "--signal=USR2", next(iter(cluster.running())))
    assert result_of(future).end is end
