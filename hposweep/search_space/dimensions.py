"""What a search space is made of: hyperparameters under their keys, and choices whose options bring more of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hposweep.search_space.priors import Choice, Hyperparameter, Value, literal, same


@dataclass(frozen=True)
class ConditionalChoice:
    """A choice of which some options bring a branch: hyperparameters that exist under that option alone."""

    choice: Choice
    branches: tuple[Mapping[str, Node], ...]  # of each option; empty where it brings none

    def branch(self, option: Value) -> Mapping[str, Node]:
        """The branch of an option; empty where there is no such option."""
        for each, branch in zip(self.choice.options, self.branches, strict=True):
            if same(each, option):
                return branch
        return {}


Node = Hyperparameter | ConditionalChoice


@dataclass(frozen=True)
class Condition:
    """What a hyperparameter of a branch needs to be active: that a choice has this option."""

    choice: str  # id of its dimension
    option: Value

    def __str__(self) -> str:
        return f"{self.choice}={literal(self.option)}"


@dataclass(frozen=True)
class Dimension:
    """One hyperparameter of a search space."""

    id: str  # unique in the space; the key itself where there is no condition
    key: str  # the config key that it overrides
    prior: Hyperparameter
    when: Condition | None = None  # None: always active

    def record(self) -> dict[str, Value]:
        """What `sweep.yaml` holds of it: the record of its prior and, of a branch's, its key and condition."""
        if self.when is None:
            return self.prior.record()
        when = {"choice": self.when.choice, "option": self.when.option}
        return {**self.prior.record(), "key": self.key, "when": when}


def bare(key: str) -> str:
    """The key itself, without what an override has before it."""
    return key.lstrip("+~")
