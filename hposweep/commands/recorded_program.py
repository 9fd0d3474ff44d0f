"""The program that a sweep's record names: shown before it runs, refused where somebody else could have named it.

Whoever can write into the folder of a sweep chooses what `resume`, `reproduce` and `retrain` run.
"""

from __future__ import annotations

import argparse
import os
import pwd
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from hposweep.errors import ConfigError
from hposweep.hydra_glue import run_again
from hposweep.secret_keys import masked_override
from hposweep.shown_text import shell_line, visible
from hposweep.sweep_folder import journal
from hposweep.sweep_folder.sweep_yaml import RECORD_FILE, AppRecord

# What the words of the command line come from.
TELLING_FILES = (".", RECORD_FILE, journal.FILE_NAME, run_again.MULTIRUN_FILE)


def add_program_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of every command that runs a recorded program."""
    parser.add_argument(
        "--trust", action="store_true", help="run the recorded program though the folder belongs to another user"
    )
    parser.add_argument(
        "--cwd", type=Path, help="folder to start the program in (default: where the sweep was started)"
    )
    parser.add_argument(
        "--secret",
        type=_key_and_value,
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="value of an override that is masked in sweep.yaml (default: the one in multirun.yaml)",
    )


def _key_and_value(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"must be KEY=VALUE, got {text}")
    return key.lstrip("+"), value


@dataclass(frozen=True)
class RecordedProgram:
    """What starts the program of a recorded sweep again, and where."""

    sweep: Path  # absolute
    record: AppRecord
    cwd: Path

    @classmethod
    def of(
        cls, sweep: Path, arguments: argparse.Namespace, read: Callable[[Path], AppRecord] = run_again.read
    ) -> RecordedProgram:
        """The program of the sweep in this folder, whose record is read in this way.

        Raises:
            ConfigError: if another user could have named it and nobody trusts that, or if its folder is gone.
        """
        record = read(sweep)
        if not arguments.trust:
            _check_owner(sweep, record)
        record = run_again.with_secrets(record, sweep, dict(arguments.secret))
        return cls(Path(os.path.abspath(sweep)), record, _cwd(sweep, record, arguments.cwd))  # noqa: PTH100 (links stay)

    def command(self, overrides: Sequence[str]) -> list[str]:
        """Its words with these overrides."""
        return [*run_again.words_of_program(self.record), *overrides]

    def show(self, command: Sequence[str], file: IO[str] | None = None) -> None:
        """Prints what is about to run, and where, without secrets; `file`: in place of the standard output."""
        shown = shell_line([masked_override(word, self.record.choices) for word in command])
        print(f"Running in {visible(str(self.cwd))}: {shown}", flush=True, file=file)


def _check_owner(sweep: Path, record: AppRecord) -> None:
    for name in TELLING_FILES:
        path = sweep / name
        owner = path.stat().st_uid if path.exists() else os.geteuid()
        # Root's folders, too: they may hold what root has unpacked. And root is who should run the least of others'.
        if owner != os.geteuid():
            raise ConfigError(
                f"{path if name != '.' else sweep}: belongs to another user ({_user(owner)}), who may have chosen what "
                f"would run: {shell_line(run_again.words_of_program(record))}; --trust runs it"
            )


def _user(uid: int) -> str:
    try:
        return f"{pwd.getpwuid(uid).pw_name}, uid {uid}"
    except KeyError:
        return f"uid {uid}"


def _cwd(sweep: Path, record: AppRecord, named: Path | None) -> Path:
    if named is not None:
        if not named.is_dir():
            raise ConfigError(f"--cwd: {named} is no folder; name the one in which the program is to start")
        return Path(os.path.abspath(named))  # noqa: PTH100 (links stay)
    if record.cwd is None:  # of an earlier version
        return Path.cwd()
    if not Path(record.cwd).is_dir():
        raise ConfigError(
            f"{sweep / RECORD_FILE}: the sweep was started in {record.cwd}, which is gone; name the folder of its "
            "program with --cwd"
        )
    return Path(record.cwd)
