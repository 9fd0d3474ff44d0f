"""How the incumbents of several sweeps compare: at equal epochs and at equal time.

Equal epochs: the most that every sweep has used; equal time: the longest that every sweep has run. Sweeps that differ
only in the seed are one method, shown by their median and quartiles.
"""

from __future__ import annotations

import bisect
import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hposweep.errors import ConfigError
from hposweep.number_text import number_text, time_unit
from hposweep.results.comparison.methods import (
    Difference,
    differences,
    method_names,
    methods_of,
    other_environment,
    other_validation_data,
)
from hposweep.results.intervals import overlap
from hposweep.results.sweep_data import SweepData, read
from hposweep.shown_text import plural
from hposweep.sweep_folder.sweep_yaml import FunctionRecord
from hposweep.trial import Direction

Against = Literal["epochs", "trials", "seconds"]


@dataclass(frozen=True)
class Quartiles:
    """Quartiles of the incumbents of a method's sweeps. A sweep without an incumbent counts as the worst, here None."""

    first: float | None
    median: float | None
    third: float | None


@dataclass(frozen=True)
class Course:
    """The incumbent of one sweep after each change, against the epochs, trials or seconds used by then."""

    used: Sequence[float]  # ascending
    values: Sequence[float]
    end: float  # used by the whole sweep

    def value_at(self, used: float) -> float | None:
        """The incumbent's value when so much is used; None before the first complete trial."""
        position = bisect.bisect_right(self.used, used)
        return self.values[position - 1] if position else None


@dataclass(frozen=True)
class Method:
    """Sweeps that differ only in the seed."""

    name: str
    sweeps: Sequence[SweepData]

    def incumbent(self, against: Against, used: float) -> Quartiles:
        """The incumbents when each sweep has used so much; one that ended earlier keeps its last one."""
        values = [course(sweep, against).value_at(used) for sweep in self.sweeps]
        return quartiles(values, self.sweeps[0].history.direction)

    def steps(self, against: Against) -> list[tuple[float, Quartiles]]:
        """The incumbents at each change, and at the end of the sweep that has used the most."""
        courses = [course(sweep, against) for sweep in self.sweeps]
        direction = self.sweeps[0].history.direction
        changes = sorted({used for each in courses for used in each.used} | {max(each.end for each in courses)})
        return [(used, quartiles([each.value_at(used) for each in courses], direction)) for used in changes]

    def median_used(self, against: Against) -> float:
        """The median of what its sweeps have used."""
        return _quantile(sorted(course(sweep, against).end for sweep in self.sweeps), 0.5)


@dataclass(frozen=True)
class Comparison:
    """Methods in the order in which their first sweeps were named."""

    methods: Sequence[Method]
    differences: Sequence[Difference]
    effort: Against  # what is counted beside time: epochs, or trials where not all objectives report epochs
    equal_effort: float  # as much as every sweep has used
    equal_s: float  # as long as every sweep has run
    n_validation: int | None  # validation examples, the same in all sweeps; None: unknown, or different
    warnings: Sequence[str]  # why values can't be compared, or are less certain than they look
    notes: Sequence[str]  # other differences

    @property
    def metric(self) -> str:
        return self.methods[0].sweeps[0].history.metric

    @property
    def direction(self) -> Direction:
        return self.methods[0].sweeps[0].history.direction

    @property
    def without_median(self) -> str:
        """In words, what a method without a median incumbent lacks; some of its sweeps may have an incumbent."""
        is_alone = all(len(method.sweeps) == 1 for method in self.methods)
        return "complete trial" if is_alone else "complete trial in more than half of its sweeps"

    @property
    def points(self) -> list[tuple[str, Against, float]]:
        """The points at which incumbents are compared: in words, against what, and at which amount of it."""
        n = int(self.equal_effort)
        effort = f"{n:,} {self.effort}" if n != 1 else f"1 {self.effort.removesuffix('s')}"
        scale, unit = self.time_unit
        time = f"{number_text(self.equal_s / scale, 3)} {unit}"
        return [(effort, self.effort, self.equal_effort), (time, "seconds", self.equal_s)]

    @property
    def time_unit(self) -> tuple[float, str]:
        """The unit of all times in the comparison: the one that suits the longest."""
        return time_unit(max(sweep.wall_s for method in self.methods for sweep in method.sweeps))


@dataclass(frozen=True)
class Cell:
    """A cell of the table of methods."""

    text: str
    spread: str = ""  # the quartiles, where there are several sweeps
    is_best: bool = False


def compare(folders: Sequence[Path]) -> Comparison:
    """Reads the folders of sweeps and compares them.

    Raises:
        ConfigError: if one holds no sweep or is named twice, or if they differ in the metric or its direction.
    """
    return compare_read(folders, [read(folder) for folder in folders])


def compare_read(folders: Sequence[Path], sweeps: Sequence[SweepData]) -> Comparison:
    """The same of sweeps that were read from these folders."""
    sweeps = _named(folders, sweeps)
    _check_metrics(sweeps)
    alike = methods_of(sweeps)
    methods = [Method(name, each.sweeps) for name, each in zip(method_names(alike), alike, strict=True)]
    efforts = [sweep.epochs_used for sweep in sweeps]
    epochs = [effort for effort in efforts if effort is not None]
    has_epochs = len(epochs) == len(sweeps)
    on_other_data = other_validation_data(alike)
    sizes = {sweep.n_validation for sweep in sweeps}
    return Comparison(
        methods=methods,
        differences=differences(alike),
        effort="epochs" if has_epochs else "trials",
        equal_effort=min(epochs) if has_epochs else min(len(sweep.trials) for sweep in sweeps),
        equal_s=min(sweep.wall_s for sweep in sweeps),
        n_validation=sizes.pop() if len(sizes) == 1 and not on_other_data else None,
        warnings=[*on_other_data, *_warnings(methods)],
        notes=_notes(sweeps, has_epochs),
    )


def course(sweep: SweepData, against: Against) -> Course:
    """The course of a sweep's incumbent; against epochs only if all of them are known."""
    used: list[float] = []
    values: list[float] = []
    for point in sweep.complete:
        if values and point.incumbent_value == values[-1]:
            continue
        position = {"epochs": point.n_epochs, "trials": point.n_started, "seconds": point.seconds}[against]
        assert position is not None
        used.append(position)
        values.append(point.incumbent_value)
    end = {"epochs": sweep.epochs_used, "trials": len(sweep.trials), "seconds": sweep.wall_s}[against]
    assert end is not None
    return Course(used, values, end)


def quartiles(values: Sequence[float | None], direction: Direction) -> Quartiles:
    """The quartiles, linear between neighbours; None is worse than any value."""
    losses = sorted(math.inf if value is None else direction.loss(value) for value in values)
    found = [_quantile(losses, share) for share in (0.25, 0.5, 0.75)]
    # The loss of a loss is the value again.
    first, median, third = [direction.loss(loss) if math.isfinite(loss) else None for loss in found]
    return Quartiles(first, median, third) if direction is Direction.minimize else Quartiles(third, median, first)


def summary(comparison: Comparison) -> list[str]:
    """What the comparison has shown, in sentences."""
    n_sweeps = sum(len(method.sweeps) for method in comparison.methods)
    lines = [f"{plural(n_sweeps, 'sweep')} of {plural(len(comparison.methods), 'method')}."]
    most = ("the most that every sweep has used", "the longest that every sweep has run")
    for (point, against, used), why in zip(comparison.points, most, strict=True):
        lines.append(_sentence(comparison, f"{'In' if against == 'seconds' else 'At'} {point}, {why},", against, used))
    alone = [method.name for method in comparison.methods if len(method.sweeps) == 1]
    if len(alone) == len(comparison.methods) > 1:
        lines.append("Each method has only one sweep: other seeds may reverse the order.")
    elif alone and len(comparison.methods) > 1:
        lines.append(f"With only one sweep: {'; '.join(alone)}. Its spread over seeds is unknown.")
    return lines


def how_to_read(comparison: Comparison) -> list[str]:
    """What the numbers mean."""
    lines = ["The incumbent is the best COMPLETE trial so far."]
    if any(len(method.sweeps) > 1 for method in comparison.methods):
        lines.append("Of several sweeps that differ only in the seed: their median (first quartile, third quartile).")
    if comparison.effort == "epochs":
        lines.append(
            "Epochs used: those that all trials together have trained by then, counted when their segments end."
        )
    return lines


def table(comparison: Comparison) -> tuple[list[str], list[list[Cell]]]:
    """The heads of its columns, and a row a method; the best incumbents of each column are marked."""
    has_epochs = comparison.effort == "epochs"
    scale, unit = comparison.time_unit
    points: list[tuple[Against, float]] = [("seconds", math.inf)]
    points += [(against, used) for _, against, used in comparison.points]
    columns = [[method.incumbent(against, used) for method in comparison.methods] for against, used in points]
    best = [leaders(column, comparison.direction) for column in columns]
    heads = ["method", "sweeps", "trials", *(["epochs"] if has_epochs else []), f"wall time, {unit}", "at the end"]
    heads += [f"at {point}" for point, _, _ in comparison.points]
    rows = []
    for i, method in enumerate(comparison.methods):
        row = [Cell(method.name), Cell(f"{len(method.sweeps)}"), Cell(f"{method.median_used('trials'):,.0f}")]
        if has_epochs:
            row.append(Cell(f"{method.median_used('epochs'):,.0f}"))
        row.append(Cell(number_text(method.median_used("seconds") / scale, 3)))
        for column, of_column in zip(columns, best, strict=True):
            found = column[i]
            spread = f"({_value(found.first)}, {_value(found.third)})" if len(method.sweeps) > 1 else ""
            row.append(Cell(_value(found.median), spread, is_best=i in of_column))
        rows.append(row)
    return heads, rows


def leaders(found: Sequence[Quartiles], direction: Direction) -> list[int]:
    """The positions of the best medians; none if there is no median."""
    losses = [math.inf if each.median is None else direction.loss(each.median) for each in found]
    return [i for i, loss in enumerate(losses) if loss == min(losses) and math.isfinite(loss)]


def _sentence(comparison: Comparison, when: str, against: Against, used: float) -> str:
    found = [method.incumbent(against, used) for method in comparison.methods]
    best = leaders(found, comparison.direction)
    if not best:
        return f"{when} no method has a {comparison.without_median}."
    names = [method.name for method in comparison.methods]
    median = "a median " if len(comparison.methods[best[0]].sweeps) > 1 else ""
    value = f"{median}{comparison.metric} of {_value(found[best[0]].median)}"
    if len(names) == 1:
        return f"{when} the incumbent has {value}."
    others = [i for i in range(len(names)) if i not in best]
    if not others:
        return f"{when} all are equal, with {value}."
    who = f"{names[best[0]]} is" if len(best) == 1 else f"{' and '.join(names[i] for i in best)} are"
    following = leaders([found[i] for i in others], comparison.direction)
    then = [f"{names[others[i]]} with {_value(found[others[i]].median)}" for i in following[:1]]
    then = then or [f"any other has a {comparison.without_median}"]
    return " ".join(
        [
            f"{when} {who} ahead with {value}, before {then[0]}.",
            *_within_the_interval(comparison, found, best[0], others),
            *_within_the_seeds(comparison, found, best[0], others),
        ]
    )


def _within_the_interval(
    comparison: Comparison, found: Sequence[Quartiles], best: int, others: Sequence[int]
) -> list[str]:
    sweep = comparison.methods[best].sweeps[0]
    intervals = [sweep.interval(each.median, comparison.n_validation) for each in found]
    own = intervals[best]
    if own is None or not others:
        return []
    alike = [i for i in others if overlap(own, intervals[i])]
    low, high = map(number_text, own)
    interval = f"the 95% interval of {comparison.n_validation:,} validation examples, {low} to {high}"
    if not alike:
        return [f"By {interval}, no other method is as good."]
    told = ", ".join(f"{comparison.methods[i].name} ({_value(found[i].median)})" for i in alike)
    return [f"By {interval}, it can't be told from {told}: the intervals overlap."]


def _within_the_seeds(
    comparison: Comparison, found: Sequence[Quartiles], best: int, others: Sequence[int]
) -> list[str]:
    if len(comparison.methods[best].sweeps) == 1:
        return []
    alike = [
        comparison.methods[i].name
        for i in others
        if len(comparison.methods[i].sweeps) > 1
        and overlap(_losses(found[best], comparison.direction), _losses(found[i], comparison.direction))
    ]
    return [f"Over seeds its quartiles overlap with those of {', '.join(alike)}."] if alike else []


def _losses(found: Quartiles, direction: Direction) -> tuple[float, float]:
    """The better quartile and the worse one as losses; None is the worst in both directions."""
    one, other = (math.inf if each is None else direction.loss(each) for each in (found.first, found.third))
    return min(one, other), max(one, other)


def _named(folders: Sequence[Path], sweeps: Sequence[SweepData]) -> list[SweepData]:
    """The sweeps, each with a name of its own: its folder's, or the path where two folders have the same."""
    resolved = [folder.resolve() for folder in folders]
    for i, folder in enumerate(folders):
        if resolved[i] in resolved[:i]:
            raise ConfigError(f"{folder}: is named twice; a sweep can't be compared with itself")
    names = [folder.name for folder in resolved]
    return [
        dataclasses.replace(sweep, name=name if names.count(name) == 1 else str(folder))
        for folder, sweep, name in zip(folders, sweeps, names, strict=True)
    ]


def _check_metrics(sweeps: Sequence[SweepData]) -> None:
    wanted = sweeps[0].history
    for sweep in sweeps[1:]:
        history = sweep.history
        if (history.metric, history.direction) != (wanted.metric, wanted.direction):
            raise ConfigError(
                f"{sweep.name}: its metric is {history.metric} ({history.direction}), that of {sweeps[0].name} is "
                f"{wanted.metric} ({wanted.direction}); only values of one metric can be compared"
            )


def _warnings(methods: Sequence[Method]) -> list[str]:
    lines = []
    sweeps = [sweep for method in methods for sweep in method.sweeps]
    for sweep in sweeps:
        if not sweep.is_finished():
            end = sweep.history.end
            of_runs = {True: "it runs", False: "it was killed", None: "it runs, or was killed"}
            why = of_runs[sweep.is_running] if end is None else end.text
            lines.append(f"{sweep.name} is not finished: {why}")
        if sweep.history.incumbent is None:
            lines.append(f"{sweep.name} has no complete trial, which counts as the worst")
    for method in methods:
        seeds = [sweep.history.seed for sweep in method.sweeps]
        twice = sorted({seed for seed in seeds if seeds.count(seed) > 1})
        if twice:
            seed_text = ", ".join(map(str, twice))
            lines.append(f"{method.name} has several sweeps of one seed ({seed_text}): they are not independent")
    of_functions = [sweep.name for sweep in sweeps if isinstance(sweep.record, FunctionRecord)]
    if of_functions:
        lines.append(
            "hposweep.tune records neither the objective nor its scheduler's options, so they may differ: "
            f"{', '.join(of_functions)}"
        )
    return lines


def _notes(sweeps: Sequence[SweepData], has_epochs: bool) -> list[str]:
    lines = other_environment(sweeps)
    without = [sweep.name for sweep in sweeps if sweep.epochs_used is None]
    if not has_epochs:
        lines.append(f"started trials are counted instead of epochs, which are unknown in {', '.join(without)}")
    return lines


def _quantile(ranked: Sequence[float], share: float) -> float:
    """Linear between neighbours, as NumPy's; also where one of them is infinite."""
    position = share * (len(ranked) - 1)
    low = math.floor(position)
    if position == low:
        return ranked[low]
    return ranked[low] + (position - low) * (ranked[low + 1] - ranked[low]) if math.isfinite(ranked[low]) else math.inf


def _value(value: float | None) -> str:
    return "none" if value is None else number_text(value)
