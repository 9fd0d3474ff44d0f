"""Data, models and metrics that can't be used: one line that names the key, before any trial where it can be known."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from support.processes import ROOT, Completed, Run

METRIC, DIRECTION = "hydra.sweeper.metric", "hydra.sweeper.direction"
PENGUINS = ["data=csv", f"data.path={ROOT}/datasets/penguins/penguins.csv", "data.target=species"]
CARS = ["task=regression", "data=csv", f"data.path={ROOT}/datasets/cars/cars.csv", "data.target=miles_per_gallon"]
MINE = ["data=csv", "data.path=mine.csv", "data.target=y"]
ARRAYS = ["data=arrays", "data.path=mine.npz"]

# Files of the test's folder, by name.
ROWS = [(number, f"{number % 3}", number % 2, 0.5 * number) for number in range(40)]
TABLE = "a,y,b,z\n" + "".join(f"{a},{y},{b},{z}\n" for a, y, b, z in ROWS)
TEXT_AMONG_NUMBERS = TABLE.replace("\n7,", "\nseven,")
ONE_CLASS = "a,y\n" + "".join(f"{number},yes\n" for number in range(40))
FEW = "a,y\n" + "".join(f"{number},{number % 2}\n" for number in range(10))
NEGATIVE_WEIGHT = TABLE.replace("\n7,1,1,3.5", "\n7,1,1,-3.5")
NO_TARGET = TABLE.replace("\n7,1,", "\n7,,")

BEFORE = [
    # data
    (
        "a missing column",
        [*PENGUINS[:2], "data.target=specis"],
        "data.target: no column 'specis'; did you mean 'species",
    ),
    ("no file", ["data=csv", "data.path=nosuch.csv", "data.target=y"], "data.path: no file nosuch.csv in "),
    ("no path", ["data=csv", "data.target=y"], "data.path: must be given: data.path=..."),
    ("no target", ["data=csv", "data.path=mine.csv"], "data.target: must be given: data.target=..."),
    ("a misspelt feature", [*MINE, "data.features=[aa]"], "data.features: no column 'aa'"),
    ("no feature", [*MINE, "data.ignore=[a,b,z]"], "data.features: no column is left that could be a feature"),
    ("text among numbers", MINE, "data.path: 'seven' in row 8 of "),
    ("one class", MINE, "data.target: all values of 'y' are yes; there must be at least two classes"),
    ("a missing target", MINE, "data.target: 1 row has no value in 'y'"),
    ("an empty file", MINE, "data.path: "),
    ("no table", MINE, "data.path: "),
    ("ten rows, batches of 16", [*MINE, "data.validation=0.3"], "data.batch_size: must be from 1 to 5, the training"),
    (
        "nothing to train on",
        [*MINE, "data.validation=0.6", "data.test=0.5"],
        "data.validation, data.test: leave nothin",
    ),
    ("an empty part", [*MINE, "data.validation=0.001"], "data.validation: 0.001 of 40 examples is none"),
    ("a negative share", [*MINE, "data.test=-1"], "data.test: must be a share below 1 or a whole number of examples"),
    ("a negative weight", [*MINE, "data.weights=z"], "data.weights: 'z' must be at least 0, got -3.5 in row 8"),
    ("a misspelt split", [*MINE, "data.split=stratifed"], "data.split: no 'stratifed'; did you mean 'stratified'?"),
    ("no split column", [*MINE, "data.split=group"], "data.split_column: split=group needs the name of a column"),
    ("three classes", ["task=binary", *MINE], "data.target: binary needs two classes, 'y' has 3 (0, 1, 2); take task="),
    ("classes of a regression", ["task=regression", *PENGUINS], "data.path: 'Adelie' in row 1 of "),
    ("numbers of a classification", [*MINE[:2], "data.target=z"], "data.target: 'z' has numbers with fractions"),
    ("NaN in arrays", ARRAYS, "data.path: 'inputs' in mine.npz has NaN or infinite numbers, in example 3"),
    ("no such array", [*ARRAYS, "data.inputs=[image]"], "data.inputs: no array 'image' in "),
    ("pickled objects", ["data=arrays", "data.path=pickled.npz"], "data.path: "),
    (
        "data of another task",
        ["task=regression", "data=keras_dataset", "data.name=mnist"],
        "data.name: mnist needs task",
    ),
    ("no such data set", ["data=keras_dataset", "data.name=mnits"], "data.name: no 'mnits'; did you mean 'mnist'?"),
    # parts that lack
    ("no validation", [*PENGUINS, "data.validation=0"], f"{METRIC}: validation_error is measured on validation ex"),
    (
        "no validation to stop by",
        [*PENGUINS, "data.validation=0", f"{METRIC}=train_loss", "trainer.early_stopping={monitor: validation_loss}"],
        "trainer.early_stopping.monitor: validation_loss is measured on validation examples, and the data have no",
    ),
    (
        "no validation to be best on",
        [*PENGUINS, "data.validation=0", f"{METRIC}=train_loss", "trainer.save=best"],
        "trainer.save: the best epoch is that of the validation, and the data have no validation examples",
    ),
    # task
    ("a misspelt task", ["task=regresion", *PENGUINS], "task: no 'regresion'; did you mean 'regression'?"),
    ("no kind of task", ["task.kind=ranking", *PENGUINS], "task.kind: Invalid value 'ranking'"),
    (
        "a loss of another task",
        [*CARS, "task.loss._target_=keras.losses.BinaryCrossentropy"],
        "task.loss: keras.losses.BinaryCrossentropy doesn't fit the targets of a regression task; the usual one is",
    ),
    (
        "a loss that Keras lacks",
        [*CARS, "task.loss._target_=keras.losses.MeanSqaredError"],
        "task.loss: no keras.losses.MeanSqaredError; did you mean 'MeanSquaredError'?",
    ),
    (
        "a class weight below 0",
        [*PENGUINS, "task.class_weights={0: 1, 1: -2, 2: 1}"],
        "task.class_weights: must be fini",
    ),
    ("no class weight", [*PENGUINS, "task.class_weights={0: 1, 1: 2}"], "task.class_weights: class 2 has none; there"),
    ("misspelt class weights", [*PENGUINS, "task.class_weights=balancd"], "task.class_weights: must be balanced, a we"),
    (
        "a class by its name",
        [*PENGUINS, "task.class_weights={Adelie: 1}"],
        "task.class_weights: classes are whole numb",
    ),
    ("too few classes", [*PENGUINS, "task.n_classes=2"], "task.n_classes: is 2, and the data has the class 2"),
    # metrics
    ("an unknown metric", [*PENGUINS, f"{METRIC}=validation_acuracy"], f"{METRIC}: must be a column of the learning c"),
    ("a metric of another task", [*CARS, f"{METRIC}=validation_accuracy"], f"{METRIC}: must be a column of the learn"),
    ("a metric of numbers", [*PENGUINS, f"{METRIC}=validation_r2"], f"{METRIC}: must be a column of the learning curv"),
    (
        "a direction that can't be meant",
        [*PENGUINS, f"{METRIC}=validation_accuracy", f"{DIRECTION}=minimize"],
        f"{DIRECTION}: must be maximize, since more validation_accuracy is better; got minimize",
    ),
    (
        "a misspelt metric",
        [*PENGUINS, "task.metrics=[acuracy]"],
        "task.metrics: no metric 'acuracy' of a classification",
    ),
    (
        "a node without its class",
        [*PENGUINS, "task.metrics=[{name: mine}]"],
        "task.metrics: {'name': 'mine'} has no _ta",
    ),
    (
        "a metric that Keras lacks",
        [*PENGUINS, "task.metrics=[{_target_: keras.metrics.Acuracy}]"],
        "task.metrics: acuracy: no keras.metrics.Acuracy; did you mean 'Accuracy'?",
    ),
    (
        "a node of another task's metric",
        [*PENGUINS, "task.metrics=[{_target_: keras.metrics.R2Score}]"],
        "task.metrics: keras.metrics.R2Score doesn't fit the targets of a classification task",
    ),
    (
        "a metric called loss",
        [*PENGUINS, "task.metrics=[{name: loss, _target_: keras.metrics.AUC}]"],
        "task.metrics: 'loss' can't be the name of a metric, which names columns of the curve",
    ),
    # trainer and optimizer
    (
        "a misspelt option of early stopping",
        [*PENGUINS, "trainer.early_stopping={patiense: 3}"],
        "trainer.early_stopping.patiense: no such option; did you mean 'patience'? Allowed: monitor, patience",
    ),
    (
        "an unknown column",
        [*PENGUINS, "trainer.early_stopping={monitor: val_loss}"],
        "trainer.early_stopping.monitor: no column 'val_loss' in the learning curve; there are validation_error",
    ),
    (
        "no patience",
        [*PENGUINS, "trainer.early_stopping={patience: 0}"],
        "trainer.early_stopping.patience: must be a number of at least 1, got 0",
    ),
    (
        "early stopping by a number",
        [*PENGUINS, "trainer.early_stopping=3"],
        "trainer.early_stopping: must be null or it",
    ),
    (
        "a factor above 1",
        [*PENGUINS, "trainer.reduce_on_plateau={factor: 2}"],
        "trainer.reduce_on_plateau.factor: must be above 0 and below 1, got 2",
    ),
    (
        "a plateau and a schedule",
        [*PENGUINS, "trainer.reduce_on_plateau={patience: 3}", "optimizer.schedule=CosineDecay"],
        "trainer.reduce_on_plateau: optimizer.schedule sets the learning rate already; take one of them",
    ),
    (
        "an unknown schedule",
        [*PENGUINS, "optimizer.schedule=CosineDecai"],
        "optimizer.schedule.name: no 'CosineDecai'; ",
    ),
    (
        "a misspelt argument of a schedule",
        [*PENGUINS, "optimizer.schedule={name: CosineDecay, warmup_epoch: 1}"],
        "optimizer.schedule.warmup_epoch: CosineDecay has no such key; did you mean 'warmup_epochs'?",
    ),
    ("an unknown optimizer", [*PENGUINS, "optimizer.name=adm"], "optimizer.name: no 'adm'; did you mean 'adam'?"),
    (
        "an unknown callback",
        [*PENGUINS, "trainer.callbacks=[TerminateOnNan]"],
        "trainer.callbacks: no keras.callbacks.T",
    ),
    (
        "no list of callbacks",
        [*PENGUINS, "trainer.callbacks=TerminateOnNaN"],
        "trainer.callbacks: must be a list, [Term",
    ),
    (
        "a callback that is none",
        [*PENGUINS, "trainer.callbacks=[{_target_: keras.losses.MeanSquaredError}]"],
        "trainer.callbacks: no keras.losses.MeanSquaredError",
    ),
    (
        "callbacks in the compiled loop",
        [*PENGUINS, "trainer.callbacks=[TerminateOnNaN]", "trainer.loop=compiled"],
        "trainer.loop: can't be compiled, since trainer.callbacks are given; set it to auto or fit",
    ),
    (
        "no GPU memory",
        [*PENGUINS, "trainer.gpu_memory=foo"],
        "trainer.gpu_memory: must be growth, all, or a number of MB",
    ),
    (
        "an unknown policy",
        [*PENGUINS, "trainer.dtype_policy=mixed_bfloat"],
        "trainer.dtype_policy: no 'mixed_bfloat'; d",
    ),
    ("an unknown loop", [*PENGUINS, "trainer.loop=keras"], "trainer.loop: Invalid value 'keras'"),
    ("no steps", [*PENGUINS, "trainer.steps_per_epoch=0"], "trainer.steps_per_epoch: must be at least 1, got 0"),
    ("weights that are none", [*PENGUINS, "trainer.save=first"], "trainer.save: Invalid value 'first'"),
]
TABLES = {
    "text among numbers": TEXT_AMONG_NUMBERS,
    "one class": ONE_CLASS,
    "a missing target": NO_TARGET,
    "an empty file": "",
    "no table": "PK\x03\x04\0\0\0",
    "ten rows, batches of 16": FEW,
    "a negative weight": NEGATIVE_WEIGHT,
}


def write_files(folder: Path, name: str) -> None:
    (folder / "mine.csv").write_text(TABLES.get(name, TABLE))
    inputs = np.zeros((40, 2), np.float32)
    inputs[3, 1] = np.nan
    np.savez(folder / "mine.npz", inputs=inputs, images=np.ones((40, 4, 4)), targets=np.arange(40) % 2)
    np.savez(folder / "pickled.npz", inputs=np.array([{}, None]), targets=np.arange(2))


def one_line(done: Completed, message: str) -> None:
    assert done.exit_code != 0, done.out
    # TensorFlow has lines of its own for a machine without a GPU.
    lines = [line for line in done.error_lines if not re.match(r"[IWEF]\d{4} ", line)]
    assert len(lines) == 1, done.err
    assert lines[0].startswith(message)


@pytest.mark.parametrize(("name", "words", "message"), BEFORE, ids=[name for name, *_ in BEFORE])
def test_what_can_be_known_is_refused_before_the_first_trial(
    hposweep_here: Run, tmp_path: Path, name: str, words: list[str], message: str
) -> None:
    write_files(tmp_path, name)
    one_line(hposweep_here("--multirun", *words), message)
    assert not (tmp_path / "outputs").exists()


MODULE = """
import keras
import numpy as np
from keras import layers

def plain(input_shape, output_shape):
    return keras.Sequential([keras.Input(input_shape), layers.Flatten(), layers.Dense(output_shape[0])])

def fewer(input_shape):
    return keras.Sequential([keras.Input(input_shape), layers.Dense(2)])

def images(input_shape):
    return keras.Sequential([keras.Input((28, 28, 1)), layers.Flatten(), layers.Dense(3)])

def convolution(input_shape):
    return keras.Sequential([keras.Input(input_shape), layers.Conv2D(4, 3), layers.Flatten(), layers.Dense(3)])

def two(input_shape):
    inputs = keras.Input(input_shape)
    return keras.Model(inputs, [layers.Dense(3)(inputs), layers.Dense(3)(inputs)])

def softmax(input_shape):
    return keras.Sequential([keras.Input(input_shape), layers.Dense(3, activation="softmax")])

def nothing(input_shape):
    pass

def fails(input_shape):
    raise RuntimeError("no luck\\ntoday")

X, Y = np.ones((64, 4), "float32"), np.arange(64) % 3

def nonsense():
    return 3

def no_validation():
    return (X, Y), None

def too_few_targets():
    return (X, Y[:32]), (X, Y)

def holes():
    return (np.where(X[:, :1] == Y[:, None], np.nan, X), Y), (X, Y)

def of_other_shape():
    return (X, Y), (X[:, :3], Y)

def texts():
    return (X.astype(str), Y), (X, Y)

def one_hot():
    return (X, np.eye(3)[Y]), (X, np.eye(3)[Y])

def missing_file():
    return np.load("nosuch.npy")

class Several(keras.metrics.Metric):
    def update_state(self, y_true, y_pred, sample_weight=None):
        pass
    def result(self):
        return np.ones(3)
    def reset_state(self):
        pass
"""
OWN = [*PENGUINS, "trainer.xla=false", "trainer.max_epochs=1"]
OWN_DATA = ["model._target_=mine.plain", "trainer.max_epochs=1"]
IN_A_JOB = [
    # models
    (
        "no module",
        [*OWN, "model._target_=nosuch.build"],
        "model._target_: no nosuch.build: ModuleNotFoundError: No module",
    ),
    (
        "no function",
        [*OWN, "model._target_=mine.buid"],
        "model._target_: no mine.buid: ModuleNotFoundError: No module",
    ),
    (
        "a function that raises",
        [*OWN, "model._target_=mine.fails"],
        "model._target_: mine.fails raised RuntimeError: no l",
    ),
    ("no model", [*OWN, "model._target_=mine.nothing"], "model: the function must return a keras.Model, got NoneType"),
    ("two outputs", [*OWN, "model._target_=mine.two"], "model: must have one output, got 2 (list)"),
    (
        "a key that is no argument",
        [*OWN, "model._target_=mine.plain", "+model.width=3"],
        "model._target_: mine.plain raised TypeError: plain() got an unexpected keyword argument 'width'",
    ),
    (
        "too few outputs",
        [*OWN, "model._target_=mine.fewer"],
        "model: its output has the shape (2,), the data has 3 classes",
    ),
    ("other inputs", [*OWN, "model._target_=mine.images"], "model: doesn't take inputs of the shape (1"),
    (
        "a layer for other inputs",
        [*OWN, "model._target_=mine.convolution"],
        "model._target_: mine.convolution raised Value",
    ),
    (
        "a softmax too many",
        [*OWN, "model._target_=mine.softmax"],
        "model.loss.from_logits: is true, but the model's last",
    ),
    (
        "a bad argument of a model of ours",
        [*OWN, "model=mlp", "model.activation=foo"],
        "model._target_: hposweep.training.",
    ),
    (
        "a misspelt argument of a loss",
        [*OWN, "+model.loss.from_logit=true"],
        "model.loss._target_: keras.losses.Sparse",
    ),
    # optimizer, metrics and callbacks
    (
        "what no optimizer has",
        [*OWN, "+optimizer.clipnrom=1"],
        "optimizer.clipnrom: no optimizer of Keras has it; did you",
    ),
    (
        "a value that it refuses",
        [*OWN, "optimizer.momentum=2"],
        "optimizer: `momentum` must be a float between [0, 1].",
    ),
    (
        "an argument that a schedule lacks",
        [*OWN, "optimizer.schedule={name: ExponentialDecay}"],
        "optimizer.schedule: ExponentialDecay.__init__() missing 1 required positional argument: 'decay_rate'",
    ),
    (
        "several numbers",
        [*OWN, "task.metrics=[{_target_: mine.Several}]"],
        "task.metrics: several: gives 3 numbers; an av",
    ),
    (
        "no metric",
        [*OWN, "task.metrics=[{_target_: mine.plain}]"],
        "task.metrics: plain: mine.plain: plain() missing 2",
    ),
    (
        "no class of a metric",
        [*OWN, "task.metrics=[{_target_: mine.Sevral}]"],
        "task.metrics: sevral: mine.Sevral: module",
    ),
    (
        "a bad argument of a metric",
        [*OWN, "task.metrics=[{_target_: keras.metrics.F1Score, average: mcro}]"],
        "task.metrics: f1_score: keras.metrics.F1Score: Invalid `average` argument value",
    ),
    (
        "no callback",
        [*OWN, "trainer.callbacks=[{_target_: mine.nothing, input_shape: 1}]"],
        "trainer.callbacks: mine.nothi",
    ),
    (
        "a bad argument of a callback",
        [*OWN, "trainer.callbacks=[{_target_: keras.callbacks.EarlyStopping, monitr: val_loss}]"],
        "trainer.callbacks._target_: keras.callbacks.EarlyStopping raised TypeError: EarlyStopping.__init__() got",
    ),
    # functions that return data
    ("no data", ["data=dataset"], "data._target_: must be given: data._target_=module.function"),
    (
        "nonsense",
        [*OWN_DATA, "data=dataset", "data._target_=mine.nonsense"],
        "data._target_: must return the parts for tra",
    ),
    (
        "a data function that raises",
        [*OWN_DATA, "data=dataset", "data._target_=mine.missing_file"],
        "data._target_: mine.m",
    ),
    (
        "no validation part",
        [*OWN_DATA, "data=dataset", "data._target_=mine.no_validation"],
        f"{METRIC}: validation_error i",
    ),
    (
        "too few targets",
        [*OWN_DATA, "data=dataset", "data._target_=mine.too_few_targets"],
        "data: train: 64 inputs, and 32",
    ),
    ("NaN", [*OWN_DATA, "data=dataset", "data._target_=mine.holes"], "data: train: "),
    (
        "another shape",
        [*OWN_DATA, "data=dataset", "data._target_=mine.of_other_shape"],
        "data: val: one example has the sh",
    ),
    ("texts", [*OWN_DATA, "data=dataset", "data._target_=mine.texts"], "data: train: inputs must be numbers, got <U"),
    (
        "one-hot classes",
        [*OWN_DATA, "data=dataset", "data._target_=mine.one_hot"],
        "data: the targets of a classification",
    ),
]


@pytest.mark.parametrize(("name", "words", "message"), IN_A_JOB, ids=[name for name, *_ in IN_A_JOB])
def test_what_only_keras_knows_is_one_line_too(
    hposweep_warm: Run, tmp_path: Path, name: str, words: list[str], message: str
) -> None:
    (tmp_path / "mine.py").write_text(MODULE)
    one_line(hposweep_warm(*words, "hydra.run.dir=run"), message)


def test_a_sweep_ends_early_where_all_its_trials_are_refused_alike(hposweep_warm: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MODULE)
    words = ["model._target_=mine.fails", "hydra.sweep.dir=swept", "hydra.launcher.n_workers=1"]
    done = hposweep_warm("--multirun", *OWN, *words)
    assert done.exit_code == 3, done.err
    last = done.out.rstrip().splitlines()[-1]
    assert last.endswith(
        "the first 3 trials all failed with: model._target_: mine.fails raised RuntimeError: no luck today "
        f"(mine.py, line {MODULE.splitlines().index('def fails(input_shape):') + 2})"
    )
    events = [json.loads(line) for line in (tmp_path / "swept" / "journal.jsonl").read_text().splitlines()]
    assert 3 <= len({event["trial"] for event in events if "trial" in event}) < 16
    # The traceback is kept.
    assert "in fails" in (tmp_path / "swept" / "trials" / "0" / "hposweep" / "failure.txt").read_text()


SHORT = ["hydra.sweeper.n_trials=2", "trainer.max_epochs=1", "trainer.xla=false", "hydra.sweep.dir=swept"]


def test_a_sweep_is_not_gone_on_with_where_its_data_have_changed(hposweep_warm: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text(TABLE)
    done = hposweep_warm("--multirun", *MINE, *SHORT, "hydra.launcher.n_workers=1")
    assert done.exit_code == 0, done.err
    (tmp_path / "mine.csv").write_text(TABLE.replace("\n7,1,", "\n8,1,"))
    for words in (["--multirun", *MINE, *SHORT, "hydra.sweeper.n_trials=4"], ["resume", "swept"]):
        one_line(hposweep_warm(*words), "hydra.sweep.dir: swept holds another sweep; ")


def test_a_sweep_over_data_without_a_test_part_does_not_test_its_winner(hposweep_warm: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text(TABLE)
    done = hposweep_warm("--multirun", *MINE, "data.test=0", *SHORT, "hydra.launcher.n_workers=1")
    assert done.exit_code == 0, done.err
    assert "test_error" not in done.out
    assert done.out.count("the data have no test part: the winner is not tested") == 1
    again = hposweep_warm("resume", "swept")
    assert again.exit_code == 0, again.err


def test_a_model_of_ones_own_needs_no_loss(hposweep_warm: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MODULE)
    (tmp_path / "conf" / "model").mkdir(parents=True)
    (tmp_path / "conf" / "model" / "plain.yaml").write_text("_target_: mine.plain\n")
    done = hposweep_warm("--config-dir", "conf", "model=plain", *OWN)
    assert done.exit_code == 0, done.err


def test_tracebacks_of_ones_own_functions_come_back_with_hydra_full_error(hposweep_warm: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MODULE)
    done = hposweep_warm(*OWN, "model._target_=mine.fails", env={"HYDRA_FULL_ERROR": "1"})
    assert "in fails" in done.err
