"""The types of our own app's config, which Hydra checks while it composes: wrong types and unknown keys are refused.

Registered by our app alone, since other apps would see these groups too.
"""

import enum
from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING


class Stage(enum.Enum):
    """What a job does with its trial."""

    train = "train"
    test = "test"
    retrain = "retrain"


class Validation(enum.Enum):
    """Where the validation examples come from."""

    held_out = "held_out"
    test = "test"


class Loop(enum.Enum):
    """What trains an epoch."""

    auto = "auto"
    compiled = "compiled"
    fit = "fit"


class Save(enum.Enum):
    """Which weights the saved model has."""

    last = "last"
    best = "best"
    none = "none"


class Kind(enum.Enum):
    """What a model is to learn."""

    classification = "classification"
    binary = "binary"
    multilabel = "multilabel"
    regression = "regression"


@dataclass
class Target:
    """A function or class, by its dotted name."""

    _target_: str = MISSING


@dataclass
class Objective(Target):
    """What a trial evaluates."""

    preload: list[str] = field(default_factory=list)


@dataclass
class Trainer:
    """conf/trainer"""

    max_epochs: int = MISSING
    target_epoch: int | None = None
    stage: Stage = Stage.train
    threads: int = 1
    xla: bool | None = None
    use_gpu: bool = True
    checkpoint_every: int | None = None
    keep_checkpoints: bool = False
    gpu_memory: Any = "growth"
    deterministic: bool = False
    dtype_policy: str | None = None
    loop: Loop = Loop.auto
    steps_per_epoch: int | None = None
    validate_every: int = 1
    early_stopping: Any = None
    reduce_on_plateau: Any = None
    callbacks: Any = None
    save: Save | None = None
    tensorboard: bool = False


@dataclass
class Task:
    """What every task of conf/task has."""

    kind: Kind = MISSING
    loss: Any = None
    metrics: Any = None


@dataclass
class BinaryTask(Task):
    """conf/task/binary.yaml"""

    class_weights: Any = None


@dataclass
class ClassificationTask(BinaryTask):
    """conf/task/classification.yaml"""

    n_classes: int | None = None


@dataclass
class RegressionTask(Task):
    """conf/task/regression.yaml"""

    standardize: bool = True


@dataclass
class Model(Target):
    """What every model of conf/model has; `loss` is any loss of Keras with its arguments."""

    loss: Any = None


@dataclass
class Mlp(Model):
    """conf/model/mlp.yaml"""

    num_hiddens: int = MISSING
    num_layers: int = MISSING
    activation: str = MISSING
    dropout: float = MISSING
    batch_norm: bool = MISSING


@dataclass
class Lenet(Model):
    """conf/model/lenet.yaml"""

    activation: str = MISSING


@dataclass
class FashionMnist(Target):
    """conf/data/fashion_mnist.yaml"""

    batch_size: int = MISSING
    validation: Validation = MISSING
    n_validation: int = MISSING
    train_fraction: float = MISSING
    split_seed: int = MISSING


@dataclass
class SplitData(Target):
    """What data that is split has: conf/data/csv.yaml, arrays.yaml and keras_dataset.yaml."""

    batch_size: int = MISSING
    validation: float = MISSING
    split: str = MISSING
    split_seed: int = MISSING


@dataclass
class SplitFiles(SplitData):
    """What data in files of one's own has."""

    path: str = MISSING
    target: Any = MISSING
    weights: str | None = None
    test: float = MISSING
    split_column: str | None = None
    validation_path: str | None = None
    test_path: str | None = None


@dataclass
class Csv(SplitFiles):
    """conf/data/csv.yaml"""

    features: list[str] | None = None
    ignore: list[str] = field(default_factory=list)
    categories: list[str] = field(default_factory=list)
    encode: str = MISSING
    max_categories: int = MISSING


@dataclass
class Arrays(SplitFiles):
    """conf/data/arrays.yaml"""

    inputs: list[str] | None = None


@dataclass
class KerasDataset(SplitData):
    """conf/data/keras_dataset.yaml"""

    name: str = MISSING
    num_words: int | None = None
    maxlen: int | None = None


@dataclass
class Dataset(Target):
    """conf/data/dataset.yaml"""

    batch_size: int = MISSING


@dataclass
class Optimizer:
    """What every optimizer of conf/optimizer has."""

    name: str = MISSING
    learning_rate: float = MISSING
    weight_decay: float | None = None
    schedule: Any = None


@dataclass
class Sgd(Optimizer):
    """conf/optimizer/sgd.yaml"""

    momentum: float = 0.0
    nesterov: bool = False


@dataclass
class Adam(Optimizer):
    """conf/optimizer/adam.yaml and adamw.yaml"""

    beta_1: float = MISSING
    beta_2: float = MISSING
    epsilon: float = MISSING


@dataclass
class Rmsprop(Optimizer):
    """conf/optimizer/rmsprop.yaml"""

    rho: float = MISSING
    momentum: float = MISSING
    epsilon: float = MISSING
    centered: bool = MISSING


@dataclass
class Config:
    """conf/config.yaml"""

    seed: int = 0
    objective: Objective = field(default_factory=Objective)
    trainer: Trainer = field(default_factory=Trainer)
    model: Any = MISSING
    task: Any = MISSING
    data: Any = MISSING
    optimizer: Any = MISSING


OPTIONS: tuple[tuple[str, str, type], ...] = (
    ("model", "softmax", Model),
    ("model", "mlp", Mlp),
    ("model", "lenet", Lenet),
    ("task", "classification", ClassificationTask),
    ("task", "binary", BinaryTask),
    ("task", "multilabel", Task),
    ("task", "regression", RegressionTask),
    ("data", "fashion_mnist", FashionMnist),
    ("data", "csv", Csv),
    ("data", "arrays", Arrays),
    ("data", "keras_dataset", KerasDataset),
    ("data", "dataset", Dataset),
    ("optimizer", "sgd", Sgd),
    ("optimizer", "adam", Adam),
    ("optimizer", "rmsprop", Rmsprop),
)


def register() -> None:
    """Makes the types known to Hydra as `schema` and `/schema/<group>: <option>`."""
    store = ConfigStore.instance()
    store.store(name="schema", node=Config)
    for group, name, node in OPTIONS:
        store.store(group=f"schema/{group}", name=name, node=node, package=group)
