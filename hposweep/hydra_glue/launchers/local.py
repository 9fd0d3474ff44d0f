"""The local launcher: Hydra jobs on warm worker processes of this machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from hposweep.errors import ConfigError
from hposweep.hydra_glue.jobs.hydra_jobs import HydraJobs
from hposweep.hydra_glue.launchers.pool import PoolLauncher
from hposweep.workers.local.devices import VARIABLES, devices_of
from hposweep.workers.local.pool import WorkerPool, checked_n_workers, n_cores


class LocalLauncher(PoolLauncher):
    """Runs jobs on `n_workers` processes.

    Args:
        n_workers: processes; None: cores divided by `threads` or, with devices, as many as these have room for.
        threads: that one job computes on.
        devices: GPUs, of which each worker sees its own alone: None, "auto", or a list of numbers and ids.
        workers_per_device: how many share one.
        preload, max_worker_memory_mb: as of any `PoolLauncher`.
    """

    def __init__(
        self,
        n_workers: int | None,
        threads: int,
        preload: Sequence[str],
        max_worker_memory_mb: float,
        devices: Any = None,
        workers_per_device: Any = 1,
    ) -> None:
        super().__init__(preload, max_worker_memory_mb)
        for key, value in (("n_workers", n_workers), ("threads", threads)):
            if value is not None and value < 1:
                raise ConfigError(f"hydra.launcher.{key}: must be at least 1, got {value}")
        self._devices = found = devices_of("hydra.launcher.", devices, workers_per_device, n_workers)
        default, n_forkservers = max(1, n_cores() // threads), 1
        if found is not None:
            default, n_forkservers = found.n_slots, len(found.names)
        self._n_workers = checked_n_workers("hydra.launcher.n_workers", n_workers, default, n_forkservers)

    @property
    def n_workers(self) -> int:
        return self._n_workers

    def setup(self, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        super().setup(hydra_context, task_function, config)
        own = next((name for name in VARIABLES if name in list(config.hydra.job.env_set)), None)
        if self._devices is not None and own is not None:
            raise ConfigError(
                f"hydra.job.env_set.{own}: hydra.launcher.devices says what each worker sees; give one of them"
            )

    def make_pool(self, jobs: HydraJobs) -> WorkerPool:
        return WorkerPool(
            jobs, self.n_workers, self._preload, self.environment(), self._max_memory_mb, devices=self._devices
        )
