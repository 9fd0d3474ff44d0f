"""The journal: what is appended is read back, torn lines never count."""

import errno
import os
import re
import resource
import signal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hposweep.errors import ConfigError
from hposweep.history import (
    SCHEMA,
    Ending,
    Event,
    FinalEnded,
    SegmentDied,
    SegmentEnded,
    SegmentLost,
    SegmentStarted,
    SweepEnded,
    SweepStarted,
    TrialProposed,
    replay,
)
from hposweep.sweep_folder import journal
from hposweep.sweep_folder.journal import Journal, read_events
from hposweep.trial import Direction, Expected, TrialState

numbers = st.floats(allow_nan=True, allow_infinity=True)
values = st.none() | numbers
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(), st.lists, max_leaves=3
)
counts = st.integers(0, journal.LARGEST_COUNT - 1)
finite = st.floats(allow_nan=False, allow_infinity=False)
expected = st.builds(
    lambda numbers, epoch: Expected(numbers[1], numbers[0], numbers[2], epoch),
    st.lists(finite, min_size=3, max_size=3).map(sorted),
    st.none() | counts,
)
events = st.one_of(
    st.builds(SweepStarted, counts, counts, st.text(), st.sampled_from(Direction)),
    st.builds(
        TrialProposed, counts, st.dictionaries(st.text(), plain, max_size=3), counts, expected=st.none() | expected
    ),
    st.builds(SegmentStarted, counts, counts, st.none() | counts, counts, counts),
    st.builds(SegmentDied, counts, st.floats(0, 1e9), st.text(), st.text()),
    st.builds(SegmentLost, counts, st.floats(0, 1e9), st.text(), st.text()),
    st.builds(
        SegmentEnded,
        counts,
        st.sampled_from(TrialState),
        st.none() | counts,
        st.dictionaries(st.text(), numbers, max_size=1),
        st.floats(0, 1e9),
        st.text(),
        st.text(),
        st.text(),
        st.text(),
    ),
    st.builds(FinalEnded, counts, values, st.text()),
    st.builds(SweepEnded, st.sampled_from(Ending), st.text()),
)


@pytest.mark.parametrize("kind", [SegmentDied, SegmentLost])
def test_a_line_names_the_place_of_its_job_where_there_is_one(kind: type[SegmentDied | SegmentLost]) -> None:
    assert '"place": "node7"' in journal.to_line(kind(0, 1.0, "", place="node7"), 1)
    assert '"place"' not in journal.to_line(kind(0, 1.0, ""), 1)


def test_a_line_says_what_was_expected_where_something_was() -> None:
    assert '"expected"' not in journal.to_line(TrialProposed(0, {}, 7), 1)
    line = journal.to_line(TrialProposed(0, {}, 7, expected=Expected(0.2, 0.1, 0.4, 9)), 1)
    assert '"expected": {"median": 0.2, "low": 0.1, "high": 0.4, "epoch": 9}' in line


@given(event=events, number=st.integers(1, 10**6))
def test_an_event_is_one_line_that_reads_back_as_the_same(event: Event, number: int) -> None:
    line = journal.to_line(event, number)
    assert "\n" not in line
    # By repr, in which NaN is equal to NaN.
    assert repr(journal.from_line(line, number)) == repr(event)
    for other in (number - 1, number + 1):
        with pytest.raises(ValueError, match="not the line that was written here"):
            journal.from_line(line, other)


def some_events() -> list[Event]:
    return [
        SweepStarted(2, 0, "error", Direction.minimize),
        TrialProposed(0, {"x": 0.1}, 7),
        SegmentStarted(0, 0, None, 1),
        SegmentEnded(0, TrialState.COMPLETE, None, {"error": 0.25}, 1.5, folder="trials/0"),
        TrialProposed(1, {"x": 0.2}, 8),
        SegmentStarted(1, 0, None, 1),
    ]


def test_what_was_appended_is_replayed(tmp_path: Path) -> None:
    file = Journal.open(tmp_path)
    file.append(*some_events())
    file.close()
    history = replay(read_events(tmp_path))
    assert history.incumbent is not None
    assert history.incumbent.number == 0
    assert history.trials[1].state is TrialState.RUNNING
    assert (history.n_ended, history.n_failed) == (1, 0)


@pytest.mark.parametrize("n_torn", [1, 10, 60])
def test_a_torn_last_line_is_passed_over_and_cut_before_the_next_event(tmp_path: Path, n_torn: int) -> None:
    file = Journal.open(tmp_path)
    file.append(*some_events())
    file.close()
    path = tmp_path / journal.FILE_NAME
    path.write_bytes(path.read_bytes()[:-n_torn])
    assert 1 in replay(read_events(tmp_path)).trials

    file = Journal.open(tmp_path)
    file.append(SweepEnded(Ending.COMPLETE))
    file.close()
    *before, last = read_events(tmp_path)
    assert isinstance(last, SweepEnded)
    assert len(before) == len(some_events()) - 1


def test_damage_before_the_last_line_is_an_error_with_the_line(tmp_path: Path) -> None:
    file = Journal.open(tmp_path)
    file.append(*some_events())
    file.close()
    path = tmp_path / journal.FILE_NAME
    lines = path.read_text().splitlines(keepends=True)
    lines[2] = lines[2][:20] + "\n"
    path.write_text("".join(lines))
    with pytest.raises(ConfigError, match="line 3 is damaged"):
        list(read_events(tmp_path))


def written(folder: Path) -> tuple[Path, list[bytes]]:
    file = Journal.open(folder)
    file.append(*some_events())
    file.close()
    path = folder / journal.FILE_NAME
    return path, path.read_bytes().splitlines(keepends=True)


def refused_line(folder: Path) -> int | None:
    """The line that is named as damaged; None where all are read."""
    try:
        list(read_events(folder))
    except ConfigError as error:
        found = re.search(r": line (\d+) is damaged", str(error))
        assert found is not None, error
        return int(found[1])
    return None


def test_lines_that_were_removed_doubled_or_swapped_are_named(tmp_path: Path) -> None:
    path, lines = written(tmp_path)
    last = len(lines) - 1
    for i in range(len(lines)):
        path.write_bytes(b"".join(lines[:i] + lines[i + 1 :]))
        # What ends before its last line is what a kill before that line leaves.
        assert refused_line(tmp_path) == (None if i == last else i + 1)
        path.write_bytes(b"".join([*lines[: i + 1], lines[i], *lines[i + 1 :]]))
        assert refused_line(tmp_path) == i + 2
        if i < last:
            path.write_bytes(b"".join([*lines[:i], lines[i + 1], lines[i], *lines[i + 2 :]]))
            assert refused_line(tmp_path) == i + 1


def test_a_flipped_bit_is_named_with_its_line_or_cuts_the_last_one(tmp_path: Path) -> None:
    path, lines = written(tmp_path)
    whole = b"".join(lines)
    for position in range(len(whole)):
        changed = bytearray(whole)
        changed[position] ^= 1 << position % 8
        path.write_bytes(bytes(changed))
        n_before = whole.count(b"\n", 0, position)
        is_last_end = position == len(whole) - 1
        assert refused_line(tmp_path) == (None if is_last_end else n_before + 1), position


def test_a_journal_is_right_wherever_it_is_cut(tmp_path: Path) -> None:
    path, lines = written(tmp_path)
    whole, events = b"".join(lines), list(read_events(tmp_path))
    for n_bytes in range(len(whole)):
        path.write_bytes(whole[:n_bytes])
        assert list(read_events(tmp_path)) == events[: whole.count(b"\n", 0, n_bytes)]
        if n_bytes % 50 == 0:
            file = Journal.open(tmp_path)
            file.append(SweepEnded(Ending.COMPLETE))
            file.close()
            assert refused_line(tmp_path) is None


def test_a_later_schema_is_refused(tmp_path: Path) -> None:
    file = Journal.open(tmp_path)
    file.append(SweepStarted(1, 0, "value", Direction.minimize, schema=SCHEMA + 1))
    file.close()
    with pytest.raises(ConfigError, match="of a later version"):
        list(read_events(tmp_path))


def test_a_folder_without_a_journal_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no sweep"):
        list(read_events(tmp_path))


def test_a_second_controller_is_refused_and_told_who_has_the_sweep(tmp_path: Path) -> None:
    first = Journal.open(tmp_path)
    first.append(*some_events())
    with pytest.raises(ConfigError, match=rf"is being run by process {os.getpid()} on .*, since "):
        Journal.open(tmp_path)
    first.close()
    Journal.open(tmp_path).close()


def test_what_a_full_disk_does_not_take_leaves_no_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = Journal.open(tmp_path)
    file.append(*some_events())
    before = (tmp_path / journal.FILE_NAME).read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(ConfigError, match="No space left on device"):
        patch.setattr(os, "fsync", full)
        file.append(SweepEnded(Ending.COMPLETE))
    assert (tmp_path / journal.FILE_NAME).read_bytes() == before
    # There is room again.
    file.append(SweepEnded(Ending.COMPLETE))
    file.close()
    assert len(list(read_events(tmp_path))) == len(some_events()) + 1


@pytest.mark.parametrize("n_bytes", [1, 50, 200])
def test_a_real_limit_in_the_middle_of_a_line_leaves_the_journal_as_it_was(tmp_path: Path, n_bytes: int) -> None:
    file = Journal.open(tmp_path)
    file.append(*some_events())
    path = tmp_path / journal.FILE_NAME
    before, limits = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + n_bytes, limits[1]))
        with pytest.raises(ConfigError, match="can't be written"):
            file.append(*some_events())
        file.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_bytes() == before


@pytest.mark.parametrize("kind", ["removed", "replaced", "folder removed"])
def test_a_journal_that_is_no_longer_in_its_folder_takes_no_more_events(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "sweep"
    folder.mkdir()
    file = Journal.open(folder)
    file.append(*some_events())
    path = folder / journal.FILE_NAME
    match kind:
        case "removed":
            path.unlink()
        case "replaced":
            (folder / "other").write_bytes(path.read_bytes())
            (folder / "other").replace(path)
        case "folder removed":
            path.unlink()
            folder.rmdir()
    with pytest.raises(ConfigError, match="was removed or replaced while the sweep ran"):
        file.append(SweepEnded(Ending.COMPLETE))
    if kind == "replaced":
        assert len(list(read_events(folder))) == len(some_events())
