"""`python -m hposweep report [outputs/<sweep>]`: writes report.html anew, from the folder alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hposweep import searcher_model
from hposweep.commands.one_line_parser import OneLineParser
from hposweep.commands.sweep_argument import add_sweep_argument, chosen_sweep
from hposweep.hydra_glue.run_again import shown_commands
from hposweep.optional_packages import needed_by
from hposweep.shown_text import visible
from hposweep.sweep_folder.sweep_yaml import readable_record


def main(words: Sequence[str]) -> int:
    """Runs the command."""
    parser = OneLineParser("hposweep report", description=__doc__)
    add_sweep_argument(parser)
    folder: Path = chosen_sweep(parser.parse_args(words).sweep)
    record = readable_record(folder)
    with needed_by("the report", "report"):
        from hposweep.results.html import sweep_page

        path = sweep_page.write(folder, shown_commands(record), searcher_model.rebuilt(folder, record))
    print(visible(f"Report: {path}"))
    return 0
