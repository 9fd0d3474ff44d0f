"""What a scheduler and a searcher gain together: the incumbent against the epochs that were trained.

    PYTHONPATH=. OMP_NUM_THREADS=1 python benchmarks/multi_fidelity.py                        # those of the report
    PYTHONPATH=. OMP_NUM_THREADS=1 python benchmarks/multi_fidelity.py --objectives tuning    # those to choose by

Simulated sweeps of one worker, over the recorded learning curves of benchmarks/curves and over Hartmann's functions
with a fidelity. Of a recorded table every configuration has a curve: the mean of those of the five nearest recorded
ones in the unit cube, weighted by the inverse squares of their distances; a diverged one has the error of chance.
`hartmann6_<bias>` is that of mf-prior-bench (after Kandasamy et al., "Multi-fidelity Bayesian Optimisation with
Continuous Approximations", ICML 2017), where the fidelity is the logarithm of the epoch: at epoch r of 81, with
s = 1 - log(r) / log(81), each of the four weights is lowered by `bias` times s, and `noise` times s times |z| is added,
z from a standard normal distribution. The presets (bias, noise) are none (0, 0), good (2.5, 2), moderate (3, 3), bad
(3.5, 4) and terrible (4, 5).

For tuning alone are the table `softmax`, Hartmann's function in three dimensions with the same biases, and closed
functions f with values from 0 to 1, to which an early epoch adds, with z and s as above: `basin` s times one less a
wrong basin, `noise` s |z| / 2, `trend` s, and `crossing` exp(-0.02 r 50^x0), such that small x0 learn slowly. By the
others nothing is to be chosen.

The incumbent is the trial with the smallest loss at the largest rung that any trial has come to. It counts with its
loss at the full budget, whether it has come there or not (`full`). The smallest loss that was seen at any rung, as in
schedulers.py, stands beside it (`seen`). The target is the median of asha+random at the end, which is 16 full budgets.
A ratio is that of the median epochs until an incumbent is at the target for the first time, to those of asha+random; a
run that never is there counts with infinity, one of asha+random with the end. Medians are over 20 seeds and one of the
values. Intervals, of 95%, are by bootstrap over the seeds.

Added after the first run: `seen`, and the table `mlp_smooth`, where weights are the inverse fourth powers; with squares
each recorded configuration is the tip of a narrow spike, which no searcher can foresee.

`--methods bohb asha_cqr` are Syne Tune's BOHB and ASHACQR (pip install syne-tune, in an environment of its own).
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import functools
import importlib.metadata
import json
import logging
import math
import platform
import time
import warnings
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from hposweep.history import SegmentEnded, SegmentStarted
from hposweep.schedulers import Scheduler
from hposweep.schedulers.asha import AshaScheduler
from hposweep.schedulers.fifo import FifoScheduler
from hposweep.schedulers.rungs import rung_levels
from hposweep.search_space import (
    Choice,
    Configuration,
    Distribution,
    SearchSpace,
    parse_hyperparameter,
    parse_search_space,
)
from hposweep.searchers import Searcher
from hposweep.searchers.bayesian import BayesianSearcher
from hposweep.searchers.random import RandomSearcher
from hposweep.searchers.tpe import TpeSearcher
from hposweep.simulation import CurveTable, simulate

HERE = Path(__file__).parent
N_FULL_BUDGETS = 16
SHARES = (1 / 8, 1 / 4, 1 / 2, 1)  # of the epochs, at which incumbents are shown
N_NEAREST = 5
ERROR_OF_CHANCE = 0.9
N_RESAMPLES = 2000
BASELINE = "asha+random"
ETA = 3
SPACES = {"mlp": "mlp", "lenet": "lenet", "softmax": "learning_rate"}  # conf/search_space, by table
PRESETS = {"none": (0, 0), "good": (2.5, 2), "moderate": (3, 3), "bad": (3.5, 4), "terrible": (4, 5)}
HARTMANN_WEIGHTS = np.array([1.0, 1.2, 3.0, 3.2])
HARTMANN_SCALES = {
    3: np.array([[3, 10, 30], [0.1, 10, 35], [3, 10, 30], [0.1, 10, 35]]),
    6: np.array(
        [[10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14], [3, 3.5, 1.7, 10, 17, 8], [17, 8, 0.05, 10, 0.1, 14]]
    ),
}
HARTMANN_CENTRES = {
    3: 1e-4 * np.array([[3689, 1170, 2673], [4699, 4387, 7470], [1091, 8732, 5547], [381, 5743, 8828]]),
    6: 1e-4
    * np.array(
        [
            [1312, 1696, 5569, 124, 8283, 5886],
            [2329, 4135, 8307, 3736, 1004, 9991],
            [2348, 1451, 3522, 2883, 3047, 6650],
            [4047, 8828, 8732, 5743, 1091, 381],
        ]
    ),
}

# Shape (n, 3): the epochs trained, the incumbent's loss at the full budget by then, and the smallest loss seen by then.
Course = np.ndarray
KINDS = {"full": 1, "seen": 2}  # columns of a course


def main() -> None:
    """Runs the methods, prints tables and writes JSON, where what is not measured anew stays."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [*OBJECTIVES, "tuning", "report"]
    parser.add_argument("--objectives", nargs="+", choices=names, default=["report"], help="by name, or a set of them")
    parser.add_argument("--methods", nargs="+", choices=[*OURS, *PEERS], default=[*OURS])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--json", type=Path, default=Path(__file__).with_suffix(".json"))
    arguments = parser.parse_args()
    sets = {"tuning": TUNING, "report": [name for name in OBJECTIVES if name not in TUNING]}
    report: dict[str, Any] = json.loads(arguments.json.read_text()) if arguments.json.exists() else {"objectives": {}}
    report |= {"protocol": __doc__, "tuning": TUNING, "shares": SHARES, "versions": report.get("versions", {})}
    report["versions"] |= versions()
    for name in dict.fromkeys(each for given in arguments.objectives for each in sets.get(given, [given])):
        rows = report["objectives"].setdefault(name, {})
        for method in arguments.methods:
            objective, begin = OBJECTIVES[name](), time.process_time()
            run = OURS.get(method) or PEERS[method]
            courses = [run(objective, seed) for seed in range(arguments.seeds)]
            found = rows[method] = {}
            for kind, column in KINDS.items():
                baseline = found if method == BASELINE else rows[BASELINE]
                target = (
                    baseline[kind]["target"] if kind in baseline else middle([each[-1, column] for each in courses])
                )
                found[kind] = figures(courses, column, target, N_FULL_BUDGETS * objective.n_epochs)
                found[kind]["ratio"] = ratio(
                    found[kind]["epochs_to_target"],
                    baseline[kind]["epochs_to_target"],
                    N_FULL_BUDGETS * objective.n_epochs,
                )
                shown = {key: each for key, each in found[kind].items() if key != "epochs_to_target"}
                print(f"{name} {method} {kind}: {shown}", flush=True)
            found["seconds"] = round(time.process_time() - begin)
            arguments.json.write_text(json.dumps(report, indent=1) + "\n")


def figures(courses: list[Course], column: int, target: float, n_epochs: int) -> dict[str, Any]:
    """The medians of the incumbents at shares of the epochs, and the epochs of each seed to the target."""
    at = np.array([[incumbent(course, column, share * n_epochs) for share in SHARES] for course in courses])
    rng = np.random.default_rng(0)
    resampled = [np.median(at[rng.integers(len(at), size=len(at))], axis=0) for _ in range(N_RESAMPLES)]
    low, high = np.quantile(resampled, (0.025, 0.975), axis=0, method="higher")
    incumbents = {"median": rounded(np.median(at, axis=0)), "low": rounded(low), "high": rounded(high)}
    epochs = [reaches(each, column, target) for each in courses]
    return {"target": target, "incumbent": incumbents, "epochs_to_target": epochs}


def ratio(epochs: list[float | None], baseline: list[float | None], end: float) -> dict[str, float | None]:
    """Of the median epochs to the target, with its interval; None where it is infinite."""
    ours = np.array([math.inf if each is None else each for each in epochs])
    theirs = np.array([end if each is None else each for each in baseline])
    rng = np.random.default_rng(0)
    resampled = [
        middle(rng.choice(ours, len(ours))) / middle(rng.choice(theirs, len(theirs))) for _ in range(N_RESAMPLES)
    ]
    low, high = np.quantile(resampled, (0.025, 0.975), method="higher")
    shown = rounded(np.array([middle(ours) / middle(theirs), low, high]))
    return dict(zip(("ratio", "low", "high"), shown, strict=True))


def incumbent(course: Course, column: int, epochs: float) -> float:
    """The incumbent's loss after so many epochs; infinite before the first result."""
    position = np.searchsorted(course[:, 0], epochs, side="right") - 1
    return float(course[position, column]) if position >= 0 else math.inf


def reaches(course: Course, column: int, target: float) -> float | None:
    """The epochs after which the incumbent is at the target for the first time; None where it never is."""
    there = np.flatnonzero(course[:, column] <= target)
    return float(course[there[0], 0]) if len(there) else None


def middle(values: Iterable[float]) -> float:
    """The median, as one of the values."""
    return float(np.quantile(list(values), 0.5, method="higher"))


def rounded(values: np.ndarray) -> list[float | None]:
    """To four digits; None for an infinite one, which JSON lacks."""
    return [float(f"{value:.4g}") if math.isfinite(value) else None for value in values]


def versions() -> dict[str, str]:
    """Of what the figures depend on."""
    found = {"python": platform.python_version()}
    for package in ("syne-tune", "numpy", "scipy"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found


class Objective(ABC):
    """A simulated objective (see `hposweep.simulation.SimulatedObjective`)."""

    n_epochs: int
    search_space: SearchSpace

    @abstractmethod
    def value(self, configuration: Configuration, epoch: int) -> float:
        """The loss after `epoch` epochs, counted from 1."""

    def duration_s(self, configuration: Configuration, start_epoch: int, target_epoch: int) -> float:
        """An epoch takes a second."""
        return float(target_epoch - start_epoch)


class Recorded(Objective):
    """The learning curves of a table, with interpolation."""

    def __init__(self, name: str, power: int = 2) -> None:
        table = CurveTable.load(HERE / "curves" / f"{name}.npz")
        node = yaml.safe_load((HERE.parent / "conf" / "search_space" / f"{SPACES[name]}.yaml").read_text())
        nodes = parse_search_space(node, lambda key, prior: parse_hyperparameter(prior), nested=True)
        self.search_space, self.n_epochs = SearchSpace(nodes), table.n_epochs
        self._points = self.search_space.to_unit_cube(table.configurations)
        self._values = np.nan_to_num(table.values, nan=ERROR_OF_CHANCE)
        self._power, self._curve = power, functools.cache(self._interpolated)

    def value(self, configuration: Configuration, epoch: int) -> float:
        return float(self._curve(tuple(configuration.items()))[epoch - 1])

    def _interpolated(self, items: tuple[tuple[str, Any], ...]) -> np.ndarray:
        squares = ((self._points - self.search_space.to_unit_cube([dict(items)])) ** 2).sum(axis=1)
        nearest = np.argsort(squares, kind="stable")[:N_NEAREST]
        weights = 1 / (squares[nearest] + 1e-6) ** (self._power / 2)
        curve: np.ndarray = weights @ self._values[nearest] / weights.sum()
        return curve


def earliness(epoch: int, n_epochs: int) -> float:
    """1 after the first epoch, 0 after the last."""
    return 1 - math.log(epoch) / math.log(n_epochs)


def noise(x: np.ndarray, epoch: int) -> float:
    """Half-normal, and always the same at a point and an epoch."""
    return abs(float(np.random.default_rng([epoch, zlib.crc32(x.tobytes())]).normal()))


class Hartmann(Objective):
    """Hartmann's function, whose early epochs are biased and noisy."""

    n_epochs = 81

    def __init__(self, dimension: int, bias: float, noise: float) -> None:
        self.dimension, self.bias, self.noise = dimension, bias, noise
        uniform = parse_hyperparameter("uniform(0, 1)")
        self.search_space = SearchSpace({f"x{i}": uniform for i in range(dimension)})

    def value(self, configuration: Configuration, epoch: int) -> float:
        x = np.array([configuration[f"x{i}"] for i in range(self.dimension)])
        share = earliness(epoch, self.n_epochs)
        scales, centres = HARTMANN_SCALES[self.dimension], HARTMANN_CENTRES[self.dimension]
        value = -(HARTMANN_WEIGHTS - self.bias * share) @ np.exp(-(scales * (x - centres) ** 2).sum(axis=1))
        return float(value + self.noise * share * noise(x, epoch))


class Closed(Objective):
    """A function of the unit cube, with values from 0 to 1, whose early epochs differ from it in one way."""

    n_epochs = 81

    def __init__(self, function: Callable[[np.ndarray], float], dimension: int, bias: str) -> None:
        self.function, self.dimension, self.bias = function, dimension, bias
        uniform = parse_hyperparameter("uniform(0, 1)")
        self.search_space = SearchSpace({f"x{i}": uniform for i in range(dimension)})
        self.scale = float(np.median([function(x) for x in np.random.default_rng(0).random((999, dimension))]))
        self.wrong = np.random.default_rng([1, dimension]).random(dimension)

    def value(self, configuration: Configuration, epoch: int) -> float:
        x = np.array([configuration[f"x{i}"] for i in range(self.dimension)])
        raw = self.function(x)
        value, share = raw / (raw + self.scale), earliness(epoch, self.n_epochs)
        if self.bias == "crossing":
            return float(value + math.exp(-epoch * 0.02 * 50 ** x[0]))
        if self.bias == "basin":
            width = 0.08 * self.dimension
            return float(value + share * (1 - math.exp(-((x - self.wrong) ** 2).sum() / width)))
        if self.bias == "noise":
            return float(value + 0.5 * share * noise(x, epoch))
        assert self.bias == "trend"
        return float(value + share)


def branin(x: np.ndarray) -> float:
    """Branin's function less its minimum, on the unit square."""
    a, b = 15 * x[0] - 5, 15 * x[1]
    parabola = b - 5.1 / (4 * math.pi**2) * a**2 + 5 / math.pi * a - 6
    return float(parabola**2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(a) + 10 - 0.397887)


def rosenbrock(x: np.ndarray) -> float:
    """Rosenbrock's function on the cube from -2 to 2."""
    y = 4 * x - 2
    return float((100 * (y[1:] - y[:-1] ** 2) ** 2 + (1 - y[:-1]) ** 2).sum())


def ellipsoid(x: np.ndarray) -> float:
    """A rotated quadratic function, a hundred times as steep along one axis as along another."""
    rng = np.random.default_rng([2, len(x)])
    axes, _ = np.linalg.qr(rng.normal(size=(len(x), len(x))))
    centre = rng.uniform(0.2, 0.8, len(x))
    return float(100 ** np.linspace(0, 1, len(x)) @ (axes @ (x - centre)) ** 2)


def our_course(
    scheduler: Callable[[int], Scheduler],
    searcher: Callable[[SearchSpace, int], Searcher],
    objective: Objective,
    seed: int,
) -> Course:
    """The course of a simulated sweep."""
    n_epochs = N_FULL_BUDGETS * objective.n_epochs
    swept = simulate(
        objective,
        scheduler(objective.n_epochs),
        n_trials=n_epochs,
        searcher=searcher(objective.search_space, seed),
        seed=seed,
        time_budget_s=n_epochs,
    )
    begun: dict[int, int] = {}
    results, epochs = [], 0
    for event in swept.events:
        if isinstance(event, SegmentStarted):
            begun[event.trial] = event.start_epoch
        elif isinstance(event, SegmentEnded) and event.value is not None:
            epoch = event.epoch or objective.n_epochs
            epochs += epoch - begun[event.trial]
            results.append((epochs, epoch, event.value, swept.history.trials[event.trial].configuration))
    return course(results, objective)


def course(results: Iterable[tuple[int, int, float, Configuration]], objective: Objective) -> Course:
    """How the incumbent came down: from the epochs of all trials, and of a result its epoch, loss and configuration."""
    rows: list[tuple[float, float, float]] = []
    best, full, seen = (0, math.inf), math.inf, math.inf  # best: minus the rung, and the loss there
    for epochs, epoch, value, configuration in results:
        if epochs > N_FULL_BUDGETS * objective.n_epochs:
            break
        if (-epoch, value) < best:
            best, full = (-epoch, value), objective.value(configuration, objective.n_epochs)
        seen = min(seen, value)
        rows.append((epochs, full, seen))
    return np.array(rows)


def syne_tune_course(baseline: str, objective: Objective, seed: int) -> Course:
    """The course of one of Syne Tune's methods, which stops trials and resumes none."""
    from syne_tune.backend.trial_status import Trial
    from syne_tune.optimizer import baselines

    scheduler = getattr(baselines, baseline)(
        {key: syne_tune_prior(prior) for key, prior in objective.search_space.hyperparameters.items()},
        metric="value",
        time_attr="epoch",
        max_t=objective.n_epochs,
        random_seed=seed,
    )
    levels, results, epochs, number = rung_levels(1, objective.n_epochs, ETA), [], 0, 0
    while epochs < N_FULL_BUDGETS * objective.n_epochs:
        configuration = scheduler.suggest().config
        trial = Trial(number, configuration, datetime.datetime(2000, 1, 1))
        scheduler.on_trial_add(trial)
        number += 1
        for epoch in range(1, objective.n_epochs + 1):
            value, epochs = objective.value(configuration, epoch), epochs + 1
            if epoch in levels:
                results.append((epochs, epoch, value, configuration))
            if scheduler.on_trial_result(trial, {"value": value, "epoch": epoch}) != "CONTINUE":
                break
        else:
            scheduler.on_trial_complete(trial, {"value": value, "epoch": objective.n_epochs})
    return course(results, objective)


def syne_tune_prior(prior: Any) -> Any:
    """The prior in Syne Tune's words."""
    from syne_tune import config_space

    if isinstance(prior, Choice):
        return config_space.choice(list(prior.options))
    assert isinstance(prior, Distribution)
    if prior.integer:
        kind = config_space.lograndint if prior.is_log else config_space.randint
        return kind(int(prior.lower), int(prior.upper))
    return (config_space.loguniform if prior.is_log else config_space.uniform)(prior.lower, prior.upper)


OBJECTIVES: dict[str, Callable[[], Any]] = {name: functools.partial(Recorded, name) for name in SPACES}
OBJECTIVES["mlp_smooth"] = functools.partial(Recorded, "mlp", power=4)
OBJECTIVES |= {
    f"hartmann{dimension}_{name}": functools.partial(Hartmann, dimension, *preset)
    for dimension in (3, 6)
    for name, preset in PRESETS.items()
}
CLOSED: dict[str, Callable[[], Any]] = {
    f"{function.__name__}{dimension}_{bias}": functools.partial(Closed, function, dimension, bias)
    for function, dimension, biases in (
        (branin, 2, ("basin",)),
        (rosenbrock, 4, ("noise", "trend")),
        (ellipsoid, 5, ("basin", "crossing")),
        (ellipsoid, 6, ("noise",)),
    )
    for bias in biases
}
OBJECTIVES |= CLOSED
TUNING = ["softmax", *(f"hartmann3_{name}" for name in PRESETS), *CLOSED]
OURS: dict[str, Callable[[Any, int], Course]] = {
    f"{scheduler_name}+{searcher_name}": functools.partial(our_course, scheduler, searcher)
    for scheduler_name, searcher_name, scheduler, searcher in (
        ("asha", "random", AshaScheduler, RandomSearcher),
        ("asha", "tpe", AshaScheduler, TpeSearcher),
        ("asha", "bayesian", AshaScheduler, BayesianSearcher),
        ("fifo", "random", lambda r_max: FifoScheduler(), RandomSearcher),
        ("fifo", "bayesian", lambda r_max: FifoScheduler(), BayesianSearcher),
    )
}
PEERS: dict[str, Callable[[Any, int], Course]] = {
    "bohb": functools.partial(syne_tune_course, "BOHB"),
    "asha_cqr": functools.partial(syne_tune_course, "ASHACQR"),
}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    main()
