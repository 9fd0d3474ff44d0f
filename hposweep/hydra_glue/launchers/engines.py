"""Launchers on an engine: Hydra jobs on agents that it brings to its nodes."""

from __future__ import annotations

import atexit
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import hydra
from hydra.core.utils import JobReturn
from hydra.errors import InstantiationException
from omegaconf import DictConfig

from hposweep import optional_packages
from hposweep.errors import ConfigError
from hposweep.failure import line_of_exception
from hposweep.hydra_glue.jobs.hydra_jobs import HydraJobs
from hposweep.hydra_glue.launchers.pool import PoolLauncher
from hposweep.sweep_folder import lease
from hposweep.workers.agent import AgentSpec
from hposweep.workers.remote import Engine, RemotePool

NO_DEVICES = {"CUDA_VISIBLE_DEVICES": "", "HIP_VISIBLE_DEVICES": ""}


class EngineLauncher(PoolLauncher):
    """Runs jobs on agents.

    Args:
        n_workers: agents; None: as many as the engine has room for, at any time.
        preload, max_worker_memory_mb: as of any `PoolLauncher`.
    """

    def __init__(self, n_workers: int | None, preload: Sequence[str], max_worker_memory_mb: float) -> None:
        super().__init__(preload, max_worker_memory_mb)
        if n_workers is not None and n_workers < 1:
            raise ConfigError(f"hydra.launcher.n_workers: must be at least 1, or null, got {n_workers}")
        self._wanted = n_workers
        self._lease: lease.Lease | None = None

    def engine(self, spec: AgentSpec) -> Engine:
        """What brings agents that know this."""
        raise NotImplementedError

    def make_pool(self, jobs: HydraJobs) -> RemotePool:
        path = self.sweep_dir / lease.FILE_NAME
        holder = lease.read(path)
        assert holder is not None
        spec = self.agent_spec(jobs, lease.LeaseWatch(path, holder.token))
        return RemotePool(self.engine(spec))

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        if self._lease is None:  # another sweeper keeps no journal, and says no end to its launcher
            self.sweep_dir.mkdir(parents=True, exist_ok=True)
            self._lease = lease.Lease(self.sweep_dir / lease.FILE_NAME)
            self._lease.take(is_locked=True)
            atexit.register(self.stop)
        return super().launch(job_overrides, initial_job_idx)

    def stop(self) -> None:
        super().stop()
        if self._lease is not None:
            self._lease.release()


class RayLauncher(EngineLauncher):
    """Runs jobs on the actors of a Ray cluster.

    Args:
        address: of the cluster, or `auto`, or `local`; None: as Ray finds one, else one is started.
        num_cpus, num_gpus, resources: what Ray reserves for a worker.
        runtime_env: Ray's.
        n_workers, preload, max_worker_memory_mb: as of any `EngineLauncher`.
    """

    def __init__(
        self,
        address: str | None,
        num_cpus: float,
        num_gpus: float,
        resources: Mapping[str, float],
        runtime_env: Mapping[str, Any],
        **options: Any,
    ) -> None:
        super().__init__(**options)
        optional_packages.check("hydra/launcher=hposweep_ray", "ray")
        if address is not None and address.startswith("ray://"):
            raise ConfigError(
                f"hydra.launcher.address: a controller runs on a machine of the cluster, got {address}; "
                "start it there, with address=auto"
            )
        self._address = address
        self._needs = {"num_cpus": num_cpus, "num_gpus": num_gpus, "resources": dict(resources)}
        self._runtime_env = dict(runtime_env)

    def environment(self) -> Mapping[str, str]:
        # Ray leaves all devices visible to who has asked for none.
        return {**super().environment(), **({} if self._needs["num_gpus"] else NO_DEVICES)}

    def engine(self, spec: AgentSpec) -> Engine:
        from hposweep.workers.ray import RayEngine

        return RayEngine(spec, self._wanted, self._address, self._needs, self._runtime_env)


class DaskLauncher(EngineLauncher):
    """Runs jobs on the workers of a Dask scheduler.

    Args:
        address: of the scheduler.
        cluster: the config of a cluster to make; None, and no address: workers of this machine are started.
        n_workers: Dask workers to use, and to ask a cluster for that was made; None: all that are there.
        threads: of a Dask worker, that a job takes.
        resources: Dask's worker resources that a job takes.
        preload, max_worker_memory_mb: as of any `EngineLauncher`.
    """

    def __init__(
        self,
        address: str | None,
        cluster: DictConfig | None,
        threads: int,
        resources: Mapping[str, float],
        **options: Any,
    ) -> None:
        super().__init__(**options)
        optional_packages.check("hydra/launcher=hposweep_dask", "dask")
        if address is not None and cluster is not None:
            raise ConfigError("hydra.launcher.cluster: there is an address, too; give one of them")
        if cluster is not None and "_target_" not in (cluster if isinstance(cluster, DictConfig) else ()):
            raise ConfigError(f"hydra.launcher.cluster: must hold the _target_ of a cluster's class, got {cluster}")
        if resources and address is None and cluster is None:
            raise ConfigError("hydra.launcher.resources: workers of this machine have none; give address or cluster")
        if threads < 1:
            raise ConfigError(f"hydra.launcher.threads: must be at least 1, got {threads}")
        self._address, self._cluster, self._threads, self._resources = address, cluster, threads, dict(resources)

    def engine(self, spec: AgentSpec) -> Engine:
        from hposweep.workers.dask import DaskEngine

        make_cluster = None if self._cluster is None else functools.partial(_made, self._cluster)
        return DaskEngine(spec, self._address, make_cluster, self._wanted, self._threads, self._resources)


def _made(cluster: DictConfig) -> Any:
    """The cluster of this config."""
    try:
        return hydra.utils.instantiate(cluster, _convert_="all")  # Dask takes plain values alone
    except InstantiationException as error:
        reason = line_of_exception(error.__cause__ or error)
        raise ConfigError(f"hydra.launcher.cluster: {cluster._target_} can't be made ({reason})") from None
