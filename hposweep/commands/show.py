"""`python -m hposweep show [outputs/<sweep>]`: what a sweep has come to, as it is printed at its end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hposweep.commands.one_line_parser import OneLineParser
from hposweep.commands.sweep_argument import add_sweep_argument, chosen_sweep
from hposweep.errors import ConfigError
from hposweep.results.overview import SweepState, overview, resume_line
from hposweep.results.terminal import summary
from hposweep.results.terminal.sweeps import print_state
from hposweep.shown_text import visible
from hposweep.sweep_folder.sweep_yaml import AppRecord, readable_record
from hposweep.trial import Trial


def main(words: Sequence[str]) -> int:
    """Runs the command."""
    parser = OneLineParser("hposweep show", description=__doc__)
    add_sweep_argument(parser)
    folder: Path = chosen_sweep(parser.parse_args(words).sweep)
    found = overview(folder)
    if found.state is SweepState.UNREADABLE:
        raise ConfigError(found.why)
    record = readable_record(folder)
    command = _command_of(record, found.history.incumbent) if isinstance(record, AppRecord) else []
    print_state(found)
    summary.print_end(folder.absolute(), found.history, None if record is None else record.final_metric, command)
    if found.can_be_resumed:
        print(visible(f"Not finished. Resume it with: {resume_line(folder)}"))
    return 0


def _command_of(record: AppRecord, winner: Trial | None) -> list[str]:
    """The words that run the winner again; none where there is none, or what is recorded can't be read."""
    if winner is None:
        return []
    from hposweep.hydra_glue.run_again import shown_command  # late: it takes Hydra

    try:
        return shown_command(record, winner)
    except ConfigError:
        return []
