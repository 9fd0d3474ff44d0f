"""Model, optimizer and their hyperparameters searched together, with real trainings: ours and Optuna's.

    python benchmarks/cash.py --folder outputs/cash [--methods asha-random ...] [--seeds 0 1 2]

The search space is that of conf/experiment/all_models_bayesian.yaml, the problem CASH (Thornton et al., KDD 2013):
three models, four optimizers, and what each brings along, on Fashion-MNIST. A sweep has 60 trials of up to 27 epochs,
eta is 3 and the first rung is at one epoch. Our sweeps run from the command line, as a user's. Optuna's TPESampler and
pruners (pip install optuna) are given the same search space by define-by-run, and train with the same function in one
process, without checkpoints; trials have the same seeds. One sweep runs at a time, with one worker of one thread.

The incumbent is the least validation error so far at any rung, of trials that are not complete, too. The winner is what
both tools call best: the complete trial with the least validation error. Its test error is that of a training anew, by
the same function for all. Time is processor time, which other programs on the machine hardly lengthen: of the training,
as the course of a sweep shows it, and of all processes of a sweep.

Under Optuna's Hyperband, TPE models the trials of the same bracket alone, and draws ten in each at random first. It can
be run with successive halving, too; cash.json has no sweeps of that.

A sweep whose result stands in the folder is not run again. Writes cash.json and docs/cash.svg from the results that
there are.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import math
import multiprocessing
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import hydra
import numpy as np
import yaml
from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from hposweep.app import schema
from hposweep.conf_dir import conf_dir
from hposweep.history import SegmentEnded, SegmentStarted, replay
from hposweep.hydra_glue.overrides import render_value
from hposweep.job.running import RunningJob, running
from hposweep.schedulers.rungs import rung_levels
from hposweep.search_space import (
    Choice,
    Configuration,
    Dimension,
    Distribution,
    SearchSpace,
    Value,
    parse_hyperparameter,
    parse_search_space,
    trial_seed,
)
from hposweep.sweep_folder import environment
from hposweep.sweep_folder.journal import read_events
from hposweep.sweep_folder.trial_files import TrialFiles

ROOT = Path(__file__).resolve().parents[1]
EXPERIMENT = "all_models_bayesian"
N_TRIALS = 60
MAX_EPOCHS = 27
ETA = 3
METRIC = "validation_error"
DATA = ("data.batch_size=256", "data.train_fraction=0.5")
WHY_THIS_DATA = (
    "chosen before any sweep ran, from the time of an epoch alone, so that a sweep takes some minutes of one core: on "
    "all 50,000 training examples in batches of 256 an epoch takes 0.05 s (softmax), 0.2 to 1.4 s (mlp) and 2.3 s "
    "(lenet), of one core of this machine; on half of them a sweep of 180 to 450 epochs takes 3 to 8 minutes"
)
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "2"}
PROCESSOR_TIME = "processor_s.txt"
ERRORS = (
    *("incumbent_at_shared_epochs", "incumbent_at_shared_seconds", "incumbent"),
    *("validation_error_of_winner", "test_error_of_winner"),
)
OF_THE_PLOT = {
    "asha-bayesian": "hposweep: ASHA, Bayesian optimization",
    "asha-random": "hposweep: ASHA, random search",
    "optuna-hyperband": "Optuna: Hyperband, TPE",
    "optuna-successive-halving": "Optuna: successive halving, TPE",
}


@dataclass(frozen=True)
class Stretch:
    """Epochs that a trial has trained in one go."""

    trial: int
    epoch: int  # the last one
    n_epochs: int
    processor_s: float
    value: float  # of the last epoch, if that is a rung and has one; else infinity


@dataclass(frozen=True)
class SweepTrials:
    """What a sweep has done: the configuration and seed of each trial, and its trainings in their order."""

    configurations: dict[int, Configuration]
    seeds: dict[int, int]
    stretches: list[Stretch]

    def course(self) -> list[tuple[int, float, float]]:
        """Epochs trained, processor seconds of the training, and the incumbent's validation error by then."""
        epochs = np.cumsum([each.n_epochs for each in self.stretches])
        seconds = np.cumsum([each.processor_s for each in self.stretches])
        best = np.minimum.accumulate([each.value for each in self.stretches])
        return [
            (int(n), float(s), float(value))
            for n, s, value in zip(epochs, seconds, best, strict=True)
            if math.isfinite(value)
        ]

    def winner(self) -> dict[str, Any]:
        """The best complete trial, or the best of all where none is complete."""
        complete = [each for each in self.stretches if each.epoch == MAX_EPOCHS]
        best = min(complete or self.stretches, key=lambda each: each.value)
        return {
            "trial": best.trial,
            "configuration": self.configurations[best.trial],
            "seed": self.seeds[best.trial],
            "epoch": best.epoch,
            METRIC: best.value,
        }


def main() -> None:
    """Runs the sweeps that are missing, then writes JSON and plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="where the sweeps and their results are")
    parser.add_argument("--methods", nargs="*", choices=list(METHODS), default=list(METHODS), help="whose to run")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--trials", type=int, default=N_TRIALS, help="fewer: to try this program")
    parser.add_argument("--json", type=Path, default=Path(__file__).with_suffix(".json"))
    parser.add_argument("--plot", type=Path, default=ROOT / "docs" / "cash.svg")
    arguments = parser.parse_args()
    folder = arguments.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    os.environ |= ONE_THREAD
    for seed, method in itertools.product(arguments.seeds, arguments.methods):
        path = folder / f"{method}-{seed}.json"
        if not path.exists():
            found = result(method, seed, arguments.trials, folder / f"{method}-{seed}")
            path.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
            print(f"{method}, seed {seed}: {found['epochs']} epochs, {found['training_s']:.0f} s", flush=True)
    results = {
        method: [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob(f"{method}-[0-9]*.json"))]
        for method in METHODS
    }
    results = {method: of_seeds for method, of_seeds in results.items() if of_seeds}
    report = {"protocol": protocol(), **figures(results)}
    arguments.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    show(report)
    plot(results, arguments.plot)


def protocol() -> dict[str, Any]:
    """What was fixed before the sweeps ran."""
    return {
        "experiment": EXPERIMENT,
        "n_trials": N_TRIALS,
        "max_epochs": MAX_EPOCHS,
        "eta": ETA,
        "first_rung": 1,
        "data": list(DATA),
        "why_this_data": WHY_THIS_DATA,
        "methods": OF_THE_PLOT,
        "incumbent": "the least validation error so far at any rung",
        "winner": "the best complete trial; trained anew for its test error",
        "seconds": "of processor time, one worker of one thread",
        "machine": environment.machine(),
        "versions": {**environment.versions(), "optuna": version("optuna")},
    }


def result(method: str, seed: int, n_trials: int, folder: Path) -> dict[str, Any]:
    """Runs one sweep in processes of its own, and tests its winner."""
    # What an interrupted sweep has left counts for nothing: its processor time would not be known.
    shutil.rmtree(folder, ignore_errors=True)
    before = processor_s_of_children()
    trials = METHODS[method](seed, n_trials, folder)
    processor_s = processor_s_of_children() - before
    winner = trials.winner()
    epochs, training_s, _ = trials.course()[-1]
    return {
        "method": method,
        "seed": seed,
        "n_trials": len(trials.configurations),
        "epochs": epochs,
        "training_s": training_s,
        "processor_s": processor_s,
        "winner": {**winner, "test_error": in_a_process(tested, winner, folder / "tested")},
        "commit": environment.commit(),
        "course": trials.course(),
        "stretches": [asdict(each) | {"value": finite(each.value)} for each in trials.stretches],
        "configurations": list(trials.configurations.values()),
    }


def processor_s_of_children() -> float:
    """Processor seconds of all processes that were started here and have ended, and of theirs."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def in_a_process(function: Callable[..., Any], *arguments: object) -> Any:
    """Calls the function in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as processes:
        return processes.submit(function, *arguments).result()


def tested(winner: dict[str, Any], folder: Path) -> float:
    """Trains a winner anew to its last epoch, and returns its error on the test set."""
    from hposweep.training.objective import objective

    overrides = [f"trainer.max_epochs={winner['epoch']}", "trainer.stage=test"]
    config = composed(winner["configuration"], winner["seed"], overrides)
    with running(RunningJob(TrialFiles(folder, "."), METRIC)):
        return objective(config)


def composed(configuration: Configuration, seed: int, overrides: Sequence[str]) -> DictConfig:
    """The config of our own app with these hyperparameters."""
    schema.register()
    words = [f"{key}={render_value(value)}" for key, value in configuration.items()]
    with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return hydra.compose("config", [*words, f"seed={seed}", *DATA, *overrides])


# Ours


def run_ours(searcher: str, seed: int, n_trials: int, folder: Path) -> SweepTrials:
    """A sweep from the command line; a callback of Hydra's writes down the processor time of each job."""
    words = [f"experiment={EXPERIMENT}", f"searcher={searcher}", "scheduler=asha", *DATA]
    words += [f"hydra.sweeper.n_trials={n_trials}", f"hydra.sweeper.seed={seed}", f"trainer.max_epochs={MAX_EPOCHS}"]
    words += ["hydra.launcher.n_workers=1", f"hydra.sweep.dir={folder}", "hydra.sweeper.progress=none"]
    words += [f"+hydra.callbacks.processor_time._target_={Path(__file__).stem}.{ProcessorTime.__name__}"]
    paths = os.pathsep.join([str(ROOT), str(Path(__file__).parent)])
    subprocess.run(
        [sys.executable, "-m", "hposweep", "--multirun", *words],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": paths},
        check=True,
        stdout=subprocess.DEVNULL,
    )
    recorded = yaml.safe_load((folder / "sweep.yaml").read_text(encoding="utf-8"))
    assert recorded["search_space"] == search_space().records(), "Optuna searches another space"
    return read_ours(folder)


class ProcessorTime(Callback):
    """Adds a line to the job's folder: the processor seconds that the process took for the job."""

    def on_job_start(self, config: Any, **kwargs: Any) -> None:
        self.before = time.process_time()

    def on_job_end(self, config: Any, job_return: Any, **kwargs: Any) -> None:
        with open(Path(config.hydra.runtime.output_dir) / PROCESSOR_TIME, "a", encoding="utf-8") as file:
            file.write(f"{time.process_time() - self.before}\n")


def read_ours(sweep_dir: Path) -> SweepTrials:
    """The trials of a sweep's folder; a trial's segments and the lines of its jobs have the same order."""
    events = list(read_events(sweep_dir))
    history = replay(events)
    trials = history.trials
    lines, epochs_of = {}, {}
    for number, trial in trials.items():
        files = TrialFiles(sweep_dir, trial.folder, history.schema)
        lines[number] = iter((files.job_dir / PROCESSOR_TIME).read_text(encoding="utf-8").split())
        epochs_of[number] = [int(row["epoch"]) for row in files.read_curve()]
    starts, stretches = {}, []
    for event in events:
        if isinstance(event, SegmentStarted):
            starts[event.trial] = event
        elif isinstance(event, SegmentEnded):
            segment = starts[event.trial]
            assert segment.target_epoch is not None
            own = [epoch for epoch in epochs_of[event.trial] if segment.start_epoch < epoch <= segment.target_epoch]
            value = math.inf if event.value is None or not math.isfinite(event.value) else event.value
            processor_s = float(next(lines[event.trial]))
            stretches.append(Stretch(event.trial, own[-1], len(own), processor_s, value))
    numbers = sorted(trials)
    return SweepTrials(
        {number: trials[number].configuration for number in numbers},
        {number: trials[number].seed for number in numbers},
        stretches,
    )


# Optuna's


def run_optuna(pruner: str, seed: int, n_trials: int, folder: Path) -> SweepTrials:
    """A study in a process of its own."""
    found: SweepTrials = in_a_process(study, pruner, seed, n_trials, folder)
    return found


def study(pruner: str, seed: int, n_trials: int, folder: Path) -> SweepTrials:
    """A study of TPE, with one of the pruners, which are asked after each epoch."""
    import optuna

    # No part of any training: our sweeps import it before their first trial, too.
    import hposweep.training.trainer  # noqa: F401
    from hposweep.training.objective import objective

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    pruners = {
        "hyperband": lambda: optuna.pruners.HyperbandPruner(
            min_resource=1, max_resource=MAX_EPOCHS, reduction_factor=ETA
        ),
        "successive_halving": lambda: optuna.pruners.SuccessiveHalvingPruner(
            min_resource=1, reduction_factor=ETA, min_early_stopping_rate=0
        ),
    }
    space, levels = search_space(), rung_levels(1, MAX_EPOCHS, ETA)
    done = SweepTrials({}, {}, [])

    def objective_of(trial: optuna.Trial) -> float:
        number = trial.number
        done.configurations[number] = configuration = suggested(trial, space)
        done.seeds[number] = trial_seed(seed, number)
        files = TrialFiles(folder / str(number), ".")
        overrides = [f"trainer.max_epochs={MAX_EPOCHS}", "trainer.checkpoint_every=null"]
        config = composed(configuration, done.seeds[number], overrides)
        try:
            with running(PrunedJob(files, trial)):
                return objective(config)
        finally:
            for row in files.read_curve():
                at_rung = row["epoch"] in levels and math.isfinite(row["validation_loss"])
                value = row[METRIC] if at_rung else math.inf
                done.stretches.append(Stretch(number, int(row["epoch"]), 1, row["seconds"], value))

    created = optuna.create_study(
        # Hyperband draws the bracket of a trial from the study's name, which is random where it has none.
        study_name=f"cash-{seed}",
        sampler=optuna.samplers.TPESampler(multivariate=True, group=True, seed=seed),
        pruner=pruners[pruner](),
    )
    created.optimize(objective_of, n_trials=n_trials)
    return done


class PrunedJob(RunningJob):
    """A job that Optuna may end after each epoch; its learning curve has processor seconds."""

    def __init__(self, files: TrialFiles, trial: Any) -> None:
        super().__init__(files, METRIC, clock=time.process_time)
        self._trial = trial

    def report(self, epoch: int, value: float, **metrics: float) -> None:
        """As of any job; raises optuna.TrialPruned where the trial is to end."""
        import optuna

        super().report(epoch, value, **metrics)
        self._trial.report(value, epoch)
        if epoch < MAX_EPOCHS and self._trial.should_prune():
            raise optuna.TrialPruned


def search_space() -> SearchSpace:
    """The experiment's search space, read from its files."""
    experiment = yaml.safe_load((conf_dir() / "experiment" / f"{EXPERIMENT}.yaml").read_text(encoding="utf-8"))
    nodes = {}
    for group, text in experiment["hydra"]["sweeper"]["search_space"].items():
        choice = parse_hyperparameter(text)
        assert isinstance(choice, Choice)
        nodes[group] = {"choice": {option: own_space(group, option) for option in choice.options}}
    return SearchSpace(parse_search_space(nodes, lambda key, node: parse_hyperparameter(node), nested=True))


def own_space(group: str, option: Value) -> dict[str, Any]:
    """What an option of a config group brings along."""
    path = conf_dir() / "search_space" / group / f"{option}.yaml"
    return yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else {}


def suggested(trial: Any, space: SearchSpace) -> Configuration:
    """The configuration that Optuna suggests: a parameter has the id of its dimension, so that it has one range."""
    chosen: dict[str, Value] = {}
    configuration: Configuration = {}
    for dimension in space.dimensions:
        when = dimension.when
        if when is None or chosen.get(when.choice) == when.option:
            configuration[dimension.key] = chosen[dimension.id] = suggested_value(trial, dimension)
    return configuration


def suggested_value(trial: Any, dimension: Dimension) -> Value:
    """The value of one hyperparameter."""
    prior = dimension.prior
    if isinstance(prior, Choice):
        return trial.suggest_categorical(dimension.id, prior.options)
    assert isinstance(prior, Distribution)
    if prior.integer:
        return trial.suggest_int(dimension.id, int(prior.lower), int(prior.upper), log=prior.is_log)
    return trial.suggest_float(dimension.id, prior.lower, prior.upper, log=prior.is_log)


METHODS: dict[str, Callable[[int, int, Path], SweepTrials]] = {
    "asha-bayesian": functools.partial(run_ours, "bayesian"),
    "asha-random": functools.partial(run_ours, "random"),
    "optuna-hyperband": functools.partial(run_optuna, "hyperband"),
    "optuna-successive-halving": functools.partial(run_optuna, "successive_halving"),
}


# Figures


def figures(results: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """What each sweep has found: at its end, and after as many epochs and seconds as the shortest sweep has."""
    sweeps = list(itertools.chain.from_iterable(results.values()))
    shared = {"epochs": min(each["epochs"] for each in sweeps), "seconds": min(each["training_s"] for each in sweeps)}
    rows = {method: [row(each, shared["epochs"], shared["seconds"]) for each in results[method]] for method in results}
    return {"shared_budget": shared, "sweeps": rows, "means": {method: means(rows[method]) for method in rows}}


def row(sweep: dict[str, Any], epochs: int, seconds: float) -> dict[str, Any]:
    """The figures of one sweep."""
    course = np.array(sweep["course"])
    return {
        "seed": sweep["seed"],
        "commit": sweep["commit"],
        "epochs": sweep["epochs"],
        "training_s": sweep["training_s"],
        "processor_s": sweep["processor_s"],
        "incumbent": sweep["course"][-1][2],
        "validation_error_of_winner": sweep["winner"][METRIC],
        "test_error_of_winner": sweep["winner"]["test_error"],
        "incumbent_at_shared_epochs": finite(at(course, np.array([epochs]), 0)[0]),
        "incumbent_at_shared_seconds": finite(at(course, np.array([seconds]), 1)[0]),
        "winner": sweep["winner"],
    }


def means(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """The mean of each number over the seeds."""
    names = ("epochs", "training_s", "processor_s", *ERRORS)
    return {name: float(np.mean([each[name] for each in rows])) for name in names}


def at(course: np.ndarray, grid: np.ndarray, column: int) -> np.ndarray:
    """The incumbent at each point of the grid; infinite before the first one."""
    position = np.searchsorted(course[:, column], grid, side="right") - 1
    return np.where(position >= 0, course[np.maximum(position, 0), 2], np.inf)


def finite(value: float) -> float | None:
    """The number, or None for infinity, which JSON lacks."""
    return float(value) if math.isfinite(value) else None


def show(report: dict[str, Any]) -> None:
    """A line a sweep, and the means."""
    shared = report["shared_budget"]
    table = Table(
        *("method", "seed", "epochs", "training, s", "whole sweep, s", f"incumbent after {shared['epochs']} epochs"),
        *(f"after {shared['seconds']:.0f} s", "at the end", "winner: validation error", "test error", "winner"),
        title=f"{N_TRIALS} trials of up to {MAX_EPOCHS} epochs",
    )
    for method, rows in report["sweeps"].items():
        for each in rows:
            configuration = each["winner"]["configuration"]
            winner = f"{configuration['model']}, {configuration['optimizer']}, epoch {each['winner']['epoch']}"
            table.add_row(method, str(each["seed"]), *cells(each), winner)
        table.add_row(method, "mean", *cells(report["means"][method]), "", end_section=True)
    Console(width=170).print(table)


def cells(figures: dict[str, Any]) -> Iterable[str]:
    """The numbers of one line."""
    yield f"{figures['epochs']:.0f}"
    yield f"{figures['training_s']:.0f}"
    yield f"{figures['processor_s']:.0f}"
    for name in ERRORS:
        yield f"{figures[name]:.4f}"


def plot(results: dict[str, list[dict[str, Any]]], path: Path) -> None:
    """The incumbents against epochs and against processor seconds: each seed, and their mean."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "hposweep"
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(11, 4.2), sharey=True, layout="constrained")
    styles = dict(zip(METHODS, ["-", "--", "-.", ":"], strict=True))
    colours = {method: f"C{position}" for position, method in enumerate(METHODS)}
    for axis, column in ((axes[0], 0), (axes[1], 1)):
        for method, sweeps in results.items():
            courses = [np.array(each["course"]) for each in sweeps]
            for course in courses:
                axis.step(course[:, column], course[:, 2], where="post", color=colours[method], alpha=0.25, linewidth=1)
            # From where all of them have an incumbent to where the first one ends.
            first = max(course[0, column] for course in courses)
            last = min(course[-1, column] for course in courses)
            grid = np.geomspace(first, last, 400)
            mean = np.mean([at(course, grid, column) for course in courses], axis=0)
            label = OF_THE_PLOT[method]
            axis.plot(grid, mean, styles[method], color=colours[method], linewidth=2, label=label)
        axis.set_xscale("log")
        axis.grid(alpha=0.3)
    finals = [each["course"][-1][2] for sweeps in results.values() for each in sweeps]
    axes[0].set_ylim(min(finals) - 0.004, min(finals) + 0.12)
    axes[0].set(xlabel="epochs trained", ylabel="validation error of the incumbent")
    axes[1].set(xlabel="processor seconds of the training")
    axes[0].legend(fontsize="small")
    n_seeds = max(map(len, results.values()))
    figure.suptitle(f"Three models, four optimizers: {N_TRIALS} trials, each of {n_seeds} seeds and their mean")
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


if __name__ == "__main__":
    main()
