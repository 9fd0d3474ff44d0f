"""Text as people see it: foreign one without control characters, and no longer than anybody reads; counts."""

from __future__ import annotations

import os
import shlex
import unicodedata
from collections.abc import Sequence

# Control and format characters, halves of surrogate pairs, line and paragraph separators.
NO_PART_OF_A_LINE = ("Cc", "Cf", "Cs", "Zl", "Zp")
LONGEST_NOTE = 40  # what a cut adds: a text that is longer by so little is left as it is


def visible(text: str) -> str:
    """The text in one line that can do nothing to a terminal: control characters as escapes."""
    return text if text.isprintable() else "".join(map(_visible, text))


def visible_lines(text: str) -> str:
    """The same, its lines kept."""
    return "\n".join(map(visible, text.split("\n")))


def cut(text: str, n_most: int) -> str:
    """The beginning of a text that is longer than so many characters, and how long it is."""
    return text if len(text) <= n_most + LONGEST_NOTE else f"{text[:n_most]}… ({len(text):,} characters)"


def shortened(text: str, n_most: int) -> str:
    """Beginning and end of a text that is longer than so many characters, and how long it is."""
    if len(text) <= n_most + LONGEST_NOTE:
        return text
    half = n_most // 2
    return f"{text[:half]}\n… ({len(text):,} characters) …\n{text[-half:]}"


def plural(n: int, word: str) -> str:
    """A count with its noun: `1 trial`, `2 trials`."""
    return f"{n:,} {word}{'' if n == 1 else 's'}"


def shell_line(words: Sequence[str]) -> str:
    """The words quoted for a shell, those with control characters as bash and zsh read them: `$'a\\x1b'`."""
    return " ".join(shlex.quote(word) if word.isprintable() else _ansi_c_quoted(word) for word in words)


def _ansi_c_quoted(word: str) -> str:
    return "$'" + "".join(map(_escape, word)) + "'"


def _escape(character: str) -> str:
    if character in "\\'":
        return f"\\{character}"
    if unicodedata.category(character) not in NO_PART_OF_A_LINE:
        return character
    # Octal: always three digits, whatever follows.
    return "".join(f"\\{byte:03o}" for byte in os.fsencode(character))


def _visible(character: str) -> str:
    if unicodedata.category(character) not in NO_PART_OF_A_LINE:
        return character
    return character.encode("unicode_escape").decode("ascii")
