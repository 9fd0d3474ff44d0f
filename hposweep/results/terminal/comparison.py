"""A comparison of sweeps on a terminal: sentences, a row a method, and how their configs differ."""

from __future__ import annotations

from rich.text import Text

from hposweep.results.comparison.comparison import Cell, Comparison, how_to_read, summary, table
from hposweep.results.comparison.methods import ABSENT
from hposweep.results.terminal.console import shown, table_of, terminal, texts


def print_comparison(comparison: Comparison) -> None:
    """Prints all of it."""
    console = terminal()
    heads, rows = table(comparison)
    console.print(shown(f"\n{comparison.metric} ({comparison.direction}) of the incumbent", style="bold"))
    methods = table_of(*heads)
    for column in methods.columns[1:]:
        column.justify = "right"
    for row in rows:
        methods.add_row(*map(_text, row))
    console.print(methods)
    for line in (*summary(comparison), *how_to_read(comparison)):
        console.print(shown(line))
    for line in comparison.warnings:
        console.print(shown(f"Warning: {line}", style="bold"))
    for line in comparison.notes:
        console.print(shown(f"Note: {line}"))
    if not comparison.differences:
        return
    console.print(shown("\nWhat differs in their configs", style="bold"))
    differences = table_of("key", *(method.name for method in comparison.methods))
    for difference in comparison.differences:
        cells = [shown(value, style="dim" if value == ABSENT else "") for value in difference.values]
        differences.add_row(*texts(difference.key), *cells)
    console.print(differences)


def _text(cell: Cell) -> Text:
    return shown(f"{cell.text}\n{cell.spread}".strip(), style="bold" if cell.is_best else "")
