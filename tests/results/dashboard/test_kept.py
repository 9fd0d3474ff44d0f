"""What takes long is kept while a sweep runs, and is exact at its end."""

from hposweep.results.dashboard.kept import Kept


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_it_takes_a_twentieth_of_the_time_at_most() -> None:
    clock = Clock()
    kept = Kept(clock)
    made: list[int] = []

    def make(version: int) -> int:
        clock.now += 1.0
        made.append(version)
        return version

    for version in range(1000):
        clock.now += 0.5
        kept.get("forest", version, lambda: make(version), is_final=False)  # noqa: B023 (called at once)
    assert 0.04 < len(made) / clock.now < 0.055


def test_the_last_one_is_of_the_last_version() -> None:
    clock = Clock()
    kept = Kept(clock)
    kept.get("forest", 1, lambda: setattr(clock, "now", 100.0), is_final=False)
    assert kept.get("forest", 2, lambda: "new", is_final=False) is None
    assert kept.get("forest", 2, lambda: "new", is_final=True) == "new"
    assert kept.get("forest", 2, lambda: "again", is_final=True) == "new"
