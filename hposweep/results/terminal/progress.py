"""What a sweep shows while it runs: a live display on a terminal or in a notebook, else a line every few seconds."""

from __future__ import annotations

import io
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from hposweep.history import History, best_partial, count_states
from hposweep.number_text import number_text
from hposweep.results.shown_values import value_and_seeds, value_shown
from hposweep.results.terminal.console import terminal
from hposweep.search_space import Configuration
from hposweep.secret_keys import masked_configuration
from hposweep.shown_text import cut, visible
from hposweep.sweep_folder.tables import n_epochs
from hposweep.sweep_folder.trial_files import TrialFiles
from hposweep.trial import Trial, TrialState

MODES = ("auto", "live", "log", "none")
REFRESHES_PER_S = 4
SECONDS_BETWEEN_PICTURES = 0.5  # in a notebook
SECONDS_BETWEEN_LINES = 3.0
MOST_RUNNING_SHOWN = 12
WIDEST = 100  # columns: more are not read at a glance
WIDEST_BAR, NARROWEST_BAR = 40, 8
MOST_CHARACTERS = 200  # of a value
BETWEEN = "   "
PICTURE = "<pre style='line-height: 1.3; white-space: pre-wrap'>{code}</pre>"  # code is what rich fills in

TUNER_LOG = logging.getLogger("hposweep.tuner")


class LiveView:
    """The sweep as it stands, drawn anew at each refresh; no line is longer than the terminal."""

    def __init__(
        self,
        history: History,
        n_trials: int,
        files_of: Callable[[Trial], TrialFiles],
        clock: Callable[[], float] = time.monotonic,
        n_done_before: int | None = None,
        *,
        overview: Callable[[], str] = lambda: "",
        stage: Callable[[], str] = lambda: "",
        time_budget_s: float | None = None,
    ) -> None:
        """Draws the sweep's history, and the files of the trials that run.

        Args:
            n_trials: how many there will be at most.
            files_of: the files of a trial that runs.
            n_done_before: trials that were done when the clock was started; None: those that are by now.
            overview: a line on the workers, empty where there is nothing to say; asked from another thread.
            stage: what the searcher is at, the same way.
            time_budget_s: seconds after which the sweep stops; None: any.
        """
        self._history, self._n_trials, self._files_of, self._clock = history, n_trials, files_of, clock
        self._overview, self._stage, self._time_budget_s = overview, stage, time_budget_s
        self._started_at = clock()
        self._n_done_before = history.n_done if n_done_before is None else n_done_before

    def in_short(self) -> str:
        """How far the sweep is, for the end of a line of the log."""
        return "; ".join(filter(None, [self._done_text(), visible(self._overview())]))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = min(options.max_width, WIDEST)
        above = [*self._best_lines(width), *self._standing_lines(width)]
        # The tuner changes the history meanwhile, in another thread.
        running = [trial for trial in list(self._history.under_way.values()) if trial.state is TrialState.RUNNING]
        # The line of the bar, and the last one, which the cursor or the number of the others has.
        n_shown = max(1, min(MOST_RUNNING_SHOWN, options.size.height - len(above) - 2))
        lines = [f"  {self._running_text(trial)}" for trial in running[:n_shown]]
        if len(running) > n_shown:
            lines.append(f"  and {len(running) - n_shown} more")
        narrow = options.update(width=width)
        yield from console.render(self._bar(width), narrow)
        for position, line in enumerate((*above, *lines)):
            style = "bold" if position == 0 else ""
            yield from console.render(Text(visible(line), overflow="ellipsis", no_wrap=True, style=style), narrow)

    def _done_text(self) -> str:
        # With configurations of the user's own there may be more than the searcher has.
        return f"{self._history.n_done:,} of {self._n_in_all:,} trials"

    @property
    def _n_in_all(self) -> int:
        return max(self._n_trials, len(self._history.trials))

    def _bar(self, width: int) -> Table:
        n_done, elapsed_s = self._history.n_done, self._clock() - self._started_at
        share = n_done / max(1, self._n_in_all)
        if self._time_budget_s is not None:
            share = max(share, min(1.0, elapsed_s / self._time_budget_s))
        done, times = self._done_text(), self._times_text(elapsed_s)
        left = width - cell_len(done) - cell_len(times) - 2 * 2
        grid = Table.grid(padding=(0, 2))
        cells: list[Text | ProgressBar] = [Text(done)]
        grid.add_column(no_wrap=True)
        if left >= NARROWEST_BAR:
            grid.add_column(width=min(left, WIDEST_BAR))
            cells.append(ProgressBar(total=1.0, completed=share, complete_style="cyan", finished_style="cyan"))
        grid.add_column(no_wrap=True, overflow="ellipsis")
        grid.add_row(*cells, Text(times))
        return grid

    def _times_text(self, elapsed_s: float) -> str:
        """The time that has passed, that of the budget, and what is left if that runs not out before."""
        n_done = self._history.n_done
        n_here, n_left = n_done - self._n_done_before, self._n_in_all - n_done
        left_s = elapsed_s / n_here * n_left if n_here > 0 and n_left > 0 else None
        passed = _clock_text(elapsed_s)
        if self._time_budget_s is not None:
            passed += f" of {_clock_text(self._time_budget_s)}"
            if left_s is not None and elapsed_s + left_s > self._time_budget_s:
                left_s = None
        return passed if left_s is None else f"{passed}, about {_clock_text(left_s)} left"

    def _best_lines(self, width: int) -> list[str]:
        best, so_far = self._history.incumbent, None
        if best is None:
            so_far = best_partial(self._history)
        text = "no trial is complete yet"
        if best is not None:
            text = f"best: trial {best.number}, {self._history.metric} {value_and_seeds(self._history, best)}"
        elif so_far is not None and so_far.value is not None:
            value = number_text(so_far.value)
            text = f"none complete yet; best: trial {so_far.number}, {self._history.metric} {value}"
        found = best or so_far
        first, *rest = packed([text, "" if found is None else _values_text(found.configuration)], width)
        return [first, *(f"  {line}" for line in rest)]

    def _standing_lines(self, width: int) -> list[str]:
        counts = count_states(self._history)
        counts.pop(TrialState.RUNNING, None)  # they have lines of their own
        states = ", ".join(f"{n:,} {state}" for state, n in counts.items())
        rungs = rungs_text(dict(self._history.reached), width)
        return packed([states, rungs, self._stage(), self._overview()], width)

    def _running_text(self, trial: Trial) -> str:
        curve = self._files_of(trial).read_curve()
        again = f" (attempt {trial.attempts})" if trial.attempts > 1 else ""
        error = curve[-1].get(self._history.metric) if curve else None
        target = "" if trial.target_epoch is None else f" of {trial.target_epoch}"
        value = "" if error is None else f", {number_text(error)}"
        stands = f"epoch {n_epochs(trial, curve)}{target}{value}" if curve else "starting"
        return f"trial {trial.number}{again}: {stands}  {_values_text(trial.configuration)}"


def packed(texts: Sequence[str], width: int) -> list[str]:
    """Lines of as many of the texts as have room beside each other; empty ones are left out."""
    lines: list[str] = []
    for text in filter(None, map(visible, texts)):
        if lines and cell_len(lines[-1]) + len(BETWEEN) + cell_len(text) <= width:
            lines[-1] += f"{BETWEEN}{text}"
        else:
            lines.append(text)
    return lines


def rungs_text(reached: Mapping[int, int], width: int) -> str:
    """How many trials have come to each rung, such as `rungs 1: 27  3: 9  9: 3`; the first and last of very many."""
    parts = [f"{level}: {reached[level]:,}" for level in sorted(reached)]
    shown = parts
    while len(shown) > 1 and len(text := f"rungs {'  '.join(shown)}") > width:
        parts = [parts[0], *parts[2:]]
        shown = [parts[0], "…", *parts[1:]]
    return text if len(shown) > 1 else "".join(f"rungs {part}" for part in shown)


def _values_text(configuration: Configuration) -> str:
    values = masked_configuration(configuration).items()
    return ", ".join(f"{key.rpartition('.')[2]} {cut(value_shown(value), MOST_CHARACTERS)}" for key, value in values)


class _NowAndThen(logging.Filter):
    """Lets a line of information pass every few seconds, and lets it say how far the sweep is."""

    def __init__(self, view: LiveView, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._view, self._clock = view, clock
        self._passed_at = -SECONDS_BETWEEN_LINES

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno > logging.INFO:
            return True
        if self._clock() - self._passed_at < SECONDS_BETWEEN_LINES:
            return False
        record.msg, record.args = f"{record.getMessage()}  [{self._view.in_short()}]", ()
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
def shown(mode: str, view: LiveView, console: Console | None = None) -> Iterator[None]:
    """Shows the progress of the sweep while this lasts.

    Args:
        mode: one of MODES; auto is live on a terminal and in a notebook, else log.
    """
    console = console or terminal()
    if mode == "auto":
        mode = "live" if console.is_terminal or console.is_jupyter else "log"
    if mode == "log":
        with _filtered(_NowAndThen(view)):
            yield
        return
    with _filtered(_no_information):
        if mode == "none":
            yield
            return
        with _live_in_a_notebook(view) if console.is_jupyter else _live(view, console):
            yield


@contextmanager
def _live(view: LiveView, console: Console) -> Iterator[None]:
    with Live(view, console=console, refresh_per_second=REFRESHES_PER_S, transient=True), _logs_above_it():
        yield


@contextmanager
def _live_in_a_notebook(view: LiveView) -> Iterator[None]:
    """One output of the cell, whose content changes. (rich's own needs ipywidgets.)"""
    from IPython.display import display

    handle = display(_picture(view), raw=True, display_id=True)  # type: ignore[no-untyped-call]
    is_over = threading.Event()

    def refresh() -> None:
        while not is_over.wait(SECONDS_BETWEEN_PICTURES):
            handle.update(_picture(view), raw=True)

    thread = threading.Thread(target=refresh, daemon=True, name="progress")
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
        handle.update(_picture(view), raw=True)


def _picture(view: LiveView) -> dict[str, str]:
    """The display by media type."""
    console = Console(
        file=io.StringIO(), record=True, width=WIDEST, force_terminal=True, force_jupyter=False, color_system="standard"
    )
    console.print(view)
    page = console.export_html(inline_styles=True, code_format=PICTURE, clear=False)
    return {"text/html": page, "text/plain": console.export_text()}


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


def _clock_text(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
