"""Priors know what they are made of, and come back from a YAML file to the bit."""

import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from hposweep.errors import ConfigError
from hposweep.search_space import (
    Choice,
    Constant,
    Dimension,
    Distribution,
    Hyperparameter,
    SearchSpace,
    as_hyperparameter,
    parse_hyperparameter,
    prior_text,
    read_prior,
)
from hposweep.search_space.priors import floor_of, integers, interval
from hposweep.sweep_folder.sweep_yaml import FunctionRecord, read_record, write_record

POINTS = np.array([0.0, 1e-12, 0.1, 0.25, 1 / 3, 0.5, 0.9, 0.999, 1 - 2**-53])

numbers = st.floats(1e-6, 1e6)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
options = scalars | st.lists(scalars, max_size=3) | st.dictionaries(st.text() | st.integers(), scalars, max_size=3)


def ends(least: float) -> st.SearchStrategy[tuple[float, float]]:
    floats = st.floats(least, 1e6)
    return st.tuples(floats, floats).filter(lambda pair: pair[0] < pair[1]).map(lambda pair: (pair[0], pair[1]))


whole_ends = st.tuples(st.integers(1, 10_000), st.integers(1, 10_000)).filter(lambda pair: pair[0] < pair[1])


@st.composite
def of_scipy(draw: st.DrawFn) -> Hyperparameter:
    low, high = draw(ends(1e-6))
    return as_hyperparameter(
        draw(
            st.sampled_from(
                [
                    stats.loguniform(low, high),
                    stats.loguniform(a=low, b=high),
                    stats.reciprocal(low, high, scale=2),
                    stats.uniform(low, high - low),
                    stats.norm(loc=low, scale=high),
                    stats.beta(low, b=high),
                    stats.randint(int(low), int(high) + 1),
                    stats.poisson(mu=low),
                    stats.geom(0.3, loc=2),
                    stats.truncnorm(-1, 2, low, high),
                ]
            )
        )
    )


@st.composite
def floors(draw: st.DrawFn) -> Hyperparameter:
    low, high = draw(whole_ends)
    texts = [
        f"loguniform({low}, {high})",
        f"loguniform(a={low}, b={high})",
        f"uniform({low / 7}, {high})",
        "norm(0, 5)",
    ]
    return parse_hyperparameter(f"int({draw(st.sampled_from(texts))})")


@st.composite
def of_hydra(draw: st.DrawFn) -> Hyperparameter:
    log = draw(st.booleans())
    name = "tag(log, interval({}, {}))" if log else "interval({}, {})"
    if draw(st.booleans()):
        low, high = draw(whole_ends)
        return integers(low, high, log=log, text=f"int({name.format(low, high)})")
    bounds = draw(ends(1e-6))
    return interval(*bounds, log=log, text=name.format(*bounds))


choices = st.lists(options, min_size=1, max_size=5, unique_by=repr).map(lambda found: Choice(tuple(found)))
constants = options.map(Constant)
priors = st.one_of(of_scipy(), floors(), of_hydra(), choices, constants)


def by_way_of_yaml(prior: Hyperparameter) -> Hyperparameter:
    with tempfile.TemporaryDirectory() as folder:
        write_record(Path(folder), FunctionRecord(search_space=SearchSpace({"key": prior}).records()))
        record = read_record(Path(folder))
    assert record is not None
    return record.priors_of("key")[0]


@given(prior=priors)
def test_a_prior_comes_back_from_yaml_with_the_same_draws_to_the_bit(prior: Hyperparameter) -> None:
    again = by_way_of_yaml(prior)
    assert type(again) is type(prior)
    assert (str(again), again.support(), again.is_log) == (str(prior), prior.support(), prior.is_log)
    assert repr(again.at(POINTS)) == repr(prior.at(POINTS))
    assert repr(again.record()) == repr(prior.record())
    assert prior_text(prior.record()) == str(prior)


@given(prior=st.one_of(of_scipy(), floors(), of_hydra()))
def test_a_prior_comes_back_from_its_text_alone_as_the_first_schema_has_it(prior: Hyperparameter) -> None:
    again = read_prior(str(prior))
    assert again == prior
    assert repr(again.at(POINTS)) == repr(prior.at(POINTS))


@pytest.mark.parametrize(
    ("text", "support", "is_log"),
    [
        ("interval(0,4)", "0 to 4", False),
        ("interval(start=1e-4, end=1)", "0.0001 to 1", False),
        ("tag(log,interval(1e-4,1))", "0.0001 to 1", True),
        ("tag(log, int(interval(1,9)))", "integers 1 to 9", True),
        ("int(tag(log,interval(1,9)))", "integers 1 to 9", True),
        ("tag(log,sweep=interval(1,end=9))", "1 to 9", True),
        ("float(interval(-1,1))", "-1 to 1", False),
        ("int(interval(1,5))", "integers 1 to 5", False),
        ("int(loguniform(1, 8))", "integers 1 to 8", True),
        ("choice(plain, 'interval(1)')", "2 options", False),
        ("'text'", "constant", False),
        ("7", "constant", False),
    ],
)
def test_the_texts_of_the_first_schema(text: str, support: str, is_log: bool) -> None:
    prior = read_prior(text)
    assert (str(prior) in (text, repr(text)), prior.support(), prior.is_log) == (True, support, is_log)


@pytest.mark.parametrize(
    "record",
    [
        *("interval(0,inf)", "interval(1)", "tag(log)", "interval()", "int(interval(1,1e999))", "nosuch(1)"),
        *({"text": "x"}, {"text": "x", "interval": [1, 2.5], "log": True}, {"text": "x", "int": {"choice": [1]}}, 3),
        {"text": "x", "distribution": "nosuch", "arguments": []},
    ],
    ids=str,
)
def test_what_no_prior_has_written_is_refused_in_one_line(record: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        read_prior(record)
    assert "\n" not in str(caught.value)


@given(prior=priors, n=st.integers(1, 12))
def test_a_grid_has_values_of_the_prior_each_once(prior: Hyperparameter, n: int) -> None:
    grid = prior.grid(n)
    assert 1 <= len(grid) <= n
    assert len({repr(value) for value in grid}) == len(grid)
    if "nan" not in repr(grid):
        assert all(value in prior for value in grid)


@pytest.mark.parametrize(
    ("node", "n", "expected"),
    [
        ("uniform(0, 1)", 4, [0.125, 0.375, 0.625, 0.875]),
        ("choice(a, b, c)", 3, ["a", "b", "c"]),
        ("choice(a, b, c)", 9, ["a", "b", "c"]),
        ("choice(a, b, c, d)", 2, ["b", "d"]),
        ("randint(1, 4)", 3, [1, 2, 3]),
        ("int(loguniform(1, 4))", 4, [1, 2, 3, 4]),
        ("int(uniform(0, 100))", 4, [12, 37, 62, 87]),
        ("poisson(0.1)", 4, [0]),
        (7, 3, [7]),
    ],
)
def test_the_grid_of_a_prior(node: object, n: int, expected: list[object]) -> None:
    assert parse_hyperparameter(node).grid(n) == expected


def test_a_grid_on_a_log_scale_is_even_in_the_logarithm() -> None:
    assert parse_hyperparameter("loguniform(1e-4, 1)").grid(2) == pytest.approx([1e-3, 1e-1])


@given(prior=priors, point=st.floats(0, 1, exclude_max=True))
def test_the_quantiles_inside_of_a_cell_have_its_value(prior: Hyperparameter, point: float) -> None:
    (value,) = prior.at(np.array([point]))
    if isinstance(value, float) or "nan" in repr(value):
        return
    low, high = prior.cell(value)
    # An end may belong to the neighbour, and the inverse function is exact up to rounding.
    assert low - 1e-9 <= point <= high + 1e-9
    inside = low + (high - low) * np.array([1e-3, 0.5, 1 - 1e-3])
    if high - low > 1e-9:
        assert [repr(each) for each in prior.at(inside)] == [repr(value)] * 3
        assert prior.quantile(value) == pytest.approx((low + high) / 2)


@given(prior=priors)
def test_many_cells_at_once_are_those_of_the_values(prior: Hyperparameter) -> None:
    cells, values = prior.cells(POINTS), prior.at(POINTS)
    assert cells.shape == (len(POINTS), 2)
    for cell, value, point in zip(cells, values, POINTS, strict=True):
        if isinstance(prior, Distribution) and not prior.integer:
            assert cell == pytest.approx([point, point])
        elif "nan" not in repr(value):
            assert tuple(cell) == pytest.approx(prior.cell(value))


def test_the_cell_of_a_continuous_prior_is_a_point() -> None:
    assert parse_hyperparameter("uniform(0, 4)").cell(1.0) == (0.25, 0.25)


@pytest.mark.parametrize(
    ("text", "is_log"),
    [
        ("loguniform(1e-4, 1)", True),
        ("reciprocal(0.1, 1)", True),
        ("loguniform(1e-4, 1, scale=10)", True),
        ("loguniform(1e-4, 1, loc=5)", False),
        ("int(loguniform(a=32, b=1024))", True),
        ("uniform(0, 1)", False),
        ("lognorm(1)", False),
        ("choice(log, loguniform)", False),
    ],
)
def test_a_prior_knows_whether_it_is_on_a_log_scale(text: str, is_log: bool) -> None:
    assert parse_hyperparameter(text).is_log is is_log


def test_named_ends_are_floored_as_they_stand() -> None:
    def floored(text: str) -> str:
        prior = parse_hyperparameter(text)
        assert not isinstance(prior, Choice | Constant)
        return floor_of(prior).support()  # type: ignore[arg-type]

    assert floored("loguniform(2, 6)") == "integers 2 to 6"
    assert floored("loguniform(a=2, b=6)") == "integers 2 to 5"


def test_a_record_begins_with_its_text() -> None:
    record = parse_hyperparameter("int(loguniform(32, 1024))").record()
    made_of = {"distribution": "loguniform", "arguments": [32, 1024]}
    assert list(record.items()) == [("text", "int(loguniform(32, 1024))"), ("int", made_of)]


def test_dimensions_without_conditions_have_the_ids_of_their_keys() -> None:
    prior = parse_hyperparameter("uniform(0, 1)")
    space = SearchSpace({"a.b": prior})
    assert space.dimensions == (Dimension(id="a.b", key="a.b", prior=prior, when=None),)


def test_infinite_and_huge_options_come_back() -> None:
    prior = Choice(
        ("\x85", math.inf, -math.inf, 10**400, 5e-324, -0.0, "1e-4", "\x85\u2028\ud800\x00", "", "=", "2024-01-01")
    )
    assert repr(by_way_of_yaml(prior)) == repr(prior)


@pytest.mark.parametrize(
    "record",
    [
        {"text": "x", "distribution": "bootstrap", "arguments": []},
        {"text": "x", "distribution": "__import__", "arguments": ["os"]},
        {"text": "x", "distribution": "loguniform", "arguments": [1, 2], "keywords": 5},
        {"text": "x", "distribution": "loguniform", "arguments": [{"a": 1}, 2]},
        {"text": "x", "distribution": "norm", "arguments": [10**400]},
        {"text": "x", "interval": [1, 10**400], "log": True},
        {"text": "x", "int": {"text": "y", "int": {}}},
        {"text": "x", "choice": []},
        {"text": "x"},
        "__import__('os').system('touch owned')",
        "uniform(9**9**9, 1)",
        f"uniform({'(' * 3000}",
    ],
    ids=lambda record: str(record)[:60],
)
def test_a_record_that_nobody_has_written_is_no_prior(record: Any) -> None:
    with pytest.raises(ConfigError):
        read_prior(record)
