"""Linear algebra on one thread: a model's matrices are small, and the cores belong to the trials.

With workers on all cores, the threads of OpenBLAS wait for each other: ten times as long was measured for the same ask.
On one thread the sums are also the same whatever the number of cores, so that a proposal is.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# NumPy's and SciPy's wheels each bring an OpenBLAS of their own, with a prefix and, for 64 bit integers, a suffix.
NAMES = [f"{prefix}openblas_{{}}_num_threads{suffix}" for prefix in ("scipy_", "") for suffix in ("64_", "", "_64")]


@contextlib.contextmanager
def one_blas_thread() -> Iterator[None]:
    """Within it OpenBLAS computes on one thread, after it on as many as before; other libraries do as they like."""
    before = [(library, library.get()) for library in _libraries()]
    for library, _ in before:
        library.set(1)
    try:
        yield
    finally:
        for library, n_threads in before:
            library.set(n_threads)


class _OpenBlas:
    """The threads of a loaded library."""

    def __init__(self, library: Any, name: str) -> None:
        self.get = getattr(library, name.format("get"))
        self.set = getattr(library, name.format("set"))
        self.get.restype, self.set.restype = ctypes.c_int, None


@functools.cache
def _libraries() -> tuple[_OpenBlas, ...]:
    """Those that this process has loaded; none where its system does not tell."""
    import scipy.linalg  # noqa: F401  (which loads SciPy's)

    try:
        maps = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ()
    paths = {line.split(maxsplit=5)[5] for line in maps if "openblas" in line and line.count(" ") >= 5}
    found = []
    for path in sorted(paths):
        with contextlib.suppress(OSError):
            library = ctypes.CDLL(path)
            name = next((name for name in NAMES if hasattr(library, name.format("set"))), None)
            if name is not None:
                found.append(_OpenBlas(library, name))
    return tuple(found)
