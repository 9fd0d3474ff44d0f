"""How much each hyperparameter matters: permutation importance of a random forest, on trials that it has not seen."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hposweep.results.beliefs import Surface
from hposweep.results.sweep_data import SweepData, is_number
from hposweep.search_space import Configuration, Value, literal
from hposweep.shown_text import plural
from hposweep.sweep_folder.tables import NOT_SET
from hposweep.trial import Trial, TrialState

FEWEST_TRIALS = 20
ENOUGH = 0.25  # of the trials with a value
MOST_TRIALS = 1000  # of more trials a sample is taken: it gives the same, faster
N_TREES = 60
N_FOLDS = 4
N_REPEATS = 5
N_GRID = 40  # values of each hyperparameter in a surface
MOST_OPTIONS = 12


@dataclass(frozen=True)
class Importances:
    """The share of explained variance that is lost when a hyperparameter's values are shuffled."""

    keys: Sequence[str]  # the most important first
    means: Sequence[float]
    deviations: Sequence[float]  # standard deviation over folds and repeats
    explained: float  # R² of the forest on trials that it has not seen
    n_trials: int
    epochs: int | None = None  # after which they are compared; None: they are finished


@dataclass(frozen=True)
class NotShown:
    """Why there are no importances: they would mean nothing."""

    reason: str


@dataclass(frozen=True)
class _Sample:
    """Trials that were trained equally far."""

    trials: Sequence[Trial]
    losses: Sequence[float]
    keys: Sequence[str]  # of the hyperparameters that vary among them
    epochs: int | None  # None: these trials are finished


class Forests:
    """The random forests of a page, fitted anew for each; who makes many pages of a sweep may keep them for a while."""

    def importances(self, sweep: SweepData) -> Importances | NotShown:
        """As the function."""
        return importances(sweep)

    def surface(self, sweep: SweepData, key: str, other: str, base: Configuration) -> ForestSurface | None:
        """As `forest_surface`."""
        return forest_surface(sweep, key, other, base)


def importances(sweep: SweepData, seed: int = 0) -> Importances | NotShown:
    """Fits a random forest to the ranks of trials, and shuffles one hyperparameter after the other.

    Breiman, "Random Forests", Machine Learning 45, 2001, section 10. Two differences: the shuffled trials are
    those of a cross-validation's test fold, so that a forest that has learnt noise shows no importances; and the forest
    predicts the rank of a trial's value, so that a few huge values don't decide alone. Diverged trials rank last.

    The trials are the finished ones; where they are few among those with a value, as under a scheduler, these would
    be the survivors of a selection: then those that were compared at the largest rung where enough of them were.
    """
    sample = _sample(sweep, seed)
    if isinstance(sample, NotShown):
        return sample
    columns = _columns([trial.configuration for trial in sample.trials], sample.keys)
    drops, explained = _drops(columns, sample.losses, seed)
    order = np.argsort(-drops.mean(axis=1), kind="stable")
    return Importances(
        keys=[sample.keys[i] for i in order],
        means=[float(drops[i].mean()) for i in order],
        deviations=[float(drops[i].std(ddof=1)) for i in order],
        explained=explained,
        n_trials=len(sample.trials),
        epochs=sample.epochs,
    )


@dataclass(frozen=True)
class ForestSurface:
    """What a random forest says over two hyperparameters, and what it has learnt from."""

    surface: Surface
    values: Mapping[int, float]  # of the metric, by trial; those that diverged have none
    epochs: int | None  # after which these were compared; None: these trials are finished


def forest_surface(sweep: SweepData, key: str, other: str, base: Configuration, seed: int = 0) -> ForestSurface | None:
    """What such a forest says over two hyperparameters, the others as in `base`.

    Ranks are turned into the values that have them. None where there would be no importances, or one of the two has
    more options than a plot shows.
    """
    sample = _sample(sweep, seed)
    if isinstance(sample, NotShown) or not {key, other} <= {*sample.keys} & {*base}:
        return None
    values, others = _grid(sweep, sample, key), _grid(sweep, sample, other)
    if not values or not others:
        return None
    from scipy.stats import rankdata
    from sklearn.ensemble import RandomForestRegressor

    trained = [trial.configuration for trial in sample.trials]
    points = [{**base, key: value, other: of_other} for of_other in others for value in values]
    columns = _columns([*trained, *points], sample.keys)
    ranks = rankdata(sample.losses)
    forest = RandomForestRegressor(N_TREES, min_samples_leaf=2, random_state=seed).fit(columns[: len(trained)], ranks)
    order = np.argsort(ranks)
    known = order[np.isfinite(np.asarray(sample.losses)[order])]
    losses = np.interp(forest.predict(columns[len(trained) :]), ranks[known], np.asarray(sample.losses)[known])
    sign = sweep.history.direction.loss(1.0)
    surface = Surface(values, others, (sign * losses).reshape(len(others), len(values)))
    learnt = {
        trial.number: sign * loss
        for trial, loss in zip(sample.trials, sample.losses, strict=True)
        if math.isfinite(loss)
    }
    return ForestSurface(surface, learnt, sample.epochs)


def _sample(sweep: SweepData, seed: int) -> _Sample | NotShown:
    loss = sweep.history.direction.loss
    finished = [trial for trial in sweep.trials if trial.state in (TrialState.COMPLETE, TrialState.DIVERGED)]
    losses = {trial.number: loss(math.nan if trial.value is None else trial.value) for trial in finished}
    diverged = {trial.number: math.inf for trial in finished if trial.state is TrialState.DIVERGED}
    of_rungs: dict[int, dict[int, float]] = {}
    for point in sweep.compared:
        if point.epoch:
            of_rungs.setdefault(point.epoch, dict(diverged))[point.trial] = loss(point.value)
    n_enough = max(FEWEST_TRIALS, len({*losses, *(point.trial for point in sweep.compared)}) * ENOUGH)
    epochs = None
    if len(losses) < n_enough:
        epochs = max((epoch for epoch, found in of_rungs.items() if len(found) >= n_enough), default=None)
        losses = losses if epochs is None else of_rungs[epochs]
    if len(losses) < FEWEST_TRIALS:
        are = f"{plural(len(losses), 'trial')} {'is' if len(losses) == 1 else 'are'} finished"
        return NotShown(f"{are} (COMPLETE or DIVERGED); fewer than {FEWEST_TRIALS} tell little")
    trials = [sweep.history.trials[number] for number in sorted(losses)]
    keys = [key for key in sweep.varying_keys if len({_identity(trial.configuration, key) for trial in trials}) > 1]
    if len(keys) < 2:
        return NotShown("fewer than two hyperparameters vary, so there is nothing to compare")
    chance = np.random.default_rng(seed)
    if len(trials) > MOST_TRIALS:
        trials = [trials[i] for i in sorted(chance.choice(len(trials), MOST_TRIALS, replace=False))]
    if len({losses[trial.number] for trial in trials}) < 2:
        return NotShown("all finished trials have the same value")
    return _Sample(trials, [losses[trial.number] for trial in trials], keys, epochs)


def _grid(sweep: SweepData, sample: _Sample, key: str) -> list[Value]:
    """Values of a hyperparameter over the range that was tried, on its own scale; empty where there are too many."""
    values = [trial.configuration[key] for trial in sample.trials if key in trial.configuration]
    if not all(map(is_number, values)) or sweep.is_choice(key):
        options = {literal(value): value for value in values}
        return list(options.values()) if len(options) <= MOST_OPTIONS else []
    low, high = float(min(values)), float(max(values))
    spread = np.geomspace if sweep.is_log(key) else np.linspace
    grid = [float(value) for value in spread(low, high, N_GRID)]
    return sorted({round(value) for value in grid}) if all(isinstance(value, int) for value in values) else grid


def _drops(columns: np.ndarray, losses: Sequence[float], seed: int) -> tuple[np.ndarray, float]:
    """The drops of R², shape (n hyperparameters, folds * repeats), and the R² before them."""
    # These imports take 1.5 s, and only a sweep of many trials needs them.
    from scipy.stats import rankdata
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.inspection import permutation_importance
    from sklearn.model_selection import KFold

    ranks = rankdata(losses) / len(losses)
    drops, scores = [], []
    for train, test in KFold(N_FOLDS, shuffle=True, random_state=seed).split(columns):
        forest = RandomForestRegressor(N_TREES, min_samples_leaf=2, random_state=seed)
        forest.fit(columns[train], ranks[train])
        scores.append(forest.score(columns[test], ranks[test]))
        shuffled = permutation_importance(forest, columns[test], ranks[test], n_repeats=N_REPEATS, random_state=seed)
        drops.append(shuffled.importances)
    return np.concatenate(drops, axis=1), float(np.mean(scores))


def _identity(configuration: Configuration, key: str) -> str:
    return repr(configuration.get(key, NOT_SET))


def _columns(configurations: Sequence[Configuration], keys: Sequence[str]) -> np.ndarray:
    """Shape (n configurations, n keys)."""
    return np.column_stack([_column(configurations, key) for key in keys])


def _column(configurations: Sequence[Configuration], key: str) -> np.ndarray:
    """The values as numbers: themselves, or the numbers of their options; NaN, which trees take, if not set."""
    values = [configuration.get(key, NOT_SET) for configuration in configurations]
    if all(value is NOT_SET or is_number(value) for value in values):
        return np.array([math.nan if value is NOT_SET else float(value) for value in values])
    options = {text: i for i, text in enumerate(sorted({repr(value) for value in values if value is not NOT_SET}))}
    return np.array([math.nan if value is NOT_SET else float(options[repr(value)]) for value in values])
