"""Rung levels, in whole numbers."""

import pytest

from hposweep.schedulers.rungs import Rung, rung_levels

LEVELS = [
    ((2, 10, 2), (2, 4, 8, 10)),  # "Dive into Deep Learning", section 19.4.1
    ((1, 243, 3), (1, 3, 9, 27, 81, 243)),  # int(log(243) / log(3)) is 4
    ((1, 81, 3), (1, 3, 9, 27, 81)),
    ((1, 1000, 10), (1, 10, 100, 1000)),
    ((5, 5, 3), (5,)),
    ((4, 5, 3), (4, 5)),
    ((1, 2**40, 2), tuple(2**k for k in range(41))),
]


@pytest.mark.parametrize(("arguments", "levels"), LEVELS, ids=str)
def test_levels_are_r_min_times_powers_of_eta_and_r_max(arguments: tuple[int, int, int], levels: tuple[int]) -> None:
    assert rung_levels(*arguments) == levels


def test_the_smaller_number_wins_a_tie_and_failures_are_last() -> None:
    rung = Rung(1)
    for trial, loss in [(5, 0.1), (9, float("inf")), (2, 0.1), (7, 0.05)]:
        rung.add(trial, loss)
    assert [rung.living(position) for position in range(5)] == [7, 2, 5, None, None]
    assert rung.rank(5, 0.1) == 2
