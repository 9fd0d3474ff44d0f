"""`hposweep.tune`: the engine of a sweep for a plain Python function, without Hydra."""

from __future__ import annotations

import contextlib
import copy
import datetime
import inspect
import math
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from hposweep.api.sweep import Sweep
from hposweep.errors import ConfigError, SweepError
from hposweep.job import run, running
from hposweep.job.running import RunningJob
from hposweep.results.terminal import progress
from hposweep.schedulers import Scheduler
from hposweep.schedulers.fifo import FifoScheduler
from hposweep.search_space import LARGEST_SEED, Hyperparameter, SearchSpace, as_hyperparameter, trial_seed
from hposweep.searchers.random import RandomSearcher
from hposweep.sweep_folder import environment, tables
from hposweep.sweep_folder.files import made_unique_folder, write_atomically
from hposweep.sweep_folder.journal import Journal, read_events
from hposweep.sweep_folder.keeper import FolderKeeper
from hposweep.sweep_folder.sweep_yaml import RECORD_FILE, read_record
from hposweep.trial import Direction, Segment, SegmentResult, Trial
from hposweep.tuner import COMPLETE, INTERRUPTED, TARGET_UNHEEDED, TIME_BUDGET_OVER, Tuner
from hposweep.workers.local.pool import WorkerPool, n_cores
from hposweep.workers.local.worker import Outcome
from hposweep.workers.segments import PoolFutures
from hposweep.workers.stop_signals import StopSignals

MAX_WORKER_MEMORY_MB = 4000.0

Objective = Callable[..., float]


def tune(
    objective: Objective,
    search_space: Mapping[str, object],
    *,
    n_trials: int,
    scheduler: Scheduler | None = None,
    n_workers: int | None = None,
    seed: int = 0,
    metric: str = "value",
    direction: str = "minimize",
    folder: Path | str | None = None,
    time_budget_s: float | None = None,
    trial_timeout_s: float | None = None,
) -> Sweep:
    """Random search for the best configuration of an objective, in parallel processes.

        def objective(configuration):
            model = train(configuration["learning_rate"], configuration["batch_size"])
            return validation_error(model)

        sweep = hposweep.tune(
            objective,
            {"learning_rate": stats.loguniform(1e-4, 1), "batch_size": "choice(16, 32, 64)"},
            n_trials=20,
        )
        sweep.best.configuration

    The folder is that of any sweep: it outlives crashes, and the same call with the same folder goes on where the
    sweep stopped. Ctrl-C stops it within seconds.

    Args:
        objective: called in a worker process with the configuration, a dict from the names of the search space to
            values; and with `seed=`, the trial's own, where it has a parameter of that name. Returns the metric. Inside
            of it `hposweep.report`, `target_epoch` and `checkpoint_dir` work as in a Hydra job; what it prints goes to
            `output.txt` in the trial's folder.
        search_space: by name a frozen distribution of `scipy.stats`, text as in a search space's YAML file such as
            `"int(loguniform(32, 1024))"` or `"choice(sgd, adam)"`, a dict that spells it out, or a constant.
        scheduler: such as `AshaScheduler(r_max=27)`; None: each trial gets its full budget. It is not changed.
        n_workers: processes; None: one a core.
        seed: of the configurations and of the trials' own seeds.
        metric: a name for what the objective returns.
        direction: "minimize" or "maximize".
        folder: None: a new one in `outputs/`, named by the time.
        time_budget_s: seconds after which the sweep stops and is returned as it is then.
        trial_timeout_s: running seconds after which a trial is killed, TIMED_OUT.

    Raises:
        ConfigError: if an argument does not fit, or another sweep stands in the folder.
        SweepError: if the sweep stopped early, since too many trials failed.
        KeyboardInterrupt: after Ctrl-C, once the sweep has stopped.
    """
    if not callable(objective):
        raise ConfigError(f"objective: must be a function, got {objective!r}")
    space = _search_space(search_space)
    if direction not in list(Direction):
        raise ConfigError(f"direction: must be minimize or maximize, got {direction!r}")
    n_trials = _whole("n_trials", n_trials, 1)
    n_workers = n_cores() if n_workers is None else _whole("n_workers", n_workers, 1)
    seed = _whole("seed", seed, 0, LARGEST_SEED)
    time_budget_s = _seconds("time_budget_s", time_budget_s)
    trial_timeout_s = _seconds("trial_timeout_s", trial_timeout_s)
    if scheduler is not None and not hasattr(scheduler, "next_segment"):
        raise ConfigError(f"scheduler: must be one such as AshaScheduler(r_max=27), got {scheduler!r}")
    try:
        tables.check_metric_name(metric)
    except ConfigError as error:
        raise ConfigError(f"metric: {error}") from None
    sweep_dir = _made(folder)
    pool = WorkerPool(FunctionJobs(objective, sweep_dir, metric), n_workers, (), {}, MAX_WORKER_MEMORY_MB)
    stop_signals = StopSignals()
    journal = Journal.open(sweep_dir)
    tuner = Tuner(
        searcher=RandomSearcher(space, seed),
        scheduler=FifoScheduler() if scheduler is None else copy.deepcopy(scheduler),
        journal=journal,
        workers=FunctionWorkers(pool),
        stop_request=stop_signals,
        n_trials=n_trials,
        seed=seed,
        trial_seed=lambda number, configuration: trial_seed(seed, number),
        metric=metric,
        direction=Direction(direction),
        time_budget_s=time_budget_s,
        trial_timeout_s=trial_timeout_s,
    )
    try:
        _take_up(tuner, space, sweep_dir)
        reason = COMPLETE if tuner.is_complete() else _run(tuner, pool, stop_signals, sweep_dir)
    finally:
        journal.close()
    if reason == INTERRUPTED:
        raise KeyboardInterrupt(f"stopped; the same call with folder={str(sweep_dir)!r} goes on")
    if reason == TARGET_UNHEEDED:
        reason = (
            "the scheduler compares trials at epochs, but the objective trained without knowing which: "
            "let it call hposweep.target_epoch or hposweep.report"
        )
    if reason not in (COMPLETE, TIME_BUDGET_OVER):
        raise SweepError(f"the sweep stopped early: {reason}. What there is: hposweep.load({str(sweep_dir)!r})")
    return Sweep.read(sweep_dir)


@dataclass(frozen=True)
class FunctionJobs:
    """The jobs of a sweep over a Python function."""

    objective: Objective
    sweep_dir: Path
    metric: str

    def enter(self) -> None:
        """A function needs no preparation."""

    def run(self, segment: Segment, trial: Trial, subdir: str) -> Outcome:
        """Runs one segment in its folder."""
        folder = self.sweep_dir / subdir
        folder.mkdir(parents=True, exist_ok=True)
        keywords = {"seed": trial.seed} if _takes_seed(self.objective) else {}
        started = time.monotonic()
        with running.running(RunningJob(folder, self.metric, segment.target_epoch)):
            try:
                value = run.run_in(
                    folder, lambda: self.objective(dict(trial.configuration), **keywords), knows_target=False
                )
            except Exception as error:
                running.end(folder)
                return Outcome(run.failed(folder, error, time.monotonic() - started, subdir))
        said = running.end(folder)
        return Outcome(run.returned(value, said, time.monotonic() - started, subdir))


class FunctionWorkers(PoolFutures):
    """Runs the segments of a Python function on a pool."""

    def __init__(self, pool: WorkerPool) -> None:
        super().__init__(pool)
        self.n_workers = pool.n_workers
        self._workers = pool

    def submit(self, segment: Segment, trial: Trial, timeout_s: float | None) -> Future[SegmentResult]:
        subdir = _subdir(trial)
        return self.of_job(self._workers.submit((segment, trial, subdir), timeout_s), lambda: subdir)


def _subdir(trial: Trial) -> str:
    return f"trials/{trial.number}"


def _takes_seed(objective: Objective) -> bool:
    return "seed" in inspect.signature(objective).parameters


def _whole(name: str, number: object, least: int, most: float = math.inf) -> int:
    if isinstance(number, int | np.integer) and not isinstance(number, bool) and least <= number <= most:
        return int(number)
    allowed = f"at least {least}" if math.isinf(most) else f"from {least} to {most}"
    raise ConfigError(f"{name}: must be a whole number, {allowed}, got {number!r}")


def _seconds(name: str, seconds: object) -> float | None:
    if seconds is None:
        return None
    if isinstance(seconds, int | float | np.integer | np.floating) and not isinstance(seconds, bool) and seconds > 0:
        return float(seconds)
    raise ConfigError(f"{name}: must be above 0 seconds, or None for no limit, got {seconds!r}")


def _search_space(priors: Mapping[str, object]) -> SearchSpace:
    if not isinstance(priors, Mapping):
        raise ConfigError(f"search_space: must be a dict from names to distributions, got {priors!r}")
    found: dict[str, Hyperparameter] = {}
    for key, prior in priors.items():
        if not isinstance(key, str):
            raise ConfigError(f"search_space[{key!r}]: a name must be text")
        try:
            found[key] = as_hyperparameter(prior)
        except ConfigError as error:
            raise ConfigError(f"search_space[{key!r}]: {error}") from None
    return SearchSpace(found)


def _made(folder: Path | str | None) -> Path:
    """The sweep's folder, made."""
    wanted = Path("outputs") / datetime.datetime.now().astimezone().strftime("sweep-%Y%m%d-%H%M%S")
    if folder == "":
        raise ConfigError("folder: must not be empty; None makes a new one in outputs/")
    path = wanted if folder is None else Path(folder)
    try:
        if folder is None:
            path = made_unique_folder(wanted)
        else:
            path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"folder: {path} can't be made ({error.strerror})") from None
    return path.resolve()


def _take_up(tuner: Tuner, space: SearchSpace, sweep_dir: Path) -> None:
    """Replays what the folder holds and writes what it has to hold from now on.

    Raises:
        ConfigError: if another sweep stands in the folder, or its journal is damaged.
    """
    wanted = {
        "seed": tuner.seed,
        "metric": tuner.metric,
        "direction": str(tuner.direction),
        "search_space": {key: str(prior) for key, prior in space.hyperparameters.items()},
    }
    events = list(read_events(sweep_dir))
    if events:
        recorded = read_record(sweep_dir)
        if "command" in recorded:
            raise ConfigError(
                f"folder: {sweep_dir} holds a sweep of a Hydra app ({recorded['command']}). Name another folder"
            )
        unequal = [key for key, value in wanted.items() if recorded.get(key) != value]
        if unequal:
            key = unequal[0]
            raise ConfigError(
                f"folder: {sweep_dir} holds another sweep; its {key} is {recorded.get(key)}, not {wanted[key]}. "
                "Name another folder"
            )
        tuner.replay(events)
        if tuner.n_trials < len(tuner.history.trials):
            raise ConfigError(
                f"n_trials: the sweep in {sweep_dir} has {len(tuner.history.trials)} trials already, "
                f"got {tuner.n_trials}"
            )
    record = {**wanted, "n_trials": tuner.n_trials, "scheduler": type(tuner.scheduler).__name__}
    text = yaml.safe_dump({**record, **environment.record()}, sort_keys=False, allow_unicode=True)
    write_atomically(sweep_dir / RECORD_FILE, text)


def _run(tuner: Tuner, pool: WorkerPool, stop_signals: StopSignals, sweep_dir: Path) -> str:
    """Runs the sweep and leaves its tables, also where it ends early; returns the reason for its end."""
    keeper = FolderKeeper(sweep_dir, tuner.history, final_metric=None, keeps_checkpoints=False)
    tuner.observer = keeper
    # Signals reach the main thread alone; in any other one Ctrl-C is the business of who started it.
    is_main_thread = threading.current_thread() is threading.main_thread()
    shown = progress.shown("auto", tuner.history, tuner.n_trials, lambda trial: sweep_dir / _subdir(trial))
    try:
        with stop_signals if is_main_thread else contextlib.nullcontext(), shown:
            reason = tuner.run()
    except KeyboardInterrupt:
        reason = INTERRUPTED
    finally:
        pool.stop()
        tables.write(sweep_dir, tuner.history, final_metric=None)
    keeper.end(is_complete=reason == COMPLETE)
    return reason
