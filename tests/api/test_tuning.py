"""`hposweep.tune`: the engine of a sweep on a plain Python function, in real processes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

import hposweep
from hposweep.errors import ConfigError, SweepError
from hposweep.history import SegmentLost, SegmentStarted
from hposweep.schedulers.asha import AshaScheduler
from hposweep.search_space import SearchSpace, parse_hyperparameter, trial_seed
from hposweep.sweep_folder.journal import read_events
from hposweep.trial import StartTrial

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("reports")]

SPACE = {
    "learning_rate": stats.loguniform(1e-4, 1),
    "n": "randint(1, 4)",
    "kind": {"choice": ["<script>a</script>", "b"]},
    "seed": 7,
}


def loop(configuration: dict[str, Any], seed: int) -> float:
    """Nine epochs, each trained once, wherever it is continued; one configuration in three fails."""
    print("seed", seed)
    if configuration["n"] == 3:
        raise ValueError("n is 3")
    path = hposweep.checkpoint_dir() / "epoch"
    start = int(path.read_text()) if path.exists() else 0
    value = 1.0
    for epoch in range(start + 1, hposweep.target_epoch(default=9) + 1):
        print("epoch", epoch)
        value = abs(configuration["learning_rate"] - 0.01) + 1 / epoch
        hposweep.report(epoch, value, train_loss=value / 2)
        path.write_text(str(epoch))
    return value


def square(configuration: dict[str, Any]) -> float:
    return float(configuration["x"]) ** 2


@pytest.fixture(scope="module")
def asha(tmp_path_factory: pytest.TempPathFactory) -> hposweep.Sweep:
    folder = tmp_path_factory.mktemp("tune") / "asha"
    return hposweep.tune(
        *(loop, SPACE),
        n_trials=27,
        max_failure_rate=1.0,
        scheduler=AshaScheduler(r_max=9),
        n_workers=2,
        seed=5,
        metric="error",
        folder=folder,
    )


def test_configurations_and_seeds_are_those_of_a_hydra_sweep(asha: hposweep.Sweep) -> None:
    texts = ("loguniform(1e-4, 1)", "randint(1, 4)", "choice('<script>a</script>', b)", 7)
    space = SearchSpace({key: parse_hyperparameter(text) for key, text in zip(SPACE, texts, strict=True)})
    assert len(asha.data.trials) == 27
    for trial in asha.data.trials:
        assert trial.configuration == space.sample(5, trial.number)
        assert trial.seed == trial_seed(5, trial.number)
        assert f"seed {trial.seed}\n" in (asha.folder / trial.folder / "hposweep" / "output.txt").read_text()


def test_a_promoted_trial_trains_no_epoch_twice(asha: hposweep.Sweep) -> None:
    assert {trial.epoch for trial in asha.data.trials} == {0, 1, 3, 9}
    for trial in asha.data.trials:
        printed = (asha.folder / trial.folder / "hposweep" / "output.txt").read_text().split("\n")
        epochs = [int(line.split()[1]) for line in printed if line.startswith("epoch")]
        assert epochs == list(range(1, (trial.epoch or 0) + 1))


def test_a_failure_is_that_of_its_trial_alone(asha: hposweep.Sweep) -> None:
    for trial in asha.data.trials:
        failed = trial.configuration["n"] == 3
        assert (trial.state == "FAILED") is failed
        assert (asha.folder / trial.folder / "hposweep" / "failure.txt").exists() is failed
        assert trial.failure_line == ("ValueError: n is 3" if failed else "")


def test_the_same_call_goes_on_and_a_finished_sweep_runs_nothing(tmp_path: Path) -> None:
    arguments: dict[str, Any] = {"n_workers": 1, "folder": tmp_path / "sweep"}
    hposweep.tune(square, {"x": "norm(0, 1)"}, n_trials=3, **arguments)
    journal = (tmp_path / "sweep" / "journal.jsonl").read_bytes()
    again = hposweep.tune(square, {"x": "norm(0, 1)"}, n_trials=3, **arguments)
    assert len(again.data.trials) == 3
    assert (tmp_path / "sweep" / "journal.jsonl").read_bytes() == journal
    longer = hposweep.tune(square, {"x": "norm(0, 1)"}, n_trials=5, **arguments)
    assert [trial.state for trial in longer.data.trials] == ["COMPLETE"] * 5
    assert longer.data.trials[:3] == again.data.trials
    with pytest.raises(ConfigError, match=r"n_trials: the sweep in .* has 5 trials already, got 4"):
        hposweep.tune(square, {"x": "norm(0, 1)"}, n_trials=4, **arguments)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"search_space": {"x": "norm(1, 1)"}}, "its search_space is {'x': 'norm(0, 1)'}, not {'x': 'norm(1, 1)'}"),
        ({"seed": 1}, "its seed is 0, not 1"),
        ({"metric": "loss"}, "its metric is value, not loss"),
        ({"direction": "maximize"}, "its direction is minimize, not maximize"),
    ],
    ids=lambda change: next(iter(change)) if isinstance(change, dict) else "",
)
def test_another_sweep_in_the_folder_is_refused(tmp_path_factory, change: dict[str, Any], message: str) -> None:
    folder = tmp_path_factory.getbasetemp() / "taken"
    arguments: dict[str, Any] = {"search_space": {"x": "norm(0, 1)"}, "n_trials": 1, "n_workers": 1, "folder": folder}
    hposweep.tune(square, **arguments)
    with pytest.raises(ConfigError) as caught:
        hposweep.tune(square, **{**arguments, **change})
    assert message in str(caught.value)


def test_the_scheduler_that_was_given_is_not_changed(tmp_path: Path) -> None:
    scheduler = AshaScheduler(r_max=3)
    for name in ("one", "other"):
        sweep = hposweep.tune(
            *(loop, {"learning_rate": "uniform(0, 1)", "n": 1}),
            n_trials=3,
            scheduler=scheduler,
            n_workers=1,
            folder=tmp_path / name,
        )
        assert [trial.epoch for trial in sweep.data.trials].count(3) == 1
    assert scheduler.next_segment(can_start_new=True) == StartTrial(1)
    assert scheduler.next_segment(can_start_new=False) is None


def test_the_largest_value_wins_where_that_is_wanted(tmp_path: Path) -> None:
    sweep = hposweep.tune(square, {"x": "uniform(0, 1)"}, n_trials=4, direction="maximize", folder=tmp_path / "sweep")
    assert sweep.best is not None
    assert sweep.best.value == max(trial.value or 0 for trial in sweep.data.trials)


def test_a_worker_that_is_killed_costs_its_own_trial(tmp_path: Path) -> None:
    def objective(configuration: dict[str, Any]) -> float:
        if configuration["x"] < 0.3:
            os.kill(os.getpid(), signal.SIGKILL)
        return float(configuration["x"])

    sweep = hposweep.tune(objective, {"x": "uniform(0, 1)"}, n_trials=6, n_workers=2, folder=tmp_path / "sweep")
    states = {trial.state for trial in sweep.data.trials if trial.configuration["x"] < 0.3}
    assert states == {"FAILED"}
    assert {trial.state for trial in sweep.data.trials if trial.configuration["x"] >= 0.3} == {"COMPLETE"}
    starts = [event.trial for event in read_events(tmp_path / "sweep") if isinstance(event, SegmentStarted)]
    assert all(starts.count(trial.number) == (3 if trial.state == "FAILED" else 1) for trial in sweep.data.trials)


def test_a_trial_that_hangs_is_killed_at_its_time_limit(tmp_path: Path) -> None:
    def objective(configuration: dict[str, Any]) -> float:
        if configuration["x"] > 0.5:
            threading.Event().wait()
        return float(configuration["x"])

    sweep = hposweep.tune(
        objective, {"x": "uniform(0, 1)"}, n_trials=4, n_workers=2, trial_timeout_s=2, folder=tmp_path / "sweep"
    )
    for trial in sweep.data.trials:
        assert trial.state == ("TIMED_OUT" if trial.configuration["x"] > 0.5 else "COMPLETE")


def test_a_sweep_whose_first_trials_all_fail_alike_stops(tmp_path: Path) -> None:
    with pytest.raises(SweepError, match=r"first 3 trials all failed with: ZeroDivisionError.*hposweep\.load\("):
        hposweep.tune(lambda configuration: 1 / 0, {"x": "norm()"}, n_trials=20, folder=tmp_path / "sweep")
    assert len(hposweep.load(tmp_path / "sweep").data.trials) < 20


def test_an_objective_that_does_not_know_its_target_epoch_is_told_apart(tmp_path: Path) -> None:
    with pytest.raises(SweepError, match=r"let it call hposweep\.target_epoch or hposweep\.report"):
        hposweep.tune(square, {"x": "norm()"}, n_trials=9, scheduler=AshaScheduler(r_max=9), folder=tmp_path / "sweep")


def test_numbers_and_options_may_be_numpys(tmp_path: Path) -> None:
    sweep = hposweep.tune(
        lambda configuration: configuration["x"] * configuration["y"],
        {"x": {"choice": list(np.logspace(-2, 0, 3))}, "y": np.float64(3), "z": {"choice": [(1, 2)]}},
        n_trials=np.int64(2),  # type: ignore[arg-type]
        n_workers=1,
        folder=tmp_path / "sweep",
    )
    assert [str(trial.state) for trial in sweep.data.trials] == ["COMPLETE"] * 2
    assert sweep.best is not None
    assert {type(value) for value in sweep.best.configuration.values()} == {float, list}


def test_the_folder_of_an_apps_sweep_is_refused(tmp_path: Path, small_sweep: Path) -> None:
    folder = shutil.copytree(small_sweep, tmp_path / "sweep")
    with pytest.raises(ConfigError, match=r"holds a sweep of a Hydra app \(python -m hposweep\)\. Name another folder"):
        hposweep.tune(square, {"x": "norm()"}, n_trials=1, folder=folder)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_trials": 0}, "n_trials: must be a whole number, at least 1, got 0"),
        ({"n_trials": float("nan")}, "n_trials: must be a whole number, at least 1, got nan"),
        ({"n_trials": "3"}, "n_trials: must be a whole number, at least 1, got '3'"),
        ({"n_workers": 0}, "n_workers: must be a whole number, at least 1, got 0"),
        ({"n_workers": 1.5}, "n_workers: must be a whole number, at least 1, got 1.5"),
        ({"seed": -1}, "seed: must be a whole number, from 0 to 4294967295, got -1"),
        ({"time_budget_s": 0}, "time_budget_s: must be above 0 seconds, or None for no limit, got 0"),
        ({"trial_timeout_s": float("nan")}, "trial_timeout_s: must be above 0 seconds, or None for no limit, got nan"),
        ({"scheduler": "asha"}, "scheduler: must be one such as AshaScheduler(r_max=27), got 'asha'"),
        ({"metric": "state"}, "metric: 'state' heads another column of the tables; take another name"),
        ({"metric": ""}, "metric: must be a name in one line, got ''"),
        ({"folder": ""}, "folder: must not be empty; None makes a new one in outputs/"),
        ({"objective": None}, "objective: must be a function, got None"),
        ({"search_space": ["x"]}, "search_space: must be a dict from names to distributions, got ['x']"),
        ({"search_space": {1: "norm()"}}, "search_space[1]: a name must be text"),
        (
            {"search_space": {"x": {"choice": [object]}}},
            "search_space['x']: <class 'object'>: a value is a number, text, True, False, None, or a list",
        ),
        ({"direction": "up"}, "direction: must be minimize or maximize, got 'up'"),
        (
            {"search_space": {"x": ["a", "b"]}},
            "search_space['x']: [a, b]: a list is no distribution; write {'choice': [a, b]}",
        ),
        (
            {"search_space": {"x": "lognorma(1)"}},
            "search_space['x']: no distribution 'lognorma'; did you mean 'lognorm'?",
        ),
    ],
)
def test_an_argument_that_does_not_fit_is_named(tmp_path: Path, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        hposweep.tune(
            **{
                "objective": square,
                "search_space": {"x": "norm()"},
                "n_trials": 1,
                "folder": tmp_path / "sweep",
                **arguments,
            }
        )
    assert message in str(caught.value)
    assert not (tmp_path / "sweep").exists()


def test_it_works_in_a_thread(tmp_path: Path) -> None:
    found = []

    def run() -> None:
        found.append(hposweep.tune(square, {"x": "norm()"}, n_trials=2, folder=tmp_path / "sweep"))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert [trial.state for trial in found[0].data.trials] == ["COMPLETE"] * 2


SCRIPT = """
    import sys, time
    sys.modules["hydra"] = sys.modules["omegaconf"] = None
    import hposweep
    print("once")
    def objective(configuration):
        time.sleep(float(sys.argv[1]))
        return configuration["x"]
    sweep = hposweep.tune(objective, {"x": "norm()"}, n_trials=3, n_workers=1, folder="sweep")
    print(sweep)
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "script.py"
    path.write_text(textwrap.dedent(SCRIPT))
    return path


def test_a_script_needs_neither_hydra_nor_a_guard(script: Path) -> None:
    done = subprocess.run([sys.executable, script, "0"], capture_output=True, text=True, cwd=script.parent, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("once\n<Sweep sweep: 3 trials (3 COMPLETE)")
    # Its progress, where the script has not configured logging.
    first, *_, last = done.stderr.splitlines()
    assert first.startswith("trial 0: COMPLETE, value ")
    assert first.endswith("[1 of 3 trials]")
    assert last.startswith("3 trials: 3 COMPLETE; best: trial ")
    assert (script.parent / "sweep" / "report.html").exists()


def test_ctrl_c_stops_it_and_the_same_call_goes_on(script: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, script, "60"], cwd=script.parent, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    journal = script.parent / "sweep" / "journal.jsonl"
    while not (journal.exists() and "segment_started" in journal.read_text()):
        time.sleep(0.05)
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate()
    assert process.returncode != 0
    assert "KeyboardInterrupt: stopped; the same call with folder=" in error
    assert [str(trial.state) for trial in hposweep.load(script.parent / "sweep").data.trials] == ["INTERRUPTED"]
    done = subprocess.run([sys.executable, script, "0"], capture_output=True, text=True, cwd=script.parent, check=False)
    assert "3 trials (3 COMPLETE)" in done.stdout, done.stderr


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"initial_configs": [{"x": 0.2}]}, "initial_configs"),
        ({"n_seeds": 2}, "n_seeds"),
        ({"confirm_top": 1}, "confirm_top"),
    ],
    ids=str,
)
def test_a_sweep_that_begins_or_ends_in_another_way_is_another_one(
    tmp_path: Path, other: dict[str, Any], message: str
) -> None:
    call: dict[str, Any] = {"n_trials": 4, "n_workers": 1, "folder": tmp_path / "swept", "searcher": "bayesian"}
    first: dict[str, Any] = {"initial_configs": [{"x": 0.1}]}
    sweep = hposweep.tune(square, {"x": "uniform(0, 1)"}, **call, **first)
    assert sweep.trials.x[0] == 0.1
    assert len(hposweep.tune(square, {"x": "uniform(0, 1)"}, **call, **first).trials) == 4
    with pytest.raises(ConfigError, match=message):
        hposweep.tune(square, {"x": "uniform(0, 1)"}, **{**call, **first, **other})


def test_branches_and_the_results_of_another_sweep_in_python(tmp_path: Path) -> None:
    space = {"model": {"choice": {"linear": None, "forest": {"depth": stats.randint(2, 20)}}}}
    call: dict[str, Any] = {"n_workers": 1, "searcher": "bayesian"}
    first = hposweep.tune(size_of_forest, space, n_trials=8, folder=tmp_path / "first", **call)
    second = hposweep.tune(
        size_of_forest, space, n_trials=2, folder=tmp_path / "second", learn_from=[tmp_path / "first"], **call
    )
    configurations = [trial.configuration for sweep in (first, second) for trial in sweep.data.trials]
    assert all(("depth" in each) == (each["model"] == "forest") for each in configurations)
    assert len({repr(each) for each in configurations}) == 10, "none is tried that the first sweep has tried"


def size_of_forest(configuration: dict[str, Any]) -> float:
    return float(configuration.get("depth", 30))


def told_to_end(configuration: dict[str, Any]) -> float:
    """Four epochs, of which each job trains one: then it is told to end, as by a preemption."""
    path = hposweep.checkpoint_dir() / "epoch"
    start = int(path.read_text()) if path.exists() else 0
    for epoch in range(start + 1, hposweep.target_epoch(default=4) + 1):
        print("epoch", epoch)
        (path.parents[1] / "ends_soon").touch()
        if hposweep.ends_soon():
            path.write_text(str(epoch))
        hposweep.report(epoch, configuration["x"] / epoch)
    return float(configuration["x"]) / 4


def test_jobs_that_are_told_to_end_count_against_nothing_and_train_no_epoch_twice(tmp_path: Path) -> None:
    sweep = hposweep.tune(told_to_end, {"x": 2.0}, n_trials=1, n_workers=1, max_retries=0, folder=tmp_path)
    assert sweep.best is not None and sweep.best.value == 0.5
    output = (tmp_path / "trials" / "0" / "hposweep" / "output.txt").read_text().splitlines()
    assert output == [f"epoch {epoch}" for epoch in (1, 2, 3, 4)]
    lost = [event.failure for event in read_events(tmp_path) if isinstance(event, SegmentLost)]
    assert lost == ["it was told to end"] * 3


def test_workers_of_a_function_have_devices_of_their_own(tmp_path: Path) -> None:
    def objective(configuration: dict[str, Any]) -> float:
        return float(os.environ["CUDA_VISIBLE_DEVICES"])

    sweep = hposweep.tune(objective, {"x": stats.uniform(0, 1)}, n_trials=4, devices=[5, 6], folder=tmp_path)
    segments = sweep.segments.reset_index(level="job")
    assert [f"gpu {value:.0f}" for value in sweep.trials["value"]] == list(segments["place"].sort_index())
    with pytest.raises(ConfigError, match=r"^n_workers: must be at most 2, which devices and workers_per_device make"):
        hposweep.tune(objective, {"x": stats.uniform(0, 1)}, n_trials=1, devices=[5, 6], n_workers=3)


def test_the_progress_counts_no_more_trials_than_there_are_configurations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    n_trials = []

    def run_of(*arguments: object, **options: Any) -> None:
        n_trials.append(options["n_trials"])
        raise SweepError("not run")

    monkeypatch.setattr("hposweep.api.tuning.SweepRun", run_of)
    for n_seeds in (1, 2):
        with pytest.raises(SweepError, match="not run"):
            hposweep.tune(
                square,
                {"x": {"choice": [1, 2, 3]}},
                n_trials=20,
                searcher="grid",
                n_seeds=n_seeds,
                confirm_top=n_seeds - 1,
                folder=tmp_path / f"{n_seeds}",
            )
    assert n_trials == [3, 6 + 4]
