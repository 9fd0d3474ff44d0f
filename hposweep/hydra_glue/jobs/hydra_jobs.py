"""The jobs of a sweep as its workers run them: each a full Hydra job."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.plugins import Plugins
from hydra.core.singleton import Singleton
from hydra.core.utils import setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict
from omegaconf.basecontainer import BaseContainer

from hposweep.errors import write_error
from hposweep.hydra_glue.jobs.run_job import run_job
from hposweep.hydra_glue.jobs.task_function import JobFunction, segment_result
from hposweep.job.run import JobLostError, failed
from hposweep.workers.local.main_module import answered
from hposweep.workers.local.worker import Outcome


@dataclass(frozen=True)
class HydraJobs:
    """What every job of a sweep shares."""

    singletons: Any
    hydra_context: HydraContext
    config: DictConfig
    task_function: TaskFunction

    def enter(self) -> None:
        setup_globals()
        plugins = Singleton._instances.get(Plugins)
        if plugins is not None:
            # The scan for plugins was done in the forkserver.
            self.singletons["instances"][Plugins] = plugins

    def run(self, number: int, job_id: str, overrides: list[str], wants_job_return: bool) -> Outcome:
        """Runs the job of trial `number`; the payload is Hydra's JobReturn, where it is wanted.

        Raises:
            WriteError: if Hydra's files of the job can't be written.
        """
        self._put_globals_right()
        started = time.monotonic()
        config = self.hydra_context.config_loader.load_sweep_config(self.config, overrides)
        with open_dict(config):
            config.hydra.job.id = job_id
            config.hydra.job.num = number
        try:
            job_return = run_job(self.hydra_context, self.task_function, config)
        except JobLostError as error:
            return Outcome(failed(None, error, time.monotonic() - started, folder=""))
        except Exception as error:  # no error of the objective, which Hydra keeps in what it returns
            unwritable = write_error(error, Path(str(config.hydra.sweep.dir), str(config.hydra.sweep.subdir)))
            if unwritable is None:
                raise
            raise unwritable from error
        duration_s = time.monotonic() - started
        # Under another sweeper it is the user's own function.
        of_job = self.task_function.result if isinstance(self.task_function, JobFunction) else segment_result
        result = of_job(job_return, duration_s)
        return Outcome(result, answered(job_return) if wants_job_return else b"")

    def _put_globals_right(self) -> None:
        """Gives Hydra and OmegaConf the globals of the controller, whatever a job has made of them."""
        instances, resolvers = self.singletons["instances"], self.singletons["omegaconf_resolvers"]
        # Hydra's own way copies each resolver in depth.
        Singleton._instances = dict(instances)
        BaseContainer._resolvers = dict(resolvers)
