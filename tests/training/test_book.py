"""The book's own lines: its objective, its configuration space, its trainer on its models and data."""

import csv
from pathlib import Path

import keras
import numpy as np
import pytest
from d2l import tensorflow as d2l

from hposweep.job.running import RunningJob, running
from hposweep.sweep_folder.trial_files import TrialFiles
from hposweep.training import book, fashion_mnist
from hposweep.training.book import config_space, hpo_objective_softmax_classification
from hposweep.training.data import ArrayData
from hposweep.training.trainer import HPOTrainer
from support.processes import Run, RunText


def examples(n_train: int, n_test: int):
    train, test = fashion_mnist.load(fashion_mnist.data_folder())
    return (train.images[:n_train], train.labels[:n_train]), (test.images[:n_test], test.labels[:n_test])


@pytest.fixture
def little_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """A part of the examples, for the book's class and for ours."""
    train, test = examples(1603, 500)
    monkeypatch.setattr(book, "_data", lambda: ArrayData(train, test, None, batch_size=16))
    raw = [(images[..., 0], labels) for images, labels in (train, test)]
    monkeypatch.setattr(keras.datasets.fashion_mnist, "load_data", lambda: raw)


def test_the_book_s_model_and_data_are_trained_by_the_book_s_lines(tmp_path, monkeypatch, little_data) -> None:
    monkeypatch.chdir(tmp_path)
    data = d2l.FashionMNIST(batch_size=16)
    keras.utils.set_random_seed(1)
    model = d2l.SoftmaxRegression(num_outputs=10, lr=0.1)
    trainer = HPOTrainer(max_epochs=2)
    trainer.fit(model=model, data=data)
    inputs, labels = (np.concatenate(part) for part in zip(*data.val_dataloader(), strict=True))
    answers = np.asarray(model(inputs)).argmax(axis=1)
    assert trainer.validation_error() == np.mean(answers != labels) < 0.4
    assert trainer.program.uses_xla
    assert list(tmp_path.iterdir()) == []

    keras.utils.set_random_seed(1)
    again = HPOTrainer(max_epochs=2)
    again.fit(model=d2l.SoftmaxRegression(num_outputs=10, lr=0.1), data=data)
    assert again.validation_error() == trainer.validation_error()


class TwoBlobs(d2l.DataModule):
    """A reader's own data, as lists of batches."""

    def __init__(self) -> None:
        super().__init__()
        self.batch_size = 4

    def get_dataloader(self, train: bool):
        rng = np.random.default_rng(int(train))
        classes = rng.integers(2, size=(10, 4))
        return [(rng.normal(size=(4, 3)).astype(np.float32) + 4 * row[:, None], row) for row in classes]


class Perceptron(d2l.Classifier):
    """A reader's own model, with a forward and an optimizer of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.hidden, self.last = keras.layers.Dense(8, activation="relu"), keras.layers.Dense(2)

    def forward(self, inputs):
        return self.last(self.hidden(inputs))

    def configure_optimizers(self):
        return keras.optimizers.Adam(0.05)


def test_a_reader_s_own_model_and_data_are_trained() -> None:
    trainer = HPOTrainer(max_epochs=4)
    trainer.fit(model=Perceptron(), data=TwoBlobs())
    assert trainer.validation_error() <= 0.05


def test_the_objective_is_a_plain_function(tmp_path, monkeypatch, little_data) -> None:
    monkeypatch.chdir(tmp_path)
    config = {name: distribution.rvs(random_state=0) for name, distribution in config_space.items()}
    error = hpo_objective_softmax_classification(config, max_epochs=2)
    assert error == hpo_objective_softmax_classification(config, max_epochs=2) < 0.5
    assert error != hpo_objective_softmax_classification(config, max_epochs=1)
    assert list(tmp_path.iterdir()) == []
    assert config_space["learning_rate"].support() == (1e-4, 1)


def test_in_a_job_the_objective_reports_and_goes_on(tmp_path: Path, little_data) -> None:
    whole = hpo_objective_softmax_classification({"learning_rate": 0.01}, max_epochs=3)
    for target in (1, 3):
        with running(RunningJob(TrialFiles(tmp_path, "."), "value", target)) as job:
            error = hpo_objective_softmax_classification({"learning_rate": 0.01})
        assert job.heeds_target
        assert len(job.files.read_curve()) == target
    assert job.first_epoch == 2
    assert error == whole


def test_without_the_book_s_package_a_trial_has_the_same_bits(
    tmp_path: Path, python: RunText, hposweep_warm: Run
) -> None:
    words = ["data.train_fraction=0.02", "trainer.max_epochs=2"]
    done = hposweep_warm(*words, "hydra.run.dir=with")
    assert done.exit_code == 0, done.err
    code = "import sys\nsys.modules['d2l'] = None\nfrom hposweep.__main__ import main\n"
    done = python(f"{code}sys.argv = ['hposweep', *{[*words, 'hydra.run.dir=without']}]\nmain()")
    assert done.exit_code == 0, done.err
    columns = [column for column in curve(tmp_path / "with") if column[0] != "seconds"]
    assert columns == [column for column in curve(tmp_path / "without") if column[0] != "seconds"]


def curve(folder: Path) -> list[tuple[str, ...]]:
    """The columns of a single run's learning curve."""
    with open(next(folder.rglob("learning_curve.csv")), newline="") as file:
        return list(zip(*csv.reader(file), strict=True))
