"""What a sweep shows while it runs."""

import io
import logging
from pathlib import Path

import pytest
from rich.console import Console

from hposweep.history import History, SegmentEnded, SegmentStarted, TrialProposed, values_of
from hposweep.results.terminal import progress
from hposweep.sweep_folder.learning_curve import CurveWriter
from hposweep.sweep_folder.trial_files import TrialFiles
from hposweep.trial import Trial, TrialState

ONE = "one  [0 of 4 trials]"


def history() -> History:
    found = History(metric="validation_error")
    for number, (state, value) in enumerate([(TrialState.COMPLETE, 0.25), (TrialState.FAILED, None)]):
        found.apply(TrialProposed(number, {"optimizer.learning_rate": 0.1}, 0))
        found.apply(SegmentStarted(number, 0, None, 1))
        found.apply(SegmentEnded(number, state, None, values_of("validation_error", value), 1.0, folder=str(number)))
    found.apply(TrialProposed(2, {"optimizer.learning_rate": 0.012345, "text": "[red]x"}, 0))
    found.apply(SegmentStarted(2, 0, None, 2))
    return found


@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_live_view_tells_how_the_sweep_stands(tmp_path: Path, width: int) -> None:
    files = TrialFiles(tmp_path, "2")
    files.make_folder()
    CurveWriter(files.learning_curve).write({"epoch": 1, "validation_error": 0.5})
    times = iter([0.0, 60.0])
    view = progress.LiveView(
        history(), 10, lambda trial: TrialFiles(tmp_path, str(trial.number)), lambda: next(times), 0
    )
    console = Console(file=io.StringIO(), width=width)
    console.print(view)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    lines = text.splitlines()
    assert all(len(line) <= width for line in lines)
    assert lines[0].startswith("2 of 10 trials")
    assert "1:00" in lines[0]
    assert lines[1].startswith("best: trial 0, validation_error 0.25"[:width])
    assert lines[2].startswith("  trial 2 (attempt 2): epoch 1, 0.5"[: width - 1])
    if width == 200:
        assert "about 4:00 left" in lines[0]
        assert "1 FAILED" in lines[1]
        assert "learning_rate 0.01235, text [red]x" in lines[2]


def test_under_a_scheduler_waiting_trials_are_done_for_now_and_running_ones_have_a_target(tmp_path: Path) -> None:
    found = History(metric="validation_error")
    for number, value in enumerate([0.4, 0.3]):
        found.apply(TrialProposed(number, {}, 0, target_epoch=1))
        found.apply(SegmentStarted(number, 0, 1, 1))
        found.apply(
            SegmentEnded(number, TrialState.PAUSED, 1, values_of("validation_error", value), 1.0, folder=str(number))
        )
    found.apply(SegmentStarted(0, 1, 3, 1))
    files = TrialFiles(tmp_path, "0")
    files.make_folder()
    CurveWriter(files.learning_curve).write({"epoch": 1, "validation_error": 0.4})
    console = Console(file=io.StringIO(), width=100)
    console.print(progress.LiveView(found, 10, lambda trial: TrialFiles(tmp_path, str(trial.number))))
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert lines[0].startswith("1 of 10 trials")
    assert lines[1].startswith("no complete trial yet; the best so far: trial 1, validation_error 0.3")
    assert lines[2].startswith("  trial 0: epoch 1 of 3, 0.4")


def test_the_live_view_tells_of_the_workers_what_there_is_to_say() -> None:
    def files_of(trial: Trial) -> TrialFiles:
        return TrialFiles(Path("/nonexistent"), "")

    console = Console(file=io.StringIO(), width=80)
    console.print(progress.LiveView(history(), 10, files_of, overview=lambda: "3 nodes, 12 queued"))
    console.print(progress.LiveView(history(), 10, files_of))
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert lines[2] == "3 nodes, 12 queued"
    assert len(lines) == 4 + 3


def test_without_a_terminal_a_line_passes_now_and_then(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    overview = [""]
    keep = progress._NowAndThen(history(), 9, lambda: overview[0], lambda: now[0])
    progress.TUNER_LOG.addFilter(keep)
    try:
        with caplog.at_level(logging.INFO, "hposweep.tuner"):
            for number in range(5):
                progress.TUNER_LOG.info("trial %d", number)
                now[0] += 1.0
                overview[0] = "3 nodes, 12 queued"
            progress.TUNER_LOG.warning("trial 9: FAILED")
            progress.TUNER_LOG.info("trial 10")
    finally:
        progress.TUNER_LOG.removeFilter(keep)
    assert caplog.messages == [
        "trial 0  [2 of 9 trials]",
        "trial 3  [2 of 9 trials; 3 nodes, 12 queued]",
        "trial 9: FAILED",
    ]


@pytest.mark.parametrize(("is_notebook", "stream"), [(False, "err"), (True, "out")])
def test_what_nobody_has_configured_is_heard_where_a_script_or_a_notebook_shows_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, is_notebook: bool, stream: str
) -> None:
    console = Console(file=io.StringIO(), force_jupyter=is_notebook)
    monkeypatch.setattr(progress, "terminal", lambda: console)
    with progress.audible():
        progress.TUNER_LOG.info("trial 0")
        logging.getLogger("somebody.else").info("not ours")
    progress.TUNER_LOG.info("trial 1")
    assert getattr(capsys.readouterr(), stream) == "trial 0\n"


def test_a_program_that_has_configured_logging_gets_the_lines_itself(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO), progress.audible():
        progress.TUNER_LOG.info("trial 0")
    assert caplog.messages == ["trial 0"]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("mode", "shown"), [("none", []), ("log", [ONE]), ("auto", [ONE]), ("live", [])])
def test_the_modes(caplog: pytest.LogCaptureFixture, mode: str, shown: list[str]) -> None:
    console = Console(file=io.StringIO(), width=80)
    with (
        caplog.at_level(logging.INFO, "hposweep.tuner"),
        progress.shown(mode, History(), 4, lambda trial: TrialFiles(Path(), ""), lambda: "", console),
    ):
        progress.TUNER_LOG.info("one")
    assert caplog.messages == shown
    assert not progress.TUNER_LOG.filters


def test_a_trial_is_drawn_before_it_has_a_folder() -> None:
    found = history()
    view = progress.LiveView(found, 3, lambda trial: TrialFiles(Path("/nonexistent"), str(trial.number)))
    console = Console(file=io.StringIO(), width=80)
    console.print(view)
    assert "trial 2 (attempt 2): starting" in console.file.getvalue()  # type: ignore[attr-defined]
    assert isinstance(found.trials[2], Trial)
