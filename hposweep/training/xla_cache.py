"""XLA's programs in the user's cache, so that a process need not compile what another one has compiled.

TensorFlow can keep them in a folder by itself, but fails the training where a file there is damaged or can't be
written. So its folder is in memory, for the length of a compilation. From there to the disk, and back, the programs go
here: each with a checksum, and whatever fails is said once and done without.
"""

from __future__ import annotations

import collections
import contextlib
import functools
import hashlib
import itertools
import os
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.python.framework import ops

from hposweep.errors import WriteError
from hposweep.sweep_folder import environment
from hposweep.sweep_folder.files import read_file, warn_once, write_atomically
from hposweep.training import XLA_FLAGS, XLA_FOLDER

MOST_BYTES = 128 * 2**20  # of about 1000 models
SECONDS_OF_A_WRITE = 3600.0  # a temporary file that is older was left by a process that is gone
# What TensorFlow writes to the standard error for each program that it loads: that the file is no text, and that two of
# LLVM's hints for the choice of instructions are no instruction sets of this processor.
NOISE = (b"text_format.cc", b"cpu_aot_loader.cc")

Compiled = Callable[..., Any]

_n_compiled: collections.Counter[str] = collections.Counter()  # by key


def kept(function: Compiled, key: str) -> Compiled:
    """The function, compiled by XLA at its first call for each shape of its arguments, or taken from the cache.

    Args:
        key: tells programs apart, so that few are read in vain. TensorFlow compares the program itself.
    """
    compiled: dict[str, Compiled] = {}

    def call(*arguments: Any) -> Any:
        shapes = str([(argument.shape, argument.dtype) for argument in tf.nest.flatten(arguments)])
        if shapes in compiled:
            return compiled[shapes](*arguments)
        digest = hashlib.sha256(f"{key} {shapes}".encode()).hexdigest()
        compiled[shapes], result = _first_call(function, arguments, digest)
        return result

    return call


def _first_call(function: Compiled, arguments: Sequence[Any], key: str) -> tuple[Compiled, Any]:
    """The function, compiled, and its result."""
    compiled = tf.function(function, jit_compile=True, autograph=False)
    folder = _folder() if _is_on() else None
    if folder is None:
        return compiled, compiled(*arguments)
    loaded = _load(folder, key)
    try:
        with _without_noise() if loaded else contextlib.nullcontext(), _names(key):
            result = compiled(*arguments)
    except tf.errors.OpError:
        if not loaded:
            raise
        # Perhaps TensorFlow can't load the program, which comes before its first instruction. It never tries again.
        _empty_memory()
        for path in loaded:
            with contextlib.suppress(OSError):
                path.unlink()
        compiled = tf.function(function, jit_compile=True, autograph=False)
        return compiled, compiled(*arguments)
    _save(folder, key, {path.name for path in loaded})
    _empty_memory()
    return compiled, result


@functools.cache
def _is_on() -> bool:
    """Whether TensorFlow uses the folder in memory: like TensorFlow, this looks once, at the first compilation.

    Later on, what a job has imported and set is gone from a worker's environment.
    """
    return os.environ.get("TF_XLA_FLAGS") == XLA_FLAGS


@contextlib.contextmanager
def _names(key: str) -> Iterator[None]:
    """Within it the numbers in TensorFlow's names depend on the key alone, not on what the process has done before.

    XLA's program holds the names, so that another process would compile it anew. The numbers are unique in the process:
    TensorFlow would take two functions of one name for the same.
    """
    nth = _n_compiled[key]
    _n_compiled[key] += 1
    numbers = itertools.count(int(hashlib.sha256(f"{key} {nth}".encode()).hexdigest()[:12], 16) << 12)
    uid = ops.uid
    ops.uid = lambda: next(numbers)
    try:
        yield
    finally:
        ops.uid = uid


def _folder() -> Path | None:
    """The folder for this processor, TensorFlow and number of threads, made; None where there can be none."""
    processor = environment.processor()
    if processor is None:
        return None
    try:
        folder = _root() / f"tensorflow-{tf.version.VERSION}-{_digest_of_platform(processor)}"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.stat()
    except (OSError, RuntimeError) as error:  # RuntimeError: there is no home
        warn_once(f"compiled programs are not kept: {error}")
        return None
    # Its files are run.
    if status.st_uid != os.getuid() or status.st_mode & 0o022:
        warn_once(f"compiled programs are not kept: {folder} can be written by others")
        return None
    return folder


def _root() -> Path:
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    # The specification has relative paths ignored.
    return (named if named.is_absolute() else Path.home() / ".cache") / "hposweep" / "xla"


def _digest_of_platform(processor: str) -> str:
    """A digest of what a program depends on besides its operations, none of which TensorFlow compares."""
    threads = tf.config.threading.get_intra_op_parallelism_threads() or len(os.sched_getaffinity(0))
    flags = [os.environ.get(name) for name in ("XLA_FLAGS", "TF_ENABLE_ONEDNN_OPTS")]
    build = tf.version.GIT_VERSION, tf.version.COMPILER_VERSION
    return hashlib.sha256(repr((processor, threads, flags, build)).encode()).hexdigest()[:16]


def _load(folder: Path, key: str) -> list[Path]:
    """Puts the key's programs into memory; those that are damaged are removed. The files that were read."""
    _empty_memory()
    tf.io.gfile.makedirs(XLA_FOLDER)
    loaded = []
    for path in folder.glob(f"{key}-*"):
        try:
            program = _unpacked(path.name, read_file(path))
            if program is None:
                path.unlink()
                continue
            with contextlib.suppress(OSError):  # the disk is read-only
                os.utime(path)
        except OSError:  # removed by another process, or no file of ours
            continue
        with tf.io.gfile.GFile(_in_memory(path.name.removeprefix(f"{key}-")), "wb") as file:
            file.write(program)
        loaded.append(path)
    return loaded


def _save(folder: Path, key: str, known: set[str]) -> None:
    """Puts the programs in memory on disk, except those whose files are known."""
    try:
        for program in tf.io.gfile.listdir(XLA_FOLDER):
            name = f"{key}-{program}"
            if name in known:
                continue
            with tf.io.gfile.GFile(_in_memory(program), "rb") as file:
                write_atomically(folder / name, _packed(name, file.read()), durable=False)
            _remove_oldest(folder.parent)
    except (OSError, WriteError) as error:
        warn_once(f"compiled programs are not kept: {folder} can't be written ({_reason(error)})")


def _reason(error: BaseException) -> str:
    cause = error.__cause__ or error
    return getattr(cause, "strerror", None) or str(cause)


def _packed(name: str, program: bytes) -> bytes:
    """A file's content: a checksum of its name and the rest, and the program, a sixth as large."""
    compressed = zlib.compress(program, level=1)
    return hashlib.sha256(name.encode() + compressed).digest() + compressed


def _unpacked(name: str, content: bytes) -> bytes | None:
    """The program in a file of this name; None where the file is damaged."""
    size = hashlib.sha256().digest_size
    checksum, compressed = content[:size], content[size:]
    return zlib.decompress(compressed) if checksum == hashlib.sha256(name.encode() + compressed).digest() else None


def _remove_oldest(root: Path) -> None:
    """Removes the programs that were not used for longest where there are too many, and what killed writers left."""
    found = []
    for path in root.glob("*/*"):
        with contextlib.suppress(OSError):
            status = path.stat()
            found.append((status.st_mtime, status.st_size, path))
    n_bytes = 0
    for changed, size, path in sorted(found, reverse=True):
        n_bytes += size
        is_left_over = path.suffix == ".tmp" and changed < time.time() - SECONDS_OF_A_WRITE
        if n_bytes > MOST_BYTES or is_left_over:
            with contextlib.suppress(OSError):
                path.unlink()


def _in_memory(name: str) -> str:
    return f"{XLA_FOLDER}/{name}"


def _empty_memory() -> None:
    if tf.io.gfile.exists(XLA_FOLDER):
        tf.io.gfile.rmtree(XLA_FOLDER)


@contextlib.contextmanager
def _without_noise() -> Iterator[None]:
    """Within it nothing reaches the standard error; after it all that was written, but for the noise."""
    try:
        stderr = os.dup(2)
    except OSError:  # it is closed
        yield
        return
    written = os.memfd_create("stderr")
    os.dup2(written, 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        with open(written, "rb") as file:
            file.seek(0)
            text = b"".join(line for line in file if not any(noise in line for noise in NOISE))
        with contextlib.suppress(OSError):
            os.write(2, text)
