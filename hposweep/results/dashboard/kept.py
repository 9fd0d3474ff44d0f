"""What of a page takes longest to make: kept while a sweep runs, and made anew for a small share of the time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from hposweep.results.importance import Forests, ForestSurface, Importances, NotShown
from hposweep.results.sweep_data import SweepData
from hposweep.search_space import Configuration

SHARE_OF_THE_TIME = 0.05


class Kept:
    """The newest result of each name, for any number of threads.

    Args:
        clock: seconds, of any origin.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._found: dict[str, tuple[object, Any, float]] = {}  # its version, it, and when it may be made anew

    def get(self, name: str, version: object, make: Callable[[], Any], *, is_final: bool) -> Any:
        """The result of this version or, where that would take too much of the time, an older one.

        Args:
            is_final: whether it is to be of this version in any case.
        """
        with self._lock:
            found = self._found.get(name)
            if found is not None and (found[0] == version or (not is_final and self._clock() < found[2])):
                return found[1]
            started = self._clock()
            result = make()
            now = self._clock()
            self._found[name] = version, result, now + (now - started) * (1 / SHARE_OF_THE_TIME - 1)
            return result


class NoForests(Forests):
    """In place of forests that a page does not wait for."""

    def importances(self, sweep: SweepData) -> Importances | NotShown:
        return NotShown("it is being computed")

    def surface(self, sweep: SweepData, key: str, other: str, base: Configuration) -> ForestSurface | None:
        return None


class KeptForests(Forests):
    """The random forests of one sweep, which are exact once it does not run."""

    def __init__(self, kept: Kept) -> None:
        self._kept = kept

    def importances(self, sweep: SweepData) -> Importances | NotShown:
        found: Importances | NotShown = self._kept.get(
            "importances",
            _results(sweep),
            lambda: super(KeptForests, self).importances(sweep),
            is_final=_is_over(sweep),
        )
        return found

    def surface(self, sweep: SweepData, key: str, other: str, base: Configuration) -> ForestSurface | None:
        found: ForestSurface | None = self._kept.get(
            f"{key} {other}",
            (_results(sweep), repr(base)),
            lambda: super(KeptForests, self).surface(sweep, key, other, base),
            is_final=_is_over(sweep),
        )
        return found


def _results(sweep: SweepData) -> int:
    """Changes with each result that a forest could learn from."""
    return len(sweep.compared) + sweep.history.n_ended


def _is_over(sweep: SweepData) -> bool:
    return not sweep.is_running
