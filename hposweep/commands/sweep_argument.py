"""The sweep that a command is about: the folder that was named, or the newest one."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from hposweep.errors import ConfigError
from hposweep.shown_text import visible
from hposweep.sweep_folder import journal

OUTPUTS = Path("outputs")


def add_sweep_argument(parser: argparse.ArgumentParser) -> None:
    """Adds the argument that every command on a sweep's folder has."""
    parser.add_argument("sweep", type=Path, nargs="?", help="folder of the sweep (default: the newest one in outputs/)")


def chosen_sweep(named: Path | None) -> Path:
    """The named folder, or that of the newest sweep, which is then printed.

    Raises:
        ConfigError: if the folder holds no sweep, or there is none at all.
    """
    if named is not None:
        if not (named / journal.FILE_NAME).is_file():
            raise ConfigError(f"{named}: holds no sweep of hposweep (no {journal.FILE_NAME})")
        return named
    sweeps = sorted(OUTPUTS.glob(f"*/{journal.FILE_NAME}"), key=lambda path: path.stat().st_ctime_ns)
    if not sweeps:
        raise ConfigError(f"{OUTPUTS}: holds no sweep; name the folder of one")
    newest = sweeps[-1].parent
    # A command's own output may be read by another program.
    print(visible(f"The newest sweep: {newest}"), file=sys.stderr)
    return newest
