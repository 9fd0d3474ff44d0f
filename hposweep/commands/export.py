"""`python -m hposweep export [outputs/<sweep>] --to optuna|tensorboard TARGET`: writes the sweep for another tool."""

from __future__ import annotations

import importlib
from collections.abc import Sequence

from hposweep.commands.one_line_parser import OneLineParser
from hposweep.commands.sweep_argument import add_sweep_argument, chosen_sweep
from hposweep.errors import ConfigError, nearest
from hposweep.optional_packages import needed_by
from hposweep.shown_text import visible_lines

TOOLS = ("optuna", "tensorboard")  # each is also the name of its extra


def main(words: Sequence[str]) -> int:
    """Runs the command."""
    parser = OneLineParser("hposweep export", description=__doc__)
    add_sweep_argument(parser)
    parser.add_argument(
        "--to",
        nargs=2,
        required=True,
        metavar=("TOOL", "TARGET"),
        help="optuna and a storage (sqlite:///study.db, or study.db), or tensorboard and a new folder",
    )
    arguments = parser.parse_args(words)
    tool, target = arguments.to
    if tool not in TOOLS:
        raise ConfigError(f"--to: no '{tool}'{nearest(tool, list(TOOLS))}Available: {', '.join(TOOLS)}")
    sweep = chosen_sweep(arguments.sweep)
    with needed_by(f"--to {tool}", extra=tool):
        export = importlib.import_module(f"hposweep.results.exports.{tool}_export")
    print(visible_lines(export.write(sweep, target)))
    return 0
