"""What a search begins with: configurations tried first, and the results of other sweeps."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hposweep.beginnings import Extent, with_beginnings
from hposweep.errors import ConfigError
from hposweep.search_space import Configuration, SearchSpace, parse_hyperparameter, parse_search_space
from hposweep.searchers import Exhausted, Searcher, Wait
from hposweep.searchers.bayesian import BayesianSearcher
from hposweep.searchers.grid import GridSearcher
from hposweep.searchers.random import RandomSearcher
from hposweep.trial import Direction, Trial, TrialState
from support.strategies import search_trees

MLP = {"model": {"num_layers": "randint(1, 4)"}, "dropout": "uniform()"}
SPACE = SearchSpace(
    parse_search_space(
        {
            "model": {
                "choice": {"softmax": None, "mlp": {"model.num_layers": "randint(1, 4)", "dropout": "uniform()"}}
            },
            "optimizer": {"learning_rate": "loguniform(1e-4, 1)"},
        },
        lambda key, node: parse_hyperparameter(node),
        nested=True,
    )
)


def beginning(searcher: Searcher, space: SearchSpace = SPACE, **options: Any) -> Searcher:
    given: dict[str, Any] = {"initial_configs": None, "learn_from": None, "n_seeds": 1, "metric": "value"}
    return with_beginnings(searcher, space, 0, direction=Direction.minimize, **{**given, **options})


def proposals(searcher: Searcher, n: int, loss: Callable[[Configuration], float] = lambda each: 0.0) -> list[Any]:
    found: list[Configuration | Wait | Exhausted] = []
    for number in range(n):
        proposal = searcher.propose(number, ())
        found.append(proposal)
        if isinstance(proposal, dict):
            trial = Trial(number, proposal, seed=0)
            searcher.start(trial)
            searcher.tell(trial, loss(proposal))
    return found


def test_given_configurations_come_first_and_what_they_leave_open_is_the_searchers() -> None:
    initial = [
        {"model": "softmax", "optimizer": {"learning_rate": 1}},
        {"model": "mlp", "model.num_layers": 3},
        {},
    ]
    found = proposals(beginning(RandomSearcher(SPACE, 0), initial_configs=initial), 6)
    assert found[0] == {"model": "softmax", "optimizer.learning_rate": 1.0}
    drawn = [SPACE.sample(0, number) for number in range(6)]
    assert found[1] == {**found[1], "model": "mlp", "model.num_layers": 3}
    assert found[1] in SPACE
    assert found[1]["optimizer.learning_rate"] == drawn[1]["optimizer.learning_rate"]
    assert found[2:] == drawn[2:]


@settings(max_examples=50)
@given(space=search_trees(), seed=st.integers(0, 1000), data=st.data())
def test_any_part_of_any_configuration_can_be_given(space: SearchSpace, seed: int, data: st.DataObject) -> None:
    whole = space.sample(seed, 1)
    # A part that has a key has the choices above it.
    active = space.active(whole)
    kept: dict[str, Any] = {}
    for dimension in active:
        is_open = dimension.when is None or space.dimension(dimension.when.choice).key in kept
        if is_open and data.draw(st.booleans()):
            kept[dimension.key] = whole[dimension.key]
    (found,) = proposals(beginning(RandomSearcher(space, seed), space, initial_configs=[kept]), 1)
    assert found in space
    assert {**found, **kept} == found


def test_a_searcher_that_is_exhausted_still_lets_them_be_tried() -> None:
    space = SearchSpace({"x": parse_hyperparameter("choice(1, 2)")})
    searcher = beginning(GridSearcher(space, 0), space, initial_configs=[{"x": 2}])
    assert proposals(searcher, 3) == [{"x": 2}, {"x": 1}, Exhausted()]


@pytest.mark.parametrize(
    ("initial", "message"),
    [
        (5, "initial_configs: must be a list of configurations, got 5"),
        ([5], "initial_configs[0]: must be a mapping from config keys to values, got 5"),
        ([{}, {"modle": "mlp"}], "initial_configs[1]: modle: is not searched; did you mean 'model'? Searched: model, "),
        ([{"model": "lenet"}], "initial_configs[0]: model: lenet is no value of choice(softmax, mlp) (2 options)"),
        ([{"optimizer.learning_rate": 2}], "initial_configs[0]: optimizer.learning_rate: 2.0 is no value of loguni"),
        ([{"dropout": 0.5}], "initial_configs[0]: dropout: exists only with model=mlp; give that, too"),
        ([{"model": "softmax", "dropout": 0.5}], "initial_configs[0]: dropout: exists only with model=mlp; give that"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_one_line(initial: object, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        beginning(RandomSearcher(SPACE, 0), initial_configs=initial)
    assert f"{error.value}".startswith(message)
    assert "\n" not in f"{error.value}"


def objective(configuration: Configuration) -> float:
    return math.log10(configuration["optimizer.learning_rate"] / 0.03) ** 2


def recorded(monkeypatch: pytest.MonkeyPatch, told: list[tuple[Trial, float]], metric: str = "value") -> None:
    """Lets every folder hold a sweep of these results."""

    class Found:
        direction = Direction.minimize

    Found.metric = metric  # type: ignore[attr-defined]
    monkeypatch.setattr("hposweep.beginnings.read_events", lambda folder: ())
    monkeypatch.setattr("hposweep.beginnings.results_of", lambda events: (Found, told))


def results(n: int) -> list[tuple[Trial, float]]:
    configurations = [SPACE.sample(1, number) for number in range(n)]
    trials = [Trial(number, each, 0, TrialState.COMPLETE) for number, each in enumerate(configurations)]
    return [(trial, objective(trial.configuration)) for trial in trials]


def test_a_searcher_goes_on_from_what_other_sweeps_have_found(monkeypatch: pytest.MonkeyPatch) -> None:
    recorded(monkeypatch, results(20))
    taught = beginning(BayesianSearcher(SPACE, 0), learn_from=["one", "other"])
    first = [objective(each) for each in proposals(taught, 5, objective)]
    untaught = [objective(each) for each in proposals(BayesianSearcher(SPACE, 0), 5, objective)]
    assert min(first) < 0.01 < min(untaught)
    again = beginning(BayesianSearcher(SPACE, 0), learn_from=["one", "other"])
    assert [objective(each) for each in proposals(again, 5, objective)] == first


@pytest.mark.parametrize(
    ("configuration", "message"),
    [
        ({"model": "softmax"}, "its trial 0 has no optimizer.learning_rate, which is searched here"),
        ({}, "its trial 0 has no model, which is searched here"),
        (
            {"model": "softmax", "optimizer.learning_rate": 0.1, "x": 1},
            "its trial 0 has x, which is not searched here",
        ),
        (
            {"model": "softmax", "optimizer.learning_rate": 7.0},
            "its trial 0 has optimizer.learning_rate=7.0, which is no value of loguniform(0.0001, 1) here",
        ),
    ],
    ids=str,
)
def test_a_sweep_over_another_space_is_refused(
    monkeypatch: pytest.MonkeyPatch, configuration: Configuration, message: str
) -> None:
    recorded(monkeypatch, [(Trial(0, configuration, 0, TrialState.COMPLETE), 1.0)])
    with pytest.raises(ConfigError) as error:
        beginning(RandomSearcher(SPACE, 0), learn_from=["folder"])
    assert f"{error.value}" == f"learn_from: folder: {message}"


def test_a_sweep_of_another_metric_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    recorded(monkeypatch, [], metric="accuracy")
    with pytest.raises(ConfigError, match=r"^learn_from: folder: its metric is accuracy, here it is value$"):
        beginning(RandomSearcher(SPACE, 0), learn_from=[Path("folder")])


def test_a_folder_without_a_sweep_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"journal.jsonl: not found; the folder holds no sweep"):
        beginning(RandomSearcher(SPACE, 0), learn_from=[tmp_path])
    with pytest.raises(ConfigError, match=r"^learn_from: must be a list of sweeps' folders, got 'x'$"):
        beginning(RandomSearcher(SPACE, 0), learn_from="x")


ENDS = "There are 2 configurations: the sweep ends when all were tried."
REPEATS = "The search space has 4 configurations: 16 of 20 trials will repeat one."


@pytest.mark.parametrize(
    ("searcher", "priors", "n_trials", "remark", "n_at_most"),
    [
        (RandomSearcher, {"x": "uniform(0, 1)"}, 20, "", 20),
        (RandomSearcher, {"x": "choice(1, 2)", "y": "randint(0, 2)"}, 4, "", 4),
        (RandomSearcher, {"x": "choice(1, 2)", "y": "randint(0, 2)", "z": 3}, 20, REPEATS, 20),
        (
            BayesianSearcher,
            {"x": "choice(1, 2)"},
            20,
            "There are 2 configurations: the sweep ends when all were tried.",
            2,
        ),
        (RandomSearcher, {"x": 1}, 20, "Nothing is searched: one trial is enough.", 1),
        (RandomSearcher, {}, 20, "Nothing is searched: one trial is enough.", 1),
        (
            GridSearcher,
            {"x": "uniform(0, 1)", "y": "choice(1, 2)"},
            4,
            "The grid has 10 combinations: the first 4 are tried; n_trials: null tries all.",
            4,
        ),
    ],
    ids=str,
)
def test_how_far_a_searcher_gets_is_remarked_on(
    searcher: type[Any], priors: dict[str, Any], n_trials: int, remark: str, n_at_most: int
) -> None:
    space = SearchSpace({key: parse_hyperparameter(node) for key, node in priors.items()})
    extent = Extent.of(searcher(space, 0), space)
    assert extent.checked_n_trials(n_trials, 1) == n_trials
    assert extent.remark(n_trials) == remark
    assert extent.n_at_most(n_trials, 1) == n_at_most


def test_null_stands_for_all_configurations_where_they_have_an_end() -> None:
    space = SearchSpace({"x": parse_hyperparameter("uniform(0, 1)"), "y": parse_hyperparameter("choice(1, 2)")})
    assert Extent.of(GridSearcher(space, 0, points=7), space).checked_n_trials(None, 1) == 14
    with pytest.raises(ConfigError, match=r"^n_trials: must be given, since there is no end of configurations"):
        Extent.of(RandomSearcher(space, 0), space).checked_n_trials(None, 1)
    with pytest.raises(ConfigError, match=r"^n_trials: must be at least 1, got 0$"):
        Extent.of(RandomSearcher(space, 0), space).checked_n_trials(0, 1)
