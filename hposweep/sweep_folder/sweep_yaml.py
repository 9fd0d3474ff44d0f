"""`sweep.yaml`: what is needed to run a sweep again. The fields that it has are known here alone."""

from __future__ import annotations

import contextlib
import enum
import functools
import pathlib
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import yaml

from hposweep.errors import ConfigError, object_text
from hposweep.search_space import (
    Choice,
    Configuration,
    Constant,
    Dimension,
    Hyperparameter,
    Value,
    is_record,
    key_of,
    prior_text,
    read_dimension,
)
from hposweep.secret_keys import MASK, is_masked, looks_secret, masked_config, masked_override
from hposweep.sweep_folder.files import read_file, warn_once, write_atomically

RECORD_FILE = "sweep.yaml"
# Around the file's content, so that one that was cut off is known as such. Earlier versions wrote neither.
BEGIN, END = "---\n", "...\n"
MAY_CHANGE = ("n_trials", "task_overrides", "hydra_overrides", "config")  # when a sweep is taken up again
LATER_FIELDS = ("n_seeds", "confirm_top", "initial_configs", "learn_from")  # which files of earlier versions lack
WHOLE_NUMBERS = ("seed", "n_trials", "n_seeds", "confirm_top")
PLAIN = (str, bytes, int, float, type(None))
FIRST_SEARCHER = "RandomSearcher"  # the only one of the first version, which wrote none
# Nodes of the config that choose a class by their `_target_`, from the outermost on.
CHOOSING_NODES = (
    ("hydra", "sweeper"),
    ("hydra", "sweeper", "searcher"),
    ("hydra", "sweeper", "scheduler"),
    ("hydra", "launcher"),
)


@dataclass(frozen=True, kw_only=True)
class _Shared:
    """What the file of any sweep holds; a field that it lacks is None or empty."""

    seed: int | None = None
    n_trials: int | None = None
    search_space: Mapping[str, Value] = field(default_factory=dict)  # the record of each prior, by its dimension's id
    versions: Mapping[str, str] = field(default_factory=dict)
    commit: str | None = None
    platform: Mapping[str, str] = field(default_factory=dict)

    def masked(self) -> Self:
        """The record with masks in place of what looks like a secret."""
        return self

    def shown(self) -> Self:
        """The same as people may see it, without the options that are searched, either."""
        hidden = [
            dimension.id
            for dimension in self.dimensions
            if isinstance(dimension.prior, Choice | Constant) and looks_secret(dimension.key)
        ]
        return replace(self.masked(), search_space={**self.search_space, **dict.fromkeys(hidden, MASK)})

    @functools.cached_property
    def prior_texts(self) -> Mapping[str, str]:
        """The text of each prior."""
        return {id: prior_text(record) for id, record in self.search_space.items()}

    @functools.cached_property
    def dimensions(self) -> Sequence[Dimension]:
        """The search space, but for what can't be read, such as a distribution that the installed SciPy lacks."""
        found = []
        for id, record in self.search_space.items():
            with contextlib.suppress(ConfigError):
                found.append(read_dimension(id, record))
        return found

    def priors_of(self, key: str) -> list[Hyperparameter]:
        """The priors of a config key: several where branches differ in them."""
        return [dimension.prior for dimension in self.dimensions if dimension.key == key]


@dataclass(frozen=True, kw_only=True)
class AppRecord(_Shared):
    """Of a Hydra app's sweep, which can be run again."""

    command: str  # what starts the program, quoted for a shell, without the overrides
    task_overrides: Sequence[str]
    hydra_overrides: Sequence[str]
    config: Mapping[str, Any]  # interpolations as they were written
    cwd: str | None = None  # the folder in which the program was started; None: an earlier version did not record it
    data: str | None = None  # SHA-256 of the files of the data; None: they are not known, or of an earlier version

    def masked(self) -> Self:
        """The record with masks in place of what looks like a secret; the search space is needed as it is."""
        needed = {*self.choices, *(key_of(id, record).lstrip("+") for id, record in self.search_space.items())}
        return replace(
            self,
            config=masked_config(self.config),
            task_overrides=[masked_override(line, needed) for line in self.task_overrides],
            hydra_overrides=[masked_override(line, needed) for line in self.hydra_overrides],
        )

    @property
    def masked_keys(self) -> list[str]:
        """The keys of the overrides whose values are not recorded."""
        lines = (*self.task_overrides, *self.hydra_overrides)
        return [line.partition("=")[0].lstrip("+") for line in lines if is_masked(line)]

    @property
    def metric(self) -> str | None:
        """The name of what the objective returns."""
        return self._text("metric")

    @property
    def final_metric(self) -> str | None:
        """The name of the value of the job that follows the last trial; None where there is no such job."""
        return self._text("final_metric")

    @property
    def seed_key(self) -> str | None:
        """The config key that gets a trial's seed."""
        return self._text("seed_key")

    @property
    def budget_key(self) -> str | None:
        """The config key that gets the epoch to which a job trains."""
        return self._text("budget_key")

    @property
    def scheduler_r_max(self) -> int | str | None:
        """The full budget of a trial as the scheduler's node names it; text: an interpolation."""
        r_max: int | str | None = self.config_node("hydra", "sweeper", "scheduler", "r_max")
        return r_max

    @property
    def choices(self) -> Mapping[str, str | None]:
        """The chosen option of each config group."""
        node = self.config_node("hydra", "runtime", "choices")
        return node if isinstance(node, Mapping) else {}

    def config_node(self, *names: str) -> Any:
        """What stands at this key in the config; None where nothing does."""
        return select(self.config, *names)

    def completed(self, defaults: Mapping[str, Mapping[str, Any]]) -> Self:
        """The record with the keys that came to the sweeper, launcher, searcher or scheduler since it was written.

        Args:
            defaults: by the `_target_` of a node the keys that it has today, with their default values.
        """
        config: Mapping[str, Any] = self.config
        for names in CHOOSING_NODES:
            config = _with_defaults(config, names, defaults)
        return replace(self, config=config)

    def _text(self, name: str) -> str | None:
        value = self.config_node("hydra", "sweeper", name)
        return None if value is None else str(value)


@dataclass(frozen=True, kw_only=True)
class FunctionRecord(_Shared):
    """Of a sweep by `hposweep.tune`, which no command line runs again."""

    metric: str | None = None
    direction: str | None = None
    searcher: str = FIRST_SEARCHER  # name of the class
    scheduler: str | None = None  # the same
    n_seeds: int = 1
    confirm_top: int = 0
    initial_configs: Sequence[Configuration] = field(default_factory=list)
    learn_from: Sequence[str] = field(default_factory=list)

    @property
    def final_metric(self) -> None:
        """There is no such job."""

    def differences(self, other: FunctionRecord) -> Iterator[tuple[str, object, object]]:
        """What makes the other one another sweep: the field with both values."""
        of_the_sweep = ("seed", "metric", "direction", "prior_texts", "searcher", "scheduler")
        for name in (*of_the_sweep, *LATER_FIELDS):
            one, two = getattr(self, name), getattr(other, name)
            if one != two:
                yield ("search_space" if name == "prior_texts" else name), one, two


def select(node: Any, *names: str) -> Any:
    """What stands at this key in a tree; None where nothing does."""
    for name in names:
        node = node.get(name) if isinstance(node, Mapping) else None
    return node


SweepRecord = AppRecord | FunctionRecord


def taken_up(recorded: SweepRecord, wanted: SweepRecord) -> SweepRecord:
    """What the file of a recorded sweep holds once it is taken up again as the wanted one."""
    taken = replace(recorded, **{name: getattr(wanted, name) for name in MAY_CHANGE if hasattr(recorded, name)})
    if not isinstance(taken, AppRecord) or not isinstance(wanted, AppRecord):
        return taken
    is_there = taken.cwd is not None and Path(taken.cwd).is_dir()
    return taken if is_there else replace(taken, cwd=wanted.cwd)  # where the program has moved to


def recordable(node: Any) -> Any:
    """The tree as the file can hold it: text in the place of paths and objects, lists in that of sets and tuples."""
    if isinstance(node, Mapping):
        return {recordable(key): recordable(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [recordable(value) for value in node]
    if isinstance(node, set | frozenset):
        return sorted(map(recordable, node), key=repr)  # else in another order in each process
    if isinstance(node, enum.Enum):
        return node.name
    if node is None or type(node) in (bool, int, float, str, bytes):
        return node
    return str(node) if isinstance(node, pathlib.PurePath | str) else object_text(node)


def read_record(sweep_dir: Path) -> SweepRecord | None:
    """What `sweep.yaml` holds; None where there is none.

    Raises:
        ConfigError: if somebody has damaged it.
    """
    path = sweep_dir / RECORD_FILE
    if not path.exists():
        return None
    found = read_plain(path)
    try:
        record = None if found is None else _from_mapping(found)
    except ValueError:  # quotes that are not closed
        record = None
    if record is None:
        raise ConfigError(f"{path}: damaged; it must hold what the sweep was started with")
    return record


def readable_record(sweep_dir: Path) -> SweepRecord | None:
    """The same for those who can do without: of a damaged one it is said once, and it is as if there were none."""
    try:
        return read_record(sweep_dir)
    except ConfigError as error:
        warn_once(f"{error}. What it tells is left out")
        return None


def read_plain(path: Path) -> dict[str, Any] | None:
    """What a file of YAML holds; None where that is no mapping of plain values, or the file was cut off."""
    try:
        text = read_file(path).decode()
        is_whole = text.endswith(END) or not text.startswith(BEGIN)
        found = yaml.load(text, _Loader) if is_whole else None  # noqa: S506 (a SafeLoader)
        return found if isinstance(found, dict) and _is_plain(found) else None
    # Numbers and dates that there are not, what is nested deeper than any config is, or no file that can be read.
    except (OSError, yaml.YAMLError, ValueError, OverflowError, RecursionError):
        return None


def write_record(sweep_dir: Path, record: SweepRecord) -> None:
    """Writes the file, whole or not at all, with masks in place of what looks like a secret.

    Raises:
        WriteError: if it can't be written.
    """
    text = yaml.dump(_as_mapping(record.masked()), Dumper=_Dumper, sort_keys=False, allow_unicode=True)
    write_atomically(sweep_dir / RECORD_FILE, f"{BEGIN}{text}{END}")


def _as_mapping(record: SweepRecord) -> dict[str, Any]:
    environment = {"versions": record.versions, "commit": record.commit, "platform": record.platform}
    if isinstance(record, AppRecord):
        return {
            "command": record.command,
            "cwd": record.cwd,
            "overrides": {"task": list(record.task_overrides), "hydra": list(record.hydra_overrides)},
            "seed": record.seed,
            "n_trials": record.n_trials,
            "search_space": record.search_space,
            **({} if record.data is None else {"data": record.data}),
            **environment,
            "config": record.config,
        }
    return {
        "seed": record.seed,
        "metric": record.metric,
        "direction": record.direction,
        "search_space": record.search_space,
        "searcher": record.searcher,
        "scheduler": record.scheduler,
        "n_seeds": record.n_seeds,
        "confirm_top": record.confirm_top,
        "initial_configs": list(record.initial_configs),
        "learn_from": list(record.learn_from),
        "n_trials": record.n_trials,
        **environment,
    }


def _from_mapping(found: dict[str, Any]) -> SweepRecord | None:
    """The record; None where it is none."""
    space, versions, platform = found.get("search_space"), found.get("versions", {}), found.get("platform", {})
    if not (isinstance(space, dict) and isinstance(versions, dict) and isinstance(platform, dict)):
        return None
    if not all(map(is_record, space.values())) or not all(map(_is_whole_or_null, map(found.get, WHOLE_NUMBERS))):
        return None
    shared: dict[str, Any] = {
        "seed": found.get("seed"),
        "n_trials": found.get("n_trials"),
        "search_space": {str(id): record for id, record in space.items()},
        "versions": versions,
        "commit": found.get("commit"),
        "platform": platform,
    }
    if "command" not in found:
        own: dict[str, Any] = {name: found.get(name) for name in ("metric", "direction", "scheduler")}
        own |= {name: found[name] for name in LATER_FIELDS if found.get(name) is not None}
        return FunctionRecord(**shared, **own, searcher=found.get("searcher", FIRST_SEARCHER))
    match found:
        case {
            "command": str(command),
            "overrides": {"task": list(task), "hydra": list(hydra)},
            "config": dict(config),
        } if shlex.split(command) and all(isinstance(line, str) for line in (*task, *hydra)):
            cwd = found.get("cwd")
            data = found.get("data")
            own = {"command": command, "cwd": None if cwd is None else str(cwd), "config": config}
            own["data"] = None if data is None else str(data)
            return AppRecord(**shared, **own, task_overrides=task, hydra_overrides=hydra)
    return None


def _is_whole_or_null(value: object) -> bool:
    return value is None or type(value) is int


def _is_plain(node: object) -> bool:
    """Whether the tree has what we write: mappings with plain keys, lists, texts, bytes, numbers, booleans and null."""
    if isinstance(node, dict):
        return all(isinstance(key, PLAIN) and _is_plain(value) for key, value in node.items())
    return all(map(_is_plain, node)) if isinstance(node, list) else isinstance(node, PLAIN)


def _with_defaults(
    node: Mapping[str, Any], names: Sequence[str], defaults: Mapping[str, Mapping[str, Any]]
) -> Mapping[str, Any]:
    if not names:
        return {**defaults.get(str(node.get("_target_")), {}), **node}
    inner = node.get(names[0])
    if not isinstance(inner, Mapping):
        return node
    return {**node, names[0]: _with_defaults(inner, names[1:], defaults)}


class _Loader(yaml.SafeLoader):
    """Reads plain values alone, and as text the paths that earlier versions wrote as objects of Python."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        # We write none, and a few lines of them unfold to more than a memory holds.
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("no aliases")
        return super().compose_node(parent, index)


class _Dumper(yaml.SafeDumper):
    """Writes plain values alone, and so that other readers of YAML have the same ones."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def _text_node(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    # In other styles PyYAML writes these line breaks as they are, and reads a space.
    style = '"' if re.search("[\x85\u2028\u2029]", text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text_node)


def _path_text(loader: _Loader, node: yaml.SequenceNode) -> str:
    return str(pathlib.PurePosixPath(*loader.construct_sequence(node)))


for module in ("pathlib", "pathlib._local"):  # the second one is Python 3.13's
    for name in ("Path", "PosixPath", "WindowsPath"):
        _Loader.add_constructor(f"tag:yaml.org,2002:python/object/apply:{module}.{name}", _path_text)
# 1e-4 is text to PyYAML and a number to YAML 1.2, and to OmegaConf: as text it gets quotes.
FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9][0-9_]*(\.[0-9_]*)?)[eE][-+]?[0-9]+$")
_Dumper.add_implicit_resolver("tag:yaml.org,2002:float", FLOAT, list("-+.0123456789"))
