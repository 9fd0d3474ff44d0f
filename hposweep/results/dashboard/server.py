"""Serves the dashboard of a folder until it is stopped."""

from __future__ import annotations

import os
import secrets
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import uvicorn

from hposweep.results.dashboard import access
from hposweep.results.dashboard.app import Dashboard, FromRecords, import_all
from hposweep.results.dashboard.listening import LOOPBACK, is_loopback, link_to, listening_at
from hposweep.results.dashboard.sweep_list import SweepList

NICENESS = 5  # sweeps of the same machine go first, and a page is still there soon where they take all of it


def serve(
    root: Path,
    from_records: FromRecords,
    *,
    host: str = LOOPBACK,
    port: int | None = None,
    tell: Callable[[str], None],
) -> None:
    """Serves until a signal ends the process.

    Args:
        port: None: the first free one from `FIRST_PORT` on.
        tell: is given the link once it can be opened.

    Raises:
        ConfigError: if there is no such folder, or the address can't be listened at.
        KeyboardInterrupt: after Ctrl-C.
    """
    sweeps = SweepList(root)
    with listening_at(host, port) as listening:
        token = None if is_loopback(host) else secrets.token_urlsafe(24)
        server = server_of(sweeps, from_records, listening, token)
        tell(link_to(host, listening.getsockname()[1], token))
        _run(server, sweeps, listening)


def serve_beside_a_sweep(root: Path, from_records: FromRecords, listening: socket.socket, lingers_s: float) -> None:
    """Serves on this socket until SIGTERM comes; open pages have `lingers_s` seconds then to ask once more."""
    sweeps = SweepList(root)
    server = server_of(sweeps, from_records, listening, token=None)
    end = server.handle_exit

    def end_later(number: int, frame: FrameType | None) -> None:
        wait_s = lingers_s if server.server_state.connections else 0.0
        threading.Timer(wait_s, end, (number, frame)).start()

    server.handle_exit = end_later
    _run(server, sweeps, listening)


def _run(server: uvicorn.Server, sweeps: SweepList, listening: socket.socket) -> None:
    os.nice(NICENESS)
    # Who opens a page soon finds the journals read, and what plots need imported.
    threading.Thread(target=_prepare, args=[sweeps], name="first look", daemon=True).start()
    server.run(sockets=[listening])


def _prepare(sweeps: SweepList) -> None:
    sweeps.rows()
    import_all()


def server_of(
    sweeps: SweepList, from_records: FromRecords, listening: socket.socket, token: str | None
) -> uvicorn.Server:
    """The server of these sweeps.

    Args:
        token: what each request has to hold; None: nothing, but it must have been sent to a name of this machine.
    """
    app = access.Access(Dashboard(sweeps, from_records).app(), token=token, port=listening.getsockname()[1])
    return uvicorn.Server(
        uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            lifespan="off",
            ws="none",
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=1,
        )
    )
