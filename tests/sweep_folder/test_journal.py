"""The journal: what is appended is read back, torn lines never count."""

import errno
import math
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hposweep.errors import ConfigError
from hposweep.history import (
    Event,
    FinalEnded,
    SegmentEnded,
    SegmentStarted,
    SweepEnded,
    SweepStarted,
    TrialProposed,
    replay,
)
from hposweep.sweep_folder import journal
from hposweep.sweep_folder.journal import Journal, read_events
from hposweep.trial import Direction, TrialState

values = st.none() | st.floats(allow_nan=True, allow_infinity=True)
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(), st.lists, max_leaves=3
)
events = st.one_of(
    st.builds(SweepStarted, st.integers(1), st.integers(0), st.text(), st.sampled_from(Direction)),
    st.builds(TrialProposed, st.integers(0), st.dictionaries(st.text(), plain, max_size=3), st.integers(0)),
    st.builds(SegmentStarted, st.integers(0), st.integers(0), st.none() | st.integers(1), st.integers(1)),
    st.builds(
        SegmentEnded,
        st.integers(0),
        st.sampled_from(TrialState),
        st.none() | st.integers(0),
        values,
        st.floats(0, 1e9),
        st.text(),
        st.text(),
    ),
    st.builds(FinalEnded, st.integers(0), values, st.text()),
    st.builds(SweepEnded, st.text()),
)


@given(event=events)
def test_an_event_is_one_line_that_reads_back_as_the_same(event: Event) -> None:
    line = journal.to_line(event)
    assert "\n" not in line
    again = journal.from_line(line)
    value = getattr(event, "value", None)
    if value is not None and math.isnan(value):
        assert math.isnan(again.value)  # type: ignore[attr-defined]
    else:
        assert again == event


def some_events() -> list[Event]:
    return [
        SweepStarted(2, 0, "error", Direction.minimize),
        TrialProposed(0, {"x": 0.1}, 7),
        SegmentStarted(0, 0, None, 1),
        SegmentEnded(0, TrialState.COMPLETE, None, 0.25, 1.5, folder="trials/0"),
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
    file.append(SweepEnded("complete"))
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


def test_a_later_schema_is_refused(tmp_path: Path) -> None:
    file = Journal.open(tmp_path)
    file.append(SweepStarted(1, 0, "value", Direction.minimize, schema=journal.SCHEMA + 1))
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

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigError, match="No space left on device"):
        file.append(SweepEnded("complete"))
    assert (tmp_path / journal.FILE_NAME).read_bytes() == before
