"""Fast composition gives what Hydra's own does: the same config, the same overrides, the same errors."""

import re
from dataclasses import dataclass
from typing import Any

import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path
from hydra.core.config_store import ConfigStore
from hydra.core.utils import setup_globals
from hydra.errors import HydraException
from hydra.types import RunMode
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from hposweep.hydra_glue.jobs.composition import CachingConfigLoader
from hposweep.hydra_glue.overrides import render_value

CONFIG = """
defaults:
  - _self_
  - db: mysql
  - server@one: small
  - typed: local
x: 1
nested: {a: 1, b: {c: hello}}
derived: ${nested.a}-${hydra.job.override_dirname}
items: [1, 2]
when: ${now:%f}
"""
FAST = """
# @package _global_
defaults:
  - override /db: postgres
x: 8
"""


@pytest.fixture(scope="module")
def loader(tmp_path_factory: pytest.TempPathFactory) -> ConfigLoaderImpl:
    setup_globals()

    @dataclass
    class Typed:  # by its name nobody finds it, as with what hydra-zen makes
        port: int = 1

    ConfigStore.instance().store(group="typed", name="local", node=Typed)
    files = {
        "config.yaml": CONFIG,
        "db/mysql.yaml": "port: 1\nuser: root\n",
        "db/postgres.yaml": "port: 2\nschema: public\n",
        "server/small.yaml": "ram: 1\n",
        "server/large.yaml": "ram: 9\n",
        "plan/fast.yaml": FAST,
    }
    folder = tmp_path_factory.mktemp("conf")
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    return ConfigLoaderImpl(create_config_search_path(str(folder)))


@pytest.fixture(scope="module")
def master(loader: ConfigLoaderImpl) -> DictConfig:
    """What every sweep config is composed from; nobody may change it."""
    config = loader.load_configuration("config", ["hydra.sweep.dir=swept", "x=3"], RunMode.MULTIRUN)
    assert config.when  # resolved, and so cached
    return config


OVERRIDES = [
    [],
    ["x=5"],
    ["x=5", "nested.a=2.5"],
    ["+new=1", "++x=2", "++brand.new=3"],
    ["~nested.b"],
    ["~items"],
    ["~x=1"],
    ["db=postgres"],
    ["db=postgres", "db.schema=private", "x=7"],
    ["x=7", "db=postgres"],
    ["~db"],
    ["server@one=large"],
    ["+server@two=large", "two.ram=3"],
    ["nested={a: 5}"],
    ["nested={a: 5}", "items=[3,4]"],
    ["nested.b.c='quoted, text'"],
    ['nested.b.c="it\'s"'],
    ["nested.b.c=${x}"],
    ["items=[]", "x=null"],
    ["db={port: 8}"],
    ["hydra.job.name=other", "x=2"],
    ["hydra.output_subdir=null"],
]


@pytest.mark.parametrize("overrides", OVERRIDES, ids=" ".join)
def test_the_config_is_the_same(loader: ConfigLoaderImpl, master: DictConfig, overrides: list[str]) -> None:
    fast = CachingConfigLoader(loader)
    for _ in range(2):  # composed, and from the cache
        expected, found = loader.load_sweep_config(master, overrides), fast.load_sweep_config(master, overrides)
        for config in (expected, found):
            with open_dict(config):
                config.hydra.job.id, config.hydra.job.num = "7", 7
        assert OmegaConf.to_yaml(found) == OmegaConf.to_yaml(expected)
        assert OmegaConf.to_container(found.nested, resolve=True) == OmegaConf.to_container(
            expected.nested, resolve=True
        )
        assert found.when == expected.when == master.when
        assert found.derived == expected.derived
        assert found._metadata.flags == expected._metadata.flags


@pytest.mark.parametrize(
    "overrides",
    [
        *(["nosuch=1"], ["db=nosuch"], ["~nosuch"], ["+x=1"], ["nested.nosuch=2"], ["x@y=1"], ["typed.port=abc"]),
        # The first mistake is told, and a sweep is none of a job's.
        *(["nosuch=1", "x@y=1"], ["x=1,2"], ["x=interval(0,1)"]),
    ],
    ids=" ".join,
)
def test_the_errors_are_the_same(loader: ConfigLoaderImpl, master: DictConfig, overrides: list[str]) -> None:
    with pytest.raises(HydraException) as expected:
        loader.load_sweep_config(master, overrides)
    with pytest.raises(HydraException) as found:
        CachingConfigLoader(loader).load_sweep_config(master, overrides)
    assert str(found.value) == str(expected.value)


def test_hydra_composes_once_for_each_choice_of_groups(
    loader: ConfigLoaderImpl, master: DictConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    composed: list[list[str]] = []
    original = loader.load_sweep_config

    def compose(master: DictConfig, overrides: list[str]) -> DictConfig:
        composed.append(overrides)
        return original(master, overrides)

    monkeypatch.setattr(loader, "load_sweep_config", compose)
    fast = CachingConfigLoader(loader)
    for x in range(5):
        fast.load_sweep_config(master, [f"x={x}"])
        fast.load_sweep_config(master, ["db=postgres", f"x={x}"])
    assert composed == [[], ["db=postgres"]]


def test_what_is_done_with_one_config_does_not_reach_the_next(loader: ConfigLoaderImpl, master: DictConfig) -> None:
    fast = CachingConfigLoader(loader)
    first = fast.load_sweep_config(master, ["x=1"])
    OmegaConf.set_readonly(first.hydra, True)
    first.nested.a = 99
    second = fast.load_sweep_config(master, ["x=2"])
    assert second.nested.a == 1
    with open_dict(second):
        second.hydra.job.num = 3


# What stands in the config, deep and not so deep. Not `derived`: when Hydra deletes something, it does not know its own
# `hydra.job.override_dirname` yet, and refuses what depends on that; ours does know it.
KEYS = st.sampled_from(["x", "nested", "nested.a", "nested.b", "nested.b.c", "items", "db", "db.port", "typed.port"])
NEW_KEYS = st.sampled_from(["new", "nested.new", "nested.b.new.deep", "brand.new"])
TEXTS = st.sampled_from(["abc", "1", "true", "null", "it's", "a, b", "", "#x", "a=b", "[1]"]) | st.text(
    alphabet="aZ0 '\"\\,=[]{}:.#é-", max_size=6
)
SCALARS = st.none() | st.booleans() | st.integers(-3, 10) | st.sampled_from([0.5, 1e-5, 1e300]) | TEXTS
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["a", "b", "c"]), inner, max_size=2),
    max_leaves=4,
).map(render_value)
INTERPOLATIONS = st.sampled_from(["${x}", "${nested.a}", "'${x} and ${db.port}'", "${nosuch}", "${.a}", "${now:%f}"])
# An option of a group that is named by the time of day is another one at each composition.
SETTINGS = st.builds("{}{}={}".format, st.sampled_from(["", "++"]), KEYS, VALUES | INTERPOLATIONS).filter(
    lambda override: "db=${now" not in override
)
ADDITIONS = st.builds("{}{}={}".format, st.sampled_from(["+", "++"]), NEW_KEYS, VALUES | INTERPOLATIONS)
CHOICES = st.sampled_from(
    [
        *("db=mysql", "db=postgres", "~db", "~db=mysql", "+db@other=postgres", "db=[mysql,postgres]"),
        *("server@one=large", "~server@one", "+server@two=large", "+plan=fast"),
    ]
)
DELETIONS = st.builds("~{}".format, KEYS | st.sampled_from(["x=3", "x=4", "nested.b.c=hello", "new"]))
MISTAKES = st.sampled_from(
    [
        *("nosuch=1", "~nosuch", "+x=1", "nested.nosuch=2", "x=1,2", "x=choice(1,2)", "x=interval(0,1)", "x=["),
        *("db=nosuch", "~db=nosuch", "db=3", "+db=postgres", "++db=mysql", "server=large", "nosuch@one=large"),
    ]
)
EDITS = st.lists(SETTINGS | ADDITIONS | CHOICES | DELETIONS, max_size=5)


def outcome(loader: Any, master: DictConfig, overrides: list[str]) -> tuple[Any, ...]:
    """What comes of these overrides, as far as a job or a user can see it."""
    try:
        config = loader.load_sweep_config(master, overrides)
    except Exception as error:  # Hydra's own ones, and whatever else it lets through
        return type(error), *map(told, (error, error.__cause__))
    with open_dict(config):
        config.hydra.job.id, config.hydra.job.num = "7", 7
    return OmegaConf.to_yaml(config), {key: resolved(config, key) for key in config if key != "hydra"}


def resolved(config: DictConfig, key: str) -> Any:
    """What stands there, or why it can't be told."""
    try:
        return OmegaConf.to_object(config[key]) if OmegaConf.is_config(config[key]) else config[key]
    except OmegaConfBaseException as error:
        return told(error)


def told(error: BaseException | None) -> str:
    """The text of an error, without the time of day in microseconds and what Python did where the stack ended."""
    return re.sub(r"(maximum recursion depth exceeded).*", r"\1", re.sub(r"\d{6}", "now", str(error)))


@pytest.fixture(scope="module")
def fast(loader: ConfigLoaderImpl) -> CachingConfigLoader:
    """One for all examples: what one of them does must not reach the next."""
    return CachingConfigLoader(loader)


@settings(max_examples=80)
@given(overrides=EDITS | st.builds(list.__add__, EDITS, st.lists(MISTAKES, max_size=2)))
def test_any_overrides_come_out_as_hydra_composes_them(
    loader: ConfigLoaderImpl, fast: CachingConfigLoader, master: DictConfig, overrides: list[str]
) -> None:
    assert outcome(fast, master, overrides) == outcome(loader, master, overrides)
