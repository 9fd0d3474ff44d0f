"""Groups sweeps into methods, names these and lists how they differ, by what sweep.yaml holds.

A method is all sweeps that differ only in the seed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from hposweep.results.sweep_data import SweepData
from hposweep.sweep_folder.sweep_yaml import AppRecord, SweepRecord

# The parts of Hydra's own config that make a method, and the keys in them that don't: the seed, the display, when a
# sweep stops, and what follows its last trial. n_workers stays in: it decides the wall time.
OF_HYDRA = ("hydra.sweeper", "hydra.launcher", "hydra.job.env_set")
NOT_OF_THE_METHOD = (
    *(f"hydra.sweeper.{key}" for key in ("seed", "progress", "dashboard", "dry_run", "time_budget", "max_retries")),
    *(f"hydra.sweeper.{key}" for key in ("max_failure_rate", "final_overrides", "final_metric")),
    # `search_space` of sweep.yaml holds the result of both and of the command line.
    *("hydra.sweeper.search_space", "hydra.sweeper.params"),
)
# Our own app's keys that decide on which examples a trial is validated.
VALIDATION_KEYS = ("data._target_", "data.validation", "data.n_validation", "data.split_seed")
# Groups whose options stand in another package than their name says.
PACKAGES = {"searcher": "hydra.sweeper.searcher", "scheduler": "hydra.sweeper.scheduler"}
SEARCH_SPACE = "search_space"  # the keys of distributions begin with it
ABSENT = "absent"
NOT_RECORDED = "not recorded"
LONGEST_NAME = 64
MOST_FOLDERS = 3  # in a name
MOST_CHARACTERS = 200


@dataclass(frozen=True)
class Difference:
    """A config key or group with its value in each method."""

    key: str
    values: Sequence[str]


@dataclass(frozen=True)
class Facts:
    """What is recorded of a sweep and defines its method."""

    leaves: Mapping[str, str]  # values as YAML writes them, by their keys
    choices: Mapping[str, str]  # options of config groups


@dataclass(frozen=True)
class Alike:
    """Sweeps that differ only in the seed, and what they have in common."""

    sweeps: Sequence[SweepData]
    facts: Facts | None  # None: one sweep, without a record


def methods_of(sweeps: Sequence[SweepData]) -> list[Alike]:
    """Groups the sweeps, in the order of each method's first one. A sweep without a record is a method by itself."""
    groups: dict[object, list[SweepData]] = {}
    found: dict[object, Facts | None] = {}
    for i, sweep in enumerate(sweeps):
        facts = None if sweep.record is None else _facts(sweep.record)
        identity = i if facts is None else tuple(sorted(facts.leaves.items()))
        groups.setdefault(identity, []).append(sweep)
        found.setdefault(identity, facts)
    return [Alike(group, found[identity]) for identity, group in groups.items()]


def method_names(methods: Sequence[Alike]) -> list[str]:
    """A name for each method: the keys that set it apart; if there are none, or no record, its folders."""
    recorded = [method.facts for method in methods if method.facts is not None]
    keys = _unequal([facts.leaves for facts in recorded])
    groups = _telling_choices(recorded, keys)
    found = []
    for method in methods:
        words = [] if method.facts is None else _words(method.facts, recorded, keys, groups)
        found.append(_as_many_as_fit(words) or _folders(method))
    # Two names are equal if only words that were left out differ.
    return [
        name if found.count(name) == 1 else f"{name} ({_folders(method)})"
        for name, method in zip(found, methods, strict=True)
    ]


def _as_many_as_fit(words: Sequence[str]) -> str:
    """As many of the first words as fit into a name; empty if not even the first does."""
    for n in range(len(words), 0, -1):
        name = " ".join(words[:n] if n == len(words) else [*words[:n], "…"])
        if len(name) <= LONGEST_NAME:
            return name
    return ""


def _folders(method: Alike) -> str:
    folders = [sweep.name for sweep in method.sweeps]
    return cut(" + ".join(folders if len(folders) <= MOST_FOLDERS else [*folders[:2], f"{len(folders) - 2} more"]))


def _words(facts: Facts, recorded: Sequence[Facts], keys: Sequence[str], groups: Sequence[str]) -> list[str]:
    words: dict[str, list[str]] = {group: [] for group in groups}
    for group in groups:
        if group in facts.choices:
            words[group].append(_word(group, facts.choices[group]))
    for key in keys:
        # `model=mlp` stands for every key of `model`, except those in which methods with `model=mlp` differ.
        owner = next((group for group in groups if _is_under(key, [_package(group)])), None)
        peers = [each for each in recorded if owner is None or each.choices.get(owner) == facts.choices.get(owner)]
        if len({each.leaves.get(key) for each in peers}) > 1:
            words.setdefault(owner or key, []).append(_word(key, facts.leaves.get(key)))
    ordered = [word for of_one in words.values() for word in of_one]
    # Last come missing keys, which say little, and distributions, which are long.
    return sorted(ordered, key=lambda word: (word.startswith("no "), word.startswith(f"{SEARCH_SPACE}.")))


def _word(key: str, value: str | None) -> str:
    for start in ("hydra.sweeper.", "hydra.launcher.", "hydra/sweeper/", "hydra/"):
        key = key.removeprefix(start)
    if value is None:
        return f"no {key}"
    if key.endswith("._target_"):
        key, value = key.removesuffix("._target_"), value.rpartition(".")[2]
    return f"{key}={value}"


def differences(methods: Sequence[Alike]) -> list[Difference]:
    """The groups, then the keys, in which methods differ."""
    recorded = [method.facts for method in methods if method.facts is not None]
    keys = _unequal([facts.leaves for facts in recorded])
    groups = _telling_choices(recorded, keys)
    choices = [None if each.facts is None else each.facts.choices for each in methods]
    leaves = [None if each.facts is None else each.facts.leaves for each in methods]
    return [*(_difference(group, choices) for group in groups), *(_difference(key, leaves) for key in keys)]


def _difference(key: str, of_methods: Sequence[Mapping[str, str] | None]) -> Difference:
    return Difference(key, [NOT_RECORDED if each is None else cut(each.get(key, ABSENT)) for each in of_methods])


def other_validation_data(methods: Sequence[Alike]) -> list[str]:
    """A line if not all sweeps were validated on the same examples, as far as that is known."""
    recorded = [method.facts.leaves for method in methods if method.facts is not None]
    found = {key: {leaves[key] for leaves in recorded if key in leaves} for key in VALIDATION_KEYS}
    unequal = [f"{key}: {cut(', '.join(sorted(values)))}" for key, values in found.items() if len(values) > 1]
    sizes = {sweep.n_validation for method in methods for sweep in method.sweeps if sweep.n_validation is not None}
    if len(sizes) > 1:
        unequal.append(f"validation examples: {', '.join(f'{size:,}' for size in sorted(sizes))}")
    if not unequal:
        return []
    return [f"not all sweeps were validated on the same data: their values can't be compared ({'; '.join(unequal)})"]


def other_environment(sweeps: Sequence[SweepData]) -> list[str]:
    """A line each for versions, machines and commits that differ."""
    lines = []
    records = [sweep.record for sweep in sweeps if sweep.record is not None]
    for title, found in (
        ("versions", [record.versions for record in records]),
        ("machines", [record.platform for record in records]),
    ):
        texts = [_as_texts(each) for each in found if each]
        unequal = [
            f"{key} {', '.join(dict.fromkeys(each.get(key, ABSENT) for each in texts))}" for key in _unequal(texts)
        ]
        if unequal:
            lines.append(f"different {title}: {'; '.join(map(cut, unequal))}")
    commits = dict.fromkeys(record.commit[:12] for record in records if record.commit)
    if len(commits) > 1:
        lines.append(f"different commits: {', '.join(commits)}")
    return lines


def _facts(record: SweepRecord) -> Facts:
    leaves = {f"{SEARCH_SPACE}.{id}": _text(prior) for id, prior in record.prior_texts.items()}
    if not isinstance(record, AppRecord):
        own = {"n_trials": record.n_trials, "searcher": record.searcher, "scheduler": record.scheduler}
        return Facts(leaves | {key: _text(value) for key, value in own.items() if value is not None}, {})
    for key, text in _leaves(record.config):
        if not _is_under(key, ["hydra"]) or (_is_under(key, OF_HYDRA) and not _is_under(key, NOT_OF_THE_METHOD)):
            leaves[key] = text
    leaves.pop(str(record.seed_key), None)
    return Facts(leaves, {group: _text(option) for group, option in record.choices.items()})


def _leaves(tree: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in tree.items():
        key = f"{prefix}.{name}" if prefix else str(name)
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, key)
        else:
            yield key, _text(value)


def _is_under(key: str, nodes: Iterable[str]) -> bool:
    return any(key == node or key.startswith(f"{node}.") for node in nodes)


def _text(value: Any) -> str:
    """In one line as YAML writes it, so that the text '1' and the number 1 are told apart."""
    written: str = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=math.inf)
    return " ".join(written.removesuffix("...\n").split())


def _unequal(mappings: Sequence[Mapping[str, str]]) -> list[str]:
    keys = dict.fromkeys(key for each in mappings for key in each)
    return [key for key in keys if len({each.get(key) for each in mappings}) > 1]


def _telling_choices(facts: Sequence[Facts], keys: Sequence[str]) -> list[str]:
    """Groups in which methods chose different options, if these differ in any key."""
    return [
        name
        for name in _unequal([each.choices for each in facts])
        if any(_is_under(key, [_package(name)]) for key in keys)
    ]


def _package(group: str) -> str:
    name, _, package = group.partition("@")
    return package or PACKAGES.get(name) or name.replace("/", ".")


def _as_texts(mapping: Mapping[str, str]) -> dict[str, str]:
    return {str(key): str(value) for key, value in mapping.items()}


def cut(text: str) -> str:
    """The text, or its beginning where it is too long for a cell."""
    return text if len(text) <= MOST_CHARACTERS else f"{text[: MOST_CHARACTERS - 1]}…"
