"""Search spaces that options of config groups bring along: one file each, in a config directory of their own."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

import yaml
from hydra.core.config_loader import ConfigLoader
from omegaconf import DictConfig

from hposweep.errors import ConfigError, nearest
from hposweep.search_space import Choice, ConditionalChoice, Node, Value, tree
from hposweep.search_space.dimensions import bare

KEY = "hydra.sweeper.own_spaces"


@dataclass
class OwnSpaces:
    """The files `<folder>/<group>/<option>.yaml` of the config's search path.

    Args:
        folder: the config directory that holds them, `hydra.sweeper.own_spaces`.
        config: the sweep's, to which interpolations in a file refer.

    Raises:
        ConfigError: if there is no such directory.
    """

    loader: ConfigLoader
    folder: str
    config: DictConfig

    def __post_init__(self) -> None:
        parent, _, name = self.folder.rpartition("/")
        if name not in self.loader.list_groups(parent):
            raise ConfigError(f"{KEY}: the config has no directory {self.folder}")

    def added_to(
        self, nodes: Mapping[str, Node], overruled: Collection[str], read: Callable[[DictConfig], Mapping[str, Node]]
    ) -> dict[str, Node]:
        """The tree with the spaces of all options: of those that the config chooses, and as branches of searched ones.

        Args:
            overruled: keys that are given a value elsewhere.
            read: reads the hyperparameters of a file.

        Raises:
            ConfigError: if a file can't be read, or two that are active together have one key.
        """
        searched = set(tree.keys(nodes))
        given = searched.union(overruled)
        files = _Files(self, read)
        found: dict[str, Node] = {}
        source: dict[str, str] = {}
        for group, option in self.config.hydra.runtime.choices.items():
            if group in searched:
                continue
            for key, node in _without(files.of(_group(group), option), given).items():
                file = files.name(_group(group), option)
                if bare(key) in source:
                    raise ConfigError(f"{bare(key)}: stands in {source[bare(key)]} and in {file}, and both are chosen")
                source[bare(key)] = file
                found[key] = node
        return self._with_branches({**found, **nodes}, given, (), files)

    def _with_branches(
        self, nodes: Mapping[str, Node], given: Collection[str], inside: tuple[str, ...], files: _Files
    ) -> dict[str, Node]:
        """The tree, in which options of searched groups bring what their files hold.

        Args:
            inside: the keys in whose branches this one stands.
        """
        found: dict[str, Node] = {}
        for key, node in nodes.items():
            choice = node.choice if isinstance(node, ConditionalChoice) else node
            # A group that is searched below itself has no end: that its key stands there twice is said elsewhere.
            if not isinstance(choice, Choice) or bare(key) in inside:
                found[key] = node
                continue
            branches = []
            for option in choice.options:
                before = node.branch(option) if isinstance(node, ConditionalChoice) else {}
                own = _without(files.of(_group(key), option), {*given, *tree.keys(before)})
                branches.append(self._with_branches({**own, **before}, given, (*inside, bare(key)), files))
            found[key] = ConditionalChoice(choice, tuple(branches)) if any(branches) else choice
        return found


@dataclass
class _Files:
    """Reads each file and lists each directory once: the config loader copies all of its sources for each list."""

    spaces: OwnSpaces
    read: Callable[[DictConfig], Mapping[str, Node]]
    _found: dict[str, Mapping[str, Node]] = field(default_factory=dict)
    _options_of: dict[str, list[str]] = field(default_factory=dict)

    def name(self, group: str, option: str) -> str:
        return f"{self.spaces.folder}/{group}/{option}.yaml"

    def of(self, group: str, option: Value) -> Mapping[str, Node]:
        """What the file of an option holds; empty where there is none."""
        if not isinstance(option, str) or option not in self._options(group):
            return {}
        name = self.name(group, option)
        if name not in self._found:
            try:
                self._found[name] = self.read(self._load(name.removesuffix(".yaml")))
            except ConfigError as error:
                raise ConfigError(f"{name}: {error}") from None
        return self._found[name]

    def _load(self, path: str) -> DictConfig:
        sources = self.spaces.loader.get_sources()
        source = next(source for source in sources if source.available() and source.is_config(path))
        try:
            node = source.load_config(path).config
        except yaml.YAMLError:
            raise ConfigError("can't be read as YAML") from None
        if not isinstance(node, DictConfig):
            raise ConfigError("must be a mapping of config keys to hyperparameters")
        if "defaults" in node:
            raise ConfigError("has a defaults list, which nothing composes here; write the hyperparameters out")
        node._set_parent(self.spaces.config)
        return node

    def _options(self, group: str) -> list[str]:
        """The options that have a file; each must be an option of the group."""
        if group not in self._options_of:
            self._options_of[group] = self._listed(group) if group.split("/")[0] in self._directories else []
        return self._options_of[group]

    @functools.cached_property
    def _directories(self) -> list[str]:
        return self.spaces.loader.list_groups(self.spaces.folder)

    def _listed(self, group: str) -> list[str]:
        files = self.spaces.loader.get_group_options(f"{self.spaces.folder}/{group}")
        options = self.spaces.loader.get_group_options(group) if files else []
        unknown = next((file for file in files if file not in options), None)
        if unknown is not None:
            known = f"{nearest(unknown, options)}Allowed: {', '.join(options)}"
            raise ConfigError(f"{self.name(group, unknown)}: {group} has no option '{unknown}'{known}")
        return files


def _without(nodes: Mapping[str, Node], keys: Collection[str]) -> dict[str, Node]:
    return {key: node for key, node in nodes.items() if bare(key) not in keys}


def _group(key: str) -> str:
    return bare(key).split("@")[0]
