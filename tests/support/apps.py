"""Somebody else's Hydra app of a few files."""

import sys
from dataclasses import dataclass
from pathlib import Path

from support.processes import Completed, run_process

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
    python: str = sys.executable

    def run(self, *words: str, env: dict[str, str] | None = None) -> Completed:
        return run_process([self.python, "main.py", *words], self.folder, env)

    def sweep(self, *words: str, env: dict[str, str] | None = None) -> Completed:
        return self.run("--multirun", "hydra/sweeper=hposweep", "hydra.sweep.dir=swept", *words, env=env)

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def make_app(folder: Path) -> App:
    app = App(folder)
    app.write("main.py", APP)
    app.write("conf/config.yaml", APP_CONFIG)
    app.write("conf/db/mysql.yaml", "name: mysql\nport: 3306\n")
    app.write("conf/db/postgres.yaml", "name: postgres\nport: 5432\n")
    return app
