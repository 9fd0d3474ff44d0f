"""`python -m hposweep report [outputs/<sweep>]`: writes report.html anew, from the folder alone."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hposweep.commands.one_line_parser import OneLineParser
from hposweep.commands.sweep_argument import add_sweep_argument, chosen_sweep
from hposweep.hydra_glue import run_again
from hposweep.optional_packages import needed_by
from hposweep.sweep_folder.sweep_yaml import read_record
from hposweep.trial import Trial, TrialState

if TYPE_CHECKING:
    from hposweep.results.html.sweep_page import RunAgain


def main(words: Sequence[str]) -> int:
    """Runs the command."""
    parser = OneLineParser("hposweep report", description=__doc__)
    add_sweep_argument(parser)
    folder: Path = chosen_sweep(parser.parse_args(words).sweep)
    record = read_record(folder)
    has_command = "command" in record  # not where hposweep.tune ran it, or a simulation
    with needed_by("the report", "report"):
        from hposweep.results.html import sweep_page

        path = sweep_page.write(folder, command_of_trials(record) if has_command else None)
    print(f"Report: {path}")
    return 0


def command_of_trials(record: dict[str, Any]) -> RunAgain:
    """How a trial of the recorded sweep is run by itself, with the full budget of the sweep."""
    from hposweep.hydra_glue.overrides import render
    from hposweep.results.html.sweep_page import RunAgain

    sweeper = record["config"]["hydra"]["sweeper"]
    r_max = (sweeper["scheduler"] or {}).get("r_max")
    words = run_again.trial_overrides(record, Trial(0, {}, 0, state=TrialState.COMPLETE, target_epoch=r_max))
    seed_key = sweeper["seed_key"]
    if seed_key is not None and any(word.startswith(f"{seed_key}=") for word in record["overrides"]["task"]):
        seed_key = None  # the user's own, which stands among the words
    if seed_key is not None:
        words.remove(f"{seed_key}=0")
    start = [*shlex.split(record["command"]), *words]
    return RunAgain(start, lambda key, value: render({key: value})[0], seed_key)
