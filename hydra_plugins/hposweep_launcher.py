"""The local launcher as Hydra finds it: thin, and light at import, since every Hydra app imports it at its start."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


@dataclass
class HposweepLauncherConf:
    """The launcher's keys, `hydra.launcher.*`."""

    _target_: str = "hydra_plugins.hposweep_launcher.HposweepLauncher"
    n_workers: int | None = None  # worker processes; null: the machine's cores divided by threads
    # Our own app has these keys; an app without them gets the defaults.
    threads: Any = "${oc.select:trainer.threads,1}"  # on which one job computes
    preload: Any = "${oc.select:objective.preload,[]}"  # modules that are imported once, before the workers start
    max_worker_memory_mb: float = 4000.0  # a worker that is larger after a job is replaced by a new one


class HposweepLauncher(Launcher):
    """Hands jobs over to `hposweep.hydra_glue.launchers.local`; our sweeper takes them there one by one."""

    def __init__(self, **options: Any) -> None:
        self.options = options

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        from hposweep.hydra_glue.launchers.local import LocalLauncher

        self.local_launcher = LocalLauncher(**self.options)
        self.local_launcher.setup(hydra_context, task_function, config)

    def workers(self, jobs: Any) -> Any:
        """The launcher as workers for our sweeper, `hposweep.hydra_glue.launchers.segments.SegmentLauncher`."""
        from hposweep.hydra_glue.launchers.local import LocalWorkers

        return LocalWorkers(self.local_launcher, jobs)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        return self.local_launcher.launch(job_overrides, initial_job_idx)


ConfigStore.instance().store(group="hydra/launcher", name="hposweep", node=HposweepLauncherConf, provider="hposweep")
