"""Errors that a user can mend."""


class ConfigError(ValueError):
    """Something that the user wrote can't be used; the message is one line: where, what, what is allowed.

    It is shown without a traceback. Any other exception is our own bug, and keeps its traceback.
    """


class SweepError(RuntimeError):
    """A sweep stopped early; its results so far are in its folder."""


def nearest(word: str, allowed: list[str]) -> str:
    """`; did you mean 'x'? ` for the closest of the allowed words, and where none is close a full stop."""
    import difflib  # only where something is misspelt

    close = difflib.get_close_matches(word, allowed, n=1)
    return f"; did you mean '{close[0]}'? " if close else ". "
