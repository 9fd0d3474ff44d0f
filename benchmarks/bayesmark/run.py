"""The NeurIPS 2020 black-box optimization challenge's own program, Bayesmark, on ours, Optuna's TPE and HEBO.

Turner et al., "Bayesian Optimization is Superior to Random Search for Machine Learning Hyperparameter Tuning", 2021.
Bayesmark 0.0.8 trains models of scikit-learn with 5-fold cross-validation. From it come the problems, the loop of a
study (`run_study`: 16 rounds of 8) and the score: 100 (1 - mean normalized loss), where 1 is the median of random
search and 0 the best loss that any optimizer of the comparison found. So scores are to be compared within one table
alone. Bayesmark's launcher is replaced by this file, since it fails on Python 3.11 and does not resume.

    uv venv --python 3.11 env && uv pip install --python env/bin/python bayesmark==0.0.8 numpy==1.26.4 \\
        scikit-learn==1.1.3 "pandas<2.2" "xarray<2024" "setuptools<81" optuna==5.0.0 scipy
    echo gpy==1.13.2 > newer.txt        # HEBO's gpy 1.9.9 does not build on Python 3.11
    uv venv --python 3.11 hebo && uv pip install --python hebo/bin/python --override newer.txt HEBO==0.3.6 \\
        bayesmark==0.0.8 scikit-learn==1.1.3 "pandas<2.2" "xarray<2024" "setuptools<81"
    export PYTHONPATH=. PYTHONWARNINGS=ignore OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
    env/bin/python benchmarks/bayesmark/run.py time
    env/bin/python benchmarks/bayesmark/run.py study RandomSearch OptunaTPE bayesian tpe --out studies
    hebo/bin/python benchmarks/bayesmark/run.py study HEBO --repeats 1 --out studies
    env/bin/python benchmarks/bayesmark/run.py score --out studies --write benchmarks/bayesmark/scores.json

`study` skips the studies that are there, so that it can be stopped and started again.

The protocol was fixed before any score was seen. `wine` is for tuning, and in no table; nothing is chosen by the other
five data sets. All nine models, one metric for each kind of problem: nll for classification, mse for regression. The
whole would take hours, so problems are left out whose evaluation took more than 0.3 s (`time`, the mean of 4 random
ones): ada on all but iris, lasso on breast, and all on digits but DT and RF. 34 problems remain, with five studies of
each. HEBO, which takes some seconds for a round, and our tpe have one of each, for want of time; a second table
compares all optimizers on the first studies alone. Ours were run before with one study of each problem. Then the
bayesian searcher's rule for plateaus and tpe's weights were chosen, on decision trees and linear models of generated
data and on COCO's tuning instances, and all of ours were run again. Intervals, of 95%, are by bootstrap over problems.
A training that fails has an infinite loss. The seed, of the optimizer and of the models' own randomness, depends on the
problem and the repeat alone.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import platform
import time
import warnings
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from bayesmark.constants import ITER, METHOD, MODEL_NAMES, NORMED_MEAN, PERF_MEAN, SUGGEST, TEST_CASE, TRIAL
from bayesmark.experiment import run_study
from bayesmark.experiment_analysis import compute_aggregates
from bayesmark.experiment_baseline import compute_baseline
from bayesmark.sklearn_funcs import SklearnModel
from optimizers import ENGINES, Optimizer, RandomSearch

BASELINE, REFERENCE = "RandomSearch", "OptunaTPE"
N_ROUNDS, BATCH = 16, 8
EARLY_ROUNDS = 4  # after which the score is given, too
N_TIMED = 4
N_RESAMPLES = 2000
DATA = ["boston", "breast", "diabetes", "digits", "iris"]
TOO_SLOW = {("ada", data) for data in ("boston", "breast", "diabetes", "digits")} | {("lasso", "breast")}
TOO_SLOW |= {(model, "digits") for model in MODEL_NAMES if model not in ("DT", "RF")}
WITH_ONE_STUDY = ("HEBO", "tpe")


@dataclass(frozen=True)
class Study:
    """One optimizer on one problem, once."""

    model: str
    data: str
    repeat: int

    @property
    def metric(self) -> str:
        return "mse" if self.data in ("boston", "diabetes") else "nll"

    @property
    def problem(self) -> str:
        """Bayesmark's name."""
        return SklearnModel.test_case_str(self.model, self.data, self.metric)

    def file(self, folder: Path, optimizer: str) -> Path:
        """Where its result is kept."""
        return folder / optimizer / f"{self.problem}_{self.repeat}.json"


def main() -> None:
    """Times evaluations, runs studies, or scores them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("deed", choices=["time", "study", "score"])
    parser.add_argument("optimizers", nargs="*", default=[BASELINE, *ENGINES], help="all by default")
    parser.add_argument("--models", nargs="+", default=sorted(MODEL_NAMES))
    parser.add_argument("--data", nargs="+", default=DATA)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=N_ROUNDS)
    parser.add_argument("--out", type=Path, default=Path("studies"), help="folder of the studies")
    parser.add_argument("--write", type=Path, help="score: JSON file")
    arguments = parser.parse_args()
    problems = [
        (model, data)
        for data in arguments.data
        for model in arguments.models
        if arguments.deed == "time" or (model, data) not in TOO_SLOW
    ]
    if arguments.deed == "time":
        for model, data in problems:
            print(f"{model:10s} {data:10s} {seconds_of_an_evaluation(Study(model, data, 0)):.3f}", flush=True)
    elif arguments.deed == "study":
        for repeat in range(arguments.repeats):
            for model, data in problems:
                for optimizer in arguments.optimizers:
                    run(Study(model, data, repeat), optimizer, arguments.rounds, arguments.out)
    else:
        studies = [Study(model, data, repeat) for model, data in problems for repeat in range(arguments.repeats)]
        with_all = [each for each in arguments.optimizers if each not in WITH_ONE_STUDY]
        first = [study for study in studies if study.repeat == 0]
        tables = {
            "all studies": table(studies, with_all, arguments.out),
            "first studies": table(first, arguments.optimizers, arguments.out),
        }
        for title, rows in tables.items():
            print(title)
            for name, row in rows["optimizers"].items():
                figures = "   ".join(
                    f"{rounds} rounds: {at['score']:.2f}, above Optuna {at['above_optuna']:.2f} "
                    f"[{at['above_optuna_low']:.2f}, {at['above_optuna_high']:.2f}]"
                    for rounds, at in row.items()
                )
                print(f"  {name:14s} {figures}")
        if arguments.write:
            record = {"protocol": __doc__, "versions": versions(), "tables": tables}
            arguments.write.write_text(json.dumps(record, indent=1) + "\n")


def seconds_of_an_evaluation(study: Study) -> float:
    """Processor seconds, the mean of some random ones."""
    problem = SklearnModel(study.model, study.data, study.metric)
    points = RandomSearch(problem.get_api_config(), 0).suggest(N_TIMED)
    begin = time.process_time()
    for point in points:
        problem.evaluate(point)
    return (time.process_time() - begin) / N_TIMED


def run(study: Study, optimizer: str, n_rounds: int, folder: Path) -> None:
    """Runs the study, unless its file is there."""
    file = study.file(folder, optimizer)
    if file.exists():
        return
    seed = zlib.crc32(f"{study.problem} {study.repeat}".encode())
    # Models without a seed of their own take NumPy's global one, which HEBO's search uses, too.
    np.random.seed(seed)
    problem = SklearnModel(study.model, study.data, study.metric)
    api_config = problem.get_api_config()
    engine = RandomSearch(api_config, seed) if optimizer == BASELINE else Optimizer(optimizer, api_config, seed)
    losses, (suggest_s, evaluation_s, observe_s), _ = run_study(engine, problem, n_rounds, BATCH, n_obj=2)
    if engine.n_answers != 2 * n_rounds:
        raise RuntimeError(f"{optimizer} failed on {study.problem}, and Bayesmark went on with random search")
    visible = losses[:, :, 0]  # the others are generalization losses, which the score does not look at
    spent_s = float(suggest_s.sum() + observe_s.sum())
    trained_s = float(evaluation_s.sum())
    print(f"{study.problem} {study.repeat} {optimizer}: {spent_s:.1f} s, evaluations {trained_s:.1f} s", flush=True)
    file.parent.mkdir(parents=True, exist_ok=True)
    record = {"losses": visible.tolist(), "optimizer_s": spent_s, "evaluation_s": trained_s}
    unfinished = file.with_suffix(".part")
    unfinished.write_text(json.dumps(record))
    unfinished.replace(file)


def table(studies: Sequence[Study], optimizers: Sequence[str], folder: Path) -> dict[str, Any]:
    """Bayesmark's score of each optimizer, after the early rounds and at the end, and by problem.

    Raises:
        FileNotFoundError: if a study is missing.
    """
    problems = sorted({study.problem for study in studies})
    repeats = sorted({study.repeat for study in studies})
    losses = np.empty((N_ROUNDS, BATCH, len(problems), len(optimizers), len(repeats)))
    seconds = np.zeros(len(optimizers))
    for study in studies:
        for o, optimizer in enumerate(optimizers):
            record = json.loads(study.file(folder, optimizer).read_text())
            losses[:, :, problems.index(study.problem), o, study.repeat] = record["losses"]
            seconds[o] += record["optimizer_s"]
    dimensions = (ITER, SUGGEST, TEST_CASE, METHOD, TRIAL)
    # Bayesmark finds random search by the name's beginning, up to an underline.
    names = [f"{name}_" for name in optimizers]
    coordinates = [range(N_ROUNDS), range(BATCH), problems, names, repeats]
    evaluations = xr.DataArray(losses, dict(zip(dimensions, coordinates, strict=True)), dimensions)
    by_problem, summary = compute_aggregates(evaluations, compute_baseline(evaluations))
    scores = {name: 100 * (1 - by_problem[NORMED_MEAN].sel({METHOD: f"{name}_"}).values) for name in optimizers}
    for name in optimizers:
        assert np.allclose(scores[name].mean(axis=1), 100 * (1 - summary[PERF_MEAN].sel({METHOD: f"{name}_"}).values))
    rng = np.random.default_rng(0)
    resamples = rng.integers(len(problems), size=(N_RESAMPLES, len(problems)))
    return {
        "problems": problems,
        "repeats": len(repeats),
        "optimizers": {
            name: {
                rounds: {
                    **with_interval("score", scores[name][rounds - 1], resamples),
                    **with_interval("above_optuna", (scores[name] - scores[REFERENCE])[rounds - 1], resamples),
                    "by_problem": [round(float(score), 2) for score in scores[name][rounds - 1]],
                }
                for rounds in (EARLY_ROUNDS, N_ROUNDS)
            }
            for name in optimizers
        },
        "optimizer_s_per_study": {
            name: round(float(seconds[o]) / len(studies), 2) for o, name in enumerate(optimizers)
        },
    }


def with_interval(name: str, figures: np.ndarray, resamples: np.ndarray) -> dict[str, float]:
    """The mean over problems, and its ends by bootstrap."""
    low, high = np.quantile(figures[resamples].mean(axis=1), [0.025, 0.975])
    found = {name: figures.mean(), f"{name}_low": low, f"{name}_high": high}
    return {key: round(float(value), 2) for key, value in found.items()}


def versions() -> dict[str, str]:
    """Of what the figures depend on."""
    packages = ("bayesmark", "scikit-learn", "numpy", "scipy", "optuna")
    return {"python": platform.python_version(), **{each: importlib.metadata.version(each) for each in packages}}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
