"""What several rooms' tests share: commands in this process and in real ones, and one small real sweep."""

import logging
import os
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from hposweep.results.html import in_a_process
from support import guard
from support.apps import App, make_app
from support.in_process import run_here
from support.processes import SMALL, Completed, Run, RunText, run_process
from support.shared import NewEnvironment, made_once, make_environment
from support.together import TogetherScheduling
from support.warm import HYDRA, KERAS, REPORT, WarmProcess

# Machines differ in speed, and no test is about seconds.
settings.register_profile("no_deadline", deadline=None)
settings.load_profile("no_deadline")


def pytest_itemcollected(item: pytest.Item) -> None:
    guard.mark(item)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> TogetherScheduling:
    return TogetherScheduling(config, log)


def _guarded(item: pytest.Item) -> Generator[None, None, None]:
    if item.get_closest_marker(guard.MARK):
        return (yield)
    with guard.on_guard():
        return (yield)


pytest_runtest_setup = pytest.hookimpl(wrapper=True)(_guarded)
pytest_runtest_call = pytest.hookimpl(wrapper=True)(_guarded)


@pytest.fixture(autouse=True)
def logging_as_it_begins() -> None:
    """The levels that a process begins with: Hydra sets others in the process of a test that runs a job in it."""
    logging.getLogger().setLevel(logging.WARNING)
    logging.getLogger("hposweep").setLevel(logging.NOTSET)


@pytest.fixture(scope="session", autouse=True)
def cache_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What this run of the tests compiles is kept for its own processes, and nothing comes from the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(made_once(tmp_path_factory, "cache", lambda folder: None)))
        yield


@pytest.fixture
def reports(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders whose report was made; none takes a process."""
    made: list[Path] = []

    def make(sweep_dir: Path) -> in_a_process.Report:
        made.append(sweep_dir)
        (sweep_dir / in_a_process.FILE_NAME).write_text("page")
        return in_a_process.Report(sweep_dir / in_a_process.FILE_NAME)

    monkeypatch.setattr(in_a_process, "make", make)
    return made


@pytest.fixture
def hposweep_here(tmp_path: Path) -> Run:
    """Runs `python -m hposweep ...` in a folder of its own and in this process: for what starts no trial."""

    def run(*words: str, env: dict[str, str] | None = None) -> Completed:
        return run_here(words, tmp_path, env)

    return run


@pytest.fixture
def hposweep(tmp_path: Path) -> Run:
    """Runs `python -m hposweep ...` in a folder of its own."""

    def run(*words: str, env: dict[str, str] | None = None) -> Completed:
        return run_process([sys.executable, "-m", "hposweep", *words], tmp_path, env)

    return run


@pytest.fixture
def python(tmp_path: Path) -> RunText:
    """Runs Python code in a fresh process."""

    def run(code: str, env: dict[str, str] | None = None) -> Completed:
        return run_process([sys.executable, "-c", code], tmp_path, env)

    return run


@pytest.fixture
def shell(tmp_path: Path) -> RunText:
    """Runs a line in bash, where `python` and `hposweep` are those of this environment."""
    return _in_bash(tmp_path, f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")


def _in_bash(folder: Path, path: str) -> RunText:
    def run(line: str, env: dict[str, str] | None = None) -> Completed:
        return run_process(["bash", "-c", line], folder, {"PATH": path} | (env or {}))

    return run


@pytest.fixture(scope="session")
def new_environment(tmp_path_factory: pytest.TempPathFactory) -> NewEnvironment:
    """Makes an environment of the base package, in the versions of the lock, and of more packages: its interpreter."""

    def make(*packages: str) -> str:
        name = "-".join(["environment", *packages])
        folder = made_once(tmp_path_factory, name, lambda folder: make_environment(folder, packages))
        return str(folder / "venv" / "bin" / "python")

    return make


@pytest.fixture(scope="session")
def warm_hydra(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarmProcess]:
    """A process that has imported what a sweep of any app and its report need."""
    process = WarmProcess([*HYDRA, *REPORT], tmp_path_factory.mktemp("warm_hydra") / "bin")
    yield process
    process.stop()


@pytest.fixture(scope="session")
def warm_keras(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarmProcess]:
    """A process that has imported what our own app, its trials and its report need."""
    process = WarmProcess([*KERAS, *REPORT], tmp_path_factory.mktemp("warm_keras") / "bin")
    yield process
    process.stop()


@pytest.fixture
def hposweep_warm(tmp_path: Path, warm_keras: WarmProcess) -> Run:
    """Runs `python -m hposweep ...` in a folder of its own and forked from a warm process: for real, short sweeps."""

    def run(*words: str, env: dict[str, str] | None = None) -> Completed:
        return warm_keras.run(["-m", "hposweep", *words], tmp_path, env)

    return run


@pytest.fixture
def warm_shell(tmp_path: Path, warm_keras: WarmProcess) -> RunText:
    """Runs a line in bash, where `python` and `hposweep` are forked from a warm process."""
    return _in_bash(tmp_path, warm_keras.path)


@pytest.fixture
def app(tmp_path: Path, warm_hydra: WarmProcess) -> App:
    return make_app(tmp_path, warm_hydra)


@pytest.fixture(scope="session")
def small_sweep(tmp_path_factory: pytest.TempPathFactory, warm_keras: WarmProcess) -> Path:
    """The folder of a real sweep of four trials; nobody may change it."""

    def sweep(folder: Path) -> None:
        words = [*SMALL, "hydra.sweeper.n_trials=4", "hydra.sweep.dir=outputs/sweep", "trainer.keep_checkpoints=true"]
        completed = run_process([str(warm_keras.python), "-m", "hposweep", "--multirun", *words], folder)
        assert completed.exit_code == 0, completed.err
        (folder / "stdout.txt").write_text(completed.out)

    return made_once(tmp_path_factory, "small_sweep", sweep) / "outputs" / "sweep"
