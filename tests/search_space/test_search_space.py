"""The search space: parsing, sampling, the unit cube."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from hposweep.errors import ConfigError
from hposweep.search_space import Choice, Constant, Distribution, SearchSpace, parse_hyperparameter, trial_seed
from hposweep.search_space.priors import Hyperparameter, integers, interval
from support.strategies import search_spaces, texts

seeds = st.integers(0, 2**32 - 1)


@given(search_space=search_spaces, seed=seeds, number=st.integers(0, 10_000))
def test_samples_lie_in_the_search_space(search_space: SearchSpace, seed: int, number: int) -> None:
    assert search_space.sample(seed, number) in search_space


@given(search_space=search_spaces, seed=seeds, number=st.integers(0, 1000))
def test_the_way_to_the_unit_cube_and_back_gives_the_configuration(
    search_space: SearchSpace, seed: int, number: int
) -> None:
    configuration = search_space.sample(seed, number)
    again = search_space.from_unit_cube(search_space.to_unit_cube([configuration]))[0]
    for key, value in configuration.items():
        if isinstance(value, float):
            assert again[key] == pytest.approx(value, rel=1e-6, abs=1e-9)
        else:
            assert again[key] == value
            assert type(again[key]) is type(value)


@given(search_space=search_spaces, seed=seeds, n=st.integers(1, 40))
def test_many_points_are_those_of_each_to_the_bit(search_space: SearchSpace, seed: int, n: int) -> None:
    configurations = [search_space.sample(seed, number) for number in range(n)]
    alone = [search_space.to_unit_cube([each])[0] for each in configurations]
    assert np.array_equal(search_space.to_unit_cube(configurations), np.array(alone))
    for dimension in search_space.columns:
        values = [each[dimension.key] for each in configurations]
        assert dimension.prior.quantiles(values).tolist() == [dimension.prior.quantile(value) for value in values]


@given(search_space=search_spaces, corner=st.sampled_from([0.0, 1 - 2**-53]))
def test_the_corners_of_the_unit_cube_are_configurations(search_space: SearchSpace, corner: float) -> None:
    configuration = search_space.from_unit_cube(np.full((1, len(search_space)), corner))[0]
    assert configuration in search_space
    assert all(math.isfinite(value) for value in configuration.values() if isinstance(value, float))


@given(search_space=search_spaces, seed=seeds)
def test_an_added_hyperparameter_moves_no_other_draw(search_space: SearchSpace, seed: int) -> None:
    added = {"added": parse_hyperparameter("uniform(0, 1)"), **search_space.hyperparameters}
    configuration = SearchSpace(added).sample(seed, 3)
    del configuration["added"]
    assert configuration == search_space.sample(seed, 3)


def test_another_seed_moves_every_draw() -> None:
    space = SearchSpace({"a": parse_hyperparameter("uniform(0, 1)"), "b": parse_hyperparameter("norm(0, 1)")})
    draws = [value for seed in range(50) for number in range(10) for value in space.sample(seed, number).values()]
    assert len(set(draws)) == len(draws)


def test_the_seeds_of_trials_differ_and_lie_in_the_range_that_keras_takes() -> None:
    found = [trial_seed(seed, number) for seed in (0, 1, 2**32 - 1) for number in range(300)]
    assert len(set(found)) == len(found)
    assert all(0 <= seed < 2**31 for seed in found)


CONTINUOUS = [
    ("loguniform(1e-4, 1)", stats.loguniform(1e-4, 1)),
    ("uniform(-2, 5)", stats.uniform(-2, 5)),
    ("norm(1, 2)", stats.norm(1, 2)),
    ("beta(5, 1)", stats.beta(5, 1)),
    ("beta(a=0.5, b=0.5)", stats.beta(0.5, 0.5)),
    ("gamma(2, scale=0.01)", stats.gamma(2, scale=0.01)),
    ("expon(scale=3)", stats.expon(scale=3)),
    ("truncnorm(-1, 2)", stats.truncnorm(-1, 2)),
    ("triang(0.3)", stats.triang(0.3)),
    ("lognorm(0.9)", stats.lognorm(0.9)),
    ("weibull_min(1.7)", stats.weibull_min(1.7)),
    ("t(4)", stats.t(4)),
]
N_DRAWS = 2000


def draws(prior: Hyperparameter) -> list[Any]:
    space = SearchSpace({"optimizer.learning_rate": prior})
    return [space.sample(0, number)["optimizer.learning_rate"] for number in range(N_DRAWS)]


@pytest.mark.parametrize(("text", "distribution"), CONTINUOUS, ids=[text for text, _ in CONTINUOUS])
def test_draws_follow_the_continuous_distribution(text: str, distribution: object) -> None:
    # Fixed seeds; for a random one this fails by chance once in a million times.
    assert stats.kstest(draws(parse_hyperparameter(text)), distribution.cdf).pvalue > 1e-6  # type: ignore[attr-defined]


WHOLE_NUMBERS = [
    ("randint(1, 5)", dict.fromkeys(range(1, 5), 1 / 4)),
    ("binom(4, 0.3)", {n: stats.binom(4, 0.3).pmf(n) for n in range(5)}),
    ("int(loguniform(2, 6))", {n: math.log((n + 1) / n) / math.log(7 / 2) for n in range(2, 7)}),
    ("int(uniform(0, 3))", dict.fromkeys(range(3), 1 / 3)),
    ("choice(10, 20, 30)", dict.fromkeys((10, 20, 30), 1 / 3)),
]


@pytest.mark.parametrize(("text", "probabilities"), WHOLE_NUMBERS, ids=[text for text, _ in WHOLE_NUMBERS])
def test_whole_numbers_have_the_right_frequencies_the_ends_included(text: str, probabilities: dict[int, float]) -> None:
    found = draws(parse_hyperparameter(text))
    assert set(found) <= set(probabilities)
    assert all(type(value) is int for value in found)
    observed = [found.count(value) for value in probabilities]
    expected = [probability * N_DRAWS for probability in probabilities.values()]
    assert stats.chisquare(observed, expected).pvalue > 1e-6


def test_hydras_intervals_are_half_open_and_its_integer_ones_hold_both_ends() -> None:
    nearly_one = np.array([0.0, 1 - 2**-53])
    assert interval(0.0, 1.0, log=False, text="interval(0,1)").at(nearly_one)[1] < 1.0
    assert integers(1, 5, log=False, text="int(interval(1,5))").at(nearly_one) == [1, 5]
    assert integers(1, 5, log=True, text="tag(log,int(interval(1,5)))").at(nearly_one) == [1, 5]


def test_values_are_plain_python() -> None:
    space = SearchSpace({"a": parse_hyperparameter("norm(0, 1)"), "b": parse_hyperparameter("randint(0, 9)")})
    assert [type(value) for value in space.sample(0, 0).values()] == [float, int]


@given(text=texts)
def test_the_text_of_a_hyperparameter_reads_back_as_the_same(text: str) -> None:
    prior = parse_hyperparameter(text)
    again = parse_hyperparameter(str(prior))
    assert str(again) == str(prior)
    assert again == prior


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        ({"distribution": "beta", "a": 5, "b": 1}, "beta(a=5, b=1)"),
        ({"choice": ["sgd", "adam"]}, "choice(sgd, adam)"),
        ("choice(true, null, 'true', 1.5, -2)", "choice(true, null, 'true', 1.5, -2)"),
        ("loguniform(a=1e-4, b=1)", "loguniform(a=0.0001, b=1)"),
    ],
)
def test_the_forms_of_yaml(node: object, expected: str) -> None:
    assert str(parse_hyperparameter(node)) == expected


@pytest.mark.parametrize("value", [3, 0.5, True, None, "adam", [1, 2]])
def test_anything_else_is_a_constant_and_no_dimension(value: object) -> None:
    space = SearchSpace({"key": parse_hyperparameter(value), "x": parse_hyperparameter("uniform(0, 1)")})
    assert space.hyperparameters["key"] == Constant(value)
    assert len(space) == 1
    assert space.sample(0, 0)["key"] == value


def test_choice_tells_true_from_one() -> None:
    choice = parse_hyperparameter("choice(1, true, 1.0)")
    assert isinstance(choice, Choice)
    assert [type(value) for value in choice.at(np.array([0.1, 0.5, 0.9]))] == [int, bool, float]


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ("loguniform(1, 1e-4)", "loguniform(a, b) needs 0 < a < b, got a=1, b=0.0001"),
        ("loguniform(0, 1)", "loguniform(a, b) needs 0 < a < b, got a=0, b=1"),
        ("randint(4, 1)", "randint(low, high) needs low < high, got low=4, high=1"),
        ("uniform(0, -1)", "uniform(0, -1): scale must be above 0, got -1; usage: uniform(loc=0, scale=1)"),
        ("beta(-1, 1)", "beta(-1, 1): SciPy's beta does not exist for these values; usage: beta(a, b, loc=0, scale=1)"),
        ("randint(0, 1000000000000000000000000)", "randint(0, 1000000000000000000000000): wrong arguments; usage"),
        (f"uniform({'9' * 400}, 1)", f"uniform({'9' * 400}, 1): wrong arguments; usage"),
        ("loguniform(1, inf)", "loguniform(1, inf): half of its draws or more would not be finite; usage"),
        ("norm(0, inf)", "norm(0, inf): "),
        ("int(pareto(0.001))", "pareto(0.001): half of its draws or more would not be finite; usage"),
        ("int(loguniform(1, 1e30))", "int(loguniform(1, 1e+30)): whole numbers are drawn up to 2**53"),
        ("uniform(scale=2, scale=3)", "uniform(scale=2, scale=3): scale stands twice"),
        ("choice({[1]: 1}, 2)", "choice({[1]: 1}, 2): '{[1]: 1}' is not a literal"),
        (
            {"distribution": "choice", "options": [1]},
            "'choice' is no distribution of scipy.stats; a choice is",
        ),
        ("beta(5)", "beta(5): wrong arguments; usage: beta(a, b, loc=0, scale=1)"),
        ("unifrm(0, 1)", "no distribution 'unifrm'; did you mean 'uniform'? Allowed: choice(...), int(...), and the"),
        ("choice()", "choice() needs at least one option"),
        ({"choice": []}, "choice() needs at least one option"),
        ("choice(a, b, a)", "choice(a, b, a): option a stands twice"),
        ("int(choice(1, 2))", "int(choice(1, 2)): int(...) takes a distribution, not choice(1, 2)"),
        ("int(randint(1, 4))", "int(randint(1, 4)): randint(1, 4) gives integers already"),
        (
            "uniform(a, b)",
            "uniform(a, b): arguments of a distribution are numbers, got a; usage: uniform(loc=0, scale=1)",
        ),
        ("uniform(*[0, 1])", "is not a literal"),
        ("uniform(**{'loc': 0})", "** is not allowed"),
        ('__import__("os").system("x")', "not a distribution"),
        ("uniform(__import__('os').system('x'), 1)", "is not a literal"),
        ("uniform(0, 1", "can't be read"),
        ("uniform((lambda: 0)(), 1)", "is not a literal"),
        ("norm(" + "(" * 5000, "can't be read"),
        ("norm(" + "1," * 10_000 + ")", "at most 10000 are read"),
        ({"distribution": "nosuch"}, "no distribution 'nosuch'"),
        ({"choice": {"a": 1}}, "choice: takes a list of options"),
        ({"choice": ["a"], "b": 1}, "'b' can't stand beside 'choice'"),
    ],
)
def test_what_is_refused_and_how(node: object, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_hyperparameter(node)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_distribution_of_scipy_can_be_named() -> None:
    assert isinstance(parse_hyperparameter("nbinom(n=2, p=0.5)"), Distribution)
    assert isinstance(parse_hyperparameter("genextreme(0.1)"), Distribution)


def test_points_outside_of_the_unit_cube_are_refused() -> None:
    space = SearchSpace({"x": parse_hyperparameter("uniform(0, 1)")})
    for points in (np.array([[1.0]]), np.array([[-0.1]]), np.array([[math.nan]]), np.array([[0.1, 0.2]])):
        with pytest.raises(ValueError, match="points must"):
            space.from_unit_cube(points)
