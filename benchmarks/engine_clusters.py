"""Engines that benchmarks start by themselves, the overrides that put a sweep on them, and how their parts are lost."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil

# They are started as tests start them.
sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))

NAMES = ("local", "ray", "dask", "slurm")


class Cluster:
    """An engine that runs. What is told of a trial's process names the process that trains it."""

    has_nodes = False
    keeps_jobs = False  # whether jobs outlive their controller

    def __init__(self, words: list[str]) -> None:
        self.words = words  # of a sweep

    def agent(self, trial: int) -> int:
        """The process above the trial's forkserver: what the engine has placed there; the controller on one machine."""
        return psutil.Process(trial).parents()[1].pid

    def lose_agent(self, trial: int) -> None:
        """Kills the agent."""
        os.kill(self.agent(trial), signal.SIGKILL)

    def lose_node(self, trial: int) -> None:
        """Kills the node, as a power cut would."""
        raise NotImplementedError

    def silence(self, trial: int) -> Callable[[], None]:
        """Stops the agent; returns what wakes it."""
        return stopped(self.agent(trial))

    def silence_node(self, trial: int) -> Callable[[], None]:
        """Stops the engine's own process on the node; returns what wakes it."""
        raise NotImplementedError

    def preempt(self, trial: int) -> None:
        """Takes the node away from the trial, for something more important that is soon over."""
        raise NotImplementedError

    def heal(self) -> None:
        """Replaces what was lost."""


class RayCluster(Cluster):
    """Nodes on this machine."""

    has_nodes = True

    def __init__(self, cluster: Any) -> None:
        super().__init__(["hydra/launcher=hposweep_ray", f"hydra.launcher.address={cluster.address}"])
        self._cluster, self._n_nodes = cluster, len(cluster.worker_nodes)

    def lose_node(self, trial: int) -> None:
        self._cluster.remove_node(self._node(trial), allow_graceful=False)

    def silence_node(self, trial: int) -> Callable[[], None]:
        return stopped(self._raylet(self._node(trial)))

    def heal(self) -> None:
        from support.engines import add_ray_node

        for node in list(self._cluster.worker_nodes):
            if not psutil.pid_exists(self._raylet(node)) or _is_defunct(self._raylet(node)):
                self._cluster.remove_node(node, allow_graceful=False)
        for _ in range(self._n_nodes - len(self._cluster.worker_nodes)):
            add_ray_node(self._cluster)

    def _node(self, trial: int) -> Any:
        above = {each.pid for each in psutil.Process(self.agent(trial)).parents()}
        return next(node for node in self._cluster.worker_nodes if self._raylet(node) in above)

    @staticmethod
    def _raylet(node: Any) -> int:
        found: int = node.all_processes["raylet"][0].process.pid
        return found


class DaskCluster(Cluster):
    """A scheduler, and workers of one thread, each under a nanny."""

    has_nodes = True

    def __init__(self, cluster: Any, n_workers: int) -> None:
        super().__init__(["hydra/launcher=hposweep_dask", f"hydra.launcher.address={cluster.address}"])
        self._cluster, self._n_workers = cluster, n_workers
        self.heal()

    def lose_node(self, trial: int) -> None:
        above = {each.pid for each in psutil.Process(trial).parents()}
        nanny = next(each for each in self._cluster.workers if each.pid in above)
        os.killpg(nanny.pid, signal.SIGKILL)
        nanny.wait()

    def heal(self) -> None:
        self._cluster.workers = [each for each in self._cluster.workers if each.poll() is None]
        while len(self._cluster.workers) < self._n_workers:
            self._cluster.add_worker("--nanny")


class SlurmCluster(Cluster):
    """Two nodes on this machine, with room for more than two jobs each."""

    has_nodes = True
    keeps_jobs = True

    def __init__(self, slurm: Any) -> None:
        super().__init__(["hydra/launcher=hposweep_slurm", "hydra.launcher.timeout_min=10"])
        self._slurm = slurm
        self._down: list[str] = []
        self._urgent: list[str] = []

    def lose_node(self, trial: int) -> None:
        node = self._node(trial)
        self._slurm.run("scontrol", "update", f"nodename={node}", "state=down", "reason=benchmark")
        self._down.append(node)

    def silence_node(self, trial: int) -> Callable[[], None]:
        node = self._node(trial)
        self._down.append(node)
        return stopped(int((self._slurm.folder / f"slurmd.{node}.pid").read_text()))

    def preempt(self, trial: int) -> None:
        from support.slurm import CPUS

        options = ["--parsable", "-p", "urgent", "-w", self._node(trial), f"-c{CPUS}", f"--output={os.devnull}"]
        self._urgent.append(self._slurm.run("sbatch", *options, "--wrap", "sleep 1000").strip())

    def heal(self) -> None:
        while self._urgent:
            self._slurm.run("scancel", self._urgent.pop())
        while self._down:
            self._slurm.bring_back(self._down.pop())

    def _node(self, trial: int) -> str:
        return psutil.Process(self.agent(trial)).environ()["SLURMD_NODENAME"]


def missing(engine: str) -> str:
    """Why an engine can't be started here; empty where it can."""
    module = {"ray": "ray", "dask": "distributed", "slurm": "submitit"}.get(engine)
    if module is not None and importlib.util.find_spec(module) is None:
        return f"no package {module}"
    if engine == "slurm":
        path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
        programs = [each for each in ("slurmctld", "munged") if shutil.which(each, path=path) is None]
        return f"no program {programs[0]}" if programs else ""
    return ""


@contextlib.contextmanager
def cluster(engine: str, n_nodes: int = 1) -> Iterator[Cluster]:
    """The engine, with room for two jobs on each node; Slurm has two nodes always."""
    if engine == "local":
        yield Cluster(["hydra/launcher=hposweep"])
    elif engine == "ray":
        from support.engines import ray_nodes

        with ray_nodes(n_nodes) as ray:
            yield RayCluster(ray)
    elif engine == "dask":
        from support.engines import dask_cluster

        with dask_cluster(0) as dask:
            yield DaskCluster(dask, 2 * n_nodes)
    else:
        from support.slurm import slurm

        with slurm() as found:
            yield SlurmCluster(found)


def stopped(process: int) -> Callable[[], None]:
    """Stops a process, as if its network had gone; returns what wakes it, if it is still there."""
    os.kill(process, signal.SIGSTOP)

    def wake() -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGCONT)

    return wake


def _is_defunct(process: int) -> bool:
    return psutil.Process(process).status() == psutil.STATUS_ZOMBIE
