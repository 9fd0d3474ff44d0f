"""Points of the unit cube as inputs of a model that knows distances alone."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hposweep.search_space import Choice, Distribution, Hyperparameter, SearchSpace, Value

N_CELLS = 128  # cells of whole numbers that are narrower than one in this many are left as they are


@dataclass(frozen=True)
class Cells:
    """The intervals of the unit interval that are one value each, in ascending order."""

    starts: np.ndarray  # shape (n_cells,), as the others
    ends: np.ndarray
    middles: np.ndarray

    @classmethod
    def of(cls, prior: Hyperparameter) -> Cells:
        """Those of a discrete prior's values, the wide ones where there are many."""
        n_values = len(prior.options) if isinstance(prior, Choice) else N_CELLS
        values = [value for value in prior.grid(n_values) if np.diff(prior.cell(value))[0] > 0]
        starts, ends = np.array([prior.cell(value) for value in values]).reshape(-1, 2).T
        return cls(starts, ends, np.array([prior.quantile(value) for value in values]))

    def snap(self, quantiles: np.ndarray) -> np.ndarray:
        """The middles of the cells in which these lie; itself what lies in none."""
        found = np.maximum(np.searchsorted(self.starts, quantiles, side="right") - 1, 0)
        is_inside = (quantiles >= self.starts[found]) & (quantiles < self.ends[found])
        return np.where(is_inside, self.middles[found], quantiles)


class Encoding:
    """Maps points of the unit cube to inputs, such that distances between inputs mean something.

    A float is an input as it is, so is a whole number or an option of a choice whose options are numbers in order, by
    the middle of its cell. Any other choice has an input for each option, such that two options are at distance 1.

    A hyperparameter of a branch has an arc: where it is active, x lies on a half circle of radius 1/2, where it is
    inactive in its centre (Swersky et al., "Raiders of the Lost Architecture: Kernels for Bayesian Optimization in
    Conditional Parameter Spaces", arXiv:1409.4011, 2014; ours has the length scale in place of their two parameters). A
    choice that is inactive lies in the centre of its options.

    Attributes:
        groups: shape (m,), which dimension of the space each input belongs to: column j of the unit cube.
        is_continuous: shape (d,), which columns of the unit cube have a gradient.
        is_discrete: shape (d,), the other columns.

    Args:
        with_fidelity: whether there is one more input, the last one, of a group of its own.
    """

    def __init__(self, search_space: SearchSpace, with_fidelity: bool = False) -> None:
        self.search_space, self.with_fidelity = search_space, with_fidelity
        columns = search_space.columns
        self.is_continuous = np.array(
            [isinstance(column.prior, Distribution) and not column.prior.integer for column in columns], dtype=bool
        )
        self.is_discrete = ~self.is_continuous
        self._cells = {j: Cells.of(columns[j].prior) for j in np.flatnonzero(self.is_discrete)}
        self._corners: dict[int, np.ndarray] = {}  # inputs of the options of each choice without order
        kinds: dict[str, list[int]] = {"line": [], "arc": []}
        for j, column in enumerate(columns):
            if isinstance(column.prior, Choice) and not _is_ordered(column.prior.options):
                n_options = len(column.prior.options)
                corners = np.vstack([np.eye(n_options), np.full(n_options, 1 / n_options)])
                self._corners[j] = corners * math.sqrt(0.5)
            else:
                kinds["line" if column.when is None else "arc"].append(j)
        self._lines, self._arcs = (np.array(kinds[kind], dtype=int) for kind in ("line", "arc"))
        categories = [[j] * corners.shape[1] for j, corners in self._corners.items()]
        groups = [*self._lines, *self._arcs, *self._arcs, *itertools.chain(*categories)]
        self.groups = np.array([*groups, len(columns)] if with_fidelity else groups, dtype=int)

    def clean(self, points: np.ndarray) -> np.ndarray:
        """Points that are equal where their configurations are: discrete values in the middle, NaN where inactive.

        Args:
            points: shape (n, d), values in [0, 1), anything where inactive.
        """
        cleaned = points.copy()
        for column, cells in self._cells.items():
            cleaned[:, column] = cells.snap(points[:, column])
        if self.search_space.is_conditional:
            cleaned[~self.search_space.is_active(cleaned)] = math.nan
        return cleaned

    def inputs(self, points: np.ndarray, fidelity: float | np.ndarray = 1.0) -> np.ndarray:
        """The inputs of cleaned points, shape (n, m).

        Args:
            fidelity: of all points or, shape (n,), of each; where it is no input, it is not read.
        """
        found = [points[:, self._lines]]
        if len(self._arcs):
            angles = math.pi * points[:, self._arcs]
            found.append(np.nan_to_num(np.hstack([np.cos(angles), np.sin(angles)]) / 2))
        for column, corners in self._corners.items():
            n_options = len(corners) - 1
            # What is inactive has the last row.
            option = np.where(np.isnan(points[:, column]), n_options, points[:, column] * n_options)
            found.append(corners[option.astype(int)])
        if self.with_fidelity:
            found.append(np.broadcast_to(fidelity, len(points))[:, np.newaxis])
        return np.hstack(found)

    def gradient(self, points: np.ndarray, of_inputs: np.ndarray) -> np.ndarray:
        """The gradient by the points, shape (n, d), from that by their inputs; 0 where discrete or inactive."""
        found = np.zeros(points.shape)
        n_lines, n_arcs = len(self._lines), len(self._arcs)
        found[:, self._lines] = of_inputs[:, :n_lines]
        if n_arcs:
            angles = math.pi * points[:, self._arcs]
            of_cosine, of_sine = np.split(of_inputs[:, n_lines : n_lines + 2 * n_arcs], 2, axis=1)
            found[:, self._arcs] = np.nan_to_num((of_sine * np.cos(angles) - of_cosine * np.sin(angles)) * math.pi / 2)
        found[:, self.is_discrete] = 0
        return found


def _is_ordered(options: Sequence[Value]) -> bool:
    """Whether they are numbers that ascend or descend."""
    if not all(isinstance(option, int | float) and not isinstance(option, bool) for option in options):
        return False
    ascends = [one < other for one, other in itertools.pairwise(options)]
    return all(ascends) or not any(ascends)
