"""Hyperband: brackets of successive halving from the most to the least eager to stop trials early."""

from __future__ import annotations

from collections.abc import Sequence

from hposweep.errors import ConfigError
from hposweep.schedulers.successive_halving import BracketShape, SuccessiveHalvingScheduler


def hyperband_brackets(levels: tuple[int, ...], eta: int) -> list[BracketShape]:
    """The brackets s = s_max to 0: s begins s rungs below r_max with floor((s_max + 1) / (s + 1)) * eta**s trials.

    These are the numbers of the paper's Table 1. Its Algorithm 1 rounds up after the multiplication instead, and gives
    34, 15 and 8 in place of 27, 9 and 6 for R = 81 and eta = 3.
    """
    s_max = len(levels) - 1
    return [BracketShape(levels[s_max - s :], (s_max + 1) // (s + 1) * eta**s) for s in range(s_max, -1, -1)]


class HyperbandScheduler(SuccessiveHalvingScheduler):
    """Runs the brackets of `hyperband_brackets` in turn, and begins again after the last one.

    Li et al., "Hyperband: A Novel Bandit-Based Approach to Hyperparameter Optimization", JMLR 18 (2018), Algorithm 1
    and Table 1. Free workers begin with the next bracket while a rung waits.

    Args:
        r_max: epochs of a complete trial.
        r_min: epochs of the first rung of the first bracket.
        eta: one trial in eta goes on, to eta times the epochs.
        brackets: how many of the brackets are run, the first ones; None: all.

    Raises:
        ConfigError: as `rung_levels`, or if there are fewer brackets.
    """

    def __init__(self, r_max: int, r_min: int = 1, eta: int = 3, brackets: int | None = None) -> None:
        self._n_used = brackets
        super().__init__(r_max, r_min, eta)

    def _bracket_shapes(self, levels: tuple[int, ...]) -> Sequence[BracketShape]:
        check_brackets(self._n_used, levels)
        return hyperband_brackets(levels, self.eta)[: self._n_used]


def check_brackets(brackets: int | None, levels: tuple[int, ...]) -> None:
    """Raises a ConfigError unless there are as many brackets."""
    if brackets is None:
        return
    if isinstance(brackets, bool) or not isinstance(brackets, int) or not 1 <= brackets <= len(levels):
        raise ConfigError(f"brackets: must be from 1 to {len(levels)} (the number of rungs), got {brackets!r}")
