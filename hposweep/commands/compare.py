"""`python -m hposweep compare A B ...`: the incumbents of several sweeps at equal epochs and at equal time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hposweep.commands.one_line_parser import OneLineParser
from hposweep.commands.sweep_argument import chosen_sweep
from hposweep.errors import ConfigError, WriteError
from hposweep.optional_packages import needed_by
from hposweep.results.comparison.comparison import Comparison, compare
from hposweep.results.terminal.comparison import print_comparison
from hposweep.shown_text import visible


def main(words: Sequence[str]) -> int:
    """Runs the command."""
    parser = OneLineParser("hposweep compare", description=__doc__)
    parser.add_argument(
        "sweeps",
        type=Path,
        nargs="+",
        metavar="sweep",
        help="folder of a sweep, two or more of them; those that differ only in the seed are one method",
    )
    parser.add_argument("--html", type=Path, metavar="FILE", help="also write a page with plots")
    arguments = parser.parse_args(words)
    folders = [chosen_sweep(folder) for folder in arguments.sweeps]
    if len(folders) < 2:
        raise ConfigError(f"sweep: needs two folders or more, got only {folders[0]}")
    comparison = compare(folders)
    # The page first: if it can't be made, nothing is printed but the error.
    if arguments.html is not None:
        _write_page(comparison, arguments.html)
    print_comparison(comparison)
    if arguments.html is not None:
        print(visible(f"Page: {arguments.html}"))
    return 0


def _write_page(comparison: Comparison, path: Path) -> None:
    with needed_by("--html", "report"):
        from hposweep.results.html import comparison_page
    try:
        comparison_page.write(comparison, path)
    except WriteError as error:
        raise ConfigError(f"--html: {error}") from None
