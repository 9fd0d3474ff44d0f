"""Local search: what a neighbour is, and whose."""

import math

import numpy as np
import pytest

from hposweep.errors import ConfigError
from hposweep.search_space import Choice, ConditionalChoice, Configuration, SearchSpace, parse_hyperparameter
from hposweep.searchers.local import LocalSearcher
from hposweep.trial import Trial

MIXED = SearchSpace(
    {
        "x": parse_hyperparameter("uniform(0, 1)"),
        "n": parse_hyperparameter("randint(0, 50)"),
        "option": parse_hyperparameter("choice(a, b, c)"),
    }
)
BEST: Configuration = {"x": 0.5, "n": 25, "option": "b"}


def told(searcher: LocalSearcher, results: list[tuple[Configuration, float]]) -> LocalSearcher:
    for number, (configuration, loss) in enumerate(results):
        trial = Trial(number, configuration, seed=0)
        searcher.start(trial)
        searcher.tell(trial, loss)
    return searcher


def proposals(searcher: LocalSearcher, n: int = 200) -> list[Configuration]:
    found = [searcher.propose(1000 + number, ()) for number in range(n)]
    return [each for each in found if isinstance(each, dict)]


def test_a_neighbour_is_near_the_best_and_differs_in_one_hyperparameter_or_a_few() -> None:
    others = [({"x": 0.1, "n": 3, "option": "a"}, 1.0), (BEST, 0.5), ({"x": 0.9, "n": 45, "option": "c"}, math.inf)]
    found = proposals(told(LocalSearcher(MIXED, 0, probability_random=0.0), others))
    n_changed = [sum(each[key] != BEST[key] for key in BEST) for each in found]
    assert set(n_changed) == {1, 2, 3}
    assert np.mean(n_changed) < 2
    # 5 standard deviations: a number is farther away in one step of two millions.
    assert all(abs(each["x"] - 0.5) < 0.5 for each in found)
    assert {each["option"] for each in found} == {"a", "b", "c"}
    assert np.mean([abs(each["n"] - 25) for each in found if each["n"] != 25]) < 8


def test_the_last_loss_of_a_trial_counts() -> None:
    searcher = told(
        LocalSearcher(MIXED, 0, probability_random=0.0, step=0.01), [(BEST, 0.5), ({**BEST, "x": 0.9}, 0.6)]
    )
    assert np.median([each["x"] for each in proposals(searcher)]) == 0.5
    searcher.tell(Trial(0, BEST, seed=0), math.inf)
    assert np.median([each["x"] for each in proposals(searcher)]) == 0.9


def test_without_a_finite_loss_and_as_often_as_said_it_draws_from_the_prior() -> None:
    failed = told(LocalSearcher(MIXED, 0, probability_random=0.0), [(BEST, math.inf)])
    assert proposals(failed) == [MIXED.sample(0, 1000 + number) for number in range(200)]
    half = told(LocalSearcher(MIXED, 0, probability_random=0.5), [(BEST, 0.0)])
    n_draws = sum(each == MIXED.sample(0, 1000 + number) for number, each in enumerate(proposals(half)))
    assert 60 < n_draws < 140  # 6 standard deviations: fails by chance in 2 of 10^9 seeds


def test_what_another_option_brings_is_drawn() -> None:
    branch = {"width": parse_hyperparameter("uniform(0, 1)")}
    tree = SearchSpace({"model": ConditionalChoice(Choice(("linear", "mlp")), ({}, branch))})
    found = proposals(told(LocalSearcher(tree, 0, probability_random=0.0), [({"model": "linear"}, 0.0)]))
    assert all(each["model"] == "mlp" for each in found)
    assert np.std([each["width"] for each in found]) > 0.2
    back = proposals(told(LocalSearcher(tree, 0, 0.0), [({"model": "mlp", "width": 0.5}, 0.0)]))
    assert {"model": "linear"} in back
    assert all(each in tree for each in back)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"probability_random": 1.5}, "probability_random: must be from 0 to 1, got 1.5"),
        ({"step": 0}, "step: must be above 0 and at most 1, got 0"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        LocalSearcher(MIXED, 0, **options)
    assert str(error.value) == message
