"""The user's program in a worker: its `__main__` module, without running its script again.

cloudpickle takes along the functions and classes of `__main__` that jobs use, but puts them nowhere: `_target_:
__main__.Model`, and pickling inside of a job, look them up in the module. So the module is built anew in each worker,
from what the controller's holds: what the jobs use, name by name, whatever else can be sent, and what the script has
imported, when it is asked for. Functions keep their file and lines, for tracebacks.

Random generators come with their place in the order of sending: `reseed` gives each of them numbers of its own for
every job. Otherwise the same copy would give all workers the same numbers.
"""

from __future__ import annotations

import functools
import importlib
import io
import linecache
import os
import pickle
import random
import sys
import types
import typing
import weakref
from collections import ChainMap
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any, ClassVar

import cloudpickle

from hposweep.errors import ConfigError

MAIN = "__main__"
# A helper of the script that no job seems to use may refer to a data set.
MOST_BYTES_UNASKED = 2**24
CONSTANTS = (bool, int, float, complex, str, bytes, type(None))
# cloudpickle replaces the name of a function's file by this word.
NO_FILE = "<dynamic-code>"

_GLOBALS, _MODULE = "globals", "module"  # persistent ids of the module's dict, and of itself

_sent_generators: list[Any] = []  # those that this process has received


def packed(state: object) -> bytes:
    """The state with the `__main__` module that it belongs to, for `unpacked` in another process.

    Raises:
        ConfigError: if a variable that the state uses can't be sent; the message names it.
    """
    main = sys.modules[MAIN]
    buffer = io.BytesIO()
    pickler = _Pickler(buffer, main)
    names = _names_to_send(main, state)
    pickler.dump(_description(main, names))
    for name in names:
        pickler.dump(vars(main)[name])
    pickler.dump(state)
    return buffer.getvalue()


def unpacked(content: bytes) -> Any:
    """The state, in the process of which the `__main__` module and the working directory become the sender's.

    Raises:
        Exception: whatever the import of a module of the user's raises, most of all.
    """
    main = types.ModuleType(MAIN)
    _sent_generators.clear()
    unpickler = _Unpickler(io.BytesIO(content), main)
    description = unpickler.load()
    os.chdir(description["folder"])  # a worker on another machine was started in one of its engine's
    vars(main).update(description["attributes"])
    if description["spec"] is not None:
        main.__spec__ = ModuleSpec(description["spec"], None)
    imported: dict[str, tuple[str, str | None]] = description["imported"]

    def __getattr__(name: str) -> Any:  # noqa: N807 (PEP 562)
        if name not in imported:
            raise AttributeError(f"module '{MAIN}' has no attribute {name!r} in a worker process")
        module, attribute = imported[name]
        found = importlib.import_module(module)
        value = found if attribute is None else functools.reduce(getattr, attribute.split("."), found)
        setattr(main, name, value)
        return value

    main.__getattr__ = __getattr__  # type: ignore[method-assign]
    linecache.cache.update(description["sources"])
    sys.modules[MAIN] = main
    for name in description["names"]:
        setattr(main, name, unpickler.load())
    return unpickler.load()


def answered(answer: object) -> bytes:
    """The answer of a worker, pickled: what belongs to its `__main__` module is the controller's, too."""
    buffer = io.BytesIO()
    _AnswerPickler(buffer, pickle.HIGHEST_PROTOCOL).dump(answer)
    return buffer.getvalue()


def reseed(seed: int) -> None:
    """Gives each random generator that came from the controller the numbers of this seed and of its own place."""
    for place, generator in enumerate(_sent_generators):
        if isinstance(generator, random.Random):
            generator.seed(f"{seed} {place}")
            continue
        import numpy as np  # a bit generator is one of NumPy's

        generator.state = type(generator)(np.random.SeedSequence([seed, place])).state


class _Pickler(cloudpickle.Pickler):
    """Sends objects of `__main__` by value, without the globals of its functions, whose names it notes."""

    dispatch_table: ClassVar = ChainMap(
        {types.CodeType: lambda code: _with_file(code)}, cloudpickle.Pickler.dispatch_table
    )

    def __init__(self, file: io.BytesIO, main: types.ModuleType) -> None:
        super().__init__(file, pickle.HIGHEST_PROTOCOL)
        self._main = main
        self.globals_ref[id(vars(main))] = vars(main)
        self.names: dict[str, None] = {}  # of the module's variables that were referred to

    def persistent_id(self, obj: Any) -> Any:
        if obj is vars(self._main):
            return _GLOBALS
        return _MODULE if obj is self._main else None

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, types.FunctionType) and obj.__globals__ is vars(self._main):
            reduced = self._dynamic_function_reduce(obj)
            state, slots = reduced[2]
            self.names.update(dict.fromkeys(slots["__globals__"]))
            return (*reduced[:2], (state, {**slots, "__globals__": {}}), *reduced[3:])
        if getattr(obj, "__module__", None) == MAIN:
            # These are pickled by their name alone.
            if isinstance(obj, functools._lru_cache_wrapper):
                return _cached, (obj.__wrapped__, obj.cache_parameters())
            if isinstance(obj, typing.NewType):
                return _new_type, (obj.__name__, obj.__supertype__)
        if isinstance(obj, weakref.WeakKeyDictionary | weakref.WeakValueDictionary):
            # Of `functools.singledispatch`, for one. What nobody else holds will go from it, there as here.
            return type(obj), (dict(obj),)
        if _is_generator(obj):
            return _received_generator, (pickle.dumps(obj),)
        return super().reducer_override(obj)


class _AnswerPickler(cloudpickle.Pickler):
    """Sends objects of `__main__` by name, as pickle does."""

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, types.FunctionType | type) and _of_main(sys.modules[MAIN], obj):
            return NotImplemented
        return super().reducer_override(obj)


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, main: types.ModuleType) -> None:
        super().__init__(file)
        self._main = main

    def persistent_load(self, pid: Any) -> Any:
        return vars(self._main) if pid == _GLOBALS else self._main


def _names_to_send(main: types.ModuleType, state: object) -> list[str]:
    """The variables of the module that are sent, in the order of their definition."""
    wanted = _referred_to(main, None, state)
    for name, value in vars(main).items():
        if name in wanted or not _may_be_looked_up(main, name, value):
            continue
        try:
            wanted |= _referred_to(main, name, value, MOST_BYTES_UNASKED)
        except ConfigError:
            continue  # no job has asked for it so far; should one, it is told that it is not there
        wanted[name] = None
    return [name for name in vars(main) if name in wanted]


def _referred_to(
    main: types.ModuleType, name: str | None, value: object, most_bytes: float = float("inf")
) -> dict[str, None]:
    """The variables of the module that this value uses, directly and by way of others.

    Args:
        name: of the variable that holds the value; None: it is what all jobs share.

    Raises:
        ConfigError: if one of them, or the value itself, can't be pickled, or takes too many bytes.
    """
    buffer = io.BytesIO()
    pickler = _Pickler(buffer, main)
    _dump(pickler, main, name, value)
    done: dict[str, None] = {}
    while left := [each for each in pickler.names if each not in done]:
        done[left[0]] = None
        _dump(pickler, main, left[0], vars(main)[left[0]])
    if buffer.tell() > most_bytes:
        raise ConfigError(f"{name}: takes more than {most_bytes} bytes")
    return done


def _dump(pickler: _Pickler, main: types.ModuleType, name: str | None, value: object) -> None:
    try:
        pickler.dump(value)
    except Exception as error:  # whatever the value's own way of being pickled raises
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        file = Path(str(getattr(main, "__file__", None) or "the program")).name
        what = f"{name}: this variable of {file}, which the objective uses," if name else "the objective: what it uses"
        raise ConfigError(
            f"{what} can't be sent to worker processes ({reason}); make it inside of the function"
        ) from None


def _may_be_looked_up(main: types.ModuleType, name: str, value: object) -> bool:
    """Whether a job may ask for this variable by its name, and it is cheap to send."""
    if name.startswith("__"):
        return False
    is_callable = isinstance(value, types.FunctionType | type | functools._lru_cache_wrapper | typing.NewType)
    if is_callable:
        return getattr(value, "__module__", None) == MAIN
    return type(value) in CONSTANTS


def _description(main: types.ModuleType, names: list[str]) -> dict[str, Any]:
    """What the module is besides the values that are sent."""
    imported: dict[str, tuple[str, str | None]] = {}
    for name, value in vars(main).items():
        if name in names or name.startswith("__"):
            continue
        if isinstance(value, types.ModuleType):
            imported[name] = (value.__name__, None)
        elif isinstance(value, types.FunctionType | type) and value.__module__ not in (MAIN, None):
            imported[name] = (value.__module__, value.__qualname__)
    return {
        "folder": str(Path.cwd()),
        "attributes": {name: vars(main).get(name) for name in ("__file__", "__package__", "__doc__")},
        "spec": getattr(getattr(main, "__spec__", None), "name", None),
        "names": names,
        "imported": imported,
        "sources": dict(_sources_without_files(main)),
    }


def _sources_without_files(main: types.ModuleType) -> Iterator[tuple[str, Any]]:
    """What `linecache` knows of code that stands in no file, such as the cells of a notebook."""
    files = {value.__code__.co_filename for value in vars(main).values() if isinstance(value, types.FunctionType)}
    for file in files:
        entry = linecache.cache.get(file)
        if entry is not None and len(entry) == 4 and not Path(file).exists():
            # Without a time it is never compared with a file.
            yield file, (entry[0], None, entry[2], entry[3])


def _of_main(main: types.ModuleType, obj: Any) -> bool:
    """Whether pickle finds the object by its name in the module."""
    if obj.__module__ != MAIN:
        return False
    found: Any = main
    for name in obj.__qualname__.split("."):
        found = vars(found).get(name) if hasattr(found, "__dict__") else None
    return found is obj


def _with_file(code: types.CodeType) -> Any:
    make, values, *rest = cloudpickle.Pickler.dispatch_table[types.CodeType](code)
    return (make, tuple(code.co_filename if each == NO_FILE else each for each in values), *rest)


def _cached(function: Any, parameters: dict[str, Any]) -> Any:
    return functools.lru_cache(**parameters)(function)


def _new_type(name: str, supertype: Any) -> Any:
    made: Any = typing.NewType(name, supertype)  # type: ignore[misc]
    made.__module__ = MAIN
    return made


def _is_generator(obj: object) -> bool:
    if isinstance(obj, random.Random):
        return not isinstance(obj, random.SystemRandom)
    numpy = sys.modules.get("numpy.random")
    return numpy is not None and isinstance(obj, numpy.BitGenerator)


def _received_generator(content: bytes) -> Any:
    generator = pickle.loads(content)  # noqa: S301 (from the controller)
    _sent_generators.append(generator)
    return generator
