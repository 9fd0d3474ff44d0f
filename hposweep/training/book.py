"""The objective and the configuration space of "Dive into Deep Learning", section 19.1, by the names of the book.

from hposweep.training.book import config_space, hpo_objective_softmax_classification

config = {name: distribution.rvs() for name, distribution in config_space.items()}
hpo_objective_softmax_classification(config)                                     # as in the book
hposweep.tune(hpo_objective_softmax_classification, config_space, n_trials=20)   # in parallel, on record
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping

import keras
from scipy import stats

from hposweep.job.running import job_or_none
from hposweep.training import models
from hposweep.training.data import FashionMNIST
from hposweep.training.objective import configure_tensorflow
from hposweep.training.trainer import HPOTrainer, Learner

config_space = {"learning_rate": stats.loguniform(1e-4, 1)}


def hpo_objective_softmax_classification(config: Mapping[str, float], max_epochs: int = 8) -> float:
    """The validation error of softmax regression on Fashion-MNIST, with the book's split and batches of 16.

    It needs neither Hydra nor a folder. In a job, such as one of `hposweep.tune`, it trains on one thread, reports its
    epochs, and goes on to the epoch that the scheduler wants.

    Args:
        config: with its `learning_rate`.
        max_epochs: passes over the 60,000 training examples.

    Returns:
        The share of the 10,000 test examples that are answered wrongly; NaN where the training diverged.
    """
    job = job_or_none()
    seed = 0
    if job is not None:
        configure_tensorflow(threads=1, use_gpu=True)
        max_epochs, seed = job.target_epoch(max_epochs), job.seed or 0
    data = _data()
    trainer = HPOTrainer(max_epochs=max_epochs, checkpoint_every=1)
    trainer.fit(_learner(config["learning_rate"], seed), data)
    return trainer.validation_error()


@functools.cache
def _data() -> FashionMNIST:
    """Read once in a process."""
    return FashionMNIST(batch_size=16, validation="test")


def _learner(learning_rate: float, seed: int) -> Learner:
    return Learner(
        build_model=lambda: models.softmax((28, 28, 1), (10,)),
        build_loss=lambda: keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        build_optimizer=lambda: keras.optimizers.SGD(learning_rate),
        seed=seed,
        architecture="the book's softmax regression",
        identity=json.dumps(["the book's softmax regression", learning_rate, seed, keras.version()]),
    )
