"""Contents are made when something has changed, and where that takes long, seldom."""

import itertools
import threading

from hposweep.results.dashboard.live_content import LiveContent


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def live(clock: Clock, takes_s: float) -> LiveContent:
    numbers = itertools.count()

    def make() -> tuple[int, dict[str, str]]:
        clock.now += takes_s
        return next(numbers), {"state": "running"}

    return LiveContent(make, clock)


def test_it_is_made_once_a_version() -> None:
    clock = Clock()
    content = live(clock, takes_s=0)
    assert [content.get(version).content for version in ("a", "a", "b", "b")] == [0, 0, 1, 1]


def test_each_content_has_a_version_of_its_own() -> None:
    content, other = live(Clock(), 0), live(Clock(), 0)
    versions = [content.get("a").answer.version, content.get("b").answer.version, other.get("a").answer.version]
    assert len({*versions}) == 3


def test_making_it_takes_a_fifth_of_the_time_at_most() -> None:
    clock = Clock()
    content = live(clock, takes_s=2.0)
    content.get("first")
    n_made = 1
    for version in range(1000):
        clock.now += 0.5
        n_made = content.get(str(version)).content + 1
    assert 0.15 < 2.0 * n_made / clock.now < 0.21


def test_who_has_an_older_one_does_not_wait_for_who_makes_the_new_one() -> None:
    makes, may_go_on = threading.Event(), threading.Event()
    numbers = itertools.count()

    def make() -> tuple[int, dict[str, str]]:
        number = next(numbers)
        if number:
            makes.set()
            may_go_on.wait()
        return number, {}

    content = LiveContent(make, lambda: 0.0)
    content.get("a")
    slow = threading.Thread(target=content.get, args=["b"])
    slow.start()
    makes.wait()
    assert content.get("b").content == 0
    may_go_on.set()
    slow.join()
    assert content.get("b").content == 1
