"""Data of the user's own functions, and models that train in their own way: right, and continued bit for bit."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest

from hposweep.errors import ConfigError
from hposweep.sweep_folder import file_names
from hposweep.sweep_folder.trial_files import TrialFiles
from support import streams
from support.jobs_here import composed, curve, forget_programs, run
from support.warm import WarmProcess

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
    "an unknown number of batches": [*CLASSES, of("filtered"), "optimizer=adam"],
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


@pytest.mark.parametrize("words", CASES.values(), ids=CASES)
def test_a_trial_in_two_jobs_has_the_bits_of_one_in_a_single_job(tmp_path: Path, words: list[str]) -> None:
    whole = run(tmp_path / "whole", composed(words))
    assert np.isfinite(whole)
    for epoch in (1, 2):
        forget_programs()
        value = run(tmp_path / "cut", composed([*words, f"trainer.target_epoch={epoch}"]))
    assert value == whole
    assert curve(tmp_path / "cut") == curve(tmp_path / "whole")
    assert len(curve(tmp_path / "cut")) == 2


N_BATCHES, N_VAL_BATCHES = (-(-n // 16) for n in (streams.N, streams.N_VAL))


def n_steps(folder: Path) -> int:
    """The training steps in the trial's checkpoint."""
    with np.load(TrialFiles(folder, ".").checkpoint) as checkpoint:
        (iterations,) = (int(checkpoint[name]) for name in checkpoint.files if checkpoint[name].dtype.kind == "i")
    return iterations


@pytest.mark.parametrize("function", ["shuffled", "filtered", "of_keras", "of_torch"])
def test_an_epoch_has_a_step_for_each_batch(tmp_path: Path, function: str, recwarn: pytest.WarningsRecorder) -> None:
    """Keras counts one more where it finds the end of the data by itself."""
    run(tmp_path, composed([*CLASSES, of(function)]))
    assert n_steps(tmp_path) == 2 * N_BATCHES
    assert not [each for each in recwarn if "ran out of data" in str(each.message)]


PARTED = ["shuffled", "of_keras", "of_torch", "mixed"]


@pytest.mark.parametrize("function", PARTED)
def test_the_test_part_is_measured_as_arrays_are(tmp_path: Path, function: str) -> None:
    words = [*CLASSES, of(function), "trainer.max_epochs=1"]
    run(tmp_path, composed(words), "validation_error")
    value = run(tmp_path, composed([*words, "trainer.stage=test"]), "validation_error")
    model = keras.models.load_model(tmp_path / "model.keras")
    _, (x_val, y_val), (x, y) = streams.arrays()
    assert value == pytest.approx(np.mean(model.predict(x, verbose=0).argmax(axis=1) != y))
    of_validation = np.mean(model.predict(x_val, verbose=0).argmax(axis=1) != y_val)
    assert float(curve(tmp_path)[-1]["validation_error"]) == pytest.approx(of_validation)


@pytest.mark.parametrize("function", PARTED)
def test_retraining_trains_on_the_validation_part_too(tmp_path: Path, function: str) -> None:
    """The counter of steps tells how many batches there were."""
    words = [*CLASSES, of(function), "trainer.max_epochs=1", "trainer.stage=retrain"]
    value = run(tmp_path, composed(words), "validation_error")
    assert n_steps(tmp_path) == N_BATCHES + (1 if function == "mixed" else N_VAL_BATCHES)
    assert json.loads((tmp_path / file_names.TEST_RESULT).read_text())["test_error"] == value
    assert list(curve(tmp_path)[-1]) == ["epoch", "train_loss", "train_error"]


@pytest.mark.parametrize(
    "words", [[of("weighted")], [of("ordered"), "task.class_weights={0: 1, 1: 3, 2: 0.5}"]], ids=str
)
def test_streams_are_trained_on_as_plain_keras_does(tmp_path: Path, words: list[str]) -> None:
    run(tmp_path, composed([*CLASSES, *words]))
    keras.utils.set_random_seed(7)
    model = keras.Sequential([keras.Input((streams.N_INPUTS,)), keras.layers.Flatten(), keras.layers.Dense(3)])
    model.compile(
        optimizer=keras.optimizers.SGD(0.05), loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    train, val = streams.ordered(16) if len(words) > 1 else streams.weighted(16)
    weights = {0: 1.0, 1: 3.0, 2: 0.5} if len(words) > 1 else None
    plain = model.fit(train, epochs=2, validation_data=val, class_weight=weights, verbose=0).history
    ours = curve(tmp_path)
    assert [float(row["train_loss"]) for row in ours] == pytest.approx(plain["loss"], rel=1e-5)
    assert [float(row["validation_loss"]) for row in ours] == pytest.approx(plain["val_loss"], rel=1e-5)


def test_a_step_of_its_own_is_the_one_that_trains(tmp_path: Path) -> None:
    """It trains on twice the loss, as if the learning rate were twice as large."""
    for name, rate in (("with_its_own_step", 0.05), ("subclassed", 0.1)):
        words = [*DATA, of("in_memory"), f"model._target_=support.streams.{name}", f"optimizer.learning_rate={rate}"]
        run(tmp_path / name, composed([*words, "trainer.loop=fit"]))
    own, plain = (curve(tmp_path / name) for name in ("with_its_own_step", "subclassed"))
    losses = [[float(row["validation_loss"]) for row in each] for each in (own, plain)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_frozen_layers_stay_as_they_were(tmp_path: Path) -> None:
    run(tmp_path, composed([*CASES["frozen layers"], "trainer.target_epoch=0"]))
    cfg = composed(CASES["frozen layers"])
    keras.utils.set_random_seed(7)
    fresh = streams.transferred((streams.N_INPUTS,), (3,))
    run(tmp_path, cfg)
    with np.load(TrialFiles(tmp_path, ".").checkpoint) as checkpoint:
        state = [checkpoint[name] for name in sorted(checkpoint.files) if name.isdecimal()]
    n = len(fresh.variables)
    changed = [not np.array_equal(a, b) for a, b in zip(state[:n], fresh.variables, strict=True)]
    assert changed == [variable.trainable for variable in fresh.variables]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([*DATA, of("shuffled")], r"^task\.n_classes: must be given, since these data don't tell beforehand"),
        (
            [*CLASSES, of("shuffled"), "task.class_weights=balanced"],
            r"^task\.class_weights: give a weight for each class",
        ),
        ([*DATA, of("shuffled"), "task=regression"], r"^task\.standardize: must be false"),
        (
            [*CLASSES, of("shuffled"), "trainer.loop=compiled"],
            r"^trainer\.loop: can't be compiled, since the data stream",
        ),
        (
            [*CLASSES, of("shuffled"), "optimizer.schedule=CosineDecay"],
            r"^optimizer\.schedule\.decay_steps: must be given",
        ),
        (
            [*CLASSES, of("weighted"), "task.class_weights={0: 1, 1: 3, 2: 0.5}"],
            r"^task\.class_weights: the batches of these data have weights already",
        ),
        ([*CLASSES, of("empty")], r"^data: train: gives no batches"),
        ([*CLASSES, of("inputs_alone")], r"^data: train: a batch must be inputs, targets and, .* weights; got 1"),
        ([*CLASSES, of("weighted"), "trainer.stage=retrain"], r"^trainer\.stage: retrain needs a test set"),
    ],
    ids=lambda value: " ".join(value[-1:]) if isinstance(value, list) else "",
)
def test_what_streams_can_not_do_is_one_line(tmp_path: Path, words: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        run(tmp_path, composed(words))


CALLBACKS = """
import keras

class WithASet(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.seen = set()

    def on_epoch_end(self, epoch, logs=None):
        self.seen.add(epoch)
        print(f"seen {sorted(self.seen)}")

class WithAFile(keras.callbacks.Callback):
    def on_train_begin(self, logs=None):
        self.file = open("epochs.txt", "a")

    def on_epoch_end(self, epoch, logs=None):
        self.file.write(f"{epoch} ")
        self.file.flush()
"""


@pytest.mark.parametrize("name", ["WithASet", "WithAFile"])
def test_a_callback_whose_state_can_not_be_saved_lets_its_trial_begin_again(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    name: str,
) -> None:
    (tmp_path / "mine_callbacks.py").write_text(CALLBACKS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    words = [*DATA, of("in_memory"), f"trainer.callbacks=[{{_target_: mine_callbacks.{name}}}]"]
    run(tmp_path / "whole", composed(words))
    for epoch in (1, 2):
        run(tmp_path / "cut", composed([*words, f"trainer.target_epoch={epoch}"]))
    assert curve(tmp_path / "cut") == curve(tmp_path / "whole")
    assert caplog.text.count("a callback's state can't be saved: training starts again at epoch 0") == 1


PROGRAM = """
import json, sys
from pathlib import Path
from hydra import compose, initialize_config_dir
from hposweep.app import schema
from hposweep.conf_dir import conf_dir
from hposweep.job.running import RunningJob, running
from hposweep.sweep_folder.trial_files import TrialFiles
from hposweep.training.objective import objective
schema.register()
with initialize_config_dir(str(conf_dir()), version_base="1.3"):
    for number, overrides in enumerate(json.loads(sys.argv[1])):
        with running(RunningJob(TrialFiles(Path(sys.argv[2]), str(number)), "validation_loss")):
            objective(compose("config", overrides))
"""


def test_a_trial_that_runs_second_in_a_process_has_the_bits_of_a_first_one(
    tmp_path: Path, warm_keras: WarmProcess
) -> None:
    trials = [CASES["tf.data, classification"], CASES["random numbers in tf.data"], CASES["a PyDataset"]]
    other = [*CASES["a DataLoader"], "seed=3"]
    for name, words in (("first", trials), ("second", [other, *reversed(trials)])):
        done = warm_keras.run(["-c", PROGRAM, json.dumps(words), str(tmp_path / name)], tmp_path)
        assert done.exit_code == 0, done.err
    for number in range(3):
        assert curve(tmp_path / "first" / str(number)) == curve(tmp_path / "second" / str(3 - number))
