"""What the last word of a command line may become: for the completion of shells, without Hydra as far as possible."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import yaml

from hposweep.commands import COMMANDS
from hposweep.conf_dir import conf_dir
from hposweep.sweep_folder.journal import FILE_NAME

SHELLS = ("bash", "fish", "zsh")
HYDRA_OPTIONS = ("--cfg", "--config-dir", "--help", "--hydra-help", "--info", "--multirun", "--version")
DEPTH = 3  # at most so far below a folder are the sweeps for which it is offered
MOST_ENTRIES = 1_000  # of a folder that are looked at for that

Completer = Callable[[str], Iterable[str]]


def candidates(words: Sequence[str]) -> list[str]:
    """The words that the last one of these may become; one that ends in `=`, `/` or `.` is to go on.

    Args:
        words: those after the name of the program, without a shell's quotes; the last one may be empty.
    """
    *before, word = words
    if before and before[0] in COMMANDS:
        found = _of_a_command(before[0], before[1:], word)
    elif before and before[-1] in ("--config-dir", "-cd"):
        found = folders(word)
    elif word.startswith("-"):
        found = HYDRA_OPTIONS
    else:
        found = () if set("=./@") & set(word) else [*([] if before else COMMANDS), *_top_level()]
        found = [each for each in found if each.startswith(word)] or _of_hydra(words)
    # A name that does something to the terminal is not shown on one.
    return sorted({each for each in found if each.startswith(word) and each.isprintable()})


def nothing(word: str) -> Iterator[str]:
    """Of a number, or a text that nobody knows."""
    yield from ()


def folders(word: str) -> Iterator[str]:
    """Folders."""
    return (f"{path}/" for path, entry in _entries(word) if _is_folder(entry))


def files(word: str) -> Iterator[str]:
    """Files and folders."""
    return (f"{path}/" if _is_folder(entry) else path for path, entry in _entries(word))


def sweeps(word: str) -> list[str]:
    """Folders of sweeps, and those that hold some; where there are none, any folder."""
    held = {path: entry for path, entry in _entries(word) if _is_folder(entry)}
    found = [path for path, entry in held.items() if _is_sweep(entry.path)]
    holding = [path for path, entry in held.items() if path not in found and _holds_sweeps(entry.path, DEPTH - 1)]
    if not found and len(holding) == 1:
        return sweeps(f"{holding[0]}/")
    return [*found, *(f"{path}/" for path in holding)] or [f"{path}/" for path in held]


def tools(word: str) -> Sequence[str]:
    """What sweeps are exported to."""
    from hposweep.commands.export import TOOLS  # late: it imports what reads sweeps

    return TOOLS


def shells(word: str) -> Sequence[str]:
    """Those whose completion there is."""
    return SHELLS


# Each command's options, and what their values are. They stand here since the parsers that know them import Hydra, for
# which nobody who presses a key waits; a test compares.
OF_A_PROGRAM: Mapping[str, Sequence[Completer]] = {"--cwd": [folders], "--secret": [nothing], "--trust": []}
OPTIONS: Mapping[str, Mapping[str, Sequence[Completer]]] = {
    "best": {"--yaml": [], **OF_A_PROGRAM},
    "compare": {"--html": [files]},
    "completion": {},
    "dashboard": {"--host": [nothing], "--port": [nothing]},
    "export": {"--to": [tools, files]},
    "ls": {},
    "report": {},
    "reproduce": {"--into": [folders], "--tolerance": [nothing], **OF_A_PROGRAM},
    "resume": {"--n-trials": [nothing], "--n-workers": [nothing], "--time-budget": [nothing], **OF_A_PROGRAM},
    "retrain": {"--epochs": [nothing], "--into": [folders], "--seeds": [nothing], **OF_A_PROGRAM},
    "show": {},
}
# The argument that is no option, where it is no sweep.
ARGUMENTS: Mapping[str, Completer] = {"completion": shells, "dashboard": folders, "ls": folders}
OF_MANY_ARGUMENTS = ("compare",)


def _of_a_command(command: str, before: Sequence[str], word: str) -> Iterable[str]:
    options, expected, n_arguments = OPTIONS[command], [], 0
    for each in before:
        if each in options:
            expected = list(options[each])
        elif expected:
            del expected[0]
        else:
            n_arguments += 1
    if expected:
        return expected[0](word)
    if word.startswith("-"):
        return ("--help", *(option for option in options if option not in before or option == "--secret"))
    if n_arguments and command not in OF_MANY_ARGUMENTS:
        return ()
    return ARGUMENTS.get(command, sweeps)(word)


def _top_level() -> Iterator[str]:
    """The groups of the config, and its keys."""
    config = yaml.safe_load((conf_dir() / "config.yaml").read_text(encoding="utf-8"))
    for key, value in config.items():
        if key != "defaults":
            yield f"{key}." if isinstance(value, dict) else f"{key}="
    for path in conf_dir().iterdir():
        if path.is_dir():
            yield f"{path.name}="


def _of_hydra(words: Sequence[str]) -> list[str]:
    """What Hydra's own completion finds: options of groups, and keys."""
    from hposweep.app import main  # late: it imports Hydra

    os.environ["COMP_LINE"] = " ".join(["hposweep", *words])
    sys.argv[1:] = ["-sc", "query=fish"]  # a line a word
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        main.run()
    return out.getvalue().splitlines()


def _entries(word: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """What a folder holds that begins as the word does, with the path as it would be typed; hidden ones if they are."""
    folder, slash, name = word.rpartition("/")
    try:
        entries = list(os.scandir(Path(f"{folder}{slash}" or ".").expanduser()))
    except OSError:
        return
    for entry in entries:
        if entry.name.startswith(name) and (name or not entry.name.startswith(".")):
            yield f"{folder}{slash}{entry.name}", entry


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _is_sweep(folder: str) -> bool:
    return os.path.isfile(f"{folder}/{FILE_NAME}")  # noqa: PTH113 (thousands of them)


def _holds_sweeps(folder: str, depth: int) -> bool:
    try:
        inner = [each.path for each, _ in zip(os.scandir(folder), range(MOST_ENTRIES), strict=False) if each.is_dir()]
    except OSError:
        return False
    if any(map(_is_sweep, inner)):
        return True
    return depth > 1 and any(_holds_sweeps(each, depth - 1) for each in inner)
