"""`hposweep.tune`: a sweep over a plain Python function, without Hydra."""

from __future__ import annotations

import copy
import datetime
import functools
import importlib
import inspect
import logging
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from hposweep import standard_streams
from hposweep.api.sweep import Sweep
from hposweep.beginnings import Extent, with_beginnings
from hposweep.conf_dir import conf_dir
from hposweep.errors import ConfigError, SweepError, nearest
from hposweep.history import Ending
from hposweep.job import run
from hposweep.job.running import RunningJob
from hposweep.results.terminal import progress, summary
from hposweep.schedulers import Scheduler
from hposweep.schedulers.fifo import FifoScheduler
from hposweep.search_space import LARGEST_SEED, Node, SearchSpace, as_hyperparameter, parse_search_space, trial_seed
from hposweep.searchers import Searcher
from hposweep.searchers.initial import read_initial
from hposweep.sweep_folder import environment, tables
from hposweep.sweep_folder.files import made_unique_folder
from hposweep.sweep_folder.journal import first_schema
from hposweep.sweep_folder.sweep_yaml import AppRecord, FunctionRecord, SweepRecord
from hposweep.sweep_folder.trial_files import TrialFiles
from hposweep.sweep_run import SweepRun
from hposweep.trial import Direction, Segment, SegmentResult, Trial
from hposweep.tuner import N_CONFIRMATIONS, Tuner
from hposweep.workers.local import main_module
from hposweep.workers.local.devices import devices_of
from hposweep.workers.local.pool import WorkerPool, checked_n_workers, n_cores
from hposweep.workers.local.worker import Outcome
from hposweep.workers.segments import PoolFutures
from hposweep.workers.stop_signals import StopSignals

log = logging.getLogger(__name__)

MAX_WORKER_MEMORY_MB = 4000.0
HEIGHT_OF_DASHBOARD = 700  # pixels, in a notebook

Objective = Callable[..., float]
SearcherFactory = Callable[[SearchSpace, int], Searcher]


def tune(
    objective: Objective,
    search_space: Mapping[str, object],
    *,
    n_trials: int | None,
    searcher: str | SearcherFactory = "random",
    scheduler: Scheduler | None = None,
    n_workers: int | None = None,
    devices: str | Sequence[int | str] | None = None,
    workers_per_device: int = 1,
    seed: int = 0,
    metric: str = "value",
    direction: str = "minimize",
    folder: Path | str | None = None,
    initial_configs: Sequence[Mapping[str, object]] | None = None,
    learn_from: Sequence[Path | str] | None = None,
    n_seeds: int = 1,
    confirm_top: int = 0,
    time_budget_s: float | None = None,
    trial_timeout_s: float | None = None,
    max_failure_rate: float = 0.5,
    max_retries: int = 2,
    dashboard: bool = False,
) -> Sweep:
    """Searches for the best configuration of an objective, in parallel processes.

        def objective(configuration):
            model = train(configuration["learning_rate"], configuration["batch_size"])
            return validation_error(model)

        sweep = hposweep.tune(
            objective,
            {"learning_rate": stats.loguniform(1e-4, 1), "batch_size": "choice(16, 32, 64)"},
            n_trials=20,
        )
        sweep.best.configuration

    An option of a choice may bring hyperparameters that exist under it alone; a configuration lacks the others:

        {"model": {"choice": {"linear": None, "forest": {"depth": "randint(2, 20)"}}}}

    The folder is that of any sweep: it outlives crashes, and the same call with the same folder goes on where the
    sweep stopped. It gets a `report.html`, too, where the extra `report` is installed. Ctrl-C stops it within seconds.

    Args:
        objective: called in a worker process with the configuration, a dict from the names of the search space to
            values; and with `seed=`, the trial's own, where it has a parameter of that name. Returns the metric. Inside
            of it `hposweep.report`, `target_epoch` and `checkpoint_dir` work as in a Hydra job; what it prints goes to
            `hposweep/output.txt` in the trial's folder.
        search_space: by name a frozen distribution of `scipy.stats`, text as in a search space's YAML file such as
            `"int(loguniform(32, 1024))"` or `"choice(sgd, adam)"`, a dict that spells it out, or a constant.
        n_trials: None: all configurations, where there are not endlessly many, as of a grid.
        searcher: the name of one in conf/searcher/, such as "random", or a function that makes one of a search space
            and a seed, such as the class itself.
        scheduler: such as `AshaScheduler(r_max=27)`; None: each trial gets its full budget. It is not changed.
        n_workers: processes; None: one a core or, with devices, as many as these have room for.
        devices: GPUs, of which each worker sees its own alone, from before it imports anything: a list such as
            `[0, 1, "MIG-63feeb45-94c6-5df1"]`, "auto" for all that there are, or None: all workers see all of them.
        workers_per_device: workers that share one; TensorFlow then takes memory as it needs it.
        seed: of the configurations and of the trials' own seeds.
        metric: a name for what the objective returns.
        direction: "minimize" or "maximize".
        folder: None: a new one in `outputs/`, named by the time.
        initial_configs: tried first; the searcher fills in what they leave open, and no other trial's draw moves.
        learn_from: folders of other sweeps over this search space, whose results the searcher is told before its first
            trial.
        n_seeds: trials of each configuration, each with a seed of its own; the searcher learns their mean, and the best
            mean wins. `n_trials` counts all of them.
        confirm_top: how many of the best configurations are run again at the end, each under four new seeds: the best
            mean of these wins, and is no luck of the seed for which it was chosen.
        time_budget_s: seconds after which the sweep stops and is returned as it is then.
        trial_timeout_s: running seconds after which a trial is killed, TIMED_OUT.
        max_failure_rate: the share of failed trials, of ten or more, above which the sweep stops.
        max_retries: how often a trial whose worker process died is started again.
        dashboard: whether a page in the browser shows the sweep while it runs. A notebook shows it below its cell, else
            its link is logged. It takes `pip install 'hposweep[dashboard]'`.

    Raises:
        ConfigError: if an argument does not fit, or another sweep stands in the folder.
        SweepError: if the sweep stopped early, since too many trials failed, or if no trial came to a result.
        KeyboardInterrupt: after Ctrl-C, once the sweep has stopped.
    """
    if not callable(objective):
        raise ConfigError(f"objective: must be a function, got {objective!r}")
    space = _search_space(search_space)
    if direction not in list(Direction):
        raise ConfigError(f"direction: must be minimize or maximize, got {direction!r}")
    n_trials = None if n_trials is None else _whole("n_trials", n_trials, 1)
    n_workers = None if n_workers is None else _whole("n_workers", n_workers, 1)
    found_devices = devices_of("", devices, workers_per_device, n_workers)
    default, n_forkservers = n_cores(), 1
    if found_devices is not None:
        default, n_forkservers = found_devices.n_slots, len(found_devices.names)
    n_workers = checked_n_workers("n_workers", n_workers, default, n_forkservers)
    seed = _whole("seed", seed, 0, LARGEST_SEED)
    time_budget_s = _seconds("time_budget_s", time_budget_s)
    trial_timeout_s = _seconds("trial_timeout_s", trial_timeout_s)
    if scheduler is not None and not hasattr(scheduler, "next_segment"):
        raise ConfigError(f"scheduler: must be one such as AshaScheduler(r_max=27), got {scheduler!r}")
    try:
        tables.check_metric_name(metric)
    except ConfigError as error:
        raise ConfigError(f"metric: {error}") from None
    if isinstance(max_failure_rate, bool) or not isinstance(max_failure_rate, int | float):
        raise ConfigError(f"max_failure_rate: must be a number from 0 to 1, got {max_failure_rate!r}")
    if not 0 <= max_failure_rate <= 1:
        raise ConfigError(f"max_failure_rate: must be from 0 to 1, got {max_failure_rate!r}")
    max_retries = _whole("max_retries", max_retries, 0)
    built_searcher = _searcher(searcher, space, seed)
    extent = Extent.of(built_searcher, space)
    n_seeds, confirm_top = _whole("n_seeds", n_seeds, 1), _whole("confirm_top", confirm_top, 0)
    n_trials = extent.checked_n_trials(n_trials, n_seeds)
    first_searcher = with_beginnings(
        built_searcher,
        space,
        seed,
        initial_configs=initial_configs,
        learn_from=learn_from,
        n_seeds=n_seeds,
        metric=metric,
        direction=Direction(direction),
    )
    built_scheduler: Scheduler = FifoScheduler() if scheduler is None else copy.deepcopy(scheduler)
    main_module.packed(objective)  # before a folder is made: it raises if the objective can't be sent to workers
    sweep_dir = _made(folder)
    stop_signals = StopSignals()
    jobs = FunctionJobs(objective, sweep_dir, metric, first_schema(sweep_dir))
    tuner_on = functools.partial(
        Tuner,
        first_searcher,
        built_scheduler,
        workers=FunctionWorkers(WorkerPool(jobs, n_workers, (), {}, MAX_WORKER_MEMORY_MB, found_devices)),
        stop_request=stop_signals,
        n_trials=n_trials,
        seed=seed,
        trial_seed=lambda number, configuration: trial_seed(seed, number),
        metric=metric,
        direction=Direction(direction),
        max_failure_rate=max_failure_rate,
        max_retries=max_retries,
        time_budget_s=time_budget_s,
        trial_timeout_s=trial_timeout_s,
        n_seeds=n_seeds,
        confirm_top=confirm_top,
    )
    record = FunctionRecord(
        seed=seed,
        metric=metric,
        direction=str(direction),
        search_space=space.records(),
        n_trials=n_trials,
        searcher=type(built_searcher).__name__,
        scheduler=type(built_scheduler).__name__,
        n_seeds=n_seeds,
        confirm_top=confirm_top,
        initial_configs=read_initial(space, initial_configs or []),
        learn_from=[str(each) for each in learn_from or ()],
        **environment.record(),
    )
    remark = extent.remark(n_trials // n_seeds)

    def before_first_trial() -> None:
        if remark:
            log.warning("%s", remark)

    sweep_run = SweepRun(
        sweep_dir,
        tuner_on,
        record,
        check_same=lambda recorded: _check_same(recorded, record, sweep_dir),
        key=str,
        n_trials=extent.n_at_most(n_trials, n_seeds) + N_CONFIRMATIONS * confirm_top,
        folder_of=_subdir,
        stop_signals=stop_signals,
        before_first_trial=before_first_trial,
        shows_dashboard=_show_dashboard if dashboard else None,
    )
    with standard_streams.usable(), progress.audible():
        outcome = sweep_run.run()
        log.info("%s", summary.end_line(outcome.history))
    if outcome.ended is not None and outcome.ended.ending is Ending.INTERRUPTED:
        raise KeyboardInterrupt(f"stopped; the same call with folder={str(sweep_dir)!r} goes on")
    if outcome.why_failed:
        raise SweepError(f"{outcome.why_failed}. What there is: hposweep.load({str(sweep_dir)!r})")
    return Sweep.read(sweep_dir)


def _show_dashboard(link: str) -> None:
    log.info("dashboard, while the sweep runs: %s", link)
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if shell is not None and hasattr(shell, "kernel"):  # a notebook's
        from IPython.display import IFrame, display

        display(IFrame(link, width="100%", height=HEIGHT_OF_DASHBOARD))  # type: ignore[no-untyped-call]


@dataclass(frozen=True)
class FunctionJobs:
    """The jobs of a sweep over a Python function."""

    objective: Objective
    sweep_dir: Path
    metric: str
    schema: int | None  # with which the sweep began; None: the current one

    def enter(self) -> None:
        """A function needs no preparation."""

    def run(self, segment: Segment, trial: Trial, subdir: str) -> Outcome:
        """Runs one segment in its folder."""
        keywords = {"seed": trial.seed} if _takes_seed(self.objective) else {}
        started = time.monotonic()
        files = TrialFiles(self.sweep_dir, subdir, self.schema)
        try:
            with run.told_as_lost():
                job = RunningJob(files, self.metric, segment.target_epoch, job_id=trial.job_id)
            value = run.run(job, lambda: self.objective(dict(trial.configuration), **keywords), trial.seed)
        except Exception as error:
            return Outcome(run.failed(files, error, time.monotonic() - started, subdir))
        return Outcome(run.returned(value, job, time.monotonic() - started, subdir))


class FunctionWorkers(PoolFutures):
    """Runs the segments of a Python function on a pool."""

    def __init__(self, pool: WorkerPool) -> None:
        super().__init__(pool)
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
    found: dict[str, Node] = {}
    for key, prior in priors.items():
        if not isinstance(key, str):
            raise ConfigError(f"search_space[{key!r}]: a name must be text")
        try:
            found |= parse_search_space({key: prior}, lambda name, node: as_hyperparameter(node), nested=False)
        except ConfigError as error:
            raise ConfigError(f"search_space[{key!r}]: {f'{error}'.removeprefix(f'{key}: ')}") from None
    try:
        return SearchSpace(found)
    except ConfigError as error:
        raise ConfigError(f"search_space: {error}") from None


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


def _check_same(recorded: SweepRecord, wanted: FunctionRecord, sweep_dir: Path) -> None:
    """Raises a ConfigError if another sweep stands in the folder."""
    if isinstance(recorded, AppRecord):
        raise ConfigError(f"folder: {sweep_dir} holds a sweep of a Hydra app ({recorded.command}). Name another folder")
    difference = next(recorded.differences(wanted), None)
    if difference is not None:
        name, there, here = difference
        raise ConfigError(
            f"folder: {sweep_dir} holds another sweep; its {name} is {there}, not {here}. Name another folder"
        )


def _searcher(searcher: str | SearcherFactory, space: SearchSpace, seed: int) -> Searcher:
    """The searcher that was named, or is made by this function."""
    if not isinstance(searcher, str):
        if not callable(searcher):
            raise ConfigError(f"searcher: must be a name or a function that makes a searcher, got {searcher!r}")
        return searcher(space, seed)
    names = sorted(path.stem for path in (conf_dir() / "searcher").glob("*.yaml"))
    if searcher not in names:
        raise ConfigError(f"searcher: no '{searcher}'{nearest(searcher, names)}Available: {', '.join(names)}")
    node = yaml.safe_load((conf_dir() / "searcher" / f"{searcher}.yaml").read_text(encoding="utf-8"))
    module, _, name = node.pop("_target_").rpartition(".")
    built: Searcher = getattr(importlib.import_module(module), name)(space, seed, **node)
    return built
