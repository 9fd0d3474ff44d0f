"""`python -m hposweep`: a first word that names a command goes to it, anything else is the Hydra app."""

from __future__ import annotations

import importlib
import sys

import yaml

from hposweep import first_seconds, standard_streams
from hposweep.commands import COMMANDS
from hposweep.conf_dir import conf_dir
from hposweep.errors import ConfigError, nearest
from hposweep.shown_text import visible
from hposweep.sweep_folder import environment

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
    if not words and __name__ != "__main__":  # the console script; `python -m hposweep` runs one trial
        print(_what_it_is())
        return
    if words == ["--version"]:
        print(f"hposweep {environment.version()}")
        return
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


def _what_it_is() -> str:
    config = yaml.safe_load((conf_dir() / "config.yaml").read_text(encoding="utf-8"))
    return f"{config['hydra']['help']['header'].rstrip()}\n\nhposweep --help shows its config, too."


if __name__ == "__main__":
    main()
