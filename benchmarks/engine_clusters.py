"""Engines that benchmarks start by themselves, and the overrides that put a sweep on them."""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# They are started as tests start them.
sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))

NAMES = ("local", "ray", "dask", "slurm")


@dataclass(frozen=True)
class Cluster:
    """An engine that runs."""

    engine: str
    words: list[str]  # of a sweep
    handle: Any = field(default=None)  # what the tests' support has started


def missing(engine: str) -> str:
    """Why an engine can't be started here; empty where it can."""
    module = {"ray": "ray", "dask": "distributed", "slurm": "submitit"}.get(engine)
    if module is not None and importlib.util.find_spec(module) is None:
        return f"no package {module}"
    if engine == "slurm" and (missing := [each for each in ("slurmctld", "munged") if shutil.which(each) is None]):
        return f"no program {missing[0]}"
    return ""


@contextlib.contextmanager
def cluster(engine: str, folder: Path, n_nodes: int = 1) -> Iterator[Cluster]:
    """The engine, with room for two jobs on each node; what it writes stands in the folder."""
    if engine == "local":
        yield Cluster(engine, ["hydra/launcher=hposweep"])
    elif engine == "ray":
        from support.engines import ray_cluster

        with ray_cluster(n_nodes) as found:
            yield Cluster(engine, ["hydra/launcher=hposweep_ray", f"hydra.launcher.address={found.address}"], found)
