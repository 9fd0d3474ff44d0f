"""What several rooms' tests share: real commands in real processes, and one small real sweep."""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parents[1]

# Machines differ in speed, and no test is about seconds.
settings.register_profile("no_deadline", deadline=None)
settings.load_profile("no_deadline")

# A tenth of the examples and few epochs: a real training that takes seconds.
SMALL = ("data.train_fraction=0.1", "trainer.max_epochs=3")


@dataclass(frozen=True)
class Completed:
    """What a process left."""

    exit_code: int
    out: str
    err: str

    @property
    def error_lines(self) -> list[str]:
        return [line for line in self.err.splitlines() if line.strip()]


Run = Callable[..., Completed]


def run_process(command: Sequence[str], cwd: Path, env: dict[str, str] | None = None) -> Completed:
    environment = {key: value for key, value in os.environ.items() if key != "HYDRA_FULL_ERROR"}
    environment |= env or {}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300, check=False)
    return Completed(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def hposweep(tmp_path: Path) -> Run:
    """Runs `python -m hposweep ...` in a folder of its own."""

    def run(*words: str, env: dict[str, str] | None = None) -> Completed:
        return run_process([sys.executable, "-m", "hposweep", *words], tmp_path, env)

    return run


@pytest.fixture
def python(tmp_path: Path) -> Run:
    """Runs Python code in a fresh process."""

    def run(code: str, env: dict[str, str] | None = None) -> Completed:
        return run_process([sys.executable, "-c", code], tmp_path, env)

    return run


@pytest.fixture
def shell(tmp_path: Path) -> Run:
    """Runs a line in bash, where `python` and `hposweep` are those of this environment."""
    path = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}

    def run(line: str) -> Completed:
        return run_process(["bash", "-c", line], tmp_path, path)

    return run


@pytest.fixture(scope="session")
def new_environment(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Makes an environment of the base package, in the versions of the lock, and of more packages: its interpreter."""

    def make(*packages: str) -> str:
        folder = tmp_path_factory.mktemp("environment")
        uv, python = Path(sys.executable).with_name("uv"), folder / "venv" / "bin" / "python"
        env = {**os.environ, "UV_SYSTEM_CERTS": "1"}
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, folder / "venv"], check=True, env=env)
        locked = (ROOT / "requirements" / "lock.txt").read_text().splitlines()
        # Hydra's own Optuna sweeper needs an Optuna of years ago.
        others = (" ", "#", "optuna==")
        pins = [line.split()[0] for line in locked if line and not line.startswith(others)]
        (folder / "constraints.txt").write_text("\n".join(pins) + "\n")
        install = [uv, "pip", "install", "--quiet", "--python", python, "--constraints", folder / "constraints.txt"]
        subprocess.run([*install, ROOT, *packages], check=True, env=env)
        return str(python)

    return make


APP = """
import hydra
from omegaconf import DictConfig

@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(cfg: DictConfig) -> float:
    print("x is", cfg.x)
    return (cfg.x - 2) ** 2 + cfg.y

if __name__ == "__main__":
    main()
"""
APP_CONFIG = """
defaults:
  - _self_
  - db: mysql
x: 1.0
y: 0
text: abc
"""


@dataclass(frozen=True)
class App:
    """Somebody else's Hydra app of a few files."""

    folder: Path
    python: str = sys.executable

    def run(self, *words: str, env: dict[str, str] | None = None) -> Completed:
        return run_process([self.python, "main.py", *words], self.folder, env)

    def sweep(self, *words: str, env: dict[str, str] | None = None) -> Completed:
        return self.run("--multirun", "hydra/sweeper=hposweep", "hydra.sweep.dir=swept", *words, env=env)

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture
def app(tmp_path: Path) -> App:
    app = App(tmp_path)
    app.write("main.py", APP)
    app.write("conf/config.yaml", APP_CONFIG)
    app.write("conf/db/mysql.yaml", "name: mysql\nport: 3306\n")
    app.write("conf/db/postgres.yaml", "name: postgres\nport: 5432\n")
    return app


@pytest.fixture(scope="session")
def small_sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a real sweep of four trials; nobody may change it."""
    folder = tmp_path_factory.mktemp("small_sweep")
    command = [sys.executable, "-m", "hposweep", "--multirun", *SMALL]
    words = ["hydra.sweeper.n_trials=4", "hydra.sweep.dir=outputs/sweep", "trainer.keep_checkpoints=true"]
    completed = run_process([*command, *words], folder)
    assert completed.exit_code == 0, completed.err
    (folder / "stdout.txt").write_text(completed.out)
    return folder / "outputs" / "sweep"
