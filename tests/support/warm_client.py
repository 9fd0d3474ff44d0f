"""Asks a warm process to run a command, and waits for its end: light, since it stands on PATH for the command."""

import json
import os
import select
import signal
import socket
import sys
from collections.abc import Callable, Mapping, Sequence

TIMEOUT_S = 300


def ask(
    address: str,
    words: Sequence[str],
    cwd: str,
    env: Mapping[str, str],
    streams: Sequence[int],
    makes_report: bool,
    on_start: Callable[[int], None] = lambda process: None,
) -> int:
    """Runs `python <words>` in a fork of the process that listens there; its exit code, as `subprocess` has it.

    Args:
        streams: what are to be its standard input, output and error.
        on_start: called with the number of its process.

    Raises:
        TimeoutError: it ran longer than anybody waits; it is killed.
    """
    request = {"words": list(words), "cwd": cwd, "env": dict(env), "makes_report": makes_report}
    answers, theirs = os.pipe()
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
            connection.connect(address)
            socket.send_fds(connection, [json.dumps(request).encode()], [*streams, theirs])
    finally:
        os.close(theirs)
    with open(answers, "rb", buffering=0) as file:
        process = int(file.read(20))
        on_start(process)
        if not select.select([file], [], [], TIMEOUT_S)[0]:
            os.kill(process, signal.SIGKILL)
            raise TimeoutError(f"{words} ran longer than {TIMEOUT_S} seconds")
        return int(file.read(20))


def be_the_command(address: str, words: Sequence[str]) -> None:
    """Does what the script that calls this is named after: signals go on, and the end is the same."""

    def pass_on(process: int) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda given, _: os.kill(process, given))

    code = ask(address, words, os.getcwd(), os.environ, (0, 1, 2), makes_report=True, on_start=pass_on)  # noqa: PTH109 (pathlib is slow to import)
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    sys.exit(code)
