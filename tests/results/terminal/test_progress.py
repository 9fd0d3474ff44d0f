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


def text_of(view: progress.LiveView, width: int = 100, height: int = 25) -> str:
    console = Console(file=io.StringIO(), width=width, height=height)
    console.print(view)
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def nowhere(trial: Trial) -> TrialFiles:
    return TrialFiles(Path("/nonexistent"), "")


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
def test_the_live_view_tells_how_the_sweep_stands(tmp_path: Path, width: int) -> None:
    files = TrialFiles(tmp_path, "2")
    files.make_folder()
    CurveWriter(files.learning_curve).write({"epoch": 1, "validation_error": 0.5})
    times = iter([0.0, 60.0])
    view = progress.LiveView(
        history(), 10, lambda trial: TrialFiles(tmp_path, str(trial.number)), lambda: next(times), 0
    )
    text = text_of(view, width)
    lines = text.splitlines()
    assert all(len(line) <= min(width, progress.WIDEST) for line in lines)
    assert lines[0].startswith("2 of 10 trials")
    assert "1:00, about 4:00 left" in lines[0]
    assert lines[1].startswith("best: trial 0, validation_error 0.25")
    assert "learning_rate 0.1" in text
    assert "1 COMPLETE, 1 FAILED" in text
    assert lines[-1].startswith("  trial 2 (attempt 2): epoch 1, 0.5"[: width - 1])
    if width >= 80:
        assert lines[1].endswith("   learning_rate 0.1")
        assert "learning_rate 0.01235, text [red]x" in lines[-1]


def test_the_bar_does_not_stretch_and_leaves_where_there_is_no_room_for_it() -> None:
    times = [0.0, 60.0, 60.0]
    view = progress.LiveView(history(), 10, nowhere, lambda: times.pop(0), 0)
    assert text_of(view, 200).splitlines()[0].count("━") <= progress.WIDEST_BAR
    assert text_of(view, 38).splitlines()[0] == "2 of 10 trials  1:00, about 4:00 left"


@pytest.mark.parametrize(
    ("time_budget_s", "shown"), [(None, "1:00, about 4:00 left"), (600.0, "1:00 of 10:00, about 4:00 left")]
)
def test_what_is_left_is_that_of_the_trials(time_budget_s: float | None, shown: str) -> None:
    times = iter([0.0, 60.0])
    view = progress.LiveView(history(), 10, nowhere, lambda: next(times), 0, time_budget_s=time_budget_s)
    assert text_of(view).splitlines()[0].endswith(shown)


def test_where_the_time_budget_ends_first_it_is_what_the_bar_shows() -> None:
    times = iter([0.0, 60.0])
    view = progress.LiveView(history(), 1_000_000, nowhere, lambda: next(times), 0, time_budget_s=120)
    line = text_of(view).splitlines()[0]
    assert line.startswith("2 of 1,000,000 trials") and line.endswith("1:00 of 2:00")


def test_configurations_of_the_user_s_own_may_be_more_than_the_searcher_has() -> None:
    assert text_of(progress.LiveView(history(), 2, nowhere)).startswith("2 of 3 trials")


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
    lines = text_of(progress.LiveView(found, 10, lambda trial: TrialFiles(tmp_path, str(trial.number)))).splitlines()
    assert lines[0].startswith("1 of 10 trials")
    assert lines[1] == "none complete yet; best: trial 1, validation_error 0.3"
    assert lines[2] == "1 PAUSED   rungs 1: 2"
    assert lines[3].startswith("  trial 0: epoch 1 of 3, 0.4")


def test_rungs_show_how_many_trials_have_come_to_them() -> None:
    reached = {3: 9, 1: 27, 9: 1_003}
    assert progress.rungs_text(reached, 80) == "rungs 1: 27  3: 9  9: 1,003"
    assert progress.rungs_text({}, 80) == ""
    assert progress.rungs_text({4: 1}, 5) == "rungs 4: 1"
    assert progress.rungs_text({epoch: 50 - epoch for epoch in range(1, 41)}, 30) == "rungs 1: 49  …  39: 11  40: 10"


def test_texts_stand_beside_each_other_where_there_is_room() -> None:
    assert progress.packed(["3 COMPLETE", "", "rungs 1: 3", "tpe"], 23) == ["3 COMPLETE   rungs 1: 3", "tpe"]
    assert progress.packed(["3 COMPLETE", "rungs 1: 3"], 22) == ["3 COMPLETE", "rungs 1: 3"]


def test_the_live_view_tells_of_searcher_and_workers_what_there_is_to_say() -> None:
    view = progress.LiveView(
        history(), 10, nowhere, overview=lambda: "3 nodes, 12 queued", stage=lambda: "tpe: start-up, 1 of 10 results"
    )
    assert "1 COMPLETE, 1 FAILED   tpe: start-up, 1 of 10 results   3 nodes, 12 queued" in text_of(view).splitlines()
    assert "1 COMPLETE, 1 FAILED" in text_of(progress.LiveView(history(), 10, nowhere)).splitlines()


def test_a_low_terminal_shows_fewer_of_the_running_trials() -> None:
    found = History(metric="error")
    for number in range(20):
        found.apply(TrialProposed(number, {"x": 1}, 0))
        found.apply(SegmentStarted(number, 0, None, 1))
    for height in (3, 8, 100):
        lines = text_of(progress.LiveView(found, 20, nowhere), height=height).splitlines()
        n_shown = max(1, min(height - 3, progress.MOST_RUNNING_SHOWN))
        assert len(lines) == 2 + n_shown + 1
        assert lines[-1] == f"  and {20 - n_shown} more"


def test_what_comes_from_elsewhere_does_nothing_to_the_terminal_and_secrets_are_masked() -> None:
    control = "\x1b]0;owned\x07\x1b[2J\r\x9b31m\u202eleft\u2028\x00"
    found = History(metric=f"error{control}")
    for number in range(2):
        found.apply(TrialProposed(number, {f"a.{control}": control, "api_key": "hunter2", "x": "y" * 10_000}, 0))
        found.apply(SegmentStarted(number, 0, None, 1))
    found.apply(SegmentEnded(0, TrialState.COMPLETE, None, {f"error{control}": 0.5}, 1.0))
    view = progress.LiveView(found, 4, nowhere, overview=lambda: control, stage=lambda: control)
    for width in (40, 100):
        text = text_of(view, width)
        assert all(line.isprintable() for line in text.split("\n")) and "hunter2" not in text
        assert max(map(len, text.split("\n"))) <= width
    assert "<" not in progress._picture(view)["text/plain"]
    assert view.in_short().isprintable()


def test_without_a_terminal_a_line_passes_now_and_then(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    overview = [""]
    view = progress.LiveView(history(), 9, nowhere, overview=lambda: overview[0])
    keep = progress._NowAndThen(view, lambda: now[0])
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
        progress.shown(mode, progress.LiveView(History(), 4, nowhere), console),
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
