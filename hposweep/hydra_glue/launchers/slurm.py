"""The launcher on Slurm: each Hydra job is a Slurm job, which submitit submits."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hydra.core.utils import JobReturn
from omegaconf import OmegaConf

from hposweep import optional_packages
from hposweep.errors import ConfigError
from hposweep.hydra_glue.jobs.hydra_jobs import HydraJobs
from hposweep.hydra_glue.launchers.pool import PoolLauncher
from hposweep.hydra_glue.sweep_folder import JobFolders, resolving
from hposweep.sweep_folder.journal import first_schema
from hposweep.sweep_folder.trial_files import TrialFiles
from hposweep.workers.slurm_job import SharedFolder, TrialPaths

if TYPE_CHECKING:
    from hposweep.workers.slurm import SlurmPool

NODE = "hydra/launcher=hposweep_slurm"
FOLDER = ".slurm"  # in the sweep's, while it runs
# Keys that mean the same for each of submitit's engines; the others are for Slurm alone.
OF_ALL_ENGINES = (
    "name",
    "timeout_min",
    "mem_gb",
    "cpus_per_task",
    "gpus_per_node",
    "stderr_to_stdout",
)


class SlurmLauncher(PoolLauncher):
    """Runs each job as a Slurm job.

    Args:
        n_workers: jobs that Slurm has at once, waiting ones too.
        nodes, tasks_per_node: 1 alone, as a trial is one process.
        max_num_timeout: jobs of one trial that may end at `timeout_min`; None: any that leave a newer checkpoint.
        parameters: `submitit_folder`, and what submitit asks Slurm for, by hydra-submitit-launcher's keys.
        preload, max_worker_memory_mb: as of any `PoolLauncher`.
    """

    def __init__(
        self,
        n_workers: int,
        nodes: int,
        tasks_per_node: int,
        max_num_timeout: int | None,
        preload: Sequence[str],
        max_worker_memory_mb: float,
        **parameters: Any,
    ) -> None:
        super().__init__(preload, max_worker_memory_mb)
        optional_packages.check(NODE, "slurm")
        for key, value in (("n_workers", n_workers), ("timeout_min", parameters["timeout_min"])):
            if value < 1:
                raise ConfigError(f"hydra.launcher.{key}: must be at least 1, got {value}")
        for key, value in (("nodes", nodes), ("tasks_per_node", tasks_per_node)):
            if value != 1:
                raise ConfigError(f"hydra.launcher.{key}: must be 1, as a trial is one process, got {value}")
        if parameters["signal_delay_s"] >= 60 * parameters["timeout_min"]:
            raise ConfigError(
                "hydra.launcher.signal_delay_s: must be less than timeout_min, in seconds "
                f"{60 * parameters['timeout_min']}, got {parameters['signal_delay_s']}"
            )
        for command in ("sbatch", "srun"):
            if shutil.which(command) is None:
                raise ConfigError(f"{NODE}: no '{command}' on PATH; start the sweep on a machine that submits to Slurm")
        self._wanted, self._max_num_timeout = n_workers, max_num_timeout
        self._keys = tuple(parameters)

    @property
    def n_workers(self) -> int:
        return self._wanted

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        try:
            return super().launch(job_overrides, initial_job_idx)
        finally:
            self.stop()  # other sweepers don't, and the jobs would outlive a Ctrl-C

    def make_pool(self, jobs: HydraJobs) -> SlurmPool:
        from hposweep.workers.slurm import SlurmPool

        spec = self.agent_spec(jobs, SharedFolder(self.sweep_dir))
        submitit_folder, parameters = self._submitit_parameters()
        folders = JobFolders(self._hydra_context.config_loader, self._config)
        schema = first_schema(self.sweep_dir)

        def named(arguments: tuple[Any, ...]) -> tuple[str, TrialPaths]:
            number, job_id, overrides, _ = arguments
            files = TrialFiles(self.sweep_dir, folders.subdir(number, overrides), schema)
            return job_id, TrialPaths(str(files.end_notice), (str(files.checkpoint), str(files.checkpoint_dir)))

        folder = self.sweep_dir / FOLDER
        return SlurmPool(spec, self._wanted, folder, submitit_folder, parameters, named, self._max_num_timeout)

    def _submitit_parameters(self) -> tuple[str, Mapping[str, Any]]:
        """Submitit's folder and its parameters, as they are in the config of the sweep, whose folder is known now."""
        with resolving(self._config):
            node: Any = OmegaConf.to_container(self._config.hydra.launcher, resolve=True)
        found = {key: node[key] for key in self._keys}
        folder = found.pop("submitit_folder")
        named = {key if key in OF_ALL_ENGINES else f"slurm_{key}": value for key, value in found.items()}
        return folder, {key: value for key, value in named.items() if value not in (None, {}, [])}
