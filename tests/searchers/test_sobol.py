"""Sobol' search: balanced points, each a function of the seed and its number."""

import numpy as np
import pytest
from scipy.stats import qmc

from hposweep.search_space import SearchSpace, parse_hyperparameter
from hposweep.searchers.sobol import SobolSearcher
from hposweep.trial import Trial

SPACE = SearchSpace({key: parse_hyperparameter("uniform(0, 1)") for key in ("x", "y", "z")})


def test_they_are_the_points_of_the_sequence_in_its_order() -> None:
    searcher = SobolSearcher(SPACE, seed=3)
    drawn_at_once = qmc.Sobol(3, seed=3).random(64)
    assert np.array_equal([searcher.point(number) for number in range(64)], drawn_at_once)
    proposals = [searcher.propose(number, ()) for number in range(64)]
    assert np.allclose([list(each.values()) for each in proposals if isinstance(each, dict)], drawn_at_once)


@pytest.mark.parametrize("first", [0, 16, 9984])
def test_sixteen_trials_have_one_in_each_part_of_each_pair_of_hyperparameters(first: int) -> None:
    points = np.array([SobolSearcher(SPACE, seed=1).point(first + i) for i in range(16)])
    assert all(len(set(np.floor(column * 16))) == 16 for column in points.T)
    for pair in ((0, 1), (0, 2), (1, 2)):
        assert len(set(map(tuple, np.floor(points[:, pair] * 4)))) == 16


def test_a_trial_of_the_user_takes_a_number() -> None:
    alone, beside = SobolSearcher(SPACE, seed=1), SobolSearcher(SPACE, seed=1)
    beside.start(Trial(0, {"x": 0.5, "y": 0.5, "z": 0.5}, seed=0))
    assert beside.propose(1, ()) == alone.propose(1, ())
