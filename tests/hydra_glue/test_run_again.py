"""What a record gives: the command of each trial, and the same sweep told from another one."""

import copy
import dataclasses
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from hposweep.errors import ConfigError
from hposweep.hydra_glue import run_again
from hposweep.hydra_glue.same_sweep import check_same_sweep
from hposweep.results.comparison.differences import differences
from hposweep.search_space import Configuration, SearchSpace, parse_hyperparameter
from hposweep.sweep_folder import environment
from hposweep.sweep_folder.sweep_yaml import AppRecord, FunctionRecord
from hposweep.trial import Trial, TrialState

SCHEMA_1 = Path(__file__).parents[1] / "recorded" / "schema1"


def record(r_max: int | str | None = None, seed_key: str | None = "seed", task: tuple[str, ...] = ()) -> AppRecord:
    scheduler = {"_target_": "hposweep.schedulers.asha.AshaScheduler", "r_max": r_max}
    sweeper = {"seed_key": seed_key, "budget_key": "trainer.target_epoch", "scheduler": scheduler}
    return AppRecord(
        command="python 'my main.py'",
        task_overrides=["model=mlp", "x=1,2", "name=glob(*)", *task],
        hydra_overrides=["hydra.sweep.dir=a", "hydra/sweeper=hposweep", "hydra.verbose=true", "+hydra.launcher.a=1"],
        config={"hydra": {"sweeper": sweeper}},
    )


def test_overrides_are_recorded_as_they_were_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "record", dict)  # it asks git
    lines = {"task": ["a=${b}", "x=1,2"], "hydra": ["hydra.sweep.subdir=trials/${hydra.job.num}"]}
    hydra = {"sweeper": {"seed": 1, "n_trials": 2}, "overrides": lines, "job": {"num": "???"}}
    config = {"hydra": {**hydra, "runtime": {"cwd": "/home/ada"}}}
    recorded = run_again.record_of(OmegaConf.create(config), SearchSpace({}))
    assert {"task": recorded.task_overrides, "hydra": recorded.hydra_overrides} == lines
    assert (recorded.config, recorded.cwd) == (config, "/home/ada")


def trial(configuration: Configuration, state: TrialState = TrialState.COMPLETE, target_epoch: int | None = 9) -> Trial:
    return Trial(3, configuration, 7, state=state, target_epoch=target_epoch)


def test_a_trial_is_run_again_by_what_is_fixed_its_own_values_and_its_seed() -> None:
    words = run_again.trial_command(record(), trial({"x": 0.5, "+kind": "it's"}))
    assert words == ["python", "my main.py", "model=mlp", "x=0.5", "+kind='it\\'s'", "seed=7", "hydra.verbose=true"]


@pytest.mark.parametrize(
    ("lines", "mode", "added"),
    [
        (["hydra.mode=MULTIRUN"], "MULTIRUN", []),  # by --multirun
        ([], "MULTIRUN", ["hydra.mode=RUN"]),  # a file of the config makes a sweep of it
        ([], None, []),
    ],
)
def test_a_trial_that_is_run_again_is_no_sweep(lines: list[str], mode: str | None, added: list[str]) -> None:
    there = record(seed_key=None)
    there = dataclasses.replace(there, hydra_overrides=lines, config={"hydra": {**there.config["hydra"], "mode": mode}})
    assert run_again.trial_overrides(there, trial({"x": 1})) == ["model=mlp", "x=1", *added]


@pytest.mark.parametrize(
    ("seed_key", "task", "configuration"),
    [(None, (), {"x": 1}), ("seed", ("seed=4",), {"x": 1}), ("seed", (), {"seed": 4})],
    ids=["no key", "fixed by the user", "searched"],
)
def test_a_seed_that_is_not_the_trials_own_is_not_added(
    seed_key: str | None, task: tuple[str, ...], configuration: Configuration
) -> None:
    words = run_again.trial_overrides(record(seed_key=seed_key, task=task), trial(configuration))
    assert "seed=7" not in words


@pytest.mark.parametrize(
    ("r_max", "state", "budget"),
    [
        (None, TrialState.COMPLETE, None),  # what the config says anyway
        (27, TrialState.COMPLETE, 27),
        (27, TrialState.PAUSED, 27),
        ("${oc.select:trainer.max_epochs,27}", TrialState.COMPLETE, 9),
        ("${oc.select:trainer.max_epochs,27}", TrialState.PAUSED, None),
    ],
)
def test_a_trial_is_run_again_with_the_full_budget_of_the_sweep(
    r_max: int | str | None, state: TrialState, budget: int | None
) -> None:
    words = run_again.trial_overrides(record(r_max), trial({}, state))
    assert [word for word in words if "target_epoch" in word] == (
        [] if budget is None else [f"trainer.target_epoch={budget}"]
    )


# Keys of today that a folder of an earlier version may lack, and a value that is not their default.
LATER_KEYS = [
    pytest.param("hydra.sweeper.max_batch_size", 3, id="sweeper"),
    pytest.param("hydra.sweeper.scheduler.stopping", True, id="scheduler"),
    pytest.param("hydra.launcher.max_worker_memory_mb", 1.0, id="launcher"),
    pytest.param("trainer.loop", "fit", id="trainer"),
    pytest.param("optimizer.schedule", "CosineDecay", id="optimizer"),
    pytest.param("task", {"kind": "binary"}, id="a whole group"),
]


def changed(there: AppRecord, key: str, *values: object) -> AppRecord:
    """The record with another value at this key of its config, or without the key."""
    config = copy.deepcopy(dict(there.config))
    *names, last = key.split(".")
    node = config
    for name in names:
        node = node[name]
    del node[last]
    for value in values:
        node[last] = value
    return dataclasses.replace(there, config=config)


def with_key(there: AppRecord, key: str, value: object) -> AppRecord:
    """The record with a key that its config lacks."""
    group, name = key.split(".")
    config = copy.deepcopy(dict(there.config))
    config[group][name] = value
    return dataclasses.replace(there, config=config)


@pytest.fixture(scope="module")
def recorded() -> AppRecord:
    """As a sweep of today would record it: with all keys."""
    return run_again.completed(run_again.read(SCHEMA_1 / "asha"))


@pytest.mark.parametrize(("key", "other"), LATER_KEYS)
def test_a_folder_that_lacks_a_later_key_is_resumed(recorded: AppRecord, key: str, other: object) -> None:
    check_same_sweep(changed(recorded, key), recorded, Path("swept"))


@pytest.mark.parametrize(("key", "other"), [*LATER_KEYS[:2], *LATER_KEYS[3:5]])
def test_but_not_with_another_value_than_the_default(recorded: AppRecord, key: str, other: object) -> None:
    with pytest.raises(ConfigError, match=f"{key}: .* -> {other!r}"):
        check_same_sweep(changed(recorded, key), changed(recorded, key, other), Path("swept"))


@pytest.mark.parametrize(("key", "other"), LATER_KEYS)
def test_nor_does_a_reproduction_differ_by_it(recorded: AppRecord, key: str, other: object) -> None:
    folder, older = SCHEMA_1 / "asha", run_again.completed(changed(recorded, key))
    assert differences(folder, older, folder, recorded, tolerance=0.0) == []
    found, *_ = differences(folder, older, folder, changed(recorded, key, other), tolerance=0.0)
    assert found.text.startswith(f"config {key}")


def test_a_key_of_somebody_elses_that_the_record_lacks_is_a_difference(recorded: AppRecord) -> None:
    with pytest.raises(ConfigError, match=r"model.width: absent -> 16"):
        check_same_sweep(recorded, with_key(recorded, "model.width", 16), Path("swept"))


def test_the_search_space_of_the_first_schema_is_the_one_of_today(recorded: AppRecord) -> None:
    space = SearchSpace.of(recorded.dimensions)
    check_same_sweep(recorded, dataclasses.replace(recorded, search_space=space.records()), Path("swept"))
    other = SearchSpace({"optimizer.learning_rate": parse_hyperparameter("loguniform(1e-4, 2)")})
    message = r"search space: optimizer.learning_rate: 'loguniform\(0.0001, 1\)' -> 'loguniform\(0.0001, 2\)'"
    with pytest.raises(ConfigError, match=message):
        check_same_sweep(recorded, dataclasses.replace(recorded, search_space=other.records()), Path("swept"))


def test_a_sweep_of_a_function_is_no_sweep_of_an_app(recorded: AppRecord) -> None:
    with pytest.raises(
        ConfigError, match=r"^swept/sweep.yaml: a sweep of hposweep.tune, which no command line runs again"
    ):
        check_same_sweep(FunctionRecord(), recorded, Path("swept"))
