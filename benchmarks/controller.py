"""What the controller itself costs: the real tuner and journal with thousands of simulated workers, in real time.

    python benchmarks/controller.py                      # 1,000 and 10,000 workers, trials of two seconds
    python benchmarks/controller.py --workers 100 --trials 1000

Trials last half to one and a half of `--seconds`, evenly drawn. Reported are segments a second, against the most that
so many workers could end; processor time a trial; how long an ended segment waits until the controller looks at it;
and, in a run of its own, how long a request to stop waits that comes 0.1 s after the start, while all workers start.
"""

from __future__ import annotations

import argparse
import heapq
import json
import logging
import random
import resource
import statistics
import tempfile
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hposweep.history import Ending
from hposweep.schedulers.fifo import FifoScheduler
from hposweep.search_space import SearchSpace, parse_hyperparameter, trial_seed
from hposweep.searchers.random import RandomSearcher
from hposweep.sweep_folder.journal import Journal
from hposweep.trial import Segment, SegmentEnd, SegmentResult, Trial
from hposweep.tuner import Tuner
from hposweep.workers.protocol import Futures, NoStopRequest, first_completed

SPACE = SearchSpace({key: parse_hyperparameter("loguniform(1e-4, 1)") for key in "abcd"})


@dataclass
class SimulatedWorkers:
    """Workers whose jobs end by the clock on the wall, and cost nothing."""

    n_workers: int
    mean_s: float
    can_kill: bool = True
    lags_s: list[float] = field(default_factory=list)
    _chance: random.Random = field(default_factory=lambda: random.Random(0))
    _queue: list[tuple[float, int, Future[SegmentResult]]] = field(default_factory=list)

    def submit(self, segment: Segment, trial: Trial, timeout_s: float | None) -> Future[SegmentResult]:
        future: Future[SegmentResult] = Future()
        due = time.monotonic() + self._chance.uniform(0.5, 1.5) * self.mean_s
        heapq.heappush(self._queue, (due, segment.trial, future))
        return future

    def wait(self, futures: Futures, timeout_s: float) -> Futures:
        deadline = time.monotonic() + timeout_s
        while True:
            now = time.monotonic()
            n_ended = 0
            while self._queue and self._queue[0][0] <= now:
                due, _, future = heapq.heappop(self._queue)
                self.lags_s.append(now - due)
                future.set_result(SegmentResult(self.mean_s, 1.0, folder="x"))
                n_ended += 1
            if n_ended or now >= deadline:
                return first_completed(futures, 0)
            time.sleep(min(0.001, deadline - now))

    def cancel(self, futures: Futures) -> None:
        for _, _, future in self._queue:
            future.set_result(SegmentResult(0.0, failure="cut off", end=SegmentEnd.CUT_OFF))
        self._queue.clear()

    def stop(self) -> None:
        """Nothing runs."""

    def overview(self) -> str:
        return ""


def tuner(folder: Path, workers: SimulatedWorkers, n_trials: int, stop: NoStopRequest) -> Tuner:
    """A tuner of random search with a journal in this folder."""
    return Tuner(
        RandomSearcher(SPACE, 0),
        FifoScheduler(),
        Journal.open(folder),
        workers,
        n_trials=n_trials,
        seed=0,
        trial_seed=lambda number, configuration: trial_seed(0, number),
        stop_request=stop,
    )


def measured(n_workers: int, n_trials: int, mean_s: float) -> dict[str, Any]:
    """One whole sweep."""
    workers = SimulatedWorkers(n_workers, mean_s)
    with tempfile.TemporaryDirectory() as folder:
        started_s, started_cpu_s = time.monotonic(), time.process_time()
        assert tuner(Path(folder), workers, n_trials, NoStopRequest()).run().ending is Ending.COMPLETE
        wall_s, cpu_s = time.monotonic() - started_s, time.process_time() - started_cpu_s
        journal_bytes = (Path(folder) / "journal.jsonl").stat().st_size
    lags_s = sorted(workers.lags_s)
    return {
        "workers": n_workers,
        "trials": n_trials,
        "trial_s": mean_s,
        "segments_per_s": round(n_trials / wall_s),
        "segments_per_s_of_workers": round(n_workers / mean_s),
        "cpu_ms_per_trial": round(1000 * cpu_s / n_trials, 3),
        "lag_ms_median": round(1000 * statistics.median(lags_s), 1),
        "lag_ms_largest": round(1000 * lags_s[-1], 1),
        "journal_bytes_per_trial": round(journal_bytes / n_trials),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def stop_wait_s(n_workers: int, mean_s: float) -> float:
    """Seconds from an urgent request to stop to the end of the sweep, while its workers start."""
    stop = NoStopRequest()
    asked_at = 0.0

    def ask() -> None:
        nonlocal asked_at
        asked_at = time.monotonic()
        stop.is_made = stop.is_urgent = True

    with tempfile.TemporaryDirectory() as folder:
        sweep = tuner(Path(folder), SimulatedWorkers(n_workers, mean_s), 10 * n_workers, stop)
        timer = threading.Timer(0.1, ask)
        timer.start()
        assert sweep.run().ending is Ending.INTERRUPTED
        return time.monotonic() - asked_at


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, nargs="+", default=[1000, 10_000])
    parser.add_argument("--trials", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=2.0, help="mean length of a trial")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)  # a line a trial
    rows = []
    for n_workers in arguments.workers:
        row = measured(n_workers, arguments.trials, arguments.seconds)
        row["stop_wait_s"] = round(stop_wait_s(n_workers, 1000.0), 2)
        print(", ".join(f"{name} {value:,}" for name, value in row.items()), flush=True)
        rows.append(row)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
