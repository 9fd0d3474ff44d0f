"""Keys that nothing reads: a `+` adds them to any node, also to one whose dataclass has no such field."""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeGuard

from omegaconf import DictConfig, OmegaConf

from hposweep.errors import ConfigError

OURS = ("hposweep.", "hydra_plugins.hposweep")
CHOICE_OF_SEARCHER = "hydra/sweeper/searcher=NAME"
# Keys of hydra-optuna-sweeper and hydra-joblib-launcher that have another name here.
ELSEWHERE = {
    "n_jobs": "the number of workers is hydra.launcher.n_workers",
    "sampler": f"the searcher is chosen by {CHOICE_OF_SEARCHER}, and its seed is hydra.sweeper.seed",
    "storage": "the sweep's folder is the study: hydra.sweep.dir names it, and the same command goes on with it",
    "study_name": "the sweep's folder is the study: hydra.sweep.dir names it, and the same command goes on with it",
    "custom_search_space": "the search space stands in hydra.sweeper.search_space",
}
SEARCHED = ("hydra.sweeper.search_space", "hydra.sweeper.params")
PLACES_OF_PLUGINS = ("hydra.sweeper.", "hydra/sweeper/", "hydra.launcher.")


def check(
    nodes: Mapping[str, DictConfig],
    whole: Sequence[DictConfig],
    *,
    has_short_names: bool,
    whose: Callable[[str], str] = lambda key: "",
    is_read: Callable[[str], bool] = lambda key: False,
) -> None:
    """Refuses keys that nothing reads.

    Args:
        nodes: what is looked through, by its key and a dot; the keys of an object that is not ours are its own.
        whole: the config, whose interpolations may read them.
        has_short_names: whether the groups `searcher` and so on choose parts of the sweep.
        whose: to which choice of the config a key belongs, in words; empty where it doesn't to any.
        is_read: whether something reads a key that its node's dataclass doesn't have.

    Raises:
        ConfigError: naming the key, and where it belongs.
    """
    for key in (each for prefix, node in nodes.items() for each in _unread(prefix, node)):
        if is_read(key) or key.rpartition(".")[2] in _words_of_interpolations(whole):
            continue
        reason = name_here(key, has_short_names=has_short_names) or whose(key)
        known = [each for part in whole for each in keys_of("", part)]
        raise ConfigError(f"{key}: {reason or f'nothing reads this key{nearest_key(key, known)}'}")


def name_here(key: str, *, has_short_names: bool) -> str:
    """How a key of another sweeper or launcher is called here; empty where the key is none."""
    for place in PLACES_OF_PLUGINS:
        key = key.removeprefix(place)
    answer = ELSEWHERE.get(key.partition(".")[0], "")
    if has_short_names:
        answer = answer.replace(CHOICE_OF_SEARCHER, "searcher=NAME")
    return answer and f"a key of another plugin; here {answer}"


def nearest_key(key: str, known: Sequence[str]) -> str:
    """`; did you mean 'x'?` for a key of the same node or with the same last word; else `. Keys of <node>: ...`."""
    node, _, name = key.rpartition(".")
    others = [each for each in known if each != key and not each.startswith(SEARCHED)]
    of_node = (each.rpartition(".")[2] for each in others if each.rpartition(".")[0] == node)
    siblings = [each for each in of_node if not each.startswith("_")]
    if node and siblings:
        close = difflib.get_close_matches(name, siblings, n=1)
        found = [f"{node}.{close[0]}"] if close else []
    else:
        found = difflib.get_close_matches(key, others, n=1)
    found = found or [each for each in dict.fromkeys(others) if each.rpartition(".")[2] == name]
    if found:
        return f"; did you mean {' or '.join(map(repr, found))}?"
    return f". Keys of {node}: {', '.join(siblings)}" if node and siblings else ""


def keys_of(prefix: str, config: DictConfig) -> list[str]:
    """All dotted keys of the config; of Hydra's own, only those of the sweep and of what runs it."""
    keys: list[str] = []

    def walk(prefix: str, node: DictConfig) -> None:
        for name in node:
            key = f"{prefix}{name!s}"
            keys.append(key)
            child = node._get_node(name)
            if _is_there(child):
                walk(f"{key}.", child)

    walk(prefix, config)
    of_hydra = ("hydra.sweeper", "hydra.sweep", "hydra.launcher")
    return [key for key in keys if not key.startswith("hydra") or key.startswith(of_hydra)]


def _unread(prefix: str, node: DictConfig) -> Iterator[str]:
    target = str(node._get_node("_target_") or "") if "_target_" in node else ""
    fields = _fields(node) if target.startswith(OURS) or not target else None
    for name in node:
        key, child = f"{prefix}{name!s}", node._get_node(name)
        if fields is not None and name not in fields:
            yield key
        elif _is_there(child):
            yield from _unread(f"{key}.", child)


def _fields(node: DictConfig) -> set[str] | None:
    """The fields of the node's dataclass; None where it has none, so that any key may be read."""
    kind = OmegaConf.get_type(node)
    return {field.name for field in dataclasses.fields(kind)} if dataclasses.is_dataclass(kind) else None


def _is_there(node: Any) -> TypeGuard[DictConfig]:
    """Whether it is a mapping, and no null, `???` or interpolation in the place of one."""
    return isinstance(node, DictConfig) and not (node._is_none() or node._is_missing() or node._is_interpolation())


def _words_of_interpolations(configs: Sequence[DictConfig]) -> set[str]:
    words: set[str] = set()

    def walk(node: Any) -> None:
        if isinstance(node, Mapping):
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)
        elif isinstance(node, str) and "${" in node:
            words.update(word for inside in re.findall(r"\$\{[^}]*", node) for word in re.findall(r"\w+", inside))

    for config in configs:
        walk(OmegaConf.to_container(config, resolve=False))
    return words
