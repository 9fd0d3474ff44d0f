"""How much each hyperparameter matters: permutation importance of a random forest, on trials that it has not seen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hposweep.results.sweep_data import SweepData, is_number
from hposweep.shown_text import plural
from hposweep.sweep_folder.tables import NOT_SET
from hposweep.trial import Trial, TrialState

FEWEST_TRIALS = 20
MOST_TRIALS = 1000  # of more trials a sample is taken: it gives the same, faster
N_TREES = 60
N_FOLDS = 4
N_REPEATS = 5


@dataclass(frozen=True)
class Importances:
    """The share of explained variance that is lost when a hyperparameter's values are shuffled."""

    keys: Sequence[str]  # the most important first
    means: Sequence[float]
    deviations: Sequence[float]  # standard deviation over folds and repeats
    explained: float  # R² of the forest on trials that it has not seen
    n_trials: int


@dataclass(frozen=True)
class NotShown:
    """Why there are no importances: they would mean nothing."""

    reason: str


def importances(sweep: SweepData, seed: int = 0) -> Importances | NotShown:
    """Fits a random forest to the ranks of the finished trials, and shuffles one hyperparameter after the other.

    Breiman, "Random Forests", Machine Learning 45, 2001, section 10. Two differences: the shuffled trials are
    those of a cross-validation's test fold, so that a forest that has learnt noise shows no importances; and the forest
    predicts the rank of a trial's value, so that a few huge values don't decide alone. Diverged trials rank last.
    """
    finished = [trial for trial in sweep.trials if trial.state in (TrialState.COMPLETE, TrialState.DIVERGED)]
    if len(finished) < FEWEST_TRIALS:
        are = f"{plural(len(finished), 'trial')} {'is' if len(finished) == 1 else 'are'} finished"
        return NotShown(f"{are} (COMPLETE or DIVERGED); fewer than {FEWEST_TRIALS} tell little")
    keys = [key for key in sweep.varying_keys if len({_identity(trial, key) for trial in finished}) > 1]
    if len(keys) < 2:
        return NotShown("fewer than two hyperparameters vary, so there is nothing to compare")
    chance = np.random.default_rng(seed)
    if len(finished) > MOST_TRIALS:
        finished = [finished[i] for i in sorted(chance.choice(len(finished), MOST_TRIALS, replace=False))]
    losses = [sweep.history.direction.loss(math.nan if trial.value is None else trial.value) for trial in finished]
    if len(set(losses)) < 2:
        return NotShown("all finished trials have the same value")
    columns = np.column_stack([_column(finished, key) for key in keys])
    drops, explained = _drops(columns, losses, seed)
    order = np.argsort(-drops.mean(axis=1), kind="stable")
    return Importances(
        keys=[keys[i] for i in order],
        means=[float(drops[i].mean()) for i in order],
        deviations=[float(drops[i].std(ddof=1)) for i in order],
        explained=explained,
        n_trials=len(finished),
    )


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


def _identity(trial: Trial, key: str) -> str:
    return repr(trial.configuration.get(key, NOT_SET))


def _column(trials: Sequence[Trial], key: str) -> np.ndarray:
    """The values as numbers: themselves, or the numbers of their options; NaN, which trees take, if not set."""
    values = [trial.configuration.get(key, NOT_SET) for trial in trials]
    if all(value is NOT_SET or is_number(value) for value in values):
        return np.array([math.nan if value is NOT_SET else float(value) for value in values])
    options = {text: i for i, text in enumerate(sorted({repr(value) for value in values if value is not NOT_SET}))}
    return np.array([math.nan if value is NOT_SET else float(options[repr(value)]) for value in values])
