"""Grid search: which combinations there are, and in which order."""

from collections.abc import Mapping
from typing import Any

import pytest

from hposweep.errors import ConfigError
from hposweep.search_space import Choice, ConditionalChoice, Configuration, Node, SearchSpace, parse_hyperparameter
from hposweep.searchers import Exhausted
from hposweep.searchers.grid import GridSearcher
from hposweep.trial import Trial


def space(priors: Mapping[str, str]) -> SearchSpace:
    return SearchSpace({key: parse_hyperparameter(text) for key, text in priors.items()})


MIXED = space({"x": "uniform(0, 1)", "n": "randint(1, 4)", "activation": "choice(relu, tanh)"})
LAYERS: dict[str, Node] = {"n_layers": parse_hyperparameter("randint(1, 3)")}
SIZES: dict[str, Node] = {
    "width": parse_hyperparameter("choice(8, 16)"),
    "depth": ConditionalChoice(Choice((1, 2)), ({}, LAYERS)),
}
TREE = SearchSpace(
    {
        "rate": parse_hyperparameter("choice(0.1, 0.2)"),
        "model": ConditionalChoice(Choice(("linear", "mlp")), ({}, SIZES)),
        "last": parse_hyperparameter("choice(a, b)"),
    }
)


def all_of(searcher: GridSearcher, begun: tuple[Configuration, ...] = ()) -> list[Configuration]:
    for number, configuration in enumerate(begun):
        searcher.start(Trial(number, configuration, seed=0))
    found: list[Configuration] = []
    while not isinstance(proposal := searcher.propose(len(begun) + len(found), ()), Exhausted):
        searcher.start(Trial(len(begun) + len(found), proposal, seed=0))
        found.append(proposal)
    return found


def test_the_last_key_varies_fastest() -> None:
    found = [tuple(each.values()) for each in all_of(GridSearcher(MIXED, 0, points=2))]
    assert found == [(x, n, name) for x in (0.25, 0.75) for n in (1, 2, 3) for name in ("relu", "tanh")]


def test_a_branch_is_combined_under_its_option_alone() -> None:
    sizes = [{"width": w, **d} for w in (8, 16) for d in ({"depth": 1}, *({"depth": 2, "n_layers": n} for n in (1, 2)))]
    models: list[Configuration] = [{"model": "linear"}, *({"model": "mlp", **each} for each in sizes)]
    expected = [{"rate": rate, **model, "last": last} for rate in (0.1, 0.2) for model in models for last in "ab"]
    searcher = GridSearcher(TREE, 0)
    assert searcher.n_combinations == len(expected) == TREE.n_configurations
    assert all_of(searcher) == expected


def test_what_was_tried_is_skipped() -> None:
    whole = all_of(GridSearcher(TREE, 0))
    assert all_of(GridSearcher(TREE, 0), begun=(whole[0], whole[1], whole[7])) == [*whole[2:7], *whole[8:]]


def test_a_log_scale_is_divided_evenly_in_the_logarithm() -> None:
    found = all_of(GridSearcher(space({"x": "loguniform(1e-4, 1)"}), 0, points=4))
    assert [each["x"] for each in found] == pytest.approx([10**-3.5, 10**-2.5, 10**-1.5, 10**-0.5])


@pytest.mark.parametrize(
    ("points", "n"),
    [
        (3, {"x": 3, "y": 3, "few": 100, "many": 3, "endless": 3, "option": 3}),
        ({"x": 2, "y": 7}, {"x": 2, "y": 7, "few": 100, "many": 5, "endless": 5, "option": 3}),
        ({"few": 4, "many": 200, "option": 2}, {"x": 5, "y": 5, "few": 4, "many": 200, "endless": 5, "option": 2}),
    ],
)
def test_each_hyperparameter_has_its_number_of_values(points: int | dict[str, int], n: Mapping[str, int]) -> None:
    texts = {
        "x": "uniform(0, 1)",
        "+y": "norm(0, 1)",
        "few": "randint(0, 100)",
        "many": "randint(0, 10000)",
        "endless": "poisson(30)",
        "option": "choice(a, b, c)",
    }
    product = 1
    for key, text in texts.items():
        name = key.lstrip("+")
        mine = {name: points[name]} if isinstance(points, dict) and name in points else {}
        alone = GridSearcher(space({key: text}), 0, points=mine if isinstance(points, dict) else points)
        assert alone.n_combinations == len(all_of(alone)) == n[name]
        product *= n[name]
    assert GridSearcher(space(texts), 0, points=points).n_combinations == product


def test_a_grid_that_no_memory_holds_has_each_of_its_combinations() -> None:
    searcher = GridSearcher(space({f"x{i}": "uniform(0, 1)" for i in range(40)}), 0, points=10)
    assert searcher.n_combinations == 10**40
    digits = [round(value * 10 - 0.5) for value in searcher.combination(1234567890 * 10**30 + 42).values()]
    assert digits == [*range(1, 10), *[0] * 29, 4, 2]


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (0, "points: must be a whole number of at least 1, got 0"),
        (2.0, "points: must be a whole number of at least 1, got 2.0"),
        (True, "points: must be a whole number of at least 1, got True"),
        ({"n": 0}, "points.n: must be a whole number of at least 1, got 0"),
        ({"activatoin": 2}, "points: the search space has no activatoin; did you mean 'activation'? Keys: x, n, act"),
    ],
)
def test_points_that_are_none_are_refused(points: Any, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        GridSearcher(MIXED, 0, points=points)
    assert str(error.value).startswith(message)
