"""Ctrl-C in the first seconds, at whatever is imported or made just then: quiet, and nothing is in the way later."""

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from support.apps import APP, APP_CONFIG
from support.processes import run_process

pytestmark = pytest.mark.process

# Sends Ctrl-C to its own process when something happens for the first time.
SITECUSTOMIZE = """
import os, signal, sys
event, _, name = os.environ.get("CTRL_C_AT", "none none").partition(" ")

def note(happened, arguments):
    global event
    if happened == event and name in str(arguments[0]):
        event = None
        os.kill(os.getpid(), signal.SIGINT)

sys.addaudithook(note)
"""
SWEEP = ("--multirun", "hydra.sweeper.n_trials=1", "hydra.sweep.dir=swept", "data.train_fraction=0.01")


def interrupted(tmp_path: Path, words: Sequence[str], moment: str) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(SITECUSTOMIZE)
    python_path = f"{tmp_path / 'site'}:{':'.join(each for each in sys.path if each)}"
    done = run_process([sys.executable, *words], tmp_path, {"CTRL_C_AT": moment, "PYTHONPATH": python_path})
    assert done.exit_code == 130, done.err
    assert "Traceback" not in done.err and "Exception ignored" not in done.err


@pytest.mark.parametrize(
    ("words", "moment"),
    [
        (SWEEP, "import omegaconf"),
        (SWEEP, "import hposweep.hydra_glue.sweeper"),  # Hydra composes
        (SWEEP, "open swept/journal.jsonl"),
        (("report", "nosuch"), "import hposweep.commands.one_line_parser"),
    ],
    ids=lambda each: each if isinstance(each, str) else each[0].strip("-"),
)
def test_ctrl_c_in_the_first_seconds_is_quiet(tmp_path: Path, words: tuple[str, ...], moment: str) -> None:
    interrupted(tmp_path, ["-m", "hposweep", *words], moment)
    if (tmp_path / "swept").exists():
        again = run_process([sys.executable, "-m", "hposweep", *SWEEP, "hydra.sweeper.dry_run=true"], tmp_path)
        assert again.exit_code == 0, again.err


@pytest.mark.parametrize(
    "moment", ["import hposweep.results.terminal.summary", "open swept/journal.jsonl", "socket.bind "]
)
def test_so_it_is_in_an_app_of_somebody_elses_once_the_sweeper_is_there(tmp_path: Path, moment: str) -> None:
    (tmp_path / "main.py").write_text(APP)
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "config.yaml").write_text(APP_CONFIG.replace("  - db: mysql\n", ""))
    words = ["hydra/sweeper=hposweep", "hydra/launcher=hposweep", "hydra.sweep.dir=swept", "x=interval(0,1)"]
    interrupted(tmp_path, ["main.py", "--multirun", *words], moment)
