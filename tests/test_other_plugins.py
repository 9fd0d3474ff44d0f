"""Our sweeper over other people's launchers, and our launcher under other people's sweepers, as users install them."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from hposweep.search_space import SearchSpace, parse_hyperparameter, trial_seed
from support.apps import App, make_lightning_app
from support.lightning_sweeps import check_search
from support.odd_returns import check_odd_returns
from support.shared import NewEnvironment
from support.sweeps import load_yaml as load
from support.sweeps import rows

PLUGINS = ("hydra-joblib-launcher==1.2.0", "hydra-submitit-launcher==1.2.0", "hydra-optuna-sweeper==1.3.0")
UNLUCKY_APP = """
import hydra
from hydra.core.hydra_config import HydraConfig

@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(cfg):
    if HydraConfig.get().job.num in (1, 4):
        raise ValueError("bad luck")
    return (cfg.x - 2) ** 2

if __name__ == "__main__":
    main()
"""
SWEEP = ["x=interval(0,4)", "hydra.sweeper.n_trials=6"]
LAUNCHERS = [
    pytest.param("joblib", ["hydra.launcher.n_jobs=2", "hydra.sweeper.max_batch_size=3"], 1, id="joblib"),
    pytest.param("submitit_local", ["hydra.launcher.timeout_min=5"], 1, id="submitit_local"),
    pytest.param("basic", [], 0, id="basic"),
]


@pytest.fixture(scope="module")
def interpreter(new_environment: NewEnvironment) -> str:
    """The interpreter of an environment where all of them are installed beside ours."""
    return new_environment(*PLUGINS)


@pytest.fixture
def app(app: App, interpreter: str) -> App:
    """Somebody else's app in that environment."""
    return dataclasses.replace(app.fresh, python=interpreter)


@pytest.mark.parametrize(("launcher", "words", "n_notes"), LAUNCHERS)
def test_our_sweeper_over_their_launcher(app: App, launcher: str, words: list[str], n_notes: int) -> None:
    app.write("main.py", UNLUCKY_APP)
    done = app.sweep(*SWEEP, f"hydra/launcher={launcher}", *words)
    assert done.exit_code == 0, done.err + done.out
    assert done.out.count("takes trials in batches") == n_notes
    table = rows(app.folder / "swept")
    assert [row["state"] for row in table] == ["COMPLETE", "FAILED", "COMPLETE", "COMPLETE", "FAILED", "COMPLETE"]
    assert {row["failure"] for row in table if row["state"] == "FAILED"} == {"ValueError: bad luck"}
    best = min((row for row in table if row["value"]), key=lambda row: float(row["value"]))
    assert load(app.folder / "swept" / "optimization_results.yaml")["best_params"] == {"x": float(best["x"])}
    draws = SearchSpace({"x": parse_hyperparameter("uniform(0, 4)")})
    for row in table:
        number = int(row["trial"])
        assert {"x": float(row["x"])} == draws.sample(0, number)
        assert int(row["seed"]) == trial_seed(0, number)
        job = app.folder / "swept" / row["trial"]
        assert load(job / ".hydra" / "overrides.yaml") == [f"x={row['x']}"]
        assert load(job / ".hydra" / "hydra.yaml")["hydra"]["job"]["num"] == int(row["trial"])


@pytest.mark.parametrize(("launcher", "words"), [each.values[:2] for each in LAUNCHERS[:2]], ids=["joblib", "submitit"])
def test_a_folder_that_takes_its_name_from_the_app_s_keys(
    tmp_path: Path, interpreter: str, launcher: str, words: list[str]
) -> None:
    app = dataclasses.replace(make_lightning_app(tmp_path / "project"), python=interpreter)
    check_search(app, f"hydra/launcher={launcher}", *words)


@pytest.mark.parametrize(("launcher", "words"), [each.values[:2] for each in LAUNCHERS[:2]], ids=["joblib", "submitit"])
def test_what_no_other_process_can_be_handed_costs_its_own_trial_alone(
    app: App, launcher: str, words: list[str]
) -> None:
    check_odd_returns(app, f"hydra/launcher={launcher}", *words)


OURS = ["--multirun", "hydra/launcher=hposweep", "hydra.launcher.n_workers=2", "hydra.sweep.dir=swept"]


def test_the_optuna_sweeper_over_our_launcher(app: App) -> None:
    words = ["hydra/sweeper=optuna", "hydra.sweeper.n_trials=6", "hydra.sweeper.n_jobs=2", "x=interval(0,4)"]
    done = app.run(*OURS, *words)
    assert done.exit_code == 0, done.err + done.out
    results = load(app.folder / "swept" / "optimization_results.yaml")
    values = []
    for number in range(6):
        x = load(app.folder / "swept" / str(number) / ".hydra" / "config.yaml")["x"]
        values.append((x - 2) ** 2)
    assert results["name"] == "optuna"
    assert results["best_value"] == min(values)


def test_hydras_basic_sweeper_over_our_launcher(app: App) -> None:
    done = app.run(*OURS, "x=1,2", "db=mysql,postgres")
    assert done.exit_code == 0, done.err + done.out
    configs: list[Any] = [load(app.folder / "swept" / str(number) / ".hydra" / "config.yaml") for number in range(4)]
    assert [(config["x"], config["db"]["name"]) for config in configs] == [
        *((1, "mysql"), (1, "postgres"), (2, "mysql"), (2, "postgres"))
    ]
