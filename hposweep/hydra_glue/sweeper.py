"""A sweep as Hydra runs it: reads the config, builds the parts of the tuner, and hands the loop over to it."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

from hposweep.errors import ConfigError
from hposweep.history import FinalEnded, History
from hposweep.hydra_glue import resume, run_again, sweep_folder, sweeper_options
from hposweep.hydra_glue.jobs.composition import CachingConfigLoader
from hposweep.hydra_glue.jobs.overrides_of_a_job import JobOverrides
from hposweep.hydra_glue.jobs.task_function import as_job
from hposweep.hydra_glue.launchers.batches import BatchWorkers
from hposweep.hydra_glue.overrides import OverrideReader, ParsedOverrides
from hposweep.results.html import in_a_process
from hposweep.results.terminal import progress, summary
from hposweep.schedulers import Scheduler
from hposweep.search_space import Choice
from hposweep.sweep_folder import tables
from hposweep.sweep_folder.journal import Journal, read_events
from hposweep.sweep_folder.keeper import FolderKeeper
from hposweep.trial import NextSegment, Segment, SegmentResult, Trial
from hposweep.tuner import COMPLETE, INTERRUPTED, POLL_S, TIME_BUDGET_OVER, Tuner
from hposweep.workers.protocol import Workers
from hposweep.workers.stop_signals import StopSignals

log = logging.getLogger(__name__)

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
        direction = sweeper_options.check(options, self._config)
        parsed = self._read_overrides(arguments)
        searcher = sweeper_options.build(options, "searcher", search_space=parsed.search_space, seed=options["seed"])
        first = searcher.propose(0, ())
        if first is None:
            raise ConfigError("hydra.sweeper.searcher: proposes no configuration for this search space")
        overrides = JobOverrides(options, parsed, self._config)
        composed = self._check_composition(overrides, Trial(0, first, overrides.seed_of(0, first)))
        scheduler = sweeper_options.build_scheduler(options, parsed.search_space, composed)

        # Before the folder is made: a launcher that can't be built leaves none behind.
        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=self._hydra_context, task_function=as_job(self._task_function), config=self._config
        )
        if options["trial_timeout"] is not None and not hasattr(launcher, "local_launcher"):
            raise ConfigError(
                f"hydra.sweeper.trial_timeout: {type(launcher).__name__} can't kill a job; take hydra/launcher=hposweep"
            )
        if options["dry_run"]:
            configurations = [searcher.propose(number, ()) for number in range(self._n_shown())]
            epochs = sweeper_options.n_epochs(options, composed)
            at_most = scheduler.next_segment(can_start_new=True) != NextSegment(None, None)
            summary.print_dry_run(parsed.search_space, configurations, options["n_trials"], epochs, at_most=at_most)
            return 0
        sweep_dir = sweep_folder.claim(self._config)
        signals = StopSignals()
        tuner = Tuner(
            searcher=searcher,
            scheduler=scheduler,
            journal=Journal.open(sweep_dir),
            workers=self._workers(launcher, overrides.of_segment, signals),
            stop_request=signals,
            n_trials=options["n_trials"],
            seed=options["seed"],
            trial_seed=overrides.seed_of,
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
        reason = self._run_tuner(tuner, launcher, overrides, signals, sweep_dir)
        self._leave_results(tuner.history, sweep_dir)
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
        record = run_again.record_of(self._config, parsed.search_space)
        events = list(read_events(sweep_dir))
        if events:
            recorded = run_again.read(sweep_dir)
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
        run_again.write(sweep_dir, record)
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
        self, tuner: Tuner, launcher: Launcher, overrides: JobOverrides, signals: StopSignals, sweep_dir: Path
    ) -> str:
        """Runs the sweep, its progress shown and its files kept in order, and returns the reason for its end."""
        options = self._options
        keeper = FolderKeeper(
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
                    self._run_final_job(tuner, launcher, overrides, signals)
            except KeyboardInterrupt:
                reason = INTERRUPTED
            finally:
                self._stop(launcher)
        keeper.end(is_complete=reason == COMPLETE)
        return reason

    def _read_overrides(self, arguments: list[str]) -> ParsedOverrides:
        reader = OverrideReader(self._hydra_context.config_loader)
        options, short_names = self._options, sweeper_options.has_short_names(self._config)
        return reader.read(options["search_space"], options["params"], arguments, short_names)

    def _leave_results(self, history: History, sweep_dir: Path) -> None:
        """Writes tables and report, and says what came out."""
        final_metric = self._options["final_metric"]
        tables.write(sweep_dir, history, final_metric)
        command = []
        if history.incumbent is not None:
            command = run_again.trial_command(run_again.read(sweep_dir), history.incumbent)
        summary.print_end(sweep_dir, history, final_metric, command)
        in_a_process.make(sweep_dir)

    def _check_composition(self, overrides: JobOverrides, first: Trial) -> DictConfig:
        """Composes the first trial, and one for each option of a searched config group, before anything is written.

        Returns:
            The first trial's config.

        Raises:
            HydraException: if an override doesn't fit the config: Hydra leaves swept ones unchecked.
            ConfigError: what the app itself finds wrong.
        """
        loader = self._hydra_context.config_loader
        composed = loader.load_sweep_config(self._config, overrides.of_trial(first, None))
        for key, prior in overrides.parsed.search_space.hyperparameters.items():
            if isinstance(prior, Choice) and loader.get_group_options(key.split("@")[0].lstrip("+")):
                for option in prior.options:
                    other = Trial(0, {**first.configuration, key: option}, first.seed)
                    loader.load_sweep_config(self._config, overrides.of_trial(other, None))
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
            from hposweep.hydra_glue.launchers.local import LocalWorkers

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
        overrides: JobOverrides,
        signals: StopSignals,
    ) -> None:
        """One more job on the winner, once."""
        winner = tuner.history.incumbent
        if self._options["final_overrides"] is None or winner is None or resume.is_final_done(tuner.history):
            return
        workers = self._workers(launcher, overrides.of_final_job, signals)
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
