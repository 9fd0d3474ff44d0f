"""A sweep's folder, read once: history, learning curves, segments, the course of the incumbent."""

from __future__ import annotations

import dataclasses
import datetime
import functools
import heapq
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from hposweep.failure import line_of_text
from hposweep.history import (
    Event,
    History,
    SegmentDied,
    SegmentEnded,
    SegmentLost,
    SegmentStarted,
    SweepStarted,
    TrialProposed,
    replay,
)
from hposweep.results.intervals import wilson_interval
from hposweep.search_space import Choice, Hyperparameter, Value, literal
from hposweep.secret_keys import masked_configuration
from hposweep.shown_text import visible
from hposweep.sweep_folder.journal import read_events
from hposweep.sweep_folder.learning_curve import metrics_of
from hposweep.sweep_folder.sweep_yaml import SweepRecord, readable_record
from hposweep.sweep_folder.tables import TrialTable, n_epochs, trial_table
from hposweep.sweep_folder.trial_files import TrialFiles
from hposweep.trial import WITH_A_LOSS, Expected, Trial, TrialState

DIED = "DIED"  # the end of a segment whose worker died
LOST = "LOST"  # the end of a segment that was lost with its machine
CUT_OFF = "CUT_OFF"  # the end of a segment whose end is not in the journal
LARGEST_NUMBER = 1e300

JobEnd = SegmentDied | SegmentLost | SegmentEnded
# A job's start, when that was and when it ended, in seconds of running time; None: the journal does not tell its end.
Span = tuple[SegmentStarted, float, float, JobEnd | None]


@dataclass(frozen=True)
class Curve:
    """The metric of one trial: after each epoch, or at its rungs where it left no learning curve."""

    epochs: np.ndarray  # shape (n,), from 1
    values: np.ndarray  # shape (n,), may hold NaN


@dataclass(frozen=True)
class RunSegment:
    """One Hydra job of a trial, from its start to its end."""

    trial: int
    job: int  # of the trial, from 1
    start_epoch: int
    target_epoch: int | None
    end_epoch: int | None
    attempt: int  # from 1
    started_at: str  # ISO 8601, UTC
    started_s: float  # of the sweep's running time
    ended_s: float
    duration_s: float | None  # as its worker measured it; None: unknown
    end: str  # the trial's state from then on, DIED, LOST or CUT_OFF; RUNNING where it is known to run
    failure: str  # in one line
    place: str  # where it ran; empty where that is unknown, and on the one machine without devices
    lane: int  # from 0: one of the workers that were busy at once; those of a place lie side by side


@dataclass(frozen=True)
class Compared:
    """A trial's value where it was compared with others: at a rung, or at its end."""

    trial: int
    value: float
    epoch: int | None  # where it was compared; None: unknown
    state: TrialState  # of the trial from then on: PAUSED, STOPPED or COMPLETE
    n_started: int  # trials by then, this one included
    n_epochs: int | None  # that all trials together had trained by then, at the ends of their segments; None: unknown
    seconds: float  # of the sweep's running time


@dataclass(frozen=True)
class CompleteTrial(Compared):
    """A point on the course of the incumbent: a complete trial, at its end."""

    incumbent_value: float  # from then on


@dataclass(frozen=True)
class SweepData:
    """All that a report needs, from the folder alone."""

    name: str
    history: History
    record: SweepRecord | None  # None: there is no sweep.yaml that can be read
    curves: Mapping[int, Curve]
    epochs: Mapping[int, int | None]  # that each trial has trained; None: unknown
    segments: Sequence[RunSegment]
    compared: Sequence[Compared]  # in the order in which they were
    rungs: Sequence[int]  # target epochs, where there are several
    wall_s: float  # the sweep's running time: between a stop and a resume none passes
    n_validation: int | None  # examples behind each value of the metric; None: unknown
    n_test: int | None
    expected: Mapping[int, Expected] = field(default_factory=dict)  # by the searcher's model; few have one
    # All numbers of the learning curves, by trial and column, but for the times.
    reported: Mapping[int, Mapping[str, Curve]] = field(default_factory=dict)
    is_running: bool | None = None  # whether a controller has the sweep now; None: nobody has looked

    @functools.cached_property
    def trials(self) -> list[Trial]:
        return [self.history.trials[number] for number in sorted(self.history.trials)]

    @functools.cached_property
    def keys(self) -> list[str]:
        """All hyperparameters, in the order of the first configurations that have them."""
        return list(dict.fromkeys(key for trial in self.trials for key in trial.configuration))

    @functools.cached_property
    def varying_keys(self) -> list[str]:
        """The hyperparameters that have more than one value in this sweep, each after the choice that brings it."""
        trials = self.trials
        varying = [key for key in self.keys if len({_identity(trial, key) for trial in trials}) > 1]
        recorded = [] if self.record is None else [dimension.key for dimension in self.record.dimensions]
        place = {key: i for i, key in reversed([*enumerate(recorded)])}
        return sorted(varying, key=lambda key: place.get(key, len(recorded)))

    @functools.cached_property
    def table(self) -> TrialTable:
        """The table of all trials."""
        return trial_table(self.trials, self.history, self.n_epochs)

    @functools.cached_property
    def complete(self) -> list[CompleteTrial]:
        """The complete trials in the order of their ends, with the incumbent's value from then on."""
        found: list[CompleteTrial] = []
        best, value_of_best = math.inf, math.nan
        for point in self.compared:
            if point.state is not TrialState.COMPLETE:
                continue
            loss = self.history.direction.loss(point.value)
            if loss < best:
                best, value_of_best = loss, point.value
            found.append(CompleteTrial(**vars(point), incumbent_value=value_of_best))
        return found

    def n_epochs(self, trial: Trial) -> int:
        """Epochs that the trial has trained, as far as it is known."""
        return self.epochs[trial.number] or 0

    @functools.cached_property
    def epochs_used(self) -> int | None:
        """Epochs that all trials together have trained; None where the objective reports none."""
        total = 0
        for trial in self.trials:
            n_epochs = self.epochs[trial.number]
            if n_epochs is None:
                return None
            total += n_epochs
        return total or None

    def priors(self, key: str) -> Sequence[Hyperparameter]:
        """The priors as they are recorded, where they can be read: several where branches differ in them."""
        return [] if self.record is None else self.record.priors_of(key)

    def is_log(self, key: str) -> bool:
        """Whether the prior of the hyperparameter is spread over its logarithm, and values are all above 0."""
        priors = self.priors(key)
        if not priors or not all(prior.is_log for prior in priors):
            return False
        values = [trial.configuration[key] for trial in self.trials if key in trial.configuration]
        return all(is_number(value) and value > 0 for value in values)

    def is_choice(self, key: str) -> bool:
        """Whether the hyperparameter is one of several options, which may be numbers."""
        priors = self.priors(key)
        return bool(priors) and all(isinstance(prior, Choice) for prior in priors)

    def condition(self, key: str) -> str:
        """What a hyperparameter of a branch needs to be active, such as `model = mlp`; empty where it always is."""
        dimensions = [] if self.record is None else self.record.dimensions
        options: dict[str, list[Value]] = {}  # by the id of their choice
        for dimension in dimensions:
            if dimension.key == key and dimension.when is not None:
                options.setdefault(dimension.when.choice, []).append(dimension.when.option)
            elif dimension.key == key:
                return ""
        texts = []
        for choice in (each for each in dimensions if each.id in options):
            wanted = options[choice.id]
            if not isinstance(choice.prior, Choice) or len(wanted) < len(choice.prior.options):
                texts.append(f"{choice.key} = {' or '.join(map(_option_text, wanted))}")
            elif choice.when is None:  # each of its options has the hyperparameter
                return ""
            else:
                texts.append(self.condition(choice.key))
        return ", or ".join(texts)

    def interval(self, value: float | None, n_examples: int | None) -> tuple[float, float] | None:
        """The 95% interval of a rate over so many examples; None if it is no rate, or their number is unknown."""
        if value is None or not n_examples or not 0 <= value <= 1:
            return None
        return wilson_interval(value, n_examples)

    def is_finished(self) -> bool:
        return self.history.is_complete


def is_number(value: Value) -> bool:
    """Whether a hyperparameter's value is a finite number that can be drawn, and no truth value."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < LARGEST_NUMBER


def _option_text(option: Value) -> str:
    return option if isinstance(option, str) else literal(option)


def _identity(trial: Trial, key: str) -> str:
    return repr(trial.configuration[key]) if key in trial.configuration else ""


def read(sweep_dir: Path) -> SweepData:
    """Reads the folder of a sweep, under way or over.

    Raises:
        ConfigError: if it holds no journal, or a damaged one.
    """
    events = [masked(event) for event in read_events(sweep_dir)]
    return of_events(
        sweep_dir, events, lambda history, trial: TrialFiles(sweep_dir, trial.folder, history.schema).read_curve()
    )


def of_events(
    sweep_dir: Path,
    events: Sequence[Event],
    curve_of: Callable[[History, Trial], Sequence[Mapping[str, float]]],
    *,
    is_running: bool | None = None,
) -> SweepData:
    """The same of events that were read before, masked, and of the rows of each trial's learning curve.

    Args:
        is_running: whether a controller has the sweep now; None: nobody has looked.
    """
    history, record = replay(events), readable_record(sweep_dir)
    seconds = running_seconds(events)
    sizes = _data_sizes(sweep_dir, history)
    rows = {number: curve_of(history, trial) for number, trial in history.trials.items()}
    epochs = {number: n_epochs(trial, rows[number]) for number, trial in history.trials.items()}
    targets = sorted({e.target_epoch for e in events if isinstance(e, SegmentStarted) and e.target_epoch is not None})
    return SweepData(
        name=sweep_dir.resolve().name,
        history=history,
        record=None if record is None else record.shown(),
        curves=_curves(history, events, rows),
        epochs=epochs,
        segments=run_segments(events, seconds, is_running=bool(is_running)),
        compared=_compared(events, seconds, history, epochs),
        rungs=targets if len(targets) > 1 else [],
        wall_s=seconds[-1] if seconds else 0.0,
        n_validation=_count(sizes, "n_validation"),
        n_test=_count(sizes, "n_test") if record is None or record.final_metric in (None, "test_error") else None,
        expected={e.trial: e.expected for e in events if isinstance(e, TrialProposed) and e.expected is not None},
        reported={number: _columns(of_trial) for number, of_trial in rows.items() if of_trial},
        is_running=is_running,
    )


def masked(event: Event) -> Event:
    """The event as it may be shown."""
    if not isinstance(event, TrialProposed):
        return event
    return dataclasses.replace(event, configuration=masked_configuration(event.configuration))


def running_seconds(events: Sequence[Event]) -> list[float]:
    """For each event the seconds of running time before it: none passes between a stop and the next resume."""
    moments: list[float] = []
    moment, previous = 0.0, None
    for event in events:
        time = datetime.datetime.fromisoformat(event.time) if event.time else previous
        if time is not None and previous is not None and not isinstance(event, SweepStarted):
            # A clock that was set back in the meantime makes no negative durations.
            moment += max(0.0, (time - previous).total_seconds())
        previous = time
        moments.append(moment)
    return moments


def run_segments(events: Sequence[Event], seconds: Sequence[float], *, is_running: bool = False) -> list[RunSegment]:
    """The segments in the order of their starts, each in the first lane of its place that is free then.

    Args:
        is_running: whether those run now whose end the last run has not recorded.
    """
    running: dict[int, tuple[SegmentStarted, float]] = {}
    spans: list[Span] = []
    for event, now_s in zip(events, seconds, strict=True):
        match event:
            case SweepStarted():  # the controller before it was killed
                spans += [(*begun, now_s, None) for begun in running.values()]
                running.clear()
            case SegmentStarted():
                running[event.trial] = event, now_s
            case SegmentDied() | SegmentLost() | SegmentEnded() if event.trial in running:
                spans.append((*running.pop(event.trial), now_s, event))
    last_s = seconds[-1] if seconds else 0.0
    spans += [(*begun, last_s, None) for begun in running.values()]
    spans.sort(key=lambda span: (span[1], span[0].trial))
    found = [_segment(*span, lane) for span, lane in zip(spans, _lanes(spans), strict=True)]
    run_now = {(start.trial, start.job) for start, _ in running.values()} if is_running else set()
    return [
        dataclasses.replace(each, end=str(TrialState.RUNNING)) if (each.trial, each.job) in run_now else each
        for each in found
    ]


def _segment(start: SegmentStarted, started_s: float, ended_s: float, ended: JobEnd | None, lane: int) -> RunSegment:
    match ended:
        case None:
            end, failure = CUT_OFF, ""
        case SegmentEnded():
            end, failure = str(ended.state), visible(ended.exception) or line_of_text(ended.failure)
        case _:
            end, failure = DIED if isinstance(ended, SegmentDied) else LOST, line_of_text(ended.failure)
    return RunSegment(
        trial=start.trial,
        job=start.job,
        start_epoch=start.start_epoch,
        target_epoch=start.target_epoch,
        end_epoch=ended.epoch if isinstance(ended, SegmentEnded) else None,
        attempt=start.attempt,
        started_at=start.time,
        started_s=started_s,
        ended_s=ended_s,
        duration_s=None if ended is None else ended.duration_s,
        end=end,
        failure=failure,
        place="" if ended is None else visible(ended.place),
        lane=lane,
    )


def _lanes(spans: Sequence[Span]) -> list[int]:
    """The lane of each segment, which come in the order of their starts: place by place, the unknown one last."""
    of_place: dict[str, list[int]] = {}
    for position, (*_, ended) in enumerate(spans):
        of_place.setdefault("" if ended is None else ended.place, []).append(position)
    lanes = [0] * len(spans)
    n_lanes = 0
    for place in sorted(of_place, key=_place_order):
        free: list[int] = []
        busy: list[tuple[float, int]] = []
        for position in of_place[place]:
            _, started_s, ended_s, _ = spans[position]
            while busy and busy[0][0] <= started_s:
                heapq.heappush(free, heapq.heappop(busy)[1])
            if not free:
                heapq.heappush(free, n_lanes)
                n_lanes += 1
            lanes[position] = heapq.heappop(free)
            heapq.heappush(busy, (ended_s, lanes[position]))
    return lanes


def _place_order(place: str) -> tuple[bool, list[tuple[int, str]]]:
    """Sorts places as people do, node10 after node9, and the unknown one last."""
    # By length, then digits: these may be more than `int` takes.
    parts = [part.lstrip("0") if part.isdecimal() else part for part in re.findall(r"\d+|\D+", place)]
    return not place, [(len(part) if not part or part.isdecimal() else -1, part) for part in parts]


def _compared(
    events: Iterable[Event], seconds: Iterable[float], history: History, epochs: Mapping[int, int | None]
) -> list[Compared]:
    found: list[Compared] = []
    n_started = 0
    trained: dict[int, int | None] = {}  # epochs, by trial
    n_trained: int | None = 0  # epochs of all trials
    for event, now_s in zip(events, seconds, strict=True):
        n_started += isinstance(event, TrialProposed)
        if not isinstance(event, SegmentEnded):
            continue
        before, now = trained.get(event.trial, 0), _n_epochs_by(event, history.trials[event.trial], epochs)
        trained[event.trial] = now
        n_trained = None if n_trained is None or before is None or now is None else n_trained + now - before
        if event.state in WITH_A_LOSS and event.value is not None:
            found.append(Compared(event.trial, event.value, event.epoch, event.state, n_started, n_trained, now_s))
    return found


def _n_epochs_by(event: SegmentEnded, trial: Trial, epochs: Mapping[int, int | None]) -> int | None:
    """Epochs that the trial had trained by this end of a segment; None: unknown."""
    is_last = event.state is trial.state and event.state is not TrialState.PAUSED
    # What failed or was cut off is recorded where its segment began, and the learning curve goes further.
    return epochs[trial.number] if is_last else event.epoch


def _curves(
    history: History, events: Iterable[Event], rows_of: Mapping[int, Sequence[Mapping[str, float]]]
) -> dict[int, Curve]:
    rungs: dict[int, dict[int, float]] = {}
    for event in events:
        if isinstance(event, SegmentEnded) and event.epoch and event.value is not None:
            rungs.setdefault(event.trial, {})[event.epoch] = event.value
    curves = {}
    for number in history.trials:
        points = {int(row["epoch"]): row[history.metric] for row in rows_of[number] if history.metric in row}
        points = points or rungs.get(number, {})
        if points:
            epochs = sorted(points)
            curves[number] = Curve(np.array(epochs), np.array([points[epoch] for epoch in epochs], dtype=np.float64))
    return curves


def _columns(rows: Sequence[Mapping[str, float]]) -> dict[str, Curve]:
    """The columns of a trial's learning curve."""
    epochs = np.array([int(row["epoch"]) for row in rows])
    return {
        name: Curve(epochs, np.array([row[name] for row in rows], dtype=np.float64)) for name in metrics_of(rows[-1])
    }


def _data_sizes(sweep_dir: Path, history: History) -> dict[str, float]:
    if history.incumbent is None:
        return {}
    return TrialFiles(sweep_dir, history.incumbent.folder, history.schema).read_data_summary()


def _count(sizes: Mapping[str, float], name: str) -> int | None:
    return int(sizes[name]) if name in sizes else None
