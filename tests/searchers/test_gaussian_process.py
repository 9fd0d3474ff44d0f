"""The Gaussian process: gradients against finite differences, posterior against a dense solve, extremes of log EI."""

import math
from collections.abc import Callable
from decimal import Decimal, getcontext

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from hposweep.searchers.gaussian_process import (
    GaussianProcess,
    KernelParameters,
    LogPosterior,
    fit,
    log_h,
    log_h_slope,
    matern_52,
)

GROUPS = np.array([0, 1, 1, 2])  # the second and third input share a length scale
seeds = st.integers(0, 10**6)


def problem(seed: int, n: int = 12) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    inputs = rng.random((n, len(GROUPS)))
    targets = np.sin(5 * inputs[:, 0]) + inputs[:, 1] + 0.1 * rng.normal(size=n)
    return inputs, (targets - targets.mean()) / targets.std()


def parameters(seed: int) -> KernelParameters:
    return KernelParameters.from_logarithms(np.random.default_rng(seed).normal([-0.5, 0, 0.5, 0, -6], 0.3))


def finite_differences(function: Callable[[np.ndarray], float], at: np.ndarray, step: float = 1e-5) -> np.ndarray:
    steps = step * np.eye(len(at))
    return np.array([(function(at + each) - function(at - each)) / (2 * step) for each in steps])


@settings(max_examples=25)
@given(seed=seeds, logarithms=st.lists(st.floats(-2, 2), min_size=5, max_size=5))
def test_the_gradient_of_the_fit_is_that_of_its_value(seed: int, logarithms: list[float]) -> None:
    inputs, targets = problem(seed)
    posterior = LogPosterior(inputs, GROUPS, targets)
    at = np.array(logarithms)
    _, gradient = posterior.negative(at)
    numeric = finite_differences(lambda x: posterior.negative(x)[0], at)
    np.testing.assert_allclose(gradient, numeric, rtol=1e-3, atol=1e-3)


def test_the_value_of_the_fit_is_the_density_of_targets_and_priors() -> None:
    inputs, targets = problem(1)
    at = np.array([-0.4, 0.1, 0.9, 0.3, -5.0])
    scales = np.exp(at[:3])[GROUPS]
    distances = (((inputs[:, None] - inputs[None]) / scales) ** 2).sum(axis=2)
    covariance = math.exp(0.3) * matern_52(distances)[0] + math.exp(-5.0) * np.eye(len(inputs))
    likelihood = stats.multivariate_normal(np.zeros(len(inputs)), covariance).logpdf(targets)
    means, deviations = [*[math.log(0.5)] * 3, 0.0, math.log(1e-3)], [0.7, 0.7, 0.7, 1.0, 2.0]
    priors = stats.norm(means, deviations)
    # Both without the constants that no parameter moves.
    expected = likelihood + len(inputs) * 0.5 * math.log(2 * math.pi) + (priors.logpdf(at) - priors.logpdf(means)).sum()
    assert LogPosterior(inputs, GROUPS, targets).negative(at)[0] == pytest.approx(-expected, rel=1e-9)


def test_the_fit_finds_what_matters_and_the_noise() -> None:
    rng = np.random.default_rng(0)
    inputs = rng.random((80, 2))
    targets = np.sin(8 * inputs[:, 0]) + 0.1 * rng.normal(size=80)
    found, _ = fit(inputs, np.array([0, 1]), (targets - targets.mean()) / targets.std())
    assert found.length_scales[1] > 3 * found.length_scales[0]
    assert 0.1 < math.sqrt(found.noise_variance) * targets.std() / 0.1 < 2


@settings(max_examples=25)
@given(seed=seeds)
def test_means_without_own_targets_are_those_of_a_process_without_them(seed: int) -> None:
    inputs, targets = problem(seed)
    owners = np.random.default_rng([seed, 2]).integers(5, size=len(inputs))
    found = GaussianProcess(parameters(seed), inputs, GROUPS, targets).means_without_own(owners)
    for owner in np.unique(owners):
        others = owners != owner
        process = GaussianProcess(parameters(seed), inputs[others], GROUPS, targets[others])
        np.testing.assert_allclose(found[~others], process.mean(inputs[~others]), rtol=1e-6, atol=1e-6)


@settings(max_examples=25)
@given(seed=seeds)
def test_the_posterior_is_that_of_a_dense_solve(seed: int) -> None:
    inputs, targets = problem(seed)
    kernel = parameters(seed)
    new = np.random.default_rng([seed, 1]).random((5, len(GROUPS)))

    def covariances(one: np.ndarray, other: np.ndarray) -> np.ndarray:
        scaled = (one[:, None] - other[None]) / kernel.length_scales[GROUPS]
        distance = math.sqrt(5) * np.sqrt((scaled**2).sum(axis=2))
        found: np.ndarray = kernel.signal_variance * (1 + distance + distance**2 / 3) * np.exp(-distance)
        return found

    known = covariances(inputs, inputs) + kernel.noise_variance * np.eye(len(inputs))
    across = covariances(new, inputs)
    variance = kernel.signal_variance - np.einsum("ij,ji->i", across, np.linalg.solve(known, across.T))

    process = GaussianProcess(kernel, inputs, GROUPS, targets)
    mean, deviation = process.posterior(new)
    np.testing.assert_allclose(mean, across @ np.linalg.solve(known, targets), rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(process.mean(new), mean, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(deviation**2, variance, rtol=1e-6, atol=1e-9)


def test_with_little_noise_it_goes_through_what_it_knows() -> None:
    inputs, targets = problem(3)
    process = GaussianProcess(KernelParameters(np.full(3, 0.5), 1.0, 1e-6), inputs, GROUPS, targets)
    mean, deviation = process.posterior(inputs)
    np.testing.assert_allclose(mean, targets, atol=1e-3)
    assert (deviation < 2e-3).all()
    far = GaussianProcess(KernelParameters(np.full(3, 0.01), 2.0, 1e-6), inputs, GROUPS, targets)
    mean, deviation = far.posterior(np.full((1, 4), 9.0))
    assert (mean[0], deviation[0]) == pytest.approx((0, math.sqrt(2)))


def test_values_that_are_known_are_taken_without_noise() -> None:
    inputs, targets = problem(4)
    noisy = KernelParameters(np.full(3, 0.5), 1.0, 0.5)
    process = GaussianProcess(noisy, inputs, GROUPS, targets).with_values(inputs[:2], np.array([3.0, -3.0]))
    mean, deviation = process.posterior(inputs[:3])
    np.testing.assert_allclose(mean[:2], [3, -3], atol=1e-3)
    assert (deviation[:2] < 2e-3).all()
    assert deviation[2] > 0.1
    without = GaussianProcess(noisy, inputs, GROUPS, targets).with_values(inputs[:0], targets[:0])
    new = np.full((1, 4), 0.3)
    assert without.posterior(new) == GaussianProcess(noisy, inputs, GROUPS, targets).posterior(new)


def test_equal_inputs_with_different_targets_do_no_harm() -> None:
    inputs = np.repeat(problem(5, n=2)[0], 60, axis=0)
    targets = np.tile([-1.0, 1.0], 60)
    kernel, _ = fit(inputs, GROUPS, targets)
    mean, deviation = GaussianProcess(kernel, inputs, GROUPS, targets).posterior(inputs)
    np.testing.assert_allclose(mean, 0, atol=1e-3)
    assert np.isfinite(deviation).all()


@settings(max_examples=25)
@given(seed=seeds, best=st.floats(-3, 3))
def test_the_gradient_of_the_expected_improvement_is_that_of_its_value(seed: int, best: float) -> None:
    inputs, targets = problem(seed)
    process = GaussianProcess(parameters(seed), inputs, GROUPS, targets)
    new = np.random.default_rng([seed, 1]).random((3, len(GROUPS)))
    values, gradient = process.log_expected_improvement_and_gradient(new, best)
    np.testing.assert_allclose(values, process.log_expected_improvement(new, best), rtol=1e-9)
    for point, of_point in zip(new, gradient, strict=True):
        numeric = finite_differences(lambda x: process.log_expected_improvement(x[np.newaxis], best)[0], point)
        np.testing.assert_allclose(of_point, numeric, rtol=1e-3, atol=1e-3 * max(1, np.abs(of_point).max()))


@pytest.mark.parametrize("best", [-1.0, 0.0, 0.5])
def test_the_expected_improvement_is_the_integral_that_it_stands_for(best: float) -> None:
    inputs, targets = problem(6)
    process = GaussianProcess(parameters(6), inputs, GROUPS, targets)
    point = np.full((1, 4), 0.4)
    mean, deviation = (float(each[0]) for each in process.posterior(point))
    expected, _ = integrate.quad(
        lambda y: (best - y) * stats.norm.pdf(y, mean, deviation), best - 8 * deviation, best, epsrel=1e-10
    )
    assert process.log_expected_improvement(point, best)[0] == pytest.approx(math.log(expected), rel=1e-6)


def log_h_by_series(z: float) -> float:
    """By the continued fraction of Mills's ratio, with 60 digits: for z of -2 and below."""
    getcontext().prec = 60
    x = Decimal(-z)
    fraction = x
    for k in range(2000, 0, -1):
        fraction = x + k / fraction
    return float(-x * x / 2 + (1 - x / fraction).ln()) - 0.5 * math.log(2 * math.pi)


@pytest.mark.parametrize("z", [-2.0, -3.0, -10.0, -100.0, -999.0, -1001.0, -1e4, -1e6])
def test_log_h_is_exact_where_h_is_nothing(z: float) -> None:
    assert log_h(np.array([z]))[0] == pytest.approx(log_h_by_series(z), rel=1e-12, abs=1e-9)


@pytest.mark.parametrize("z", [-1.5, -1.0, -0.999, 0.0, 1.0, 8.0])
def test_log_h_is_what_it_says_where_h_is_something(z: float) -> None:
    assert log_h(np.array([z]))[0] == pytest.approx(math.log(stats.norm.pdf(z) + z * stats.norm.cdf(z)), rel=1e-9)


@pytest.mark.parametrize("z", [-1e6, -1001.0, -999.0, -30.0, -1.0, 0.0, 5.0])
def test_the_slope_of_log_h_has_no_step(z: float) -> None:
    step = 1e-4 * max(1, abs(z))
    numeric = (log_h(np.array([z + step])) - log_h(np.array([z - step]))) / (2 * step)
    at = np.array([z])
    assert log_h_slope(at, log_h(at))[0] == pytest.approx(numeric[0], rel=1e-5)
