"""conf/ is the user's manual: searchers and schedulers have their file, its keys are read, and experiments run."""

import importlib
import inspect
from pathlib import Path

import pytest
import yaml

from support.processes import TINY, Run
from support.sweeps import rows

CONF = Path(__file__).resolve().parents[1] / "conf"
GIVEN = {"searcher": {"search_space", "seed"}, "scheduler": set()}
PARTS = [(role, path) for role in GIVEN for path in sorted((CONF / role).glob("*.yaml"))]
FILES = sorted(CONF.rglob("*.yaml"))


@pytest.mark.parametrize(("role", "path"), PARTS, ids=[f"{role}-{path.stem}" for role, path in PARTS])
def test_the_keys_of_a_searcher_or_scheduler_are_the_arguments_of_its_class(role: str, path: Path) -> None:
    text = path.read_text()
    assert text.startswith(f"# @package hydra.sweeper.{role}\n")
    assert f"{role}={path.stem}" in text  # how it is chosen
    node = yaml.safe_load(text)
    module, _, name = node.pop("_target_").rpartition(".")
    assert module == f"hposweep.{role}s.{path.stem}"
    arguments = set(inspect.signature(getattr(importlib.import_module(module), name)).parameters)
    assert set(node) <= arguments - GIVEN[role]
    # An option without a line in the file would be one that no user finds.
    required = {
        argument
        for argument, parameter in inspect.signature(getattr(importlib.import_module(module), name)).parameters.items()
        if parameter.default is inspect.Parameter.empty
    }
    assert required == GIVEN[role] | (set(node) & required)


READERS = ("csv", "arrays", "keras_dataset")


@pytest.mark.parametrize("name", READERS)
def test_the_keys_of_data_are_the_arguments_of_its_reader(name: str) -> None:
    node = yaml.safe_load((CONF / "data" / f"{name}.yaml").read_text())
    module, _, function = node.pop("_target_").rpartition(".")
    parameters = inspect.signature(getattr(importlib.import_module(module), function)).parameters
    assert set(node) - {"defaults"} == set(parameters) - {"task"} | {"batch_size"}
    defaults = [(key, each.default) for key, each in parameters.items() if each.default is not inspect.Parameter.empty]
    assert [(key, node[key] or None) for key, _ in defaults] == [(key, value or None) for key, value in defaults]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(CONF)))
def test_every_file_says_what_it_is_and_how_it_is_chosen(path: Path) -> None:
    comments = [line for line in path.read_text().splitlines() if line.startswith("# ") and "@package" not in line]
    assert comments
    assert any("python -m hposweep" in line for line in comments) or "See" in " ".join(comments)


EXPERIMENTS = sorted(path.stem for path in (CONF / "experiment").glob("*.yaml"))


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_runs(hposweep_warm: Run, tmp_path: Path, name: str) -> None:
    small = [*TINY, "hydra.sweeper.n_trials=2"]
    done = hposweep_warm("--multirun", f"experiment={name}", *small)
    assert done.exit_code == 0, done.err
    table = rows(tmp_path / "swept")
    assert len(table) == 2
    assert {row["state"] for row in table} <= {"COMPLETE", "PAUSED"}
    assert all(float(row["validation_error"]) < 1 for row in table)


COMBINATIONS = [
    ["model=mlp", "search_space=mlp", "optimizer=adam"],
    ["model=lenet", "search_space=lenet", "optimizer=rmsprop", "data.batch_size=64"],
    ["optimizer=adamw", "data=fashion_mnist_book"],
    ["hydra.sweeper.search_space.optimizer.name='choice(sgd, nadam)'"],
]


@pytest.mark.parametrize("words", COMBINATIONS, ids=" ".join)
def test_the_choices_combine(hposweep_warm: Run, tmp_path: Path, words: list[str]) -> None:
    done = hposweep_warm("--multirun", *words, *TINY, "trainer.max_epochs=1", "hydra.sweeper.n_trials=3")
    assert done.exit_code == 0, done.err
    assert "3 trials: 3 COMPLETE" in done.out


MY_OBJECTIVE = """
def objective(cfg):
    return (cfg.optimizer.learning_rate - 0.25) ** 2
"""
MY_MODEL = """
import keras

def build(input_shape, n_classes, width):
    layers = keras.layers
    return keras.Sequential([keras.Input(input_shape), layers.Flatten(), layers.Dense(width), layers.Dense(n_classes)])
"""
MY_MODEL_YAML = """
_target_: my_model.build
width: 8
loss:
  _target_: keras.losses.SparseCategoricalCrossentropy
  from_logits: true
"""


def test_an_objective_of_ones_own_needs_no_registration(hposweep_warm: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MY_OBJECTIVE)
    words = ["objective._target_=mine.objective", "hydra.sweeper.final_overrides=null", "hydra.sweep.dir=swept"]
    done = hposweep_warm("--multirun", *words, env={"PYTHONPATH": str(tmp_path)})
    assert done.exit_code == 0, done.err
    assert "16 trials: 16 COMPLETE" in done.out


def test_a_model_and_a_search_space_of_ones_own(hposweep_warm: Run, tmp_path: Path) -> None:
    (tmp_path / "my_model.py").write_text(MY_MODEL)
    for name, text in (
        ("model/mine", MY_MODEL_YAML),
        ("search_space/mine", "# @package hydra.sweeper.search_space\nmodel:\n  width: randint(4, 9)\n"),
    ):
        path = tmp_path / "my_conf" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    words = ["--config-dir", "my_conf", "model=mine", "search_space=mine", *TINY]
    few = ["trainer.max_epochs=1", "hydra.sweeper.n_trials=2"]
    done = hposweep_warm("--multirun", *words, *few, env={"PYTHONPATH": str(tmp_path)})
    assert done.exit_code == 0, done.err
    assert "2 trials: 2 COMPLETE" in done.out
    assert "model.width" in (tmp_path / "swept" / "trials.csv").read_text()
