"""Encoding: snapping to cells, categories, arcs of what is conditional, and the way of gradients back to the cube."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hposweep.search_space import Choice, ConditionalChoice, SearchSpace, parse_hyperparameter
from hposweep.searchers.encoding import Encoding
from support.strategies import search_spaces


def space(**priors: object) -> SearchSpace:
    return SearchSpace({key: parse_hyperparameter(prior) for key, prior in priors.items()})


TREE = SearchSpace(
    {
        "rate": parse_hyperparameter("loguniform(1e-3, 1)"),
        "kind": ConditionalChoice(
            Choice(("none", "one", "two")),
            (
                {},
                {"x": parse_hyperparameter("uniform(0, 1)"), "n": parse_hyperparameter("randint(1, 4)")},
                {"y": parse_hyperparameter("uniform(0, 1)"), "name": parse_hyperparameter("choice(a, b)")},
            ),
        ),
    }
)


@settings(max_examples=25)
@given(search_space=search_spaces, seed=st.integers(0, 10**6))
def test_a_cleaned_point_is_that_of_its_configuration(search_space: SearchSpace, seed: int) -> None:
    """To the bit where a value has a wide cell, so that points tell what was tried."""
    encoding = Encoding(search_space)
    points = np.random.default_rng(seed).random((4, len(search_space)))
    cleaned = encoding.clean(points)
    configurations = search_space.from_unit_cube(points)
    assert search_space.from_unit_cube(cleaned) == configurations
    again = search_space.to_unit_cube(configurations)
    np.testing.assert_allclose(cleaned, again, atol=1 / 128)
    few = [column.prior.n_values <= 16 for column in search_space.columns]
    assert cleaned[:, few].tobytes() == again[:, few].tobytes()


def test_wide_cells_of_many_values_are_found() -> None:
    encoding = Encoding(space(n="int(loguniform(1, 10000))"))
    widest = math.log(2) / math.log(10001)
    assert encoding.clean(np.array([[0.001], [widest - 0.001]])).tolist() == [[widest / 2], [widest / 2]]
    assert encoding.clean(np.array([[0.99]])).tolist() == [[0.99]], "narrow ones are as good as a float"


def test_floats_and_ordered_values_are_inputs_as_they_are() -> None:
    encoding = Encoding(space(x="uniform(0, 1)", n="randint(0, 4)", size="choice(16, 32)", down="choice(3, 2, 1)"))
    points = encoding.clean(np.array([[0.3, 0.3, 0.7, 0.9]]))
    np.testing.assert_allclose(encoding.inputs(points), np.array([[0.3, 0.375, 0.75, 5 / 6]]))
    assert encoding.groups.tolist() == [0, 1, 2, 3]
    assert encoding.is_continuous.tolist() == [True, False, False, False]


@pytest.mark.parametrize(
    "prior", ["choice(a, b, c)", "choice(1, 3, 2)", "choice(true, false, null)", "choice(1, a, 2)"]
)
def test_options_without_an_order_are_at_distance_1(prior: str) -> None:
    encoding = Encoding(space(x="uniform(0, 1)", name=prior))
    points = encoding.clean(np.array([[0.5, 0.1], [0.5, 0.5], [0.5, 0.9]]))
    inputs = encoding.inputs(points)
    distances = np.linalg.norm(inputs[:, None] - inputs[None], axis=2)
    np.testing.assert_allclose(distances, 1 - np.eye(3))
    assert encoding.groups.tolist() == [0, 1, 1, 1]


def test_what_is_conditional_lies_on_an_arc_around_where_it_is_inactive() -> None:
    encoding = Encoding(TREE)
    by_key = {column.key: j for j, column in enumerate(TREE.columns)}
    points = np.full((4, len(TREE)), 0.5)
    points[:, by_key["kind"]] = [0.1, 0.5, 0.5, 0.9]
    points[:, by_key["x"]] = [0.2, 0.0, 1 - 2**-53, 0.9]
    cleaned = encoding.clean(points)
    assert np.isnan(cleaned[:, by_key["x"]]).tolist() == [True, False, False, True]
    assert np.isnan(cleaned[:, by_key["name"]]).tolist() == [True, True, True, False]
    x = encoding.inputs(cleaned)[:, encoding.groups == by_key["x"]]
    np.testing.assert_allclose(x, np.array([[0, 0], [0.5, 0], [-0.5, 0], [0, 0]]), atol=1e-15)
    name = encoding.inputs(cleaned)[:, encoding.groups == by_key["name"]]
    assert np.linalg.norm(name[0] - name[3]) == pytest.approx(0.5)


def test_points_that_differ_where_inactive_are_one() -> None:
    encoding = Encoding(TREE)
    points = np.random.default_rng(0).random((20, len(TREE)))
    column = [column.key for column in TREE.columns].index("kind")
    points[:, 0], points[:, column] = 0.5, 0.1
    assert len({point.tobytes() for point in encoding.clean(points)}) == 1
    assert len(np.unique(encoding.inputs(encoding.clean(points)), axis=0)) == 1


@settings(max_examples=25)
@given(seed=st.integers(0, 10**6), with_fidelity=st.booleans())
def test_gradients_come_back_to_the_cube(seed: int, with_fidelity: bool) -> None:
    encoding = Encoding(TREE, with_fidelity)
    rng = np.random.default_rng(seed)
    points = encoding.clean(rng.random((6, len(TREE))) * 0.998)
    weights = rng.normal(size=len(encoding.groups))
    gradient = encoding.gradient(points, np.tile(weights, (6, 1)))
    for j, column in enumerate(TREE.columns):
        is_free = ~np.isnan(points[:, j]) & encoding.is_continuous[j]
        moved = points.copy()
        moved[:, j] += 1e-6
        numeric = (encoding.inputs(moved) - encoding.inputs(points)) @ weights / 1e-6
        np.testing.assert_allclose(gradient[is_free, j], numeric[is_free], rtol=1e-4, atol=1e-4, err_msg=column.id)
        assert (gradient[~is_free, j] == 0).all()


def test_a_fidelity_is_the_last_input() -> None:
    encoding = Encoding(space(x="uniform(0, 1)"), with_fidelity=True)
    points = np.array([[0.2], [0.7]])
    assert encoding.inputs(points).tolist() == [[0.2, 1.0], [0.7, 1.0]]
    assert encoding.inputs(points, np.array([0.0, 0.5])).tolist() == [[0.2, 0.0], [0.7, 0.5]]
    assert encoding.groups.tolist() == [0, 1]
