"""TPE: what its densities are, what counts as good, and what it finds."""

import math

import numpy as np
import pytest

from hposweep.errors import ConfigError
from hposweep.search_space import (
    Choice,
    ConditionalChoice,
    Configuration,
    Hyperparameter,
    SearchSpace,
    parse_hyperparameter,
)
from hposweep.searchers.parzen import (
    Candidates,
    ParzenEstimator,
    improvement_weights,
    kernel_widths,
    recency_weights,
)
from hposweep.searchers.random import RandomSearcher
from hposweep.searchers.tpe import TpeSearcher
from hposweep.trial import Trial, TrialState

MIXED = [parse_hyperparameter(text) for text in ("loguniform(1e-4, 1)", "poisson(3)", "choice(a, b, c)")]
BRANCH = {"y": parse_hyperparameter("uniform(0, 1)"), "k": parse_hyperparameter("randint(1, 5)")}
TREE = SearchSpace({"model": ConditionalChoice(Choice(("a", "b", "c")), ({}, BRANCH, {"y": BRANCH["y"]}))})
LINE = SearchSpace({"x": parse_hyperparameter("uniform(0, 1)")})


def estimator(priors: list[Hyperparameter], n: int) -> ParzenEstimator:
    """Of n points in the middles of their cells."""
    drawn = np.random.default_rng(1).random((n, len(priors)))
    return ParzenEstimator(priors, Candidates.of(priors, drawn).cells.mean(axis=2))


@pytest.mark.parametrize("n", [0, 1, 2, 40])
@pytest.mark.parametrize("text", ["uniform(0, 1)", "norm(0, 3)", "choice(a, b, c)", "randint(0, 7)", "poisson(3)"])
def test_a_density_integrates_to_one(n: int, text: str) -> None:
    priors = [parse_hyperparameter(text)]
    middles = (np.arange(20_000) + 0.5) / 20_000
    densities = np.exp(estimator(priors, n).log_density(Candidates.of(priors, middles[:, np.newaxis])))
    assert densities.mean() == pytest.approx(1.0, abs=1e-3)
    if n == 0:
        assert np.allclose(densities, 1.0)


@pytest.mark.parametrize("n", [0, 1, 30])
def test_the_density_over_all_hyperparameters_integrates_to_one(n: int) -> None:
    """40,000 points of the cube: a tolerance of 6 standard deviations."""
    points = np.random.default_rng(0).random((40_000, len(MIXED)))
    densities = np.exp(estimator(MIXED, n).log_density(Candidates.of(MIXED, points)))
    assert abs(densities.mean() - 1) < 6 * densities.std() / 200 + 1e-12


def test_samples_have_the_density() -> None:
    """The mean of 1 / density over samples is the volume of the cube, 1, where the density is that of the samples."""
    found = estimator(MIXED, 12)
    inverse = np.exp(-found.log_density(found.sample(20_000, np.random.default_rng(0))))
    assert abs(inverse.mean() - 1) < 6 * inverse.std() / math.sqrt(20_000)


def test_all_values_of_a_cell_have_its_density() -> None:
    priors = [parse_hyperparameter("randint(0, 4)")]
    densities = estimator(priors, 5).log_density(Candidates.of(priors, np.array([[0.26], [0.3], [0.49], [0.51]])))
    assert densities[0] == densities[1] == densities[2] != densities[3]


def test_a_width_is_the_larger_distance_to_the_neighbours() -> None:
    assert kernel_widths(np.array([0.5, 0.1, 0.9, 0.2])) == pytest.approx([0.4, 1 / 6, 0.4, 0.3])
    assert kernel_widths(np.array([0.3])) == pytest.approx([0.7])
    assert kernel_widths(np.full(200, 0.5)) == pytest.approx(np.full(200, 0.01))
    assert len(kernel_widths(np.array([]))) == 0


def test_old_points_weigh_less() -> None:
    assert list(recency_weights(25)) == [1.0] * 25
    assert list(recency_weights(27)) == pytest.approx([1 / 27, 1.0, *[1.0] * 25])
    weights = recency_weights(125)
    assert weights[0] == pytest.approx(1 / 125)
    assert np.allclose(np.diff(weights[:100]), (1 - 1 / 125) / 99)


@pytest.mark.parametrize(
    ("good", "others", "expected"),
    [
        ([1.0, 3.0], [4.0, 9.0], [1.5, 0.5]),
        ([1.0, 4.0], [4.0], [2.0, 0.0]),
        ([2.0, 2.0], [2.0], [1.0, 1.0]),
        ([1.0, 3.0], [math.inf], [2.0, 0.0]),
        ([1.0, 3.0], [], [2.0, 0.0]),
        ([-1.5e308, 1.5e308], [1.5e308], [2.0, 0.0]),
        ([], [1.0], []),
    ],
)
def test_good_trials_weigh_by_how_much_they_are_better_than_the_others(
    good: list[float], others: list[float], expected: list[float]
) -> None:
    assert list(improvement_weights(np.array(good), np.array(others))) == pytest.approx(expected)


def test_a_heavy_point_has_more_of_the_density() -> None:
    priors, points = [parse_hyperparameter("uniform(0, 1)")], np.array([[0.2], [0.8]])
    at = Candidates.of(priors, points)
    light, heavy = ParzenEstimator(priors, points, np.array([0.0, 2.0])).log_density(at)
    assert light < heavy
    even = ParzenEstimator(priors, points, np.ones(2)).log_density(at)
    assert even[0] == pytest.approx(even[1])


def test_wider_kernels_are_flatter() -> None:
    priors, points = [parse_hyperparameter("uniform(0, 1)")], np.array([[0.45], [0.5], [0.55]])
    at = Candidates.of(priors, np.array([[0.5], [0.05]]))
    narrow, wide = (ParzenEstimator(priors, points, widening=factor).log_density(at) for factor in (1.0, 1.5))
    assert wide[0] < narrow[0]
    assert wide[1] > narrow[1]


def run(searcher: TpeSearcher | RandomSearcher, n: int) -> float:
    """The smallest loss of n trials, one after the other."""
    best = math.inf
    for number in range(n):
        configuration = searcher.propose(number, ())
        assert isinstance(configuration, dict)
        loss = tree_loss(configuration)
        trial = Trial(number, configuration, seed=0)
        searcher.start(trial)
        searcher.tell(trial, loss)
        best = min(best, loss)
    return best


def tree_loss(configuration: Configuration) -> float:
    if configuration["model"] == "b":
        return float((configuration["y"] - 0.8) ** 2 + 0.1 * abs(configuration["k"] - 3))
    return float(0.3 + configuration.get("y", 0.0))


def test_it_finds_what_random_search_does_not() -> None:
    found = [run(TpeSearcher(TREE, seed), 60) for seed in range(10)]
    drawn = [run(RandomSearcher(TREE, seed), 60) for seed in range(10)]
    assert np.median(found) < 0.1 * np.median(drawn)


def told(searcher: TpeSearcher, results: list[tuple[Configuration, float]]) -> TpeSearcher:
    for number, (configuration, loss) in enumerate(results):
        trial = Trial(number, configuration, seed=0)
        searcher.start(trial)
        searcher.tell(trial, loss)
    return searcher


def xs(searcher: TpeSearcher, pending: tuple[Trial, ...] = ()) -> list[float]:
    found = [searcher.propose(1000 + number, pending) for number in range(200)]
    return [each["x"] for each in found if isinstance(each, dict)]


def test_a_branch_is_searched_around_its_own_best_trials() -> None:
    """Of the 40 trials the good ones have option a; so many of these are under way that others are proposed."""
    of_b = [({"model": "b", "y": (i + 0.5) / 20, "k": 1 + i % 4}, 1.0 + abs(i - 15.0)) for i in range(20)]
    tree = SearchSpace({"model": ConditionalChoice(Choice(("a", "b")), ({}, BRANCH))})
    searcher = told(TpeSearcher(tree, 0), [*of_b, *[({"model": "a"}, i / 40) for i in range(20)]])
    begun = [Trial(100 + i, {"model": "a"}, seed=0) for i in range(300)]
    for trial in begun:
        searcher.start(trial)
    found = [searcher.propose(1000 + number, begun) for number in range(100)]
    in_b = [each["y"] for each in found if isinstance(each, dict) and each["model"] == "b"]
    assert len(in_b) > 30
    assert abs(np.median(in_b) - 0.775) < 0.1


def test_failures_are_bad_and_where_all_fail_proposals_go_elsewhere() -> None:
    some = told(TpeSearcher(LINE, 0, 4, gamma=1.0), [({"x": 0.1 * i}, math.inf if i < 5 else 1.0) for i in range(10)])
    assert np.mean(np.array(xs(some)) > 0.45) > 0.95
    nothing = told(TpeSearcher(LINE, 0, 4), [({"x": 0.3 + 0.01 * i}, math.inf) for i in range(10)])
    assert np.mean([0.2 < x < 0.5 for x in xs(nothing)]) < 0.1


def test_the_last_loss_of_a_trial_counts() -> None:
    searcher = told(TpeSearcher(LINE, 0, gamma=0.1), [({"x": i / 40}, 1.0) for i in range(40)])
    for number in (32, 33, 34, 35):
        at_a_rung = Trial(number, {"x": number / 40}, seed=0, state=TrialState.PAUSED, target_epoch=3)
        searcher.tell(at_a_rung, 0.1)
    assert abs(np.median(xs(searcher)) - 33.5 / 40) < 0.05
    for number in (32, 33, 34, 35):
        searcher.tell(Trial(number, {"x": number / 40}, seed=0), math.inf)
        searcher.tell(Trial(number - 20, {"x": number / 40 - 0.5}, seed=0), 0.5)
    assert abs(np.median(xs(searcher)) - 13.5 / 40) < 0.05


def test_it_keeps_away_from_trials_that_are_under_way_without_a_result() -> None:
    searcher = told(TpeSearcher(LINE, 0, 4), [({"x": 0.05 + 0.1 * i}, abs(i - 5.0)) for i in range(10)])
    alone = xs(searcher)
    begun = tuple(Trial(100 + i, {"x": x}, seed=0) for i, x in enumerate(np.linspace(0.5, 0.6, 9).tolist()))
    for trial in begun:
        searcher.start(trial)
    assert np.mean([0.5 < x < 0.6 for x in xs(searcher, begun)]) < 0.5 * np.mean([0.5 < x < 0.6 for x in alone])
    assert xs(searcher, (Trial(5, {"x": 0.55}, seed=0),)) == alone, "its loss says more of it"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_startup_trials": 0}, "n_startup_trials: must be a whole number of at least 1, got 0"),
        ({"gamma": 0.0}, "gamma: must be above 0 and at most 1, got 0.0"),
        ({"gamma": "0.1"}, "gamma: must be above 0 and at most 1, got '0.1'"),
        ({"n_candidates": 1.5}, "n_candidates: must be a whole number of at least 1, got 1.5"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        TpeSearcher(LINE, 0, **options)
    assert str(error.value) == message
