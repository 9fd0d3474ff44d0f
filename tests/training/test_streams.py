"""Data of the user's own functions, and models that train in their own way: right, and continued bit for bit."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from hposweep.app import schema
from hposweep.conf_dir import conf_dir
from hposweep.job.running import RunningJob, running
from hposweep.sweep_folder.trial_files import TrialFiles
from hposweep.training import trainer
from hposweep.training.objective import objective
from hposweep.training.program import ProgramCache

DATA = ["data=dataset", "trainer.xla=false", "trainer.max_epochs=2", "seed=7", "optimizer.learning_rate=0.05"]
CLASSES = [*DATA, "task.n_classes=3"]


def of(function: str) -> str:
    return f"data._target_=support.streams.{function}"


TASKS = {
    "classification": ["task.n_classes=3"],
    "binary": ["task=binary"],
    "multilabel": ["task=multilabel"],
    "regression": ["task=regression", "task.standardize=false"],
}
CASES = {
    **{f"tf.data, {task}": [*DATA, of("shuffled"), *words, "task.metrics=[]"] for task, words in TASKS.items()},
    "random numbers in tf.data": [*CLASSES, of("augmented")],
    "a PyDataset": [*CLASSES, of("of_keras")],
    "a DataLoader": [*CLASSES, of("of_torch")],
    "validation in memory": [*CLASSES, of("mixed")],
    "data without an end": [*CLASSES, of("endless"), "trainer.steps_per_epoch=7"],
    "weights in the batches": [*CLASSES, of("weighted")],
    "weights of the classes": [*CLASSES, of("shuffled"), "task.class_weights={0: 1, 1: 2, 2: 0.5}"],
    "a function for each epoch": [*CLASSES, of("built_anew")],
    "inputs by name": [*CLASSES, of("named"), "model._target_=support.streams.two_inputs"],
    "a schedule": [*CLASSES, of("shuffled"), "optimizer.schedule={name: CosineDecay, decay_steps: 12}"],
    "a step of its own": [*DATA, of("in_memory"), "model._target_=support.streams.with_its_own_step"],
    "a step of its own, streamed": [*CLASSES, of("mixed"), "model._target_=support.streams.with_its_own_step"],
    "a subclass": [*DATA, of("in_memory"), "model._target_=support.streams.subclassed"],
    "frozen layers": [
        *DATA,
        of("in_memory"),
        "model._target_=support.streams.transferred",
        "optimizer.schedule={name: PiecewiseConstantDecay, boundary_epochs: [1], values: [0.5, 0.01]}",
    ],
}


@pytest.fixture
def config() -> Callable[..., DictConfig]:
    schema.register()

    def make(words: list[str]) -> DictConfig:
        with initialize_config_dir(str(conf_dir()), version_base="1.3"):
            return compose("config", words)

    return make


@pytest.fixture
def forget() -> Iterator[Callable[[], None]]:
    """Makes the process one that has compiled nothing."""

    def do() -> None:
        trainer.PROGRAMS = ProgramCache()

    yield do
    do()


def run(folder: Path, cfg: DictConfig, metric: str = "validation_loss") -> float:
    with running(RunningJob(TrialFiles(folder, "."), metric)) as job:
        try:
            return objective(cfg)
        finally:
            job.end()


def curve(folder: Path) -> list[dict[str, str]]:
    rows = TrialFiles(folder, ".").read_curve()
    return [{name: repr(value) for name, value in row.items() if name != "seconds"} for row in rows]


@pytest.mark.parametrize("words", CASES.values(), ids=CASES)
def test_a_trial_in_two_jobs_has_the_bits_of_one_in_a_single_job(
    tmp_path: Path, config: Callable[..., DictConfig], forget: Callable[[], None], words: list[str]
) -> None:
    whole = run(tmp_path / "whole", config(words))
    assert np.isfinite(whole)
    for epoch in (1, 2):
        forget()
        value = run(tmp_path / "cut", config([*words, f"trainer.target_epoch={epoch}"]))
    assert value == whole
    assert curve(tmp_path / "cut") == curve(tmp_path / "whole")
    assert len(curve(tmp_path / "cut")) == 2
