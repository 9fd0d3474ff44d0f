"""What `resume`, `reproduce` and `retrain` run: the recorded program, where it was started, if its user is trusted."""

import os
import shutil
import sys
from pathlib import Path

import pytest

from support.apps import App
from support.processes import Run, run_process
from support.sweeps import events, load_yaml

SCHEMA_1 = Path(__file__).parents[1] / "recorded" / "schema1"
COMMANDS = ("resume", "reproduce", "retrain")


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SCHEMA_1 / "fifo", tmp_path / "recorded"))


def start_in(sweep: Path, folder: Path) -> None:
    path = sweep / "sweep.yaml"
    path.write_text(f"cwd: {folder}\n{path.read_text()}")


def test_a_sweep_goes_on_where_it_was_started_whatever_program_stands_here(app: App, tmp_path: Path) -> None:
    here = tmp_path / "here"
    here.mkdir()
    (here / "main.py").write_text("raise SystemExit('another program')")
    assert app.sweep("x=interval(0,1)", "hydra.sweeper.n_trials=2").exit_code == 0
    words = [sys.executable, "-m", "hposweep"]
    done = run_process([*words, "resume", "../swept", "--n-trials", "3"], here)
    assert done.exit_code == 0, done.err
    assert done.out.startswith(f"Running in {tmp_path}: {sys.executable} main.py --multirun ")
    assert f"Folder: {tmp_path / 'swept'}" in done.out.splitlines()  # as it can be typed here
    assert sum(event["event"] == "trial_proposed" for event in events(tmp_path / "swept")) == 3
    assert load_yaml(tmp_path / "swept" / "sweep.yaml")["cwd"] == str(tmp_path)
    done = run_process([*words, "reproduce", "../swept", "--into", "again"], here)
    assert (done.exit_code, done.out.splitlines()[-1]) == (0, "Reproduced: no difference."), done.out + done.err
    assert (here / "again" / "journal.jsonl").is_file()


@pytest.mark.parametrize("command", COMMANDS)
def test_a_folder_of_another_user_is_refused_unless_told_to_trust_it(
    hposweep_here: Run, recorded: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    (line,) = hposweep_here(command, "recorded").error_lines
    assert line.startswith(f"{command}: recorded: belongs to another user (")
    assert line.endswith("-m hposweep; --trust runs it")
    (line,) = hposweep_here(command, "recorded", "--trust", "--cwd", "nosuch").error_lines
    assert line == f"{command}: --cwd: nosuch is no folder; name the one in which the program is to start"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("name", ["sweep.yaml", "journal.jsonl"])
def test_so_is_one_file_in_it_that_tells_what_runs(hposweep_here: Run, recorded: Path, name: str) -> None:
    os.chown(recorded / name, 12345, -1)
    (line,) = hposweep_here("resume", "recorded").error_lines
    assert line.startswith(f"resume: recorded/{name}: belongs to another user (uid 12345), who may have chosen")


@pytest.mark.parametrize("command", COMMANDS)
def test_where_the_folder_of_the_program_is_gone_another_one_has_to_be_named(
    hposweep_here: Run, recorded: Path, tmp_path: Path, command: str
) -> None:
    start_in(recorded, tmp_path / "gone")
    (line,) = hposweep_here(command, "recorded").error_lines
    assert line == (
        f"{command}: recorded/sweep.yaml: the sweep was started in {tmp_path / 'gone'}, which is gone; name the folder "
        "of its program with --cwd"
    )
