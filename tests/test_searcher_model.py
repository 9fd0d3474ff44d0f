"""The searcher's model, made again from a folder: it says what the searcher would, and nothing recorded is run."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hposweep
from hposweep import searcher_model
from hposweep.errors import ConfigError
from hposweep.history import Event, SegmentEnded, SegmentStarted, SweepStarted, TrialProposed
from hposweep.search_space import Choice, ConditionalChoice, Configuration, SearchSpace, parse_hyperparameter
from hposweep.searchers import expected
from hposweep.searchers.bayesian import BayesianSearcher
from hposweep.sweep_folder.journal import Journal
from hposweep.sweep_folder.sweep_yaml import AppRecord, FunctionRecord, SweepRecord, read_record, write_record
from hposweep.trial import Direction, TrialState
from support.processes import Run

SPACE = SearchSpace(
    {
        key: parse_hyperparameter(text)
        for key, text in {
            "rate": "loguniform(1e-4, 1)",
            "size": "int(loguniform(16, 1024))",
            "layers": "randint(1, 5)",
            "name": "choice(relu, tanh)",
            "shift": "norm(0, 1)",
        }.items()
    }
)
TARGET = "hposweep.searchers.bayesian.BayesianSearcher"


def loss(at: Configuration) -> float:
    """Minimum 0.1 at a rate of 0.01."""
    return 0.1 + (math.log10(at["rate"]) + 2) ** 2 + (0.5 if at["name"] == "tanh" else 0.0)


def function_record(space: SearchSpace = SPACE, **changes: Any) -> FunctionRecord:
    record = FunctionRecord(
        seed=0, metric="error", direction="minimize", search_space=space.records(), searcher="BayesianSearcher"
    )
    return dataclasses.replace(record, **changes)


def app_record(searcher: Mapping[str, Any], space: SearchSpace = SPACE) -> AppRecord:
    return AppRecord(
        seed=0,
        search_space=space.records(),
        command="python main.py",
        task_overrides=[],
        hydra_overrides=[],
        config={"hydra": {"sweeper": {"searcher": searcher}}},
    )


def swept(
    folder: Path,
    record: SweepRecord | None = None,
    space: SearchSpace = SPACE,
    n_trials: int = 40,
    value: Callable[[Configuration], float] = loss,
    direction: Direction = Direction.minimize,
    epochs: tuple[int | None, ...] = (None,),
    n_seeds: int = 1,
) -> Path:
    """The folder of a sweep of draws from the prior, each trained to these epochs."""
    folder.mkdir(exist_ok=True)
    write_record(folder, record or function_record(space))
    events: list[Event] = [SweepStarted(n_trials, 0, "error", direction)]
    for number in range(n_trials):
        first = number - number % n_seeds
        configuration = space.sample(0, first)
        events.append(TrialProposed(number, configuration, 7, epochs[0], first if first < number else None))
        for epoch in epochs[: 1 + (number % 2)] if len(epochs) > 1 else epochs:
            is_last = epoch == epochs[-1]
            state = TrialState.COMPLETE if is_last else TrialState.PAUSED
            events.append(SegmentStarted(number, 0, epoch, 1))
            measured = value(configuration) + (0 if is_last else 1)
            events.append(SegmentEnded(number, state, epoch, {"error": measured}, 1.0, folder=f"{number}"))
    journal = Journal.open(folder)
    journal.append(*events)
    journal.close()
    return folder


def model_of(folder: Path) -> searcher_model.SearcherModel | None:
    return searcher_model.rebuilt(folder, read_record(folder))


def assert_it_was_told(model: searcher_model.SearcherModel, value: Callable[[Configuration], float]) -> None:
    """That its searcher expects what one does that was told these losses, once for each configuration."""
    told = BayesianSearcher(model.search_space, 7)
    for trial in model.trials:
        if trial.repeats is None:
            told.start(trial)
            told.tell(trial, value(trial.configuration))
    rate = model.along("rate")
    assert rate is not None
    for position in (0, 30, 59):
        (each,) = expected(told, [{**model.winner, "rate": rate.values[position]}])
        assert each.median == pytest.approx(rate.means[position])
        assert each.low == pytest.approx(rate.lows[position])
        assert each.high == pytest.approx(rate.highs[position])


def test_it_says_what_the_searcher_would_along_each_hyperparameter(tmp_path: Path) -> None:
    model = model_of(swept(tmp_path))
    assert model is not None
    rate = model.along("rate")
    assert rate is not None
    assert len(rate.values) == 60
    np.testing.assert_allclose(np.diff(np.log(rate.values)), math.log(1e4) / 59)
    best = rate.values[int(np.argmin(rate.means))]
    assert 0.003 < best < 0.03
    assert (rate.lows <= rate.means).all() and (rate.means <= rate.highs).all()
    assert_it_was_told(model, loss)


def test_axes_have_whole_numbers_options_and_ends_where_trials_were(tmp_path: Path) -> None:
    model = model_of(swept(tmp_path))
    assert model is not None
    size, layers, name, shift = (model.along(key) for key in ("size", "layers", "name", "shift"))
    assert size and layers and name and shift
    assert all(isinstance(value, int) for value in size.values)
    assert (size.values[0], size.values[-1]) == (16, 1024)
    assert layers.values == [1, 2, 3, 4]
    assert name.values == ["relu", "tanh"]
    assert name.means[0] < name.means[1]
    seen = [trial.configuration["shift"] for trial in model.trials]
    assert (shift.values[0], shift.values[-1]) == (min(seen), max(seen))
    assert model.along("unknown") is None


def test_over_two_hyperparameters_rows_are_of_the_second(tmp_path: Path) -> None:
    model = model_of(swept(tmp_path))
    assert model is not None
    found = model.over("rate", "name")
    assert found is not None
    assert found.means.shape == (2, 30)
    (one,) = expected(model.searcher, [{**model.winner, "rate": found.values[3], "name": "tanh"}])
    assert found.means[1, 3] == pytest.approx(one.median)
    assert model.over("rate", "unknown") is None


def test_what_is_to_be_maximized_is_told_as_it_is(tmp_path: Path) -> None:
    folder = swept(tmp_path, value=lambda at: -loss(at), direction=Direction.maximize)
    model = model_of(folder)
    assert model is not None
    rate = model.along("rate")
    assert rate is not None
    assert 0.003 < rate.values[int(np.argmax(rate.means))] < 0.03
    assert rate.means.max() < 0.5
    assert (rate.lows <= rate.means).all() and (rate.means <= rate.highs).all()


def test_under_a_scheduler_it_tells_of_the_last_epoch(tmp_path: Path) -> None:
    model = model_of(swept(tmp_path, epochs=(1, 9), n_trials=60))
    assert model is not None
    rate = model.along("rate")
    assert rate is not None
    assert rate.means.min() < 0.6, "at the first epoch all are above 1.1"


def test_of_several_seeds_it_was_told_the_means(tmp_path: Path) -> None:
    noise = itertools.cycle([0.125, -0.125])
    model = model_of(swept(tmp_path, n_trials=80, n_seeds=2, value=lambda at: loss(at) + next(noise)))
    assert model is not None
    assert_it_was_told(model, loss)


TREE = SearchSpace(
    {
        "kind": ConditionalChoice(Choice(("plain", "deep")), ({}, {"depth": parse_hyperparameter("randint(1, 9)")})),
        "rate": parse_hyperparameter("loguniform(1e-4, 1)"),
    }
)


@pytest.mark.parametrize("best", ["plain", "deep"])
def test_what_is_inactive_in_the_winners_branch_has_no_slice(tmp_path: Path, best: str) -> None:
    model = model_of(swept(tmp_path, space=TREE, value=lambda at: at["rate"] + (at["kind"] != best)))
    assert model is not None
    assert model.along("rate") is not None
    assert (model.along("depth") is not None) == (best == "deep")
    assert model.along("kind") is None, "its options bring hyperparameters that the winner lacks"


def test_of_an_app_the_searcher_is_known_by_its_target(tmp_path: Path) -> None:
    assert model_of(swept(tmp_path / "ours", app_record({"_target_": TARGET, "n_startup": None}))) is not None
    assert model_of(swept(tmp_path / "late", app_record({"_target_": TARGET, "n_startup": 39}))) is not None
    assert model_of(swept(tmp_path / "none", app_record({"_target_": TARGET, "n_startup": 41}))) is None


@pytest.mark.parametrize(
    "node",
    [
        {"_target_": "os.system", "command": "touch owned"},
        {"_target_": TARGET, "n_startup": {"_target_": "os.system", "command": "touch owned"}},
        {"_target_": TARGET, "n_startup": "${oc.env:HOME}"},
        {"_target_": TARGET, "_args_": ["touch owned"]},
        {"_target_": [TARGET]},
        {"_target_": f"{TARGET}.propose"},
        {"_target_": "hposweep.searchers.tpe.TpeSearcher"},
        {},
        ["touch owned"],
        None,
    ],
    ids=str,
)
def test_no_other_searcher_is_made(tmp_path: Path, node: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert model_of(swept(tmp_path / "sweep", app_record(node))) is None
    assert list(tmp_path.rglob("owned")) == []


def huge(n: int) -> dict[str, Any]:
    return {"text": "choice(...)", "choice": [f"{i}" for i in range(n)]}


@pytest.mark.parametrize(
    "records",
    [
        {},
        {"rate": "nothing(1, 2)"},
        {**SPACE.records(), "size": "__import__('os').system('touch owned')"},
        {**SPACE.records(), "more": "uniform(0, 1)"},
        {**SPACE.records(), "more": huge(1000)},
        {**SPACE.records(), "x": {"text": "", "constant": 1, "key": "x", "when": {"choice": "none", "option": 1}}},
        {**SPACE.records(), "x": {"text": "", "constant": 1, "key": "x", "when": {"choice": "rate", "option": 1}}},
        {**SPACE.records(), "x": {"text": "", "constant": 1, "key": "x", "when": {"choice": "name", "option": 1}}},
    ],
    ids=str,
)
def test_a_search_space_that_is_another_one_or_too_large_has_no_model(tmp_path: Path, records: Any) -> None:
    assert model_of(swept(tmp_path, function_record(search_space=records))) is None


def test_without_a_record_or_a_winner_or_with_equal_losses_there_is_none(tmp_path: Path) -> None:
    assert searcher_model.rebuilt(swept(tmp_path / "a"), None) is None
    assert model_of(swept(tmp_path / "b", function_record(searcher="RandomSearcher"))) is None
    assert model_of(swept(tmp_path / "c", value=lambda at: 1.0)) is None
    assert model_of(swept(tmp_path / "d", value=lambda at: math.inf)) is None
    assert model_of(swept(tmp_path / "e", n_trials=4)) is None


def test_what_takes_too_long_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = swept(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(searcher_model, "MOST_S", 0.0)
        assert model_of(folder) is None
    with monkeypatch.context() as patch:
        patch.setattr(searcher_model, "MOST_TOLD", 39)
        assert model_of(folder) is None
    assert model_of(folder) is not None


def test_of_a_secret_no_values_are_shown(tmp_path: Path) -> None:
    space = SearchSpace(
        {
            "api_token": parse_hyperparameter("choice(aaa, bbb)"),
            "rate": parse_hyperparameter("loguniform(1e-4, 1)"),
        }
    )
    model = model_of(swept(tmp_path, space=space, value=lambda at: at["rate"] + (at["api_token"] == "aaa")))
    assert model is not None
    assert model.along("rate") is not None
    assert model.along("api_token") is None
    assert model.over("rate", "api_token") is None


def test_a_report_and_a_notebook_draw_it(hposweep_here: Run, tmp_path: Path) -> None:
    folder = swept(tmp_path / "sweep")
    done = hposweep_here("report", "sweep")
    assert done.exit_code == 0, done.err
    note = "Line and band: the searcher"
    assert note in (folder / "report.html").read_text()
    sweep = hposweep.load(folder)
    assert note in sweep.plot_hyperparameter("rate").layout.annotations[0].text
    with pytest.raises(ConfigError, match=r"^nothing to plot: it needs a searcher with a model"):
        sweep.plot_expected()
