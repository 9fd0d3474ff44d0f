"""The objective of our own app: trains the configured model and returns its validation error, or another metric."""

from __future__ import annotations

import functools
import hashlib
import inspect
import json
import logging
import math
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from hydra.core.hydra_config import HydraConfig
from hydra.errors import InstantiationException
from hydra.types import RunMode
from hydra.utils import get_object, instantiate, to_absolute_path
from omegaconf import DictConfig, OmegaConf

from hposweep.errors import ConfigError
from hposweep.job.running import current_job, running
from hposweep.sweep_folder import file_names
from hposweep.sweep_folder.files import done_without, write_atomically
from hposweep.training import data_files, keras_errors, signatures
from hposweep.training.curve_rules import EarlyStopping, ReduceOnPlateau, check_validation
from hposweep.training.metrics import ERROR, LOSS, columns_of, directions_of, name_in
from hposweep.training.tasks import Task, n_steps

if TYPE_CHECKING:
    from hposweep.training.program import Data
    from hposweep.training.trainer import HPOTrainer, Learner

log = logging.getLogger(__name__)

FASHION_MNIST = "hposweep.training.data.FashionMNIST"
PATHS = ("path", "validation_path", "test_path")  # keys of our readers
# Keys of the trainer on which trained weights depend, with the values that change nothing.
OF_THE_WEIGHTS = {
    "loop": "auto",
    "callbacks": None,
    "dtype_policy": None,
    "steps_per_epoch": None,
    "reduce_on_plateau": None,
    "deterministic": False,
}


def objective(cfg: DictConfig) -> float:
    """Trains to the target epoch, going on from the checkpoint in the job's folder, and returns the metric.

    With `trainer.stage=test` the metric on the test set instead: the last thing that a sweep does, with its winner,
    whose model it saves. With `trainer.stage=retrain` it trains on the validation examples, too, saves the model with
    its config and its value on the test set in the job's folder, and returns that value.

    Returns:
        The column of the learning curve that `hydra.sweeper.metric` names, by default the validation error: the share
        of validation examples that are answered wrongly. NaN where the training diverged.

    Raises:
        ConfigError: if model, loss, optimizer, task and data don't fit together.
    """
    options = _container(cfg.trainer)
    configure_tensorflow(
        options["threads"], options["use_gpu"], options.get("gpu_memory"), options.get("deterministic")
    )
    # Only now: what TensorFlow reads at its import has to be set before.
    from hposweep.training.trainer import HPOTrainer

    job = current_job()
    data = load_data(cfg.data, _node(cfg, "task"), job.metric)
    if options["stage"] != "retrain":
        check_validation(options, job.metric, has_validation=data.has("val"))
    else:
        job, data = job.measured_by(f"train_{_name(job.metric, data.task)}"), data.with_validation_in_training()
    target_epoch = options["max_epochs"] if options["target_epoch"] is None else options["target_epoch"]
    made = learner(cfg, data)
    with job.writing_files(), done_without():
        write_data_summary(job.files.data_summary, data, made, job.metric)
    logs = job.files.job_dir / file_names.TENSORBOARD if options.get("tensorboard") else None
    with running(job):
        followed = rules(options, data.task, job.metric)
        trainer = HPOTrainer(target_epoch, options["checkpoint_every"], tensorboard=logs, **followed)
        trainer.fit(made, data)
    saves = options.get("save")
    match options["stage"]:
        case "test":
            return _test_winner(trainer, cfg, saves)
        case "retrain":
            return _leave_model(trainer, cfg)
    value = trainer.value()
    is_wanted = saves in ("last", "best") or (saves is None and _is_a_single_run())
    is_trained = trainer.epoch >= options["max_epochs"] or trainer.has_stopped_early()
    if is_wanted and is_trained and not trainer.has_diverged():
        if saves == "best":
            trainer.use_best_weights()
        _save(trainer, cfg)
    return value


def rules(options: dict[str, Any], task: Task, metric: str) -> dict[str, Any]:
    """The options of the trainer that follow its learning curve, as arguments of `HPOTrainer`.

    Raises:
        ConfigError: naming the key.
    """
    directions = directions_of(task.metrics)
    column = metric if metric in directions else columns_of(task.metrics)[0]
    stopping, plateau = (options.get(name) for name in ("early_stopping", "reduce_on_plateau"))
    best_by = (column, directions[column]) if options.get("save") == "best" else None
    if options["stage"] == "retrain":
        # As many epochs as are asked for, whose number the validation has found.
        stopping, best_by = None, None
        if plateau is not None:
            plateau = {**plateau, "monitor": f"train_{name_in(str(plateau.get('monitor') or column))}"}
    return {
        "validate_every": options.get("validate_every", 1),
        "steps_per_epoch": options.get("steps_per_epoch"),
        "early_stopping": EarlyStopping.of("trainer.early_stopping", stopping, column, directions),
        "reduce_on_plateau": ReduceOnPlateau.of("trainer.reduce_on_plateau", plateau, column, directions),
        "best_by": best_by,
    }


def learner(cfg: DictConfig, data: Data) -> Learner:
    """What the config says of model, loss, optimizer and seed."""
    from hposweep.training.optimizers import build_optimizer
    from hposweep.training.trainer import Learner

    trainer, task = _container(cfg.trainer), data.task
    model = _container(cfg.model)
    loss = task.loss_node(model.get("loss"))
    optimizer = {key: value for key, value in _container(cfg.optimizer).items() if key != "schedule" or value}
    if "schedule" in optimizer and trainer.get("reduce_on_plateau"):
        raise ConfigError("trainer.reduce_on_plateau: optimizer.schedule sets the learning rate already; one of them")
    shape = _shape(data)
    of_a_schedule = _steps(trainer, data) if "schedule" in optimizer else ()
    program = {
        "model": {**model, "loss": loss},
        "optimizer": {key: value for key, value in optimizer.items() if key != "learning_rate" or of_a_schedule},
        "shape": {"input_shape": shape["input_shape"], "n_classes": shape["n_classes"]},
        "xla": cfg.trainer.xla,
    }
    if shape["n_classes"] is None or task != Task():
        program["task"] = {"kind": task.kind, "output_shape": data.output_shape, "metrics": repr(task.metrics)}
    if of_a_schedule:
        program["schedule"] = of_a_schedule
    if trainer.get("dtype_policy"):
        program["dtype_policy"] = trainer["dtype_policy"]
    training = {
        "program": program,
        "learning_rate": optimizer["learning_rate"],
        "data": {**_container(cfg.data), "n_train": data.n_train},
        "threads": cfg.trainer.threads,
        "seed": cfg.seed,
        "versions": [version("tensorflow"), version("keras")],
    }
    others = {key: trainer[key] for key, neutral in OF_THE_WEIGHTS.items() if trainer.get(key, neutral) != neutral}
    if task.class_weights is not None:
        others["class_weights"] = task.class_weights
    if not _is_known_by_its_config(cfg):
        others["content"] = data.fingerprint()
    if others:
        training["others"] = others
    callbacks = trainer.get("callbacks") or ()
    return Learner(
        build_model=lambda: _build_model(model, shape),
        build_loss=lambda: _built("model.loss" if task.loss is None else "task.loss", dict(loss), {}),
        build_optimizer=lambda: build_optimizer(optimizer, *of_a_schedule),
        seed=cfg.seed,
        architecture=_canonical(program),
        identity=hashlib.sha256(_canonical(training).encode()).hexdigest(),
        xla=cfg.trainer.xla,
        loop=str(trainer.get("loop", "auto")),
        build_callbacks=(lambda: [_build_callback(node) for node in callbacks]) if callbacks else None,
        dtype_policy=trainer.get("dtype_policy"),
    )


def load_data(node: DictConfig, task: dict[str, Any] | None = None, metric: str | None = None) -> Data:
    """The configured data, with the targets of the task; read once in a process, whatever the batch size.

    Args:
        task: the node of the config; None: a classification.
        metric: of the sweep.

    Raises:
        ConfigError: if there is no such data, or it doesn't fit the task.
    """
    arguments = _container(node)
    batch_size = arguments.pop("batch_size")
    for key, value in arguments.items():
        if key in PATHS and isinstance(value, str):  # a job may run in its own folder
            arguments[key] = str(data_files.located(value, Path(to_absolute_path("."))))
    target = _function("data", arguments)
    # What gives batches makes them itself; arrays are the same in all.
    batches = batch_size if not inspect.isclass(target) and signatures.takes(target, "batch_size") else 1
    found = _data(_canonical(arguments), batches, _canonical(task or {}), metric)
    return found.with_batch_size(batch_size)


@functools.lru_cache(maxsize=2)
def _data(arguments: str, batch_size: int, task_node: str, metric: str | None) -> Data:
    from hposweep.training.data import as_data

    node = json.loads(arguments)
    task = Task.of(json.loads(task_node) or None, metric)
    offered = {"batch_size": batch_size, "task": task.kind}

    def build() -> Any:
        return _built("data", node, offered)

    return as_data(build, batch_size).for_task(task)


def write_data_summary(path: Path, data: Data, made: Learner, metric: str) -> None:
    """Writes what results need of the data.

    Beside sizes it is what the trial's value is judged by, where that is known: the value of always giving the same
    answer and, of an error, the number of examples that it is a share of.
    """
    from hposweep.training.data import ArrayData
    from hposweep.training.measures import baseline

    sizes = {"n_train": data.n_train, "n_test": data.n_examples("test") if data.has("test") else 0}
    summary: dict[str, float] = {key: size for key, size in sizes.items() if size is not None}
    name = _name(metric, data.task)
    if not metric.startswith("train_") and isinstance(data, ArrayData) and data.has("val"):
        value = baseline(data, made.build_loss(), name)
        if name == ERROR:
            summary["n_validation"] = data.n_examples("val") * int(np.prod(data.label_shape))
        if value is not None:
            summary["baseline_error" if name == ERROR else "baseline"] = value
    write_atomically(path, json.dumps(summary) + "\n", durable=False)


def configure_tensorflow(
    threads: int, use_gpu: bool, gpu_memory: str | int | None = None, deterministic: bool | None = None
) -> None:
    """Sets what must be set before TensorFlow computes anything; the same again is fine.

    Args:
        gpu_memory: "growth", "all", or a limit in MB; None: growth.
        deterministic: whether operations on a GPU give the same bits in each run.

    Raises:
        ConfigError: if this process already computes with other settings.
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
    _configure_gpus(gpu_memory, deterministic)


def _configure_gpus(memory: str | int | None, deterministic: bool | None) -> None:
    import tensorflow as tf

    gpus = tf.config.get_visible_devices("GPU")
    if not gpus:
        return
    try:
        for gpu in gpus:
            if memory in (None, "growth"):
                tf.config.experimental.set_memory_growth(gpu, True)
            elif memory != "all":
                limit = tf.config.LogicalDeviceConfiguration(memory_limit=int(str(memory)))
                tf.config.set_logical_device_configuration(gpu, [limit])
    except RuntimeError:
        raise ConfigError("trainer.gpu_memory: can't change in a process that has trained already") from None
    if deterministic:
        tf.config.experimental.enable_op_determinism()


def _build_model(node: dict[str, Any], shape: dict[str, Any]) -> Any:
    arguments = {key: value for key, value in node.items() if key != "loss"}
    return _built("model", arguments, shape)


def _built(key: str, node: dict[str, Any], offered: Mapping[str, Any]) -> Any:
    """What the function or class returns that the node names, called with what the node has and what it takes of more.

    Raises:
        ConfigError: naming the key, and the line of the user's that has raised something.
    """
    more = signatures.named(_function(key, node), offered)
    try:
        # What is offered is no config: Hydra would make lists of tuples, and dicts of features.
        return instantiate(node, _partial_=True, _convert_="all")(**more)
    except ConfigError:
        raise
    except Exception as error:
        # Hydra hides what was raised in an error of its own.
        cause = error.__cause__ if isinstance(error, InstantiationException) and error.__cause__ else error
        if isinstance(cause, ConfigError):
            raise cause from None
        raise ConfigError(f"{key}._target_: {node['_target_']} raised {keras_errors.with_place(cause)}") from cause


def _function(key: str, node: Mapping[str, Any]) -> Any:
    """The function or class that the node names.

    Raises:
        ConfigError: naming the key.
    """
    target = str(node.get("_target_") or "???")
    if target == "???":
        raise ConfigError(f"{key}._target_: must be given: {key}._target_=module.function")
    try:
        return get_object(target)
    except Exception as error:
        raise ConfigError(
            f"{key}._target_: no {target}: {keras_errors.with_place(error.__cause__ or error)}"
        ) from error


def _build_callback(node: Any) -> Any:
    import keras

    key = "trainer.callbacks"
    if isinstance(node, str):
        node = {"_target_": f"keras.callbacks.{node}" if "." not in node else node}
    built = _built(key, node, {})
    if not isinstance(built, keras.callbacks.Callback):
        raise ConfigError(f"{key}: {node['_target_']} is no keras.callbacks.Callback")
    return built


def _shape(data: Data) -> dict[str, Any]:
    """What a model's function may name in its signature."""
    return {
        "input_shape": data.input_shape,
        "n_classes": data.n_classes,
        "output_shape": data.output_shape,
        "features": data.features,
    }


def _steps(trainer: dict[str, Any], data: Data) -> tuple[int | None, int]:
    """Steps of an epoch, and epochs of a whole training."""
    steps = trainer.get("steps_per_epoch")
    if steps is None and data.n_train is not None:
        steps = n_steps(data.n_train, data.batch_size)
    return steps, trainer["max_epochs"]


def _test_winner(trainer: HPOTrainer, cfg: DictConfig, saves: str | None) -> float:
    if not trainer.data.has("test"):
        raise ConfigError("trainer.stage: test needs a test part, and the data have none")
    if saves == "best":
        trainer.use_best_weights()
    value = trainer.test_value()
    if saves != "none":
        _save(trainer, cfg)
    return value


def _leave_model(trainer: HPOTrainer, cfg: DictConfig) -> float:
    """Saves the model with its config and its value on the test set beside it; nothing where the training diverged."""
    if trainer.has_diverged():
        log.error("the training diverged: no model is saved")
        return math.nan
    value = trainer.test_value()
    _save(trainer, cfg)
    result = {f"test_{trainer.tested_name}": value, "n_train": trainer.data.n_train, "epochs": trainer.epoch}
    with trainer.job.writing_files():
        write_atomically(trainer.job.files.job_dir / file_names.TEST_RESULT, json.dumps(result) + "\n")
    return value


def _save(trainer: HPOTrainer, cfg: DictConfig) -> None:
    """Leaves the model and its config in the job's folder."""
    from hposweep.training import saved_model

    folder = trainer.job.files.job_dir
    with trainer.job.writing_files(), trainer.program.averaged_weights():
        saved_model.save(folder / file_names.MODEL, trainer.program.model, trainer.data)
        write_atomically(folder / file_names.MODEL_CONFIG, OmegaConf.to_yaml(cfg, resolve=True))


def _is_a_single_run() -> bool:
    return HydraConfig.initialized() and HydraConfig.get().mode == RunMode.RUN


def _is_known_by_its_config(cfg: DictConfig) -> bool:
    """Whether the data can't change: those of Fashion-MNIST are checked against their checksums."""
    return bool(cfg.data._target_ == FASHION_MNIST)


def _name(metric: str, task: Task) -> str:
    """The metric that the job's value is of; a caller may have a name of its own for the value."""
    names = [each.name for each in task.metrics]
    name = name_in(metric)
    if name in names:
        return name
    return ERROR if ERROR in names else LOSS


def _canonical(node: dict[str, Any]) -> str:
    return json.dumps(node, sort_keys=True, default=str)


def _node(cfg: DictConfig, name: str) -> dict[str, Any] | None:
    return _container(cfg[name]) if cfg.get(name) is not None else None


def _container(node: DictConfig) -> dict[str, Any]:
    """The node as plain values, interpolations resolved."""
    return OmegaConf.to_container(node, resolve=True, enum_to_str=True)  # type: ignore[return-value]
