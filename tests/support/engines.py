"""Engines as tests start them, and pools of workers on them."""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from hposweep.hydra_glue.launchers.pool import Pool
from hposweep.workers.agent import AgentSpec, Surroundings
from hposweep.workers.local import main_module
from hposweep.workers.local.pool import WorkerPool
from hposweep.workers.remote import RemotePool
from hposweep.workers.slurm import SlurmPool
from hposweep.workers.slurm_job import TrialPaths
from support.slurm import slurm

MAX_MEMORY_MB = 4000.0


def agent_spec(state: Any, folder: Path, **changes: Any) -> AgentSpec:
    """What agents have to know of jobs whose sweep stands in this folder."""
    token = secrets.token_hex(8)
    mark = folder / f"mark-{token}"
    mark.write_text(token)
    known: dict[str, Any] = {
        "preload": (),
        "env": {},
        "max_memory_mb": MAX_MEMORY_MB,
        "surroundings": Surroundings.here(),
    }
    return AgentSpec(**{"state": main_module.packed(state), "mark": (str(mark), token), **known, **changes})


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
def ray_cluster(n_nodes: int = 3, cpus: int = 2) -> Iterator[Any]:
    """A Ray cluster of a head without processors and these nodes, to which this process is connected."""
    import ray
    from ray.cluster_utils import Cluster

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    head = {"num_cpus": 0, "include_dashboard": False, "object_store_memory": 80_000_000}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        for _ in range(n_nodes):
            add_ray_node(cluster, cpus)
        ray.init(cluster.address, log_to_driver=False, logging_level=logging.ERROR)
        yield cluster
    finally:
        ray.shutdown()
        cluster.shutdown()


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
        agent_spec(state, folder, **changes),
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
    "slurm": on_slurm,
}
