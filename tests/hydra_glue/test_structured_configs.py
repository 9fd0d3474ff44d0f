"""What a structured config can hold: its sweep is run, recorded, taken up again and reproduced."""

import math
from pathlib import Path

import pytest

import hposweep
from hposweep.hydra_glue import run_again
from support.apps import App
from support.in_process import run_here
from support.sweeps import rows
from support.warm import WarmProcess

STRUCTURED_APP = """
import enum
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional, Union
import hydra
from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig

class Opt(enum.Enum):
    ADAM = 1
    SGD = 2

class Thing:
    pass

def made(value):
    return field(default_factory=lambda: value)

@dataclass
class Layer:
    units: int = 8
    act: Optional[str] = None
    opt: Opt = Opt.SGD
    at: Path = Path("a b")

@dataclass
class Config:
    x: float = MISSING
    opt: Opt = Opt.ADAM
    none_opt: Optional[Opt] = None
    data: Path = Path("some where")
    raw: bytes = bytes([0, 255])
    either: Union[int, str, bytes] = b"x"
    nan: float = float("nan")
    inf: float = -float("inf")
    sizes: tuple[int, int] = (1, 2)
    layers: list[Layer] = made([Layer(), Layer(16, "relu")])
    by_name: dict[str, Layer] = made({"a": Layer()})
    table: dict[int, float] = made({1: float("nan"), -2: 0.5})
    by_float: dict[float, str] = made({0.5: "a", 1e-4: "b", float("inf"): "c"})
    by_bool: dict[bool, bytes] = made({True: b"a"})
    by_bytes: dict[bytes, int] = made({bytes([255]): 1})
    by_opt: dict[Opt, Opt] = made({Opt.ADAM: Opt.SGD})
    paths: list[Path] = made([Path("x"), Path("/y/z")])
    nested: dict[str, Any] = made({"p": Path("q"), "l": [Path("r"), {"s": Opt.SGD}], "b": {True: b"t", 3: 4}})
    text: str = "2020-01-01"
    things: Any = made(DictConfig({"thing": Thing(), "f": len, "set": set("abcdef")}, flags={"allow_objects": True}))

ConfigStore.instance().store(name="config", node=Config)

@hydra.main(version_base="1.3", config_name="config")
def main(cfg):
    assert isinstance(cfg.opt, Opt) and isinstance(cfg.data, Path) and cfg.raw == bytes([0, 255])
    assert cfg.by_opt[Opt.ADAM] is Opt.SGD and isinstance(cfg.things.thing, Thing)
    print(repr(cfg.data), cfg.opt.name, cfg.table[1])
    return cfg.x * cfg.opt.value

if __name__ == "__main__":
    main()
"""


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory, warm_hydra: WarmProcess) -> App:
    """The app with a sweep that was taken up once, with one more trial."""
    app = App(tmp_path_factory.mktemp("structured"), warm_hydra)
    app.write("main.py", STRUCTURED_APP)
    for n_trials in (1, 2):
        words = ["x=interval(0,1)", "opt=ADAM,SGD", f"hydra.sweeper.n_trials={n_trials}", "hydra/launcher=hposweep"]
        done = app.sweep(*words)
        assert done.exit_code == 0, done.err
    return app


def test_its_sweep_runs_and_is_recorded_in_plain_values(app: App) -> None:
    assert [row["state"] for row in rows(app.folder / "swept")] == ["COMPLETE"] * 2
    config = dict(run_again.read(app.folder / "swept").config)
    assert (config["data"], config["opt"], config["raw"], config["text"]) == (
        *("some where", "ADAM", bytes([0, 255]), "2020-01-01"),
    )
    assert math.isnan(config["nan"])
    assert config["by_opt"] == {"ADAM": "SGD"}
    assert config["by_bytes"] == {bytes([255]): 1}
    assert config["by_float"] == {0.5: "a", 1e-4: "b", math.inf: "c"}
    assert config["nested"] == {"p": "q", "l": ["r", {"s": "SGD"}], "b": {True: b"t", 3: 4}}
    assert config["things"] == {"thing": "<__main__.Thing object>", "f": "<built-in function len>", "set": [*"abcdef"]}


def test_it_is_reproduced_and_read(app: App) -> None:
    assert app.warm is not None
    done = app.warm.run(["-m", "hposweep", "reproduce", "swept"], app.folder)
    assert done.exit_code == 0, done.err + done.out
    assert "Reproduced: no difference." in done.out
    for words in (
        ["report", "swept"],
        ["export", "swept", "--to", "optuna", "study.db"],
        ["compare", "swept", "swept-again"],
    ):
        done = run_here(tuple(words), app.folder)
        assert done.exit_code == 0, done.err
    assert len(hposweep.load(app.folder / "swept").trials) == 2


def test_another_value_in_it_is_another_sweep(app: App) -> None:
    done = app.sweep("x=interval(0,1)", "opt=ADAM,SGD", "hydra.sweeper.n_trials=2", "layers.0.units=9", "data=other")
    assert done.exit_code == 1
    assert "layers: " in done.error_lines[-1]
    assert "data: 'some where' -> 'other'" in done.error_lines[-1]
    assert "nan" not in done.error_lines[-1].split("layers: ")[0]


def test_its_values_on_the_command_line_are_searched_or_fixed_as_hydra_reads_them(tmp_path: Path, app: App) -> None:
    words = ["x=1", "opt=ADAM,SGD", "data=a,b", "table={1:0.5}", f"hydra.sweep.dir={tmp_path}/other"]
    done = app.run("--multirun", "hydra/sweeper=hposweep", "hydra.sweeper.n_trials=1", *words)
    assert done.exit_code == 0, done.err
    (row,) = rows(tmp_path / "other")
    assert row["state"] == "COMPLETE", row["failure"]
    printed = (tmp_path / "other" / "0" / "hposweep" / "output.txt").read_text()
    assert printed == f"PosixPath('{row['data']}') {row['opt']} 0.5\n"
