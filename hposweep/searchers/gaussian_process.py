"""A Gaussian process on vectors: fit of its kernel, posterior, and logarithm of the expected improvement.

Inputs are arrays of shape (n, m). Several inputs may share a length scale, as the options of a choice do: `groups`, of
shape (m,), holds the number of each input's length scale, from 0 to g - 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

# The priors, log-normal: of length scales for inputs in [0, 1], of variances for targets of mean 0 and variance 1.
LENGTH_SCALE_PRIOR = (math.log(0.5), 0.7)
SIGNAL_PRIOR = (0.0, 1.0)
NOISE_PRIOR = (math.log(1e-3), 2.0)
LENGTH_SCALE_BOUNDS = (math.log(1e-2), math.log(1e3))
SIGNAL_BOUNDS = (-4.0, 4.0)
SMALLEST_NOISE = 1e-6  # a variance that keeps the covariance matrix of equal inputs positive definite
NOISE_BOUNDS = (math.log(SMALLEST_NOISE), 0.0)
N_ITERATIONS = 50
SMALLEST_VARIANCE = 1e-12
FAR = -1e3  # where log_h goes over to its asymptotic series
LOG_SQRT_2_PI = 0.5 * math.log(2 * math.pi)


@dataclass(frozen=True)
class KernelParameters:
    """Of a Matérn 5/2 kernel with automatic relevance determination, and of the noise."""

    length_scales: np.ndarray  # shape (g,)
    signal_variance: float
    noise_variance: float

    @classmethod
    def from_logarithms(cls, logarithms: np.ndarray) -> KernelParameters:
        """From the logarithms of the length scales, the signal's variance and the noise's, shape (g + 2,)."""
        *_, signal, noise = np.exp(logarithms)
        return cls(np.exp(logarithms[:-2]), float(signal), float(noise))


def fit(inputs: np.ndarray, groups: np.ndarray, targets: np.ndarray) -> tuple[KernelParameters, float]:
    """The most probable parameters, from one start: a function of its arguments alone.

    Args:
        targets: shape (n,), of mean 0 and variance 1.

    Returns:
        The parameters, and the logarithm of their density together with the targets', up to a constant.
    """
    from scipy import optimize

    posterior = LogPosterior(inputs, groups, targets)
    n_scales = posterior.n_scales
    # Distances grow with the square root of the number of inputs, and the length scales that suit them.
    scale = math.log(0.5 * math.sqrt(n_scales) / 1.5)
    start = np.array([*[scale] * n_scales, SIGNAL_PRIOR[0], NOISE_PRIOR[0]])
    bounds = [*[LENGTH_SCALE_BOUNDS] * n_scales, SIGNAL_BOUNDS, NOISE_BOUNDS]
    found = optimize.minimize(
        posterior.negative, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": N_ITERATIONS}
    )
    return KernelParameters.from_logarithms(found.x), -float(found.fun)


class LogPosterior:
    """The posterior density of kernel parameters, with its gradient (Rasmussen and Williams, 2006, section 5.4.1).

    Works on the n (n - 1) / 2 pairs of different rows, half of what the covariance matrix has.
    """

    def __init__(self, inputs: np.ndarray, groups: np.ndarray, targets: np.ndarray) -> None:
        self.n_scales = int(groups.max()) + 1
        self._targets = targets
        self._pairs = np.triu_indices(len(inputs), 1)
        self._squares = np.zeros((self.n_scales, len(self._pairs[0])))
        for column, group in zip(inputs.T, groups, strict=True):
            self._squares[group] += (column[self._pairs[0]] - column[self._pairs[1]]) ** 2
        signal_and_noise = np.array([SIGNAL_PRIOR, NOISE_PRIOR])
        priors = np.vstack([np.tile(LENGTH_SCALE_PRIOR, (self.n_scales, 1)), signal_and_noise])
        self._means, self._deviations = priors.T

    def negative(self, logarithms: np.ndarray) -> tuple[float, np.ndarray]:
        """Minus the logarithm of the density, up to a constant, and its gradient.

        Args:
            logarithms: shape (g + 2,), as for `KernelParameters.from_logarithms`.
        """
        from scipy.linalg import lapack

        weights = np.exp(-2 * logarithms[:-2])
        signal, noise = np.exp(logarithms[-2:])
        correlations, slopes = matern_52(weights @ self._squares)
        n = len(self._targets)
        covariance = np.zeros((n, n), order="F")
        covariance[self._pairs] = signal * correlations
        covariance[np.diag_indices(n)] = signal + noise
        factor, _ = lapack.dpotrf(covariance, lower=0, overwrite_a=1)
        solution, _ = lapack.dpotrs(factor, self._targets, lower=0)
        log_determinant_half = np.log(np.diag(factor)).sum()
        inverse, _ = lapack.dpotri(factor, lower=0, overwrite_c=1)

        sensitivity = solution[self._pairs[0]] * solution[self._pairs[1]] - inverse[self._pairs]
        trace = solution @ solution - np.trace(inverse)
        from_priors = (logarithms - self._means) / self._deviations
        gradient = from_priors / self._deviations
        gradient[:-2] += 2 * weights * signal * (self._squares @ (sensitivity * slopes))
        gradient[-2] -= signal * (sensitivity @ correlations + 0.5 * trace)
        gradient[-1] -= 0.5 * noise * trace
        value = 0.5 * self._targets @ solution + log_determinant_half + 0.5 * from_priors @ from_priors
        return float(value), gradient


class GaussianProcess:
    """The posterior of a Gaussian process of mean 0, given targets at inputs.

    >>> parameters = KernelParameters(np.array([0.3]), signal_variance=1.0, noise_variance=1e-6)
    >>> process = GaussianProcess(parameters, np.array([[0.2], [0.7]]), np.array([0]), np.array([-1.0, 1.0]))
    >>> mean, deviation = process.posterior(np.array([[0.2], [0.45]]))
    >>> mean.round(3).tolist(), deviation.round(3).tolist()
    ([-1.0, -0.0], [0.001, 0.604])
    """

    def __init__(
        self,
        parameters: KernelParameters,
        inputs: np.ndarray,
        groups: np.ndarray,
        targets: np.ndarray,
        n_exact: int = 0,
    ) -> None:
        """Given targets of which the last `n_exact` have no noise."""
        from scipy.linalg import lapack

        self.parameters, self.inputs, self.groups, self.targets = parameters, inputs, groups, targets
        self._scales = 1 / parameters.length_scales[groups]
        self._scaled = inputs * self._scales
        self._norms = np.einsum("ij,ij->i", self._scaled, self._scaled)
        covariance = parameters.signal_variance * matern_52(self._squared_distances(self._scaled))[0]
        noise = np.full(len(inputs), parameters.noise_variance)
        noise[len(inputs) - n_exact :] = SMALLEST_NOISE
        covariance[np.diag_indices(len(inputs))] = parameters.signal_variance + noise
        factor = np.linalg.cholesky(covariance)
        # Its inverse, since a product with it takes a third of a triangular solve's time.
        self._whitening, _ = lapack.dtrtri(factor, lower=1)
        self._solution = self._whitening.T @ (self._whitening @ targets)

    def with_values(self, inputs: np.ndarray, values: np.ndarray) -> GaussianProcess:
        """Given that the function has these values at these inputs, too."""
        inputs, targets = np.vstack([self.inputs, inputs]), np.concatenate([self.targets, values])
        return GaussianProcess(self.parameters, inputs, self.groups, targets, n_exact=len(values))

    def posterior(self, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation, without noise, at each input: shapes (n,) and (n,)."""
        covariances = self.parameters.signal_variance * matern_52(self._squared_distances(inputs * self._scales))[0]
        return covariances @ self._solution, np.sqrt(self._variances(covariances @ self._whitening.T))

    def mean(self, inputs: np.ndarray) -> np.ndarray:
        """The mean at each input, shape (n,)."""
        correlations, _ = matern_52(self._squared_distances(inputs * self._scales))
        means: np.ndarray = correlations @ (self.parameters.signal_variance * self._solution)
        return means

    def means_without_own(self, owners: np.ndarray) -> np.ndarray:
        """The mean at each known input, given only the targets of other owners: shape (n,).

        Args:
            owners: shape (n,), a number for each input.
        """
        precision = self._whitening.T @ self._whitening
        found = np.empty(len(owners))
        for owner in np.unique(owners):
            rows = np.flatnonzero(owners == owner)
            found[rows] = self.targets[rows] - np.linalg.solve(precision[np.ix_(rows, rows)], self._solution[rows])
        return found

    def log_expected_improvement(self, inputs: np.ndarray, best: float) -> np.ndarray:
        """The logarithm of the expected improvement below `best` at each input: shape (n,).

        Ament et al., "Unexpected Improvements to Expected Improvement for Bayesian Optimization", NeurIPS 2023,
        section 4.1: the logarithm has a gradient where the expected improvement itself is zero in floating point.
        """
        mean, deviation = self.posterior(inputs)
        values: np.ndarray = log_h((best - mean) / deviation) + np.log(deviation)
        return values

    def log_expected_improvement_and_gradient(self, inputs: np.ndarray, best: float) -> tuple[np.ndarray, np.ndarray]:
        """As `log_expected_improvement`, with its gradient by the inputs, shape (n, m)."""
        scaled = inputs * self._scales
        correlations, slopes = matern_52(self._squared_distances(scaled))
        covariances = self.parameters.signal_variance * correlations
        whitened = covariances @ self._whitening.T
        deviation = np.sqrt(self._variances(whitened))
        z = (best - covariances @ self._solution) / deviation

        slopes *= 2 * self.parameters.signal_variance
        mean_gradient = self._gradient(scaled, slopes * self._solution)
        variance_gradient = self._gradient(scaled, slopes * (-2 * whitened @ self._whitening))
        deviation_gradient = variance_gradient / (2 * deviation)[:, np.newaxis]
        log_h_of_z = log_h(z)
        z_gradient = -(mean_gradient + z[:, np.newaxis] * deviation_gradient) / deviation[:, np.newaxis]
        gradient = log_h_slope(z, log_h_of_z)[:, np.newaxis] * z_gradient
        gradient += deviation_gradient / deviation[:, np.newaxis]
        return log_h_of_z + np.log(deviation), gradient

    def _squared_distances(self, scaled: np.ndarray) -> np.ndarray:
        """From each of the scaled inputs to each of those that are known, shape (n, n_known)."""
        norms = np.einsum("ij,ij->i", scaled, scaled)
        squares: np.ndarray = norms[:, np.newaxis] + self._norms - 2 * (scaled @ self._scaled.T)
        np.maximum(squares, 0, out=squares)  # rounding goes below zero where inputs are equal
        return squares

    def _variances(self, whitened: np.ndarray) -> np.ndarray:
        explained = np.einsum("ij,ij->i", whitened, whitened)
        variances: np.ndarray = np.maximum(self.parameters.signal_variance - explained, SMALLEST_VARIANCE)
        return variances

    def _gradient(self, scaled: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """The gradient, by the inputs, of half the sum of weighted squared distances to the known inputs."""
        gradient: np.ndarray = (scaled * weights.sum(axis=1, keepdims=True) - weights @ self._scaled) * self._scales
        return gradient


def matern_52(squared_distances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Matérn's correlation of smoothness 5/2 at squared distances, and its derivative by these."""
    root = np.sqrt(5 * squared_distances)
    decay = np.exp(-root)
    root += 1
    root *= decay
    decay *= squared_distances
    decay *= 5 / 3
    decay += root
    root *= -5 / 6
    return decay, root


def log_h(z: np.ndarray) -> np.ndarray:
    """The logarithm of h(z) = phi(z) + z Phi(z), exact wherever z lies (Ament et al. 2023, equation 9).

    Ours goes over to the asymptotic series earlier than theirs, at -1000, with one more term: below, the difference
    of two numbers that are almost one loses the digits that the series keeps.
    """
    from scipy import special

    found = np.empty_like(z)
    near, far = z > -1, z < FAR
    between = ~(near | far)
    at = z[near]
    found[near] = np.log(np.exp(-0.5 * at * at - LOG_SQRT_2_PI) + at * special.ndtr(at))
    at = z[between]
    found[between] = -0.5 * at * at - LOG_SQRT_2_PI + np.log1p(at * special.erfcx(-at * SQRT_HALF) * SQRT_HALF_PI)
    at = z[far]
    found[far] = -0.5 * at * at - LOG_SQRT_2_PI - 2 * np.log(-at) - 3 / (at * at)
    return found


SQRT_HALF = math.sqrt(0.5)
SQRT_HALF_PI = math.sqrt(0.5 * math.pi)


def log_h_slope(z: np.ndarray, log_h_of_z: np.ndarray) -> np.ndarray:
    """The derivative of `log_h`: Phi(z) / h(z)."""
    from scipy import special

    far = z < FAR
    found: np.ndarray = np.exp(special.log_ndtr(np.maximum(z, FAR)) - np.where(far, 0, log_h_of_z))
    found[far] = -z[far] - 2 / z[far]
    return found
