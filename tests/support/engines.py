"""Engines as tests start them, and pools of workers on them."""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import logging
import os
import secrets
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from hposweep.hydra_glue.launchers.pool import Pool
from hposweep.sweep_folder import lease
from hposweep.workers.agent import AgentSpec, Surroundings
from hposweep.workers.local import main_module
from hposweep.workers.local.pool import WorkerPool
from hposweep.workers.remote import RemotePool
from hposweep.workers.slurm import SlurmPool
from hposweep.workers.slurm_job import SharedFolder, TrialPaths
from support.processes import wait_for
from support.slurm import slurm

MAX_MEMORY_MB = 4000.0


def agent_spec(state: Any, folder: Path, **changes: Any) -> AgentSpec:
    """What agents have to know of jobs whose sweep stands in this folder."""
    path = folder / lease.FILE_NAME
    if lease.read(path) is None:
        lease.Lease(path).take(is_locked=True)
    holder = lease.read(path)
    assert holder is not None
    known: dict[str, Any] = {
        "preload": (),
        "env": {},
        "max_memory_mb": MAX_MEMORY_MB,
        "surroundings": Surroundings.here(),
    }
    return AgentSpec(
        **{"state": main_module.packed(state), "controller": lease.LeaseWatch(path, holder.token), **known, **changes}
    )


@dataclass(frozen=True)
class Kind:
    """One kind of workers under the contract that all of them fulfil."""

    make: Callable[[Any, Path, int], Pool]  # from what the jobs share, a folder and the number of workers
    is_warm: bool = True  # whether a worker is kept for the next job
    has_nodes: bool = True


@contextlib.contextmanager
def local() -> Iterator[Kind]:
    """Processes of this machine."""

    def make(state: Any, folder: Path, n_workers: int) -> Pool:
        return WorkerPool(state, n_workers, (), {}, MAX_MEMORY_MB)

    yield Kind(make, has_nodes=False)


@contextlib.contextmanager
def ray_nodes(n_nodes: int = 3, cpus: int = 2) -> Iterator[Any]:
    """A Ray cluster of a head without processors and these nodes."""
    from ray.cluster_utils import Cluster

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    head = {"num_cpus": 0, "include_dashboard": False, "object_store_memory": 80_000_000}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        for _ in range(n_nodes):
            add_ray_node(cluster, cpus)
        yield cluster
    finally:
        cluster.shutdown()


@contextlib.contextmanager
def ray_cluster(n_nodes: int = 3, cpus: int = 2) -> Iterator[Any]:
    """The same, with this process connected to it."""
    import ray

    with ray_nodes(n_nodes, cpus) as cluster:
        try:
            ray.init(cluster.address, log_to_driver=False, logging_level=logging.ERROR)
            yield cluster
        finally:
            ray.shutdown()


def add_ray_node(cluster: Any, cpus: int = 2) -> Any:
    """One node more."""
    return cluster.add_node(num_cpus=cpus, object_store_memory=80_000_000)


def ray_pool(state: Any, folder: Path, n_workers: int | None, **changes: Any) -> RemotePool:
    """Workers on the Ray cluster to which this process is connected."""
    from hposweep.workers.ray import RayEngine

    needs = {"num_cpus": 1, "num_gpus": 0, "resources": {}}
    return RemotePool(RayEngine(agent_spec(state, folder, **changes), n_workers, None, needs, {}))


@contextlib.contextmanager
def on_ray() -> Iterator[Kind]:
    """Actors on a Ray cluster of three nodes."""
    with ray_cluster():
        yield Kind(ray_pool)


class DaskCluster:
    """A Dask scheduler and workers, each a process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.workers: list[subprocess.Popen[bytes]] = []
        file = folder / "scheduler.json"
        words = ("--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(file))
        self.scheduler = self._started("dask_scheduler", *words)
        wait_for(lambda: file.exists() and file.read_text().strip())
        self.address: str = json.loads(file.read_text())["address"]

    def add_worker(self, *options: str) -> subprocess.Popen[bytes]:
        """One worker more, leader of a session; of one thread and without a nanny, unless the options say otherwise."""
        options = ("--no-nanny", "--nthreads", "1", *options)
        self.workers.append(self._started("dask_worker", self.address, "--no-dashboard", *options))
        return self.workers[-1]

    def kill_workers(self) -> None:
        """Ends all workers, stopped ones and those with a nanny, too."""
        for worker in self.workers:
            if worker.poll() is None:
                os.killpg(worker.pid, signal.SIGKILL)
                worker.wait()
        self.workers.clear()

    def close(self) -> None:
        """Ends all of them."""
        self.kill_workers()
        self.scheduler.kill()
        self.scheduler.wait()

    def _started(self, program: str, *words: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", f"distributed.cli.{program}", *words]
        with open(self._folder / f"{program}.log", "ab") as file:
            return subprocess.Popen(command, stdout=file, stderr=file, cwd=self._folder, start_new_session=True)


@contextlib.contextmanager
def dask_cluster(n_workers: int = 2) -> Iterator[DaskCluster]:
    """A Dask scheduler with workers, in processes that end with it."""
    with tempfile.TemporaryDirectory() as folder:
        cluster = DaskCluster(Path(folder))
        try:
            for _ in range(n_workers):
                cluster.add_worker()
            yield cluster
        finally:
            cluster.close()


def dask_pool(
    state: Any,
    folder: Path,
    n_workers: int | None,
    address: str | None,
    resources: Mapping[str, float] = MappingProxyType({}),
    **changes: Any,
) -> RemotePool:
    """Workers on the Dask cluster of this address."""
    from hposweep.workers.dask import DaskEngine

    return RemotePool(DaskEngine(agent_spec(state, folder, **changes), address, None, n_workers, 1, resources))


@contextlib.contextmanager
def on_dask() -> Iterator[Kind]:
    """A Dask scheduler with two workers."""
    with dask_cluster() as cluster:
        yield Kind(functools.partial(dask_pool, address=cluster.address))


def slurm_pool(
    state: Any,
    folder: Path,
    n_workers: int,
    parameters: Mapping[str, Any] = MappingProxyType({}),
    place: Path | None = None,
    **changes: Any,
) -> SlurmPool:
    """Jobs of the Slurm to which this process submits; `place`: that of a pool before this one."""
    numbers = itertools.count()

    def named(arguments: tuple[Any, ...]) -> tuple[str, TrialPaths]:
        return f"{next(numbers)}_1", TrialPaths(str(folder / "ends_soon"), (str(folder / "checkpoint"),))

    return SlurmPool(
        agent_spec(state, folder, controller=SharedFolder(folder), **changes),
        n_workers,
        place or folder / f"slurm-{secrets.token_hex(4)}",
        str(folder / "submitit/%j"),
        {"timeout_min": 5, **parameters},
        named,
    )


@contextlib.contextmanager
def on_slurm() -> Iterator[Kind]:
    """Jobs of a Slurm of two nodes."""
    with slurm():
        yield Kind(slurm_pool, is_warm=False)


KINDS: dict[str, Callable[[], contextlib.AbstractContextManager[Kind]]] = {
    "local": local,
    "ray": on_ray,
    "dask": on_dask,
    "slurm": on_slurm,
}


@contextlib.contextmanager
def ray_launcher() -> Iterator[list[str]]:
    """The words with which a command takes the launcher on a Ray cluster that is there."""
    with ray_nodes(n_nodes=2) as cluster:
        yield ["hydra/launcher=hposweep_ray", f"hydra.launcher.address={cluster.address}"]


@contextlib.contextmanager
def dask_launcher() -> Iterator[list[str]]:
    """The same on a Dask scheduler with two workers."""
    with dask_cluster() as cluster:
        yield ["hydra/launcher=hposweep_dask", f"hydra.launcher.address={cluster.address}"]


@contextlib.contextmanager
def slurm_launcher() -> Iterator[list[str]]:
    """The same on a Slurm of two nodes."""
    with slurm():
        yield ["hydra/launcher=hposweep_slurm"]


LAUNCHERS: dict[str, Callable[[], contextlib.AbstractContextManager[list[str]]]] = {
    "ray": ray_launcher,
    "dask": dask_launcher,
    "slurm": slurm_launcher,
}
