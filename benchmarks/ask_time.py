"""The processor time of an ask, after as many results as a sweep may have: our searchers side by side.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/ask_time.py [--searchers random bayesian] [--json FILE]

The search space has four floats, a whole number and a choice. The results that a searcher is told first are of draws
from the prior; then each ask is told its result. An ask is all that a trial costs the searcher: propose, start, tell.
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import platform
import time
from pathlib import Path

import numpy as np
import scipy

from hposweep.search_space import Configuration, SearchSpace, parse_hyperparameter
from hposweep.searchers import Searcher
from hposweep.trial import Trial

PRIORS = {
    "learning_rate": "loguniform(1e-4, 1)",
    "weight_decay": "loguniform(1e-6, 1e-1)",
    "momentum": "uniform(0, 0.99)",
    "dropout": "uniform(0, 0.5)",
    "num_layers": "randint(1, 11)",
    "activation": "choice(relu, tanh, gelu, elu)",
}


def main() -> None:
    """Measures and prints; writes JSON where it is asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--searchers", nargs="+", default=["random", "bayesian"], help="modules of hposweep.searchers")
    parser.add_argument("--results", nargs="+", type=int, default=[100, 1000, 10_000])
    parser.add_argument("--asks", type=int, default=100, help="that are measured at each number of results")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rows = []
    for name in arguments.searchers:
        for n_results in arguments.results:
            times_ms = 1e3 * ask_times(searcher_class(name), n_results, arguments.asks)
            rows.append(
                {
                    "searcher": name,
                    "results": n_results,
                    "median_ms": round(float(np.median(times_ms)), 2),
                    "p99_ms": round(float(np.quantile(times_ms, 0.99)), 2),
                }
            )
            print(
                "{searcher:16s} {results:6d} results: median {median_ms} ms, p99 {p99_ms} ms".format(**rows[-1]),
                flush=True,
            )
    if arguments.json:
        versions = {"python": platform.python_version(), "numpy": np.__version__, "scipy": scipy.__version__}
        arguments.json.write_text(json.dumps({"asks": arguments.asks, "versions": versions, "rows": rows}, indent=2))


def searcher_class(name: str) -> type[Searcher]:
    """The searcher of a module: of `hposweep.searchers.latin_hypercube`, `LatinHypercubeSearcher`."""
    module = importlib.import_module(f"hposweep.searchers.{name}")
    found: type[Searcher] = getattr(module, "".join(part.title() for part in name.split("_")) + "Searcher")
    return found


def ask_times(kind: type[Searcher], n_results: int, n_asks: int) -> np.ndarray:
    """Processor seconds of each ask, shape (n_asks,)."""
    search_space = SearchSpace({key: parse_hyperparameter(prior) for key, prior in PRIORS.items()})
    searcher = kind(search_space=search_space, seed=0)  # type: ignore[call-arg]
    times = []
    for number in range(n_results + n_asks):
        begin = time.process_time()
        configuration = search_space.sample(1, number) if number < n_results else searcher.propose(number, ())
        assert isinstance(configuration, dict)
        trial = Trial(number, configuration, seed=0)
        searcher.start(trial)
        searcher.tell(trial, loss(configuration))
        times.append(time.process_time() - begin)
    return np.array(times[n_results:])


def loss(configuration: Configuration) -> float:
    """A smooth one, the least at a learning rate of 0.01, 3 layers and gelu."""
    rate, decay = math.log10(configuration["learning_rate"]) + 2, math.log10(configuration["weight_decay"]) + 4
    others = (configuration["momentum"] - 0.9) ** 2 + configuration["dropout"] ** 2
    layers, activation = (configuration["num_layers"] - 3) / 4, configuration["activation"] != "gelu"
    return float(rate**2 + 0.1 * decay**2 + others + layers**2 + 0.2 * activation)


if __name__ == "__main__":
    main()
