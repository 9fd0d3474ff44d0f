"""Errors that a user can mend."""

from hposweep.shown_text import cut, visible

MOST_CHARACTERS = 5_000


class ConfigError(ValueError):
    """Something that the user wrote can't be used; the message is one line: where, what, what is allowed.

    It is shown without a traceback. Any other exception is our own bug, and keeps its traceback. What the message holds
    of the user's, or of a folder's, is shown with control characters as escapes.
    """

    def __init__(self, message: str) -> None:
        super().__init__(visible(cut(message, MOST_CHARACTERS)))


class SweepError(RuntimeError):
    """A sweep stopped early; its results so far are in its folder."""


def nearest(word: str, allowed: list[str]) -> str:
    """`; did you mean 'x'? ` for the closest of the allowed words, and where none is close a full stop."""
    import difflib  # only where something is misspelt

    close = difflib.get_close_matches(word, allowed, n=1)
    return f"; did you mean '{close[0]}'? " if close else ". "
