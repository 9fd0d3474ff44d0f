"""`python -m hposweep reproduce outputs/<sweep>`: runs a recorded sweep again, and names every difference."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hposweep.commands.child_process import ChildProcesses
from hposweep.commands.one_line_parser import OneLineParser
from hposweep.commands.recorded_program import RecordedProgram, add_program_arguments
from hposweep.commands.sweep_argument import add_sweep_argument, chosen_sweep
from hposweep.errors import ConfigError
from hposweep.hydra_glue import run_again
from hposweep.results.comparison.differences import Difference, differences
from hposweep.results.terminal.summary import relative
from hposweep.shown_text import visible
from hposweep.sweep_folder.files import unique_folder
from hposweep.sweep_folder.sweep_yaml import RECORD_FILE

EXIT_DIFFERENT = 1


def main(words: Sequence[str]) -> int:
    """Runs the command; 0 where nothing that matters differs."""
    parser = OneLineParser("hposweep reproduce", description=__doc__)
    add_sweep_argument(parser)
    add_program_arguments(parser)
    parser.add_argument("--into", type=Path, help="folder of the new sweep (default: the old one's name and -again)")
    parser.add_argument(
        "--tolerance",
        type=float,
        default=0.02,
        help="by how much validation errors may differ between different processors or versions, where bits can't be "
        "equal (default: %(default)s)",
    )
    arguments = parser.parse_args(words)
    if not arguments.tolerance >= 0:
        raise ConfigError(f"--tolerance: must be at least 0, got {arguments.tolerance}")
    if arguments.into is not None and arguments.into.exists():
        raise ConfigError(f"--into: {arguments.into} exists already; name a new folder")
    program = RecordedProgram.of(chosen_sweep(arguments.sweep), arguments)
    recorded, record = program.sweep, program.record
    again = Path.cwd() / (arguments.into or unique_folder(recorded.with_name(f"{recorded.name}-again")))
    print(visible(f"Running {relative(recorded)} again into {relative(again)}"), flush=True)
    command = program.command(["--multirun", *run_again.starting_overrides(record, again)])
    program.show(command)
    with ChildProcesses() as processes:
        exit_code = processes.run(command, program.cwd)
    if processes.stopped_by:
        return processes.exit_code
    if not (again / RECORD_FILE).exists():
        raise ConfigError(f"{again}: the second sweep did not start (exit code {exit_code})")
    # What a later version of hposweep has added is no difference while it has its default value.
    record = run_again.completed(record).masked()
    found = differences(recorded, record, again, run_again.read(again), arguments.tolerance)
    for difference in found:
        print(f"{'DIFFERS' if difference.matters else 'noted'}: {visible(difference.text)}")
    if any(difference.matters for difference in found):
        print("Not reproduced.")
        return EXIT_DIFFERENT
    print(_conclusion(found))
    return 0


def _conclusion(found: Sequence[Difference]) -> str:
    if not found:
        return "Reproduced: no difference."
    return "Reproduced: nothing that matters differs."
