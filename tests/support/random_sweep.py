"""A random search in virtual time, and the folder that it leaves."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hposweep.results.html import in_a_process
from hposweep.results.html.in_a_process import Report
from hposweep.schedulers.fifo import FifoScheduler
from hposweep.search_space import SearchSpace, trial_seed
from hposweep.searchers.random import RandomSearcher
from hposweep.sweep_folder.sweep_yaml import FunctionRecord
from hposweep.sweep_run import SweepRun
from hposweep.trial import Segment, SegmentResult, Trial
from hposweep.tuner import EventLog, Tuner
from hposweep.workers.stop_signals import StopSignals
from hposweep.workers.virtual import VirtualWorkers


@contextmanager
def swept(space: SearchSpace, seed: int, n_trials: int) -> Iterator[Path]:
    """The folder of a sweep over this space."""
    with tempfile.TemporaryDirectory() as name:
        sweep_dir = Path(name) / "swept"
        sweep_dir.mkdir()

        def tuner_on(journal: EventLog) -> Tuner:
            def job(segment: Segment, trial: Trial) -> SegmentResult:
                return SegmentResult(1.0, float(len(trial.configuration)), folder=f"{trial.number}")

            return Tuner(
                RandomSearcher(space, seed),
                FifoScheduler(),
                journal,
                VirtualWorkers(job),
                n_trials=n_trials,
                seed=seed,
                trial_seed=lambda number, configuration: trial_seed(seed, number),
            )

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(in_a_process, "make", Report)
            SweepRun(
                sweep_dir,
                tuner_on,
                FunctionRecord(seed=seed, n_trials=n_trials, search_space=space.records(), metric="value"),
                check_same=lambda recorded: None,
                key=str,
                n_trials=n_trials,
                folder_of=lambda trial: f"{trial.number}",
                stop_signals=StopSignals(),
                progress="none",
            ).run()
        yield sweep_dir
