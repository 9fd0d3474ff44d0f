"""What Keras, TensorFlow or a function of the user's has raised, as a part of our own one-line errors."""

from __future__ import annotations

import re
import sysconfig
import traceback
from pathlib import Path

# Folders whose code no line of ours names.
NOT_OF_THE_USER = (Path(__file__).parents[1], *(Path(sysconfig.get_path(name)) for name in ("stdlib", "purelib")))
# What Keras adds to a layer's message: escapes for terminals, the call around it, and all of its arguments.
ESCAPES = re.compile(r"\x1b\[\d*m")
AROUND = re.compile(r"Exception encountered when calling .*?\(\)\.\s*|\s*Arguments received by .*", re.DOTALL)
NUMBERS = re.compile(r"\[\[.*\]\]", re.DOTALL)


def reason(error: BaseException) -> str:
    """The message in one line, without what Keras adds to it."""
    text = NUMBERS.sub("[[...]]", AROUND.sub("", ESCAPES.sub("", str(error))))
    return " ".join(text.split())


def with_place(error: BaseException) -> str:
    """The error's kind and message, with the line of the user's own code that has raised it."""
    of_user = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_of_the_user(frame.filename)]
    where = f" ({Path(of_user[-1].filename).name}, line {of_user[-1].lineno})" if of_user else ""
    return f"{type(error).__name__}: {reason(error)}{where}"


def _is_of_the_user(file: str) -> bool:
    return not file.startswith("<") and not any(Path(file).is_relative_to(folder) for folder in NOT_OF_THE_USER)
