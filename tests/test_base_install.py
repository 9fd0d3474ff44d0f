"""The base package tunes somebody else's app in an environment of its own, with nothing of Keras or TensorFlow."""

import csv
import os
import platform
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from support.processes import kill, wait_for
from support.shared import make_environment

ROOT = Path(__file__).resolve().parents[1]
SWEEP = ["main.py", "--multirun", "hydra/sweeper=hposweep", "hydra/launcher=hposweep", "hydra.sweep.dir=swept"]
OTHER_PYTHONS = [each for each in ("3.11", "3.12", "3.13") if not platform.python_version().startswith(each)]
SPACE = ["learning_rate=tag(log,interval(1e-4,1))", "n_steps=int(interval(5,50))", "hydra.sweeper.n_trials=20"]
# The trials after the first four do not end before they are let go.
WAIT = """\
    import os
    import time
    from hydra.core.hydra_config import HydraConfig
    while HydraConfig.get().job.num > 3 and not os.path.exists("go"):
        time.sleep(0.02)
"""


@pytest.fixture(scope="module")
def python(new_environment: Callable[..., str]) -> str:
    """The interpreter of an environment with the base package alone."""
    return new_environment()


@pytest.fixture
def app(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "examples" / "any_hydra_app", tmp_path / "app")
    return tmp_path / "app"


def rows(app: Path) -> list[dict[str, str]]:
    with open(app / "swept" / "trials.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_nothing_of_keras_is_installed(python: str) -> None:
    code = "import importlib.util as u; print([n for n in ('tensorflow', 'keras', 'd2l', 'pandas') if u.find_spec(n)])"
    assert subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_our_own_app_names_the_extra_that_it_needs(python: str, tmp_path: Path) -> None:
    words = [python, "-m", "hposweep", "seed=1"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    (line,) = done.stderr.splitlines()
    assert line.startswith(
        "objective._target_: hposweep.training.objective.objective needs 'tensorflow', 'keras', 'pandas': "
    )
    assert line.endswith("pip install 'hposweep[keras]'")
    assert list(tmp_path.iterdir()) == []


def test_the_three_file_app_is_tuned(python: str, app: Path) -> None:
    subprocess.run([python, *SWEEP, *SPACE], cwd=app, check=True, capture_output=True)
    table = rows(app)
    assert [row["state"] for row in table] == ["COMPLETE"] * 20
    assert (app / "swept" / "optimization_results.yaml").exists()
    for number in range(20):
        assert (app / "swept" / str(number) / ".hydra" / "config.yaml").exists()


@pytest.mark.process
@pytest.mark.parametrize("version", OTHER_PYTHONS)
def test_the_app_is_tuned_by_each_other_python_that_is_there(version: str, tmp_path: Path, app: Path) -> None:
    of_pyenv = Path.home().glob(f".pyenv/versions/{version}.*/bin/python")
    starts = [
        each for each in (f"python{version}", *map(str, of_pyenv)) if shutil.which(each) and starts_as(each, version)
    ]
    if not starts:
        pytest.skip(f"there is no Python {version}")
    make_environment(tmp_path, (), starts[0])
    commands = tmp_path / "venv" / "bin"
    done = subprocess.run([commands / "python", *SWEEP, *SPACE], cwd=app, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [row["state"] for row in rows(app)] == ["COMPLETE"] * 20
    shown = subprocess.run([commands / "hposweep"], capture_output=True, text=True, check=True).stdout
    assert shown.startswith("hposweep, or python -m hposweep: ")


def starts_as(interpreter: str, version: str) -> bool:
    """pyenv has a command for each of its Pythons, also for those that it does not start."""
    done = subprocess.run([interpreter, "--version"], capture_output=True, text=True, check=False)
    return done.stdout.startswith(f"Python {version}.")


def test_it_is_resumed_after_a_kill(python: str, app: Path) -> None:
    main = app / "main.py"
    begin = "    x, y = 3.0, 2.0\n"
    assert begin in main.read_text()
    main.write_text(main.read_text().replace(begin, WAIT + begin))
    killed = subprocess.Popen([python, *SWEEP, *SPACE], cwd=app, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    journal = app / "swept" / "journal.jsonl"
    wait_for(lambda: journal.exists() and journal.read_text().count('"segment_ended"') == 4)
    kill(killed)
    (app / "go").touch()
    resumed = subprocess.run([python, *SWEEP, *SPACE], cwd=app, check=True, capture_output=True, text=True)
    assert "resuming: " in resumed.stdout
    starts = [line for line in journal.read_text().splitlines() if '"segment_started"' in line]
    assert len(starts) <= 20 + (os.cpu_count() or 1)
    assert [row["state"] for row in rows(app)] == ["COMPLETE"] * 20
