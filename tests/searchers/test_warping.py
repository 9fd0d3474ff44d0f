"""Warping: order is kept, large losses are tamed, densities of different transforms are comparable."""

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hposweep.searchers.warping import POWERS, half_rank, standardized_power, unwarped

LOSSES = np.array([3.0, 1.0, 2.0, 1e9, 50.0, 50.0, 2.5])


def test_ranks_keep_the_order_and_what_is_good_and_tame_what_is_bad() -> None:
    found = half_rank(LOSSES)
    assert found[[0, 1, 2, 6]].tolist() == [3.0, 1.0, 2.0, 2.5]
    assert (np.diff(found[np.argsort(LOSSES)]) >= 0).all()
    assert found[4] == found[5]
    assert 3 < found.max() < 6
    np.testing.assert_allclose(half_rank(1000 * LOSSES - 5), 1000 * found - 5)


def test_losses_that_are_normal_stay_nearly_what_they_are() -> None:
    losses = np.random.default_rng(0).normal(5, 2, 20_000)
    assert np.abs(half_rank(losses) - losses).mean() < 0.05


def test_where_all_losses_are_equal_there_is_nothing_to_warp() -> None:
    assert half_rank(np.full(4, 7.0)).tolist() == [7.0] * 4
    for power in POWERS:
        targets, slopes = standardized_power(np.full(4, 7.0), power)
        assert (targets.tolist(), slopes) == ([0.0] * 4, 0.0)


@example(losses=[4.99] * 5)
@given(losses=st.lists(st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([0.1, 4.99]), min_size=1))
def test_whatever_the_losses_are_the_targets_are_numbers(losses: list[float]) -> None:
    for power in POWERS:
        targets, slopes = standardized_power(half_rank(np.array(losses)), power)
        assert np.isfinite([*targets, slopes]).all()
        assert (np.diff(targets[np.argsort(losses)]) >= 0).all()


@pytest.mark.parametrize("power", POWERS)
def test_a_power_keeps_the_order_and_gives_mean_0_and_variance_1(power: float) -> None:
    values = np.random.default_rng(1).normal(size=50)
    targets, _ = standardized_power(values, power)
    assert (targets.mean(), targets.std()) == pytest.approx((0, 1))
    assert (np.argsort(targets) == np.argsort(values)).all()
    again, _ = standardized_power(7 * values + 3, power)
    np.testing.assert_allclose(again, targets)
    if power == 1:
        np.testing.assert_allclose(targets, (values - values.mean()) / values.std())


def test_small_powers_spread_what_is_near_the_best() -> None:
    values = np.array([0.0, 0.1, 1.0, 2.0, 3.0])
    gaps = []
    for power in POWERS:
        targets, _ = standardized_power(values, power)
        gaps.append(targets[1] - targets[0])
    assert gaps == sorted(gaps)


@pytest.mark.parametrize("power", POWERS)
def test_the_slopes_are_those_of_the_transform(power: float) -> None:
    """The same transform at values that are a little apart, where its constants are those of all values."""
    values = np.random.default_rng(2).random(30)
    targets, slopes = standardized_power(values, power)
    shifted = (values - values.min()) / values.std() + 0.05
    derivative = shifted ** (power - 1)
    transformed = np.log(shifted) if power == 0 else (shifted**power - 1) / power
    assert slopes == pytest.approx(np.log(derivative / transformed.std()).sum())
    assert targets == pytest.approx((transformed - transformed.mean()) / transformed.std())
    assert math.isfinite(slopes)


@pytest.mark.parametrize("power", POWERS)
@pytest.mark.parametrize(
    "losses",
    [
        [0.8126189511877437] * 7,  # whose standard deviation is not quite zero
        [1e308, -1e308, 0.0, 1.0],
        [1e308, 1e307, 3.0, 4.0, 5.0],
        [0.0, 5e-324],
        [1.0, 1.0 + 2**-52, 1.0],
        [0.0, 1e-200, 1e200],
    ],
    ids=str,
)
def test_any_finite_losses_are_warped_to_finite_numbers(losses: list[float], power: float) -> None:
    warped, slopes = standardized_power(half_rank(np.array(losses)), power)
    assert np.isfinite(warped).all()
    assert np.isfinite(slopes)
    assert np.abs(warped).max() < 10


@pytest.mark.parametrize("power", POWERS)
@pytest.mark.parametrize("losses", [LOSSES, np.random.default_rng(3).normal(size=25), np.array([1.0, 2.0])], ids=len)
def test_the_way_back_leads_to_the_losses(losses: np.ndarray, power: float) -> None:
    targets, _ = standardized_power(half_rank(losses), power)
    np.testing.assert_allclose(unwarped(targets, losses, power), losses, rtol=1e-6)
    between = np.linspace(targets.min() - 2, targets.max() + 2, 200)
    assert (np.diff(unwarped(between, losses, power)) >= -1e-6).all()
    assert unwarped(between[-1:], losses, power) > losses.max()
    assert unwarped(between[:1], losses, power) < losses.min()
    np.testing.assert_allclose(unwarped(between[:, None], losses, power)[:, 0], unwarped(between, losses, power))


@pytest.mark.parametrize("power", POWERS)
@given(losses=st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=2))
def test_the_way_back_leads_to_finite_numbers(losses: list[float], power: float) -> None:
    known = np.array(losses)
    if standardized_power(half_rank(known), power)[0].any():
        assert np.isfinite(unwarped(np.linspace(-20, 20, 9), known, power)).all()
