"""`eval "$(hposweep completion bash)"`: completes commands, their options and folders, and Hydra's overrides."""

from __future__ import annotations

from collections.abc import Sequence

from hposweep.commands import COMMANDS
from hposweep.commands.one_line_parser import OneLineParser

# Hydra's own completion knows groups and keys; the function below asks it for every word that is no command.
BASH = """\
eval "$(hposweep -sc install=bash)"
_hposweep() {
    local IFS=$'\\n' word="${COMP_WORDS[COMP_CWORD]}" commands=$'COMMANDS'
    if ((COMP_CWORD > 1)) && compgen -W "$commands" -- "${COMP_WORDS[1]}" | grep -qxF -- "${COMP_WORDS[1]}"; then
        if [[ $word == -* ]]; then
            local options="$(hposweep "${COMP_WORDS[1]}" --help | grep -o -- '--[a-z][a-z-]*' | sort -u)"
            COMPREPLY=($(compgen -S ' ' -W "$options" -- "$word"))
        else
            COMPREPLY=($(compgen -d -S / -- "$word"))
        fi
        return
    fi
    IFS=$' \\t\\n' hydra_bash_completion
    if ((COMP_CWORD == 1)); then
        COMPREPLY+=($(compgen -W "$commands" -S ' ' -- "$word"))
    fi
}
complete -o nospace -o default -F _hposweep hposweep"""


def main(words: Sequence[str]) -> int:
    """Prints the script."""
    parser = OneLineParser("hposweep completion", description=__doc__)
    parser.add_argument("shell", choices=["bash"])
    parser.parse_args(words)
    print(BASH.replace("COMMANDS", "\\n".join(COMMANDS), 1))
    return 0
