"""Conditional search spaces: branches under the options of a choice."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from hposweep.errors import ConfigError
from hposweep.search_space import (
    Choice,
    ConditionalChoice,
    Constant,
    Node,
    SearchSpace,
    parse_hyperparameter,
    parse_search_space,
    read_dimension,
    tree,
)
from support.strategies import search_trees

seeds = st.integers(0, 2**32 - 1)


def parsed(node: Any, *, nested: bool = True) -> dict[str, Node]:
    return parse_search_space(node, lambda key, value: parse_hyperparameter(value), nested=nested)


def of_yaml(text: str) -> SearchSpace:
    return SearchSpace(parsed(yaml.safe_load(text)))


NETWORKS = """
model:
  choice:
    softmax:
    mlp: {model: {num_hiddens: "int(loguniform(32, 1024))", num_layers: "randint(1, 4)"}}
optimizer.name: {choice: {sgd: {optimizer.momentum: "uniform(0, 0.99)"}, adam: }}
optimizer.learning_rate: loguniform(1e-4, 1)
"""


def test_a_configuration_holds_its_active_keys_in_the_order_of_the_tree() -> None:
    space = of_yaml(NETWORKS)
    found = [tuple(space.sample(0, number)) for number in range(30)]
    common = ("optimizer.learning_rate",)
    models = [("model",), ("model", "model.num_hiddens", "model.num_layers")]
    optimizers = [("optimizer.name",), ("optimizer.name", "optimizer.momentum")]
    assert set(found) == {model + optimizer + common for model in models for optimizer in optimizers}


def test_no_draw_moves_when_conditions_come() -> None:
    space = of_yaml(NETWORKS)
    flat = SearchSpace({each.key: each.prior for each in space.dimensions})
    for number in range(20):
        drawn = space.sample(7, number)
        assert drawn == {key: value for key, value in flat.sample(7, number).items() if key in drawn}


def test_one_key_may_have_another_prior_under_another_option() -> None:
    space = of_yaml("""
        optimizer:
          choice:
            sgd: {optimizer.learning_rate: "loguniform(1e-3, 1)"}
            adam: {optimizer.learning_rate: "loguniform(1e-6, 1e-3)"}
    """)
    assert [each.id for each in space.dimensions[1:]] == [
        "optimizer.learning_rate (optimizer=sgd)",
        "optimizer.learning_rate (optimizer=adam)",
    ]
    for number in range(20):
        drawn = space.sample(0, number)
        assert (drawn["optimizer.learning_rate"] > 1e-3) == (drawn["optimizer"] == "sgd")
    assert {"optimizer": "sgd", "optimizer.learning_rate": 1e-4} not in space


def test_branches_nest_and_the_configurations_are_counted() -> None:
    space = of_yaml("""
        a:
          choice:
            1: {b: {choice: {x: {c: "choice(p, q, r)"}, y: }}, d: "randint(0, 5)"}
            2:
            3: {e: 7}
    """)
    assert space.n_configurations == (3 + 1) * 5 + 1 + 1
    cells = list(space.cells())
    assert len(cells) == len({repr(each) for each, _ in cells}) == 22
    assert all(configuration in space for configuration, _ in cells)
    assert math.isclose(sum(probability for _, probability in cells), 1)
    assert {"a": 3, "e": 7} in [configuration for configuration, _ in cells]


@settings(max_examples=60)
@given(space=search_trees(), seed=seeds, number=st.integers(0, 1000))
def test_the_way_to_the_unit_cube_and_back(space: SearchSpace, seed: int, number: int) -> None:
    configuration = space.sample(seed, number)
    assert configuration in space
    point = space.to_unit_cube([configuration])
    active = {dimension.id for dimension in space.active(configuration)}
    assert [not math.isnan(value) for value in point[0]] == [each.id in active for each in space.columns]
    assert (space.is_active(point) == ~np.isnan(point)).all()
    (again,) = space.from_unit_cube(point)
    assert list(again) == list(configuration)
    drawn = next(space.points(seed, number))[np.newaxis]
    assert (space.is_active(drawn) == space.is_active(point)).all()
    assert space.from_unit_cube(drawn) == [configuration]


@settings(max_examples=60)
@given(space=search_trees(), seed=seeds)
def test_any_option_can_be_had_and_nothing_but_active_keys_make_a_configuration(space: SearchSpace, seed: int) -> None:
    point = next(space.points(seed, 0))
    for dimension in space.columns:
        if isinstance(dimension.prior, Choice):
            for option in dimension.prior.options:
                configuration = space.with_option(point, dimension, option)
                assert configuration in space
                assert configuration[dimension.key] == option
                assert {**configuration, "another": 1} not in space
                for key in configuration:
                    assert {name: value for name, value in configuration.items() if name != key} not in space


@settings(max_examples=60)
@given(space=search_trees())
def test_a_space_comes_back_from_its_records(space: SearchSpace) -> None:
    records = yaml.safe_load(yaml.safe_dump(space.records(), sort_keys=False))
    again = SearchSpace.of([read_dimension(id, record) for id, record in records.items()])
    assert again == space
    assert again.sample(0, 0) == space.sample(0, 0)


MLP = {"num_layers": "randint(1, 4)"}


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ({"m": {"choice": {"a": {"x": 1}, "b": None}}, "x": 2}, "m=a: x: stands twice where both would be active; "),
        (
            {"m": {"choice": {"a": {"x": 1}, "b": None}}, "n": {"choice": {"c": {"x": 1}}}},
            "n=c: x: stands twice where both would be active; a key has one place at a time",
        ),
        ({"m": {"choice": {"a": {"m": {"choice": ["a"]}}}}}, "m=a: m: stands twice where both would be active"),
        ({"m": {"choice": {"a": {"+x": 1}, "b": None}}, "x": 2}, "m=a: x: stands twice where both would be active"),
        ({"m": {"choice": {"a": 5}}}, "m: option a: its branch is a mapping of config keys to hyperparameters, got 5"),
        ({"m": {"choice": {"a": ["x"]}}}, "m: option a: its branch is a mapping of config keys to hyperparameters"),
        ({"m": {"choice": ["a", "b"], "a": MLP}}, "m: 'a' can't stand beside 'choice'. What exists under one option"),
        ({"m": {"choice": {"a": {"x": "nosuch(1)"}}}}, "m: option a: x: no distribution 'nosuch'"),
        (
            {"m": {"choice": {"a": {"x.y": 1, "x": {"y": 2}}}}},
            "m: option a: x.y: stands twice, once with dots and once",
        ),
        ({"m": {"choice": {}}}, "m: choice() needs at least one option"),
        ({"m": {"choice": {(1, 2): None}}}, "m: (1, 2): an option that may bring a branch is text, a number, a bool"),
        (yaml.safe_load("m: {a: int(loguniform(1, 9))}"), "m.a: int(loguniform(1: can't be read; in braces YAML ends"),
    ],
    ids=str,
)
def test_what_can_not_be_a_tree_is_one_line(node: Any, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        SearchSpace(parsed(node))
    assert f"{error.value}".startswith(message)
    assert len(f"{error.value}") < 300


def test_a_tree_that_holds_itself_is_refused() -> None:
    node: dict[str, Any] = {"m": {"choice": {"a": None, "b": None}}}
    node["m"]["choice"]["a"] = node
    with pytest.raises(ConfigError, match=r"^m: option a: a mapping that holds itself has no end$"):
        parsed(node)
    level: dict[str, Any] = {}
    level["x"] = level
    with pytest.raises(ConfigError, match="a mapping that holds itself has no end"):
        parsed(level)


def test_where_keys_are_names_they_do_not_nest() -> None:
    with pytest.raises(ConfigError, match="has the key 'distribution' or 'choice'"):
        parsed({"model": {"num_layers": "randint(1, 4)"}}, nested=False)
    assert list(parsed({"m": {"choice": {"a": {"x.y": 1}}}}, nested=False)) == ["m"]


class TestOneSourceOverrulesAnother:
    """`hposweep.search_space.tree`."""

    nodes = parsed(yaml.safe_load(NETWORKS))

    def test_a_choice_of_some_options_keeps_their_branches(self) -> None:
        changed = tree.with_node(self.nodes, "model", Choice(("mlp", "lenet")))
        node = changed["model"]
        assert isinstance(node, ConditionalChoice)
        assert list(node.branch("mlp")) == ["model.num_hiddens", "model.num_layers"]
        assert node.branch("lenet") == {}
        assert tree.with_node(self.nodes, "model", Choice(("lenet", "softmax")))["model"] == Choice(
            ("lenet", "softmax")
        )

    def test_a_choice_that_is_fixed_leaves_the_branch_of_its_option(self) -> None:
        changed, is_apart = tree.fixed(self.nodes, "model", Constant("mlp"))
        assert is_apart
        assert sorted(tree.keys(changed)) == [
            *("model.num_hiddens", "model.num_layers", "optimizer.learning_rate"),
            *("optimizer.momentum", "optimizer.name"),
        ]
        assert changed["model.num_layers"] == self.nodes["model"].branch("mlp")["model.num_layers"]  # type: ignore[union-attr]

    def test_a_key_of_a_branch_is_overruled_there(self) -> None:
        changed, is_apart = tree.fixed(self.nodes, "model.num_layers", Constant(2))
        assert not is_apart
        assert changed["model"].branch("mlp")["model.num_layers"] == Constant(2)  # type: ignore[union-attr]
        prior = parse_hyperparameter("randint(1, 9)")
        changed = tree.with_node(self.nodes, "model.num_layers", prior)
        assert changed["model"].branch("mlp")["model.num_layers"] == prior  # type: ignore[union-attr]

    def test_a_key_is_taken_out_wherever_it_stands(self) -> None:
        assert "model.num_layers" not in tree.keys(tree.without(self.nodes, "model.num_layers"))
        both = tree.without(tree.without(self.nodes, "model.num_layers"), "+model.num_hiddens")
        assert both["model"] == Choice(("softmax", "mlp"))
