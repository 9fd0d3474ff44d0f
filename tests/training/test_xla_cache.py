"""Compiled programs on disk: the same bits as without, whatever is wrong with a file or with the disk."""

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest
import tensorflow as tf

from hposweep.sweep_folder import environment
from hposweep.sweep_folder.files import warn_once
from hposweep.training import XLA_FOLDER, xla_cache
from support.processes import Completed, Run
from support.warm import WarmProcess

# Trains softmax regression, after another model if one is asked for, and prints all of its numbers.
PROGRAM = """
import hashlib, os, resource, signal, sys
import numpy as np
from hposweep.sweep_folder import files
from hposweep.training import models
from hposweep.training.data import ArrayData
from hposweep.training.objective import configure_tensorflow
from hposweep.training.optimizers import build_optimizer
from hposweep.training.trainer import Learner
import keras
configure_tensorflow(1, False)
images = np.random.default_rng(1).integers(0, 256, (303, 28, 28, 1)).astype(np.uint8)
labels = np.arange(303, dtype=np.int32) % 10
data = ArrayData((images[:203], labels[:203]), (images[203:], labels[203:]), None, batch_size=16)

def killed(descriptor, content):
    os.write(descriptor, content[:1000])
    os.kill(os.getpid(), signal.SIGKILL)

if "full" in sys.argv:
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, resource.RLIM_INFINITY))
if "killed" in sys.argv:
    files.write_all = killed

def train(name, model):
    node = {"name": "sgd", "learning_rate": 0.1, "momentum": 0.9}
    loss = lambda: keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    program = Learner(model, loss, lambda: build_optimizer(node), 3, name, name).program(data)
    order = np.random.default_rng(5).permutation(203).astype(np.int32)
    rows = [program.train_epoch(data.tensors("train"), order), program.evaluate(data.tensors("val"))]
    return rows, hashlib.sha256(b"".join(value.tobytes() for value in program.state())).hexdigest()

if "after another" in sys.argv:
    layers = [keras.Input((28, 28, 1)), keras.layers.Flatten(), keras.layers.Dense(11)]
    train("another", lambda: keras.Sequential(layers))
print(train("softmax", lambda: models.softmax((28, 28, 1), (10,))))
"""

Train = Callable[..., Completed]


@pytest.fixture
def train(tmp_path: Path, warm_keras: WarmProcess) -> Train:
    """Trains in a process of its own, with the cache in tmp_path."""

    def run(*how: str) -> Completed:
        return _train(warm_keras, tmp_path, *how, XDG_CACHE_HOME=str(tmp_path / "cache"))

    return run


def _train(warm_keras: WarmProcess, folder: Path, *how: str, **env: str) -> Completed:
    return warm_keras.run(["-c", PROGRAM, *how], folder, env)


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory, warm_keras: WarmProcess) -> str:
    """What training comes to without the cache."""
    completed = _train(warm_keras, tmp_path_factory.mktemp("without"), TF_XLA_FLAGS="")
    assert completed.exit_code == 0, completed.err
    return completed.out


@pytest.fixture(scope="module")
def filled_by_another(tmp_path_factory: pytest.TempPathFactory, warm_keras: WarmProcess) -> Path:
    folder = tmp_path_factory.mktemp("filled")
    _train(warm_keras, folder, XDG_CACHE_HOME=str(folder / "cache"))
    return folder / "cache"


@pytest.fixture
def filled(tmp_path: Path, filled_by_another: Path) -> Path:
    """The cache in tmp_path, with the two programs of a training."""
    shutil.copytree(filled_by_another, tmp_path / "cache")
    return tmp_path / "cache"


def programs(tmp_path: Path) -> dict[str, int]:
    """The files of the cache, each with its inode: another one if it was written again."""
    return {path.name: path.stat().st_ino for path in (tmp_path / "cache" / "hposweep" / "xla").glob("*/*")}


def test_a_program_is_compiled_once_and_computes_the_same_bits(tmp_path, train, result) -> None:
    first = train()
    kept = programs(tmp_path)
    second = train()
    assert first.out == second.out == result
    assert len(kept) == 2  # of an epoch, and of the evaluation
    assert programs(tmp_path) == kept
    assert "cpu_aot_loader" not in second.err


def test_what_a_process_has_trained_before_matters_to_no_program(tmp_path, train, result, filled) -> None:
    kept = programs(tmp_path)
    assert train("after another").out == result
    all_of_them = programs(tmp_path)
    assert len(all_of_them) == 4
    assert kept.items() < all_of_them.items()


def renamed(path: Path) -> None:
    program = xla_cache._unpacked(path.name, path.read_bytes())
    assert program is not None
    path.write_bytes(xla_cache._packed("of another name", program))


def packed_anew(path: Path) -> None:
    """As another build of TensorFlow might write it."""
    path.write_bytes(xla_cache._packed(path.name, b"not what TensorFlow expects"))


def replaced_by_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def replaced_by_a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


DAMAGES = {
    "empty": lambda path: os.truncate(path, 0),
    "truncated": lambda path: os.truncate(path, 1000),
    "flipped": flipped,
    "renamed": renamed,
    "a folder": replaced_by_a_folder,
    "a pipe": replaced_by_a_pipe,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_file_never_gets_to_tensorflow(filled, damage) -> None:
    paths = list(filled.rglob("*.pb"))
    for path in paths:
        damage(path)
    for path in paths:
        assert not xla_cache._load(path.parent, path.name.split("-")[0])
        assert not tf.io.gfile.listdir(XLA_FOLDER)


@pytest.mark.parametrize("damage", [DAMAGES["truncated"], DAMAGES["a folder"], packed_anew])
def test_a_damaged_file_fails_no_training(train, result, filled, damage) -> None:
    for path in list(filled.rglob("*.pb")):
        damage(path)
    completed = train()
    assert completed.exit_code == 0, completed.err
    assert completed.out == result


def test_a_full_disk_fails_no_training(tmp_path, train, result) -> None:
    completed = train("full")
    assert completed.out == result
    assert completed.err.count("compiled programs are not kept") == 1
    assert not programs(tmp_path)


def test_a_process_that_is_killed_while_it_writes_leaves_nothing_that_is_used(tmp_path, train, result) -> None:
    assert train("killed").exit_code == -signal.SIGKILL
    (left,) = (tmp_path / "cache").rglob("*.tmp")
    os.utime(left, (0, 0))
    assert train().out == result
    assert len(programs(tmp_path)) == 2
    assert not left.exists()


def test_the_workers_of_a_sweep_keep_their_programs(tmp_path, hposweep: Run) -> None:
    """In fresh processes: TensorFlow's flags come from the modules that workers import before they start."""
    words = ["--multirun", "hydra.sweeper.n_trials=1", "data.train_fraction=0.02", "trainer.max_epochs=1"]
    completed = hposweep(*words, env={"XDG_CACHE_HOME": str(tmp_path / "cache")})
    assert completed.exit_code == 0, completed.err
    assert programs(tmp_path)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    warn_once.cache_clear()
    return tmp_path / "cache"


def test_what_a_program_depends_on_has_a_folder_of_its_own(cache, monkeypatch) -> None:
    """TensorFlow compares none of it: a program for more threads computes other bits, one of another processor none."""
    folders = [xla_cache._folder()]
    monkeypatch.setattr(environment, "processor", lambda: "model name: another")
    folders.append(xla_cache._folder())
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=true")
    folders.append(xla_cache._folder())
    monkeypatch.setattr(tf.config.threading, "get_intra_op_parallelism_threads", lambda: 7)
    folders.append(xla_cache._folder())
    assert len(set(folders)) == 4
    assert all(folder is not None and cache in folder.parents for folder in folders)


def a_file(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.touch()


def no_home(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(number: int) -> NoReturn:
        raise KeyError(number)

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", nobody)


def writable_by_all(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = xla_cache._folder()
    assert folder is not None
    folder.chmod(0o777)


def unwritable(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/self")


@pytest.mark.parametrize("spoil", [a_file, no_home, writable_by_all, unwritable])
def test_a_place_that_can_not_be_used_means_no_cache_and_is_said_once(cache, monkeypatch, caplog, spoil) -> None:
    spoil(cache, monkeypatch)
    assert xla_cache._folder() is xla_cache._folder() is None
    assert caplog.text.count("compiled programs are not kept") == 1


def test_the_programs_that_were_not_used_for_longest_go(cache, monkeypatch) -> None:
    monkeypatch.setattr(xla_cache, "MOST_BYTES", 250)
    for name, used in (("a/old", 1), ("a/older", 0), ("b/new", 3), ("b/newer", 4)):
        path = cache / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_bytes(bytes(100))
        os.utime(path, (used, used))
    xla_cache._remove_oldest(cache)
    assert {path.name for path in cache.glob("*/*")} == {"new", "newer"}
