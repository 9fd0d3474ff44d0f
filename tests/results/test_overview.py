"""What a folder's sweeps are at: found where people keep them, and told with real locks of real processes."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from hposweep.errors import ConfigError
from hposweep.history import Ending, Event, SegmentEnded, SegmentStarted, SweepEnded, SweepStarted, TrialProposed
from hposweep.results.overview import SweepState, overview, resume_line, sweep_folders
from hposweep.sweep_folder.journal import FILE_NAME, Journal, is_being_run
from hposweep.sweep_folder.sweep_yaml import FunctionRecord, write_record
from hposweep.trial import Direction, TrialState

STARTED = [
    SweepStarted(3, 0, "error", Direction.minimize, controller="process 7 on node3", time="2026-07-01T00:00:00+00:00"),
    TrialProposed(0, {"x": 0.5}, 7),
    SegmentStarted(0, 0, 3, 1),
    SegmentEnded(0, TrialState.COMPLETE, 3, {"error": 0.5}, 1.0, time="2026-07-01T00:00:09+00:00"),
]
RUNNER = """
import sys
from pathlib import Path
from hposweep.sweep_folder.journal import Journal
journal = Journal.open(Path(sys.argv[1]), is_watched=sys.argv[2] == "watched")
print("has it", flush=True)
sys.stdin.read()
"""


def write(folder: Path, *events: Event) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    journal = Journal.open(folder)
    journal.append(*events)
    journal.close()
    return folder


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """Another process that has the journal of tmp_path."""
    words = [sys.executable, "-c", RUNNER, str(tmp_path), "not watched"]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "has it\n"
    yield process
    process.kill()
    process.communicate()


def test_a_sweep_whose_run_ended_without_a_word_was_killed(tmp_path: Path) -> None:
    found = overview(write(tmp_path, *STARTED))
    assert (found.state, found.why, found.controller) == (SweepState.KILLED, "", "process 7 on node3")
    assert (found.started_at, found.changed_at) == ("2026-07-01T00:00:00+00:00", "2026-07-01T00:00:09+00:00")
    assert found.best is not None and found.best.number == 0


@pytest.mark.parametrize(
    "end, state, why",
    [
        (SweepEnded(Ending.COMPLETE), SweepState.FINISHED, ""),
        (SweepEnded(Ending.TIME_BUDGET), SweepState.STOPPED, "the time budget is over"),
        (SweepEnded(Ending.UNWRITABLE, "no \x1b[2J space"), SweepState.STOPPED, "no \\x1b[2J space"),
    ],
)
def test_a_run_that_ended_by_itself_says_why(tmp_path: Path, end: SweepEnded, state: SweepState, why: str) -> None:
    found = overview(write(tmp_path, *STARTED, end))
    assert (found.state, found.why) == (state, why)


def test_a_sweep_that_goes_on_is_running_whatever_its_last_run_said(tmp_path: Path) -> None:
    write(tmp_path, *STARTED, SweepEnded(Ending.TIME_BUDGET))
    journal = Journal.open(tmp_path)
    assert overview(tmp_path).state is SweepState.RUNNING
    journal.close()
    assert overview(tmp_path).state is SweepState.STOPPED


@pytest.mark.process
def test_who_runs_a_sweep_is_seen_from_another_process_until_it_is_killed(
    tmp_path: Path, elsewhere: "subprocess.Popen[str]"
) -> None:
    assert is_being_run(tmp_path) and overview(tmp_path).state is SweepState.RUNNING
    elsewhere.kill()
    elsewhere.wait()
    assert not is_being_run(tmp_path) and overview(tmp_path).state is SweepState.KILLED


@pytest.mark.parametrize("line", ["no JSON", '{"line": 2, "event": "no_such"}', "\x00\udcff"])
def test_a_damaged_journal_is_a_state_with_its_reason(tmp_path: Path, line: str) -> None:
    path = write(tmp_path, *STARTED) / FILE_NAME
    lines = path.read_text().splitlines()
    path.write_bytes("\n".join([lines[0], line, *lines[2:], ""]).encode(errors="surrogateescape"))
    found = overview(tmp_path)
    assert found.state is SweepState.UNREADABLE and "line 2 is damaged" in found.why and not found.history.trials


def test_a_folder_without_a_journal_is_unreadable(tmp_path: Path) -> None:
    found = overview(tmp_path)
    assert found.state is SweepState.UNREADABLE and "not found" in found.why


def test_readers_never_keep_a_controller_from_starting(tmp_path: Path) -> None:
    write(tmp_path, *STARTED)
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            is_being_run(tmp_path)

    readers = [threading.Thread(target=look) for _ in range(3)]
    for reader in readers:
        reader.start()
    try:
        for _ in range(1000):
            Journal.open(tmp_path).close()  # raises where it is refused
    finally:
        stop.set()
        for reader in readers:
            reader.join()


def test_sweeps_are_found_as_deep_as_hydra_puts_them_and_no_deeper(tmp_path: Path) -> None:
    expected = {"a", "multirun/2026-07-01/10-00-00", "x/y/z"}
    for name in (*expected, "x/y/deeper/than/that", ".hidden", "a/trials/0"):
        write(tmp_path / name, *STARTED)
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    assert {str(path.relative_to(tmp_path)) for path in sweep_folders(tmp_path)} == expected


def test_no_link_is_followed_to_a_sweep_but_the_named_folder_may_be_one(tmp_path: Path) -> None:
    write(tmp_path / "outside" / "sweep", *STARTED)
    (tmp_path / "outputs").mkdir()
    (tmp_path / "outputs" / "linked").symlink_to(tmp_path / "outside" / "sweep")
    (tmp_path / "outputs" / "circle").symlink_to(tmp_path / "outputs")
    (tmp_path / "link").symlink_to(tmp_path / "outside")
    assert [*sweep_folders(tmp_path / "outputs")] == []
    assert [*sweep_folders(tmp_path / "link")] == [tmp_path / "link" / "sweep"]


def test_the_folder_of_a_sweep_is_that_sweep(tmp_path: Path) -> None:
    assert [*sweep_folders(write(tmp_path, *STARTED))] == [tmp_path]


@pytest.mark.parametrize("name, why", [("nosuch", "no such folder"), ("file", "can't be read")])
def test_what_is_no_folder_is_refused_in_one_line(tmp_path: Path, name: str, why: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=why):
        [*sweep_folders(tmp_path / name)]


def test_what_resumes_a_sweep_can_be_pasted_from_anywhere(tmp_path: Path) -> None:
    sweep = write(tmp_path / "it's mine", *STARTED)
    assert resume_line(sweep) == f"python -m hposweep resume '{tmp_path}/it'\"'\"'s mine'"


def test_the_sweep_of_a_function_is_resumed_by_its_call(tmp_path: Path) -> None:
    record = FunctionRecord(seed=0, metric="error", direction="minimize", searcher="random", scheduler="fifo")
    write_record(write(tmp_path, *STARTED), record)
    assert resume_line(tmp_path) == f"hposweep.tune(..., folder='{tmp_path}')"
