"""Draws docs/progress.svg: the live display of a real sweep, as it stands half-way.

python docs/make_progress_picture.py
"""

import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console

from hposweep.history import replay
from hposweep.results.terminal.progress import LiveView
from hposweep.sweep_folder.journal import FILE_NAME, read_events
from hposweep.sweep_folder.trial_files import TrialFiles

DOCS = Path(__file__).resolve().parent
N_TRIALS = 12
SWEEP = ["model=mlp", "search_space=mlp", f"hydra.sweeper.n_trials={N_TRIALS}", "data.train_fraction=0.3"]


def main() -> None:
    """Runs the sweep, and draws what its journal and its curves tell when half of the trials have ended."""
    with tempfile.TemporaryDirectory() as name:
        sweep = Path(name) / "swept"
        command = [sys.executable, "-m", "hposweep", "--multirun", *SWEEP, f"hydra.sweep.dir={sweep}"]
        started = time.monotonic()
        process = subprocess.Popen(command, cwd=name, stdout=subprocess.DEVNULL)
        while not (sweep / FILE_NAME).exists() or replay(read_events(sweep)).n_ended < N_TRIALS // 2:
            time.sleep(0.1)
        time.sleep(1)
        times = iter([started, time.monotonic()])
        history = replay(read_events(sweep))
        view = LiveView(
            history, N_TRIALS, lambda trial: TrialFiles(sweep, f"trials/{trial.number}"), lambda: next(times), 0
        )
        console = Console(record=True, width=100, force_terminal=True)
        console.print(view)
        svg = console.export_svg(title="python -m hposweep --multirun model=mlp search_space=mlp")
        # Nothing is loaded from elsewhere: the reader's own font for code will do.
        (DOCS / "progress.svg").write_text(re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL), encoding="utf-8")
        process.wait()


if __name__ == "__main__":
    main()
