"""The events of a sweep, and the state that they add up to.

An event is a decision of the tuner or something that it observed. What a sweep knows is what `History.apply` makes of
its events, live and after a restart alike.
"""

from __future__ import annotations

import datetime
import enum
import os
import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hposweep.repetitions import Repetitions
from hposweep.search_space import Configuration
from hposweep.trial import WITH_A_LOSS, Direction, Expected, Trial, TrialState, best, loss_of

SCHEMA = 2  # of the journal

# A job that ended so left no value: one from a rung before it is not the value of the failure.
WITHOUT_A_VALUE = (TrialState.FAILED, TrialState.TIMED_OUT)


def now() -> str:
    """The time of day, ISO 8601, UTC."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")


class Ending(enum.StrEnum):
    """Why a run of a sweep ended."""

    COMPLETE = "complete"  # nothing is left to run
    INTERRUPTED = "interrupted"  # its user stopped it
    TIME_BUDGET = "time_budget"
    FAILURE_RATE = "failure_rate"  # more trials failed than max_failure_rate allows
    ALIKE_FAILURES = "alike_failures"  # the first trials all failed alike
    TARGET_UNHEEDED = "target_unheeded"  # the scheduler compares epochs, and the objective doesn't know them
    UNWRITABLE = "unwritable"  # a file of ours can't be written, and the journal can, again


WORDS = {Ending.TIME_BUDGET: "the time budget is over"}


@dataclass(frozen=True)
class Event:
    """Something that happened to the sweep."""

    time: str = field(default="", kw_only=True)  # ISO 8601, UTC; set when the tuner takes the event in


@dataclass(frozen=True)
class SweepStarted(Event):
    """A controller starts: the first line of the journal, and again at each resume."""

    n_trials: int
    seed: int
    metric: str
    direction: Direction
    controller: str = field(default_factory=lambda: f"process {os.getpid()} on {platform.node()}")
    schema: int = SCHEMA


@dataclass(frozen=True)
class TrialProposed(Event):
    """The searcher proposed a configuration, for a trial that begins with this target."""

    trial: int
    configuration: Configuration
    seed: int
    target_epoch: int | None = None
    repeats: int | None = None  # the first trial with this configuration, which is tried under another seed
    confirms: bool = False  # whether it is since that one was among the best
    expected: Expected | None = None  # by the searcher's model; of the mean, where trials repeat the configuration


@dataclass(frozen=True)
class SegmentStarted(Event):
    """A job is about to be submitted: the trial's `job`-th one, and the segment's `attempt`-th, both from 1.

    Trial and job together name the attempt for good, over all runs of the sweep.
    """

    trial: int
    start_epoch: int
    target_epoch: int | None
    attempt: int
    job: int = 1


@dataclass(frozen=True)
class SegmentDied(Event):
    """The worker under the job died; the segment is started again, or ends as failed."""

    trial: int
    duration_s: float
    failure: str
    place: str = ""  # where the job ran, as in the segment's result


@dataclass(frozen=True)
class SegmentLost(Event):
    """The job was lost through nothing that the trial did; the segment is started again, and nothing is counted."""

    trial: int
    duration_s: float
    failure: str
    place: str = ""  # where the job ran, as in the segment's result


@dataclass(frozen=True)
class SegmentEnded(Event):
    """The job is over; `state` is the trial's from now on, and `epoch` where it stands.

    `values` holds what the objective returned, by the name of the metric; nothing where it returned no number.
    """

    trial: int
    state: TrialState
    epoch: int | None
    values: Mapping[str, float]
    duration_s: float
    failure: str = ""  # the traceback, its middle left out where it is very long, or the reason
    folder: str = ""  # of the job, relative to the sweep's
    exception: str = ""  # its type and the first line of its message; empty in journals of schema 1
    place: str = ""  # where the job ran, as in the segment's result

    @property
    def value(self) -> float | None:
        """The one value; None where there is none."""
        return next(iter(self.values.values()), None)


def values_of(metric: str, value: float | None) -> dict[str, float]:
    """The values of a segment's end, where the objective returned this one; None: it returned no number."""
    return {} if value is None else {metric: value}


@dataclass(frozen=True)
class FinalEnded(Event):
    """The job on the winner that follows the last trial is over; `value` is None where it failed."""

    trial: int
    value: float | None
    failure: str = ""


@dataclass(frozen=True)
class SweepEnded(Event):
    """The controller ends by itself; `detail` is what people are told beside the code."""

    ending: Ending
    detail: str = ""

    @property
    def text(self) -> str:
        """The reason in words."""
        return self.detail or WORDS.get(self.ending, str(self.ending))


@dataclass
class History:
    """The state after the events so far. Each event costs the same, however many trials there are."""

    schema: int | None = None  # with which the sweep began; None before its first event
    n_trials: int = 0
    seed: int = 0
    metric: str = "value"
    direction: Direction = Direction.minimize
    trials: dict[int, Trial] = field(default_factory=dict)
    final: FinalEnded | None = None
    under_way: dict[int, Trial] = field(default_factory=dict)  # those of the trials that run, or were cut off
    n_in_state: dict[TrialState, int] = field(default_factory=lambda: dict.fromkeys(TrialState, 0))
    incumbent: Trial | None = None
    n_failed: int = 0
    ended_trials: list[int] = field(default_factory=list)  # numbers, in the order of the ends
    judged: dict[int, None] = field(default_factory=dict)  # those that came to a rung or ended, in the order of that
    reached: dict[int, int] = field(default_factory=dict)  # how many trials have come to each target epoch
    end: SweepEnded | None = None  # of the last run; None while one is under way, or where it was killed
    repetitions: dict[int, Repetitions] = field(default_factory=dict)  # by the configuration's first trial
    n_repeating: int = 0  # trials that repeat a configuration
    n_confirming: int = 0  # those of them that do after all others

    @property
    def n_ended(self) -> int:
        """Trials that get no more segments."""
        return len(self.ended_trials)

    @property
    def n_done(self) -> int:
        """Trials that have ended, or wait at a rung."""
        return len(self.trials) - len(self.under_way)

    @property
    def is_complete(self) -> bool:
        """Whether the last run ended because nothing was left to run."""
        return self.end is not None and self.end.ending is Ending.COMPLETE

    @property
    def is_final_done(self) -> bool:
        """Whether the winner had its last job already."""
        return self.final is not None and self.incumbent is not None and self.final.trial == self.incumbent.number

    def apply(self, event: Event) -> None:
        """Takes one event in: the only way in which the state of a sweep changes."""
        match event:
            case SweepStarted():
                self.schema = self.schema or event.schema
                self.n_trials, self.seed = event.n_trials, event.seed
                self.metric, self.direction = event.metric, event.direction
                self.end = None
            case TrialProposed():
                self.n_repeating += event.repeats is not None
                self.n_confirming += event.confirms
                self._put(
                    Trial(
                        event.trial,
                        event.configuration,
                        event.seed,
                        target_epoch=event.target_epoch,
                        started_at=event.time,
                        repeats=event.repeats,
                        confirms=event.confirms,
                    )
                )
            case SegmentStarted():
                changes = {"attempts": event.attempt, "n_jobs": event.job, "target_epoch": event.target_epoch}
                self._replace(event.trial, state=TrialState.RUNNING, **changes)
            case SegmentDied():
                trial = self.trials[event.trial]
                duration_s = trial.duration_s + event.duration_s
                self._replace(event.trial, deaths=trial.deaths + 1, duration_s=duration_s)
            case SegmentLost():
                self._replace(event.trial, duration_s=self.trials[event.trial].duration_s + event.duration_s)
            case SegmentEnded():
                self._end_segment(event)
            case FinalEnded():
                self.final = event
            case SweepEnded():
                self.end = event

    def _end_segment(self, event: SegmentEnded) -> None:
        trial = self.trials[event.trial]
        value = event.values.get(self.metric)
        if trial.target_epoch is not None and event.state in WITH_A_LOSS and not trial.confirms:
            self.reached[trial.target_epoch] = self.reached.get(trial.target_epoch, 0) + 1
        if value is None and event.state not in WITHOUT_A_VALUE:
            value = trial.value  # of the rung from which an interrupted trial goes on
        self._replace(
            event.trial,
            state=event.state,
            epoch=event.epoch,
            value=value,
            duration_s=trial.duration_s + event.duration_s,
            failure=event.failure,
            exception=event.exception,
            folder=event.folder or trial.folder,
        )

    def _replace(self, number: int, **changes: Any) -> None:
        # Not `dataclasses.replace`, which takes three times as long: with a thousand workers it is called so often.
        self._put(Trial(**{**vars(self.trials[number]), **changes}))

    def _put(self, trial: Trial) -> None:
        before = self.trials.get(trial.number)
        if before is not None:
            self.n_in_state[before.state] -= 1
        self.n_in_state[trial.state] += 1
        self.trials[trial.number] = trial
        if trial.state in (TrialState.RUNNING, TrialState.INTERRUPTED):
            self.under_way[trial.number] = trial
            return
        self.under_way.pop(trial.number, None)
        self.judged.setdefault(trial.number)
        if not trial.state.is_ended:
            return
        self.ended_trials.append(trial.number)
        self.n_failed += trial.state is TrialState.FAILED
        if trial.state is TrialState.COMPLETE and trial.value is not None:
            self._complete(trial, trial.value)

    def _complete(self, trial: Trial, value: float) -> None:
        found = self.repetitions.setdefault(trial.first, Repetitions())
        (found.confirmations if trial.confirms else found.values)[trial.number] = value
        sign = self.direction.loss(1.0)
        # With another value a configuration never falls behind where it was: only this one can be the new best.
        best = None if self.incumbent is None else self.repetitions_of(self.incumbent)
        if best is None or found is best or found.rank(sign) > best.rank(sign):
            self.incumbent = self.trials[found.first]

    def value_of(self, trial: Trial) -> float | None:
        """What the metric is for a trial's configuration: the mean over its seeds, or what the one trial has."""
        found = self.repetitions_of(trial)
        return found.mean if found.counting and self.n_repeating else trial.value

    def repetitions_of(self, trial: Trial) -> Repetitions:
        """The values of a trial's configuration, over its seeds."""
        return self.repetitions.get(trial.first, Repetitions())


def replay(events: Iterable[Event]) -> History:
    """The history after these events."""
    history = History()
    for event in events:
        history.apply(event)
    return history


def results_of(events: Iterable[Event]) -> tuple[History, list[tuple[Trial, float]]]:
    """The history after these events, and what a searcher was told on the way: each trial's losses at rungs and end."""
    history, told = History(), []
    for event in events:
        history.apply(event)
        if isinstance(event, SegmentEnded) and event.state is not TrialState.INTERRUPTED:
            trial = history.trials[event.trial]
            told.append((trial, loss_of(trial, history.direction)))
    return history, told


def finalists(history: History, n: int) -> list[Trial]:
    """The best complete trials, one a configuration, by what they were before any of them was confirmed."""
    sign = history.direction.loss(1.0)
    found = [each for each in history.repetitions.values() if each.values]
    best = sorted(found, key=lambda each: each.rank_without_confirmations(sign), reverse=True)[:n]
    return [history.trials[min(each.values)] for each in best]


def best_partial(history: History) -> Trial | None:
    """The best trial with a value that has not used its full budget."""
    states = (TrialState.PAUSED, TrialState.STOPPED, TrialState.INTERRUPTED)
    return best(list(history.trials.values()), history.direction, *states)


def count_states(history: History) -> dict[str, int]:
    """How many trials are in each state, the states without a trial left out."""
    return {str(state): n for state, n in history.n_in_state.items() if n}


def states_text(history: History) -> str:
    """The same in words, such as `3 COMPLETE, 1 FAILED`."""
    return ", ".join(f"{n} {state}" for state, n in count_states(history).items()) or "none"


def ranked(history: History) -> list[Trial]:
    """A complete trial of each configuration that has one, the best first, the smaller number where two are equal."""
    sign = history.direction.loss(1.0)
    found = sorted(history.repetitions.values(), key=lambda each: each.rank(sign), reverse=True)
    return [history.trials[each.first] for each in found]
