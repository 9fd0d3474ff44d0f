"""Draws that were recorded by the first version: no later one moves them by a bit."""

import json
from pathlib import Path
from typing import Any

import pytest

from hposweep.search_space import SearchSpace, parse_hyperparameter, trial_seed

RECORDED: dict[str, Any] = json.loads((Path(__file__).parent / "draws.json").read_text())


@pytest.mark.parametrize("row", RECORDED["rows"], ids=lambda row: f"{row['seed']}-{row['number']}")
def test_a_draw_is_to_the_bit_what_it_was(row: dict[str, Any]) -> None:
    space = SearchSpace({key: parse_hyperparameter(node) for key, node in RECORDED["priors"].items()})
    drawn = space.sample(row["seed"], row["number"])
    assert {key: repr(value) for key, value in drawn.items()} == {
        key: repr(value) for key, value in row["draw"].items()
    }
    assert list(drawn) == list(row["draw"])
    assert trial_seed(row["seed"], row["number"]) == row["trial_seed"]


@pytest.mark.parametrize("row", RECORDED["rows"], ids=lambda row: f"{row['seed']}-{row['number']}")
def test_a_draw_does_not_depend_on_the_other_hyperparameters(row: dict[str, Any]) -> None:
    for key, node in RECORDED["priors"].items():
        alone = SearchSpace({key: parse_hyperparameter(node)}).sample(row["seed"], row["number"])
        assert repr(alone[key]) == repr(row["draw"][key])
