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
    """A scheduler, and workers of two threads, each under a nanny."""

    has_nodes = True

    def __init__(self, cluster: Any) -> None:
        super().__init__(["hydra/launcher=hposweep_dask", f"hydra.launcher.address={cluster.address}"])
        self._cluster = cluster

    def lose_node(self, trial: int) -> None:
        agent = psutil.Process(self.agent(trial))
        nanny = next(each for each in self._cluster.workers if each.pid in {above.pid for above in agent.parents()})
        nanny.kill()
        with contextlib.suppress(psutil.NoSuchProcess):
            agent.kill()
        nanny.wait()

    def heal(self) -> None:
        for worker in [each for each in self._cluster.workers if each.poll() is not None]:
            self._cluster.workers.remove(worker)
            self._cluster.add_worker("--nanny", "--nthreads", "2")


def missing(engine: str) -> str:
    """Why an engine can't be started here; empty where it can."""
    module = {"ray": "ray", "dask": "distributed", "slurm": "submitit"}.get(engine)
    if module is not None and importlib.util.find_spec(module) is None:
        return f"no package {module}"
    if engine == "slurm":
        programs = [each for each in ("slurmctld", "munged") if shutil.which(each) is None]
        return f"no program {programs[0]}" if programs else ""
    return ""


@contextlib.contextmanager
def cluster(engine: str, n_nodes: int = 1) -> Iterator[Cluster]:
    """The engine, with room for two jobs on each node."""
    if engine == "local":
        yield Cluster(["hydra/launcher=hposweep"])
    elif engine == "ray":
        import ray

        from support.engines import ray_cluster

        with ray_cluster(n_nodes) as found:
            ray.shutdown()  # the sweeps' controllers connect to it, and this process needs not
            yield RayCluster(found)


def stopped(process: int) -> Callable[[], None]:
    """Stops a process, as if its network had gone; returns what wakes it, if it is still there."""
    os.kill(process, signal.SIGSTOP)

    def wake() -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGCONT)

    return wake


def _is_defunct(process: int) -> bool:
    return psutil.Process(process).status() == psutil.STATUS_ZOMBIE
