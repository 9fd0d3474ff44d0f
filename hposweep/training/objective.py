"""The objective of our own app: trains the configured model and returns its validation error, or another metric."""

from __future__ import annotations

import functools
import hashlib
import json
import logging
import math
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from hposweep.errors import ConfigError
from hposweep.job.running import RunningJob, current_job, running
from hposweep.sweep_folder import file_names
from hposweep.sweep_folder.files import done_without, write_atomically
from hposweep.training.metrics import VALIDATION_ERROR, column_of

if TYPE_CHECKING:
    from pathlib import Path

    from hposweep.training.data import ArrayData
    from hposweep.training.trainer import HPOTrainer, Learner

log = logging.getLogger(__name__)


def objective(cfg: DictConfig) -> float:
    """Trains to the target epoch, going on from the checkpoint in the job's folder, and returns the metric.

    With `trainer.stage=test` the error on the test set instead: the last thing that a sweep does, with its winner.
    With `trainer.stage=retrain` it trains on the validation examples, too, saves the model with its config and its
    error on the test set in the job's folder, and returns that error.

    Returns:
        The column of the learning curve that `hydra.sweeper.metric` names, by default the validation error: the share
        of validation examples that are answered wrongly. NaN where the training diverged.

    Raises:
        ConfigError: if model, loss, optimizer and data don't fit together.
    """
    options = _container(cfg.trainer)
    configure_tensorflow(options["threads"], options["use_gpu"])
    # Only now: what TensorFlow reads at its import has to be set before.
    from hposweep.training.trainer import METRIC_WITHOUT_VALIDATION, HPOTrainer

    job, data = current_job(), load_data(cfg.data)
    if options["stage"] == "retrain":
        job, data = RunningJob(job.files, METRIC_WITHOUT_VALIDATION), data.with_validation_in_training()
    target_epoch = options["max_epochs"] if options["target_epoch"] is None else options["target_epoch"]
    with job.writing_files(), done_without():
        write_data_summary(job.files.data_summary, data, column_of(job.metric))
    with running(job):
        trainer = HPOTrainer(target_epoch, options["checkpoint_every"])
        trainer.fit(learner(cfg, data), data)
    match options["stage"]:
        case "test":
            return _test_error(trainer)
        case "retrain":
            return _leave_model(trainer, cfg)
    return trainer.value()


def learner(cfg: DictConfig, data: ArrayData) -> Learner:
    """What the config says of model, loss, optimizer and seed."""
    from hposweep.training.optimizers import build_optimizer
    from hposweep.training.trainer import Learner

    model = {key: value for key, value in _container(cfg.model).items() if key != "loss"}
    optimizer = _container(cfg.optimizer)
    shape = {"input_shape": data.input_shape, "n_classes": data.n_classes}
    program = {
        "model": _container(cfg.model),
        "optimizer": {key: value for key, value in optimizer.items() if key != "learning_rate"},
        "shape": shape,
        "xla": cfg.trainer.xla,
    }
    training = {
        "program": program,
        "learning_rate": optimizer["learning_rate"],
        "data": {**_container(cfg.data), "n_train": data.n_train},
        "threads": cfg.trainer.threads,
        "seed": cfg.seed,
        "versions": [version("tensorflow"), version("keras")],
    }
    return Learner(
        build_model=lambda: instantiate(model, **shape, _convert_="all"),
        build_loss=lambda: instantiate(_container(cfg.model.loss), _convert_="all"),
        build_optimizer=lambda: build_optimizer(optimizer),
        seed=cfg.seed,
        architecture=_canonical(program),
        identity=hashlib.sha256(_canonical(training).encode()).hexdigest(),
        xla=cfg.trainer.xla,
    )


def load_data(node: DictConfig) -> ArrayData:
    """The configured data; read once in a process, whatever the batch size."""
    arguments = _container(node)
    batch_size = arguments.pop("batch_size")
    return _examples(_canonical(arguments)).with_batch_size(batch_size)


@functools.lru_cache(maxsize=2)
def _examples(arguments: str) -> ArrayData:
    data: ArrayData = instantiate(json.loads(arguments), batch_size=1)
    return data


def write_data_summary(path: Path, data: ArrayData, column: str) -> None:
    """Writes what results need of the data.

    Beside sizes it is what a validation error is judged by, if that is the trial's value: the number of examples that
    it is a share of, and the error of always answering the most frequent class.
    """
    summary: dict[str, float] = {"n_train": data.n_train, "n_test": 0 if data.test is None else len(data.test[1])}
    if column == VALIDATION_ERROR and data.val is not None:
        summary |= {"n_validation": len(data.val[1]), "baseline_error": data.baseline_error()}
    write_atomically(path, json.dumps(summary) + "\n", durable=False)


def configure_tensorflow(threads: int, use_gpu: bool) -> None:
    """Sets what must be set before TensorFlow computes anything; the same again is fine.

    Raises:
        ConfigError: if this process already computes with another number of threads.
    """
    import tensorflow as tf

    try:
        if tf.config.threading.get_intra_op_parallelism_threads() != threads:
            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(threads)
        if not use_gpu and tf.config.get_visible_devices("GPU"):
            tf.config.set_visible_devices([], "GPU")
    except RuntimeError:
        raise ConfigError(
            f"trainer.threads, trainer.use_gpu: can't change in a process that has trained already "
            f"(threads {tf.config.threading.get_intra_op_parallelism_threads()}, got {threads})"
        ) from None


def _test_error(trainer: HPOTrainer) -> float:
    if trainer.data.test is None:
        raise ConfigError("trainer.stage: there is no test set: this data validates on it (data.validation=test)")
    return trainer.test_error()


def _leave_model(trainer: HPOTrainer, cfg: DictConfig) -> float:
    """Saves the model with its config and its test error beside it; nothing where the training diverged."""
    from hposweep.training import saved_model

    if trainer.has_diverged():
        log.error("the training diverged: no model is saved")
        return math.nan
    error = trainer.test_error()
    folder = trainer.job.files.job_dir
    saved_model.save(folder / file_names.MODEL, trainer.program.model, trainer.data)
    write_atomically(folder / file_names.MODEL_CONFIG, OmegaConf.to_yaml(cfg, resolve=True))
    result = {"test_error": error, "n_train": trainer.data.n_train, "epochs": trainer.epoch}
    write_atomically(folder / file_names.TEST_RESULT, json.dumps(result) + "\n")
    return error


def _canonical(node: dict[str, Any]) -> str:
    return json.dumps(node, sort_keys=True, default=str)


def _container(node: DictConfig) -> dict[str, Any]:
    """The node as plain values, interpolations resolved."""
    return OmegaConf.to_container(node, resolve=True, enum_to_str=True)  # type: ignore[return-value]
