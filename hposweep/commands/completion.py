"""`hposweep completion bash|fish|zsh`: prints what makes a shell complete commands, options, sweeps and overrides."""

from __future__ import annotations

import re
from collections.abc import Sequence

from hposweep.commands.candidates import SHELLS, candidates
from hposweep.commands.one_line_parser import OneLineParser

# What the scripts below ask with: the shell's name follows, and the words as they stand on the command line.
WORDS = "--words"
GOES_ON = ("=", "/", ".")
MEANS_SOMETHING = re.compile(r"([^\w@%+=:,./~-])")  # to bash and zsh

SCRIPTS = {
    "bash": """\
_hposweep() {
    local word
    COMPREPLY=()
    while IFS= read -r word; do
        COMPREPLY+=("$word")
    done < <("$1" completion --words bash "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
COMP_WORDBREAKS=${COMP_WORDBREAKS//=}
complete -o nospace -F _hposweep hposweep""",
    "zsh": """\
#compdef hposweep
_hposweep() {
    local -a found
    found=(${(f)"$($words[1] completion --words zsh "${(@)words[2,CURRENT]}" 2>/dev/null)"})
    compadd -Q -- ${found:#*[=/.]}
    compadd -Q -S '' -- ${(M)found:#*[=/.]}
}
compdef _hposweep hposweep""",
    "fish": """\
function __hposweep_words
    set -l words (commandline -opc)
    set -l program $words[1]
    set -e words[1]
    set -l word (commandline -ct)
    $program completion --words fish $words "$word" 2>/dev/null
end
complete -c hposweep -f -a '(__hposweep_words)'""",
}


def main(words: Sequence[str]) -> int:
    """Prints the script, or for a script the candidates."""
    if words[:1] == [WORDS]:
        _print_candidates(*words[1:])
        return 0
    parser = OneLineParser("hposweep completion", description=__doc__)
    parser.add_argument("shell", choices=SHELLS)
    print(SCRIPTS[parser.parse_args(words).shell])
    return 0


def _print_candidates(shell: str, *words: str) -> None:
    is_quoted = words[-1][:1] in ("'", '"')
    for found in candidates([_unquoted(word) for word in words]):
        # fish quotes what it completes.
        quoted = found if is_quoted or shell == "fish" else MEANS_SOMETHING.sub(r"\\\1", found)
        # bash alone is told where a word ends, the others see it by what goes on.
        ends = shell == "bash" and not is_quoted and not found.endswith(GOES_ON)
        print(f"{quoted} " if ends else quoted)


def _unquoted(word: str) -> str:
    """A word as a shell's quotes mean it."""
    return word[1:] if word[:1] in ("'", '"') else re.sub(r"\\(.)", r"\1", word)
