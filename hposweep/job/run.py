"""What surrounds an objective in every job: its output, the note of a failure, the result from its value."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import numbers
import os
import pickle
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cloudpickle

from hposweep.errors import OF_THE_DISK, WriteError, object_text, type_text
from hposweep.failure import line_of_exception
from hposweep.job.running import EndsSoon, GivenUp, RunningJob, TargetReached, running
from hposweep.job.seeding import seed_global_states
from hposweep.sweep_folder.files import done_without, write_atomically, writing
from hposweep.sweep_folder.trial_files import TrialFiles
from hposweep.trial import SegmentEnd, SegmentResult
from hposweep.workers.local import main_module, process_state

log = logging.getLogger(__name__)


class JobExitError(Exception):
    """The job raised what would end the process; only its trial fails."""


class NoNumberError(Exception):
    """The objective returned something that is no number; the message is one line."""


class JobLostError(Exception):
    """The job ends through nothing that its trial did; the message is one line.

    Attributes:
        first_epoch: the first epoch that it reported; None: it reported none.
    """

    def __init__(self, message: str, first_epoch: int | None = None) -> None:
        super().__init__(message, first_epoch)
        self.first_epoch = first_epoch

    def __str__(self) -> str:
        return str(self.args[0])


class StandInError(Exception):
    """Stands for an exception that can't be handed over to another process: what it is called, and its traceback."""

    def __init__(self, line: str, text: str) -> None:
        super().__init__(line, text)
        self.line = line

    def __str__(self) -> str:
        return str(self.args[1])


def run(job: RunningJob, objective: Callable[[], Any], seed: int) -> Any:
    """Runs the objective as this job, with what it prints and why it failed in the files of its trial.

    Args:
        seed: of the trial; the global states of random number generators, and the generators that came with the
            program, start from it.

    Returns:
        What the objective returns, or the value with which it was ended at its target epoch.

    Raises:
        JobExitError: for `sys.exit` and whatever else would end the process.
        JobLostError: if another job runs the trial by now, or the job was told to end.
        WriteError: if a file of the trial can't be written, whatever the objective has made of that.
    """
    try:
        with told_as_lost(job):
            with job.writing_files(), done_without(), writing(job.files.failure):
                job.files.failure.unlink(missing_ok=True)
            job.seed = seed
            seed_global_states(seed)
            main_module.reseed(seed)
            with running(job), output_to(job.files.output):
                value = _called(job, objective)
        if job.write_error is not None:
            raise job.write_error
        return value
    finally:
        job.end()


@contextlib.contextmanager
def told_as_lost(job: RunningJob | None = None) -> Iterator[None]:
    """Within it a job begins or runs, and may end since another one runs its trial, or since it was told to end.

    Args:
        job: None where it has yet to begin.

    Raises:
        JobLostError: if it ends so.
    """
    try:
        yield
    except (GivenUp, EndsSoon) as ended:
        reason = f"{ended}" if isinstance(ended, GivenUp) else "it was told to end"
        raise JobLostError(reason, None if job is None else job.first_epoch) from None


def _called(job: RunningJob, objective: Callable[[], Any]) -> Any:
    try:
        with _objectives_own_time():
            return objective()
    except TargetReached as reached:
        return reached.value
    except (GivenUp, EndsSoon):
        raise
    except Exception as error:
        unwritable = _write_error(job, error)
        if unwritable is not None:
            raise unwritable from error
        _leave_note(job)
        raise
    except SystemExit as error:
        _leave_note(job)
        raise JobExitError(f"sys.exit({error.code!r})") from error
    except BaseException as error:
        if multiprocessing.parent_process() is None:
            raise  # Ctrl-C
        _leave_note(job)
        raise JobExitError(f"{type(error).__name__}: {error}") from error


def _write_error(job: RunningJob, error: Exception) -> WriteError | None:
    """The error as that of a file of ours, whatever the objective has made of it; None where it is the objective's."""
    if job.write_error is not None:
        return job.write_error
    if isinstance(error, WriteError):
        return error
    if isinstance(error, OSError) and error.errno in OF_THE_DISK and error.filename is None:
        # It may have printed: what it prints goes into a file of ours, of which it knows nothing.
        return _why_full(job.files.output)
    return None


def _why_full(path: Path) -> WriteError | None:
    """Why the file can't grow; None where it can."""
    try:
        with writing(path), open(path, "ab", buffering=0) as file:
            size = file.seek(0, os.SEEK_END)
            file.write(b"\n")
            file.truncate(size)
    except WriteError as error:
        return error
    return None


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


def _leave_note(job: RunningJob) -> None:
    # What can't be encoded is escaped: no log could be written.
    text = traceback.format_exc().encode(errors="backslashreplace").decode()
    log.error("the job failed\n%s", text)
    with job.writing_files(), done_without():
        write_atomically(job.files.failure, text, durable=False)


@contextlib.contextmanager
def output_to(path: Path) -> Iterator[None]:
    """Sends what the process prints, libraries in C included, to the end of a file.

    Raises:
        WriteError: if the file doesn't take it.
    """
    _flush()
    saved = [(descriptor, os.dup(descriptor)) for descriptor in (1, 2) if _is_open(descriptor)]
    output = _opened(path)
    os.dup2(output, 1)
    os.dup2(output, 2)
    if output > 2:
        os.close(output)
    try:
        yield
    finally:
        unwritable = None if _flush() else _why_full(path)
        for descriptor, copy in saved:
            with contextlib.suppress(OSError):  # the objective has closed what it had not opened
                os.dup2(copy, descriptor)
                os.close(copy)
        if unwritable is not None:
            raise unwritable


def _opened(path: Path) -> int:
    """A descriptor for the end of the file; where something else stands in its place, what is written is lost."""
    with done_without(), writing(path):
        return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
    return os.open(os.devnull, os.O_WRONLY)


def _flush() -> bool:
    """Flushes the standard streams, as far as the program has left them open; whether the system has taken it all."""
    is_taken = True
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError as error:
            is_taken &= error.errno not in OF_THE_DISK
        except (AttributeError, ValueError):  # None, another object, closed, or on a descriptor that is gone
            continue
    return is_taken


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
        return StandInError(line_of_exception(error), "".join(traceback.format_exception(error)))
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
    if isinstance(error, WriteError):
        return SegmentResult(duration_s, failure=f"{error}", folder=folder, end=SegmentEnd.UNWRITABLE)
    if isinstance(error, JobLostError):
        return SegmentResult(
            duration_s, failure=f"{error}", folder=folder, end=SegmentEnd.LOST, first_epoch=error.first_epoch
        )
    try:
        text = "" if files is None else files.failure.read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    text = text or "".join(traceback.format_exception(error))
    if isinstance(error, JobExitError) and error.__cause__ is not None:
        error = error.__cause__
    line = error.line if isinstance(error, StandInError) else line_of_exception(error)
    return SegmentResult(duration_s, failure=text, exception=line, folder=folder)


def _short(value: Any) -> str:
    """The value in one short line, whatever its own methods raise."""
    try:
        text = object_text(value)
    except BaseException as error:
        _raise_if_ctrl_c(error)
        text = type_text(value)
    return text if len(text) <= 100 else f"{text[:97]}..."


def _raise_if_ctrl_c(error: BaseException) -> None:
    """In a worker KeyboardInterrupt is the objective's own: Ctrl-C reaches the controller alone."""
    if isinstance(error, KeyboardInterrupt) and multiprocessing.parent_process() is None:
        raise error
