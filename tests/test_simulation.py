"""Simulated sweeps: tables of curves, the functions of the literature, stragglers and deaths, folders."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from hposweep.history import SegmentDied, replay
from hposweep.schedulers.asha import AshaScheduler
from hposweep.schedulers.fifo import FifoScheduler
from hposweep.simulation import AugmentedBranin, AugmentedHartmann, CurveTable, simulate
from hposweep.sweep_folder.journal import read_events
from hposweep.trial import TrialState

TABLE = CurveTable(
    [{"rate": 0.1}, {"rate": 0.2}, {"rate": 0.4}],
    np.array([[0.5, 0.4, 0.3], [0.6, 0.2, np.nan], [0.9, 0.8, 0.7]]),
    np.array([[1.0, 1.0, 1.0], [2.0, 2.0, 2.0], [4.0, 4.0, 4.0]]),
)


def test_a_simulated_trial_has_the_values_and_the_seconds_of_its_row() -> None:
    swept = simulate(TABLE, FifoScheduler(), n_trials=9)
    values = {0: 0.3, 1: None, 2: 0.7}
    for trial in swept.history.trials.values():
        row = trial.configuration["row"]
        assert trial.state is (TrialState.DIVERGED if row == 1 else TrialState.COMPLETE)
        assert values[row] is None or trial.value == values[row]
        assert trial.duration_s == 3 * 2**row
    assert swept.seconds == swept.busy_s == sum(trial.duration_s for trial in swept.history.trials.values())


def test_segments_add_up_to_the_whole() -> None:
    swept = simulate(TABLE, AshaScheduler(r_max=3, eta=2), n_trials=40, n_workers=3)
    for trial in swept.history.trials.values():
        assert trial.duration_s == (trial.epoch or 0) * 2 ** trial.configuration["row"]


def test_a_table_comes_back_from_its_file_and_holds_nothing_to_execute(tmp_path: Path) -> None:
    TABLE.save(tmp_path / "table.npz")
    again = CurveTable.load(tmp_path / "table.npz")
    assert again.configurations == TABLE.configurations
    assert np.array_equal(again.values, TABLE.values, equal_nan=True)
    assert np.array_equal(again.seconds, TABLE.seconds)
    np.savez(tmp_path / "bad.npz", configurations=np.array([{"rate": 1}], dtype=object), values=1, seconds=1)
    with pytest.raises(ValueError, match="allow_pickle"):
        CurveTable.load(tmp_path / "bad.npz")


def test_a_table_whose_parts_do_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match=r"values \(3, 3\) and seconds \(3, 2\)"):
        CurveTable(TABLE.configurations, TABLE.values, TABLE.seconds[:, :2])


# Minima at full fidelity, as the literature gives them.
MINIMA = [
    (AugmentedBranin(), {"x1": -np.pi, "x2": 12.275}, 0.397887),
    (AugmentedBranin(), {"x1": np.pi, "x2": 2.275}, 0.397887),
    (AugmentedBranin(), {"x1": 9.42478, "x2": 2.475}, 0.397887),
    (
        AugmentedHartmann(),
        {"x1": 0.20169, "x2": 0.150011, "x3": 0.476874, "x4": 0.275332, "x5": 0.311652, "x6": 0.6573},
        -3.32237,
    ),
]


@pytest.mark.parametrize(("function", "point", "minimum"), MINIMA)
def test_the_functions_have_the_minima_of_the_literature(function, point, minimum: float) -> None:
    assert function.value(point, function.n_epochs) == pytest.approx(minimum, abs=1e-5)
    assert function.value(point, 1) != pytest.approx(minimum, abs=1e-3)  # another fidelity, another value
    draws = [function.search_space.sample(0, number) for number in range(300)]
    assert min(function.value(draw, function.n_epochs) for draw in draws) > minimum - 1e-5


def test_stragglers_and_deaths_depend_on_the_seed_alone_and_change_no_value() -> None:
    options: dict[str, Any] = {"n_trials": 50, "straggling": 1.0, "death_rate": 0.02, "max_retries": 100}
    calm = simulate(TABLE, FifoScheduler(), n_trials=50)
    one, again, others = (simulate(TABLE, FifoScheduler(), seed=seed, **options) for seed in (0, 0, 1))
    assert repr(one.events) == repr(again.events)
    assert one.seconds > calm.seconds
    assert others.seconds != one.seconds
    assert any(isinstance(event, SegmentDied) for event in one.events)
    assert {n: repr(trial.value) for n, trial in one.history.trials.items()} == {
        n: repr(trial.value) for n, trial in calm.history.trials.items()
    }


def test_the_folder_of_a_simulated_sweep_is_that_of_any_sweep(tmp_path: Path) -> None:
    swept = simulate(AugmentedBranin(), AshaScheduler(r_max=81), n_trials=100, n_workers=10, folder=tmp_path / "swept")
    again = replay(read_events(tmp_path / "swept"))
    assert repr(again) == repr(swept.history)
    with open(tmp_path / "swept" / "trials.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epochs"] for row in rows] == [str(trial.epoch) for trial in swept.history.trials.values()]
    assert list(rows[0])[:4] == ["trial", "state", "validation_error", "epochs"]
    assert {"x1", "x2"} <= set(rows[0])
    results = yaml.safe_load((tmp_path / "swept" / "optimization_results.yaml").read_text())
    assert results["best_trial"] == swept.history.incumbent.number  # type: ignore[union-attr]
    first = json.loads((tmp_path / "swept" / "journal.jsonl").read_text().splitlines()[0])
    assert first["time"] == "2000-01-01T00:00:00.000+00:00"


def test_ten_thousand_trials_on_five_hundred_workers_leave_nobody_idle() -> None:
    swept = simulate(AugmentedBranin(), AshaScheduler(r_max=81), n_trials=10_000, n_workers=500)
    assert len(swept.history.trials) == 10_000
    longest = max(trial.duration_s for trial in swept.history.trials.values())
    assert swept.seconds <= 1.1 * (swept.busy_s / 500 + longest)
