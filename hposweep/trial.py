"""What passes between the rooms: trials, their states, segments and the results of segments."""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable
from dataclasses import dataclass

from hposweep.failure import line_of_text
from hposweep.search_space import Configuration
from hposweep.shown_text import visible


class TrialState(enum.StrEnum):
    """Where a trial stands."""

    RUNNING = "RUNNING"
    PAUSED = "PAUSED"  # waits at a rung
    COMPLETE = "COMPLETE"  # has used its full budget
    STOPPED = "STOPPED"  # by the scheduler
    DIVERGED = "DIVERGED"  # its value is NaN or infinite: a result, the worst
    FAILED = "FAILED"
    TIMED_OUT = "TIMED_OUT"
    INTERRUPTED = "INTERRUPTED"  # its segment was cut off with the sweep; it can go on

    @property
    def is_ended(self) -> bool:
        """Whether the trial gets no more segments."""
        return self not in (TrialState.RUNNING, TrialState.PAUSED, TrialState.INTERRUPTED)


class Direction(enum.StrEnum):
    """Which values of the metric are the better ones."""

    minimize = "minimize"
    maximize = "maximize"

    def loss(self, value: float) -> float:
        """The value as something to make small; what is no number is the worst."""
        if not math.isfinite(value):
            return math.inf
        return value if self is Direction.minimize else -value


@dataclass(frozen=True)
class Trial:
    """One configuration, and what has become of it."""

    number: int  # from 0; Hydra's job number
    configuration: Configuration
    seed: int
    state: TrialState = TrialState.RUNNING
    epoch: int | None = 0  # where its last segment ended; None where that segment went to the end of an unknown budget
    value: float | None = None  # of the metric, at that epoch
    target_epoch: int | None = None  # of the current segment or the last one
    attempts: int = 0  # jobs that were started for that segment
    n_jobs: int = 0  # jobs that were started for all of its segments
    deaths: int = 0  # of workers that ran it
    started_at: str = ""  # ISO 8601, UTC
    duration_s: float = 0.0  # running seconds of all its segments
    failure: str = ""  # the traceback or reason
    exception: str = ""  # its type and the first line of its message; empty where `failure` has to tell
    folder: str = ""  # of its Hydra jobs, relative to the sweep's
    repeats: int | None = None  # the first trial with its configuration, which it has under another seed
    confirms: bool = False  # whether it repeats one that was among the best when all others had ended

    @property
    def first(self) -> int:
        """The number of the first trial with its configuration: its own where it repeats none."""
        return self.number if self.repeats is None else self.repeats

    @property
    def job_id(self) -> str:
        """Names the job that was started last, like no other job of the sweep."""
        return f"{self.number}_{self.n_jobs}"

    @property
    def failure_line(self) -> str:
        """The failure in one line, which can be shown anywhere: what failures are compared by."""
        return visible(self.exception) or line_of_text(self.failure)


@dataclass(frozen=True)
class Expected:
    """What a searcher's model says of the metric of a configuration, before it is tried.

    Raises:
        ValueError: if a number is not finite, or the median lies outside of the interval.
    """

    median: float
    low: float  # ends of the interval that holds the value with 95% probability
    high: float
    epoch: int | None = None  # at which; None: at the trial's end, where no scheduler cuts trials into segments

    def __post_init__(self) -> None:
        if not -math.inf < self.low <= self.median <= self.high < math.inf:
            raise ValueError(f"{self} is no median inside of an interval")

    def negative(self) -> Expected:
        """The same of the negative metric."""
        return Expected(-self.median, -self.high, -self.low, self.epoch)


WITH_A_LOSS = (TrialState.PAUSED, TrialState.COMPLETE, TrialState.STOPPED)


def loss_of(trial: Trial, direction: Direction) -> float:
    """The loss of a trial at the end of a segment; infinity for a failure."""
    if trial.state not in WITH_A_LOSS or trial.value is None:
        return math.inf
    return direction.loss(trial.value)


@dataclass(frozen=True)
class Segment:
    """One Hydra job of a trial: trains it from one epoch to another, then ends with a checkpoint."""

    trial: int  # number of the trial
    start_epoch: int  # epochs that it has trained; 0 for a new trial
    target_epoch: int | None  # epochs that it will have trained; None: all that the objective trains by itself


@dataclass(frozen=True)
class StartTrial:
    """A scheduler's wish: the first segment of a new trial."""

    target_epoch: int | None  # None: all that the objective trains by itself


@dataclass(frozen=True)
class ResumeTrial:
    """A scheduler's wish: the next segment of a trial that waits at a rung."""

    trial: int  # its number
    target_epoch: int


class SegmentEnd(enum.StrEnum):
    """How a segment's job ended."""

    RETURNED = "RETURNED"  # by itself: with a value, or with an exception
    DIED = "DIED"  # its worker process was killed, crashed or exited
    LOST = "LOST"  # with its machine, by preemption, or because it never began: nothing that the trial did
    TIMED_OUT = "TIMED_OUT"
    CUT_OFF = "CUT_OFF"  # by the controller, which stops
    UNWRITABLE = "UNWRITABLE"  # a file of ours can't be written: nothing that the trial did, and the sweep stops


@dataclass(frozen=True)
class SegmentResult:
    """The result of a segment: a value, or why there is none."""

    duration_s: float
    value: float | None = None
    failure: str = ""  # the traceback of the exception, or the reason
    exception: str = ""  # its type and the first line of its message, where it was caught; empty for a reason
    folder: str = ""  # of the job, relative to the sweep's
    end: SegmentEnd = SegmentEnd.RETURNED
    first_epoch: int | None = None  # the first epoch that the job reported; None: it reported none, or nobody knows
    heeds_target: bool | None = None  # whether the objective asked for its target epoch, or was ended there
    place: str = ""  # where the job ran: "node7", "gpu 0", "node7, gpu 0"; empty on the one machine without devices


def best(trials: Iterable[Trial], direction: Direction, *states: TrialState) -> Trial | None:
    """The best trial among those in one of the states that have a value."""
    ranked = [
        (direction.loss(trial.value), trial.number, trial)
        for trial in trials
        if trial.state in states and trial.value is not None
    ]
    return min(ranked)[2] if ranked else None
