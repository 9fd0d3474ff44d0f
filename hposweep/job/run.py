"""What surrounds an objective in every job: its output, the note of a failure, the result from its value."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import numbers
import os
import pickle
import re
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cloudpickle

from hposweep.failure import line_of_exception
from hposweep.job.running import RunningJob, TargetReached, running
from hposweep.job.seeding import seed_global_states
from hposweep.sweep_folder.trial_files import TrialFiles
from hposweep.trial import SegmentResult
from hposweep.workers.local import main_module, process_state

log = logging.getLogger(__name__)


class JobExitError(Exception):
    """The job raised what would end the process; only its trial fails."""


class NoNumberError(Exception):
    """The objective returned something that is no number; the message is one line."""


class StandInError(Exception):
    """Stands for an exception that can't be handed over to another process, and tells its traceback."""


def run(job: RunningJob, objective: Callable[[], Any], seed: int) -> Any:
    """Runs the objective as this job, with what it prints and why it failed in the files of its trial.

    Args:
        seed: of the trial; the global states of random number generators, and the generators that came with the
            program, start from it.

    Returns:
        What the objective returns, or the value with which it was ended at its target epoch.

    Raises:
        JobExitError: for `sys.exit` and whatever else would end the process.
    """
    job.files.failure.unlink(missing_ok=True)
    seed_global_states(seed)
    main_module.reseed(seed)
    with running(job), output_to(job.files.output):
        try:
            with _objectives_own_time():
                return objective()
        except TargetReached as reached:
            return reached.value
        except Exception:
            _leave_note(job.files)
            raise
        except SystemExit as error:
            _leave_note(job.files)
            raise JobExitError(f"sys.exit({error.code!r})") from error
        except BaseException as error:
            if multiprocessing.parent_process() is None:
                raise  # Ctrl-C
            _leave_note(job.files)
            raise JobExitError(f"{type(error).__name__}: {error}") from error


@contextlib.contextmanager
def _objectives_own_time() -> Iterator[None]:
    """When it is over, the process is the one that it was, and fit for our own writing."""
    itself = os.getpid()
    try:
        yield
    finally:
        if os.getpid() != itself:  # the objective has forked a process, which has come back as if it were the job
            _flush()
            os._exit(0)
        process_state.put_right_for_our_writing()


def _leave_note(files: TrialFiles) -> None:
    # What can't be encoded is escaped: no log could be written.
    text = traceback.format_exc().encode(errors="backslashreplace").decode()
    files.failure.write_text(text, encoding="utf-8")
    log.error("the job failed\n%s", text)


@contextlib.contextmanager
def output_to(path: Path) -> Iterator[None]:
    """Sends what the process prints, libraries in C included, to the end of a file."""
    _flush()
    saved = [(descriptor, os.dup(descriptor)) for descriptor in (1, 2) if _is_open(descriptor)]
    with open(path, "ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        _flush()
        for descriptor, copy in saved:
            with contextlib.suppress(OSError):  # the objective has closed what it had not opened
                os.dup2(copy, descriptor)
                os.close(copy)


def _flush() -> None:
    """Flushes the standard streams, as far as the program has left them open."""
    for stream in (sys.stdout, sys.stderr):
        # None, another object, closed, or on a descriptor that is gone.
        with contextlib.suppress(AttributeError, ValueError, OSError):
            stream.flush()


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def returned(value: Any, job: RunningJob | None, duration_s: float, folder: str) -> SegmentResult:
    """The segment's result, from the objective's return value.

    Args:
        job: None where it ran in another process, and nobody knows what its objective asked for.
        folder: relative to the sweep's.
    """
    try:
        number = as_number(value)
    except NoNumberError as error:
        return SegmentResult(duration_s, failure=f"{error}", folder=folder)
    if job is None:
        return SegmentResult(duration_s, number, folder=folder)
    return SegmentResult(duration_s, number, folder=folder, first_epoch=job.first_epoch, heeds_target=job.heeds_target)


def as_number(value: Any) -> float:
    """The number that the objective returned, as a plain one.

    Raises:
        NoNumberError: if it can't be one, whatever its own methods raise.
    """
    try:
        if not _is_complex(value):  # NumPy's would drop their imaginary part
            return float(value)
    except BaseException as error:
        _raise_if_ctrl_c(error)
    raise NoNumberError(f"the objective returned {_short(value)}; it must return a number")


def portable(error: Exception) -> Exception:
    """The exception or, where it can't be pickled and read again, one that stands for it."""
    try:
        pickle.loads(cloudpickle.dumps(error))  # noqa: S301 (from the same line)
    except Exception:
        return StandInError("".join(traceback.format_exception(error)))
    return error


def _is_complex(value: Any) -> bool:
    if isinstance(value, numbers.Complex):
        return not isinstance(value, numbers.Real)
    return getattr(getattr(value, "dtype", None), "kind", "") == "c"


def failed(files: TrialFiles | None, error: Any, duration_s: float, folder: str) -> SegmentResult:
    """The segment's result, of a job that raised this error.

    The traceback that it left among its files tells more than one that was passed on from another process.
    """
    if isinstance(error, NoNumberError):
        return SegmentResult(duration_s, failure=f"{error}", folder=folder)
    if files is not None and files.failure.is_file():
        text = files.failure.read_text(encoding="utf-8", errors="replace")
    else:
        text = "".join(traceback.format_exception(error))
    if isinstance(error, JobExitError) and error.__cause__ is not None:
        error = error.__cause__
    return SegmentResult(duration_s, failure=text, exception=line_of_exception(error), folder=folder)


def _short(value: Any) -> str:
    """The value in one short line, whatever its own methods raise."""
    try:
        text = repr(value)
    except BaseException as error:
        _raise_if_ctrl_c(error)
        text = f"<{type(value).__module__}.{type(value).__qualname__} object>"
    # Addresses would tell apart what is alike.
    text = " ".join(re.sub(" at 0x[0-9a-f]+", "", text).split())
    text = text.encode(errors="backslashreplace").decode()
    return text if len(text) <= 100 else f"{text[:97]}..."


def _raise_if_ctrl_c(error: BaseException) -> None:
    """In a worker KeyboardInterrupt is the objective's own: Ctrl-C reaches the controller alone."""
    if isinstance(error, KeyboardInterrupt) and multiprocessing.parent_process() is None:
        raise error
