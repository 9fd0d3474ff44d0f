"""What surrounds an objective in every job: where its output goes, what is left of a failure, what its value means."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hposweep.job import running
from hposweep.job.report import start_clock
from hposweep.job.running import Conversation
from hposweep.sweep_folder import file_names
from hposweep.trial import SegmentResult

log = logging.getLogger(__name__)


class JobExitError(Exception):
    """The job raised what would end the process: a failure of its trial, and of nothing else."""


def run_in(folder: Path, objective: Callable[[], Any], knows_target: bool) -> Any:
    """Runs the objective with what it prints in `output.txt` and why it failed in `failure.txt` and the log.

    Args:
        knows_target: whether the objective is told its target epoch without asking.

    Returns:
        What the objective returns, or the value with which it was ended at its target epoch.

    Raises:
        JobExitError: for `sys.exit` and whatever else would end the process.
    """
    (folder / file_names.FAILURE).unlink(missing_ok=True)
    start_clock(folder)
    running.begin(folder, knows_target)
    with output_to(folder / file_names.OUTPUT):
        try:
            return objective()
        except running.TargetReached as reached:
            return reached.value
        except Exception:
            _leave_note(folder)
            raise
        except SystemExit as error:
            _leave_note(folder)
            raise JobExitError(f"sys.exit({error.code!r})") from error
        except BaseException as error:
            if multiprocessing.parent_process() is None:
                raise  # Ctrl-C
            _leave_note(folder)
            raise JobExitError(f"{type(error).__name__}: {error}") from error


def _leave_note(folder: Path) -> None:
    text = traceback.format_exc()
    (folder / file_names.FAILURE).write_text(text, encoding="utf-8")
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


def returned(value: Any, said: Conversation | None, duration_s: float, folder: str) -> SegmentResult:
    """What came of a job whose objective returned; `folder` is relative to the sweep's."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        failure = f"the objective returned {_short(value)}; it must return a number"
        return SegmentResult(duration_s, failure=failure, folder=folder)
    if said is None:
        return SegmentResult(duration_s, number, folder=folder)
    heeds_target = said.knows_target or said.was_ended_at_target
    return SegmentResult(duration_s, number, folder=folder, first_epoch=said.first_epoch, heeds_target=heeds_target)


def failed(job_dir: Path, error: Any, duration_s: float, folder: str) -> SegmentResult:
    """What came of a job that raised. The traceback that it left in its folder tells more than one that was passed on
    from another process."""
    file = job_dir / file_names.FAILURE
    text = file.read_text(encoding="utf-8") if file.is_file() else "".join(traceback.format_exception(error))
    return SegmentResult(duration_s, failure=text, folder=folder)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:97]}..."
