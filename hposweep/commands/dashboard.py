"""`python -m hposweep dashboard [outputs/]`: a page in the browser that shows all sweeps of a folder while they run."""

from __future__ import annotations

import argparse
import functools
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hposweep import optional_packages, searcher_model
from hposweep.commands.one_line_parser import OneLineParser
from hposweep.commands.sweep_argument import OUTPUTS
from hposweep.hydra_glue.run_again import shown_commands
from hposweep.optional_packages import needed_by
from hposweep.shown_text import visible
from hposweep.sweep_folder.sweep_yaml import readable_record

if TYPE_CHECKING:
    from hposweep.results.dashboard.app import FromRecords

LARGEST_PORT = 65535


def main(words: Sequence[str]) -> int:
    """Runs the command; it ends by Ctrl-C."""
    parser = OneLineParser("hposweep dashboard", description=__doc__)
    parser.add_argument(
        "folder", type=Path, nargs="?", default=OUTPUTS, help="folder with sweeps, or that of one (default: outputs/)"
    )
    parser.add_argument("--port", type=_port, metavar="N", help="port to listen at (default: a free one)")
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen at (default: 127.0.0.1, for this machine alone); any other one asks for the token that "
        "is part of the printed link",
    )
    arguments = parser.parse_args(words)
    optional_packages.check("the dashboard", "dashboard")
    with needed_by("the dashboard", "dashboard"):
        from hposweep.results.dashboard import server

    tell = functools.partial(_tell, arguments.folder)
    server.serve(arguments.folder, _from_records(), host=arguments.host, port=arguments.port, tell=tell)
    return 0


def serve_inherited(descriptor: int, folder: str) -> None:
    """Serves the sweep in this folder beside it, on a socket that the process was started with."""
    from hposweep.results.dashboard import in_a_process, server

    with socket.socket(fileno=descriptor) as listening:
        server.serve_beside_a_sweep(Path(folder), _from_records(), listening, in_a_process.LINGERS_S)


def _tell(folder: Path, link: str) -> None:
    print(visible(f"Dashboard of {folder}: {link}"), flush=True)
    print("It only reads. Ctrl-C ends it.", flush=True)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or not 1 <= int(text) <= LARGEST_PORT:
        raise argparse.ArgumentTypeError(f"must be from 1 to {LARGEST_PORT}, got {text}")
    return int(text)


def _from_records() -> FromRecords:
    from hposweep.results.dashboard.app import FromRecords

    return FromRecords(
        run_again_of=lambda folder: shown_commands(readable_record(folder)),
        model_of=lambda folder: searcher_model.rebuilt(folder, readable_record(folder)),
    )
