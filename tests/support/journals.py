"""Sweeps from their events, as a report reads them."""

import dataclasses
import datetime
from pathlib import Path
from typing import Any

from hposweep.history import Event, SegmentEnded, SegmentStarted, SweepStarted, TrialProposed, values_of
from hposweep.results.sweep_data import SweepData, read
from hposweep.search_space import Configuration
from hposweep.sweep_folder.journal import Journal
from hposweep.trial import Direction, TrialState

METRIC = "error"


def at(second: float, event: Event) -> Event:
    """The event at this second of the sweep."""
    moment = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(seconds=second)
    return dataclasses.replace(event, time=moment.isoformat(timespec="milliseconds"))


def sweep_of(folder: Path, *events: Event, direction: Direction = Direction.minimize) -> SweepData:
    """The sweep with these events; one a second, where they have no time."""
    journal = Journal.open(folder)
    begun = [SweepStarted(100, 0, METRIC, direction, controller="a test"), *events]
    journal.append(*(event if event.time else at(second, event) for second, event in enumerate(begun)))
    journal.close()
    return read(folder)


def proposed(number: int, configuration: Configuration | None = None, **options: Any) -> TrialProposed:
    """The proposal of a trial."""
    return TrialProposed(number, {"x": number / 10} if configuration is None else configuration, 7, **options)


def segment(
    number: int, start: int, target: int | None, value: float | None, state: TrialState = TrialState.PAUSED
) -> list[Event]:
    """A job of a trial, from its start to its end."""
    ended = SegmentEnded(number, state, target, values_of(METRIC, value), 1.0, folder=f"trials/{number}")
    return [SegmentStarted(number, start, target, 1), ended]


def complete(number: int, configuration: Configuration, value: float, **options: Any) -> list[Event]:
    """A trial that was trained for three epochs in one go."""
    return [proposed(number, configuration, **options), *segment(number, 0, 3, value, TrialState.COMPLETE)]
