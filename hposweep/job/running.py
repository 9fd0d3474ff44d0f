"""The job that this process runs: what `hposweep.report` and its like know of it and do in it."""

from __future__ import annotations

import contextlib
import operator
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from hposweep.sweep_folder.learning_curve import CurveWriter
from hposweep.sweep_folder.trial_files import TrialFiles


class TargetReached(BaseException):  # no error, and not to be caught as one
    """Ends a job at its target epoch, for an objective that would train on."""

    def __init__(self, value: float) -> None:
        super().__init__(value)
        self.value = value


class RunningJob:
    """A job while it runs: its files, how far it is to train, what its objective has asked for and reported.

        with running(RunningJob(TrialFiles(folder, "."), metric="error")):
            objective()

    Args:
        files: of the job's trial; their folder is made.
        metric: the name of the value that the objective reports.
        target_epoch: where the job is to end; None: where the objective ends by itself.
        knows_target: whether the objective is told its target epoch without asking.
    """

    def __init__(
        self,
        files: TrialFiles,
        metric: str,
        target_epoch: int | None = None,
        *,
        knows_target: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        files.make_folder()
        self.files, self.metric, self.knows_target = files, metric, knows_target
        self.first_epoch: int | None = None  # first epoch that the job reported
        self.was_ended_at_target = False
        self._target_epoch, self._clock = target_epoch, clock
        self._curve = CurveWriter(files.learning_curve)
        self._reported_at = clock()  # or began

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
        seconds = now - self._reported_at
        self._curve.write({"epoch": epoch, **others, self.metric: float(value), "seconds": seconds})
        self._reported_at = now
        if self.first_epoch is None:
            self.first_epoch = epoch
        if self._target_epoch is None or self.knows_target or epoch < self._target_epoch:
            return
        self.was_ended_at_target = True
        raise TargetReached(float(value))

    def target_epoch(self, default: int) -> int:
        """As `hposweep.target_epoch`."""
        self.knows_target = True
        return default if self._target_epoch is None else self._target_epoch

    def checkpoint_dir(self) -> Path:
        """As `hposweep.checkpoint_dir`."""
        self.files.checkpoint_dir.mkdir(exist_ok=True)
        return self.files.checkpoint_dir


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
