"""Sweeps in a table, and one of them as it stood at its end: whatever their state."""

from __future__ import annotations

import dataclasses
import datetime
import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from hposweep.history import Ending, Event, SegmentEnded, SegmentStarted, SweepEnded, SweepStarted, TrialProposed
from hposweep.results.overview import overview, sweep_folders
from hposweep.results.terminal import sweeps
from hposweep.sweep_folder.journal import FILE_NAME, Journal
from hposweep.trial import Direction, TrialState
from support.processes import Run
from support.sweeps import change_journal

NOW = datetime.datetime(2026, 7, 1, tzinfo=datetime.UTC)
CONTROL = "\x1b]0;owned\x07\x1b[2J\r\x9b31m\u202eleft\u2028"


def trials(n: int, *states: TrialState, epoch: int | None = None) -> Iterator[Event]:
    yield SweepStarted(n, 0, "error", Direction.minimize, controller="process 7 on node3")
    for number, state in enumerate(states):
        values = {} if state is TrialState.FAILED else {"error": 1 / (number + 3)}
        yield TrialProposed(number, {"rate": number / 10, "api_key": "hunter2"}, 0, epoch)
        yield SegmentStarted(number, 0, epoch, 1)
        if state is not TrialState.RUNNING:
            yield SegmentEnded(number, state, epoch, values, 1.0, folder=f"trials/{number}")


def make(folder: Path, events: Sequence[Event], age_s: float = 0.0) -> Journal:
    folder.mkdir(parents=True)
    journal = Journal.open(folder)
    moment = NOW - datetime.timedelta(seconds=age_s)
    journal.append(*(dataclasses.replace(event, time=moment.isoformat()) for event in events))
    os.utime(folder / FILE_NAME, (moment.timestamp(), moment.timestamp()))
    return journal


@pytest.fixture
def outputs(tmp_path: Path) -> Iterator[Path]:
    """A sweep in each state, one of them run by this process."""
    folder, complete = tmp_path / "outputs", [TrialState.COMPLETE] * 3
    make(folder / "finished", [*trials(10, *complete), SweepEnded(Ending.COMPLETE)], 8 * 86_400).close()
    stopped = [*trials(16, TrialState.FAILED, *complete), SweepEnded(Ending.TIME_BUDGET)]
    make(folder / "stopped", stopped, 5 * 3_600).close()
    make(folder / "killed", list(trials(2_000, *[TrialState.PAUSED] * 3, epoch=9)), 130).close()
    make(folder / "unreadable", list(trials(4, *complete)), 90).close()
    with open(folder / "unreadable" / FILE_NAME, "a") as file:
        file.write("nonsense\n")
    os.utime(folder / "unreadable" / FILE_NAME, (NOW.timestamp() - 90,) * 2)
    running = make(folder / "running", list(trials(4, TrialState.COMPLETE, TrialState.RUNNING)), 5)
    (folder / "not a sweep").mkdir()
    yield folder
    running.close()


def lines_of(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines() if line.strip() and not line.strip().startswith("─")]


def drawn(folder: Path, width: int, monkeypatch: pytest.MonkeyPatch) -> str:
    """What `ls` shows on a terminal of this width."""
    console = Console(file=io.StringIO(), width=width)
    monkeypatch.setattr(sweeps, "terminal", lambda: console)
    sweeps.print_sweeps(folder, [overview(each) for each in sweep_folders(folder)], NOW)
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def test_ls_shows_a_row_a_sweep_the_newest_first(outputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = lines_of(drawn(outputs, 120, monkeypatch))
    assert rows[:6] == [
        ["sweep", "state", "trials", "failed", "best", "metric", "age"],
        ["running", "running", "1", "of", "4", "0.3333", "error", "5", "s"],
        ["unreadable", "unreadable"],
        ["killed", "killed", "3", "of", "2,000", "0.2", "error", "at", "epoch", "9", "2", "min"],
        ["stopped", "stopped", "4", "of", "16", "1", "0.1667", "error", "5", "h"],
        ["finished", "finished", "3", "0.2", "error", "8", "d"],
    ]
    # Folded where the folder's name is long.
    why = " ".join(word for row in rows[6:] for word in row)
    assert why.startswith(f"{outputs}/unreadable/{FILE_NAME}: line 11 is damaged")


def test_on_a_narrow_terminal_nothing_is_lost(outputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for width in (30, 60, 70, 80):
        text = drawn(outputs, width, monkeypatch)
        assert max(map(len, text.splitlines())) <= width
        for name in ("running", "unreadable", "killed", "stopped", "finished"):
            assert f"{name}" in text
        words = " ".join(text.split())
        assert "4 of 16" in words and "0.1667" in words and "5 h" in words
    in_words = "\n".join(map(str.rstrip, drawn(outputs, 64, monkeypatch).splitlines()))
    assert "killed\n  killed, 3 of 2,000 trials, best 0.2 (error at epoch 9), 2 min\n" in in_words


def test_ls_takes_outputs_where_no_folder_is_named_and_a_sweep_s_own_folder(outputs: Path, hposweep_here: Run) -> None:
    done = hposweep_here("ls")
    assert (done.exit_code, done.err) == (0, "")
    assert [line[0] for line in lines_of(done.out)[1:6]] == ["running", "unreadable", "killed", "stopped", "finished"]
    assert [line[0] for line in lines_of(hposweep_here("ls", "outputs/killed").out)] == ["sweep", "killed"]


@pytest.mark.parametrize(
    ("folder", "message"), [("nosuch", "ls: nosuch: no such folder"), (".", "ls: .: holds no sweep of hposweep")]
)
def test_where_there_is_nothing_ls_says_so_in_one_line(hposweep_here: Run, folder: str, message: str) -> None:
    done = hposweep_here("ls", folder)
    assert (done.exit_code, done.out, done.error_lines) == (1, "", [message])


def test_names_of_folders_and_metrics_do_nothing_to_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hposweep_here: Run
) -> None:
    name = f"name{CONTROL}[red]"
    started = SweepStarted(1, 0, f"error{CONTROL}", Direction.minimize, controller=CONTROL)
    ended = SegmentEnded(0, TrialState.COMPLETE, None, {f"error{CONTROL}": 0.5}, 1.0, f"{CONTROL}", CONTROL)
    events = [started, TrialProposed(0, {f"x{CONTROL}": CONTROL}, 0), SegmentStarted(0, 0, None, 1), ended]
    make(tmp_path / "outputs" / name, [*events, SweepEnded(Ending.FAILURE_RATE, CONTROL)]).close()
    for text in (
        *(drawn(tmp_path / "outputs", width, monkeypatch) for width in (30, 150)),
        hposweep_here("show", f"outputs/{name}").out,
    ):
        assert all(line.isprintable() for line in text.split("\n")) and "[red]" in text


def test_an_age_that_nobody_has_written_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, time in enumerate(["", "yesterday", "2026-07-01T00:00:00"]):
        folder = tmp_path / f"{number}"
        make(folder, list(trials(4, TrialState.COMPLETE))).close()
        change_journal(folder, NOW.isoformat(), time)
    table = drawn(tmp_path, 120, monkeypatch)
    assert lines_of(table)[0] == ["sweep", "state", "trials", "best", "metric"]


def told(done: str) -> list[str]:
    return [" ".join(line.split()) for line in done.splitlines() if line.strip()]


STATES = {
    "running": "State: running, 1 of 4 trials, run by process 7 on node3",
    "killed": "State: killed, 3 of 2,000 trials: process 7 on node3, which ran it, ended without a word",
    "stopped": "State: stopped, 4 of 16 trials: the time budget is over",
    "finished": "State: finished",
}


@pytest.mark.parametrize("name", STATES)
def test_show_prints_what_the_sweep_has_come_to(outputs: Path, hposweep_here: Run, name: str) -> None:
    done = hposweep_here("show", f"outputs/{name}")
    assert (done.exit_code, done.err) == (0, "")
    lines = told(done.out)
    assert lines[0] == STATES[name]
    assert f"Folder: outputs/{name}" in lines
    resume = f"Not finished. Resume it with: python -m hposweep resume {outputs / name}"
    assert (resume in lines) is (name in ("killed", "stopped"))
    if name == "stopped":
        assert lines[1:4] == ["trial error rate api_key", lines[2], "3 0.1667 0.3 ***"]
        assert "4 trials: 3 COMPLETE, 1 FAILED" in lines
        assert "Winner: trial 3, error 0.1667" in lines
    assert "hunter2" not in done.out


def test_show_names_the_call_that_goes_on_where_no_command_started_the_sweep(outputs: Path, hposweep_here: Run) -> None:
    (outputs / "killed" / "sweep.yaml").write_text(yaml.safe_dump({"seed": 0, "search_space": {}, "metric": "error"}))
    lines = told(hposweep_here("show", "outputs/killed").out)
    assert lines[-1] == f"Not finished. Resume it with: hposweep.tune(..., folder='{outputs / 'killed'}')"


def test_show_refuses_what_can_not_be_read(outputs: Path, hposweep_here: Run) -> None:
    (line,) = hposweep_here("show", "outputs/unreadable").error_lines
    assert line.startswith("show: outputs/unreadable/journal.jsonl: line 11 is damaged")
