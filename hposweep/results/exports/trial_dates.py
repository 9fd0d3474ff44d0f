"""The dates at which the trials of a sweep started and ended."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hposweep.history import SegmentEnded, TrialProposed
from hposweep.sweep_folder.journal import read_events


@dataclass
class TrialDates:
    """Of one trial, in UTC."""

    started: datetime.datetime
    ended: datetime.datetime  # of its last segment; as `started` where none has ended
    reached: dict[int, datetime.datetime] = field(default_factory=dict)  # by epoch, where a segment ended


def read(sweep_dir: Path) -> Mapping[int, TrialDates]:
    """The dates of each trial, by its number."""
    found: dict[int, TrialDates] = {}
    now = datetime.datetime.fromtimestamp(0, datetime.UTC)
    for event in read_events(sweep_dir):
        if event.time:
            now = datetime.datetime.fromisoformat(event.time)
        match event:
            case TrialProposed():
                found[event.trial] = TrialDates(now, now)
            case SegmentEnded():
                dates = found[event.trial]
                dates.ended = now
                if event.epoch is not None:
                    dates.reached[event.epoch] = now
    return found
