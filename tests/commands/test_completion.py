"""What a shell completes: commands, options, values, sweeps, and the overrides of Hydra."""

from __future__ import annotations

import importlib
import os
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from hposweep.commands import COMMANDS, candidates
from support import zsh
from support.processes import Run, RunText, run_process

PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
BAD = "bad\x1b[2J"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two sweeps in outputs/, one below multirun/, and folders without any."""
    for sweep in ("outputs/a sweep", "outputs/b", f"outputs/{BAD}", "multirun/2026-07-01/10-00-00"):
        (tmp_path / sweep / "trials").mkdir(parents=True)
        (tmp_path / sweep / "journal.jsonl").touch()
    for each in ("outputs/empty", "src/package", ".hidden"):
        (tmp_path / each).mkdir(parents=True)
    (tmp_path / "study.db").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


SWEEPS = ["outputs/a sweep", "outputs/b"]
FOLDERS = ["multirun/", "outputs/", "src/"]
CANDIDATES = {
    ("re",): ["report", "reproduce", "resume", "retrain"],
    ("s",): ["scheduler=", "search_space=", "searcher=", "seed=", "show"],
    ("--multirun", "s"): ["scheduler=", "search_space=", "searcher=", "seed="],  # a command is a first word
    ("obj",): ["objective."],
    ("--m",): ["--multirun"],
    ("--config-dir", "s"): ["src/"],
    ("show", ""): ["multirun/", "outputs/"],
    ("show", "outputs/"): SWEEPS,
    ("show", "out"): SWEEPS,
    ("show", "m"): ["multirun/2026-07-01/10-00-00"],
    ("show", "src/"): ["src/package/"],  # none is below: any folder
    ("show", "nosuch/"): [],
    ("show", "outputs/b", ""): [],
    ("show", "outputs/b", "-"): ["--help"],
    ("compare", "outputs/b", "outputs/"): SWEEPS,
    ("compare", "outputs/b", "--html", ""): [*FOLDERS, "study.db"],
    ("retrain", "outputs/b", "--s"): ["--secret", "--seeds"],
    ("retrain", "outputs/b", "--secret", "a=b", "--seeds", "3", "--s"): ["--secret"],
    ("retrain", "--seeds", ""): [],
    ("retrain", "--seeds", "3", "outputs/b"): ["outputs/b"],
    ("resume", "--n"): ["--n-trials", "--n-workers"],
    ("best", "--cwd", "s"): ["src/"],
    ("export", "--to", ""): ["optuna", "tensorboard"],
    ("export", "--to", "optuna", "st"): ["study.db"],
    ("export", "--to", "optuna", "study.db", "outputs/"): SWEEPS,
    ("ls", ""): FOLDERS,
    ("completion", "z"): ["zsh"],
}


@pytest.mark.parametrize("words", CANDIDATES, ids=" ".join)
def test_a_word_may_become_what_the_program_takes_there(folder: Path, words: Sequence[str]) -> None:
    assert candidates.candidates(words) == CANDIDATES[tuple(words)]
    assert candidates.candidates(words[:1]) != []


def test_a_folder_that_can_not_be_read_has_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "scandir", lambda path: (_ for _ in ()).throw(PermissionError(path)))
    assert candidates.candidates(["show", "outputs/"]) == []


def test_one_s_home_is_read_as_the_shell_does(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder))
    assert candidates.candidates(["show", "~/outputs/b"]) == ["~/outputs/b"]


@pytest.mark.parametrize("command", COMMANDS)
def test_the_options_are_those_of_the_parser(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        importlib.import_module(f"hposweep.commands.{command}").main(["--help"])
    options = re.findall(r"^  (?:-h, )?(--[a-z-]+)(.*)$", capsys.readouterr().out, re.MULTILINE)
    n_values = {option: len(rest.split("  ")[0].split()) for option, rest in options}
    n_values.pop("--help")
    assert {option: len(completers) for option, completers in candidates.OPTIONS[command].items()} == n_values


@pytest.mark.process
def test_commands_options_and_sweeps_need_no_hydra(tmp_path: Path) -> None:
    (tmp_path / "outputs" / "a").mkdir(parents=True)
    code = (
        "import sys; from hposweep.commands.completion import main\n"
        "for words in (['r'], ['show', 'out'], ['export', '--to', ''], ['best', '--']):\n"
        "    main(['--words', 'fish', *words])\n"
        "assert not {'hydra', 'omegaconf', 'tensorflow'} & set(sys.modules), sorted(sys.modules)"
    )
    done = run_process([sys.executable, "-c", code], tmp_path)
    assert (done.exit_code, done.err) == (0, "")
    assert done.out.split()[:4] == ["report", "reproduce", "resume", "retrain"]


def test_a_script_is_for_a_shell_that_is_known(hposweep_here: Run) -> None:
    for shell in candidates.SHELLS:
        assert "completion --words" in hposweep_here("completion", shell).out
    assert hposweep_here("completion").exit_code == 1


# What each shell makes of a line: the words that the last one may become, as they stand on the line then.
LINES = {
    "re": ["report", "reproduce", "resume", "retrain"],
    r"show outputs/a\ s": [r"outputs/a\ sweep"],
    "ls sr": ["src/"],
    "--multirun model=mlp optimizer=ada": ["optimizer=adam", "optimizer=adamw"],
}


def needs(shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"needs Debian's package {shell}")


@pytest.mark.process
def test_bash_completes_a_line(folder: Path, shell: RunText) -> None:
    lines = ['eval "$(hposweep completion bash)"']
    for typed in LINES:
        *before, word = re.split(r"(?<!\\) ", typed)
        words = ["hposweep", *before, word]
        lines.append(f"COMP_CWORD={len(words) - 1}; COMP_WORDS=({' '.join(map(repr, words))})")
        lines.append('_hposweep hposweep; printf "%s|" "${COMPREPLY[@]}"; echo')
    done = shell("\n".join(lines).replace(r"\\", "\\"))
    assert done.exit_code == 0, done.err
    found = [line.split("|")[:-1] for line in done.out.splitlines()]
    # A space goes after what is whole.
    expected = [[word if word.endswith("/") else f"{word} " for word in words] for words in LINES.values()]
    assert dict(zip(LINES, found, strict=True)) == dict(zip(LINES, expected, strict=True))


@pytest.mark.process
def test_fish_completes_a_line(folder: Path) -> None:
    needs("fish")
    lines = "; ".join(f"complete -C 'hposweep {typed}'; echo END" for typed in LINES)
    env = {"PATH": PATH, "HOME": str(folder), "XDG_CONFIG_HOME": str(folder / "config")}
    script = f"hposweep completion fish | source; {lines}"
    done = run_process(["fish", "--private", "-c", script], folder, env)
    assert done.exit_code == 0, done.err
    found = [part.splitlines() for part in done.out.split("END\n")[:-1]]
    # It quotes them itself when one is chosen.
    expected = [[word.replace("\\", "") for word in words] for words in LINES.values()]
    assert dict(zip(LINES, found, strict=True)) == dict(zip(LINES, expected, strict=True))


@pytest.mark.process
def test_zsh_completes_a_line(folder: Path) -> None:
    needs("zsh")
    found = zsh.completed_lines([f"hposweep {typed}" for typed in LINES], folder, {"PATH": PATH})
    befores = [re.split(r"(?<!\\) ", typed)[:-1] for typed in LINES]
    expected = [" ".join(["hposweep", *before, *words]) for before, words in zip(befores, LINES.values(), strict=True)]
    assert [line.rstrip() for line in found] == expected
