"""Searchers propose configurations. One file each; pure: no Hydra, no TensorFlow."""

from collections.abc import Sequence
from typing import Protocol

from hposweep.search_space import Configuration
from hposweep.trial import Trial


class Searcher(Protocol):
    """Proposes configurations, and is told each result."""

    def propose(self, number: int, pending: Sequence[Trial]) -> Configuration | None:
        """The configuration of trial `number`, knowing the trials still under way; None where no more are to come.

        Asking changes nothing: the same question has the same answer until `tell` is called.
        """

    def tell(self, trial: Trial) -> None:
        """A trial has a result at a rung, or has ended."""
