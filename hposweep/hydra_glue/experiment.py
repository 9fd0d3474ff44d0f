"""The overrides of a trial as an overlay of a config, for Hydra's `experiment` group."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from hydra.types import RunMode
from omegaconf import OmegaConf, _utils

from hposweep.errors import ConfigError
from hposweep.hydra_glue.overrides import render
from hposweep.shown_text import visible_lines

GROUP = "experiment"
SHOW_CONFIG = ("--cfg", "all")
MULTIRUN = RunMode.MULTIRUN.name


def experiment_of(program: Sequence[str], overrides: Sequence[str], cwd: Path) -> str:
    """An experiment file, as YAML, that gives the program the same config as these overrides.

    It chooses the same config groups, and holds the values in which the config differs from what these give. Both are
    composed by the program itself, which may know structured configs and resolvers that we don't.

    Args:
        program: the words that start it.
        cwd: where it starts.

    Raises:
        ConfigError: if it can't compose the config, or no overlay can say the same.
    """
    wanted = _composed(program, overrides, cwd)
    # Hydra lists them from the last to the first.
    options = {
        group: option
        for group, option in reversed(wanted.pop("hydra")["runtime"]["choices"].items())
        if not group.startswith(("hydra/", "schema/")) and group != GROUP
    }
    choices = {group: option for group, option in options.items() if option is not None}
    nothing_of = [group for group in options if group not in choices]
    try:
        given = _given(program, choices, nothing_of, cwd)
    except ConfigError:
        # An optional group that the program lacks stands among the choices, and can't be chosen.
        of_program = _composed(program, [], cwd)["hydra"]["runtime"]["choices"]
        choices = {group: option for group, option in choices.items() if option != of_program.get(group)}
        given = _given(program, choices, nothing_of, cwd)
    if given["hydra"]["mode"] == MULTIRUN:
        choices, given = _without_sweeps(program, choices, nothing_of, given, cwd)
    taken_out = [line.removeprefix("~") for line in given.pop("hydra")["overrides"]["task"] if line.startswith("~")]
    defaults = [{f"override /{group}": option} for group, option in (choices | dict.fromkeys(taken_out)).items()]
    overlay = {"defaults": defaults, **_changes("", given, wanted)}
    text = OmegaConf.to_yaml(OmegaConf.create(overlay))
    if text == visible_lines(text):
        return text
    # With escapes in place of what YAML may hold, and a terminal may not.
    return str(yaml.dump(overlay, Dumper=_utils.get_omega_conf_dumper(), sort_keys=False, allow_unicode=False))


def _given(program: Sequence[str], choices: dict[str, Any], nothing_of: Sequence[str], cwd: Path) -> dict[str, Any]:
    """The config that these choices of options give, and none of some groups."""
    given = _composed(program, render(choices), cwd)
    chosen = given["hydra"]["runtime"]["choices"]
    taken_out = [f"~{group}" for group in nothing_of if chosen.get(group) is not None]
    return _composed(program, [*render(choices), *taken_out], cwd) if taken_out else given


def _without_sweeps(
    program: Sequence[str],
    choices: dict[str, Any],
    nothing_of: Sequence[str],
    given: dict[str, Any],
    cwd: Path,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The choices without the group that makes a sweep of the program, and the config that they give.

    It is one of the last: what a search is made of stands above the rest of a config.
    """
    for group in reversed(choices):
        others = {other: option for other, option in choices.items() if other != group}
        without = _given(program, others, nothing_of, cwd)
        if without["hydra"]["mode"] != MULTIRUN:
            return others, without
    return choices, given


def _composed(program: Sequence[str], overrides: Sequence[str], cwd: Path) -> dict[str, Any]:
    command = [*program, *overrides, *SHOW_CONFIG]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)  # noqa: S603 (as recorded)
    if done.returncode != 0:
        raise ConfigError(f"--yaml: the config can't be composed: {(done.stderr.split(chr(10), 1))[0]}")
    try:
        container = OmegaConf.to_container(OmegaConf.create(done.stdout), resolve=False)
    except yaml.YAMLError:
        raise ConfigError("--yaml: the program prints more than its config, so that it can't be read") from None
    assert isinstance(container, dict)
    return {str(key): value for key, value in container.items()}


def _changes(prefix: str, given: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """The overlay that turns the given tree of values into the wanted one."""
    removed = [key for key in given if key not in wanted]
    if removed:
        raise ConfigError(f"--yaml: {prefix}{removed[0]} was removed from the config, which no overlay can do")
    changes: dict[str, Any] = {}
    for key, value in wanted.items():
        before = given.get(key)
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            nested = _changes(f"{prefix}{key}.", before, value)
            if nested:
                changes[key] = nested
        elif key not in given or value != before or type(value) is not type(before):
            changes[key] = value
    return changes
