"""Which configurations a sweep has had: in a finite space none is proposed twice while another is left."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from hposweep.search_space import Configuration, SearchSpace, uniform

MOST_DRAWS = 100  # for one trial
LARGEST_LISTED = 10_000  # configurations of a space that are listed to find those that are left


@dataclass
class Tried:
    """The configurations of the trials that were started."""

    search_space: SearchSpace
    seed: int
    _identities: set[str] = field(default_factory=set, init=False, repr=False)

    def add(self, configuration: Configuration) -> None:
        """Takes note of a trial's configuration."""
        self._identities.add(identity(configuration))

    def __contains__(self, configuration: Configuration) -> bool:
        return identity(configuration) in self._identities

    @property
    def is_all(self) -> bool:
        """Whether no configuration is left, or nothing is searched and there was a trial."""
        return len(self._identities) >= self.search_space.n_configurations

    def first_new(self, number: int, draws: Iterable[Configuration]) -> Configuration | None:
        """The first of the draws that is new, else one of those left; None where none is, or it can't be told.

        Args:
            number: of the trial, on which it depends which of those left is taken.
        """
        if self.is_all:
            return None
        again = next((each for each in itertools.islice(draws, MOST_DRAWS) if each not in self), None)
        return again if again is not None else self._one_of_those_left(number)

    def new_if_possible(self, number: int, draws: Iterator[Configuration]) -> Configuration:
        """The same where there is one, else the first of the draws."""
        drawn = next(draws)
        return self.first_new(number, itertools.chain([drawn], draws)) or drawn

    def at_point(self, number: int, point: np.ndarray) -> Configuration:
        """The configuration at a point of the unit cube, of shape (d,); where it was tried, another one if possible."""
        at = self.search_space.from_unit_cube(point[np.newaxis])
        return self.new_if_possible(number, itertools.chain(at, self.search_space.samples(self.seed, number)))

    def _one_of_those_left(self, number: int) -> Configuration | None:
        """Drawn from the prior, given that it is none of those tried; None where that can't be told."""
        if self.search_space.n_configurations > LARGEST_LISTED:
            return None
        left = [cell for cell in self.search_space.cells() if cell[0] not in self]
        ends = list(itertools.accumulate(probability for _, probability in left))
        # Values that a prior has, but never draws, are not left.
        if not ends or not ends[-1] > 0:
            return None
        at = uniform(self.seed, number, "what is left") * ends[-1]
        return next(configuration for (configuration, _), end in zip(left, ends, strict=True) if at < end)


def identity(configuration: Configuration) -> str:
    """A text that configurations share if they have the same values; 1, 1.0 and true are three values."""
    return repr(sorted(configuration.items()))
