"""Where the dashboard listens. It imports no server: a sweep takes the port before it starts one."""

from __future__ import annotations

import errno
import ipaddress
import socket

from hposweep.errors import ConfigError

LOOPBACK = "127.0.0.1"
FIRST_PORT = 8470  # and those after it, where no port is named
N_PORTS = 50
TOKEN = "token"  # noqa: S105 (the name of the query's field)


def is_loopback(host: str) -> bool:
    """Whether this is a name or an address of the machine itself, for itself alone."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


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


def link_to(host: str, port: int, token: str | None = None) -> str:
    """What opens the dashboard in a browser."""
    shown = socket.gethostname() if host in ("", "0.0.0.0", "::") else host  # noqa: S104 (a comparison)
    shown = f"[{shown}]" if ":" in shown else shown
    return f"http://{shown}:{port}/{'' if token is None else f'?{TOKEN}={token}'}"
