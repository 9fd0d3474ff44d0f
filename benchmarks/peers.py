"""Optuna's pruners on the recorded tables, in the virtual time of our simulations; needs `pip install optuna`.

Optuna's successive halving is of the kind that stops trials and never takes one up again (its documentation cites Li
et al. 2018); as with ours, eta is 3, the first rung is at one epoch and the last at the table's last.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable

import numpy as np
import optuna

from hposweep.simulation import CurveTable

optuna.logging.set_verbosity(optuna.logging.WARNING)
PRUNERS: dict[str, Callable[[int], optuna.pruners.BasePruner]] = {
    "Optuna, successive halving": lambda r_max: optuna.pruners.SuccessiveHalvingPruner(
        min_resource=1, reduction_factor=3, min_early_stopping_rate=0
    ),
    "Optuna, Hyperband": lambda r_max: optuna.pruners.HyperbandPruner(
        min_resource=1, max_resource=r_max, reduction_factor=3
    ),
}


def run_optuna(
    build: Callable[[int], optuna.pruners.BasePruner],
    table: CurveTable,
    n_trials: int,
    n_workers: int,
    seed: int,
    budget: float = np.inf,
) -> np.ndarray:
    """The course of one sweep: shape (n, 3), epochs used, seconds, and the incumbent's value by then.

    Every worker reports after each epoch and asks whether to prune; the reports of all workers come in the order of
    their virtual times. It ends when the epochs of 64 full trials are used, or after `n_trials`.
    """
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed), pruner=build(table.n_epochs))
    epochs, best, n_begun, rows = 0, np.inf, 0, []
    queue: list[tuple[float, int, optuna.Trial, int, int]] = []  # when the epoch ends, trial, its row, its epoch

    def begin(now: float) -> None:
        nonlocal n_begun
        if n_begun < n_trials:
            trial = study.ask()
            row = trial.suggest_int("row", 0, len(table.configurations) - 1)
            heapq.heappush(queue, (now + table.seconds[row, 0], n_begun, trial, row, 1))
            n_begun += 1

    for _ in range(n_workers):
        begin(0.0)
    while queue and epochs < budget:
        now, number, trial, row, epoch = heapq.heappop(queue)
        value = float(table.values[row, epoch - 1])
        epochs += 1
        trial.report(value, epoch)
        best = min(best, value) if np.isfinite(value) else best
        if epoch == table.n_epochs or not np.isfinite(value):
            study.tell(trial, value if np.isfinite(value) else 1.0)
        elif trial.should_prune():
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        else:
            heapq.heappush(queue, (now + table.seconds[row, epoch], number, trial, row, epoch + 1))
            rows.append((epochs, now, best))
            continue
        rows.append((epochs, now, best))
        begin(now)
    return np.array(rows)
