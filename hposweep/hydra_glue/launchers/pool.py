"""Launchers that run Hydra jobs on a pool, wherever its workers are."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, wait
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import cloudpickle
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, configure_log, filter_overrides
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from hposweep.errors import ConfigError
from hposweep.hydra_glue.jobs.hydra_jobs import HydraJobs
from hposweep.hydra_glue.launchers.segments import SegmentJobs
from hposweep.hydra_glue.overrides import literal_text
from hposweep.trial import Segment, SegmentResult, Trial
from hposweep.workers.agent import AgentSpec, SignOfLife, Surroundings
from hposweep.workers.local import main_module
from hposweep.workers.local.worker import JobAnswer
from hposweep.workers.protocol import Futures
from hposweep.workers.segments import PoolFutures

log = logging.getLogger(__name__)

SECONDS_BETWEEN_CHECKS = 1.0  # whether any worker will ever come
PLUGIN_SCAN = "hposweep.hydra_glue.launchers.plugin_scan"


class Pool(Protocol):
    """What runs jobs for a launcher."""

    @property
    def n_workers(self) -> int:
        """How many there are now."""

    def submit(self, arguments: tuple[Any, ...], timeout_s: float | None = None) -> Future[JobAnswer]:
        """Runs a job with these arguments of `HydraJobs.run` as soon as a worker is free."""

    def cancel(self, future: Future[JobAnswer]) -> None:
        """Kills the job of this future, which then is done."""

    def stop(self) -> None:
        """Ends all workers, busy ones too."""

    def overview(self) -> str:
        """Nodes and what is queued; empty where all is on this machine."""

    def check(self) -> None:
        """Raises a ConfigError where no worker will ever come, with the reason."""


@runtime_checkable
class OutlivingPool(Pool, Protocol):
    """A pool whose jobs live on when their controller dies."""

    def adopted(self, job_id: str) -> Future[JobAnswer] | None:
        """The job that a former controller has submitted; None where it is lost, or never was."""


class PoolWorkers(PoolFutures):
    """Segments as jobs of such a launcher, each by itself."""

    def __init__(self, launcher: PoolLauncher, jobs: SegmentJobs) -> None:
        super().__init__(launcher)
        self._launcher, self._segment_jobs = launcher, jobs

    def submit(self, segment: Segment, trial: Trial, timeout_s: float | None) -> Future[SegmentResult]:
        overrides = self._segment_jobs.overrides_of(segment, trial)
        refused = self._segment_jobs.refused(segment, overrides)
        if refused is not None:
            return refused
        job = self._launcher.submit(segment.trial, overrides, job_id=trial.job_id, timeout_s=timeout_s)
        return self.of_job(job, lambda: self._segment_jobs.subdir(segment, overrides))

    def adopted(self, segment: Segment, trial: Trial) -> Future[SegmentResult] | None:
        job = self._launcher.adopted(trial.job_id)
        if job is None:
            return None
        return self.of_job(
            job, lambda: self._segment_jobs.subdir(segment, self._segment_jobs.overrides_of(segment, trial))
        )

    def wait(self, futures: Futures, timeout_s: float) -> Futures:
        self._launcher.pool.check()
        return super().wait(futures, timeout_s)


class PoolLauncher:
    """Runs Hydra jobs on a pool, which is made for the first job.

    Args:
        preload: modules to import before the workers start.
        max_worker_memory_mb: a worker that is larger after a job is replaced.
    """

    def __init__(self, preload: Sequence[str], max_worker_memory_mb: float) -> None:
        self._preload = [PLUGIN_SCAN, *preload]
        self._max_memory_mb = max_worker_memory_mb
        self._pool: Pool | None = None

    def make_pool(self, jobs: HydraJobs) -> Pool:
        """The pool, whose workers share these jobs."""
        raise NotImplementedError

    @property
    def n_workers(self) -> int:
        """How many workers there are now."""
        return self.pool.n_workers

    @property
    def pool(self) -> Pool:
        """What runs the jobs."""
        if self._pool is None:
            # Resolved here: the folder of a sweep is the same for all of its workers.
            with read_write(self._config), open_dict(self._config):
                self._config.hydra.sweep.dir = literal_text(str(self._config.hydra.sweep.dir))
            jobs = HydraJobs(Singleton.get_state(), self._hydra_context, self._config, self._task_function)
            self._pool = self.make_pool(jobs)
        return self._pool

    def agent_spec(self, jobs: HydraJobs, controller: SignOfLife) -> AgentSpec:
        """What agents on other machines have to know of these jobs."""
        state, env = main_module.packed(jobs), dict(self.environment())
        return AgentSpec(state, self._preload, env, self._max_memory_mb, Surroundings.here(), controller)

    @property
    def sweep_dir(self) -> Path:
        """The sweep's folder."""
        return Path(str(self._config.hydra.sweep.dir)).absolute()

    def setup(self, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Hydra's words: what the jobs will need.

        Raises:
            ConfigError: if the task function uses something that can't be sent to workers.
        """
        try:
            main_module.packed(task_function)
        except ConfigError as error:
            raise ConfigError(f"{error}, or take hydra/launcher=basic") from None
        self._hydra_context, self._task_function, self._config = hydra_context, task_function, config

    def submit(
        self,
        number: int,
        overrides: Sequence[str],
        job_id: str,
        timeout_s: float | None = None,
        wants_job_return: bool = False,
    ) -> Future[JobAnswer]:
        """Runs a job with this number and `hydra.job.id` as soon as a worker is free."""
        return self.pool.submit((number, job_id, list(overrides), wants_job_return), timeout_s)

    def adopted(self, job_id: str) -> Future[JobAnswer] | None:
        """A job that a former controller has submitted; None where it has died with that, or never was."""
        pool = self.pool
        return pool.adopted(job_id) if isinstance(pool, OutlivingPool) else None

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Hydra's blocking call, for any sweeper: returns when all jobs are done."""
        configure_log(self._config.hydra.hydra_logging, self._config.hydra.verbose)
        Path(str(self._config.hydra.sweep.dir)).mkdir(parents=True, exist_ok=True)
        futures = []
        for number, overrides in enumerate(job_overrides, start=initial_job_idx):
            log.info("\t#%d : %s", number, " ".join(filter_overrides(overrides)))
            futures.append(self.submit(number, overrides, job_id=f"{number}", wants_job_return=True))
        returns = []
        for future in futures:
            while not wait([future], SECONDS_BETWEEN_CHECKS).done:
                self.pool.check()
            answer = future.result()
            if not answer.payload:
                raise answer.error or RuntimeError(answer.result.failure)
            returns.append(cloudpickle.loads(answer.payload))
        return returns

    def cancel(self, future: Future[JobAnswer]) -> None:
        """Kills the job of this future, which then is done."""
        if self._pool is not None:
            self._pool.cancel(future)

    def overview(self) -> str:
        """As `Pool.overview`."""
        return "" if self._pool is None else self._pool.overview()

    def stop(self) -> None:
        """Ends all workers, busy ones too."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.stop()

    def environment(self) -> Mapping[str, str]:
        """What `hydra.job.env_set` sets for every trial alike: workers have it before they import anything."""
        env_set = OmegaConf.to_container(self._config.hydra.job.env_set, resolve=False)
        assert isinstance(env_set, dict)
        return {str(name): str(text) for name, text in env_set.items() if "${" not in str(text)}
