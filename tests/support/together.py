"""Which tests run in the same process: those of a file whose fixtures are shared by its module."""

import functools

from xdist.scheduler import LoadScopeScheduling

from support.processes import ROOT


class TogetherScheduling(LoadScopeScheduling):
    """Sends a file with fixtures of module scope to one process, and every other test by itself.

    xdist's own `loadgroup` does the same by a mark, but pytest 9.2 no longer reads what it writes into the test's id.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return file if _shares(file) else nodeid


@functools.cache
def _shares(file: str) -> bool:
    return 'scope="module"' in (ROOT / file).read_text(encoding="utf-8")
