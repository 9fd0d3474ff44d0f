"""`python -m hposweep best outputs/<sweep>`: prints the winner, as a command that runs it again or as an experiment."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from hposweep.commands.one_line_parser import OneLineParser
from hposweep.commands.recorded_program import RecordedProgram, add_program_arguments
from hposweep.commands.sweep_argument import add_sweep_argument, chosen_sweep
from hposweep.commands.winner import winner_of
from hposweep.hydra_glue import run_again
from hposweep.hydra_glue.experiment import SHOW_CONFIG, experiment_of
from hposweep.number_text import number_text
from hposweep.secret_keys import is_masked
from hposweep.shown_text import shell_line, visible


def main(words: Sequence[str]) -> int:
    """Runs the command; nothing but the line or the YAML goes to the standard output."""
    parser = OneLineParser("hposweep best", description=__doc__)
    add_sweep_argument(parser)
    parser.add_argument(
        "--yaml",
        action="store_true",
        help="a file for conf/experiment/ or for experiment/ in a --config-dir, then chosen by experiment=<its name>",
    )
    add_program_arguments(parser)
    arguments = parser.parse_args(words)
    sweep = chosen_sweep(arguments.sweep)
    record = run_again.read(sweep)
    history, trial = winner_of(sweep)
    if not arguments.yaml:
        command = run_again.shown_command(record, trial)
        print(shell_line(command))
        masked = [word.partition("=")[0].lstrip("+") for word in command if is_masked(word)]
        if masked:
            print(visible(f"Not shown, as they look like secrets: {', '.join(masked)}"), file=sys.stderr)
        return 0
    assert trial.value is not None
    # The program composes its own configs.
    program = RecordedProgram.of(sweep, arguments)
    overrides = run_again.trial_overrides(program.record, trial)
    program.show(program.command([*overrides, *SHOW_CONFIG]), file=sys.stderr)
    overlay = experiment_of(program.command([]), overrides, program.cwd)
    print("# @package _global_")
    named = f"Trial {trial.number} of {sweep.resolve().name}, {history.metric} {number_text(trial.value)}."
    print(f"# {visible(named)}")
    print("#   python -m hposweep experiment=<this file's name>")
    print(overlay, end="")
    return 0
