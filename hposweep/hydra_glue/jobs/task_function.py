"""The user's function as a Hydra job of a sweep."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus
from hydra.types import TaskFunction

from hposweep.job import run as job
from hposweep.job import running
from hposweep.trial import SegmentResult


def as_job(task_function: TaskFunction) -> TaskFunction:
    """The function, with what it prints and why it failed in files of its folder."""

    @functools.wraps(task_function)
    def run(cfg: Any) -> Any:
        config = HydraConfig.get()
        knows_target = config.sweeper.get("budget_key") is not None
        return job.run_in(Path(config.runtime.output_dir), lambda: task_function(cfg), knows_target)

    return run


def segment_result(job_return: JobReturn, duration_s: float) -> SegmentResult:
    """What came of a job, in the tuner's words; the folder is relative to the sweep's."""
    hydra_config = job_return.hydra_cfg
    assert hydra_config is not None
    folder = Path(hydra_config.hydra.runtime.output_dir)
    relative = os.path.relpath(folder, str(hydra_config.hydra.sweep.dir))
    said = running.end(folder)
    if job_return.status is not JobStatus.COMPLETED:
        return job.failed(folder, job_return._return_value, duration_s, relative)
    return job.returned(job_return.return_value, said, duration_s, relative)
