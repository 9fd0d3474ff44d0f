"""The optimizers that run.py compares, behind one interface: points in, losses out.

All of them see the same space. What Bayesmark calls real, or whole but not linear, is a number in [0, 1], evenly spread
over Bayesmark's own warped coordinate (log, logit, bilog), and mapped back outside of the optimizer. Linear whole
numbers are whole numbers, and choices and booleans are unordered. The 8 suggestions of a round are asked for one after
the other, each with the earlier ones pending, but for HEBO, which has batches of its own.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from bayesmark.random_search import suggest_dict
from bayesmark.space import UNWARP_DICT, WARP_DICT

Point = dict[str, Any]  # in the optimizer's coordinates
ApiConfig = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Coordinate:
    """How the optimizers see one of Bayesmark's hyperparameters."""

    config: Mapping[str, Any]  # its entry in Bayesmark's api_config

    @property
    def options(self) -> Sequence[Any]:
        """Those of an unordered one; none for a number."""
        return (False, True) if self.config["type"] == "bool" else self.config.get("values", ())

    @property
    def n_whole(self) -> int | None:
        """How many whole numbers a linear one has; None for any other."""
        if self.config["type"] != "int" or self.config["space"] != "linear":
            return None
        low, high = self.config["range"]
        return int(high - low) + 1

    def value(self, at: float) -> Any:
        """Bayesmark's value: of the number of an option, of a whole number from 0, or of a number in [0, 1]."""
        if self.options:
            return self.options[int(at)]
        low, high = self.config["range"]
        if self.n_whole is not None:
            return int(low + at)
        space = self.config["space"]
        warped_low, warped_high = (WARP_DICT[space](float(end)) for end in (low, high))
        unwarped = float(np.clip(UNWARP_DICT[space](warped_low + at * (warped_high - warped_low)), low, high))
        return round(unwarped) if self.config["type"] == "int" else unwarped


class Engine(Protocol):
    """An optimizer of points."""

    def suggest(self, n: int) -> list[Point]:
        """A round's points; all of them are observed before the next round."""

    def observe(self, losses: Sequence[float]) -> None:
        """The losses of the points that were suggested last, in their order; infinite where a training failed."""


class Ours:
    """A searcher of ours: of the module `latin_hypercube`, `LatinHypercubeSearcher`."""

    def __init__(self, name: str, coordinates: Mapping[str, Coordinate], seed: int) -> None:
        from hposweep.search_space import SearchSpace, parse_hyperparameter

        module = importlib.import_module(f"hposweep.searchers.{name}")
        kind = getattr(module, "".join(part.title() for part in name.split("_")) + "Searcher")
        priors = {key: self._prior(coordinate) for key, coordinate in coordinates.items()}
        search_space = SearchSpace({key: parse_hyperparameter(prior) for key, prior in priors.items()})
        self.coordinates = coordinates
        self.searcher = kind(search_space=search_space, seed=seed)
        self.n_trials = 0
        self.pending: list[Any] = []

    @staticmethod
    def _prior(coordinate: Coordinate) -> str:
        if coordinate.options:
            return f"choice({', '.join(f'option_{n}' for n in range(len(coordinate.options)))})"
        return "uniform(0, 1)" if coordinate.n_whole is None else f"randint(0, {coordinate.n_whole})"

    def suggest(self, n: int) -> list[Point]:
        from hposweep.searchers import Exhausted
        from hposweep.trial import Trial

        points = []
        for _ in range(n):
            configuration = self.searcher.propose(self.n_trials, tuple(self.pending))
            if isinstance(configuration, Exhausted):
                # kNN has 100 configurations and a study 128 evaluations: the first one again is as good as any other.
                configuration = self.searcher.search_space.sample(0, self.n_trials)
            trial = Trial(self.n_trials, configuration, seed=0)
            self.searcher.start(trial)
            self.pending.append(trial)
            self.n_trials += 1
            points.append({key: self._number(key, value) for key, value in configuration.items()})
        return points

    def _number(self, key: str, value: Any) -> float:
        return int(value.removeprefix("option_")) if self.coordinates[key].options else value

    def observe(self, losses: Sequence[float]) -> None:
        for trial, loss in zip(self.pending, losses, strict=True):
            self.searcher.tell(trial, loss)
        self.pending = []


class OptunaTpe:
    """Optuna's TPESampler: multivariate, and with a constant liar for the pending ones."""

    def __init__(self, coordinates: Mapping[str, Coordinate], seed: int) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True)
        self.study = optuna.create_study(sampler=sampler)
        self.space = {key: self._distribution(coordinate) for key, coordinate in coordinates.items()}
        self.asked: list[Any] = []

    @staticmethod
    def _distribution(coordinate: Coordinate) -> Any:
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        if coordinate.options:
            return CategoricalDistribution(range(len(coordinate.options)))
        return FloatDistribution(0, 1) if coordinate.n_whole is None else IntDistribution(0, coordinate.n_whole - 1)

    def suggest(self, n: int) -> list[Point]:
        self.asked = [self.study.ask(self.space) for _ in range(n)]
        return [trial.params for trial in self.asked]

    def observe(self, losses: Sequence[float]) -> None:
        for trial, loss in zip(self.asked, losses, strict=True):
            self.study.tell(trial, loss)


class Hebo:
    """HEBO as it comes, the challenge's winner (Cowen-Rivers et al., JAIR 74, 2022)."""

    def __init__(self, coordinates: Mapping[str, Coordinate], seed: int) -> None:
        import torch
        from hebo.design_space.design_space import DesignSpace
        from hebo.optimizers.hebo import HEBO

        torch.manual_seed(seed)
        torch.set_num_threads(1)
        space = DesignSpace().parse([self._parameter(key, coordinate) for key, coordinate in coordinates.items()])
        self.engine = HEBO(space, scramble_seed=seed)
        self.asked: Any = None
        self.worst = -np.inf  # of the finite losses

    @staticmethod
    def _parameter(key: str, coordinate: Coordinate) -> dict[str, Any]:
        if coordinate.options:
            return {"name": key, "type": "cat", "categories": list(range(len(coordinate.options)))}
        if coordinate.n_whole is not None:
            return {"name": key, "type": "int", "lb": 0, "ub": coordinate.n_whole - 1}
        return {"name": key, "type": "num", "lb": 0, "ub": 1}

    def suggest(self, n: int) -> list[Point]:
        self.asked = self.engine.suggest(n_suggestions=n)
        points: list[Point] = self.asked.to_dict("records")
        return points

    def observe(self, losses: Sequence[float]) -> None:
        self.worst = max([self.worst, *(loss for loss in losses if np.isfinite(loss))])
        # It has no notion of a failure: an infinite loss would make every later fit fail.
        told = [loss if np.isfinite(loss) else self.worst for loss in losses]
        self.engine.observe(self.asked, np.array(told).reshape(-1, 1))


ENGINES: Mapping[str, Callable[[Mapping[str, Coordinate], int], Engine]] = {
    "OptunaTPE": OptunaTpe,
    "HEBO": Hebo,
    "bayesian": lambda coordinates, seed: Ours("bayesian", coordinates, seed),
    "tpe": lambda coordinates, seed: Ours("tpe", coordinates, seed),
}


class Optimizer:
    """What Bayesmark's `run_study` asks and tells: its `AbstractOptimizer`."""

    def __init__(self, name: str, api_config: ApiConfig, seed: int) -> None:
        self.coordinates = {key: Coordinate(api_config[key]) for key in sorted(api_config)}
        self.engine = ENGINES[name](self.coordinates, seed)
        self.n_answers = 0  # calls that did not raise: Bayesmark catches what is raised, and goes on at random

    def suggest(self, n_suggestions: int) -> list[dict[str, Any]]:
        points = self.engine.suggest(n_suggestions)
        self.n_answers += 1
        return [{key: coordinate.value(point[key]) for key, coordinate in self.coordinates.items()} for point in points]

    def observe(self, X: Sequence[Mapping[str, Any]], y: Sequence[float]) -> None:  # noqa: N803 (Bayesmark's names)
        self.engine.observe(y)
        self.n_answers += 1


class RandomSearch:
    """Bayesmark's own random search, the reference of its score."""

    def __init__(self, api_config: ApiConfig, seed: int) -> None:
        self.api_config, self.random = api_config, np.random.RandomState(seed)
        self.n_answers = 0

    def suggest(self, n_suggestions: int) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = suggest_dict([], [], self.api_config, n_suggestions, self.random)
        self.n_answers += 1
        return found

    def observe(self, X: Sequence[Mapping[str, Any]], y: Sequence[float]) -> None:  # noqa: N803 (Bayesmark's names)
        self.n_answers += 1  # random search does not learn from results
