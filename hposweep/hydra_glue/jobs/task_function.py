"""The user's function as a Hydra job of a sweep."""

from __future__ import annotations

import contextlib
import functools
import os
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus
from hydra.types import TaskFunction
from omegaconf import OmegaConf

from hposweep.job import run
from hposweep.job.running import RunningJob, check_is_latest
from hposweep.search_space import trial_seed
from hposweep.sweep_folder.trial_files import JOB_ID, TrialFiles
from hposweep.trial import SegmentResult


class JobFunction:
    """The user's function as the jobs of a sweep run it, under any launcher; pickled with it.

    Args:
        schema: with which the sweep began; None: the current one.
    """

    def __init__(self, task_function: TaskFunction, schema: int | None) -> None:
        functools.update_wrapper(self, task_function)
        self._task_function, self._schema = task_function, schema
        # The jobs of this process whose results nobody has asked for yet, by their folders.
        self._ended: dict[Path, RunningJob] = {}

    def __call__(self, cfg: Any) -> Any:
        config = HydraConfig.get()
        folder, sweeper = Path(config.runtime.output_dir), config.sweeper
        with run.told_as_lost():
            job = RunningJob(
                TrialFiles(folder, ".", self._schema),
                str(sweeper.metric),
                None if sweeper.target_epoch is None else int(sweeper.target_epoch),
                knows_target=sweeper.budget_key is not None,
                job_id=_job_id(config.job),
            )
        self._ended[folder] = job
        seed = _seed(cfg, sweeper, config.job.num)
        try:
            with contextlib.chdir(Path.cwd()):  # and back: the next job begins where the program did
                # Another launcher may hand over what comes out of here to another process: a number can be pickled.
                return run.as_number(run.run(job, lambda: self._task_function(cfg), seed))
        except Exception as error:
            portable = run.portable(error)
            if portable is error:
                raise
            raise portable from error

    def check_is_latest(self, folder: Path, job: Any) -> None:
        """Looks whether a later job of the trial has begun, before Hydra writes the files of this one.

        Args:
            job: the config's node `hydra.job`.

        Raises:
            JobLostError: if one has.
        """
        with run.told_as_lost():
            check_is_latest(TrialFiles(folder, ".", self._schema), _job_id(job))

    def result(self, job_return: JobReturn, duration_s: float) -> SegmentResult:
        """The segment's result, from what Hydra tells of its job."""
        assert job_return.hydra_cfg is not None
        hydra = job_return.hydra_cfg.hydra
        # Our sweeper names both of them without interpolations: of the config only this part is handed back.
        folder = Path(hydra.runtime.output_dir)
        files = TrialFiles(folder, ".", self._schema)
        # The job may have left the process in another folder.
        relative = os.path.relpath(folder, os.path.join(hydra.runtime.cwd, hydra.sweep.dir))  # noqa: PTH118
        # No job: it ran in another process.
        return segment_result(job_return, duration_s, files, self._ended.pop(folder, None), relative)


def _job_id(job: Any) -> str:
    """`Trial.job_id`, where our launchers have put it into `hydra.job.id`: others have ids of their own."""
    found = JOB_ID.fullmatch(str(job.get("id", "")))
    return found[0] if found and int(found[1]) == job.get("num") else ""


def _seed(cfg: Any, sweeper: Any, number: int) -> int:
    """The trial's seed: what stands in the key that receives it or, where there is none, its own."""
    seed = None if sweeper.seed_key is None else OmegaConf.select(cfg, sweeper.seed_key)
    return trial_seed(int(sweeper.seed), int(number)) if seed is None else int(seed)


def segment_result(
    job_return: JobReturn,
    duration_s: float,
    files: TrialFiles | None = None,
    job: RunningJob | None = None,
    folder: str = "",
) -> SegmentResult:
    """The segment's result, from what Hydra tells of its job; under another sweeper no more than that is known."""
    if job_return.status is not JobStatus.COMPLETED:
        return run.failed(files, job_return._return_value, duration_s, folder)
    return run.returned(job_return.return_value, job, duration_s, folder)
