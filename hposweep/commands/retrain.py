"""`python -m hposweep retrain outputs/<sweep>`: trains the winner on validation data, too, tests and saves it."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from hposweep import optional_packages
from hposweep.commands.child_process import ChildProcesses
from hposweep.commands.one_line_parser import OneLineParser
from hposweep.commands.recorded_program import RecordedProgram, add_program_arguments
from hposweep.commands.sweep_argument import add_sweep_argument, chosen_sweep
from hposweep.commands.winner import winner_of
from hposweep.errors import ConfigError
from hposweep.hydra_glue import run_again
from hposweep.hydra_glue.overrides import literal_text, render_value
from hposweep.number_text import number_text
from hposweep.results.intervals import wilson_interval
from hposweep.search_space import trial_seed
from hposweep.shown_text import plural, visible
from hposweep.sweep_folder import file_names
from hposweep.sweep_folder.files import unique_folder, write_atomically, writing
from hposweep.sweep_folder.sweep_yaml import AppRecord
from hposweep.sweep_folder.trial_files import TrialFiles
from hposweep.trial import Trial, TrialState

RESULTS_FILE = "retrained.yaml"
EXIT_FAILED = 1


class Retrained(NamedTuple):
    """The result of one seed's job."""

    seed: int
    folder: Path
    metric: str
    value: float
    n_train: int | None  # None: unknown of data that stream
    epochs: int


def main(words: Sequence[str]) -> int:
    """Runs the command; 0 where each seed has its model."""
    parser = OneLineParser("hposweep retrain", description=__doc__)
    add_sweep_argument(parser)
    add_program_arguments(parser)
    parser.add_argument(
        "--seeds",
        type=int,
        default=1,
        help="number of models, each with its own weights and batch order; the first seed is the winner's "
        "(default: %(default)s)",
    )
    parser.add_argument("--epochs", type=int, help="passes over the data (default: as many as the winner had)")
    parser.add_argument("--into", type=Path, help="folder of the models (default: retrained in the sweep's folder)")
    arguments = parser.parse_args(words)
    for option in ("seeds", "epochs"):
        value = getattr(arguments, option)
        if value is not None and value < 1:
            raise ConfigError(f"--{option}: must be at least 1, got {value}")
    sweep = chosen_sweep(arguments.sweep)
    program = RecordedProgram.of(sweep, arguments)
    record = program.record
    history, trial = winner_of(sweep)
    n_test = _n_test(sweep, TrialFiles(sweep, trial.folder, history.schema))
    optional_packages.check("retrain", "keras")
    if record.seed_key is None:
        raise ConfigError(f"{sweep}: its config names no seed_key, the key that would get a new model's seed")
    into = arguments.into or unique_folder(sweep / "retrained")
    if into.exists():
        raise ConfigError(f"--into: {into} exists already; name a new folder")
    if "${" in str(into.absolute()):
        raise ConfigError(
            f"--into: {into}: Hydra takes ${{ in a job's folder for an interpolation; name another folder"
        )
    overrides = _overrides(record, trial, arguments.epochs)
    seeds = [trial.seed, *(trial_seed(trial.seed, number) for number in range(1, arguments.seeds))]
    trained, exit_code = [], 0
    with ChildProcesses() as processes:
        for number, seed in enumerate(seeds, start=1):
            folder = into / f"seed-{seed}"
            print(f"Training with seed {seed} ({number} of {len(seeds)}) into {visible(str(folder))}", flush=True)
            run_dir = f"hydra.run.dir={render_value(literal_text(str(Path.cwd() / folder)))}"
            command = program.command([*overrides, f"{record.seed_key}={seed}", run_dir])
            program.show(command)
            each = _train(processes, command, program.cwd, seed, folder)
            if each is not None:
                trained.append(each)
            elif not processes.stopped_by:
                exit_code = EXIT_FAILED
            if processes.stopped_by:
                exit_code = processes.exit_code
                break
    if trained:
        results = {"trial": {"number": trial.number, history.metric: trial.value}, **_results(trained, n_test)}
        write_atomically(into / RESULTS_FILE, yaml.safe_dump(results, sort_keys=False))
        _print(trained, results)
    return exit_code


def _n_test(sweep: Path, files: TrialFiles) -> int | None:
    """The number of test examples, as the trial's own job counted them; None: unknown of data that stream."""
    sizes = files.read_data_summary()
    if not sizes:
        raise ConfigError(f"{files.data_summary}: not found; only trials of hposweep's own objective can be retrained")
    n_test = sizes.get("n_test")
    if n_test == 0:
        raise ConfigError(f"{sweep}: validated on the test set, so nothing is left to test a new model on")
    return None if n_test is None else int(n_test)


def _overrides(record: AppRecord, trial: Trial, epochs: int | None) -> list[str]:
    overrides = [*run_again.trial_overrides(record, trial), "trainer.stage=retrain"]
    if epochs is None and trial.state is TrialState.COMPLETE:
        epochs = trial.epoch
    return overrides + ([] if epochs is None else [f"trainer.max_epochs={epochs}", "trainer.target_epoch=null"])


def _train(processes: ChildProcesses, command: Sequence[str], cwd: Path, seed: int, folder: Path) -> Retrained | None:
    """Runs one Hydra job in its own process; if it leaves no model, prints why and returns None."""
    output = folder / file_names.OUTPUT
    with writing(folder):
        folder.mkdir(parents=True)
        file = open(output, "wb")  # noqa: SIM115 (closed below)
    with file:
        exit_code = processes.run(command, cwd, file)
    if exit_code != 0 and processes.stopped_by:
        return None
    result = folder / file_names.TEST_RESULT
    if exit_code != 0 or not result.is_file():
        reason = "it diverged" if exit_code == 0 else f"exit code {exit_code}"
        print(f"Seed {seed}: no model ({reason}); see {visible(str(output))}")
        return None
    found = json.loads(result.read_text(encoding="utf-8"))
    metric = next(name for name in found if name.startswith("test_"))
    return Retrained(seed, folder, metric, found[metric], found["n_train"], found["epochs"])


def _results(trained: Sequence[Retrained], n_test: int | None) -> dict[str, Any]:
    metric, values = trained[0].metric, [each.value for each in trained]
    mean = statistics.fmean(values)
    # All seeds are tested on the same examples, so more seeds don't narrow the interval.
    interval = wilson_interval(mean, n_test) if n_test is not None and metric == "test_error" else None
    return {
        metric: {each.seed: each.value for each in trained},
        "mean": mean,
        "standard_deviation": statistics.stdev(values) if len(values) > 1 else None,
        **({} if interval is None else {"interval_95": [*interval]}),
        **({} if n_test is None else {"n_test": n_test}),
        "n_train": trained[0].n_train,
        "epochs": trained[0].epochs,
    }


def _print(trained: Sequence[Retrained], results: dict[str, Any]) -> None:
    metric = trained[0].metric.replace("_", " ")
    examples = "" if results["n_train"] is None else f" on {plural(results['n_train'], 'example')}"
    print(f"\nTrained{examples} for {plural(results['epochs'], 'epoch')}:")
    for each in trained:
        model = visible(str(each.folder / file_names.MODEL))
        print(f"  seed {each.seed:<10}  {metric} {number_text(each.value)}  {model}")
    values = [each.value for each in trained]
    if len(trained) > 1:
        extremes = f"from {number_text(min(values))} to {number_text(max(values))}"
        spread = f"standard deviation {number_text(results['standard_deviation'])}, {extremes}"
        print(f"Mean {metric} {number_text(results['mean'])} ({len(values)} seeds: {spread})")
    if "interval_95" in results:
        low, high = map(number_text, results["interval_95"])
        print(f"95% interval {low} to {high} (Wilson, {plural(results['n_test'], 'test example')})")
