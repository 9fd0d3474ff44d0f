"""`python -m hposweep ls [outputs/]`: the sweeps of a folder, the newest first, with what each is at."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path

from hposweep.commands.one_line_parser import OneLineParser
from hposweep.commands.sweep_argument import OUTPUTS
from hposweep.errors import ConfigError
from hposweep.results.overview import overview, sweep_folders
from hposweep.results.terminal.sweeps import print_sweeps


def main(words: Sequence[str]) -> int:
    """Runs the command."""
    parser = OneLineParser("hposweep ls", description=__doc__)
    parser.add_argument(
        "folder", type=Path, nargs="?", default=OUTPUTS, help="folder that holds those of sweeps (default: outputs/)"
    )
    folder: Path = parser.parse_args(words).folder
    found = [overview(each) for each in sweep_folders(folder)]
    if not found:
        raise ConfigError(f"{folder}: holds no sweep of hposweep")
    print_sweeps(folder, found, datetime.datetime.now(datetime.UTC))
    return 0
