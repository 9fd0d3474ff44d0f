"""Tables on a terminal, or in the file or pipe that replaces it."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hposweep import standard_streams
from hposweep.shown_text import cut, visible, visible_lines

WIDTH_WITHOUT_TERMINAL = 120
MOST_CHARACTERS = 1_000  # of a cell


def shown(text: str, style: str = "") -> Text:
    """Lines as they are: not with rich's markup for square brackets, nor with what controls a terminal."""
    return Text(visible_lines(text), style=style)


def texts(*cells: object) -> list[Text]:
    """The cells of a row, the beginning of a long one."""
    return [Text(visible(cut(str(cell), MOST_CHARACTERS))) for cell in cells]


def table_of(*columns: str) -> Table:
    """An empty table."""
    table = Table(box=box.SIMPLE)
    for column in columns:
        table.add_column(*texts(column), overflow="fold")
    return table


def terminal() -> Console:
    """The standard output."""
    found = _StandardOutput(highlight=False)
    return found if found.is_terminal else _StandardOutput(highlight=False, width=WIDTH_WITHOUT_TERMINAL)


class _StandardOutput(Console):
    def on_broken_pipe(self) -> None:
        # rich's own ends the process.
        standard_streams.go_nowhere(self.file)
