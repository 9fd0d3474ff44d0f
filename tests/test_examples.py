"""The notebook and the scripts of examples/ run as they stand."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import nbclient
import nbformat
import pytest

import hposweep
from support.warm import WarmProcess

pytestmark = pytest.mark.process

EXAMPLES = Path(__file__).parents[1] / "examples"
NOTEBOOK = EXAMPLES / "what_is_hpo.ipynb"


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory, warm_keras: WarmProcess) -> tuple[Any, Path]:
    folder, temporary = (tmp_path_factory.mktemp(name) for name in ("notebook", "temporary"))
    # With a part of the training; its results were stored when it was run as it is.
    text = NOTEBOOK.read_text(encoding="utf-8")
    less = [
        ("N_EPOCHS = 4", "N_EPOCHS = 1"),
        ("n_trials=8", "n_trials=2"),
        ("n_trials=12", "n_trials=4"),
        ("n_trials=6 trainer.max_epochs=4", "n_trials=2 trainer.max_epochs=1"),
        ("classification(config, max_epochs=4)", "classification(config, max_epochs=1)"),
        ("range(5)", "range(2)"),
    ]
    for whole, part in less:
        assert text.count(whole) == 1
        text = text.replace(whole, part)
    notebook = nbformat.reads(text, as_version=4)  # type: ignore[no-untyped-call]
    # PATH: for `!python` in cells
    environment = {**os.environ, "PATH": warm_keras.path, "KERAS_BACKEND": "tensorflow", "TMPDIR": str(temporary)}
    client = nbclient.NotebookClient(
        notebook, timeout=400, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    )
    client.execute(env=environment)
    assert list(folder.iterdir()) == []  # it leaves nothing where it is opened, in a checkout, say
    (written,) = temporary.glob("what-is-hpo-*")
    return notebook, written


def test_the_notebook_runs_to_its_end(executed: tuple[Any, Path]) -> None:
    notebook, folder = executed
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert not [output for output in outputs if output["output_type"] == "error" or output.get("name") == "stderr"]
    n_figures = sum("application/vnd.plotly.v1+json" in output.get("data", {}) for output in outputs)
    assert n_figures == 4
    sweep = hposweep.load(folder / "outputs" / "what-is-hpo")
    assert [str(trial.state) for trial in sweep.data.trials] == ["COMPLETE"] * 4
    assert sweep.best is not None and sweep.best.value is not None and sweep.best.value < 0.3


def test_the_book_s_loop_of_the_notebook_finds_a_learning_rate(executed: tuple[Any, Path]) -> None:
    (cell,) = [cell for cell in executed[0].cells if cell.source.startswith("!python book_loop.py")]
    *trials, best = "".join(output["text"] for output in cell.outputs).splitlines()
    assert [line.split(":")[0] for line in trials] == ["Trial 0", "Trial 1"]
    assert best.startswith("optimal learning rate = ")


def test_the_notebook_is_stored_as_it_was_run() -> None:
    stored = nbformat.read(NOTEBOOK, as_version=4)  # type: ignore[no-untyped-call]
    cells = [cell for cell in stored.cells if cell.cell_type == "code" and "import" not in cell.source.split("\n")[0]]
    without = [cell.source.split("\n")[0] for cell in cells if not cell.outputs and "def " not in cell.source]
    assert without == []


def test_asha_continues_a_script_with_model_fit_and_trains_no_epoch_twice(
    tmp_path: Path, warm_keras: WarmProcess
) -> None:
    app = shutil.copytree(EXAMPLES / "keras_script", tmp_path / "app")
    words = ["main.py", "--multirun", "hydra/sweeper=hposweep", "hydra/launcher=hposweep", "hydra.sweep.dir=swept"]
    words += ["hydra/sweeper/scheduler=asha", "hydra.sweeper.scheduler.r_max=3", "hydra.launcher.n_workers=1"]
    words += ["hydra.sweeper.metric=val_accuracy", "hydra.sweeper.direction=maximize", "hydra.sweeper.n_trials=3"]
    done = warm_keras.run([*words, "learning_rate=tag(log,interval(1e-4,1e-1))", "epochs=3"], app)
    assert done.exit_code == 0, done.err
    sweep = hposweep.load(app / "swept")
    curves = sweep.data.curves
    assert sorted(len(curve.epochs) for curve in curves.values()) == [1, 1, 3]
    assert sweep.best is not None and sweep.best.n_jobs == 2


def test_a_script_with_model_fit_is_still_one_that_runs_by_itself(tmp_path: Path, warm_keras: WarmProcess) -> None:
    app = shutil.copytree(EXAMPLES / "keras_script", tmp_path / "app")
    done = warm_keras.run(["-c", "from main import train; print(train(0.01, 16, 0.2, 1))"], app)
    assert done.exit_code == 0, done.err
    assert 0 < float(done.out) < 1
    assert not (app / "outputs").exists()
