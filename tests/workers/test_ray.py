"""Workers on a real Ray cluster: nodes that come, go, die and fall silent."""

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import psutil
import pytest

from hposweep.errors import ConfigError
from hposweep.sweep_folder.lease import LeaseWatch
from hposweep.trial import SegmentEnd, SegmentResult
from hposweep.workers import remote
from hposweep.workers.local.worker import JobAnswer
from hposweep.workers.remote import RemotePool
from support.engines import add_ray_node, ray_cluster, ray_pool
from support.processes import is_alive, wait_for
from support.worker_jobs import Jobs

pytestmark = pytest.mark.process

MakePool = Callable[..., RemotePool]


class JobsOfRay(Jobs):
    """Jobs that tell of their process."""

    def parents(self) -> bytes:
        """The processes above this one, the nearest first."""
        return " ".join(str(each.pid) for each in psutil.Process().parents()).encode()

    def environment(self, name: str) -> bytes:
        return os.environ.get(name, "-").encode()


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with ray_cluster(n_nodes=2, cpus=1) as found:
        yield found


@pytest.fixture
def make(cluster: Any, tmp_path: Path) -> Iterator[MakePool]:
    pools = []

    def new(n_workers: int | None = 1, state: Any = None, **changes: Any) -> RemotePool:
        pools.append(ray_pool(state or JobsOfRay(), tmp_path, n_workers, **changes))
        return pools[-1]

    yield new
    for pool in pools:
        pool.stop()


def result_of(future: Future[JobAnswer]) -> SegmentResult:
    return future.result(timeout=60).result


def actor_of(pool: RemotePool) -> int:
    """The process of the actor above the worker."""
    above = pool.submit(("parents",)).result(60).payload.split()
    return next(int(each) for each in above if "RayAgent" in " ".join(psutil.Process(int(each)).cmdline()))


def hanging(pool: RemotePool, tmp_path: Path) -> tuple[Future[JobAnswer], int]:
    future = pool.submit(("hang", str(tmp_path / "pid")))
    wait_for(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
    return future, int((tmp_path / "pid").read_text())


def test_a_job_is_lost_with_its_actor_which_is_replaced(make: MakePool, tmp_path: Path) -> None:
    pool = make()
    actor = actor_of(pool)
    future, process = hanging(pool, tmp_path)
    os.kill(actor, signal.SIGKILL)
    assert result_of(future).end is SegmentEnd.LOST
    wait_for(lambda: not is_alive(process))
    assert result_of(pool.submit(("echo", 2.0))).value == 2.0
    assert actor_of(pool) != actor


def test_a_job_is_lost_with_its_node_and_others_go_on(make: MakePool, cluster: Any, tmp_path: Path) -> None:
    pool = make(n_workers=None)
    node = add_ray_node(cluster, cpus=1)
    wait_for(lambda: pool.n_workers == 3)
    places = {result_of(pool.submit(("echo", 1.0))).place for _ in range(3)}
    gates = [tmp_path / f"gate{number}" for number in range(3)]
    jobs = [pool.submit(("wait_for", str(gate))) for gate in gates]
    cluster.remove_node(node, allow_graceful=False)
    wait_for(lambda: any(job.done() for job in jobs))
    (lost,) = [job for job in jobs if job.done()]
    assert result_of(lost).end is SegmentEnd.LOST
    wait_for(lambda: pool.n_workers == 2)
    for gate in gates:
        gate.touch()
    assert sorted(result_of(job).end for job in jobs) == [SegmentEnd.LOST, SegmentEnd.RETURNED, SegmentEnd.RETURNED]
    assert len(places) >= 1
    assert result_of(lost).place.startswith(os.uname().nodename)


def test_an_actor_that_was_stopped_is_given_up(make: MakePool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "MOST_SILENT_S", 2.0)
    monkeypatch.setattr(remote, "SECONDS_BETWEEN_LOOKS", 0.2)
    pool = make()
    actor = actor_of(pool)
    future, process = hanging(pool, tmp_path)
    os.kill(actor, signal.SIGSTOP)
    assert result_of(future).end is SegmentEnd.LOST
    wait_for(lambda: not is_alive(process))
    assert result_of(pool.submit(("echo", 2.0))).value == 2.0


def test_workers_come_when_there_is_room(make: MakePool, cluster: Any) -> None:
    pool = make(n_workers=3)
    wait_for(lambda: pool.n_workers == 2)
    node = add_ray_node(cluster, cpus=1)
    wait_for(lambda: pool.n_workers == 3)
    assert pool.overview() == "3 workers on 3 nodes"
    cluster.remove_node(node)


def test_workers_without_gpus_see_none(make: MakePool) -> None:
    pool = make(env={"CUDA_VISIBLE_DEVICES": ""})
    assert pool.submit(("environment", "CUDA_VISIBLE_DEVICES")).result(60).payload == b""
    assert pool.submit(("environment", "OMP_NUM_THREADS")).result(60).payload == b"-"


def test_a_cluster_whose_nodes_are_others_ends_the_sweep_in_one_line(
    make: MakePool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pool = make(controller=LeaseWatch(tmp_path / "elsewhere" / "journal.lease", "0123456789abcdef"))
    pool.start()
    with pytest.raises(ConfigError, match="doesn't see the sweep's folder") as caught:
        wait_for(lambda: pool.check())
    assert "\n" not in str(caught.value)
