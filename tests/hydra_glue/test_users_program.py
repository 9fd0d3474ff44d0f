"""The user's program is the user's program: what works in a job under Hydra's basic launcher works in our workers."""

import json

import pytest

from support.apps import App

pytestmark = pytest.mark.process

WAYS = {
    "target": "hydra.utils.instantiate(cfg.model).width",
    "get_class": "hydra.utils.get_class('__main__.Model')(2).width",
    "pool": "squares(mp.Pool(2))",
    "executor": "executed(ProcessPoolExecutor(2))",
    "spawn": "squares(mp.get_context('spawn').Pool(1))",
    "lambda": "by_process(lambda queue: queue.put(3))",
    "pickle": "pickle.loads(pickle.dumps([Model(4), Color.RED, square, Pair(1, 2)]))[0].width",
    "identity": "pickle.loads(pickle.dumps(Color.RED)) is Color.RED",
    "structured": "isinstance(OmegaConf.to_object(cfg.typed), Typed)",
    "enum": "cfg.typed.color is Color.RED",
    "cached": "fibonacci(20)",
    "partial": "doubled(3)",
    "constant": "sys.modules['__main__'].CONSTANT + CONSTANT",
    "global": "count()",
    "imported": "sys.modules['__main__'].OrderedDict(a=1)['a']",
    "attribute": "getattr(sys.modules['__main__'], 'unused')(2)",
    "file": "len(Path(sys.modules['__main__'].__file__).name)",
    "name": "len(Model.__module__ + square.__module__)",
    "start_method": "len(mp.get_start_method())",
    "resolver": "cfg.twice",
    "singledispatch": "size([1, 2])",
    "exception": "catches(Refused)",
}
APP = """
import json, multiprocessing as mp, enum, functools, pickle, queue, sys, threading, typing
from collections import OrderedDict, namedtuple
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf

CONSTANT = 3
N = 0
unsent = threading.Lock()  # no job uses it
OmegaConf.register_new_resolver("twice", lambda number: 2 * number)

class Model:
    def __init__(self, width):
        self.width = width

class Refused(Exception):
    pass

class Color(enum.Enum):
    RED = 1

Pair = namedtuple("Pair", "one two")

@dataclass
class Typed:
    color: Color = Color.RED

ConfigStore.instance().store(name="typed", node={"x": 0.0, "typed": Typed,
    "model": {"_target_": "__main__.Model", "width": 4}, "twice": "${twice:4}"})

def square(number):
    return number * number

def squares(pool):
    found = sum(pool.map(square, [1, 2]))
    pool.close()  # one that is left to the garbage collector may hang for good, says multiprocessing
    pool.join()
    return found

def executed(executor):
    with executor:
        return sum(executor.map(square, [1, 2]))

def unused(number):
    return square(number) + CONSTANT

def uses_what_cannot_be_sent():
    return unsent

@functools.lru_cache
def fibonacci(n):
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)

doubled = functools.partial(lambda number, factor: factor * number, factor=2)

@functools.singledispatch
def size(thing):
    return 1

@size.register
def _(thing: list):
    return len(thing)

def count():
    global N
    N += 1
    return N - sys.modules["__main__"].N

def catches(kind):
    try:
        raise pickle.loads(pickle.dumps(kind))("no")
    except Refused:
        return 7

def by_process(target):
    queue = mp.Queue()
    process = mp.Process(target=target, args=(queue,))
    process.start()
    value = queue.get(timeout=60)
    process.join()
    return value

@hydra.main(version_base="1.3", config_path=None, config_name="typed")
def main(cfg):
    found = {}
    for name, way in WAYS.items():
        try:
            found[name] = float(way(cfg))
        except Exception as error:
            found[name] = f"{type(error).__name__}: {error}"
    Path(HydraConfig.get().runtime.output_dir, "found.json").write_text(json.dumps(found))
    return cfg.x

WAYS = {
the ways}

if __name__ == "__main__":
    main()
""".replace("the ways", "".join(f"    {name!r}: lambda cfg: {text},\n" for name, text in WAYS.items()))


def test_a_job_finds_its_program_as_under_the_basic_launcher(app: App) -> None:
    app.write("main.py", APP)
    found = {}
    for launcher in ("hposweep", "basic"):
        done = app.fresh.run(
            *("--multirun", "hydra/sweeper=hposweep", f"hydra/launcher={launcher}", f"hydra.sweep.dir={launcher}"),
            *("x=interval(0,1)", "hydra.sweeper.n_trials=2"),
            *(["hydra.launcher.n_workers=1"] if launcher == "hposweep" else []),
        )
        assert done.exit_code == 0, done.err
        # The second job runs where the first one has run.
        found[launcher] = [json.loads((app.folder / launcher / job / "found.json").read_text()) for job in "01"]
    first, second = found["basic"]
    assert {name: value for name, value in first.items() if isinstance(value, str)} == {}
    assert found["hposweep"] == [first, first], second
