"""The benchmark of the controller, with few workers and trials: it runs, and its figures mean what they say."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module("controller_at_scale")


@pytest.mark.parametrize("scheduler", ["fifo", "asha"])
def test_workers_of_a_sweep_under_way_are_busy_until_it_is_stopped(benchmark: ModuleType, scheduler: str) -> None:
    row = benchmark.under_way(benchmark.Case("random", scheduler, workers=5, trial_s=0.02, wall_s=0.5))
    assert row["segments_per_s"] > 0
    assert 0 < row["busy"] <= 1
    assert 0 <= row["lag_ms_median"] <= row["lag_ms_p99"] <= row["lag_ms_largest"]


def test_a_sweep_stops_while_its_workers_start(benchmark: ModuleType) -> None:
    assert benchmark.stopped(2000)["workers"] == 2000


def test_each_thing_is_done_with_the_folder_of_a_sweep(benchmark: ModuleType, tmp_path: Path) -> None:
    folder = tmp_path / "sweep"
    assert benchmark.made(folder, 30) == {"trials": 30}
    assert [benchmark.step(name, folder)["step"] for name in benchmark.STEPS] == list(benchmark.STEPS)
    assert benchmark.sizes(folder)["report_mb"] > 0


def test_the_figures_of_the_guide_are_those_that_were_measured(benchmark: ModuleType) -> None:
    measured = json.loads((ROOT / "benchmarks" / "controller_at_scale.json").read_text(encoding="utf-8"))
    page = " ".join((ROOT / "docs" / "guides" / "scale.md").read_text(encoding="utf-8").split())
    assert [line for line in benchmark.guide_lines(measured) if line not in page] == []
