"""Fast composition gives what Hydra's own does: the same config, the same overrides, the same errors."""

from pathlib import Path

import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path
from hydra.core.utils import setup_globals
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from hposweep.hydra_glue.composition import CachingConfigLoader

CONFIG = """
defaults:
  - _self_
  - db: mysql
  - server@one: small
x: 1
nested: {a: 1, b: {c: hello}}
derived: ${nested.a}-${hydra.job.override_dirname}
items: [1, 2]
when: ${now:%f}
"""


@pytest.fixture
def loader(tmp_path: Path) -> ConfigLoaderImpl:
    setup_globals()
    files = {
        "config.yaml": CONFIG,
        "db/mysql.yaml": "port: 1\nuser: root\n",
        "db/postgres.yaml": "port: 2\nschema: public\n",
        "server/small.yaml": "ram: 1\n",
        "server/large.yaml": "ram: 9\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return ConfigLoaderImpl(create_config_search_path(str(tmp_path)))


@pytest.fixture
def master(loader: ConfigLoaderImpl) -> DictConfig:
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
    "overrides", [["nosuch=1"], ["db=nosuch"], ["~nosuch"], ["+x=1"], ["nested.nosuch=2"], ["x@y=1"]], ids=" ".join
)
def test_the_errors_are_the_same(loader: ConfigLoaderImpl, master: DictConfig, overrides: list[str]) -> None:
    with pytest.raises(HydraException) as expected:
        loader.load_sweep_config(master, overrides)
    with pytest.raises(HydraException) as found:
        CachingConfigLoader(loader).load_sweep_config(master, overrides)
    assert str(found.value) == str(expected.value)


def test_hydra_composes_once_for_each_choice_of_groups(
    loader: ConfigLoaderImpl, master: DictConfig, monkeypatch
) -> None:  # type: ignore[no-untyped-def]
    composed: list[list[str]] = []
    original = loader.load_sweep_config
    monkeypatch.setattr(loader, "load_sweep_config", lambda *a: composed.append(a[1]) or original(*a))
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
