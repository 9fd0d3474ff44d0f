"""A sweep as Hydra runs it: reads the config, builds the parts of the tuner, and hands the loop over to it."""

from __future__ import annotations

import inspect
import logging
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import hydra.utils
from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

from hposweep.errors import ConfigError, nearest
from hposweep.hydra_glue import full_errors, provenance, resume, sweep_folder
from hposweep.hydra_glue.batches import BatchWorkers
from hposweep.hydra_glue.composition import TARGET_EPOCH_KEY, CachingConfigLoader
from hposweep.hydra_glue.job import as_job
from hposweep.hydra_glue.overrides import OverrideReader, ParsedOverrides, render
from hposweep.journal import FinalEnded, Journal, read_events
from hposweep.processes.stop_signals import StopSignals
from hposweep.results import progress, report_process, summary, tables
from hposweep.schedulers import Scheduler
from hposweep.search_space import Choice, Configuration, Constant, trial_seed
from hposweep.trial import Direction, NextSegment, Segment, SegmentResult, Trial
from hposweep.tuner import COMPLETE, INTERRUPTED, POLL_S, TIME_BUDGET_OVER, Tuner, Workers

log = logging.getLogger(__name__)

LARGEST_SEED = 2**32 - 1
N_SHOWN_IN_DRY_RUN = 5

EXIT_STOPPED_EARLY = 3


class HydraSweep:
    """One sweep of somebody's Hydra app."""

    def __init__(
        self,
        options: Mapping[str, Any],
        hydra_context: HydraContext,
        task_function: TaskFunction,
        config: DictConfig,
    ) -> None:
        self._options = options
        loader = CachingConfigLoader(hydra_context.config_loader)
        self._hydra_context = HydraContext(config_loader=loader, callbacks=hydra_context.callbacks)
        self._task_function = task_function
        self._config = config

    def run(self, arguments: list[str]) -> None:
        """Runs the sweep; the ways of ending early are exceptions that end the process with an exit code.

        Raises:
            SystemExit: with one line for what the user can mend, or the exit code of an early end.
        """
        try:
            exit_code = self._run(arguments)
        except ConfigError as error:
            self._end_multirun()
            raise SystemExit(f"{error}") from None
        except BaseException:
            self._end_multirun()
            raise
        if exit_code:
            self._end_multirun()
            raise SystemExit(exit_code)

    def _run(self, arguments: list[str]) -> int:
        options = self._options
        direction = self._check_options()
        parsed = self._read_overrides(arguments)
        searcher = self._build("searcher", search_space=parsed.search_space, seed=options["seed"])
        seed_of = self._seed_rule(parsed)
        first = searcher.propose(0, ())
        if first is None:
            raise ConfigError("hydra.sweeper.searcher: proposes no configuration for this search space")
        composed = self._check_composition(parsed, Trial(0, first, seed_of(0, first)))
        scheduler = self._build_scheduler(parsed, composed)
        if options["dry_run"]:
            configurations = [searcher.propose(number, ()) for number in range(self._n_shown())]
            budget = self._budget_key(composed)
            epochs = None if budget is None else int(OmegaConf.select(composed, budget))
            at_most = scheduler.next_segment(can_start_new=True) != NextSegment(None, None)
            summary.print_dry_run(parsed.search_space, configurations, options["n_trials"], epochs, at_most=at_most)
            return 0
        full_errors.composition_is_over()

        # Before the folder is made: a launcher that can't be built leaves none behind.
        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=self._hydra_context, task_function=as_job(self._task_function), config=self._config
        )
        if options["trial_timeout"] is not None and not hasattr(launcher, "local_launcher"):
            raise ConfigError(
                f"hydra.sweeper.trial_timeout: {type(launcher).__name__} can't kill a job; take hydra/launcher=hposweep"
            )
        sweep_dir = sweep_folder.claim(self._config)
        signals = StopSignals()

        def overrides_of(segment: Segment, trial: Trial) -> list[str]:
            return self._overrides(parsed, trial, segment.target_epoch)

        tuner = Tuner(
            searcher=searcher,
            scheduler=scheduler,
            journal=Journal.open(sweep_dir),
            workers=self._workers(launcher, overrides_of, signals),
            stop_request=signals,
            n_trials=options["n_trials"],
            seed=options["seed"],
            trial_seed=seed_of,
            metric=options["metric"],
            direction=direction,
            max_failure_rate=options["max_failure_rate"],
            max_retries=options["max_retries"],
            trial_timeout_s=options["trial_timeout"],
            time_budget_s=options["time_budget"],
        )
        if not self._take_up(tuner, sweep_dir, parsed):
            log.info("the sweep is finished: %d trials; more n_trials extend it", len(tuner.history.trials))
            return 0
        summary.print_search_space(parsed.search_space)
        self._warn(launcher, scheduler)
        reason = self._run_tuner(tuner, launcher, parsed, signals, sweep_dir)
        tables.write(sweep_dir, tuner.history, options["final_metric"])
        winner = tuner.history.incumbent
        command = [] if winner is None else provenance.trial_command(provenance.read(sweep_dir), winner)
        summary.print_end(sweep_dir, tuner.history, options["final_metric"], command)
        report_process.make(sweep_dir)
        if reason in (INTERRUPTED, TIME_BUDGET_OVER):
            summary.print_how_to_resume(sweep_dir)
            return signals.exit_code
        if reason != COMPLETE:
            log.error("the sweep stopped early: %s", reason)
            return EXIT_STOPPED_EARLY
        if tuner.history.n_failed == len(tuner.history.trials):
            log.error("no trial came to a result")
            return EXIT_STOPPED_EARLY
        return 0

    def _take_up(self, tuner: Tuner, sweep_dir: Path, parsed: ParsedOverrides) -> bool:
        """Replays what the folder holds and writes what it has to hold from now on; False where nothing is left to do.

        Raises:
            ConfigError: if another sweep stands in the folder, or its journal is damaged.
        """
        n_trials = self._options["n_trials"]
        record = provenance.record_of(self._config, parsed.search_space)
        events = list(read_events(sweep_dir))
        if events:
            recorded = provenance.read(sweep_dir)
            resume.check_same_sweep(recorded, record, str(self._config.hydra.sweep.dir))
            record = {**recorded, **{key: record[key] for key in ("n_trials", "overrides", "config")}}
            tuner.replay(events)
            resume.check_number_of_trials(tuner.history, n_trials)
            if tuner.is_complete() and (
                self._options["final_overrides"] is None or resume.is_final_done(tuner.history)
            ):
                return False
            log.info("resuming: %d of %d trials have ended", tuner.history.n_ended, n_trials)
        OmegaConf.save(self._config, sweep_dir / "multirun.yaml")
        provenance.write(sweep_dir, record)
        return True

    def _warn(self, launcher: Launcher, scheduler: Scheduler) -> None:
        """Says before the first trial what will not be as its user may expect."""
        if not hasattr(launcher, "local_launcher") and not isinstance(launcher, BasicLauncher):
            log.info(
                "%s takes trials in batches: each waits for its slowest trial, and what is under way is lost when "
                "it is interrupted; hydra/launcher=hposweep takes them one by one",
                type(launcher).__name__,
            )
        if self._options["n_trials"] < scheduler.n_trials_to_complete_one:
            log.warning(
                "hydra.sweeper.n_trials: %d trials may leave none COMPLETE; it takes %d until one is sure to be. "
                "More trials, a smaller r_max or a larger r_min would do",
                *(self._options["n_trials"], scheduler.n_trials_to_complete_one),
            )

    def _run_tuner(
        self, tuner: Tuner, launcher: Launcher, parsed: ParsedOverrides, signals: StopSignals, sweep_dir: Path
    ) -> str:
        """Runs the sweep, its progress shown and its files kept in order, and returns the reason for its end."""
        options = self._options
        keeper = tables.FolderKeeper(
            sweep_dir, tuner.history, options["final_metric"], keeps_checkpoints=self._keeps_checkpoints()
        )
        tuner.observer = keeper
        with signals:
            try:
                with progress.shown(
                    options["progress"], tuner.history, options["n_trials"], self._folder_of(sweep_dir)
                ):
                    reason = tuner.run()
                if reason == COMPLETE:
                    self._run_final_job(tuner, launcher, parsed, signals)
            except KeyboardInterrupt:
                reason = INTERRUPTED
            finally:
                self._stop(launcher)
        keeper.end(is_complete=reason == COMPLETE)
        return reason

    def _check_options(self) -> Direction:
        """Checks what types can't: raises a ConfigError that names the key."""
        options = self._options
        if options["n_trials"] < 1:
            raise ConfigError(f"hydra.sweeper.n_trials: must be at least 1, got {options['n_trials']}")
        if not 0 <= options["seed"] <= LARGEST_SEED:
            raise ConfigError(f"hydra.sweeper.seed: must be from 0 to {LARGEST_SEED}, got {options['seed']}")
        rate = options["max_failure_rate"]
        if not 0 <= rate <= 1:
            raise ConfigError(f"hydra.sweeper.max_failure_rate: must be from 0 to 1, got {rate}")
        size = options["max_batch_size"]
        if size is not None and size < 1:
            raise ConfigError(f"hydra.sweeper.max_batch_size: must be at least 1, or null for no limit, got {size}")
        if options["max_retries"] < 0:
            raise ConfigError(f"hydra.sweeper.max_retries: must be at least 0, got {options['max_retries']}")
        for key in ("trial_timeout", "time_budget"):
            if options[key] is not None and not options[key] > 0:
                raise ConfigError(
                    f"hydra.sweeper.{key}: must be above 0 seconds, or null for no limit, got {options[key]}"
                )
        if options["progress"] not in progress.MODES:
            allowed = ", ".join(progress.MODES)
            raise ConfigError(f"hydra.sweeper.progress: must be one of {allowed}, got {options['progress']!r}")
        if options["target_epoch"] is not None:
            raise ConfigError("hydra.sweeper.target_epoch: is set for each job by the scheduler, and not by you")
        direction = options["direction"]
        if OmegaConf.is_list(direction) or isinstance(direction, list):
            raise ConfigError(
                "hydra.sweeper.direction: one direction, minimize or maximize; a list (several objectives) is not "
                f"supported, got {list(direction)}"
            )
        if direction not in list(Direction):
            raise ConfigError(f"hydra.sweeper.direction: must be minimize or maximize, got {direction!r}")
        choices = self._config.hydra.runtime.choices
        for role in ("searcher", "scheduler"):
            long_form = choices.get(f"hydra/sweeper/{role}")
            if self._has_short_names() and long_form is not None:
                raise ConfigError(f"hydra/sweeper/{role}: here it is {role}={long_form}")
        return Direction(direction)

    def _read_overrides(self, arguments: list[str]) -> ParsedOverrides:
        reader = OverrideReader(self._hydra_context.config_loader)
        options = self._options
        return reader.read(options["search_space"], options["params"], arguments, self._has_short_names())

    def _has_short_names(self) -> bool:
        """Whether this is an app, like ours, whose own groups choose searcher and scheduler."""
        choices = self._config.hydra.runtime.choices
        return all(role in choices for role in ("searcher", "scheduler", "search_space"))

    def _build(self, role: str, **arguments: Any) -> Any:
        """The searcher or scheduler of the config, given what it needs of the sweep."""
        node = self._options[role]
        key = f"hydra.sweeper.{role}"
        if node is None or "_target_" not in node:
            raise ConfigError(f"{key}: names no _target_; choose one with {role}=NAME")
        container = OmegaConf.to_container(node, resolve=True)
        assert isinstance(container, dict)
        values = {str(name): value for name, value in container.items() if name not in arguments}
        target = hydra.utils.get_class(values.pop("_target_"))
        try:
            return target(**arguments, **values)
        except ConfigError as error:
            raise ConfigError(f"{key}.{error}") from None
        except TypeError as error:
            allowed = [name for name in inspect.signature(target).parameters if name not in arguments]
            unknown = next((name for name in values if name not in allowed), None)
            if unknown is None:
                raise
            hint = f"{nearest(unknown, allowed)}Allowed: {', '.join(allowed) or 'none'}"
            raise ConfigError(f"{key}.{unknown}: no such option of {target.__name__}{hint}") from error

    def _build_scheduler(self, parsed: ParsedOverrides, composed: DictConfig) -> Scheduler:
        """The scheduler of the config; its r_max is the full budget of a trial where nothing else is said.

        Raises:
            ConfigError: if nobody says how many epochs a complete trial has, or r_max is more than that.
        """
        node, key = self._options["scheduler"], self._budget_key(composed)
        full = None if key is None else int(OmegaConf.select(composed, key))
        if node is None or "r_max" not in node:
            scheduler: Scheduler = self._build("scheduler")
            return scheduler
        priors = parsed.search_space.hyperparameters
        searched = [
            name
            for name, prior in priors.items()
            if name.lstrip("+") in (key, self._options["budget_key"]) and not isinstance(prior, Constant)
        ]
        if searched:
            raise ConfigError(
                f"{searched[0]}: can't be searched, since the scheduler decides how long a trial trains; "
                "scheduler=fifo lets it be searched"
            )
        r_max = node["r_max"]
        if r_max is None and full is None:
            raise ConfigError(
                "hydra.sweeper.scheduler.r_max: must be given, the epochs of a complete trial; it is taken from the "
                "config where hydra.sweeper.budget_key names the key that holds them"
            )
        if key is not None and full is not None and isinstance(r_max, int) and r_max > full:
            raise ConfigError(f"hydra.sweeper.scheduler.r_max: must be at most {key} ({full}), got {r_max}")
        built: Scheduler = self._build("scheduler", **({"r_max": full} if r_max is None else {}))
        return built

    def _budget_key(self, composed: DictConfig) -> str | None:
        """The config key that holds the full budget of a trial: the one that receives its target or, where that is
        null, `max_epochs` beside it."""
        key = self._options["budget_key"]
        if key is None:
            return None
        candidates = (key, f"{key.rpartition('.')[0]}.max_epochs".lstrip("."))
        return next((each for each in candidates if OmegaConf.select(composed, each) is not None), None)

    def _seed_rule(self, parsed: ParsedOverrides) -> Callable[[int, Configuration], int]:
        """The seed of a trial's training: its own, unless the user fixes or searches the key that receives it."""
        key, sweep_seed = self._options["seed_key"], self._options["seed"]
        fixed = {override.split("=", 1)[0]: override for override in parsed.fixed}
        if key is not None and key in fixed:
            seed = int(OmegaConf.select(self._config, key))
            return lambda number, configuration: seed

        def seed_of(number: int, configuration: Configuration) -> int:
            return int(configuration[key]) if key in configuration else trial_seed(sweep_seed, number)

        return seed_of

    def _overrides(self, parsed: ParsedOverrides, trial: Trial, target_epoch: int | None) -> list[str]:
        """All overrides of a trial's job."""
        overrides = [*parsed.fixed, *render(trial.configuration)]
        seed_key, budget_key = self._options["seed_key"], self._options["budget_key"]
        taken = {override.split("=", 1)[0] for override in overrides}
        if seed_key is not None and seed_key not in taken:
            overrides.append(f"{seed_key}={trial.seed}")
        if target_epoch is not None:
            overrides += [f"{budget_key}={target_epoch}"] if budget_key is not None else []
            overrides.append(f"{TARGET_EPOCH_KEY}={target_epoch}")
        return overrides

    def _check_composition(self, parsed: ParsedOverrides, first: Trial) -> DictConfig:
        """Composes the first trial, and one for each option of a searched config group, before anything is written.

        Returns:
            The first trial's config.

        Raises:
            HydraException: if an override doesn't fit the config: Hydra leaves swept ones unchecked.
            ConfigError: what the app itself finds wrong.
        """
        loader = self._hydra_context.config_loader
        composed = loader.load_sweep_config(self._config, self._overrides(parsed, first, None))
        for key, prior in parsed.search_space.hyperparameters.items():
            if isinstance(prior, Choice) and loader.get_group_options(key.split("@")[0].lstrip("+")):
                for option in prior.options:
                    other = Trial(0, {**first.configuration, key: option}, first.seed)
                    loader.load_sweep_config(self._config, self._overrides(parsed, other, None))
        sweep_folder.check_subdir(self._config, self._options["n_trials"])
        # An app may know more of what its config must hold: ours does.
        check = getattr(self._task_function, "check_config", None)
        if check is not None:
            with open_dict(composed):
                del composed["hydra"]
            check(composed)
        return composed

    def _n_shown(self) -> int:
        return min(N_SHOWN_IN_DRY_RUN, int(self._options["n_trials"]))

    def _keeps_checkpoints(self) -> bool:
        return bool(OmegaConf.select(self._config, "trainer.keep_checkpoints", default=False))

    def _workers(
        self, launcher: Launcher, overrides_of: Callable[[Segment, Trial], list[str]], signals: StopSignals
    ) -> Workers:
        """What runs the segments: each by itself on our own launcher, in batches on any other."""
        folders = sweep_folder.JobFolders(self._hydra_context.config_loader, self._config)
        local = getattr(launcher, "local_launcher", None)
        if local is not None:
            from hposweep.hydra_glue.local_launcher import LocalWorkers

            return LocalWorkers(local, overrides_of, folders)
        return BatchWorkers(launcher, self._batch_size(launcher), overrides_of, folders, signals)

    def _folder_of(self, sweep_dir: Path) -> Callable[[Trial], Path]:
        """Where a trial that runs has its curve: known while its folder is named by its number, as by default."""
        return lambda trial: sweep_dir / sweep_folder.subdir_by_number(self._config, trial.number)

    def _stop(self, launcher: Launcher) -> None:
        local = getattr(launcher, "local_launcher", None)
        if local is not None:
            local.stop()

    def _batch_size(self, launcher: Launcher) -> int:
        """How many jobs go to the launcher at once: one where it runs them one after the other anyway."""
        size = self._options["max_batch_size"]
        if size is not None:
            return int(size)
        return 1 if isinstance(launcher, BasicLauncher) else int(self._options["n_trials"])

    def _run_final_job(
        self,
        tuner: Tuner,
        launcher: Launcher,
        parsed: ParsedOverrides,
        signals: StopSignals,
    ) -> None:
        """One more job on the winner, once."""
        final_overrides, winner = self._options["final_overrides"], tuner.history.incumbent
        if final_overrides is None or winner is None or resume.is_final_done(tuner.history):
            return

        def overrides_of(segment: Segment, trial: Trial) -> list[str]:
            # The winner's .hydra stays that of its training.
            overrides = self._overrides(parsed, trial, segment.target_epoch)
            return [*overrides, *final_overrides, "hydra.output_subdir=null"]

        workers = self._workers(launcher, overrides_of, signals)
        future = workers.submit(Segment(winner.number, winner.epoch or 0, winner.epoch), winner, None)
        while not workers.wait([future], POLL_S):
            if signals.is_made:
                raise KeyboardInterrupt
        result: SegmentResult = future.result()
        value = result.value if result.value is not None and math.isfinite(result.value) else None
        tuner.record(FinalEnded(winner.number, value, result.failure))
        if value is None:
            log.warning("%s of trial %d: failed\n%s", self._options["final_metric"], winner.number, result.failure)

    def _end_multirun(self) -> None:
        """Hydra calls this itself only where `sweep` returns."""
        callbacks = self._hydra_context.callbacks
        callbacks.on_multirun_end(config=self._config, config_name=self._config.hydra.job.config_name)
