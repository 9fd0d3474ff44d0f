"""`sweep.yaml`: what is written is read, files of the first schema too, and what is damaged is named."""

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from hposweep.errors import ConfigError
from hposweep.search_space import SearchSpace, parse_hyperparameter
from hposweep.sweep_folder.sweep_yaml import AppRecord, FunctionRecord, SweepRecord, read_record, taken_up, write_record

SCHEMA_1 = Path(__file__).parents[1] / "recorded" / "schema1"
SPACE = SearchSpace(
    {
        "optimizer.learning_rate": parse_hyperparameter("loguniform(1e-4, 1)"),
        "+odd": parse_hyperparameter({"choice": ["1", 1, None, [1, "two"], {"a": 1.0}, "1e-4", "2024-01-01"]}),
        "text": parse_hyperparameter("plain"),
    }
)
SWEEPER = {
    "_target_": "plugin.Sweeper",
    "seed": 3,
    "metric": "error",
    "final_metric": "test_error",
    "seed_key": "seed",
    "budget_key": "trainer.target_epoch",
    "scheduler": {"_target_": "a.Scheduler", "r_max": 27},
}
ENVIRONMENT: dict[str, Any] = {"versions": {"python": "3.11.7"}, "commit": "abc", "platform": {"cpu": 'a: "b"'}}
APP = AppRecord(
    command="python 'my main.py'",
    task_overrides=["a=1,2", "b='it''s'"],
    hydra_overrides=["hydra.mode=MULTIRUN"],
    seed=3,
    n_trials=9,
    search_space=SPACE.records(),
    config={
        "value": "1e-4",
        "rate": 1e-05,
        "later": "${rate}",
        "hydra": {"sweeper": SWEEPER, "launcher": {"_target_": "x"}, "runtime": {"choices": {"model": "mlp"}}},
    },
    **ENVIRONMENT,
)
FUNCTION = FunctionRecord(
    seed=3,
    n_trials=9,
    metric="error",
    direction="minimize",
    searcher="GridSearcher",
    scheduler="FifoScheduler",
    search_space=SPACE.records(),
    **ENVIRONMENT,
)


@pytest.mark.parametrize("record", [APP, FUNCTION], ids=["app", "function"])
def test_what_is_written_is_read(tmp_path: Path, record: SweepRecord) -> None:
    write_record(tmp_path, record)
    assert read_record(tmp_path) == record
    assert [path.name for path in tmp_path.iterdir()] == ["sweep.yaml"]


def test_the_search_space_is_readable_and_comes_back(tmp_path: Path) -> None:
    write_record(tmp_path, FUNCTION)
    recorded = read_record(tmp_path)
    assert recorded is not None
    assert recorded.prior_texts == {key: str(prior) for key, prior in SPACE.hyperparameters.items()}
    assert SearchSpace.of(recorded.dimensions) == SPACE
    assert "  optimizer.learning_rate:\n    text: loguniform(0.0001, 1)\n" in (tmp_path / "sweep.yaml").read_text()


@example(value="\x85")
@example(value=["a \u2028 b", "\ufeff", " \n ", "\ud800", "\0"])
@given(value=st.recursive(st.none() | st.booleans() | st.integers() | st.text() | st.floats(), st.lists))
def test_any_value_of_a_config_comes_back(tmp_path_factory: pytest.TempPathFactory, value: object) -> None:
    folder = tmp_path_factory.mktemp("record")
    record = AppRecord(command="x", task_overrides=[], hydra_overrides=[], config={"value": value})
    write_record(folder, record)
    again = read_record(folder)
    assert isinstance(again, AppRecord)
    assert repr(again.config) == repr(record.config)


def test_other_readers_of_yaml_have_the_same_values(tmp_path: Path) -> None:
    write_record(tmp_path, APP)
    there = OmegaConf.to_container(OmegaConf.load(tmp_path / "sweep.yaml"), resolve=False)
    assert there == yaml.safe_load((tmp_path / "sweep.yaml").read_text())
    assert isinstance(there, dict)
    assert there["config"] == APP.config


def test_a_folder_without_the_file_has_no_record(tmp_path: Path) -> None:
    assert read_record(tmp_path) is None


@pytest.mark.parametrize(
    "folder", sorted(path.parent for path in SCHEMA_1.glob("*/sweep.yaml")), ids=lambda each: each.name
)
def test_files_of_the_first_schema_are_read(folder: Path) -> None:
    raw = yaml.safe_load((folder / "sweep.yaml").read_text())
    record = read_record(folder)
    assert record is not None
    assert (record.seed, record.n_trials, record.commit) == (raw["seed"], raw["n_trials"], raw["commit"])
    assert (record.versions, record.platform) == (raw["versions"], raw["platform"])
    assert record.prior_texts == raw["search_space"]
    assert {each.id: str(each.prior) for each in record.dimensions} == raw["search_space"]
    if "command" in raw:
        assert isinstance(record, AppRecord)
        assert (record.command, record.config) == (raw["command"], raw["config"])
        assert {"task": record.task_overrides, "hydra": record.hydra_overrides} == raw["overrides"]
        sweeper = raw["config"]["hydra"]["sweeper"]
        assert (record.metric, record.seed_key) == (sweeper["metric"], sweeper["seed_key"])
    else:
        assert isinstance(record, FunctionRecord)
        found = {name: getattr(record, name) for name in ("metric", "direction", "scheduler")}
        assert found == {name: raw[name] for name in found}


def test_a_prior_that_cannot_be_read_is_known_by_its_text(tmp_path: Path) -> None:
    (tmp_path / "sweep.yaml").write_text(
        "search_space: {a: nosuch(1), b: {text: 'new(1)', distribution: new, arguments: [1]}}"
    )
    record = read_record(tmp_path)
    assert record is not None
    assert (record.prior_texts, record.dimensions) == ({"a": "nosuch(1)", "b": "new(1)"}, [])


OBJECT = "!!python/object/apply:"
WRITTEN_BY = {
    "this Python": OmegaConf.to_yaml(OmegaConf.create({"data": Path("/a b/c"), "here": Path("d")})),
    "3.12": f"data: {OBJECT}pathlib.PosixPath [/, a b, c]\nhere: {OBJECT}pathlib.PosixPath [d]\n",
    "3.13": f"data: {OBJECT}pathlib._local.PosixPath [/a b/c]\nhere: {OBJECT}pathlib._local.PosixPath [d]\n",
}


@pytest.mark.parametrize("config", WRITTEN_BY.values(), ids=WRITTEN_BY)
def test_a_path_that_an_earlier_version_wrote_as_an_object_is_read_as_text(tmp_path: Path, config: str) -> None:
    assert "!!python/object" in config
    indented = "".join(f"  {line}\n" for line in config.splitlines())
    text = f"command: x\noverrides: {{task: [], hydra: []}}\nsearch_space: {{}}\nconfig:\n{indented}"
    (tmp_path / "sweep.yaml").write_text(text)
    record = read_record(tmp_path)
    assert isinstance(record, AppRecord)
    assert record.config == {"data": "/a b/c", "here": "d"}


COMMAND = "command: python main.py\nsearch_space: {}\n"


@pytest.mark.parametrize(
    "text",
    [
        *("", "- 1", "{a: [", "text", "\x00", "seed: 1"),
        *("search_space: []", "search_space: {x: 3}", "search_space: {x: {choice: [1]}}"),
        *("search_space: {}\nversions: text", "search_space: {}\nplatform: [1]"),
        *(COMMAND, f"{COMMAND}config: {{}}", f"{COMMAND}config: {{}}\noverrides: {{task: []}}"),
        f"{COMMAND}config: {{}}\noverrides: {{task: [], hydra: x}}",
        "search_space: {x: !!python/object/apply:os.system ['touch owned']}",
    ],
)
def test_a_damaged_file_is_named_and_nothing_of_it_is_run(
    tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "sweep.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=f"^{re.escape(str(path))}: damaged; it must hold what"):
        read_record(tmp_path)
    assert not Path("owned").exists()


def test_bytes_that_are_no_text_are_damage(tmp_path: Path) -> None:
    (tmp_path / "sweep.yaml").write_bytes(b"seed: \xff\xfe")
    with pytest.raises(ConfigError, match="damaged"):
        read_record(tmp_path)


def test_an_app_tells_its_keys() -> None:
    assert (APP.metric, APP.final_metric, APP.seed_key) == ("error", "test_error", "seed")
    assert (APP.budget_key, APP.scheduler_r_max) == ("trainer.target_epoch", 27)
    assert APP.choices == {"model": "mlp"}
    assert APP.config_node("hydra", "sweeper", "seed") == 3
    assert APP.config_node("hydra", "nosuch", "seed") is None


def test_an_app_that_records_little_has_none_of_them() -> None:
    record = AppRecord(command="x", task_overrides=[], hydra_overrides=[], config={"hydra": {"sweeper": None}})
    assert (record.metric, record.seed_key, record.scheduler_r_max, record.choices) == (None, None, None, {})


def test_keys_that_came_later_are_completed_by_the_defaults_of_their_class() -> None:
    defaults: dict[str, dict[str, Any]] = {
        "plugin.Sweeper": {"seed": 0, "n_seeds": 1},
        "a.Scheduler": {"r_max": None, "eta": 3},
        "another.Scheduler": {"nothing": 0},
    }
    completed = APP.completed(defaults)
    scheduler = {"r_max": 27, "eta": 3, "_target_": "a.Scheduler"}
    assert completed.config_node("hydra", "sweeper") == {**SWEEPER, "n_seeds": 1, "scheduler": scheduler}
    assert completed.config_node("hydra", "launcher") == {"_target_": "x"}
    assert "n_seeds" not in APP.config_node("hydra", "sweeper")


def test_another_sweep_of_a_function_is_told_by_what_makes_it_one() -> None:
    other = dataclasses.replace(FUNCTION, seed=4, search_space={"x": "uniform(0, 1)"}, searcher="RandomSearcher")
    assert [name for name, _, _ in FUNCTION.differences(other)] == ["seed", "search_space", "searcher"]
    texts = {key: str(prior) for key, prior in SPACE.hyperparameters.items()}
    assert list(dataclasses.replace(FUNCTION, search_space=texts).differences(FUNCTION)) == []


@pytest.mark.parametrize("record", [APP, FUNCTION], ids=["app", "function"])
def test_a_sweep_that_is_taken_up_keeps_where_it_began(record: SweepRecord) -> None:
    wanted = dataclasses.replace(record, n_trials=20, versions={"python": "3.12"}, commit="def")
    assert taken_up(record, wanted) == dataclasses.replace(record, n_trials=20)
    if isinstance(record, AppRecord):
        wanted = dataclasses.replace(record, task_overrides=["a=1"], hydra_overrides=[], config={"b": 1})
        assert taken_up(record, wanted) == wanted
