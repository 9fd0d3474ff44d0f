"""Random search: draws that depend on nothing else, and none twice while another is left."""

from collections.abc import Mapping

import numpy as np
import pytest

from hposweep.search_space import Configuration, SearchSpace, parse_hyperparameter
from hposweep.searchers import Exhausted, tried
from hposweep.searchers.random import RandomSearcher
from hposweep.trial import Trial

COINS = {"a": "choice(1, 2)", "b": "choice(x, y)"}


def space(priors: Mapping[str, object]) -> SearchSpace:
    return SearchSpace({key: parse_hyperparameter(node) for key, node in priors.items()})


def proposals(
    priors: Mapping[str, object], n: int, seed: int = 0, begun: tuple[Configuration, ...] = ()
) -> list[Configuration]:
    """What is proposed after the trials that have begun, until there are n."""
    searcher = RandomSearcher(space(priors), seed)
    for number, configuration in enumerate(begun):
        searcher.start(Trial(number, configuration, seed=0))
    found: list[Configuration] = []
    for number in range(len(begun), n):
        proposal = searcher.propose(number, ())
        assert proposal == searcher.propose(number, ())
        assert not isinstance(proposal, Exhausted)
        searcher.start(Trial(number, proposal, seed=0))
        found.append(proposal)
    return found


@pytest.mark.parametrize(
    "priors", [{"x": "uniform(0, 1)", **COINS}, {"n": "randint(0, 2**40)".replace("2**40", "9999999")}]
)
def test_what_does_not_repeat_is_the_first_draw(priors: Mapping[str, object]) -> None:
    assert proposals(priors, 30) == [space(priors).sample(0, number) for number in range(30)]


def test_fewer_trials_are_the_first_of_more() -> None:
    assert proposals(COINS, 9)[:4] == proposals(COINS, 4)


def test_configurations_that_others_proposed_are_not_repeated() -> None:
    """As of a sweep that an earlier version began, which repeated some, or of the user's own."""
    begun = ({"a": 1, "b": "x"}, {"a": 1, "b": "x"}, {"b": "y", "a": 2})
    assert {repr(each) for each in proposals(COINS, 5, begun=begun)} == {
        repr({"a": 1, "b": "y"}),
        repr({"a": 2, "b": "x"}),
    }


def test_where_all_were_tried_draws_repeat() -> None:
    found = proposals(COINS, 12)
    assert len({repr(each) for each in found[:4]}) == 4
    assert found[4:] == [space(COINS).sample(0, number) for number in range(4, 12)]


def test_rare_values_come_when_the_others_are_used_up_and_impossible_ones_never() -> None:
    """Of binom(20, 0.01) the ten likeliest have all the probability that floats can tell from none."""
    found = [each["n"] for each in proposals({"n": "binom(20, 0.01)"}, 13)]
    assert sorted(found[:10]) == list(range(10))
    assert set(found[11:]) <= {0, 1}


@pytest.mark.parametrize("most_draws", [tried.MOST_DRAWS, 1])
def test_what_is_left_is_drawn_from_the_prior(monkeypatch: pytest.MonkeyPatch, most_draws: int) -> None:
    """By another draw, or from a list: of 0, 1 and 2 with 81, 18 and 1 %, 1 follows 0 in 18 of 19 cases.

    In some 320 cases 0.08 are 6 standard deviations: fails by chance in 2 of 10^9 runs.
    """
    monkeypatch.setattr(tried, "MOST_DRAWS", most_draws)
    pairs = [proposals({"n": "binom(2, 0.1)"}, 2, seed) for seed in range(400)]
    after_0 = [second == {"n": 1} for first, second in pairs if first == {"n": 0}]
    assert abs(np.mean(after_0) - 18 / 19) < 0.08


def test_values_without_end_are_drawn_until_new_ones_become_rare() -> None:
    found = [each["n"] for each in proposals({"n": "poisson(3)"}, 12)]
    assert len(set(found[:8])) == 8
