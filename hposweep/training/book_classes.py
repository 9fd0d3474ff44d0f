"""`d2l`: the classes of "Dive into Deep Learning" that ours extend, from the book's package where it is installed.

It is an extra of its own, since d2l 1.0.3 pins NumPy, SciPy and pandas of 2023, which have no wheels for Python 3.12.
Our training takes nothing from it but that our classes are the book's, and that the book's models are known.
"""

from __future__ import annotations

from types import SimpleNamespace

try:
    from d2l import tensorflow as d2l
except ModuleNotFoundError:  # of d2l, or of a package that it imports and leaves to others to install

    class _Module:
        """In place of the book's models: nothing is one."""

    class _DataModule:
        """In place of the book's data."""

    class _Trainer:
        """In place of the book's trainer."""

        def __init__(self, max_epochs: int) -> None:
            self.max_epochs = max_epochs

    d2l = SimpleNamespace(Module=_Module, DataModule=_DataModule, Trainer=_Trainer)

__all__ = ["d2l"]
