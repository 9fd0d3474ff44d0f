"""The lease that stands in for a lock, and tells other machines that the controller lives."""

from __future__ import annotations

import errno
import fcntl
import platform
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from hposweep.errors import ConfigError
from hposweep.history import Ending, SweepEnded, SweepStarted
from hposweep.sweep_folder import journal, lease
from hposweep.sweep_folder.journal import Journal, read_events
from hposweep.sweep_folder.lease import EXPIRES_S, FILE_NAME, HeldError, Lease, LeaseWatch
from hposweep.trial import Direction

WITHOUT_LOCKS = ["ENOLCK", "EOPNOTSUPP", "ENOTSUP", "ENOSYS", "EINVAL"]


class Clock:
    """Time that passes where somebody sleeps; meanwhile others act."""

    def __init__(self) -> None:
        self.now = 0.0
        self.meanwhile: Callable[[], None] = lambda: None

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.meanwhile()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def new(tmp_path: Path, clock: Clock) -> Iterator[Callable[[], Lease]]:
    """Makes leases of one sweep, by this clock."""
    made: list[Lease] = []

    def make() -> Lease:
        made.append(Lease(tmp_path / FILE_NAME, clock=clock, sleep=clock.sleep))
        return made[-1]

    yield make
    for each in made:
        each.release()


def write(path: Path, token: str, counter: int, machine: str = "elsewhere") -> None:
    path.write_text(f"{token} {counter} process 1 on {machine}\n")


OTHER = "0123456789abcdef"


def test_a_lease_that_nobody_has_is_held_until_it_is_given_back(new: Callable[[], Lease], tmp_path: Path) -> None:
    first = new()
    first.take()
    first.check()
    holder = lease.read(tmp_path / FILE_NAME)
    assert holder is not None
    assert (holder.token, holder.machine) == (first.token, platform.node())
    first.release()
    assert list(tmp_path.iterdir()) == []
    new().take()


def test_one_whose_counter_moves_is_held_by_another(new: Callable[[], Lease], tmp_path: Path, clock: Clock) -> None:
    first = new()
    first.take()
    second, before = new(), clock.now
    clock.meanwhile = first.renew
    with pytest.raises(HeldError):
        second.take()
    assert clock.now - before < EXPIRES_S
    first.check()


def test_one_whose_counter_stands_still_is_taken_over_and_its_holder_learns_it(new, tmp_path: Path, clock) -> None:
    path = tmp_path / FILE_NAME
    write(path, OTHER, 7)
    stopped = new()
    stopped.token = OTHER
    lease_now = new()
    lease_now.take()
    assert clock.now >= EXPIRES_S
    content = path.read_bytes()
    stopped.renew()
    assert path.read_bytes() == content
    with pytest.raises(ConfigError, match="another controller runs the sweep by now; this one stood still"):
        stopped.check()
    stopped.release()
    assert path.read_bytes() == content
    lease_now.check()


def test_of_two_that_find_it_free_the_last_one_to_write_has_it(new, tmp_path: Path, clock) -> None:
    first = new()
    clock.meanwhile = lambda: write(tmp_path / FILE_NAME, OTHER, 0)
    with pytest.raises(HeldError):
        first.take()


def test_a_file_that_somebody_removes_is_written_again(new, tmp_path: Path) -> None:
    held = new()
    held.take()
    (tmp_path / FILE_NAME).unlink()
    held.check()
    held.renew()
    assert (tmp_path / FILE_NAME).exists()


@pytest.mark.parametrize(
    "content", [b"", b"\0" * 30, b"damaged", b"0123456789abcdef 99999999999999999999 process 1 on a\n"]
)
def test_a_damaged_one_is_waited_for_and_taken(new, tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    assert lease.read(tmp_path / FILE_NAME) is None
    held = new()
    held.take()
    held.check()


@pytest.mark.parametrize(("machine", "waits"), [(platform.node(), False), ("elsewhere", True)])
def test_where_the_journal_is_locked_only_another_machine_is_waited_for(new, tmp_path, clock, machine, waits) -> None:
    write(tmp_path / FILE_NAME, OTHER, 7, machine)
    new().take(is_locked=True)
    assert (clock.now >= EXPIRES_S) is waits


def test_a_watch_believes_in_a_counter_that_moves(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    watch = LeaseWatch(path, OTHER)
    for second in range(0, 60, 3):
        write(path, OTHER, second)
        assert watch.is_alive(1000.0 + second)
    last = 1000.0 + second
    assert watch.is_alive(last + EXPIRES_S - 0.1)
    assert not watch.is_alive(last + EXPIRES_S)
    write(path, OTHER, 100)
    assert watch.is_alive(last + EXPIRES_S + 1)


def test_a_watch_takes_a_missing_file_for_one_that_stands_still(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    watch = LeaseWatch(path, OTHER)
    assert watch.is_alive(5.0)
    assert not watch.is_alive(5.0 + EXPIRES_S)
    write(path, OTHER, 0)
    assert watch.is_alive(6.0 + EXPIRES_S)
    path.unlink()
    assert watch.is_alive(7.0 + EXPIRES_S)


def test_a_watch_takes_another_holder_for_the_end_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    write(path, OTHER, 0)
    watch = LeaseWatch(path, OTHER)
    assert watch.is_alive(0.0)
    write(path, "f" * 16, 1)
    assert not watch.is_alive(0.1)


@pytest.fixture(params=WITHOUT_LOCKS)
def without_locks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that has no locks."""
    number = getattr(errno, request.param)

    def refuse(file: object, operation: int) -> NoReturn:
        raise OSError(number, "no locks")

    monkeypatch.setattr(fcntl, "flock", refuse)
    monkeypatch.setattr(lease, "SETTLES_S", 0.01)
    monkeypatch.setattr(lease, "EXPIRES_S", 0.1)
    monkeypatch.setattr(lease, "SECONDS_BETWEEN_LOOKS", 0.01)


def started() -> SweepStarted:
    return SweepStarted(1, 0, "value", Direction.minimize)


def test_a_journal_without_locks_has_a_lease(without_locks: None, tmp_path: Path) -> None:
    file = Journal.open(tmp_path)
    assert file.lease is not None
    file.append(started())
    assert (tmp_path / FILE_NAME).exists()
    file.close()
    assert [path.name for path in tmp_path.iterdir()] == [journal.FILE_NAME]


def test_a_second_controller_is_refused_without_locks_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(file: object, operation: int) -> NoReturn:
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr(fcntl, "flock", refuse)
    monkeypatch.setattr(lease, "SETTLES_S", 0.0)
    monkeypatch.setattr(lease, "RENEWED_EVERY_S", 0.01)
    first = Journal.open(tmp_path)
    first.append(started())
    with pytest.raises(ConfigError, match="is being run by process"):
        Journal.open(tmp_path)
    first.append(SweepEnded(Ending.COMPLETE))
    first.close()


def test_a_controller_whose_lease_was_taken_writes_nothing_more(without_locks: None, tmp_path: Path) -> None:
    stopped = Journal.open(tmp_path)
    stopped.append(started())
    write(tmp_path / FILE_NAME, OTHER, 0)
    with pytest.raises(ConfigError, match="another controller runs the sweep by now"):
        stopped.append(SweepEnded(Ending.COMPLETE))
    stopped.close()
    assert len(list(read_events(tmp_path))) == 1
    assert (tmp_path / FILE_NAME).read_text().startswith(OTHER)


def test_a_controller_that_stood_still_until_another_had_ended_the_sweep_writes_nothing(
    without_locks: None, tmp_path: Path
) -> None:
    stopped = Journal.open(tmp_path)
    stopped.append(started())
    (tmp_path / FILE_NAME).unlink()
    other = Journal.open(tmp_path)
    other.append(SweepEnded(Ending.COMPLETE))
    other.close()
    for act in (stopped.check, lambda: stopped.append(SweepEnded(Ending.COMPLETE))):
        with pytest.raises(ConfigError, match=r"another controller runs the sweep|was written by somebody else"):
            act()
    stopped.close()
    assert len(list(read_events(tmp_path))) == 2


def test_a_journal_that_is_watched_has_a_lease_beside_its_lock(tmp_path: Path) -> None:
    file = Journal.open(tmp_path, is_watched=True)
    assert file.lease is not None
    watch = LeaseWatch(tmp_path / FILE_NAME, file.lease.token)
    assert watch.is_alive(0.0)
    with pytest.raises(ConfigError, match="is being run by"):
        Journal.open(tmp_path, is_watched=True)
    file.append(started())
    file.close()
    assert not (tmp_path / FILE_NAME).exists()


def test_a_journal_with_a_lock_that_nobody_watches_has_none(tmp_path: Path) -> None:
    file = Journal.open(tmp_path)
    file.append(started())
    assert [path.name for path in tmp_path.iterdir()] == [journal.FILE_NAME]
    file.close()


def test_any_other_error_of_a_lock_is_one_of_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(file: object, operation: int) -> NoReturn:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(ConfigError, match="can't be written"):
        Journal.open(tmp_path)


CONTENDER = textwrap.dedent(
    """
    import errno, fcntl, sys
    from pathlib import Path
    from hposweep.errors import ConfigError
    from hposweep.history import SweepStarted
    from hposweep.sweep_folder import lease
    from hposweep.sweep_folder.journal import Journal
    from hposweep.trial import Direction

    def refuse(file, operation):
        raise OSError(errno.ENOLCK, "no locks")

    fcntl.flock = refuse
    lease.SETTLES_S, lease.RENEWED_EVERY_S = 1.0, 0.1
    print("ready", flush=True)
    sys.stdin.readline()
    try:
        journal = Journal.open(Path(sys.argv[1]))
        journal.append(SweepStarted(1, 0, "value", Direction.minimize))
    except ConfigError as error:
        print("refused", flush=True)
    else:
        print("runs", flush=True)
        sys.stdin.readline()
        journal.append(SweepStarted(1, 0, "value", Direction.minimize))
        journal.close()
    """
)


@pytest.mark.process
def test_of_several_controllers_that_start_at_once_one_runs_the_sweep(tmp_path: Path) -> None:
    command = [sys.executable, "-c", CONTENDER, str(tmp_path)]
    contenders = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    try:
        for each in contenders:
            assert each.stdout is not None and each.stdout.readline() == "ready\n"
        for each in contenders:
            assert each.stdin is not None
            each.stdin.write("\n")
            each.stdin.flush()
        answers = [each.stdout.readline().strip() for each in contenders if each.stdout is not None]
        assert sorted(answers) == ["refused", "refused", "runs"]
        for each in contenders:
            each.communicate("\n", timeout=60)
            assert each.returncode == 0
    finally:
        for each in contenders:
            each.kill()
            each.wait()
    assert len(list(read_events(tmp_path))) == 2
    assert [path.name for path in tmp_path.iterdir()] == [journal.FILE_NAME]
