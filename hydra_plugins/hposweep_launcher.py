"""Our launchers as Hydra finds them: thin, and light at import, since every Hydra app imports it at its start."""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

# Our own app has these keys; an app without them gets the defaults.
THREADS = "${oc.select:trainer.threads,1}"
PRELOAD = "${oc.select:objective.preload,[]}"


@dataclass
class HposweepLauncherConf:
    """The launcher's keys, `hydra.launcher.*`."""

    _target_: str = "hydra_plugins.hposweep_launcher.HposweepLauncher"
    n_workers: int | None = None  # worker processes; null: one a device slot, or the cores divided by threads
    devices: Any = None  # GPUs, of which each worker sees its own alone: [0, 1], or auto; null: workers see all
    workers_per_device: int = 1  # workers that share one; TensorFlow then takes memory as it needs it
    threads: Any = THREADS  # on which one job computes
    preload: Any = PRELOAD  # modules that are imported once, before the workers start
    max_worker_memory_mb: float = 4000.0  # a worker that is larger after a job is replaced by a new one


@dataclass
class HposweepRayConf:
    """The keys of `hydra/launcher=hposweep_ray`."""

    _target_: str = "hydra_plugins.hposweep_launcher.HposweepRayLauncher"
    # host:port of a Ray cluster; auto: one that is there; local: one that is started here; null: auto, else local
    address: str | None = None
    n_workers: int | None = None  # null: as many as the cluster has room for, growing and shrinking with it
    num_cpus: Any = THREADS  # that Ray reserves for a worker
    num_gpus: float = 0.0  # the same; 0 hides all of them
    resources: dict[str, float] = field(default_factory=dict)  # Ray's custom resources that a worker needs
    runtime_env: dict[str, Any] = field(default_factory=dict)  # Ray's: env_vars, pip, working_dir, ...
    preload: Any = PRELOAD
    max_worker_memory_mb: float = 4000.0


@dataclass
class HposweepDaskConf:
    """The keys of `hydra/launcher=hposweep_dask`."""

    _target_: str = "hydra_plugins.hposweep_launcher.HposweepDaskLauncher"
    _recursive_: bool = False  # the cluster is made with the first job
    address: str | None = None  # of a Dask scheduler, tcp://host:port
    cluster: Any = None  # one to make: {_target_: dask_jobqueue.SLURMCluster, ...}; null: workers of this machine
    n_workers: int | None = None  # Dask workers; null: as many as there are, growing and shrinking with them
    threads: Any = THREADS  # of a Dask worker, that a job takes
    resources: dict[str, float] = field(default_factory=dict)  # Dask's worker resources that a job takes
    preload: Any = PRELOAD
    max_worker_memory_mb: float = 4000.0


@dataclass
class HposweepSlurmConf:
    """The keys of `hydra/launcher=hposweep_slurm`: those of hydra-submitit-launcher, with its defaults, and ours."""

    _target_: str = "hydra_plugins.hposweep_launcher.HposweepSlurmLauncher"
    n_workers: int = 16  # jobs that Slurm has at once, waiting ones too
    submitit_folder: str = "${hydra.sweep.dir}/.submitit/%j"  # of each job's logs and script
    timeout_min: int = 60  # Slurm's time limit of a job; a trial that needs more goes on in another job
    cpus_per_task: Any = THREADS
    gpus_per_node: int | None = None
    tasks_per_node: int = 1  # 1 alone: a trial is one process
    mem_gb: float | None = None
    nodes: int = 1  # 1 alone
    name: str = "${hydra.job.name}"  # begins the names of the Slurm jobs
    stderr_to_stdout: bool = False
    partition: str | None = None
    qos: str | None = None
    comment: str | None = None
    constraint: str | None = None
    exclude: str | None = None  # nodes; those that can't serve are added
    gres: str | None = None
    cpus_per_gpu: int | None = None
    gpus_per_task: int | None = None
    mem_per_gpu: str | None = None
    mem_per_cpu: str | None = None
    account: str | None = None
    signal_delay_s: int = 120  # seconds before its time limit that a job is told to save and end
    max_num_timeout: int | None = None  # jobs of one trial that may end at timeout_min; null: any that get somewhere
    additional_parameters: dict[str, Any] = field(default_factory=dict)  # more of sbatch's options
    array_parallelism: int = 256  # jobs of one array that may run at once
    setup: list[str] | None = None  # shell commands before the job
    preload: Any = PRELOAD
    max_worker_memory_mb: float = 4000.0


class HposweepLauncher(Launcher):
    """Hands jobs over to `hposweep.hydra_glue.launchers`; our sweeper takes them there one by one."""

    implementation = "local.LocalLauncher"
    is_watched = False  # whether its workers see from the lease of their controller that this lives

    def __init__(self, **options: Any) -> None:
        self.options = options

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        module, name = self.implementation.split(".")
        found = importlib.import_module(f"hposweep.hydra_glue.launchers.{module}")
        self.pool_launcher = getattr(found, name)(**self.options)
        self.pool_launcher.setup(hydra_context, task_function, config)

    def workers(self, jobs: Any) -> Any:
        """The launcher as workers for our sweeper, `hposweep.hydra_glue.launchers.segments.SegmentLauncher`."""
        from hposweep.hydra_glue.launchers.pool import PoolWorkers

        return PoolWorkers(self.pool_launcher, jobs)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        returns: Sequence[JobReturn] = self.pool_launcher.launch(job_overrides, initial_job_idx)
        return returns


class HposweepRayLauncher(HposweepLauncher):
    """The same on a Ray cluster."""

    implementation = "engines.RayLauncher"
    is_watched = True


class HposweepDaskLauncher(HposweepLauncher):
    """The same on a Dask cluster."""

    implementation = "engines.DaskLauncher"
    is_watched = True


class HposweepSlurmLauncher(HposweepLauncher):
    """The same as Slurm jobs."""

    implementation = "slurm.SlurmLauncher"


NODES = {
    "hposweep": HposweepLauncherConf,
    "hposweep_ray": HposweepRayConf,
    "hposweep_dask": HposweepDaskConf,
    "hposweep_slurm": HposweepSlurmConf,
}
for name, node in NODES.items():
    ConfigStore.instance().store(group="hydra/launcher", name=name, node=node, provider="hposweep")
