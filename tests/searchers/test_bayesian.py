"""Bayesian optimization: it finds minima in few trials, in any space, under any scheduler, and after any cut."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from hposweep.errors import ConfigError
from hposweep.history import History
from hposweep.schedulers.asha import AshaScheduler
from hposweep.search_space import Choice, ConditionalChoice, Configuration, SearchSpace, parse_hyperparameter
from hposweep.searchers import Exhausted, Searcher
from hposweep.searchers.bayesian import (
    BayesianSearcher,
    fidelities,
    is_stuck,
    last_with,
    most_telling,
    n_fitted,
    neglected,
    rank_correlation,
    unpromoted,
)
from hposweep.searchers.random import RandomSearcher
from hposweep.simulation import AugmentedBranin, simulate
from hposweep.trial import Trial, TrialState

SEEDS = range(5)


def space(**priors: object) -> SearchSpace:
    return SearchSpace({key: parse_hyperparameter(prior) for key, prior in priors.items()})


SQUARE = space(x="uniform(0, 1)", y="uniform(0, 1)")


def valley(configuration: Configuration) -> float:
    """Minimum 0 at (0.3, 0.6), ten times as steep across as along."""
    x, y = configuration["x"] - 0.3, configuration["y"] - 0.6
    return float(x**2 + 10 * (y - x) ** 2)


def losses(searcher: Searcher, loss: Callable[[Configuration], float], n_trials: int) -> list[float]:
    """Of trials one after the other; fewer where the searcher is exhausted."""
    found: list[float] = []
    for number in range(n_trials):
        configuration = searcher.propose(number, ())
        if isinstance(configuration, Exhausted):
            break
        assert isinstance(configuration, dict)
        trial = Trial(number, configuration, seed=0)
        searcher.start(trial)
        found.append(loss(configuration))
        searcher.tell(trial, found[-1])
    return found


def test_it_finds_the_minimum_in_few_trials() -> None:
    ours = [min(losses(BayesianSearcher(SQUARE, seed), valley, 30)) for seed in SEEDS]
    random = [min(losses(RandomSearcher(SQUARE, seed), valley, 30)) for seed in SEEDS]
    assert np.median(ours) < 0.3 * np.median(random)


def mixed(configuration: Configuration) -> float:
    """Minimum 0: log rate of -2, size 64, 3 layers, the second option."""
    rate, layers = math.log10(configuration["rate"]) + 2, configuration["layers"] - 3
    size = math.log2(configuration["size"]) - 6
    return float(rate**2 + 0.3 * layers**2 + 0.1 * size**2 + (0.5, 0.0, 1.0)["abc".index(configuration["name"])])


def test_it_finds_the_minimum_among_floats_whole_numbers_and_options() -> None:
    search_space = space(
        rate="loguniform(1e-4, 1)", size="choice(16, 32, 64, 128)", layers="randint(1, 9)", name="choice(a, b, c)"
    )
    ours = [min(losses(BayesianSearcher(search_space, seed), mixed, 40)) for seed in SEEDS]
    random = [min(losses(RandomSearcher(search_space, seed), mixed, 40)) for seed in SEEDS]
    assert max(ours) < 0.05
    assert np.median(ours) < 0.05 * np.median(random)


BRANCHES = SearchSpace(
    {
        "kind": ConditionalChoice(
            Choice(("one", "two", "three")),
            (
                {"x": parse_hyperparameter("uniform(0, 1)")},
                {"x": parse_hyperparameter("uniform(0, 1)"), "z": parse_hyperparameter("uniform(0, 1)")},
                {},
            ),
        ),
        "y": parse_hyperparameter("uniform(0, 1)"),
    }
)


def branched(configuration: Configuration) -> float:
    """Minimum 0 in the second branch, near to which the others don't come."""
    if configuration["kind"] == "three":
        return 0.3 + abs(float(configuration["y"]) - 0.5)
    if configuration["kind"] == "one":
        return 0.1 + (float(configuration["x"]) - 0.8) ** 2
    return float((configuration["x"] + configuration["z"] - 0.7) ** 2 + (configuration["y"] - 0.2) ** 2)


def test_it_finds_the_branch_and_the_minimum_there() -> None:
    ours = [min(losses(BayesianSearcher(BRANCHES, seed), branched, 40)) for seed in SEEDS]
    random = [min(losses(RandomSearcher(BRANCHES, seed), branched, 40)) for seed in SEEDS]
    assert np.median(ours) < 0.01 * np.median(random)


def test_it_finds_a_narrow_minimum_in_a_branch_that_is_bad_elsewhere() -> None:
    float_ = parse_hyperparameter("uniform(0, 1)")
    branches = ({"u": float_}, {"u": float_, "v": float_})
    tree = SearchSpace({"kind": ConditionalChoice(Choice(("flat", "valley")), branches)})

    def loss(at: Configuration) -> float:
        if at["kind"] == "flat":
            return float(0.2 + 0.1 * (at["u"] - 0.7) ** 2)
        return float(1 - math.exp(-9 * ((at["u"] - 0.25) ** 2 + 1.5 * (at["v"] - 0.6) ** 2)))

    assert np.median([min(losses(BayesianSearcher(tree, seed), loss, 50)) for seed in SEEDS]) < 0.01


def test_neglected_branches_have_too_few_trials_for_their_size() -> None:
    inactive = math.nan
    branches = np.array([[False, True, True], [False, False, False]])  # enough: 6 trials of 1, 20 of 3 hyperparameters
    small, large = [0.1, inactive, inactive], [0.9, 0.5, 0.5]
    assert np.array(neglected(branches, np.array([small] * 3 + [large] * 9))).tolist() == branches[::-1].tolist()
    assert np.array(neglected(branches, np.array([small] * 6 + [large] * 9))).tolist() == branches[1:].tolist()
    assert neglected(branches, np.array([small] * 6 + [large] * 20)) == []


def test_where_the_best_branch_has_no_floats_there_is_no_gradient_to_climb() -> None:
    rate = {"rate": parse_hyperparameter("uniform(0, 1)")}
    search_space = SearchSpace({"kind": ConditionalChoice(Choice(("plain", "rated")), ({}, rate))})
    found = losses(BayesianSearcher(search_space, 0), lambda at: at.get("rate", -1.0), 30)
    assert min(found) == -1
    assert found.count(-1) == 1


def test_failures_keep_it_away_from_where_they_happen() -> None:
    def fails_in_half_of_the_space(configuration: Configuration) -> float:
        return valley(configuration) if configuration["y"] - configuration["x"] > 0 else math.inf

    found = [losses(BayesianSearcher(SQUARE, seed), fails_in_half_of_the_space, 40) for seed in SEEDS]
    assert max(min(each) for each in found) < 0.005
    assert sum(math.isinf(loss) for each in found for loss in each[20:]) < 25, "random search has about 50"


def test_a_failure_counts_as_the_worst_loss_that_there_was() -> None:
    failing, bad = BayesianSearcher(SQUARE, 0), BayesianSearcher(SQUARE, 0)
    for searcher, worst in ((failing, math.inf), (bad, 1.0)):
        for number, loss in enumerate([1.0, 0.4, worst, 0.7, worst]):
            trial = Trial(number, SQUARE.sample(0, number), seed=0)
            searcher.start(trial)
            searcher.tell(trial, loss)
    assert failing.propose(5, ()) == bad.propose(5, ())


def test_what_is_under_way_is_not_proposed_again() -> None:
    searcher = BayesianSearcher(SQUARE, 0)
    losses(searcher, valley, 12)
    pending: list[Trial] = []
    for number in range(12, 20):
        configuration = searcher.propose(number, pending)
        assert isinstance(configuration, dict)
        pending.append(Trial(number, configuration, seed=0))
        searcher.start(pending[-1])
    points = np.array([[trial.configuration[key] for key in "xy"] for trial in pending])
    distances = np.linalg.norm(points[:, None] - points[None], axis=2)
    assert distances[np.triu_indices(8, 1)].min() > 0.005


def test_of_very_many_under_way_the_model_believes_in_the_newest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hposweep.searchers.bayesian.MOST_PENDING", 4)
    searcher = BayesianSearcher(SQUARE, 0)
    losses(searcher, valley, 12)
    pending = [Trial(number, SQUARE.sample(0, number), seed=0) for number in range(12, 22)]
    for trial in pending:
        searcher.start(trial)
    assert searcher.propose(22, pending) == searcher.propose(22, pending[-4:]) != searcher.propose(22, pending[:4])


def test_a_trial_that_waits_at_a_rung_is_not_under_way() -> None:
    searcher = BayesianSearcher(SQUARE, 0)
    losses(searcher, valley, 12)
    proposal = searcher.propose(12, ())
    assert isinstance(proposal, dict)
    trial = Trial(12, proposal, seed=0, target_epoch=1)
    searcher.start(trial)
    paused = replace(trial, state=TrialState.PAUSED)
    assert searcher.propose(13, [paused]) == searcher.propose(13, ()) != searcher.propose(13, [trial])


@pytest.mark.parametrize("with_epochs", [False, True])
@pytest.mark.parametrize("cut", [3, 11, 24, 37])
def test_after_a_resume_it_proposes_the_same_bit_for_bit(cut: int, with_epochs: bool) -> None:
    whole, resumed = BayesianSearcher(SQUARE, 1), BayesianSearcher(SQUARE, 1)
    told: list[Trial] = []
    for number in range(cut):
        configuration = whole.propose(number, ())
        assert isinstance(configuration, dict)
        epoch = 3 ** (number % 10 // 4) if with_epochs else None
        told.append(Trial(number, configuration, seed=0, target_epoch=epoch))
        whole.start(told[-1])
        whole.tell(told[-1], valley(configuration))
    for trial in told:
        resumed.start(trial)
        resumed.tell(trial, valley(trial.configuration))
    assert resumed.propose(cut, ()) == whole.propose(cut, ())


def test_after_a_resume_under_a_scheduler_it_proposes_the_same_bit_for_bit() -> None:
    whole, told = BayesianSearcher(SQUARE, 2), []
    for number in range(40):
        configuration = whole.propose(number, ())
        assert isinstance(configuration, dict)
        trial = Trial(number, configuration, seed=0, state=TrialState.PAUSED)
        whole.start(trial)
        for epoch in (1, 3, 9)[: 1 + (number % 3 == 0) + (number % 9 == 0)]:
            told.append((replace(trial, epoch=epoch, target_epoch=epoch), valley(configuration) + 1 / epoch))
            whole.tell(*told[-1])
    resumed = BayesianSearcher(SQUARE, 2)
    for trial, loss in told:
        if trial.target_epoch == 1:
            resumed.start(trial)
        resumed.tell(trial, loss)
    assert resumed.propose(40, ()) == whole.propose(40, ())


def test_a_finite_space_is_exhausted() -> None:
    search_space = space(a="randint(0, 6)", b="choice(x, y, z)")
    searcher = BayesianSearcher(search_space, 0)
    found = losses(searcher, lambda at: (at["a"] - 4) ** 2 + (at["b"] != "y"), 100)
    assert len(found) == 18
    assert min(found[:12]) == 0
    assert searcher.propose(18, ()) == Exhausted()


def test_it_learns_from_all_rungs_of_a_scheduler() -> None:
    """Branin's function with a fidelity, of which few trials come to the end."""
    objective = AugmentedBranin()
    found: dict[Any, list[float]] = {RandomSearcher: [], BayesianSearcher: []}
    for kind, values in found.items():
        for seed in range(3):
            searcher = kind(objective.search_space, seed)
            sweep = simulate(
                objective, AshaScheduler(r_max=81, r_min=9), n_trials=60, n_workers=4, searcher=searcher, seed=seed
            )
            assert sweep.history.incumbent is not None
            assert sweep.history.incumbent.value is not None
            values.append(sweep.history.incumbent.value - 0.397887)
    assert max(found[BayesianSearcher]) < 0.1
    assert np.median(found[BayesianSearcher]) < 0.01 * np.median(found[RandomSearcher])


class Reversed(AugmentedBranin):
    """Branin's function, of which all but the last epoch show the opposite."""

    def value(self, configuration: Configuration, epoch: int) -> float:
        value = super().value(configuration, self.n_epochs)
        return value if epoch == self.n_epochs else 100 - value


def swept(objective: AugmentedBranin, searcher: Searcher, seed: int) -> History:
    """A sweep with few complete trials, of which four times as many come to the last rung but one."""
    scheduler = AshaScheduler(r_max=81, r_min=27, eta=3)
    return simulate(objective, scheduler, n_trials=80, searcher=searcher, seed=seed).history


def test_where_early_epochs_mislead_the_late_ones_teach() -> None:
    found = {}
    for kind in (RandomSearcher, BayesianSearcher):
        histories = [swept(Reversed(), kind(Reversed().search_space, seed), seed) for seed in SEEDS]
        incumbents = [history.incumbent for history in histories]
        found[kind] = [each.value for each in incumbents if each is not None and each.value is not None]
    assert np.median(found[BayesianSearcher]) < np.median(found[RandomSearcher])


def test_before_a_trial_has_come_to_a_second_rung_points_spread_evenly() -> None:
    searcher, spread = BayesianSearcher(SQUARE, 0), BayesianSearcher(SQUARE, 0, n_startup=30)
    for number in range(20):
        configuration = searcher.propose(number, ())
        assert configuration == spread.propose(number, ())
        assert isinstance(configuration, dict)
        trial = Trial(number, configuration, seed=0, state=TrialState.PAUSED, epoch=1, target_epoch=1)
        searcher.start(trial)
        searcher.tell(trial, valley(configuration))


def test_a_scheduler_with_one_rung_has_a_model_at_once() -> None:
    searcher, spread = BayesianSearcher(SQUARE, 0), BayesianSearcher(SQUARE, 0, n_startup=30)
    for number in range(8):
        trial = Trial(number, SQUARE.sample(0, number), seed=0, state=TrialState.COMPLETE, epoch=9, target_epoch=9)
        searcher.start(trial)
        searcher.tell(trial, valley(trial.configuration))
    assert searcher.propose(8, ()) != spread.propose(8, ())


def test_a_branch_without_floats_is_searched() -> None:
    """There the expected improvement has no gradient to climb."""
    tree = SearchSpace(
        {
            "kind": ConditionalChoice(
                Choice(("a", "b")),
                ({"x": parse_hyperparameter("uniform(0, 1)")}, {"n": parse_hyperparameter("randint(0, 1000)")}),
            )
        }
    )

    def best_at_700(configuration: Configuration) -> float:
        return float(2 + configuration["x"] if configuration["kind"] == "a" else abs(configuration["n"] - 700) / 1000)

    assert min(losses(BayesianSearcher(tree, 0), best_at_700, 30)) < 0.01


def test_it_is_stuck_when_the_newest_results_are_no_better() -> None:
    assert not is_stuck(np.ones(16))
    assert is_stuck(np.ones(17))
    assert is_stuck(np.array([1.0, *[2.0] * 16]))
    assert not is_stuck(np.array([1.0, *[2.0] * 15, 0.5]))


@pytest.mark.parametrize("state", [TrialState.COMPLETE, TrialState.PAUSED])
def test_when_stuck_every_second_proposal_has_shorter_length_scales(
    state: TrialState, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But for a scheduler's, most of whose results are of early epochs."""
    narrowed = []
    for number in range(6, 40):
        searcher = BayesianSearcher(SQUARE, 0)
        for earlier in range(number):
            configuration = SQUARE.sample(0, earlier)
            searcher.start(trial := Trial(earlier, configuration, seed=0, state=state, epoch=1, target_epoch=1))
            searcher.tell(trial, valley(configuration) if earlier < 10 else 1.0 + valley(configuration))
        with monkeypatch.context() as patch:
            patch.setattr("hposweep.searchers.bayesian.NARROW", 1.0)
            usual = searcher.propose(number, ())
        if searcher.propose(number, ()) != usual:
            narrowed.append(number)
    best = min(range(10), key=lambda number: valley(SQUARE.sample(0, number)))
    stuck = [number for number in range(best + 17, 40) if number % 2]
    assert narrowed == ([] if state is TrialState.PAUSED else stuck)


def test_the_last_epoch_with_enough_results() -> None:
    epochs = np.array([1, 1, 3, 1, 3, 9, 1, 1, 3, 9])
    assert [last_with(n, epochs) for n in (1, 2, 3, 5, 6, 10, 20)] == [9, 9, 3, 3, 1, 1, 1]


def test_unpromoted_trials_are_those_without_a_result_that_counts() -> None:
    points = np.array([[0.1, math.nan], [0.2, 0.5], [0.1, math.nan], [0.3, 0.5], [0.2, 0.5]])
    assert unpromoted(points, np.array([False, False, True, False, False])).tolist() == [[0.2, 0.5], [0.3, 0.5]]
    assert unpromoted(points, np.ones(5, dtype=bool)).shape == (0, 2)


def test_a_rank_correlation_is_that_of_spearman() -> None:
    one, other = np.random.default_rng(0).normal(size=(2, 9))
    assert rank_correlation(one, other) == pytest.approx(stats.spearmanr(one, other).statistic)
    assert rank_correlation(one, np.exp(one)) == pytest.approx(1)
    assert rank_correlation(one, np.zeros(9)) == rank_correlation(np.empty(0), np.empty(0)) == 0


def test_epochs_are_a_fidelity_from_0_to_1() -> None:
    assert fidelities(np.array([1, 3, 9, 0]), 9).tolist() == pytest.approx([0, 0.5, 1, 1])
    assert fidelities(np.array([1, 1]), 1).tolist() == [1, 1]
    assert fidelities(np.array([0, 0]), 0).tolist() == [1, 1]


def test_refits_come_at_counts_that_grow_by_a_tenth() -> None:
    assert [n_fitted(n) for n in (1, 19, 20, 21, 22, 23, 24, 31, 32, 33)] == [1, 19, 20, 20, 22, 22, 24, 30, 30, 33]
    counts = [n_fitted(n) for n in range(1, 3000)]
    assert all(n / 1.11 <= fitted <= n for n, fitted in enumerate(counts, 1) if n > 30)
    assert counts == sorted(counts)


def test_a_model_keeps_the_best_and_the_last_and_others_of_all_ranks() -> None:
    told = np.random.default_rng(0).random(1000)
    kept = most_telling(told, np.zeros(1000), 128)
    assert len(set(kept)) == len(kept) == 128
    assert (np.diff(kept) > 0).all()
    ranks = np.argsort(np.argsort(told))
    assert set(range(64)) <= set(ranks[kept])
    assert set(range(990, 1000)) <= set(kept)
    assert np.histogram(ranks[kept], [64, 376, 688, 1000])[0].min() >= 15
    assert most_telling(told[:128], np.zeros(128), 128).tolist() == list(range(128))
    epochs = np.where(np.arange(1000) % 20, 1, 3)
    assert set(np.flatnonzero(epochs == 3)) <= set(most_telling(told, epochs, 128)), "a late result before an early one"


@pytest.mark.parametrize("n_startup", [0, -1, 2.5, True, "3"])
def test_an_option_that_makes_no_sense_is_named(n_startup: Any) -> None:
    with pytest.raises(ConfigError, match=r"^n_startup: must be null or a whole number from 1, got"):
        BayesianSearcher(SQUARE, 0, n_startup=n_startup)


def test_startup_trials_are_those_before_the_model() -> None:
    few, many = (BayesianSearcher(SQUARE, 0, n_startup=n) for n in (3, 12))
    assert losses(few, valley, 3) == losses(many, valley, 3)
    assert few.propose(3, ()) != many.propose(3, ())
