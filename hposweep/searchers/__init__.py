"""Searchers propose configurations. One file each; pure: no Hydra, no TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from hposweep.search_space import Configuration
from hposweep.trial import Expected, Trial


@dataclass(frozen=True)
class Wait:
    """An answer of a searcher: nothing now, since the next proposal needs results of trials that are under way."""


@dataclass(frozen=True)
class Exhausted:
    """An answer of a searcher: no more configurations are to come."""


class Searcher(Protocol):
    """Proposes configurations, and learns from losses.

    Losses are made small, whatever the direction of the sweep; infinity is the loss of a trial that failed or diverged.
    State changes by `start` and `tell` alone, which are told what the journal holds. The same events in the same order
    give the same proposals, so that a replay proposes as the sweep did.

        >>> from hposweep.search_space import SearchSpace, parse_hyperparameter
        >>> from hposweep.searchers.random import RandomSearcher
        >>> searcher = RandomSearcher(SearchSpace({"x": parse_hyperparameter("uniform(0, 1)")}), seed=0)
        >>> configuration = searcher.propose(number=0, pending=())
        >>> trial = Trial(0, configuration, seed=7)
        >>> searcher.start(trial)
        >>> searcher.tell(trial, loss=0.25)
    """

    def propose(self, number: int, pending: Sequence[Trial]) -> Configuration | Wait | Exhausted:
        """The configuration of trial `number`, knowing the trials that are under way.

        Asking changes nothing: the same question has the same answer until `start` or `tell` is called. A searcher
        waits only while a trial is pending: else it would wait for ever.
        """

    def start(self, trial: Trial) -> None:
        """The trial is on record, whoever proposed its configuration."""

    def tell(self, trial: Trial, loss: float) -> None:
        """The trial has come to a rung (it is PAUSED, at `trial.epoch`), or has ended.

        A trial that comes to several rungs is told at each of them, and one that fails after a rung is told as a
        failure.
        """


@runtime_checkable
class Expects(Protocol):
    """What a searcher has besides, whose model says what comes of a configuration."""

    def expected(self, configurations: Sequence[Configuration]) -> list[Expected]:
        """The loss of each configuration, at the end of a trial, as the results so far let it expect.

        Empty where there is no model yet. Asking changes nothing.
        """


def expected(searcher: Searcher, configurations: Sequence[Configuration]) -> list[Expected]:
    """What a searcher expects of each configuration; empty where it expects nothing."""
    return searcher.expected(configurations) if isinstance(searcher, Expects) else []


@runtime_checkable
class Staged(Protocol):
    """What a searcher has besides, that goes through stages."""

    def stage(self) -> str:
        """What it is at, such as `tpe: start-up, 7 of 10 results`.

        It is asked several times a second, and by another thread than that of the sweep.
        """


def stage_of(searcher: Searcher) -> str:
    """What a searcher is at; empty where it has no stages."""
    return searcher.stage() if isinstance(searcher, Staged) else ""
