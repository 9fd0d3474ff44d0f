"""Trial-epochs a second of the whole machine: our sweep on two workers and on one, against the book's loop.

    python benchmarks/throughput.py [--models softmax mlp lenet] [--rounds N] [--more] [--json FILE]

The book's loop is run alone, on all cores, and in two processes at once; the better of the two counts. The cost of one
more epoch of ours is the wall time of a sweep of many trials minus that of a sweep of few, as in training_speed.py,
which has the models, the data and the loops. All take turns, and each round is written, too: on a virtual machine the
time of the book's loop, mostly Python and small calls, may grow by half from one hour to the next, while that of ours,
mostly arithmetic, changes little. `--more` adds rounds to those of the file, for medians over a day.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, median

from rich.console import Console
from rich.table import Table
from training_speed import CASES, Case, machine, run_book, time_of_sweep

TARGETS = {"softmax": 30, "mlp": 12, "lenet": 1.5}


def main() -> None:
    """Measures, prints a table and writes JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=list(TARGETS), default=list(TARGETS))
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--more", action="store_true", help="add to the rounds in the file")
    parser.add_argument("--json", type=Path, default=Path(__file__).with_suffix(".json"))
    arguments = parser.parse_args()
    before = read_rows(arguments.json)
    with tempfile.TemporaryDirectory() as folder:
        for case in CASES:
            if case.model in arguments.models:
                rounds = before.get(case.model, {}).get("rounds", []) if arguments.more else []
                before[case.model] = measured(case, Path(folder), arguments.rounds, rounds)
    rows = list(before.values())
    arguments.json.write_text(json.dumps({"machine": machine(), "throughput": rows}, indent=2) + "\n", encoding="utf-8")
    table = Table(
        "model", "book alone", "book twice", "ours, 1 worker", "ours, 2 workers", "times book", "times 1 worker"
    )
    for row in rows:
        rates = [f"{row[name]:.2f}" for name in ("book_alone", "book_twice", "ours_1", "ours_2")]
        table.add_row(row["model"], *rates, f"{row['times_book']:.1f}", f"{row['times_one_worker']:.2f}")
    Console().print(table)


def read_rows(path: Path) -> dict[str, dict]:
    """What was measured before, by model; it stays unless it is measured anew."""
    if not path.exists():
        return {}
    return {row["model"]: row for row in json.loads(path.read_text(encoding="utf-8"))["throughput"]}


def measured(case: Case, work: Path, n_rounds: int, before: Sequence[dict[str, float]]) -> dict:
    """Epochs a second of one model, the medians of the rounds; the ratios are taken round by round."""
    rounds = [*before]
    for number in range(n_rounds):
        alone = 1 / mean(run_book(case.model, case.batch_size, 0.1, 3, work)["seconds"][1:])
        with concurrent.futures.ThreadPoolExecutor(2) as both:
            runs = [both.submit(run_book, case.model, case.batch_size, 0.1, 3, work) for _ in range(2)]
            twice = sum(1 / mean(run.result()["seconds"][1:]) for run in runs)
        one, two = (rate(case, n_workers, work / f"{case.model}-{number}-{n_workers}") for n_workers in (1, 2))
        times = {"times_book": two / max(alone, twice), "times_one_worker": two / one}
        rounds.append({"book_alone": alone, "book_twice": twice, "ours_1": one, "ours_2": two, **times})
    medians = {name: median(each[name] for each in rounds) for name in rounds[0]}
    row = {"model": case.model, "batch_size": case.batch_size, **medians, "target": TARGETS[case.model]}
    return {**row, "rounds": rounds}


def rate(case: Case, n_workers: int, folder: Path) -> float:
    """Epochs a second of our sweep, of a multiple of n_workers trials, so that no worker waits at the end."""
    few, many = n_workers * case.few, n_workers * case.many
    seconds = time_of_sweep(case, many, Path(f"{folder}-many"), n_workers)
    seconds -= time_of_sweep(case, few, Path(f"{folder}-few"), n_workers)
    return (many - few) * case.epochs / seconds


if __name__ == "__main__":
    main()
