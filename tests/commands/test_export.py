"""`export`: a sweep for Optuna and for TensorBoard, and what it refuses."""

import shutil
from pathlib import Path

import optuna
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from hposweep.results import sweep_data
from hposweep.schedulers.fifo import FifoScheduler
from hposweep.simulation import AugmentedBranin, simulate
from support.processes import Run, RunText


@pytest.fixture
def swept(tmp_path: Path) -> Path:
    """The only sweep in outputs/."""
    folder = tmp_path / "outputs" / "swept"
    simulate(AugmentedBranin(), FifoScheduler(), n_trials=3, folder=folder)
    return folder


def test_a_sweep_of_our_own_goes_to_optuna(hposweep_here: Run, small_sweep: Path, tmp_path: Path) -> None:
    done = hposweep_here("export", str(small_sweep), "--to", "optuna", "sqlite:///study.db")
    assert (done.exit_code, done.err) == (0, "")
    assert done.out.splitlines() == ["Study 'sweep' with 4 trials. To look at it: optuna-dashboard sqlite:///study.db"]
    study = optuna.load_study(study_name="sweep", storage=f"sqlite:///{tmp_path}/study.db")
    for ours, theirs in zip(sweep_data.read(small_sweep).trials, study.trials, strict=True):
        assert (theirs.number, theirs.params, theirs.value) == (ours.number, ours.configuration, ours.value)
        assert list(theirs.intermediate_values) == [1, 2, 3]


def test_a_sweep_of_our_own_goes_to_tensorboard(hposweep_here: Run, small_sweep: Path, tmp_path: Path) -> None:
    done = hposweep_here("export", str(small_sweep), "--to", "tensorboard", "the logs")
    assert (done.exit_code, done.err) == (0, "")
    assert done.out.splitlines() == ["4 TensorBoard runs. To look at them: tensorboard --logdir 'the logs'"]
    run = EventAccumulator(str(tmp_path / "the logs" / "trial-3")).Reload()
    columns = ["seconds", "train_error", "train_loss", "validation_error", "validation_loss"]
    assert sorted(run.Tags()["scalars"]) == columns
    assert [event.step for event in run.Scalars("train_loss")] == [1, 2, 3]


def test_without_a_folder_the_newest_sweep_is_taken(hposweep_here: Run, swept: Path) -> None:
    done = hposweep_here("export", "--to", "tensorboard", "logs")
    assert (done.exit_code, done.error_lines) == (0, ["The newest sweep: outputs/swept"])


REFUSED = [
    pytest.param(["--to", "optna", "x"], "--to: no 'optna'; did you mean 'optuna'? Available: optuna, tensorboard"),
    pytest.param(["--to", "optuna"], "--to: expected 2 arguments; see hposweep export --help"),
    pytest.param([], "the following arguments are required: --to; see hposweep export --help"),
    pytest.param(["--to", "optuna", "no/x.db"], "sqlite:///no/x.db: can't be used as an Optuna storage (unable to"),
    pytest.param(["--to", "tensorboard", "outputs"], "outputs: is not empty; name an empty folder or a new one"),
    pytest.param(["--to", "tensorboard", "/proc/x"], "/proc/x: can't be written ("),
]


@pytest.mark.parametrize(("words", "line"), REFUSED)
def test_what_cannot_be_done_is_refused_in_one_line(
    hposweep_here: Run, swept: Path, words: list[str], line: str
) -> None:
    done = hposweep_here("export", "outputs/swept", *words)
    assert (done.exit_code, done.out) == (1, "")
    (error,) = done.error_lines
    assert error.startswith(f"export: {line}")


def test_a_folder_without_a_sweep_is_refused(hposweep_here: Run) -> None:
    done = hposweep_here("export", "nothing", "--to", "optuna", "study.db")
    assert done.exit_code == 1
    assert done.error_lines == ["export: nothing: holds no sweep of hposweep (no journal.jsonl)"]


@pytest.mark.parametrize("tool", ["optuna", "tensorboard"])
def test_a_missing_package_is_named_with_its_extra(python: RunText, swept: Path, tool: str) -> None:
    code = (
        f"import sys\nsys.modules[{tool!r}] = None\n"
        f"sys.argv = ['hposweep', 'export', 'outputs/swept', '--to', {tool!r}, 'target']\n"
        "from hposweep.__main__ import main\nmain()"
    )
    done = python(code)
    assert done.exit_code == 1
    assert done.error_lines == [f"export: --to {tool} needs '{tool}': pip install 'hposweep[{tool}]'"]


@pytest.mark.parametrize("other", ["optuna", "tensorboard"])
def test_each_export_imports_its_own_package_alone(python: RunText, swept: Path, other: str) -> None:
    tool = {"optuna": "tensorboard", "tensorboard": "optuna"}[other]
    code = (
        f"import sys\nsys.modules[{other!r}] = None\nsys.modules['tensorflow'] = None\n"
        f"sys.argv = ['hposweep', 'export', 'outputs/swept', '--to', {tool!r}, 'target']\n"
        "from hposweep.__main__ import main\nmain()"
    )
    done = python(code)
    assert done.exit_code == 0, done.err


def test_a_renamed_sweep_is_another_study(hposweep_here: Run, swept: Path, tmp_path: Path) -> None:
    shutil.copytree(swept, swept.with_name("another"))
    for name in ("swept", "another"):
        assert hposweep_here("export", f"outputs/{name}", "--to", "optuna", "study.db").exit_code == 0
    names = optuna.get_all_study_names(f"sqlite:///{tmp_path}/study.db")
    assert sorted(names) == ["another", "swept"]
    again = hposweep_here("export", "outputs/swept", "--to", "optuna", "study.db")
    assert again.error_lines == ["export: sqlite:///study.db: has a study 'swept' already; name another storage"]
