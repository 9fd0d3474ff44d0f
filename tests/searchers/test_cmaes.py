"""CMA-ES: what a generation is, what of it counts, and what it finds."""

import math
import sys
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest

from hposweep.errors import ConfigError
from hposweep.search_space import Configuration, SearchSpace, parse_hyperparameter
from hposweep.searchers import Searcher
from hposweep.searchers.cmaes import CmaesSearcher
from hposweep.searchers.random import RandomSearcher
from hposweep.trial import Trial

PLANE = SearchSpace({key: parse_hyperparameter("uniform(0, 1)") for key in ("x", "y")})


def run(
    searcher: Searcher, n: int, loss: Callable[[Configuration], float], first: int = 0
) -> list[tuple[Configuration, float]]:
    """n trials, one after the other, from this number on."""
    found = []
    for number in range(first, first + n):
        configuration = searcher.propose(number, ())
        assert isinstance(configuration, dict)
        trial = Trial(number, configuration, seed=0)
        searcher.start(trial)
        found.append((configuration, loss(configuration)))
        searcher.tell(trial, found[-1][1])
    return found


def valley(configuration: Configuration) -> float:
    """Narrow along a diagonal, with the minimum 0 at (0.3, 0.7)."""
    x, y = configuration["x"] - 0.3, configuration["y"] - 0.7
    return float(100 * (x + y) ** 2 + (x - y) ** 2)


def ahead(searcher: CmaesSearcher) -> list[object]:
    """Proposals for later trials: they are the same as long as the distribution is."""
    return [searcher.propose(1000 + number, ()) for number in range(5)]


def test_it_finds_what_random_search_does_not() -> None:
    found = [min(loss for _, loss in run(CmaesSearcher(PLANE, seed), 150, valley)) for seed in range(5)]
    drawn = [min(loss for _, loss in run(RandomSearcher(PLANE, seed), 150, valley)) for seed in range(5)]
    assert np.median(found) < 0.001 * np.median(drawn)


def test_the_first_results_of_a_distribution_are_its_generation_and_later_ones_do_not_count() -> None:
    searcher = CmaesSearcher(PLANE, 0, population_size=4)
    trials = [Trial(number, searcher.propose(number, ()), seed=0) for number in range(7)]  # type: ignore[arg-type]
    for trial in trials:
        searcher.start(trial)
    first = ahead(searcher)
    for trial in trials[:3]:
        searcher.tell(trial, 0.5)
    searcher.tell(trials[0], 0.1)  # at a later rung
    assert ahead(searcher) == first
    searcher.tell(trials[5], 1.0)
    second = ahead(searcher)
    assert second != first
    for trial in (*trials[:3], trials[4], trials[6]):
        searcher.tell(trial, 0.0)
    assert ahead(searcher) == second


def test_trials_of_the_user_do_not_count() -> None:
    searcher = CmaesSearcher(PLANE, 0, population_size=4)
    before = ahead(searcher)
    for number in range(8):
        trial = Trial(number, {"x": number / 8, "y": 0.5}, seed=0)
        searcher.start(trial)
        searcher.tell(trial, float(number))
    assert ahead(searcher) == before


@pytest.mark.parametrize(
    "other", [lambda loss: math.exp(loss), lambda loss: loss if loss < 0.5 else math.inf], ids=["exp", "failures"]
)
def test_the_order_of_losses_counts_alone(other: Callable[[float], float]) -> None:
    one, another = CmaesSearcher(PLANE, 0, population_size=4), CmaesSearcher(PLANE, 0, population_size=4)
    losses, same_losses = iter([0.3, 0.1, 0.7, 0.2]), iter([0.3, 0.1, 0.7, 0.2])
    run(one, 4, lambda configuration: next(losses))
    run(another, 4, lambda configuration: other(next(same_losses)))
    assert ahead(one) == ahead(another)


def test_a_generation_of_failures_changes_nothing() -> None:
    searcher = CmaesSearcher(PLANE, 0, population_size=4)
    before = ahead(searcher)
    run(searcher, 8, lambda configuration: math.inf)
    assert ahead(searcher) == before
    run(searcher, 4, valley, first=8)
    assert ahead(searcher) != before


def test_options_and_whole_numbers_come_to_the_best_and_stay_possible() -> None:
    texts = {"option": "choice(a, b, c)", "n": "randint(0, 20)", "two": "randint(0, 2)", "many": "randint(0, 5000)"}
    space = SearchSpace({key: parse_hyperparameter(text) for key, text in texts.items()})

    def loss(configuration: Configuration) -> float:
        wrong = (configuration["option"] != "b") + (configuration["two"] != 1)
        return float(wrong + abs(configuration["n"] - 16) / 20 + abs(configuration["many"] - 1000) / 5000)

    found = run(CmaesSearcher(space, 0), 300, loss)
    assert min(each for _, each in found) < 0.02
    last = [configuration for configuration, _ in found[-100:]]
    assert Counter(each["option"] for each in last).most_common(1)[0][0] == "b"
    assert 100 > Counter(each["two"] for each in last)[1] > 50
    assert len({each["n"] for each in last}) > 1


def test_a_sweep_that_has_converged_goes_on() -> None:
    line = SearchSpace({"x": parse_hyperparameter("uniform(0, 1)")})
    found = run(CmaesSearcher(line, 0, population_size=4), 800, lambda each: abs(each["x"] - 0.5))
    assert found[-1][1] < 1e-9


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cmaes", None)
    with pytest.raises(ConfigError) as error:
        CmaesSearcher(PLANE, 0)
    assert str(error.value) == "_target_: CMA-ES needs 'cmaes': pip install 'hposweep[cmaes]'"


@pytest.mark.parametrize("n", [3, 8.0, True])
def test_a_population_that_is_none_is_refused(n: int) -> None:
    with pytest.raises(ConfigError) as error:
        CmaesSearcher(PLANE, 0, population_size=n)
    assert str(error.value) == f"population_size: must be a whole number of at least 4, got {n!r}"
