"""`hposweep`, the console script, is the same program as `python -m hposweep`."""

import csv
from importlib import metadata
from pathlib import Path

import pytest
import yaml

from hposweep.commands import COMMANDS
from support.processes import RunText

SMALL = "data.train_fraction=0.02 data.n_validation=500 trainer.max_epochs=1"


def states(sweep: Path) -> list[str]:
    with open(sweep / "trials.csv", newline="") as file:
        return [row["state"] for row in csv.DictReader(file)]


def test_its_sweep_is_resumed_with_what_was_on_its_command_line(warm_shell: RunText, tmp_path: Path) -> None:
    space = tmp_path / "my conf" / "search_space" / "mine.yaml"
    space.parent.mkdir(parents=True)
    space.write_text("# @package hydra.sweeper.search_space\noptimizer:\n  learning_rate: loguniform(1e-3, 1)\n")
    words = f"--config-dir 'my conf' search_space=mine {SMALL} hydra.sweeper.n_trials=2 hydra.sweep.dir=outputs/swept"
    done = warm_shell(f"hposweep --multirun {words}")
    assert done.exit_code == 0, done.err
    sweep = tmp_path / "outputs" / "swept"
    # What was on the command line is needed to compose again.
    assert yaml.safe_load((sweep / "sweep.yaml").read_text())["command"] == "hposweep --config-dir 'my conf'"
    done = warm_shell("hposweep resume outputs/swept --n-trials 3")
    assert done.exit_code == 0, done.err
    assert states(sweep) == ["COMPLETE"] * 3


def test_help_tells_of_the_commands_and_of_the_config(shell: RunText) -> None:
    shown = shell("hposweep --help").out
    assert all(name in shown for name in COMMANDS)
    assert "model: lenet, mlp, softmax" in shown
    assert shell("hposweep --hydra-help").out.startswith("Hydra (")


def test_without_arguments_it_says_what_it_is_and_makes_nothing(shell: RunText, tmp_path: Path) -> None:
    done = shell("hposweep; hposweep --version")
    assert (done.exit_code, done.err) == (0, "")
    *shown, version = done.out.splitlines()
    assert shown[0] == "hposweep, or python -m hposweep: hyperparameter optimization as Hydra multirun sweeps."
    assert all(name in "\n".join(shown) for name in COMMANDS)
    assert version == f"hposweep {metadata.version('hposweep')}"
    assert list(tmp_path.iterdir()) == []


def test_a_command_has_its_help(shell: RunText) -> None:
    done = shell("hposweep best --help")
    assert done.exit_code == 0, done.err
    assert done.out.startswith("usage: hposweep best ")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("bets", "bets: no such command; did you mean 'best'? "),
        ("best --nosuch", "best: unrecognized arguments: --nosuch; see hposweep best --help"),
        ("retrain --seeds x", "retrain: --seeds: invalid int value: 'x'; see hposweep retrain --help"),
        ("completion tcsh", "completion: shell: invalid choice: 'tcsh' (choose from 'bash', 'fish', 'zsh'); see "),
        ("best", "best: outputs: holds no sweep; name the folder of one"),
        ("model=nosuch", "model: no 'nosuch'. Available: lenet, mlp, softmax"),
    ],
)
def test_errors_are_one_line(shell: RunText, words: str, message: str) -> None:
    done = shell(f"hposweep {words}")
    assert (done.exit_code, done.out) == (1, "")
    (line,) = done.error_lines
    assert line.startswith(message)
