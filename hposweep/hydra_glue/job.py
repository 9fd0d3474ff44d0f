"""What surrounds the user's function in every Hydra job of a sweep."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus
from hydra.types import TaskFunction

from hposweep import conversation, job_folder
from hposweep.report import start_clock
from hposweep.trial import SegmentResult

log = logging.getLogger(__name__)


class JobExitError(Exception):
    """The job called `sys.exit`: a failure of its trial, and of nothing else."""


def as_job(task_function: TaskFunction) -> TaskFunction:
    """The function, with what it prints in `output.txt` and why it failed in `failure.txt` and the job's log."""

    @functools.wraps(task_function)
    def job(cfg: Any) -> Any:
        hydra_config = HydraConfig.get()
        folder = Path(hydra_config.runtime.output_dir)
        (folder / job_folder.FAILURE).unlink(missing_ok=True)
        start_clock(folder)
        conversation.begin(folder, knows_target=hydra_config.sweeper.get("budget_key") is not None)
        with output_to(folder / job_folder.OUTPUT):
            try:
                return task_function(cfg)
            except conversation.TargetReached as reached:
                return reached.value
            except Exception:
                _leave_note(folder)
                raise
            except SystemExit as error:
                _leave_note(folder)
                # Hydra's run_job lets SystemExit through, which would end the sweep.
                raise JobExitError(f"sys.exit({error.code!r})") from error

    return job


def _leave_note(folder: Path) -> None:
    text = traceback.format_exc()
    (folder / job_folder.FAILURE).write_text(text, encoding="utf-8")
    log.error("the job failed\n%s", text)


@contextlib.contextmanager
def output_to(path: Path) -> Iterator[None]:
    """Sends what the process prints, libraries in C included, to the end of a file."""
    sys.stdout.flush()
    sys.stderr.flush()
    saved = [os.dup(1), os.dup(2)]
    with open(path, "ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for descriptor, copy in zip((1, 2), saved, strict=True):
            os.dup2(copy, descriptor)
            os.close(copy)


def segment_result(job_return: JobReturn, duration_s: float) -> SegmentResult:
    """What came of a job, in the tuner's words; the folder is relative to the sweep's."""
    hydra_config = job_return.hydra_cfg
    assert hydra_config is not None
    folder = Path(hydra_config.hydra.runtime.output_dir)
    relative = os.path.relpath(folder, str(hydra_config.hydra.sweep.dir))
    said = conversation.end(folder)
    if job_return.status is not JobStatus.COMPLETED:
        return SegmentResult(duration_s, failure=_failure(folder, job_return._return_value), folder=relative)
    try:
        value = float(job_return.return_value)
    except (TypeError, ValueError):
        failure = f"the objective returned {_short(job_return.return_value)}; it must return a number"
        return SegmentResult(duration_s, failure=failure, folder=relative)
    if said is None:
        return SegmentResult(duration_s, value, folder=relative)
    heeds_target = said.knows_target or said.was_ended_at_target
    return SegmentResult(duration_s, value, folder=relative, first_epoch=said.first_epoch, heeds_target=heeds_target)


def _failure(folder: Path, error: Any) -> str:
    """The traceback that the job left in its folder, since one that comes back from another process is cut short."""
    file = folder / job_folder.FAILURE
    if file.is_file():
        return file.read_text(encoding="utf-8")
    return "".join(traceback.format_exception(error))


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:97]}..."
