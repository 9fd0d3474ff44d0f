"""Engines as tests start them, and pools of workers on them."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hposweep.hydra_glue.launchers.pool import Pool
from hposweep.sweep_folder import lease
from hposweep.workers.agent import AgentSpec, Surroundings
from hposweep.workers.local import main_module
from hposweep.workers.local.pool import WorkerPool
from hposweep.workers.remote import RemotePool

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


KINDS: dict[str, Callable[[], contextlib.AbstractContextManager[Kind]]] = {"local": local, "ray": on_ray}


@contextlib.contextmanager
def ray_launcher() -> Iterator[list[str]]:
    """The words with which a command takes the launcher on a Ray cluster that is there."""
    with ray_nodes(n_nodes=2) as cluster:
        yield ["hydra/launcher=hposweep_ray", f"hydra.launcher.address={cluster.address}"]


LAUNCHERS: dict[str, Callable[[], contextlib.AbstractContextManager[list[str]]]] = {"ray": ray_launcher}
