"""Configurations that the user wants tried first, before those of a searcher."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hposweep.errors import ConfigError, nearest
from hposweep.search_space import Configuration, Distribution, SearchSpace, Value, literal, uniform
from hposweep.search_space.dimensions import Dimension, bare
from hposweep.search_space.priors import same
from hposweep.searchers import Exhausted, Searcher, Wait, expected, stage_of
from hposweep.trial import Expected, Trial


@dataclass(frozen=True)
class InitialSearcher:
    """Proposes given configurations as the first trials; the searcher hears of them as of any other.

    What a configuration leaves open has the value that the searcher proposes for the trial or, where it proposes none,
    a draw from the prior. The draws of later trials are what they are without.
    """

    searcher: Searcher
    search_space: SearchSpace
    seed: int
    configurations: Sequence[Mapping[str, Value]]  # each may be partial; checked by `read_initial`

    def propose(self, number: int, pending: Sequence[Trial]) -> Configuration | Wait | Exhausted:
        proposal = self.searcher.propose(number, pending)
        if number >= len(self.configurations):
            return proposal
        others = proposal if isinstance(proposal, dict) else {}
        return _completed(self.search_space, self.configurations[number], others, self.seed, number)

    def expected(self, configurations: Sequence[Configuration]) -> list[Expected]:
        return expected(self.searcher, configurations)

    def start(self, trial: Trial) -> None:
        self.searcher.start(trial)

    def tell(self, trial: Trial, loss: float) -> None:
        self.searcher.tell(trial, loss)

    def stage(self) -> str:
        """That of the searcher."""
        return stage_of(self.searcher)


def read_initial(search_space: SearchSpace, nodes: object) -> list[dict[str, Value]]:
    """Reads a list of configurations, each by config key, with dots or nested, and as partial as one likes.

    Raises:
        ConfigError: with the position in front, if a key is none of the space, or can't have the value.
    """
    if not isinstance(nodes, list | tuple):
        raise ConfigError(f"must be a list of configurations, got {nodes!r}")
    found = []
    for position, node in enumerate(nodes):
        try:
            if not isinstance(node, Mapping):
                raise ConfigError(f"must be a mapping from config keys to values, got {node!r}")
            found.append(_read(search_space, node))
        except ConfigError as error:
            raise ConfigError(f"[{position}]: {error}") from None
    return found


def _read(search_space: SearchSpace, node: Mapping[Any, Any]) -> dict[str, Value]:
    names = {bare(key): key for key in search_space.keys}
    given: dict[str, Value] = {}
    for name, value in _flattened("", node, names):
        if name not in names:
            known = f"{nearest(name, list(names))}Searched: {', '.join(names) or 'nothing'}"
            raise ConfigError(f"{name}: is not searched{known}")
        given[names[name]] = value
    found: dict[str, Value] = {}
    values: dict[str, Value] = {}  # by the dimension's id
    for dimension in search_space.dimensions:
        if dimension.key in given and _is_active(dimension, values):
            found[dimension.key] = values[dimension.id] = _value(dimension, given[dimension.key])
    inactive = next((key for key in given if key not in found), None)
    if inactive is not None:
        conditions = [f"{each.when}" for each in search_space.dimensions if each.key == inactive]
        raise ConfigError(f"{bare(inactive)}: exists only with {' or '.join(conditions)}; give that, too")
    return found


def _flattened(prefix: str, node: Mapping[Any, Any], names: Mapping[str, str]) -> Iterator[tuple[str, Value]]:
    """Each key with its value; a mapping that stands at a key of the space is a value."""
    for name, value in node.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping) and bare(key) not in names:
            yield from _flattened(f"{key}.", value, names)
        else:
            yield bare(key), value


def _value(dimension: Dimension, value: Value) -> Value:
    prior = dimension.prior
    if isinstance(prior, Distribution) and not prior.integer and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if value not in prior:
        raise ConfigError(f"{bare(dimension.key)}: {literal(value)} is no value of {prior} ({prior.support()})")
    return value


def _is_active(dimension: Dimension, values: Mapping[str, Value]) -> bool:
    when = dimension.when
    return when is None or (when.choice in values and same(values[when.choice], when.option))


def _completed(
    search_space: SearchSpace, given: Mapping[str, Value], proposal: Configuration, seed: int, number: int
) -> Configuration:
    """The configuration with the given values, and for the rest those of the proposal, where it has the same branch."""
    proposed = {each.id: proposal[each.key] for each in search_space.active(proposal)} if proposal else {}
    found: Configuration = {}
    values: dict[str, Value] = {}
    for dimension in search_space.dimensions:
        if not _is_active(dimension, values):
            continue
        key, prior = dimension.key, dimension.prior
        if key in given:
            value = given[key]
        elif dimension.id in proposed:
            value = proposed[dimension.id]
        else:
            value = prior.at(np.array([uniform(seed, number, key)]))[0]
        found[key] = values[dimension.id] = value
    return found
