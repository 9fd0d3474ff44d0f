"""A sweep as Hydra runs it: reads the config, builds the parts of the tuner, and hands the run over to `SweepRun`."""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from hposweep import standard_streams
from hposweep.beginnings import Extent
from hposweep.errors import ConfigError
from hposweep.first_seconds import EXIT_INTERRUPTED
from hposweep.history import Ending
from hposweep.hydra_glue import run_again, sweep_folder, sweeper_options
from hposweep.hydra_glue.jobs.composition import CachingConfigLoader
from hposweep.hydra_glue.jobs.overrides_of_a_job import JobOverrides
from hposweep.hydra_glue.jobs.task_function import JobFunction
from hposweep.hydra_glue.launchers.batches import BatchWorkers
from hposweep.hydra_glue.launchers.segments import SegmentJobs, SegmentLauncher
from hposweep.hydra_glue.overrides import OverrideReader, ParsedOverrides
from hposweep.hydra_glue.own_spaces import OwnSpaces
from hposweep.hydra_glue.same_sweep import check_same_sweep
from hposweep.results.terminal import summary
from hposweep.schedulers import Scheduler
from hposweep.search_space import Choice, Configuration, SearchSpace
from hposweep.search_space.dimensions import bare
from hposweep.searchers import Exhausted, Searcher, Wait
from hposweep.shown_text import plural
from hposweep.sweep_folder.files import write_atomically
from hposweep.sweep_folder.journal import first_schema
from hposweep.sweep_run import LastJob, Outcome, SweepRun
from hposweep.trial import Segment, StartTrial, Trial
from hposweep.tuner import N_CONFIRMATIONS, STOPPED_BY_THE_USER, Tuner
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
        self._signals = StopSignals()

    def run(self, arguments: list[str]) -> None:
        """Runs the sweep; the ways of ending early are exceptions that end the process with an exit code.

        Raises:
            SystemExit: with one line for what the user can mend, or the exit code of an early end.
        """
        with standard_streams.usable():
            try:
                self._run_to_its_end(arguments)
            except SystemExit as end:
                # In another thread than the main one nobody would hear of it.
                if threading.current_thread() is not threading.main_thread() and isinstance(end.code, str):
                    log.error("%s", end.code)
                raise

    def _run_to_its_end(self, arguments: list[str]) -> None:
        try:
            exit_code = self._run(arguments)
        except ConfigError as error:
            self._end_multirun()
            raise SystemExit(f"{error}") from None
        except KeyboardInterrupt:  # before the first trial, or after the last one: the tuner heeds signals itself
            self._end_multirun()
            raise SystemExit(self._signals.exit_code or EXIT_INTERRUPTED) from None
        except BaseException:
            self._end_multirun()
            raise
        if exit_code:
            self._end_multirun()
            raise SystemExit(exit_code)

    def _run(self, arguments: list[str]) -> int:
        options = self._settle_options()
        is_new = sweep_folder.settle(self._config)
        direction = sweeper_options.check(options, self._config)
        parsed = self._read_overrides(arguments)
        searcher, extent = sweeper_options.build_searcher(options, parsed.search_space, direction)
        options = self._options = {**options, "n_trials": sweeper_options.n_trials(options, extent)}
        overrides = JobOverrides(options, parsed, self._config)
        overrides.check_seeds()
        composed = self._check_composition(overrides)
        scheduler = sweeper_options.build_scheduler(options, parsed.search_space, composed)
        # Before the folder is made: a launcher that can't be built leaves none behind.
        self._job_function = JobFunction(self._task_function, first_schema(Path(str(self._config.hydra.sweep.dir))))
        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=self._hydra_context, task_function=self._job_function, config=self._config
        )
        if not isinstance(launcher, SegmentLauncher):
            sweep_folder.check_name_for_hydra(self._config)
        folders = sweep_folder.JobFolders(self._hydra_context.config_loader, self._config)
        workers_for = functools.partial(self._workers, launcher, folders)
        workers = workers_for(overrides.of_segment)
        if options["trial_timeout"] is not None and not workers.can_kill:
            raise ConfigError(
                f"hydra.sweeper.trial_timeout: {type(launcher).__name__} can't kill a job; take hydra/launcher=hposweep"
            )
        if options["dry_run"]:
            self._print_dry_run(parsed, searcher, extent, scheduler, composed)
            return 0
        sweep_dir = sweep_folder.claim(self._config, is_new=is_new)
        tuner_on = functools.partial(
            Tuner,
            searcher,
            scheduler,
            workers=workers,
            stop_request=self._signals,
            n_trials=options["n_trials"],
            seed=options["seed"],
            trial_seed=overrides.seed_of,
            metric=options["metric"],
            direction=direction,
            max_failure_rate=options["max_failure_rate"],
            max_retries=options["max_retries"],
            trial_timeout_s=options["trial_timeout"],
            time_budget_s=options["time_budget"],
            n_seeds=options["n_seeds"],
            confirm_top=options["confirm_top"],
        )
        record = run_again.record_of(self._config, parsed.search_space, self._data_fingerprint(composed))

        def before_first_trial() -> None:
            write_atomically(sweep_dir / run_again.MULTIRUN_FILE, OmegaConf.to_yaml(self._config))
            summary.print_search_space(parsed.search_space, extent.remark(options["n_trials"] // options["n_seeds"]))
            self._warn(launcher, scheduler)

        final = options["final_overrides"]
        outcome = SweepRun(
            sweep_dir,
            tuner_on,
            record,
            check_same=lambda recorded: check_same_sweep(recorded, record, sweep_dir),
            key="hydra.sweeper.{}".format,
            n_trials=self._n_trials_at_most(extent),
            folder_of=lambda trial: folders.subdir(trial.number, overrides.of_trial(trial, trial.target_epoch)),
            recovered=lambda: run_again.from_multirun(sweep_dir, self._search_space_of),
            stop_signals=self._signals,
            progress=options["progress"],
            shows_dashboard=summary.print_dashboard if options["dashboard"] else None,
            final=None if final is None else LastJob(options["final_metric"], workers_for(overrides.of_final_job)),
            keeps_checkpoints=bool(OmegaConf.select(self._config, "trainer.keep_checkpoints", default=False)),
            is_watched=isinstance(launcher, SegmentLauncher) and launcher.is_watched,
            before_first_trial=before_first_trial,
        ).run()
        return self._told(outcome, sweep_dir)

    def _settle_options(self) -> Mapping[str, Any]:
        """The options, with those that an app derives from its own config: ours does, of its metric."""
        settle = getattr(self._task_function, "settled_options", None)
        if settle is not None:
            changed = settle(self._config)
            self._options = {**self._options, **changed}
            for name, value in changed.items():
                OmegaConf.update(self._config, f"hydra.sweeper.{name}", value)
                # The configs of trials are composed anew, from the overrides.
                self._config.hydra.overrides.hydra.append(f"hydra.sweeper.{name}={'null' if value is None else value}")
        return self._options

    def _data_fingerprint(self, composed: DictConfig) -> str | None:
        """What tells whether the data are the same, where an app knows it: ours does."""
        of_app = getattr(self._task_function, "data_fingerprint", None)
        return None if of_app is None else of_app(composed)

    def _told(self, outcome: Outcome, sweep_dir: Path) -> int:
        """Says what came out, and returns the exit code."""
        if outcome.ended is None:
            return 0
        winner = outcome.history.incumbent
        command = [] if winner is None else run_again.shown_command(run_again.read(sweep_dir), winner)
        summary.print_end(sweep_dir, outcome.history, self._options["final_metric"], command)
        summary.print_report(outcome.report)
        if outcome.ended.ending in STOPPED_BY_THE_USER:
            summary.print_how_to_resume(sweep_dir)
            return self._signals.exit_code
        if outcome.why_failed:
            log.error("%s%s", outcome.why_failed, self._remedy(outcome.ended.ending))
            return EXIT_STOPPED_EARLY
        return 0

    def _remedy(self, ending: Ending) -> str:
        """What this front can do about an early end besides."""
        if ending is not Ending.TARGET_UNHEEDED:
            return ""
        return (
            ", or name the config key that gives it its epochs in hydra.sweeper.budget_key; "
            "scheduler=fifo takes any objective"
        )

    def _warn(self, launcher: Launcher, scheduler: Scheduler) -> None:
        """Warns before the first trial about what a user may not expect."""
        if not isinstance(launcher, SegmentLauncher | BasicLauncher):
            log.info(
                "%s takes trials in batches: each waits for its slowest trial, and what is under way is lost when "
                "it is interrupted; hydra/launcher=hposweep takes them one by one",
                type(launcher).__name__,
            )
        if self._options["n_trials"] < scheduler.n_trials_to_complete_one:
            log.warning(
                "hydra.sweeper.n_trials: %s may leave none COMPLETE; it takes %d until one is sure to be. "
                "More trials, a smaller r_max or a larger r_min would do",
                *(plural(self._options["n_trials"], "trial"), scheduler.n_trials_to_complete_one),
            )

    def _print_dry_run(
        self,
        parsed: ParsedOverrides,
        searcher: Searcher,
        extent: Extent,
        scheduler: Scheduler,
        composed: DictConfig,
    ) -> None:
        n_trials = int(self._options["n_trials"])
        configurations: list[Configuration] = []
        for number in range(min(N_SHOWN_IN_DRY_RUN, n_trials)):
            proposal = searcher.propose(number, ())
            if isinstance(proposal, Wait | Exhausted):
                break
            searcher.start(Trial(number, proposal, seed=0))
            configurations.append(proposal)
        epochs = sweeper_options.n_epochs(self._options, composed)
        at_most = scheduler.next_segment(can_start_new=True) != StartTrial(None)
        remark = extent.remark(n_trials // int(self._options["n_seeds"]))
        in_all = self._n_trials_at_most(extent)
        summary.print_dry_run(parsed.search_space, configurations, remark, in_all, epochs, at_most=at_most)

    def _n_trials_at_most(self, extent: Extent) -> int:
        """How many trials there will be at most, those that confirm the best among them."""
        options = self._options
        n_confirmations = N_CONFIRMATIONS * int(options["confirm_top"])
        return extent.n_at_most(int(options["n_trials"]), int(options["n_seeds"])) + n_confirmations

    def _read_overrides(self, arguments: list[str]) -> ParsedOverrides:
        return self._read(self._config.hydra.sweeper, arguments)

    def _search_space_of(self, config: DictConfig) -> SearchSpace:
        """The search space of a sweep that was started with this config."""
        return self._read(config.hydra.sweeper, list(config.hydra.overrides.task)).search_space

    def _read(self, sweeper: DictConfig, arguments: list[str]) -> ParsedOverrides:
        reader = OverrideReader(self._hydra_context.config_loader)
        # Of the config: in the options, which Hydra has resolved, a text that was escaped is an interpolation again.
        short_names = sweeper_options.has_short_names(self._config)
        folder = sweeper.get("own_spaces")
        own_spaces = None if folder is None else OwnSpaces(self._hydra_context.config_loader, folder, self._config)
        return reader.read(sweeper.search_space, sweeper.params, arguments, short_names, own_spaces)

    def _check_composition(self, overrides: JobOverrides) -> DictConfig:
        """Composes a trial, and one for each option of a searched config group, before anything is written.

        Returns:
            A trial's config.

        Raises:
            HydraException: if an override doesn't fit the config: Hydra leaves swept ones unchecked.
            ConfigError: what the app itself finds wrong.
        """
        loader, search_space = self._hydra_context.config_loader, overrides.parsed.search_space
        point = next(search_space.points(self._options["seed"], 0))
        drawn = search_space.from_unit_cube(point[np.newaxis])[0]
        first = Trial(0, drawn, overrides.seed_of(0, drawn))
        composed = loader.load_sweep_config(self._config, overrides.of_trial(first, None))
        of_options = []
        for dimension, prior in ((each, each.prior) for each in search_space.columns):
            is_group = loader.get_group_options(bare(dimension.key).split("@")[0])
            if isinstance(prior, Choice) and (is_group or search_space.has_branches(dimension)):
                for option in prior.options:
                    configuration = search_space.with_option(point, dimension, option)
                    other = Trial(0, configuration, overrides.seed_of(0, configuration))
                    of_options.append(loader.load_sweep_config(self._config, overrides.of_trial(other, None)))
        sweep_folder.check_subdir(self._config, composed, self._options["n_trials"])
        # An app may know more of what its config must hold: ours does.
        check = getattr(self._task_function, "check_config", None)
        if check is not None:
            check(composed, of_options)
        return composed

    def _workers(
        self,
        launcher: Launcher,
        folders: sweep_folder.JobFolders,
        overrides_of: Callable[[Segment, Trial], list[str]],
    ) -> Workers:
        """What runs the segments: each by itself on our own launcher, in batches on any other."""
        jobs = SegmentJobs(overrides_of, folders)
        if isinstance(launcher, SegmentLauncher):
            return launcher.workers(jobs)
        return BatchWorkers(launcher, self._batch_size(launcher), jobs, self._job_function.result, self._signals)

    def _batch_size(self, launcher: Launcher) -> int:
        """How many jobs go to the launcher at once: one where it runs them one after the other anyway."""
        size = self._options["max_batch_size"]
        if size is not None:
            return int(size)
        return 1 if isinstance(launcher, BasicLauncher) else int(self._options["n_trials"])

    def _end_multirun(self) -> None:
        """Hydra calls this itself only where `sweep` returns."""
        callbacks = self._hydra_context.callbacks
        callbacks.on_multirun_end(config=self._config, config_name=self._config.hydra.job.config_name)
