"""`hydra.sweeper.*`: checks beyond types; builds the searcher and the scheduler."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import hydra.utils
from omegaconf import DictConfig, OmegaConf

from hposweep.beginnings import Extent, with_beginnings
from hposweep.errors import ConfigError, nearest
from hposweep.hydra_glue import unread_keys
from hposweep.results.terminal import progress
from hposweep.schedulers import Scheduler
from hposweep.search_space import LARGEST_SEED, SearchSpace
from hposweep.searchers import Searcher
from hposweep.sweep_folder import tables
from hposweep.sweep_folder.journal import first_schema
from hposweep.trial import Direction

Options = Mapping[str, Any]


def check(options: Options, config: DictConfig) -> Direction:
    """The direction of the sweep.

    Raises:
        ConfigError: if an option is out of its range; the message names its key.
    """
    if first_schema(Path(str(config.hydra.sweep.dir))) is None:  # else its keys were good enough when it began
        ours = {f"hydra.{name}.": config.hydra[name] for name in ("sweeper", "launcher")}
        unread_keys.check(ours, [config], has_short_names=has_short_names(config))
    for name, least in (("n_seeds", 1), ("confirm_top", 0)):
        if options[name] < least:
            raise ConfigError(f"hydra.sweeper.{name}: must be at least {least}, got {options[name]}")
    if not 0 <= options["seed"] <= LARGEST_SEED:
        raise ConfigError(f"hydra.sweeper.seed: must be from 0 to {LARGEST_SEED}, got {options['seed']}")
    rate = options["max_failure_rate"]
    if not 0 <= rate <= 1:
        raise ConfigError(f"hydra.sweeper.max_failure_rate: must be from 0 to 1, got {rate}")
    size = options["max_batch_size"]
    if size is not None and size < 1:
        raise ConfigError(f"hydra.sweeper.max_batch_size: must be at least 1, or null for no limit, got {size}")
    if options["max_retries"] < 0:
        raise ConfigError(f"hydra.sweeper.max_retries: must be at least 0, got {options['max_retries']}")
    for key in ("trial_timeout", "time_budget"):
        if options[key] is not None and not options[key] > 0:
            raise ConfigError(f"hydra.sweeper.{key}: must be above 0 seconds, or null for no limit, got {options[key]}")
    if options["progress"] not in progress.MODES:
        allowed = ", ".join(progress.MODES)
        raise ConfigError(f"hydra.sweeper.progress: must be one of {allowed}, got {options['progress']!r}")
    if options["target_epoch"] is not None:
        raise ConfigError("hydra.sweeper.target_epoch: is set for each job by the scheduler, and not by you")
    direction = options["direction"]
    if OmegaConf.is_list(direction) or isinstance(direction, list):
        raise ConfigError(
            "hydra.sweeper.direction: one direction, minimize or maximize; a list (several objectives) is not "
            f"supported, got {list(direction)}"
        )
    if direction not in list(Direction):
        raise ConfigError(f"hydra.sweeper.direction: must be minimize or maximize, got {direction!r}")
    try:
        tables.check_metric_name(options["metric"])
    except ConfigError as error:
        raise ConfigError(f"hydra.sweeper.metric: {error}") from None
    if options["final_metric"] is not None:
        try:
            tables.check_final_metric_name(options["final_metric"])
        except ConfigError as error:
            raise ConfigError(f"hydra.sweeper.final_metric: {error}") from None
    for role in ("searcher", "scheduler"):
        long_form = config.hydra.runtime.choices.get(f"hydra/sweeper/{role}")
        if has_short_names(config) and long_form is not None:
            raise ConfigError(f"hydra/sweeper/{role}: here it is {role}={long_form}")
    return Direction(direction)


def has_short_names(config: DictConfig) -> bool:
    """Whether this is an app, like ours, whose own groups choose searcher and scheduler."""
    choices = config.hydra.runtime.choices
    return all(role in choices for role in ("searcher", "scheduler", "search_space"))


def build(options: Options, role: str, **arguments: Any) -> Any:
    """The searcher or scheduler of the config, given what it needs of the sweep.

    Raises:
        ConfigError: if the config names none, or an option that it doesn't have.
    """
    node = options[role]
    key = f"hydra.sweeper.{role}"
    if node is None or "_target_" not in node:
        raise ConfigError(f"{key}: names no _target_; choose one with {role}=NAME")
    container = OmegaConf.to_container(node, resolve=True)
    assert isinstance(container, dict)
    values = {str(name): value for name, value in container.items() if name not in arguments}
    target = hydra.utils.get_class(values.pop("_target_"))
    try:
        return target(**arguments, **values)
    except ConfigError as error:
        raise ConfigError(f"{key}.{error}") from None
    except TypeError as error:
        allowed = [name for name in inspect.signature(target).parameters if name not in arguments]
        unknown = next((name for name in values if name not in allowed), None)
        if unknown is None:
            raise
        hint = f"{nearest(unknown, allowed)}Allowed: {', '.join(allowed) or 'none'}"
        raise ConfigError(f"{key}.{unknown}: no such option of {target.__name__}{hint}") from error


def build_searcher(options: Options, search_space: SearchSpace, direction: Direction) -> tuple[Searcher, Extent]:
    """The searcher of the config, which knows already what it is to begin with, and how much it can propose.

    Raises:
        ConfigError: as `build`, or if what it is to begin with does not fit the search space.
    """
    searcher: Searcher = build(options, "searcher", search_space=search_space, seed=options["seed"])
    try:
        first = with_beginnings(
            searcher,
            search_space,
            options["seed"],
            initial_configs=_plain(options["initial_configs"]),
            learn_from=_plain(options["learn_from"]),
            n_seeds=options["n_seeds"],
            metric=options["metric"],
            direction=direction,
        )
        return first, Extent.of(searcher, search_space)
    except ConfigError as error:
        raise ConfigError(f"hydra.sweeper.{error}") from None


def n_trials(options: Options, extent: Extent) -> int:
    """The number of trials; null stands for all configurations.

    Raises:
        ConfigError: as `Extent.checked_n_trials`.
    """
    try:
        return extent.checked_n_trials(options["n_trials"], options["n_seeds"])
    except ConfigError as error:
        raise ConfigError(f"hydra.sweeper.{error}") from None


def _plain(node: Any) -> Any:
    return OmegaConf.to_container(node, resolve=True, enum_to_str=True) if OmegaConf.is_config(node) else node


def build_scheduler(options: Options, search_space: SearchSpace, composed: DictConfig) -> Scheduler:
    """The scheduler of the config; its r_max is the full budget of a trial where nothing else is said.

    Args:
        composed: a trial's config.

    Raises:
        ConfigError: if nobody says how many epochs a complete trial has, or r_max is more than that.
    """
    node, key = options["scheduler"], budget_key(options, composed)
    full = _full_budget(composed, key)
    if node is None or "r_max" not in node:
        scheduler: Scheduler = build(options, "scheduler")
        return scheduler
    searched = [
        dimension.key for dimension in search_space.columns if dimension.key.lstrip("+") in (key, options["budget_key"])
    ]
    if searched:
        raise ConfigError(
            f"{searched[0]}: can't be searched, since the scheduler decides how long a trial trains; "
            "scheduler=fifo lets it be searched"
        )
    r_max = node["r_max"]
    if r_max is None and full is None:
        raise ConfigError(
            "hydra.sweeper.scheduler.r_max: must be given, the epochs of a complete trial; it is taken from the "
            "config where hydra.sweeper.budget_key names the key that holds them"
        )
    if key is not None and full is not None and isinstance(r_max, int) and r_max > full:
        raise ConfigError(f"hydra.sweeper.scheduler.r_max: must be at most {key} ({full}), got {r_max}")
    built: Scheduler = build(options, "scheduler", **({"r_max": full} if r_max is None else {}))
    return built


def n_epochs(options: Options, composed: DictConfig) -> int | None:
    """Epochs of a complete trial; None: unknown."""
    r_max = (options["scheduler"] or {}).get("r_max")
    if r_max is not None:
        return int(r_max)
    return _full_budget(composed, budget_key(options, composed))


def _full_budget(composed: DictConfig, key: str | None) -> int | None:
    return None if key is None else int(OmegaConf.select(composed, key))


def budget_key(options: Options, composed: DictConfig) -> str | None:
    """The config key that holds the full budget of a trial: the one that receives its target or, where that is null,
    `max_epochs` beside it."""
    key = options["budget_key"]
    if key is None:
        return None
    candidates = (key, f"{key.rpartition('.')[0]}.max_epochs".lstrip("."))
    found = next((each for each in candidates if OmegaConf.select(composed, each) is not None), None)
    if found is not None and not isinstance(OmegaConf.select(composed, found), int | float):
        raise ConfigError(f"hydra.sweeper.budget_key: {found} holds no number of epochs")
    return found
