"""A trial that is cut into jobs after each of its epochs has the bits of one that ran through."""

from collections.abc import Callable
from pathlib import Path

import pytest
from omegaconf import DictConfig

from hposweep.app.check_config import task_of
from support.jobs_here import composed, curve, forget_programs, run

N_EPOCHS = 3
ROOT = Path(__file__).parents[2]
PENGUINS = ["data=csv", f"data.path={ROOT}/datasets/penguins/penguins.csv"]
CARS = ["data=csv", f"data.path={ROOT}/datasets/cars/cars.csv", "data.target=miles_per_gallon", "data.ignore=[name]"]
SMALL = ["trainer.xla=false", f"trainer.max_epochs={N_EPOCHS}", "seed=7", "optimizer.learning_rate=0.05"]
MLP = ["model=mlp", "model.num_hiddens=8"]

TASKS = {
    "classification": [*MLP, *PENGUINS, "data.target=species"],
    "binary": [*MLP, "task=binary", *PENGUINS, "data.target=sex", "data.path=${binary}"],
    "multilabel": [*MLP, "task=multilabel", "data=arrays", "data.path=${labels}", "data.inputs=[x]", "data.target=y"],
    "regression": [*MLP, "task=regression", *CARS],
}
OPTIONS = {
    "dropout": ["model.dropout=0.4", "model.batch_norm=true", "optimizer=adam"],
    "schedule": ["optimizer.schedule={name: CosineDecay, warmup_epochs: 1, warmup_target: 0.1}"],
    "plateau": ["trainer.reduce_on_plateau={patience: 1, min_delta: 10, factor: 0.5}", "optimizer.momentum=0.9"],
    "early stopping": ["trainer.early_stopping={patience: 1, min_delta: 10}", "trainer.max_epochs=9"],
    "weights": ["task.class_weights=balanced"],
    "mixed precision": ["trainer.dtype_policy=mixed_bfloat16"],
    "float16": ["trainer.dtype_policy=mixed_float16", "optimizer=adam"],
    "averages": ["+optimizer.use_ema=true", "+optimizer.ema_momentum=0.5"],
    "clipping": ["+optimizer.clipnorm=0.1"],
    "few steps": ["trainer.steps_per_epoch=3"],
    "best": ["trainer.save=best"],
    "validated every other epoch": ["trainer.validate_every=2"],
    "metrics": ["task.metrics=[accuracy,f1,auc]"],
    "xla": ["trainer.xla=true", "task.metrics=[accuracy]"],
    "callbacks": ["trainer.callbacks=[{_target_: keras.callbacks.EarlyStopping, monitor: val_loss, patience: 1}]"],
}
CASES = [
    *(
        pytest.param([*TASKS[task], f"trainer.loop={loop}"], id=f"{task}-{loop}")
        for task in TASKS
        for loop in ("auto", "fit")
    ),
    *(
        pytest.param([*TASKS["classification"], f"trainer.loop={loop}", *words], id=f"{name}-{loop}")
        for name, words in OPTIONS.items()
        for loop in ("auto", "fit")
    ),
]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Data of the two tasks for which no file is at hand."""
    import numpy as np
    import pandas as pd

    folder = tmp_path_factory.mktemp("data")
    penguins = pd.read_csv(ROOT / "datasets/penguins/penguins.csv").dropna(subset=["sex"])
    penguins.to_csv(folder / "sexes.csv", index=False)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(210, 5)).astype("float32")
    np.savez(folder / "labels.npz", x=x, y=(x[:, :3] + rng.normal(size=(210, 3)) > 0).astype("int32"))
    return {"binary": str(folder / "sexes.csv"), "labels": str(folder / "labels.npz")}


@pytest.fixture
def config(files: dict[str, str]) -> Callable[[list[str]], DictConfig]:
    """Composes the config of a job."""

    def make(words: list[str]) -> DictConfig:
        return composed(
            [word.replace("${binary}", files["binary"]).replace("${labels}", files["labels"]) for word in words]
        )

    return make


@pytest.mark.parametrize("words", CASES)
def test_a_trial_in_several_jobs_has_the_bits_of_one_in_a_single_job(
    tmp_path: Path, config: Callable[..., DictConfig], words: list[str]
) -> None:
    words = [*SMALL, *words]
    whole = run(tmp_path / "whole", config(words))
    expected = curve(tmp_path / "whole")
    assert expected
    for epoch in range(1, N_EPOCHS + 1):
        # The first jobs find the program of a trial that has ended; the last one is the first of its process.
        if epoch == N_EPOCHS:
            forget_programs()
        value = run(tmp_path / "cut", config([*words, f"trainer.target_epoch={epoch}"]))
    if len(expected) > N_EPOCHS:
        value = run(tmp_path / "cut", config(words))
    assert value == whole
    cut = curve(tmp_path / "cut")
    if "trainer.validate_every=2" in words:
        # Each job validates its last epoch.
        assert all(got == row or row["validation_loss"] == "nan" for got, row in zip(cut, expected, strict=True))
        assert [row["train_loss"] for row in cut] == [row["train_loss"] for row in expected]
        return
    assert cut == expected


@pytest.mark.parametrize("task", TASKS)
def test_both_loops_see_the_same_batches(tmp_path: Path, config: Callable[..., DictConfig], task: str) -> None:
    """They add up in another order, so their results agree to rounding."""
    for loop in ("compiled", "fit"):
        cfg = config([*SMALL, *TASKS[task], f"trainer.loop={loop}", "task.metrics=[]"])
        run(tmp_path / loop, cfg)
        assert task_of(cfg, None).kind == task
    for one, other in zip(curve(tmp_path / "compiled"), curve(tmp_path / "fit"), strict=True):
        for name in one:
            assert float(one[name]) == pytest.approx(float(other[name]), rel=2e-3), name
