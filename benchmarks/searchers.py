"""The quality of searchers on functions that others wrote: COCO's bbob and bbob-mixint, in 5 dimensions.

    pip install coco-experiment optuna cmaes scipy        # in an environment of its own
    PYTHONPATH=. OMP_NUM_THREADS=1 python benchmarks/searchers.py --seeds 3 --instances 6 --out tuning.json
    PYTHONPATH=. OMP_NUM_THREADS=1 python benchmarks/searchers.py --seeds 3 --instances 6 --workers 8 --out tuning.json

Hansen et al., "COCO: A Platform for Comparing Continuous Optimizers in a Black-Box Setting", 2021; Tušar, Brockhoff and
Hansen, "Mixed-Integer Benchmark Problems for Single- and Bi-Objective Optimization", GECCO 2019. Instances 1 to 5 are
for reporting alone: nothing is to be chosen by them; 6 to 10 are for tuning.

A run is 100 evaluations, one after the other. Its regret after n of them is the smallest value so far minus the value
at the optimum, but at least 1e-3: where coordinates are whole numbers, runs that find the optimum itself would else
decide every geometric mean. A searcher's figure is its regret relative to random search's: the geometric mean over runs
and then over functions. The intervals, of 95%, are by bootstrap over functions and over the runs of each, the same ones
for the searcher and for random search. Every searcher sees the unit cube, in which COCO's bounds are 0 and 1; whole
numbers are whole numbers.

How fast a searcher is: on each function, the first evaluation at which its median regret, over runs, is at most random
search's after 100; 101 where it never is. The figure is the median over functions, since a mean would depend on what
stands for never.

With `--workers` each run is made a second time, by that many asynchronous workers in virtual time: evaluation i takes
as long with every searcher, lognormal with a standard deviation of 0.5 of the logarithm, and a searcher is asked
whenever a worker is free, with the others' evaluations pending. The figure is the regret at the end relative to that
with one worker, the geometric mean as above.

More peers: optuna_gp (needs torch), smac (smac), skopt (scikit-optimize), and hebo, in an environment of its own (HEBO
0.3.6, see bayesmark/run.py). They take 0.1 s to seconds for a proposal, so all searchers are compared with them on
a part: `--functions` bbob:1, 6, 8, 15, 21 and bbob-mixint:1, 8, 15, `--instances` 1 2; HEBO, with minutes for a run, on
none of them but Bayesmark's. The last three know nothing of pending evaluations, and have one worker.
"""

from __future__ import annotations

import argparse
import contextlib
import heapq
import importlib
import importlib.metadata
import json
import platform
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hposweep.search_space import SearchSpace, parse_hyperparameter
from hposweep.trial import Trial

DIMENSION = 5
N_EVALUATIONS = 100
CHECKPOINTS = (30, 60, 100)
SMALLEST_REGRET = 1e-3
N_RESAMPLES = 2000
BASELINE = "random"
SPREAD_OF_DURATIONS = 0.5  # standard deviation of their logarithm
FUNCTIONS = [f"bbob:{n}" for n in (1, 3, 6, 8, 10, 13, 15, 17, 20, 21, 23)]
FUNCTIONS += [f"bbob-mixint:{n}" for n in (1, 3, 8, 15, 17, 21)]

Point = list[float | int]  # of coordinates in [0, 1], or whole numbers from 0
Ask = Callable[[], Point]
Tell = Callable[[int, float], None]  # of which point, from 0 in the order of asking, and its value
SearcherMaker = Callable[[Sequence[int | None], int], tuple[Ask, Tell]]


def main() -> None:
    """Runs the searchers on the functions, prints the table and writes JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--functions", nargs="+", default=FUNCTIONS, help="suite:number")
    parser.add_argument("--instances", nargs="+", type=int, default=[1, 2, 3, 4, 5])
    parser.add_argument("--seeds", type=int, default=1, help="runs on each instance")
    parser.add_argument("--searchers", nargs="+", default=["bayesian", "optuna_tpe", "cma_es"], help="random is added")
    parser.add_argument("--workers", type=int, default=1, help="more than 1: runs with that many, too")
    parser.add_argument("--out", type=Path, help="JSON file")
    arguments = parser.parse_args()
    searchers = [BASELINE, *(name for name in arguments.searchers if name != BASELINE)]
    if arguments.workers > 1 and SEQUENTIAL & set(searchers):
        parser.error(f"--workers: {', '.join(sorted(SEQUENTIAL))} know nothing of pending evaluations")
    runs = [(instance, seed) for instance in arguments.instances for seed in range(arguments.seeds)]
    curves = np.empty((len(searchers), len(arguments.functions), len(runs), N_EVALUATIONS))
    at_the_end = np.empty(curves.shape[:-1])  # with all workers
    seconds = np.zeros(len(searchers))
    for f, function in enumerate(arguments.functions):
        for r, (instance, seed) in enumerate(runs):
            problem = Problem.of(function, instance)
            for s, name in enumerate(searchers):
                curves[s, f, r], spent = run(problem, name, seed, 1)
                seconds[s] += spent
                if arguments.workers > 1:
                    at_the_end[s, f, r] = run(problem, name, seed, arguments.workers)[0][-1]
        shown = "  ".join(
            f"{name} {figure:.2g}" for name, figure in zip(searchers, geometric_means(curves[:, f])[:, -1], strict=True)
        )
        print(f"{function:16s} regret: {shown}", flush=True)
    per_evaluation_ms = 1e3 * seconds / (len(arguments.functions) * len(runs) * N_EVALUATIONS)
    regrets = curves[..., [n - 1 for n in CHECKPOINTS]]
    summary = summaries(searchers, regrets, per_evaluation_ms)
    medians = np.median(curves, axis=2)
    for name, evaluations in zip(searchers, evaluations_to_random(medians), strict=True):
        summary[name]["evaluations_to_random"] = float(np.median(evaluations))
    if arguments.workers > 1:
        for s, name in enumerate(searchers):
            summary[name]["workers"] = ratio_with_interval(at_the_end[s] / curves[s, ..., -1])
    for name, row in summary.items():
        figures = "   ".join(
            f"{n}: {each['ratio']:.3f} [{each['low']:.3f}, {each['high']:.3f}]" for n, each in row["at"].items()
        )
        if "workers" in row:
            each = row["workers"]
            figures += f"   workers: {each['ratio']:.3f} [{each['low']:.3f}, {each['high']:.3f}]"
        print(f"{name:16s} {figures}   to random: {row['evaluations_to_random']:g}   {row['ms_per_evaluation']:.1f} ms")
    if arguments.out:
        record = {
            "protocol": __doc__,
            "dimension": DIMENSION,
            "evaluations": CHECKPOINTS,
            "functions": arguments.functions,
            "instances": arguments.instances,
            "seeds": arguments.seeds,
            "workers": arguments.workers,
            "versions": versions(),
            "summary": summary,
            "regrets": {
                name: {
                    function: [[float(f"{value:.4g}") for value in row] for row in regrets[s, f].tolist()]
                    for f, function in enumerate(arguments.functions)
                }
                for s, name in enumerate(searchers)
            },
            "median_curves": {
                name: {function: steps(medians[s, f]) for f, function in enumerate(arguments.functions)}
                for s, name in enumerate(searchers)
            },
        }
        arguments.out.write_text(json.dumps(record, indent=1) + "\n")


def steps(curve: np.ndarray) -> str:
    """A curve that falls, as `1:52 4:3.1`: from evaluation 4 on it is 3.1."""
    falls = [n for n in range(len(curve)) if n == 0 or curve[n] < curve[n - 1]]
    return " ".join(f"{n + 1}:{curve[n]:.4g}" for n in falls)


def evaluations_to_random(medians: np.ndarray) -> np.ndarray:
    """The first evaluation where the median regret is at most random search's at the end; one more than all for never.

    Args:
        medians: shape (n_searchers, n_functions, n_evaluations), the baseline's first.
    """
    is_there = medians <= medians[0, :, -1:]
    return np.where(is_there.any(axis=-1), is_there.argmax(axis=-1) + 1, medians.shape[-1] + 1)


def ratio_with_interval(ratios: np.ndarray) -> dict[str, float]:
    """The geometric mean of ratios, of shape (n_functions, n_runs); the resamples are the same whatever the ratios."""
    n_functions, n_runs = ratios.shape
    logarithms = np.log(ratios)
    rng = np.random.default_rng(0)
    resampled = []
    for _ in range(N_RESAMPLES):
        functions = rng.integers(n_functions, size=n_functions)
        resampled.append(logarithms[functions[:, np.newaxis], rng.integers(n_runs, size=(n_functions, n_runs))].mean())
    low, high = np.exp(np.quantile(resampled, [0.025, 0.975]))
    return {"ratio": float(np.exp(logarithms.mean())), "low": float(low), "high": float(high)}


def geometric_means(regrets: np.ndarray) -> np.ndarray:
    """Over the runs, the last axis but one."""
    found: np.ndarray = np.exp(np.log(regrets).mean(axis=-2))
    return found


def summaries(searchers: Sequence[str], regrets: np.ndarray, per_evaluation_ms: np.ndarray) -> dict[str, Any]:
    """Of each searcher the ratios with intervals, and the time.

    Args:
        regrets: shape (n_searchers, n_functions, n_runs, n_checkpoints); the baseline's come first.
    """
    return {
        name: {
            "at": {n: ratio_with_interval(regrets[s, ..., c] / regrets[0, ..., c]) for c, n in enumerate(CHECKPOINTS)},
            "ms_per_evaluation": round(float(per_evaluation_ms[s]), 2),
        }
        for s, name in enumerate(searchers)
    }


def versions() -> dict[str, str]:
    """Of what the figures depend on."""
    packages = ("coco-experiment", "optuna", "cmaes", "smac", "scikit-optimize", "HEBO", "torch", "numpy", "scipy")
    found = {"python": platform.python_version()}
    for package in packages:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found


@dataclass(frozen=True)
class Problem:
    """One instance of a function, over coordinates in [0, 1] and whole numbers from 0."""

    sizes: Sequence[int | None]  # how many whole numbers each coordinate has; None: it is continuous
    lower: np.ndarray
    upper: np.ndarray
    optimum: float
    coco: Any

    @classmethod
    def of(cls, function: str, instance: int) -> Problem:
        """As `bbob:8`."""
        import cocoex

        suite_name, _, number = function.partition(":")
        suite = cocoex.Suite(suite_name, f"instances: {instance}", f"dimensions: {DIMENSION}")
        problem = suite.get_problem_by_function_dimension_instance(int(number), DIMENSION, instance)
        lower, upper = np.array(problem.lower_bounds), np.array(problem.upper_bounds)
        n_whole = problem.number_of_integer_variables
        sizes = [int(upper[j] - lower[j]) + 1 if j < n_whole else None for j in range(DIMENSION)]
        return cls(sizes, lower, upper, float(problem(optimal_point(problem))), problem)

    def regret(self, point: Point) -> float:
        """How far its value is from the best one."""
        x = [
            low + (value * (high - low) if size is None else value)
            for value, low, high, size in zip(point, self.lower, self.upper, self.sizes, strict=True)
        ]
        return max(float(self.coco(np.array(x))) - self.optimum, SMALLEST_REGRET)


def optimal_point(problem: Any) -> np.ndarray:
    """Where COCO says that the optimum is; it writes it to a file of the working directory."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        problem._best_parameter("print")
        return np.loadtxt(next(Path().iterdir()))


def run(problem: Problem, searcher: str, seed: int, n_workers: int) -> tuple[np.ndarray, float]:
    """The smallest regret after each evaluation that ended, shape (n_evaluations,), and the searcher's seconds.

    The seconds are those of the processor.
    """
    begin = time.process_time()
    ask, tell = SEARCHERS.get(searcher, ours(searcher))(problem.sizes, seed)
    seconds = time.process_time() - begin
    durations = np.random.default_rng([seed, n_workers]).lognormal(0, SPREAD_OF_DURATIONS, N_EVALUATIONS)
    under_way: list[tuple[float, int, float]] = []  # when an evaluation ends, its number, its regret
    regrets: list[float] = []
    n_asked, now = 0, 0.0
    while len(regrets) < N_EVALUATIONS:
        if n_asked < N_EVALUATIONS and len(under_way) < n_workers:
            begin = time.process_time()
            point = ask()
            seconds += time.process_time() - begin
            heapq.heappush(under_way, (now + durations[n_asked], n_asked, problem.regret(point)))
            n_asked += 1
            continue
        now, number, regret = heapq.heappop(under_way)
        regrets.append(regret)
        begin = time.process_time()
        tell(number, regret)
        seconds += time.process_time() - begin
    return np.minimum.accumulate(regrets), seconds


def ours(name: str) -> SearcherMaker:
    """The searcher of a module: of `hposweep.searchers.latin_hypercube`, `LatinHypercubeSearcher`."""

    def make(sizes: Sequence[int | None], seed: int) -> tuple[Ask, Tell]:
        module = importlib.import_module(f"hposweep.searchers.{name}")
        kind = getattr(module, "".join(part.title() for part in name.split("_")) + "Searcher")
        priors = ["uniform(0, 1)" if size is None else f"randint(0, {size})" for size in sizes]
        searcher = kind(
            search_space=SearchSpace({f"x{j}": parse_hyperparameter(prior) for j, prior in enumerate(priors)}),
            seed=seed,
        )
        trials: list[Trial] = []
        pending: dict[int, Trial] = {}

        def ask() -> Point:
            configuration = searcher.propose(len(trials), tuple(pending.values()))
            trial = Trial(len(trials), configuration, seed=0)
            trials.append(trial)
            pending[trial.number] = trial
            searcher.start(trial)
            return list(configuration.values())

        return ask, lambda number, value: searcher.tell(pending.pop(number), value)

    return make


def optuna_tpe(sizes: Sequence[int | None], seed: int) -> tuple[Ask, Tell]:
    """Optuna's TPESampler as it comes, with a constant liar for pending evaluations."""
    import optuna

    return of_optuna(optuna.samplers.TPESampler(seed=seed, constant_liar=True), sizes)


def optuna_gp(sizes: Sequence[int | None], seed: int) -> tuple[Ask, Tell]:
    """Optuna's GPSampler as it comes."""
    import optuna
    import torch

    torch.set_num_threads(1)
    return of_optuna(optuna.samplers.GPSampler(seed=seed), sizes)


def of_optuna(sampler: Any, sizes: Sequence[int | None]) -> tuple[Ask, Tell]:
    """A study with this sampler."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=sampler)
    distributions = optuna.distributions
    space = {
        f"x{j}": distributions.FloatDistribution(0, 1) if size is None else distributions.IntDistribution(0, size - 1)
        for j, size in enumerate(sizes)
    }
    trials: list[Any] = []

    def ask() -> Point:
        trials.append(study.ask(space))
        return [trials[-1].params[key] for key in space]

    def tell(number: int, value: float) -> None:
        study.tell(trials[number], value)

    return ask, tell


def smac(sizes: Sequence[int | None], seed: int) -> tuple[Ask, Tell]:
    """SMAC3's facade for hyperparameter optimization as it comes: a random forest.

    The one for black boxes, a Gaussian process, takes minutes for a run.
    """
    from ConfigSpace import ConfigurationSpace, Float, Integer
    from smac import HyperparameterOptimizationFacade, Scenario
    from smac.runhistory import TrialValue

    space = ConfigurationSpace(seed=seed)
    space.add([Float(f"x{j}", (0, 1)) if n is None else Integer(f"x{j}", (0, n - 1)) for j, n in enumerate(sizes)])
    folder = tempfile.TemporaryDirectory()
    scenario = Scenario(
        space, deterministic=True, n_trials=N_EVALUATIONS, seed=seed, output_directory=Path(folder.name)
    )
    # It wants a target function, which is never called: evaluations come by `tell`.
    engine = HyperparameterOptimizationFacade(scenario, lambda config, seed=0: 0.0, overwrite=True, logging_level=False)
    asked: list[Any] = []

    def ask() -> Point:
        asked.append(engine.ask())
        return [asked[-1].config[f"x{j}"] for j in range(len(sizes))]

    def tell(number: int, value: float) -> None:
        engine.tell(asked[number], TrialValue(cost=value))
        if number == N_EVALUATIONS - 1:
            folder.cleanup()

    return ask, tell


def skopt(sizes: Sequence[int | None], seed: int) -> tuple[Ask, Tell]:
    """scikit-optimize's Optimizer, with a Gaussian process, as it comes."""
    from skopt import Optimizer
    from skopt.space import Integer, Real

    space = [Real(0.0, 1.0) if size is None else Integer(0, size - 1) for size in sizes]
    engine = Optimizer(space, base_estimator="GP", random_state=seed)
    asked: list[list[Any]] = []

    def ask() -> Point:
        asked.append(engine.ask())
        return [value if size is None else int(value) for value, size in zip(asked[-1], sizes, strict=True)]

    return ask, lambda number, value: engine.tell(asked[number], value)


def hebo(sizes: Sequence[int | None], seed: int) -> tuple[Ask, Tell]:
    """HEBO as it comes; its search takes NumPy's and torch's global random numbers."""
    import torch
    from hebo.design_space.design_space import DesignSpace
    from hebo.optimizers.hebo import HEBO

    np.random.seed(seed)
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    ranges = [("num", 1) if size is None else ("int", size - 1) for size in sizes]
    parameters = [{"name": f"x{j}", "type": kind, "lb": 0, "ub": high} for j, (kind, high) in enumerate(ranges)]
    engine = HEBO(DesignSpace().parse(parameters), scramble_seed=seed)
    asked: list[Any] = []

    def ask() -> Point:
        asked.append(engine.suggest(n_suggestions=1))
        row = asked[-1].iloc[0]
        return [float(row[f"x{j}"]) if size is None else int(row[f"x{j}"]) for j, size in enumerate(sizes)]

    return ask, lambda number, value: engine.observe(asked[number], np.array([[value]]))


def cma_es(sizes: Sequence[int | None], seed: int) -> tuple[Ask, Tell]:
    """The package cmaes: CMA-ES, with margin where there are whole numbers (Hamano et al., GECCO 2022)."""
    import cmaes

    # A unit of the strategy is the whole range of each coordinate.
    mean, bounds = np.full(len(sizes), 0.5), np.tile([0.0, 1.0], (len(sizes), 1))
    if all(size is None for size in sizes):
        engine: Any = cmaes.CMA(mean=mean, sigma=0.25, bounds=bounds, seed=seed)
    else:
        steps = np.array([0 if size is None else 1 / (size - 1) for size in sizes])
        engine = cmaes.CMAwM(mean=mean, sigma=0.25, bounds=bounds, steps=steps, seed=seed)
    asked: list[np.ndarray] = []
    told: list[tuple[np.ndarray, float]] = []

    def ask() -> Point:
        answer = engine.ask()
        at, for_engine = answer if isinstance(answer, tuple) else (answer, answer)
        asked.append(for_engine)
        return [float(x) if size is None else round(x * (size - 1)) for x, size in zip(at, sizes, strict=True)]

    def tell(number: int, value: float) -> None:
        told.append((asked[number], value))
        if len(told) == engine.population_size:
            engine.tell(told)
            told.clear()

    return ask, tell


SEARCHERS: dict[str, SearcherMaker] = {
    "optuna_tpe": optuna_tpe,
    "optuna_gp": optuna_gp,
    "cma_es": cma_es,
    "smac": smac,
    "skopt": skopt,
    "hebo": hebo,
}
SEQUENTIAL = {"smac", "skopt", "hebo"}  # know nothing of pending evaluations


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
