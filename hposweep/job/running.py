"""The job that this process runs: what `hposweep.report` and its like know of it and do in it."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import operator
import os
import platform
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from hposweep.errors import TakenError, WriteError
from hposweep.sweep_folder.files import done_without, read_file, warn_once, write_atomically, writing
from hposweep.sweep_folder.learning_curve import CurveWriter
from hposweep.sweep_folder.trial_files import OF_A_NUMBERED_JOB, TrialFiles

ANOTHER_FILE = (0, 0)  # what no file's number and time are


class TargetReached(BaseException):  # no error, and not to be caught as one
    """Ends a job at its target epoch, for an objective that would train on."""

    def __init__(self, value: float) -> None:
        super().__init__(value)
        self.value = value


class GivenUp(BaseException):  # no error, and not to be caught as one
    """Ends a job whose trial another job runs by now: it was taken for dead, and has woken up or begun late."""


class EndsSoon(BaseException):  # no error, and not to be caught as one
    """Ends a job that was told to end, once its objective has saved what the next one goes on from."""


class RunningJob:
    """A job while it runs: its files, how far it is to train, what its objective has asked for and reported.

    It is the one job that may write the trial's files, from its beginning until a later one of the trial begins, or the
    same one once more: an engine starts a job again whose machine it has lost. What a sweep has numbered counts by its
    number; what it has not, by when it began. Whoever is too late is given up at its next write, and at its beginning.

    The mark is looked at before each write. Beyond that are a write that was under way just then, what the objective
    itself writes, and what it prints: output.txt is opened once.

        with running(RunningJob(TrialFiles(folder, "."), metric="error")):
            objective()

    Args:
        files: of the job's trial; their folder is made. Where something else stands in its place, they stand in a
            temporary one, until the job's end.
        metric: the name of the value that the objective reports.
        target_epoch: where the job is to end; None: where the objective ends by itself.
        knows_target: whether the objective is told its target epoch without asking.
        job_id: `Trial.job_id` of the trial's job; empty where no sweep has numbered it.

    Raises:
        GivenUp: if a later job of the trial has begun already; nothing is written then.
    """

    def __init__(
        self,
        files: TrialFiles,
        metric: str,
        target_epoch: int | None = None,
        *,
        knows_target: bool = False,
        job_id: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._job_id = job_id
        self._stands_in: tempfile.TemporaryDirectory[str] | None = None
        self.files, self.metric, self.knows_target = self._made(files), metric, knows_target
        check_is_latest(self.files, job_id)
        self.write_error: WriteError | None = None  # the objective may have caught it
        self.first_epoch: int | None = None  # first epoch that the job reported
        self.was_ended_at_target = False
        self.seed: int | None = None  # of the trial; None where nobody has given it one
        self._target_epoch, self._clock = target_epoch, clock
        self._last_epoch = target_epoch if knows_target else None  # of the objective's loop; None: nobody knows
        self._is_told_to_end = False
        self._curve = CurveWriter(self.files.learning_curve)
        self._reported_at = clock()  # or began
        self._mark_as_own()
        with contextlib.suppress(OSError):  # of a former job
            self.files.end_notice.unlink()

    @property
    def heeds_target(self) -> bool:
        """Whether the objective trains to the target epoch: it knows it, or was ended there."""
        return self.knows_target or self.was_ended_at_target

    def report(self, epoch: int, value: float, **metrics: float) -> None:
        """As `hposweep.report`."""
        try:
            epoch = operator.index(epoch)
        except TypeError:
            raise ValueError(f"epoch must be a whole number, got {epoch!r}") from None
        if epoch < 1:
            raise ValueError(f"epoch counts from 1, got {epoch}")
        now = self._clock()
        others = {name: float(number) for name, number in metrics.items()}
        row = {"epoch": epoch, **others, self.metric: float(value), "seconds": now - self._reported_at}
        with self.writing_files():
            self._curve.write(row)
        self._reported_at = now
        if self.first_epoch is None:
            self.first_epoch = epoch
        if self._target_epoch is not None and not self.knows_target and epoch >= self._target_epoch:
            self.was_ended_at_target = True
            raise TargetReached(float(value))
        # At its last epoch it returns by itself, with its value.
        if self._is_told_to_end and (self._last_epoch is None or epoch < self._last_epoch):
            raise EndsSoon

    def target_epoch(self, default: int) -> int:
        """As `hposweep.target_epoch`."""
        self.knows_target = True
        self._last_epoch = default if self._target_epoch is None else self._target_epoch
        return self._last_epoch

    def ends_soon(self) -> bool:
        """As `hposweep.ends_soon`."""
        self._is_told_to_end = self._is_told_to_end or self.files.end_notice.exists()
        return self._is_told_to_end

    def checkpoint_dir(self) -> Path:
        """As `hposweep.checkpoint_dir`."""
        with self.writing_files():
            try:
                with writing(self.files.checkpoint_dir):
                    self.files.checkpoint_dir.mkdir(exist_ok=True)
            except TakenError as error:
                folder = self._stand_in(error) / self.files.checkpoint_dir.name
                folder.mkdir(exist_ok=True)
                return folder
        return self.files.checkpoint_dir

    @contextlib.contextmanager
    def writing_files(self) -> Iterator[None]:
        """Within it files of the trial are written.

        Raises:
            GivenUp: if another job runs the trial by now; nothing is written then.
            WriteError: if they can't be written.
        """
        try:
            self._check_is_own()
            yield
        except WriteError as error:
            self.write_error = error
            raise

    def measured_by(self, metric: str) -> RunningJob:
        """The same job, with another name for the value that its objective reports."""
        job = copy.copy(self)
        job.metric = metric
        return job

    def end(self) -> None:
        """The job is over."""
        if self._stands_in is not None:
            self._stands_in.cleanup()

    def _made(self, files: TrialFiles) -> TrialFiles:
        try:
            files.make_folder()
        except TakenError as error:
            return dataclasses.replace(files, elsewhere=self._stand_in(error))
        return files

    def _stand_in(self, error: TakenError) -> Path:
        """A folder that lasts as long as the job."""
        if self._stands_in is None:
            warn_once(f"{error}; what hposweep would keep there lasts as long as the job")
            with writing(Path(tempfile.gettempdir())):
                self._stands_in = tempfile.TemporaryDirectory(prefix="hposweep-")
        return Path(self._stands_in.name)

    def _mark_as_own(self) -> None:
        number = f"job {self._job_id}, " if self._job_id else ""
        self._mark = f"{secrets.token_hex(8)}, {number}process {os.getpid()} on {platform.node()}\n"
        self._mark_stat: tuple[int, int] | None = None
        with done_without():
            write_atomically(self.files.job_mark, self._mark, durable=False)
            with writing(self.files.job_mark):
                found, text = _looked_at(self.files.job_mark, None)
                self._mark_stat = found if text == self._mark else ANOTHER_FILE
        # From here on no other job of the trial writes.
        self.files.remove_temporaries()

    def _check_is_own(self) -> None:
        if self._mark_stat is None:
            return
        path = self.files.job_mark
        with writing(path):
            try:
                found, text = _looked_at(path, self._mark_stat)
            except FileNotFoundError:  # the objective has cleared its folder
                for folder in (self.files.job_dir, self.files.folder):
                    folder.mkdir(exist_ok=True)
                self._mark_as_own()
                return
        if text is None or text == self._mark:
            self._mark_stat = found
        elif self._job_id and _n_job(text, self._job_id) < _n_job_of(self._job_id):
            # An earlier job has marked the folder after us: it had begun when we did, or found no mark.
            self._mark_as_own()
        else:
            raise given_up(path)


def check_is_latest(files: TrialFiles, job_id: str) -> None:
    """Looks whether a later job of the trial has begun, for a job that is about to begin.

    Raises:
        GivenUp: if one has.
    """
    if not job_id:
        return
    try:
        text = read_file(files.job_mark).decode(errors="replace")
    except OSError:  # the first job, or one whose files stand elsewhere
        return
    if _n_job(text, job_id) > _n_job_of(job_id):
        raise given_up(files.job_mark)


def given_up(mark: Path) -> GivenUp:
    """What ends a job of a trial that another one has marked as its own."""
    return GivenUp(f"{mark}: another job runs the trial by now")


def _n_job(mark: str, job_id: str) -> int:
    """Which job of this one's trial has written the mark; 0: another trial's, or one that is not numbered."""
    found = OF_A_NUMBERED_JOB.match(mark)
    return int(found[2]) if found and found[1] == job_id.partition("_")[0] else 0


def _n_job_of(job_id: str) -> int:
    return int(job_id.partition("_")[2])


def _looked_at(path: Path, known: tuple[int, int] | None) -> tuple[tuple[int, int], str | None]:
    """What a file that takes its place has not, and its text; None for that where the file is the one that is known."""
    # Opened: on a network file system `stat` alone may tell what was there seconds ago.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        found = os.fstat(descriptor)
        identity = found.st_ino, found.st_mtime_ns
        text = None if identity == known else os.read(descriptor, found.st_size).decode(errors="replace")
    finally:
        os.close(descriptor)
    return identity, text


_current: RunningJob | None = None
# Whether the current job was given to `running`; else it is the one that Hydra runs, and lasts until Hydra's next one.
_is_given = False


@contextlib.contextmanager
def running(job: RunningJob) -> Iterator[RunningJob]:
    """Makes this the job that the process runs."""
    global _current, _is_given
    before = _current, _is_given
    _current, _is_given = job, True
    try:
        yield job
    finally:
        _current, _is_given = before


def job_or_none() -> RunningJob | None:
    """The job that this process runs; None in a script or a notebook that runs by itself."""
    try:
        return current_job()
    except ValueError:
        return None


def current_job() -> RunningJob:
    """The job that this process runs.

    Raises:
        ValueError: if it runs none.
    """
    global _current
    if _current is not None and _is_given:
        return _current
    # A Hydra job that no sweep of ours runs. It has imported this long ago.
    from hydra.core.hydra_config import HydraConfig

    config = HydraConfig.get()
    folder = Path(config.runtime.output_dir)
    if _current is None or _current.files.job_dir != folder:
        metric, target = config.sweeper.get("metric", "value"), config.sweeper.get("target_epoch")
        _current = RunningJob(TrialFiles(folder, "."), str(metric), None if target is None else int(target))
    return _current
