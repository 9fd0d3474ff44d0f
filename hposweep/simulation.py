"""Simulated sweeps: the real tuner, searchers and schedulers in virtual time, on recorded learning curves.

A table of curves recorded from real training answers what a scheduler would have gained there, for any number of
workers, in the time that the decisions take; two test functions with a fidelity serve where none is at hand.

    table = CurveTable.load("benchmarks/curves/mlp.npz")
    sweep = simulate(table, AshaScheduler(r_max=table.n_epochs), n_trials=1000, n_workers=50)
    sweep.seconds, sweep.history.incumbent
"""

from __future__ import annotations

import datetime
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np

from hposweep.history import Event, History
from hposweep.schedulers import Scheduler
from hposweep.search_space import Choice, Configuration, SearchSpace, parse_hyperparameter, trial_seed
from hposweep.searchers import Searcher
from hposweep.searchers.random import RandomSearcher
from hposweep.sweep_folder import tables
from hposweep.sweep_folder.journal import Journal
from hposweep.trial import Segment, SegmentEnd, SegmentResult, Trial
from hposweep.tuner import Tuner
from hposweep.workers.virtual import VirtualWorkers

METRIC = "validation_error"
BEGINNING = datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)  # of virtual time, in journals


class SimulatedObjective(Protocol):
    """A simulated objective: its value after each epoch, and the duration of each epoch."""

    @property
    def search_space(self) -> SearchSpace: ...

    @property
    def n_epochs(self) -> int:
        """The full budget of a trial."""

    def value(self, configuration: Configuration, epoch: int) -> float:
        """After `epoch` epochs, counted from 1; NaN where the training has diverged by then."""

    def duration_s(self, configuration: Configuration, start_epoch: int, target_epoch: int) -> float:
        """Virtual seconds from `start_epoch` epochs trained to `target_epoch`."""


@dataclass(frozen=True)
class CurveTable:
    """Recorded learning curves. A simulated trial is a row of the table: its one hyperparameter is `row`.

    Args:
        configurations: what was trained, one a row.
        values: shape (n, n_epochs), the metric after each epoch; NaN after a divergence.
        seconds: shape (n, n_epochs), what each epoch took.
    """

    configurations: Sequence[Configuration]
    values: np.ndarray
    seconds: np.ndarray

    def __post_init__(self) -> None:
        if self.values.shape != self.seconds.shape or len(self.values) != len(self.configurations):
            raise ValueError(
                f"values {self.values.shape} and seconds {self.seconds.shape} must have a row for each of the "
                f"{len(self.configurations)} configurations"
            )

    @property
    def search_space(self) -> SearchSpace:
        return SearchSpace({"row": Choice(tuple(range(len(self.configurations))))})

    @property
    def n_epochs(self) -> int:
        return int(self.values.shape[1])

    def value(self, configuration: Configuration, epoch: int) -> float:
        return float(self.values[configuration["row"], epoch - 1])

    def duration_s(self, configuration: Configuration, start_epoch: int, target_epoch: int) -> float:
        return float(self.seconds[configuration["row"], start_epoch:target_epoch].sum())

    def save(self, path: Path) -> None:
        """Writes the table as an `.npz` file, in which nothing can be executed."""
        text = json.dumps(list(self.configurations))
        np.savez_compressed(path, configurations=np.array(text), values=self.values, seconds=self.seconds)

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Reads what `save` wrote."""
        with np.load(path, allow_pickle=False) as file:
            return cls(json.loads(str(file["configurations"])), file["values"], file["seconds"])


class AugmentedBranin:
    """Branin's function with a fidelity, minimum 0.397887 at full fidelity; an epoch takes a second.

    Wu, Toscano-Palmerin, Frazier and Wilson, "Practical Multi-fidelity Bayesian Optimization for Hyperparameter
    Tuning", UAI 2019: the fidelity, here the share of epochs trained, bends the parabola's coefficient.
    """

    n_epochs = 81

    @property
    def search_space(self) -> SearchSpace:
        return SearchSpace({key: parse_hyperparameter(f"uniform({low}, 15)") for key, low in (("x1", -5), ("x2", 0))})

    def value(self, configuration: Configuration, epoch: int) -> float:
        x1, x2 = configuration["x1"], configuration["x2"]
        bend = 5.1 / (4 * math.pi**2) - 0.1 * (1 - epoch / self.n_epochs)
        parabola = x2 - bend * x1**2 + 5 / math.pi * x1 - 6
        return float(parabola**2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x1) + 10)

    def duration_s(self, configuration: Configuration, start_epoch: int, target_epoch: int) -> float:
        return float(target_epoch - start_epoch)


class AugmentedHartmann:
    """Hartmann's six-dimensional function with a fidelity, minimum -3.32237 at full fidelity; an epoch takes a second.

    Wu et al. (as for AugmentedBranin): the fidelity lowers the first of the four weights by up to 0.1.
    """

    n_epochs = 81

    _weights = np.array([1.0, 1.2, 3.0, 3.2])
    _scales = np.array(
        [[10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14], [3, 3.5, 1.7, 10, 17, 8], [17, 8, 0.05, 10, 0.1, 14]]
    )
    _centres = 1e-4 * np.array(
        [
            [1312, 1696, 5569, 124, 8283, 5886],
            [2329, 4135, 8307, 3736, 1004, 9991],
            [2348, 1451, 3522, 2883, 3047, 6650],
            [4047, 8828, 8732, 5743, 1091, 381],
        ]
    )

    @property
    def search_space(self) -> SearchSpace:
        return SearchSpace({f"x{i}": parse_hyperparameter("uniform(0, 1)") for i in range(1, 7)})

    def value(self, configuration: Configuration, epoch: int) -> float:
        x = np.array([configuration[f"x{i}"] for i in range(1, 7)])
        weights = self._weights - np.array([0.1 * (1 - epoch / self.n_epochs), 0, 0, 0])
        return float(-weights @ np.exp(-(self._scales * (x - self._centres) ** 2).sum(axis=1)))

    def duration_s(self, configuration: Configuration, start_epoch: int, target_epoch: int) -> float:
        return float(target_epoch - start_epoch)


class EventList:
    """A journal in memory."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def append(self, *events: Event) -> None:
        self.events.extend(events)


@dataclass(frozen=True)
class SimulatedSweep:
    """The result of a simulated sweep."""

    history: History
    events: Sequence[Event]
    seconds: float  # virtual, from the first start to the last end
    busy_s: float  # virtual, of all workers together


def simulate(
    objective: SimulatedObjective,
    scheduler: Scheduler,
    *,
    n_trials: int,
    n_workers: int = 1,
    searcher: Searcher | None = None,
    seed: int = 0,
    straggling: float = 0.0,
    death_rate: float = 0.0,
    folder: Path | None = None,
    **tuner_options: Any,
) -> SimulatedSweep:
    """Runs a whole sweep in virtual time.

    Stragglers and deaths are those of the simulations in Li et al., "A System for Massively Parallel Hyperparameter
    Tuning", MLSys 2020, appendix A.1. What happens to a segment depends on the seed, its trial, its target and its
    attempt alone.

    Args:
        searcher: None: random search.
        straggling: standard deviation of z, where a segment takes 1 + |z| times as long as it should.
        death_rate: deaths of a worker in a second of its work; a segment whose worker died starts again.
        folder: gets `journal.jsonl` and the tables, as of any sweep; None: nothing is written.
        tuner_options: of `Tuner`, such as `max_retries`.
    """

    def outcome(segment: Segment, trial: Trial) -> SegmentResult:
        target = objective.n_epochs if segment.target_epoch is None else segment.target_epoch
        duration_s = objective.duration_s(trial.configuration, segment.start_epoch, target)
        if straggling or death_rate:
            chance = np.random.default_rng([seed, trial.number, target, trial.attempts])
            duration_s *= 1 + abs(chance.normal(0, straggling))
            lives_s = chance.exponential(1 / death_rate) if death_rate else math.inf
            if lives_s < duration_s:
                return SegmentResult(lives_s, failure="the worker died", end=SegmentEnd.DIED)
        return SegmentResult(duration_s, value=objective.value(trial.configuration, target))

    workers, journal = VirtualWorkers(outcome, n_workers), EventList()
    tuner = Tuner(
        searcher=searcher or RandomSearcher(objective.search_space, seed),
        scheduler=scheduler,
        journal=journal,
        workers=workers,
        n_trials=n_trials,
        seed=seed,
        trial_seed=lambda number, configuration: trial_seed(seed, number),
        metric=METRIC,
        clock=lambda: workers.now,
        date=lambda: (BEGINNING + datetime.timedelta(seconds=workers.now)).isoformat(timespec="milliseconds"),
        **tuner_options,
    )
    tuner.run()
    if folder is not None:
        write(folder, journal.events, tuner.history)
    return SimulatedSweep(tuner.history, journal.events, workers.now, workers.busy_s)


def write(folder: Path, events: Sequence[Event], history: History) -> None:
    """Writes the folder of a simulated sweep: all events with one flush to disk, and the tables."""
    folder.mkdir(parents=True, exist_ok=True)
    journal = Journal.open(folder)
    journal.append(*events)
    journal.close()
    tables.write(folder, history, final_metric=None)
