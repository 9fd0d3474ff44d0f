"""zsh at a terminal of its own: what its completion makes of a line."""

import os
import pty
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from support.processes import wait_for

# All matches are inserted where there are several; what then stands on the line is written to a file.
SETUP = """\
PROMPT=
autoload -Uz compinit; compinit -u -D
eval "$(hposweep completion zsh)"
zstyle ':completion:all-matches:*' completer _all_matches _complete
zstyle ':completion:all-matches:*' insert true
zle -C all-matches complete-word _generic
bindkey '^Y' all-matches
dump() { print -r -- "$BUFFER" >> dumped; BUFFER= }
zle -N dump
bindkey '^X' dump
touch dumped
"""


def completed_lines(typed: Sequence[str], folder: Path, env: Mapping[str, str]) -> list[str]:
    """The lines after a completion at the end of each, with all that it may become."""
    (folder / "setup.zsh").write_text(SETUP)
    dumped = folder / "dumped"
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(folder)
        os.execvpe("zsh", ["zsh", "-f", "-i"], {**os.environ, **env, "TERM": "xterm"})
    threading.Thread(target=_drain, args=(terminal,), daemon=True).start()
    os.write(terminal, b". ./setup.zsh\n")
    wait_for(dumped.exists)
    for number, line in enumerate(typed):
        os.write(terminal, f"{line}\x19\x18".encode())
        wait_for(lambda number=number: len(dumped.read_text().splitlines()) > number)  # type: ignore[misc]
    os.write(terminal, b"\x04")
    os.waitpid(process, 0)
    return dumped.read_text().splitlines()


def _drain(terminal: int) -> None:
    """Reads what would stand in the way of the shell's output, until it has gone."""
    try:
        while os.read(terminal, 10_000):
            pass
    except OSError:
        os.close(terminal)
