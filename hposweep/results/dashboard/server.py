"""Serves the dashboard of a folder until it is stopped."""

from __future__ import annotations

import errno
import os
import secrets
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import uvicorn

from hposweep.errors import ConfigError
from hposweep.results.dashboard import access
from hposweep.results.dashboard.app import Dashboard, RunAgainOf
from hposweep.results.dashboard.sweep_list import SweepList

LOOPBACK = "127.0.0.1"
FIRST_PORT = 8470  # and those after it, where no port is named
N_PORTS = 50
NICENESS = 10  # sweeps of the same machine go first


def serve(
    root: Path,
    run_again_of: RunAgainOf,
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
        token = None if access.is_loopback(host) else secrets.token_urlsafe(24)
        server = server_of(sweeps, run_again_of, listening, token)
        os.nice(NICENESS)
        # Who opens the page soon finds the journals read.
        threading.Thread(target=sweeps.rows, name="first look", daemon=True).start()
        tell(_link(host, listening.getsockname()[1], token))
        server.run(sockets=[listening])


def server_of(
    sweeps: SweepList, run_again_of: RunAgainOf, listening: socket.socket, token: str | None
) -> uvicorn.Server:
    """The server of these sweeps.

    Args:
        token: what each request has to hold; None: nothing, but it must have been sent to a name of this machine.
    """
    app = access.Access(Dashboard(sweeps, run_again_of).app(), token=token, port=listening.getsockname()[1])
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


def listening_at(host: str, port: int | None) -> socket.socket:
    """A socket that listens.

    Args:
        port: None: the first free one from `FIRST_PORT` on.

    Raises:
        ConfigError: if that is not to be had.
    """
    named = port is not None
    for number in [port] if port is not None else [*range(FIRST_PORT, FIRST_PORT + N_PORTS), 0]:
        try:
            return _bound(host, number)
        except OSError as error:
            if error.errno == errno.EADDRINUSE and not named:
                continue
            if error.errno == errno.EADDRINUSE:
                raise ConfigError(f"--port: {port} is in use; name another, or none for a free one") from None
            key, value = ("--port", port) if error.errno in (errno.EACCES, errno.EPERM) else ("--host", host)
            raise ConfigError(f"{key}: {value} can't be listened at ({error.strerror or error})") from None
    raise AssertionError  # the system has a free port


def _bound(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    found = socket.socket(family, kind, protocol)
    try:
        # One that was stopped a moment ago is in nobody's way.
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
        found.listen(128)
    except OSError:
        found.close()
        raise
    return found


def _link(host: str, port: int, token: str | None) -> str:
    shown = socket.gethostname() if host in ("", "0.0.0.0", "::") else host  # noqa: S104 (a comparison)
    shown = f"[{shown}]" if ":" in shown else shown
    return f"http://{shown}:{port}/{'' if token is None else f'?{access.TOKEN}={token}'}"
