"""Draws docs/progress.svg: the live display of a real sweep, as it stands half-way.

python docs/make_progress_picture.py
"""

import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from hposweep.history import Event, History, results_of
from hposweep.results.terminal.progress import LiveView
from hposweep.search_space import SearchSpace
from hposweep.searchers import stage_of
from hposweep.searchers.tpe import TpeSearcher
from hposweep.sweep_folder.journal import FILE_NAME, read_events
from hposweep.sweep_folder.sweep_yaml import read_record
from hposweep.sweep_folder.trial_files import TrialFiles

DOCS = Path(__file__).resolve().parent
N_TRIALS = 27
WORDS = ["model=mlp", "searcher=tpe", "scheduler=asha"]
SMALL = [f"hydra.sweeper.n_trials={N_TRIALS}", "data.train_fraction=0.3", "trainer.max_epochs=9"]


def main() -> None:
    """Runs the sweep, and draws what its journal and its curves tell when two thirds of the trials have begun."""
    with tempfile.TemporaryDirectory() as name:
        sweep = Path(name) / "swept"
        command = [sys.executable, "-m", "hposweep", "--multirun", *WORDS, *SMALL, f"hydra.sweep.dir={sweep}"]
        started = time.monotonic()
        process = subprocess.Popen(command, cwd=name, stdout=subprocess.DEVNULL)
        while not _is_worth_seeing(sweep, history := _history(sweep)):
            time.sleep(0.1)
        times = iter([started, time.monotonic()])
        view = LiveView(
            history,
            N_TRIALS,
            lambda trial: TrialFiles(sweep, f"trials/{trial.number}"),
            lambda: next(times),
            0,
            stage=lambda: _stage(sweep),
        )
        console = Console(record=True, width=100, force_terminal=True)
        console.print(view)
        console.print()  # else the picture's lower edge hides underscores
        svg = console.export_svg(title=f"python -m hposweep --multirun {' '.join(WORDS)}")
        # Nothing is loaded from elsewhere: the reader's own font for code will do.
        (DOCS / "progress.svg").write_text(re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL), encoding="utf-8")
        process.wait()


def _events(sweep: Path) -> Sequence[Event]:
    return list(read_events(sweep)) if (sweep / FILE_NAME).exists() else []


def _history(sweep: Path) -> History:
    history, _ = results_of(_events(sweep))
    return history


def _is_worth_seeing(sweep: Path, history: History) -> bool:
    """Whether two thirds of the trials have begun, one is complete, and those that run have learnt something."""
    if len(history.trials) <= N_TRIALS * 2 // 3 or history.incumbent is None or len(history.under_way) < 2:
        return False
    return all(TrialFiles(sweep, f"trials/{number}").read_curve() for number in history.under_way)


def _stage(sweep: Path) -> str:
    """What the searcher was at, which is told what it was told."""
    events, record = _events(sweep), read_record(sweep)
    assert record is not None
    searcher = TpeSearcher(SearchSpace.of(record.dimensions), 0)
    history, told = results_of(events)
    for trial in history.trials.values():
        searcher.start(trial)
    for trial, loss in told:
        searcher.tell(trial, loss)
    return stage_of(searcher)


if __name__ == "__main__":
    main()
