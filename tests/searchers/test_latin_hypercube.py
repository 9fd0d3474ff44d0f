"""Latin hypercube search: one value in each part, block by block."""

import numpy as np
import pytest

from hposweep.errors import ConfigError
from hposweep.search_space import SearchSpace, parse_hyperparameter
from hposweep.searchers.latin_hypercube import LatinHypercubeSearcher

SPACE = SearchSpace({key: parse_hyperparameter("uniform(0, 1)") for key in ("x", "y", "z")})


@pytest.mark.parametrize("n", [2, 7, 16])
def test_a_block_has_one_value_in_each_part_of_each_hyperparameter(n: int) -> None:
    searcher = LatinHypercubeSearcher(SPACE, seed=5, block=n)
    points = np.array([searcher.point(number) for number in range(3 * n)])
    for first in (0, n, 2 * n):
        parts = np.floor(points[first : first + n] * n)
        assert all(sorted(column) == list(range(n)) for column in parts.T)
    assert len(np.unique(points, axis=0)) == 3 * n


def test_options_come_equally_often_in_a_block() -> None:
    space = SearchSpace({"a": parse_hyperparameter("choice(1, 2)"), "x": parse_hyperparameter("uniform(0, 1)")})
    searcher = LatinHypercubeSearcher(space, seed=0, block=8)
    proposals = [searcher.propose(number, ()) for number in range(8)]
    assert sorted(each["a"] for each in proposals if isinstance(each, dict)) == [1, 1, 1, 1, 2, 2, 2, 2]


@pytest.mark.parametrize("block", [1, 16.0, True])
def test_a_block_that_is_none_is_refused(block: int) -> None:
    with pytest.raises(ConfigError) as error:
        LatinHypercubeSearcher(SPACE, seed=0, block=block)
    assert str(error.value) == f"block: must be a whole number of at least 2, got {block!r}"
