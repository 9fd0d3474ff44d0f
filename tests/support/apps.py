"""Somebody else's Hydra app of a few files."""

import dataclasses
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from support.processes import Completed, run_process
from support.warm import WarmProcess

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
    """An app in a folder of its own."""

    folder: Path
    warm: WarmProcess | None = None  # what its commands are forked from
    python: str = sys.executable
    script: str = "main.py"

    @property
    def fresh(self) -> "App":
        """The same app, each command in a process that imports everything anew, and makes its report."""
        return dataclasses.replace(self, warm=None)

    @property
    def with_report(self) -> "App":
        """The same app, each command forked from the warm process, with its report, by a script in Python's place."""
        assert self.warm is not None
        return dataclasses.replace(self, warm=None, python=str(self.warm.python))

    def run(self, *words: str, env: dict[str, str] | None = None) -> Completed:
        if self.warm is not None:
            return self.warm.run([self.script, *words], self.folder, env)
        return run_process([self.python, self.script, *words], self.folder, env)

    def sweep(self, *words: str, env: dict[str, str] | None = None) -> Completed:
        return self.run("--multirun", "hydra/sweeper=hposweep", "hydra.sweep.dir=swept", *words, env=env)

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


LIGHTNING_LAYOUT = Path(__file__).parent / "lightning_layout"


def make_lightning_app(folder: Path, warm: WarmProcess | None = None) -> App:
    """A copy of the app with the layout of lightning-hydra-template."""
    shutil.copytree(LIGHTNING_LAYOUT, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    return App(folder, warm, script="src/train.py")


def make_app(folder: Path, warm: WarmProcess) -> App:
    app = App(folder, warm)
    app.write("main.py", APP)
    app.write("conf/config.yaml", APP_CONFIG)
    app.write("conf/db/mysql.yaml", "name: mysql\nport: 3306\n")
    app.write("conf/db/postgres.yaml", "name: postgres\nport: 5432\n")
    return app
