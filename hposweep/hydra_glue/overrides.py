"""From Hydra's overrides to a search space, and from a configuration back to overrides."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import (
    ChoiceSweep,
    Glob,
    IntervalSweep,
    Override,
    Quote,
    QuotedString,
    RangeSweep,
    ValueType,
)
from hydra.errors import HydraException
from omegaconf import MISSING, OmegaConf

from hposweep.errors import ConfigError, object_text
from hposweep.hydra_glue.own_spaces import OwnSpaces
from hposweep.search_space import (
    Choice,
    Configuration,
    Constant,
    Hyperparameter,
    Node,
    SearchSpace,
    Value,
    literal,
    parse_hyperparameter,
    parse_search_space,
    tree,
)
from hposweep.search_space.dimensions import bare
from hposweep.search_space.parsing import check_text, is_of_optuna, plain_value
from hposweep.search_space.priors import integers, interval

OWN_GROUPS = ("searcher", "scheduler", "search_space", "experiment")


@dataclass(frozen=True)
class ParsedOverrides:
    """What is searched, and the overrides that are the same for every trial."""

    search_space: SearchSpace
    fixed: tuple[str, ...]


class OverrideReader:
    """Reads the three places of a search space: `search_space` < `params` < the command line."""

    def __init__(self, config_loader: ConfigLoader) -> None:
        self._config_loader = config_loader
        self._parser = OverridesParser.create(config_loader=config_loader)

    def read(
        self,
        search_space: Any,
        params: Any,
        arguments: Sequence[str],
        has_short_names: bool,
        own_spaces: OwnSpaces | None = None,
    ) -> ParsedOverrides:
        """The search space of a sweep.

        Args:
            search_space, params: the nodes `hydra.sweeper.search_space` and `hydra.sweeper.params`.
            arguments: the task's overrides, plain and swept.
            has_short_names: whether `searcher`, `scheduler` and so on are groups that choose parts of the sweep.
            own_spaces: what the options of config groups bring along; None: nothing.

        Raises:
            ConfigError: with the key in front.
        """
        nodes: dict[str, Node] = {}
        for source, node in (("search_space", search_space), ("params", params)):
            for key, found in self._read_node(source, node).items():
                nodes = tree.with_node(nodes, key, found)
        fixed: list[str] = []
        given: list[str] = []
        for line in arguments:
            check_text(line)
        overrides = self._parser.parse_overrides(list(arguments))
        for override in overrides:
            key = override.get_key_element()
            swept_before = [other for other, before in zip(given, overrides, strict=False) if is_sweep(before)]
            if bare(key) in swept_before or (is_sweep(override) and bare(key) in given):
                raise ConfigError(f"{bare(key)}: stands twice on the command line")
            given.append(bare(key))
        for override in overrides:
            if is_sweep(override):
                nodes = tree.with_node(nodes, override.get_key_element(), self._from_sweep(override))
        if own_spaces is not None:
            fixed_keys = [key for key, override in zip(given, overrides, strict=True) if not is_sweep(override)]
            nodes = own_spaces.added_to(nodes, fixed_keys, lambda node: self._read_container(_resolved(node)))
        for override in overrides:
            key = override.get_key_element()
            if is_sweep(override):
                continue
            assert override.input_line is not None
            if override.is_delete():
                nodes, is_apart = tree.without(nodes, key), True
            else:
                nodes, is_apart = tree.fixed(nodes, key, Constant(override.value()))
            if is_apart:
                fixed.append(override.input_line)
        for key, prior in tree.priors(nodes):
            check_is_searchable(key, has_short_names)
            try:
                _check_can_be_given(prior)
            except ConfigError as error:
                raise ConfigError(f"{bare(key)}: {error}") from None
        return ParsedOverrides(SearchSpace(nodes), tuple(fixed))

    def _read_node(self, source: str, node: Any) -> dict[str, Node]:
        if node is None:
            return {}
        container = _resolved(node) if OmegaConf.is_config(node) else node
        if not isinstance(container, Mapping):
            kinds = "a mapping of config keys to hyperparameters"
            raise ConfigError(f"hydra.sweeper.{source}: must be {kinds}, got {container!r}")
        try:
            found = self._read_container(container)
            SearchSpace(found)  # which refuses a key that stands twice in this source
            return found
        except ConfigError as error:
            raise ConfigError(f"{source}.{error}") from None

    def _read_container(self, container: Mapping[Any, Any]) -> dict[str, Node]:
        return parse_search_space(container, self._from_value, nested=True)

    def _from_value(self, key: str, node: Any) -> Hyperparameter:
        """A hyperparameter from YAML: in our own words, else in Hydra's sweep syntax."""
        value = plain_value(node)
        if is_of_optuna(value):
            raise ConfigError(f"{literal(value)}: written as for hydra-optuna-sweeper; here it is {_as_here(value)}")
        if not isinstance(value, str):
            return parse_hyperparameter(value)
        override = self._try_to_parse(f"{key}={value}")
        if "(" not in value:
            return Constant(value) if override is None or not is_sweep(override) else self._from_sweep(override)
        try:
            return parse_hyperparameter(value)
        except ConfigError:
            if override is None or not is_sweep(override):
                raise
            return self._from_sweep(override)

    def _try_to_parse(self, text: str) -> Override | None:
        try:
            return self._parser.parse_override(text)
        except HydraException:  # unknown functions are no OverrideParseException
            return None

    def _from_sweep(self, override: Override) -> Hyperparameter:
        key = override.get_key_element()
        text = str(override.input_line).split("=", 1)[1]
        try:
            return self._from_sweep_value(override, text)
        except ConfigError as error:
            raise ConfigError(f"{bare(key)}: {error}") from None

    def _from_sweep_value(self, override: Override, text: str) -> Hyperparameter:
        value = override._value
        match value:
            case IntervalSweep(start=start, end=end, tags=tags):
                log = "log" in tags
                unknown = sorted(tags - {"log"})
                if unknown:
                    raise ConfigError(f"{text}: no tag '{unknown[0]}'; allowed: log")
                if isinstance(start, int):
                    return integers(int(start), int(end or 0), log=log, text=text)
                return interval(float(start or 0), float(end or 0), log=log, text=text)
            case RangeSweep():
                try:
                    return Choice(tuple(value.range()))
                except (ValueError, HydraException) as error:  # for a step of 0, or one of 0.5 between integers
                    raise ConfigError(f"{text}: {error}") from None
            case ChoiceSweep():
                return Choice(tuple(_options(value)))
            case Glob():
                return Choice(tuple(self._glob(override, value)))
        raise ConfigError(f"{text}: this sweep can't be searched")

    def _glob(self, override: Override, glob: Glob) -> list[str]:
        return list(glob.filter(self._config_loader.get_group_options(override.key_or_group)))


def _resolved(node: Any) -> Any:
    """What stands in the config, where texts that are no interpolations stay so when they are given to a job."""
    return _literal(OmegaConf.to_container(node, resolve=True, enum_to_str=True))


def _literal(value: Any) -> Any:
    if isinstance(value, str):
        return literal_text(value)
    if isinstance(value, Mapping):
        return {key: _literal(item) for key, item in value.items()}
    return [_literal(item) for item in value] if isinstance(value, list) else value


def _check_can_be_given(prior: Hyperparameter) -> None:
    """Raises a ConfigError if one of its values can't be given to a job by an override."""
    values = prior.options if isinstance(prior, Choice) else [prior.value] if isinstance(prior, Constant) else []
    for value in values:
        render_value(plain_value(value))


def is_sweep(override: Override) -> bool:
    """Whether the override has several values; a glob counts, though Hydra does not derive it from its sweeps."""
    return bool(override.is_sweep_override()) or isinstance(override._value, Glob)


def check_is_searchable(key: str, has_short_names: bool) -> None:
    """Refuses to search over what makes up the sweep itself."""
    name = bare(key).split("@")[0]
    if name.startswith(("hydra.", "hydra/")) or name == "hydra":
        raise ConfigError(f"{name}: Hydra's own configuration can't be searched over")
    if has_short_names and name.split(".")[0] in OWN_GROUPS:
        raise ConfigError(
            f"{name}: can't be searched over, it makes up the sweep itself; start one sweep for each value"
        )


def render(configuration: Configuration) -> list[str]:
    """Overrides from which Hydra's parser reads the same values back."""
    return [f"{key}={render_value(value)}" for key, value in configuration.items()]


def render_value(value: Value) -> str:
    """One value in the words of Hydra's override grammar.

    A text has OmegaConf's notation: `${x}` is an interpolation of the job's config, `\\${x}` is this text.

    Raises:
        ConfigError: for a mapping with a key that the grammar has no words for, and for OmegaConf's mark of a missing
            value, which is never read as the text that it is.
    """
    if value == MISSING:
        raise ConfigError(
            f"'{MISSING}': stands for a missing value in OmegaConf, so that no job can be given this text"
        )
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else str(value)
    if isinstance(value, int):
        return repr(value)
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{_rendered_key(key)}:{render_value(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(render_value(item) for item in value) + "]"
    return _rendered_text(str(value))


def literal_text(text: str) -> str:
    """What OmegaConf reads as this text, and not as an interpolation."""
    # Backslashes that stand before `${` stand for half of them.
    return re.sub(r"(\\*)\$\{", r"\1\1\\${", text)


@functools.lru_cache(maxsize=10_000)  # the options of choices come again in each trial, and parsing takes a millisecond
def _rendered_text(text: str) -> str:
    """Bare where Hydra reads it as this text, else quoted: '1', 'true' and "it's" would become something else."""
    try:
        # In a list, where no text at all would be no element.
        override = OverridesParser.create().parse_override(f"key=[{text}]")
        if override.value_type is ValueType.ELEMENT and override.value() == [text]:
            return text
    except HydraException:
        pass
    return QuotedString(text, Quote.single).with_quotes()


@functools.lru_cache(maxsize=10_000)
def _rendered_key(key: str) -> str:
    """With backslashes, for the grammar has no quotes around the keys of a mapping."""
    text = re.sub(r"([\\()\[\]{}:=,\s])", r"\\\1", key)
    try:
        if OverridesParser.create().parse_override(f"key={{{text}:null}}").value() == {key: None}:
            return text
    except HydraException:
        pass
    raise ConfigError(
        f"{object_text(key)}: Hydra's overrides can't hold this key of a mapping; letters, digits, points and dashes "
        "are fine, with a letter first. What holds any key is a file of a config group"
    )


def _as_here(value: Mapping[Any, Value]) -> str:
    """What says the same here."""
    if value["type"] == "categorical":
        return str(Choice(tuple(value.get("choices") or ("a", "b"))))
    low, high = (literal(value.get(end, end)) for end in ("low", "high"))
    if value.get("step") is not None:
        return f"range({low},{high},{literal(value['step'])}), which leaves out its end"
    text = f"tag(log,interval({low},{high}))" if value.get("log") else f"interval({low},{high})"
    return f"int({text})" if value["type"] == "int" else text


def _options(sweep: ChoiceSweep) -> list[Value]:
    """The plain values of a choice; `choice(a,b),c` nests one in another."""
    options: list[Value] = []
    for element in sweep.list:
        if isinstance(element, ChoiceSweep):
            options += _options(element)
        else:
            options.append(Override._convert_value(element))
    return options
