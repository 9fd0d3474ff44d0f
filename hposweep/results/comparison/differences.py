"""How two sweeps differ: configs, versions, machines, configurations, seeds, learning curves and winners."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hposweep.history import History, replay
from hposweep.sweep_folder.journal import read_events
from hposweep.sweep_folder.learning_curve import Row
from hposweep.sweep_folder.sweep_yaml import AppRecord, select
from hposweep.sweep_folder.trial_files import TrialFiles

# Where a sweep was run, and what its help says: no part of what it is.
NO_PART_OF_THE_SWEEP = (
    *("hydra.sweep.dir", "hydra.overrides.hydra", "hydra.runtime", "hydra.job.override_dirname"),
    "hydra.help",
)
NO_RESULT = ("seconds",)


class Difference(NamedTuple):
    """One difference, in a line; one that does not matter explains others, or is within the tolerance."""

    text: str
    matters: bool


def differences(
    first: Path, first_record: AppRecord, second: Path, second_record: AppRecord, tolerance: float
) -> list[Difference]:
    """All differences of the second sweep from the first.

    Bits have to be equal on one kind of processor with one set of versions. Elsewhere the final values are compared
    instead, and may be `tolerance` apart.

    Args:
        first_record, second_record: what `sweep.yaml` of each holds.
    """
    environment = [
        Difference(f"{name} {line}", matters=False)
        for name, one, other in (
            ("versions", first_record.versions, second_record.versions),
            ("platform", first_record.platform, second_record.platform),
        )
        for line in unequal_leaves("", one, other)
    ]
    commits = [first_record.commit, second_record.commit]
    commit = [Difference(f"commit: {commits[0]} -> {commits[1]}", matters=False)] if commits[0] != commits[1] else []
    config = [
        Difference(f"config {line}", matters=True)
        for line in unequal_leaves("", *map(without_search_space, (first_record, second_record)))
        if not line.startswith(NO_PART_OF_THE_SWEEP)
    ]
    files = (first_record.data, second_record.data)
    data = [Difference("data: the files have changed", matters=True)] if None not in files and len({*files}) > 1 else []
    space = [
        Difference(f"search space: {line}", matters=True)
        for line in unequal_leaves("", first_record.prior_texts, second_record.prior_texts)
    ]
    history, again = replay(read_events(first)), replay(read_events(second))
    same_bits = not environment
    trials = [
        difference
        for number in sorted({*history.trials, *again.trials})
        for difference in _of_trials(number, history, first, again, second, None if same_bits else tolerance)
    ]
    return [
        *environment,
        *commit,
        *config,
        *data,
        *space,
        *trials,
        *_of_winners(history, again, None if same_bits else tolerance),
    ]


def _of_trials(
    number: int, one: History, first: Path, other: History, second: Path, tolerance: float | None
) -> Iterator[Difference]:
    if number not in one.trials or number not in other.trials:
        yield Difference(f"trial {number}: only in {first if number in one.trials else second}", matters=True)
        return
    trial, again = one.trials[number], other.trials[number]
    for line in unequal_leaves("", trial.configuration, again.configuration):
        yield Difference(f"trial {number}: configuration {line}", matters=True)
    if trial.seed != again.seed:
        yield Difference(f"trial {number}: seed {trial.seed} -> {again.seed}", matters=True)
    if trial.state != again.state:
        yield Difference(f"trial {number}: state {trial.state} -> {again.state}", matters=True)
    yield from _of_values(f"trial {number}: value", trial.value, again.value, tolerance)
    if tolerance is None:
        curves = (TrialFiles(first, trial.folder, one.schema), TrialFiles(second, again.folder, other.schema))
        yield from _of_curves(number, *(files.read_curve() for files in curves))


def _of_curves(number: int, curve: Sequence[Row], again: Sequence[Row]) -> Iterator[Difference]:
    if len(curve) != len(again):
        yield Difference(f"trial {number}: {len(curve)} -> {len(again)} epochs", matters=True)
    for row, row_again in zip(curve, again, strict=False):
        results, results_again = (
            {name: repr(value) for name, value in each.items() if name not in NO_RESULT} for each in (row, row_again)
        )
        for line in unequal_leaves("", results, results_again):
            yield Difference(f"trial {number}: learning curve, epoch {row['epoch']}, {line}", matters=True)


def _of_winners(one: History, other: History, tolerance: float | None) -> Iterator[Difference]:
    winners = [None if each.incumbent is None else each.incumbent.number for each in (one, other)]
    if winners[0] != winners[1]:
        yield Difference(f"winner: trial {winners[0]} -> trial {winners[1]}", matters=tolerance is None)
        return
    finals = [None if each.final is None else each.final.value for each in (one, other)]
    yield from _of_values("winner: final value", finals[0], finals[1], tolerance)


def _of_values(what: str, value: float | None, again: float | None, tolerance: float | None) -> Iterator[Difference]:
    if repr(value) == repr(again):
        return
    if tolerance is None or value is None or again is None:
        yield Difference(f"{what} {value!r} -> {again!r}", matters=True)
        return
    distance = abs(value - again)
    is_near = math.isfinite(distance) and distance <= tolerance
    yield Difference(
        f"{what} {value!r} -> {again!r}, {distance:.2g} apart (tolerance {tolerance:g})", matters=not is_near
    )


def without_search_space(record: AppRecord) -> dict[str, Any]:
    """The config without where its search space comes from, which other versions may have from elsewhere."""
    config = copy.deepcopy(dict(record.config))
    sweeper, overrides = select(config, "hydra", "sweeper"), select(config, "hydra", "overrides")
    if isinstance(sweeper, dict):
        for name in ("search_space", "params", "own_spaces"):
            sweeper.pop(name, None)
    if isinstance(overrides, dict) and isinstance(overrides.get("task"), list):
        overrides["task"] = [line for line in overrides["task"] if not f"{line}".startswith("search_space=")]
    return config


def unequal_leaves(prefix: str, one: Any, other: Any) -> Iterator[str]:
    """A line for each leaf in which two trees of values differ."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for key in dict.fromkeys([*one, *other]):
            path = f"{prefix}.{key}" if prefix else str(key)
            if key not in other:
                yield f"{path}: {one[key]!r} -> absent"
            elif key not in one:
                yield f"{path}: absent -> {other[key]!r}"
            else:
                yield from unequal_leaves(path, one[key], other[key])
    elif not _is_same(one, other):
        yield f"{prefix}: {one!r} -> {other!r}"


def _is_same(one: Any, other: Any) -> bool:
    """Equality that tells 1 from True and from 1.0, as YAML does, and for which NaN is NaN."""
    if type(one) is not type(other):
        return False
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_is_same, one, other))
    if isinstance(one, Mapping):
        return not [*unequal_leaves("", one, other)]
    return bool(one == other) or (one != one and other != other)
