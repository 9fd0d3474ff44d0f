"""The local launcher: Hydra jobs on warm worker processes of this machine."""

from __future__ import annotations

from collections.abc import Sequence

from hposweep.errors import ConfigError
from hposweep.hydra_glue.jobs.hydra_jobs import HydraJobs
from hposweep.hydra_glue.launchers.pool import PoolLauncher
from hposweep.workers.local.pool import WorkerPool, checked_n_workers, n_cores


class LocalLauncher(PoolLauncher):
    """Runs jobs on `n_workers` processes.

    Args:
        n_workers: processes; None: cores divided by `threads`.
        threads: that one job computes on.
        preload, max_worker_memory_mb: as of any `PoolLauncher`.
    """

    def __init__(
        self, n_workers: int | None, threads: int, preload: Sequence[str], max_worker_memory_mb: float
    ) -> None:
        super().__init__(preload, max_worker_memory_mb)
        for key, value in (("n_workers", n_workers), ("threads", threads)):
            if value is not None and value < 1:
                raise ConfigError(f"hydra.launcher.{key}: must be at least 1, got {value}")
        self._n_workers = checked_n_workers("hydra.launcher.n_workers", n_workers, max(1, n_cores() // threads))

    @property
    def n_workers(self) -> int:
        return self._n_workers

    def make_pool(self, jobs: HydraJobs) -> WorkerPool:
        return WorkerPool(jobs, self.n_workers, self._preload, self.environment(), self._max_memory_mb)
