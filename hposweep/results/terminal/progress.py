"""What a sweep shows while it runs: a live display on a terminal, else a line every few seconds."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from hposweep.history import History, best_partial, count_states
from hposweep.number_text import number_text
from hposweep.results.shown_values import value_shown
from hposweep.results.terminal.console import terminal
from hposweep.secret_keys import masked_configuration
from hposweep.shown_text import visible
from hposweep.sweep_folder.tables import n_epochs
from hposweep.sweep_folder.trial_files import TrialFiles
from hposweep.trial import Trial, TrialState

MODES = ("auto", "live", "log", "none")
REFRESHES_PER_S = 4
SECONDS_BETWEEN_LINES = 3.0
MOST_RUNNING_SHOWN = 12
BAD_STATES = (TrialState.FAILED, TrialState.TIMED_OUT, TrialState.DIVERGED)

TUNER_LOG = logging.getLogger("hposweep.tuner")


class LiveView:
    """The sweep as it stands, drawn anew at each refresh."""

    def __init__(
        self,
        history: History,
        n_trials: int,
        files_of: Callable[[Trial], TrialFiles],
        clock: Callable[[], float] = time.monotonic,
        n_done_before: int | None = None,
        overview: Callable[[], str] = lambda: "",
    ) -> None:
        """Draws the sweep's history, and the files of the trials that run.

        Args:
            n_done_before: trials that were done when the clock was started; None: those that are by now.
            overview: a line on the workers, empty where there is nothing to say.
        """
        self._history, self._n_trials, self._files_of, self._clock = history, n_trials, files_of, clock
        self._overview = overview
        self._started_at = clock()
        self._n_done_before = history.n_done if n_done_before is None else n_done_before

    def __rich__(self) -> RenderableType:
        # The tuner changes the history meanwhile, in another thread.
        running = [trial for trial in list(self._history.under_way.values()) if trial.state is TrialState.RUNNING]
        lines = [self._running_line(trial) for trial in running[:MOST_RUNNING_SHOWN]]
        if len(running) > MOST_RUNNING_SHOWN:
            lines.append(Text(f"  and {len(running) - MOST_RUNNING_SHOWN} more", style="dim"))
        return Group(self._bar(), self._best_line(), *self._workers_line(), *lines)

    def _workers_line(self) -> list[Text]:
        overview = visible(self._overview())
        return [Text(overview, overflow="ellipsis", no_wrap=True)] if overview else []

    def _bar(self) -> Table:
        n_done = self._history.n_done
        elapsed_s = self._clock() - self._started_at
        n_here = n_done - self._n_done_before
        left = "" if n_here <= 0 else f", about {_clock_text(elapsed_s / n_here * (self._n_trials - n_done))} left"
        grid = Table.grid(padding=(0, 1), expand=True)
        grid.add_column(no_wrap=True)
        grid.add_column(ratio=1)
        grid.add_column(no_wrap=True)
        bar = ProgressBar(total=max(1, self._n_trials), completed=n_done)
        grid.add_row(Text(f"{n_done} of {self._n_trials} trials"), bar, Text(f"{_clock_text(elapsed_s)}{left}"))
        return grid

    def _best_line(self) -> Text:
        best, so_far = self._history.incumbent, None
        if best is None:
            so_far = best_partial(self._history)
        text = "no complete trial yet" if best is None else f"best: trial {best.number}, {_metric(self._history, best)}"
        text += "" if so_far is None else f"; the best so far: trial {so_far.number}, {_metric(self._history, so_far)}"
        bad = {
            state: n for state, n in count_states(self._history).items() if state in ("FAILED", "TIMED_OUT", "DIVERGED")
        }
        counts = "".join(f", {n} {state}" for state, n in bad.items())
        return Text(visible(text + counts), overflow="ellipsis", no_wrap=True)

    def _running_line(self, trial: Trial) -> Text:
        curve = self._files_of(trial).read_curve()
        configuration = masked_configuration(trial.configuration)
        values = ", ".join(f"{key.rpartition('.')[2]} {value_shown(value)}" for key, value in configuration.items())
        again = f" (attempt {trial.attempts})" if trial.attempts > 1 else ""
        error = curve[-1].get(self._history.metric) if curve else None
        target = "" if trial.target_epoch is None else f" of {trial.target_epoch}"
        value = "" if error is None else f", {number_text(error)}"
        stands = f"epoch {n_epochs(trial, curve)}{target}{value}" if curve else "starting"
        line = visible(f"  trial {trial.number}{again}: {stands}  {values}")
        return Text(line, overflow="ellipsis", no_wrap=True, style="dim")


class _NowAndThen(logging.Filter):
    """Lets a line of information pass every few seconds, and lets it say how far the sweep is."""

    def __init__(
        self, history: History, n_trials: int, overview: Callable[[], str], clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__()
        self._history, self._n_trials, self._overview, self._clock = history, n_trials, overview, clock
        self._passed_at = -SECONDS_BETWEEN_LINES

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno > logging.INFO:
            return True
        if self._clock() - self._passed_at < SECONDS_BETWEEN_LINES:
            return False
        stands = "; ".join(filter(None, [f"{self._history.n_done} of {self._n_trials} trials", self._overview()]))
        record.msg, record.args = f"{record.getMessage()}  [{stands}]", ()
        self._passed_at = self._clock()
        return True


@contextmanager
def audible() -> Iterator[None]:
    """Within it our information is seen also where nobody has configured logging, as in a script or a notebook."""
    ours = logging.getLogger("hposweep")
    if ours.isEnabledFor(logging.INFO) and ours.hasHandlers():
        yield
        return
    # A script's standard output may be for another program; a notebook shows the other stream as an error.
    handler = logging.StreamHandler(sys.stdout if terminal().is_jupyter else sys.stderr)
    level, propagates = ours.level, ours.propagate
    ours.addHandler(handler)
    ours.setLevel(logging.INFO)
    ours.propagate = False
    try:
        yield
    finally:
        ours.removeHandler(handler)
        ours.setLevel(level)
        ours.propagate = propagates


@contextmanager
def shown(
    mode: str,
    history: History,
    n_trials: int,
    files_of: Callable[[Trial], TrialFiles],
    overview: Callable[[], str],
    console: Console | None = None,
) -> Iterator[None]:
    """Shows the progress of the sweep while this lasts.

    Args:
        mode: one of MODES; auto is live on a terminal, else log.
        files_of: the files of a trial that runs.
        overview: a line on the workers, empty where there is nothing to say; asked from another thread.
    """
    console = console or terminal()
    if mode == "auto":
        mode = "live" if console.is_terminal else "log"
    if mode == "log":
        with _filtered(_NowAndThen(history, n_trials, overview)):
            yield
        return
    with _filtered(_no_information):
        if mode == "none":
            yield
            return
        view = LiveView(history, n_trials, files_of, overview=overview)
        with Live(view, console=console, refresh_per_second=REFRESHES_PER_S, transient=True), _logs_above_it():
            yield


def _no_information(record: logging.LogRecord) -> bool:
    return record.levelno > logging.INFO


@contextmanager
def _filtered(keep: logging.Filter | Callable[[logging.LogRecord], bool]) -> Iterator[None]:
    TUNER_LOG.addFilter(keep)
    try:
        yield
    finally:
        TUNER_LOG.removeFilter(keep)


@contextmanager
def _logs_above_it() -> Iterator[None]:
    """Lets log lines appear above the display: their handlers write to the terminal that it has taken over."""
    loggers = (logging.getLogger(), logging.getLogger("hposweep"))
    handlers = [each for log in loggers for each in log.handlers if type(each) is logging.StreamHandler]
    before = [handler.setStream(sys.stdout) for handler in handlers]
    try:
        yield
    finally:
        for handler, stream in zip(handlers, before, strict=True):
            if stream is not None:
                handler.setStream(stream)


def _metric(history: History, trial: Trial) -> str:
    return history.metric if trial.value is None else f"{history.metric} {number_text(trial.value)}"


def _clock_text(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
