"""The quality of searchers on functions that others wrote: COCO's bbob and bbob-mixint, in 5 dimensions.

    pip install coco-experiment optuna cmaes scipy        # in an environment of its own
    PYTHONPATH=. OMP_NUM_THREADS=1 python benchmarks/searchers.py --seeds 3 --instances 6 --out tuning.json

Hansen et al., "COCO: A Platform for Comparing Continuous Optimizers in a Black-Box Setting", 2021; Tušar, Brockhoff and
Hansen, "Mixed-Integer Benchmark Problems for Single- and Bi-Objective Optimization", GECCO 2019. Instances 1 to 5 are
for reporting alone: nothing is to be chosen by them; 6 to 10 are for tuning.

A run is 100 evaluations, one after the other. Its regret after n of them is the smallest value so far minus the value
at the optimum, but at least 1e-3: where coordinates are whole numbers, runs that find the optimum itself would else
decide every geometric mean. A searcher's figure is its regret relative to random search's: the geometric mean over runs
and then over functions. The intervals, of 95%, are by bootstrap over functions and over the runs of each, the same ones
for the searcher and for random search. Every searcher sees the unit cube, in which COCO's bounds are 0 and 1; whole
numbers are whole numbers.
"""

from __future__ import annotations

import argparse
import contextlib
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
FUNCTIONS = [f"bbob:{n}" for n in (1, 3, 6, 8, 10, 13, 15, 17, 20, 21, 23)]
FUNCTIONS += [f"bbob-mixint:{n}" for n in (1, 3, 8, 15, 17, 21)]

Point = list[float | int]  # of coordinates in [0, 1], or whole numbers from 0
Ask = Callable[[], Point]
Tell = Callable[[float], None]
SearcherMaker = Callable[[Sequence[int | None], int], tuple[Ask, Tell]]


def main() -> None:
    """Runs the searchers on the functions, prints the table and writes JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--functions", nargs="+", default=FUNCTIONS, help="suite:number")
    parser.add_argument("--instances", nargs="+", type=int, default=[1, 2, 3, 4, 5])
    parser.add_argument("--seeds", type=int, default=1, help="runs on each instance")
    parser.add_argument("--searchers", nargs="+", default=["bayesian", "optuna_tpe", "cma_es"], help="random is added")
    parser.add_argument("--out", type=Path, help="JSON file")
    arguments = parser.parse_args()
    searchers = [BASELINE, *(name for name in arguments.searchers if name != BASELINE)]
    runs = [(instance, seed) for instance in arguments.instances for seed in range(arguments.seeds)]
    regrets = np.empty((len(searchers), len(arguments.functions), len(runs), len(CHECKPOINTS)))
    seconds = np.zeros(len(searchers))
    for f, function in enumerate(arguments.functions):
        for r, (instance, seed) in enumerate(runs):
            problem = Problem.of(function, instance)
            for s, name in enumerate(searchers):
                regrets[s, f, r], spent = run(problem, name, seed)
                seconds[s] += spent
        shown = "  ".join(
            f"{name} {figure:.2g}"
            for name, figure in zip(searchers, geometric_means(regrets[:, f])[:, -1], strict=True)
        )
        print(f"{function:16s} regret: {shown}", flush=True)
    per_evaluation_ms = 1e3 * seconds / (len(arguments.functions) * len(runs) * N_EVALUATIONS)
    summary = summaries(searchers, regrets, per_evaluation_ms)
    for name, row in summary.items():
        figures = "   ".join(
            f"{n}: {each['ratio']:.3f} [{each['low']:.3f}, {each['high']:.3f}]" for n, each in row["at"].items()
        )
        print(f"{name:16s} {figures}   {row['ms_per_evaluation']:.1f} ms")
    if arguments.out:
        record = {
            "protocol": __doc__,
            "dimension": DIMENSION,
            "evaluations": CHECKPOINTS,
            "functions": arguments.functions,
            "instances": arguments.instances,
            "seeds": arguments.seeds,
            "versions": versions(),
            "summary": summary,
            "regrets": {
                name: {
                    function: [[float(f"{value:.4g}") for value in row] for row in regrets[s, f].tolist()]
                    for f, function in enumerate(arguments.functions)
                }
                for s, name in enumerate(searchers)
            },
        }
        arguments.out.write_text(json.dumps(record, indent=1) + "\n")


def geometric_means(regrets: np.ndarray) -> np.ndarray:
    """Over the runs, the last axis but one."""
    found: np.ndarray = np.exp(np.log(regrets).mean(axis=-2))
    return found


def summaries(searchers: Sequence[str], regrets: np.ndarray, per_evaluation_ms: np.ndarray) -> dict[str, Any]:
    """Of each searcher the ratios with intervals, and the time.

    Args:
        regrets: shape (n_searchers, n_functions, n_runs, n_checkpoints); the baseline's come first.
    """
    logarithms = np.log(regrets / regrets[0])
    _, n_functions, n_runs, _ = regrets.shape
    rng = np.random.default_rng(0)
    resampled = []
    for _ in range(N_RESAMPLES):
        functions = rng.integers(n_functions, size=n_functions)
        runs = rng.integers(n_runs, size=(n_functions, n_runs))
        resampled.append(logarithms[:, functions[:, np.newaxis], runs].mean(axis=(1, 2)))
    ratios = np.exp(logarithms.mean(axis=(1, 2)))
    lows, highs = np.exp(np.quantile(resampled, [0.025, 0.975], axis=0))
    return {
        name: {
            "at": {
                n: {"ratio": float(ratios[s, c]), "low": float(lows[s, c]), "high": float(highs[s, c])}
                for c, n in enumerate(CHECKPOINTS)
            },
            "ms_per_evaluation": round(float(per_evaluation_ms[s]), 2),
        }
        for s, name in enumerate(searchers)
    }


def versions() -> dict[str, str]:
    """Of what the figures depend on."""
    packages = ("coco-experiment", "optuna", "cmaes", "numpy", "scipy")
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


def run(problem: Problem, searcher: str, seed: int) -> tuple[np.ndarray, float]:
    """The regrets of one run, shape (n_checkpoints,), and the processor seconds that the searcher took."""
    begin = time.process_time()
    ask, tell = SEARCHERS.get(searcher, ours(searcher))(problem.sizes, seed)
    seconds = time.process_time() - begin
    regrets = []
    for _ in range(N_EVALUATIONS):
        begin = time.process_time()
        point = ask()
        seconds += time.process_time() - begin
        regrets.append(problem.regret(point))
        begin = time.process_time()
        tell(regrets[-1])
        seconds += time.process_time() - begin
    return np.array([min(regrets[:n]) for n in CHECKPOINTS]), seconds


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

        def ask() -> Point:
            configuration = searcher.propose(len(trials), ())
            trials.append(Trial(len(trials), configuration, seed=0))
            searcher.start(trials[-1])
            return list(configuration.values())

        return ask, lambda value: searcher.tell(trials[-1], value)

    return make


def optuna_tpe(sizes: Sequence[int | None], seed: int) -> tuple[Ask, Tell]:
    """Optuna's TPESampler as it comes."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
    distributions = optuna.distributions
    space = {
        f"x{j}": distributions.FloatDistribution(0, 1) if size is None else distributions.IntDistribution(0, size - 1)
        for j, size in enumerate(sizes)
    }
    trials: list[Any] = []

    def ask() -> Point:
        trials.append(study.ask(space))
        return [trials[-1].params[key] for key in space]

    def tell(value: float) -> None:
        study.tell(trials[-1], value)

    return ask, tell


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

    def tell(value: float) -> None:
        told.append((asked[-1], value))
        if len(told) == engine.population_size:
            engine.tell(told)
            told.clear()

    return ask, tell


SEARCHERS: dict[str, SearcherMaker] = {"optuna_tpe": optuna_tpe, "cma_es": cma_es}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
