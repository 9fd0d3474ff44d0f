"""The program's `__main__` module as it is sent to workers."""

import functools
import linecache
import pickle
import random
import sys
import threading
import traceback
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hposweep.errors import ConfigError
from hposweep.workers.local.main_module import answered, packed, reseed, unpacked

Send = Callable[..., Any]
SOURCE = """
import enum, functools, math, random, threading
from collections import OrderedDict
import numpy as np

NUMBER = 3
lock = threading.Lock()
generator = np.random.default_rng(5)
holder = {"inside": [random.Random(1), np.random.RandomState(2)]}
big = b"x" * 2**25

class Color(enum.Enum):
    RED = 1

class Model:
    def width(self):
        return NUMBER

def even(n):
    return n == 0 or odd(n - 1)

def odd(n):
    return n != 0 and even(n - 1)

@functools.lru_cache(maxsize=5)
def fibonacci(n):
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)

def helper():
    return Model().width()

def plots():
    return big

def locks():
    return lock

def locks_by_another():
    return locks()

def locks_by_default(held=threading.Lock()):
    return held

def draws():
    drawn = holder["inside"]
    return float(generator.random()), drawn[0].random(), float(drawn[1].rand())

def nothing():
    return 0

def fails():
    raise ValueError("here")
"""


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A program's `__main__`."""
    main = types.ModuleType("__main__")
    main.__file__ = "/programs/main.py"
    monkeypatch.setitem(sys.modules, "__main__", main)
    monkeypatch.setitem(linecache.cache, "/programs/main.py", (len(SOURCE), None, SOURCE.splitlines(True), "main.py"))
    exec(compile(SOURCE, "/programs/main.py", "exec"), vars(main))
    return main


def sent(state: Any) -> tuple[Any, Any]:
    """The state, and the module, as they come to a worker; the present module is that one from then on."""
    content = packed(state)
    linecache.cache.pop("/programs/main.py", None)
    state = unpacked(content)
    return state, sys.modules["__main__"]


def test_functions_share_the_module_with_what_they_use(program: Any) -> None:
    (even, width), main = sent((program.even, program.Model().width))
    assert main is not program
    assert (even(10), width()) == (True, 3)
    main.NUMBER = 4
    assert width() == 4
    assert even is main.even


def test_what_no_job_refers_to_can_be_looked_up(program: Any) -> None:
    _, main = sent(program.nothing)
    assert (main.helper(), main.Color.RED.value, main.fibonacci(10), main.NUMBER) == (3, 1, 55, 3)
    assert (main.math.pi, main.OrderedDict) == (np.pi, program.OrderedDict)
    assert main.__file__ == "/programs/main.py"


def test_what_is_large_or_can_not_be_sent_stays_behind_if_no_job_refers_to_it(program: Any) -> None:
    content = packed(program.nothing)
    assert len(content) < 2**20
    unpacked(content)
    main: Any = sys.modules["__main__"]
    for name in ("plots", "locks", "locks_by_another", "lock"):
        with pytest.raises(AttributeError, match=f"'{name}' in a worker process"):
            getattr(main, name)


@pytest.mark.parametrize(
    ("name", "named"),
    [("locks", "lock"), ("locks_by_another", "lock"), ("locks_by_default", "the objective")],
)
def test_what_can_not_be_sent_is_named(program: Any, name: str, named: str) -> None:
    with pytest.raises(ConfigError) as refused:
        packed(getattr(program, name))
    assert str(refused.value).startswith(f"{named}: ")
    assert "cannot pickle '_thread.lock' object" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_what_is_inside_of_an_object_and_can_not_be_sent_is_named_by_the_variable(program: Any) -> None:
    program.config = {"deep": [threading.Lock()]}
    exec("def uses(): return config", vars(program))
    with pytest.raises(ConfigError, match=r"^config: this variable of main\.py"):
        packed(program.uses)


def test_pickle_finds_what_belongs_to_the_module(program: Any) -> None:
    nothing, main = sent(program.nothing)
    for thing in (nothing, main.Model, main.Color.RED):
        assert pickle.loads(pickle.dumps(thing)) is thing


def test_an_answer_holds_the_receivers_own_classes(program: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    _, main = sent(program.nothing)
    answer = answered([main.Color.RED, main.Model(), lambda: 7])
    monkeypatch.setitem(sys.modules, "__main__", program)
    color, model, function = pickle.loads(answer)
    assert color is program.Color.RED
    assert type(model) is program.Model
    assert function() == 7


def test_tracebacks_show_file_line_and_source(program: Any) -> None:
    fails, _ = sent(program.fails)
    with pytest.raises(ValueError, match="here") as raised:
        fails()
    text = "".join(traceback.format_exception(raised.value))
    line = 1 + SOURCE.splitlines().index('    raise ValueError("here")')
    assert f'File "/programs/main.py", line {line}, in fails\n    raise ValueError("here")' in text


def test_each_trial_draws_its_own_numbers_wherever_the_generator_is_kept(program: Any) -> None:
    draws, _ = sent(program.draws)
    drawn = []
    for seed in (1, 2, 1):
        reseed(seed)
        drawn.append(draws())
    assert drawn[0] == drawn[2]
    assert len({*drawn[0], *drawn[1]}) == 6


def test_the_senders_generators_are_left_alone(program: Any) -> None:
    before = program.generator.bit_generator.state
    packed(program.draws)
    assert program.generator.bit_generator.state == before


def test_a_program_whose_module_is_a_package_s_keeps_its_name(program: Any) -> None:
    program.__spec__ = types.SimpleNamespace(name="package.train")
    _, main = sent(program.nothing)
    assert main.__spec__.name == "package.train"


def test_what_comes_from_no_main_module_is_sent_as_it_is(program: Any) -> None:
    state, _ = sent((functools.partial(max, 3), random.Random(4), np.arange(3)))
    assert state[0](2) == 3
    assert state[2].tolist() == [0, 1, 2]
