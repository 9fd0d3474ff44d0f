"""What a failure is called: by its exception's type and the first line of the message. Failures are compared by that.

Notes, groups' parts, chained exceptions and further lines of the message stand in the traceback.
"""

from __future__ import annotations

import re

from hposweep.errors import ConfigError
from hposweep.shown_text import cut, shortened, visible

MOST_CHARACTERS_OF_A_LINE = 300
MOST_CHARACTERS = 20_000  # of a traceback, wherever it is kept but in failure.txt
WITHOUT_MODULE = ("builtins", "__main__")  # a traceback names other modules, too
# Between the parts of a traceback: the last part is that of the exception that was not caught.
CHAINED = re.compile(
    r"\n\n(?:The above exception was the direct cause of the following exception"
    r"|During handling of the above exception, another exception occurred):\n\n"
)
HEAD = re.compile(r"^(?:  \+ Exception Group )?Traceback\b.*$", re.MULTILINE)
GROUP_MARGIN = "  | "


def line_of_exception(error: BaseException) -> str:
    """The line of a failure where the exception is at hand."""
    if isinstance(error, ConfigError):  # its message says where, what and what is allowed
        return _short(f"{error}")
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ in WITHOUT_MODULE else f"{kind.__module__}.{kind.__qualname__}"
    try:
        message = _first_line(str(error))
    except Exception:
        message = "<its message can't be shown>"
    return _short(f"{name}: {message}" if message else name)


def line_of_text(text: str) -> str:
    """The line of a failure of which only the text is left: a traceback, or a reason in words.

    A traceback as Python writes it: after its head come indented lines, then the exception.
    """
    if HEAD.match(text) is None:
        return _short(_first_line(text))
    last = CHAINED.split(text)[-1]
    head = HEAD.search(last)
    lines = [line.removeprefix(GROUP_MARGIN) for line in last[head.end() if head else 0 :].splitlines()]
    return _short(next((line for line in lines if line.strip() and not line.startswith(" ")), _first_line(last)))


def as_recorded(text: str) -> str:
    """The text as journals and pages hold it: beginning and end, where it is very long."""
    return shortened(text, MOST_CHARACTERS)


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


def _short(line: str) -> str:
    return visible(cut(line.strip(), MOST_CHARACTERS_OF_A_LINE))
