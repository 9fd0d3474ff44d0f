"""Importance of hyperparameters: found where it is, and not shown where it would mean nothing."""

from pathlib import Path

import numpy as np
import pytest

from hposweep.history import History, SegmentEnded, SegmentStarted, TrialProposed
from hposweep.results import sweep_data
from hposweep.results.importance import Importances, NotShown, importances
from hposweep.results.sweep_data import SweepData
from hposweep.search_space import Configuration
from hposweep.trial import TrialState


def sweep(values: list[tuple[Configuration, float]], state: TrialState = TrialState.COMPLETE) -> SweepData:
    history = History(metric="error")
    for number, (configuration, value) in enumerate(values):
        history.apply(TrialProposed(number, configuration, 0))
        history.apply(SegmentStarted(number, 0, None, 1))
        history.apply(
            SegmentEnded(number, state if np.isfinite(value) else TrialState.DIVERGED, 1, {"error": value}, 1.0)
        )
    return SweepData("made up", history, None, {}, {}, [], [], [], 0.0, None, None)


def values(n: int, seed: int = 0) -> list[tuple[Configuration, float]]:
    """The value depends on `matters` alone, mostly, and the trial diverges where that is large."""
    chance = np.random.default_rng(seed)
    found = []
    for number in range(n):
        x, y = chance.random(2)
        configuration = {"idle": float(y), "matters": float(x), "name": str(chance.choice(["a", "b"])), "fixed": 3}
        if number % 2:
            configuration["now_and_then"] = float(chance.random())
        found.append((configuration, float("nan") if x > 0.9 else float((x - 0.5) ** 2 + 0.01 * y)))
    return found


def test_the_hyperparameter_that_matters_comes_first_by_far() -> None:
    found = importances(sweep(values(60)))
    assert isinstance(found, Importances)
    assert found.keys[0] == "matters"
    assert sorted(found.keys) == ["idle", "matters", "name", "now_and_then"]
    assert found.means[0] > 0.5 > 0.1 > max(found.means[1:])
    assert (found.n_trials, found.explained > 0.3) == (60, True)


def test_they_are_the_same_each_time() -> None:
    assert importances(sweep(values(30))) == importances(sweep(values(30)))


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (sweep(values(19)), "19 trials are finished (COMPLETE or DIVERGED); fewer than 20"),
        (sweep(values(40), TrialState.STOPPED), "5 trials are finished (COMPLETE or DIVERGED); fewer than 20"),
        (sweep([({"x": x, "fixed": 1}, x) for x in np.linspace(0, 1, 30)]), "fewer than two hyperparameters vary"),
        (sweep([({"x": x, "y": -x}, 0.5) for x in np.linspace(0, 1, 30)]), "have the same value"),
    ],
)
def test_they_are_not_shown_where_they_mean_nothing(made: SweepData, reason: str) -> None:
    found = importances(made)
    assert isinstance(found, NotShown)
    assert reason in found.reason


def test_numbers_too_large_to_draw_are_options(tmp_path: Path) -> None:
    assert sweep_data.is_number(1.5)
    assert not any(sweep_data.is_number(value) for value in (True, None, "1", float("inf"), 10**400))
