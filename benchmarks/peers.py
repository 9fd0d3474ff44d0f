"""Other tools' schedulers on the recorded tables, in the virtual time of our simulations.

Optuna's SuccessiveHalvingPruner and HyperbandPruner, and Syne Tune's ASHA (pip install optuna syne-tune). All of them
stop trials and never resume one. As with ours, eta is 3, the first rung is at one epoch, and the last at the table's
last epoch.
"""

from __future__ import annotations

import datetime
import heapq
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from hposweep.schedulers.rungs import rung_levels
from hposweep.simulation import CurveTable


class Peer(Protocol):
    """A tool that gives trials and says after each epoch whether the trial goes on."""

    def begin(self) -> tuple[Any, int]:
        """A new trial, in the tool's words, and its row of the table."""

    def goes_on(self, trial: Any, epoch: int, value: float) -> bool:
        """Reports an epoch; whether the next one is to be trained."""


class OptunaPeer:
    """A study with random search and one of the pruners."""

    def __init__(self, pruner: Callable[[int], Any], table: CurveTable, seed: int) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.states = optuna.trial.TrialState
        self.study = optuna.create_study(
            sampler=optuna.samplers.RandomSampler(seed=seed), pruner=pruner(table.n_epochs)
        )
        self.n_rows, self.n_epochs = len(table.configurations), table.n_epochs

    def begin(self) -> tuple[Any, int]:
        trial = self.study.ask()
        return trial, trial.suggest_int("row", 0, self.n_rows - 1)

    def goes_on(self, trial: Any, epoch: int, value: float) -> bool:
        trial.report(value, epoch)
        if not np.isfinite(value):
            self.study.tell(trial, state=self.states.FAIL)
            return False
        if epoch == self.n_epochs:
            self.study.tell(trial, value)
            return False
        if trial.should_prune():
            self.study.tell(trial, state=self.states.PRUNED)
            return False
        return True


class SyneTunePeer:
    """Its ASHA baseline, with random search."""

    def __init__(self, table: CurveTable, seed: int) -> None:
        from syne_tune.config_space import randint
        from syne_tune.optimizer.baselines import ASHA

        self.scheduler = ASHA(
            {"row": randint(0, len(table.configurations) - 1)},
            metric="value",
            time_attr="epoch",
            max_t=table.n_epochs,
            random_seed=seed,
        )
        self.n_begun = 0

    def begin(self) -> tuple[Any, int]:
        from syne_tune.backend.trial_status import Trial

        config = self.scheduler.suggest().config
        trial = Trial(self.n_begun, config, datetime.datetime(2000, 1, 1))
        self.scheduler.on_trial_add(trial)
        self.n_begun += 1
        return trial, int(config["row"])

    def goes_on(self, trial: Any, epoch: int, value: float) -> bool:
        worst = 1.0 if not np.isfinite(value) else value
        return self.scheduler.on_trial_result(trial, {"value": worst, "epoch": epoch}) == "CONTINUE" and worst < 1


def _successive_halving(r_max: int) -> Any:
    import optuna

    return optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=3, min_early_stopping_rate=0)


def _hyperband(r_max: int) -> Any:
    import optuna

    return optuna.pruners.HyperbandPruner(min_resource=1, max_resource=r_max, reduction_factor=3)


PEERS: dict[str, Callable[[CurveTable, int], Peer]] = {
    "Optuna, successive halving": lambda table, seed: OptunaPeer(_successive_halving, table, seed),
    "Optuna, Hyperband": lambda table, seed: OptunaPeer(_hyperband, table, seed),
    "Syne Tune, ASHA": SyneTunePeer,
}


def run_peer(
    build: Callable[[CurveTable, int], Peer],
    table: CurveTable,
    n_trials: int,
    n_workers: int,
    seed: int,
    budget: float = np.inf,
) -> np.ndarray:
    """The course of one sweep: shape (n, 3), epochs used, seconds, and the incumbent's value by then.

    Every worker reports after each epoch and asks whether to go on; the reports of all workers come in the order of
    their virtual times. It ends when `budget` epochs are used, or after `n_trials`.
    """
    peer, levels = build(table, seed), rung_levels(1, table.n_epochs, 3)
    epochs, best, n_begun, rows = 0, np.inf, 0, []
    queue: list[tuple[float, int, Any, int, int]] = []  # when the epoch ends, number, trial, its row, its epoch

    def begin(now: float) -> None:
        nonlocal n_begun
        if n_begun < n_trials:
            trial, row = peer.begin()
            heapq.heappush(queue, (now + table.seconds[row, 0], n_begun, trial, row, 1))
            n_begun += 1

    for _ in range(n_workers):
        begin(0.0)
    while queue and epochs < budget:
        now, number, trial, row, epoch = heapq.heappop(queue)
        value = float(table.values[row, epoch - 1])
        epochs += 1
        if epoch in levels and np.isfinite(value):
            best = min(best, value)
        rows.append((epochs, now, best))
        if peer.goes_on(trial, epoch, value) and epoch < table.n_epochs:
            heapq.heappush(queue, (now + table.seconds[row, epoch], number, trial, row, epoch + 1))
        else:
            begin(now)
    return np.array(rows)
