"""One clear line for what Hydra refuses while it composes the config of our own app.

Hydra prints such an error itself, in four to six lines, unless HYDRA_FULL_ERROR is set: then it lets it through. So
our app sets the variable until the config stands, and prints the line. Errors after that are Hydra's to show.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from hposweep import first_seconds
from hposweep.app.option_keys import whose
from hposweep.errors import nearest
from hposweep.hydra_glue import unread_keys

VARIABLE = "HYDRA_FULL_ERROR"
COMPOSITION_ERRORS = (HydraException, OmegaConfBaseException)

_ours = False


@contextmanager
def until_composed() -> Iterator[bool]:
    """Within it composition errors are raised; yields whether the user wants their tracebacks."""
    global _ours
    _ours = VARIABLE not in os.environ
    if _ours:
        os.environ[VARIABLE] = "1"
    try:
        yield not _ours
    finally:
        composition_is_over()


def composition_is_over() -> None:
    """From now on errors are shown as Hydra shows them; jobs don't inherit the variable."""
    global _ours
    first_seconds.are_over()
    if _ours:
        os.environ.pop(VARIABLE, None)
        _ours = False


def is_composing() -> bool:
    """Whether the config is still being composed, so that an error is shown in one line."""
    return _ours


def one_line(error: Exception, keys: Sequence[str]) -> str:
    """What was wrong, where, and what is allowed, in one line.

    Args:
        keys: those of the config, for a suggestion in place of a misspelt one.
    """
    lines = [line.strip() for each in (error, error.__cause__) for line in str(each or "").splitlines() if line.strip()]
    text = "\n".join(lines)
    if match := re.search(r"[Cc]ould not (?:find|load) '(.+)/([^/']+)'", text):
        group, option = match.groups()
        available = _available_options(lines)
        return f"{group}: no '{option}'{nearest(option, available)}Available: {', '.join(available)}"
    if match := re.search(r"Could not override '([^'=]+)(?:=[^']*)?'", text):
        return _not_in_the_config(match.group(1).lstrip("+~"), keys)
    if match := re.search(r"full_key: (\S+)", text):
        reason = next((line for line in lines if line.startswith(("Value", "Invalid", "Cannot", "Key"))), lines[0])
        if re.match(r"Key '.*' not in ", reason):
            return _not_in_the_config(match.group(1), keys)
        return f"{match.group(1)}: {reason}"
    override = getattr(error, "override", None)
    if override is not None:
        return f"{override}: {_reason_of_a_parse_error(lines)}"
    return "; ".join(line for line in lines if not line.startswith(("full_key", "object_type", "See https")))


def _not_in_the_config(key: str, keys: Sequence[str]) -> str:
    reason = unread_keys.name_here(key, has_short_names=True) or whose(key)
    if reason:
        return f"{key}: {reason}"
    nearest_key = unread_keys.nearest_key(key, keys)
    # Their keys are arguments of what the user chooses in Keras.
    takes_more = key.startswith(("model.loss.", "optimizer."))
    hint = f"{'' if nearest_key.endswith('?') else '.'} A new key is added with +{key}=..." if takes_more else ""
    return f"{key}: not in the config{nearest_key}{hint}"


def _available_options(lines: Sequence[str]) -> list[str]:
    """The names that Hydra lists below a group that lacks an option."""
    head = next((number for number, line in enumerate(lines) if line.startswith("Available options")), len(lines))
    return [line for line in lines[head + 1 :] if re.fullmatch(r"[\w.-]+", line)]


def _reason_of_a_parse_error(lines: Sequence[str]) -> str:
    telling = [line for line in lines if not line.startswith(("Error parsing override", "See https"))]
    reason = re.sub(r"^\w+ while evaluating '.*?': ", "", ". ".join(telling))
    if not reason.startswith("Unknown function"):
        return reason
    return f"{reason}. A distribution of scipy.stats goes into 'hydra.sweeper.search_space.KEY=\"name(arguments)\"'"
