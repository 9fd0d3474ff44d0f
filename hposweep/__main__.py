"""`python -m hposweep`: a first word that names a command goes to it, anything else is the Hydra app."""

from __future__ import annotations

import importlib
import sys

from hposweep import first_seconds, standard_streams
from hposweep.commands import COMMANDS
from hposweep.errors import ConfigError, nearest
from hposweep.shown_text import visible

EXIT_BROKEN_PIPE = 141  # as of a program that the signal SIGPIPE ends


def main() -> None:
    """Runs the program with the command line's arguments; Ctrl-C ends it quietly."""
    first_seconds.begin()
    with standard_streams.usable():
        try:
            _main(sys.argv[1:])
        except KeyboardInterrupt:
            sys.exit(first_seconds.EXIT_INTERRUPTED)
        except BrokenPipeError:  # whoever read the output has gone
            standard_streams.go_nowhere(sys.stdout)
            sys.exit(EXIT_BROKEN_PIPE)


def _main(words: list[str]) -> None:
    # No override of Hydra's is a bare word, so that commands and overrides can't be confused.
    is_command = bool(words) and words[0].replace("-", "_").isidentifier() and not words[0].startswith("-")
    if not is_command:
        from hposweep.app import main

        main.run()
        return
    name = words[0]
    if name not in COMMANDS:
        available = ", ".join(COMMANDS)
        hint = nearest(name, list(COMMANDS))
        sys.exit(f"{visible(name)}: no such command{hint}Available: {available}; an override is key=value")
    command = importlib.import_module(f"hposweep.commands.{name}")
    first_seconds.are_over()
    try:
        sys.exit(command.main(words[1:]))
    except ConfigError as error:
        sys.exit(f"{name}: {error}")


if __name__ == "__main__":
    main()
