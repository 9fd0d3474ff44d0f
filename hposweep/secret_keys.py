"""Keys of a config that look like secrets: their values are masked wherever a sweep is recorded or shown."""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Mapping
from typing import Any

MASK = "***"
# As whole words of a part of the key: `hf_token`, `HF_TOKEN` and `hfToken`, but neither `tokenizer` nor `max_tokens`.
NAMES = (
    *("password", "passwd", "passphrase", "secret", "secrets", "credential", "credentials", "token"),
    *("api_key", "apikey", "access_key", "private_key", "auth", "authorization"),
)
ANYWHERE = re.compile(rf"(?:^|_)(?:{'|'.join(NAMES)})(?:_|$)")
AT_THE_END = re.compile(rf"(?:^|_)(?:{'|'.join(NAMES)})$")
WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
ENVIRONMENT = "hydra.job.env_set"  # holds what hydra.job.env_copy has copied, too
CHOICES = "hydra.runtime.choices"
OVERRIDES = ("hydra.overrides.task", "hydra.overrides.hydra", "hydra.sweeper.final_overrides")
NAMED_BY_OVERRIDES = "hydra.job.override_dirname"
# Says where the value comes from, and not what it is.
REFERENCE = re.compile(r"\$\{(?:oc\.env:)?[\w.]+\}")
NO_VALUE = ("", "???", "null", "true", "false")
INNER_KEY = re.compile(r"([\w.-]+)['\"]?\s*[:=]")  # of a mapping, in whatever quotes, or of an address's query
# In a line that somebody has printed. No key begins within a word, and none is given back: the line may be very long.
ASSIGNMENT = re.compile(r"(?<![\w.-])(?P<key>[\w.-]++)['\"]?\s*+[:=]\s*+(?P<value>\S+)")
ADDRESS_WITH_PASSWORD = re.compile(r"://[^/\s:@]*:[^/\s@]+@")


def masked_value(key: str, value: Any) -> Any:
    """The value of this key, or the mask where it is a secret's; mappings and lists with masks in them."""
    if key == CHOICES:
        return value
    if isinstance(value, Mapping):
        return {name: masked_value(f"{key}.{name}" if key else str(name), each) for name, each in value.items()}
    if isinstance(value, list):
        return [masked_value(key, each) for each in value]
    return MASK if _is_secret(key, value) else value


def masked_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """A composed config with masks; the names of its config groups are no secrets."""
    groups = _at(config, CHOICES)
    masked: dict[str, Any] = masked_value("", config)
    for key in OVERRIDES:
        lines = _at(config, key)
        if isinstance(lines, list):
            others = [masked_override(line, groups or ()) if isinstance(line, str) else line for line in lines]
            _at(masked, key.rpartition(".")[0])[key.rpartition(".")[2]] = others
            if others != lines and _at(masked, NAMED_BY_OVERRIDES) is not None:
                masked["hydra"]["job"]["override_dirname"] = MASK
    return masked


def masked_override(line: str, needed: Collection[str] = ()) -> str:
    """An override with the mask in place of its value, where that is a secret's.

    Args:
        needed: keys that are masked nowhere: those of config groups, whose options are no secrets.
    """
    key, equals, value = line.partition("=")
    name = key.lstrip("+~").partition("@")[0]
    if not equals or name in needed:
        return line
    is_secret = _is_secret(name, value) or any(map(looks_secret, INNER_KEY.findall(value)))
    return f"{key}={MASK}" if is_secret else line


def masked_line(line: str) -> str:
    """A line that a program has printed: cut off with the mask where it gives what it names like a secret.

    A secret that stands there without a name is not known for one, except for the passwords of addresses.
    """
    for found in ASSIGNMENT.finditer(line):
        key, value = found.group("key", "value")
        if _is_secret(key, value):
            line = f"{line[: found.start('value')]}{MASK}"  # it may have blanks and quotes in it
            break
    return ADDRESS_WITH_PASSWORD.sub(f"://{MASK}@", line)


def is_masked(override: str) -> bool:
    """Whether the override has the mask in place of its value."""
    return override.partition("=")[2] == MASK


def masked_configuration(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """A trial's configuration with masks in place of texts; numbers that are searched are no secrets."""
    return {
        key: MASK if isinstance(value, str) and _is_secret(key, value) else value
        for key, value in configuration.items()
    }


@functools.lru_cache(maxsize=10_000)
def looks_secret(key: str) -> bool:
    """Whether the key looks like that of a secret."""
    return _has(ANYWHERE, key) or f"{key}.".startswith(f"{ENVIRONMENT}.")


def _is_secret(key: str, value: Any) -> bool:
    if value is None or isinstance(value, bool):
        return False
    text = str(value).strip()
    if ADDRESS_WITH_PASSWORD.search(text):
        return True
    if not looks_secret(key) or text.lower() in NO_VALUE or REFERENCE.fullmatch(text):
        return False
    # token_dim: 64 is none, though pin_token: 64 may be one.
    return not _is_number(text) or _has(AT_THE_END, key) or key.startswith(ENVIRONMENT)


def _has(pattern: re.Pattern[str], key: str) -> bool:
    parts = key.lstrip("+~").split(".")
    return any(pattern.search("_".join(WORD.findall(part)).lower()) for part in parts)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _at(config: Any, key: str) -> Any:
    for name in key.split("."):
        config = config.get(name) if isinstance(config, Mapping) else None
    return config
