"""The trial that a command on the winner is about."""

from __future__ import annotations

import sys
from pathlib import Path

from hposweep.errors import ConfigError
from hposweep.history import History, best_partial, replay
from hposweep.number_text import number_text
from hposweep.shown_text import visible
from hposweep.sweep_folder.journal import read_events
from hposweep.trial import Trial


def winner_of(sweep: Path) -> tuple[History, Trial]:
    """The sweep's history and its best complete trial; without one, the best of the others, with a printed remark.

    Raises:
        ConfigError: if no trial has a value yet.
    """
    history = replay(read_events(sweep))
    if history.incumbent is not None:
        return history, history.incumbent
    partial = best_partial(history)
    if partial is None:
        raise ConfigError(f"{sweep}: no trial has a value yet")
    assert partial.value is not None
    where = "" if partial.epoch is None else f" at epoch {partial.epoch}"
    print(
        f"No trial is complete; the best so far is trial {partial.number}, "
        f"{partial.state} with {visible(history.metric)} {number_text(partial.value)}{where}",
        file=sys.stderr,
    )
    return history, partial
