"""`python -m hposweep resume outputs/<sweep>`: continues an unfinished sweep, or extends a finished one."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from hposweep.commands.one_line_parser import OneLineParser
from hposweep.commands.recorded_program import RecordedProgram, add_program_arguments
from hposweep.commands.sweep_argument import add_sweep_argument, chosen_sweep
from hposweep.hydra_glue import run_again
from hposweep.results.terminal.summary import CALLED_FROM

OPTIONS = {
    "--n-trials": ("hydra.sweeper.n_trials", "trials in all; more of them extend the sweep"),
    "--time-budget": ("hydra.sweeper.time_budget", "seconds after which this run stops"),
    "--n-workers": ("hydra.launcher.n_workers", "worker processes"),
}


def main(words: Sequence[str]) -> int:
    """Runs the command that started the sweep, with its folder; does not return."""
    parser = OneLineParser("hposweep resume", description=__doc__)
    add_sweep_argument(parser)
    for option, (_, text) in OPTIONS.items():
        parser.add_argument(option, help=text)
    add_program_arguments(parser)
    arguments = parser.parse_args(words)
    program = RecordedProgram.of(chosen_sweep(arguments.sweep), arguments, run_again.read_or_recovered)
    overrides = run_again.starting_overrides(program.record, program.sweep)
    for option, (key, _) in OPTIONS.items():
        value = getattr(arguments, option.removeprefix("--").replace("-", "_"))
        if value is not None:
            overrides.append(f"{key}={value}")
    command = program.command(["--multirun", *overrides])
    program.show(command)
    os.environ[CALLED_FROM] = str(Path.cwd())
    os.chdir(program.cwd)
    # The sweep replaces this process, so that signals, output and exit code are its own.
    os.execv(sys.executable, command)  # noqa: S606
