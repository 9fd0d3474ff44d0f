"""Hyperparameters that have the name of a column: each place that lists trials keeps both apart."""

from pathlib import Path
from typing import Any

import optuna
import pytest

import hposweep
from hposweep.results.exports import optuna_export
from hposweep.results.html import sweep_page
from hposweep.search_space import Configuration
from hposweep.sweep_folder.tables import AFTER_THE_CONFIGURATION, BEFORE_THE_CONFIGURATION, cell_value
from support.sweeps import results_of, rows

pytestmark = pytest.mark.process

METRIC = "error"
COLUMNS = (*BEFORE_THE_CONFIGURATION, METRIC, *AFTER_THE_CONFIGURATION)
OTHERS = ("epoch", "seconds", "value", "number", "name", "metric", "best_params", "folder", "configuration")
SPACE = dict.fromkeys((*COLUMNS, *OTHERS), "randint(1, 1000)")


def objective(configuration: dict[str, Any]) -> float:
    hposweep.report(1, configuration[METRIC] / 2)
    return float(configuration[METRIC])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("names") / "sweep"
    hposweep.tune(objective, SPACE, n_trials=3, n_workers=1, metric=METRIC, folder=folder)
    return folder


@pytest.fixture(scope="module")
def configurations(folder: Path) -> list[Configuration]:
    found = [trial.configuration for trial in hposweep.load(folder).data.trials]
    assert all(each.keys() == SPACE.keys() for each in found)
    return found


def column_of(name: str) -> str:
    return f"configuration.{name}" if name in COLUMNS else name


def test_the_table_and_the_data_frame_have_a_column_for_each(folder: Path, configurations: list[Configuration]) -> None:
    table, frame = rows(folder), hposweep.load(folder).trials.reset_index()
    assert len(set(table[0])) == len(COLUMNS) + len(SPACE)
    for number, configuration in enumerate(configurations):
        for name, value in configuration.items():
            assert cell_value(table[number][column_of(name)]) == frame[column_of(name)][number] == value
        assert (table[number]["trial"], table[number]["state"], table[number]["epochs"]) == (
            f"{number}",
            "COMPLETE",
            "1",
        )
        assert float(table[number][METRIC]) == configuration[METRIC]
        assert hposweep.load(folder).curves.loc[(number, 1), METRIC] == configuration[METRIC] / 2


def test_the_results_the_study_and_the_page_have_them(folder: Path, configurations: list[Configuration]) -> None:
    best = min(configurations, key=lambda each: each[METRIC])
    assert results_of(folder)["best_params"] == best
    storage = f"sqlite:///{folder.parent / 'study.db'}"
    optuna_export.write(folder, storage)
    study = optuna.load_study(study_name="sweep", storage=storage)
    assert [trial.params for trial in study.trials] == configurations
    assert study.best_params == best
    assert sweep_page.write(folder, None).exists()
