"""A sweep's folder may have any name: all commands work on it."""

import contextlib
import json
import os
import shlex
from pathlib import Path

import pytest

import hposweep as package
from support.apps import App, make_app
from support.in_process import run_here
from support.sweeps import load_yaml, rows
from support.warm import WarmProcess

# What means something to a shell, to Hydra's overrides, to OmegaConf, to YAML, to a URL or to a format.
ODD = 'run (1) lr=0.1 a,b it\'s "q" #h ${x} ${now:%Y} \\${y} $HOME [l] {0} %s?*&;a: Müller~\n\\'
NO_UTF8 = os.fsdecode(b"caf\xe9")
NAMES = [ODD, "-x", "~", " lead and trail ", "${", "true", NO_UTF8]
HPOSWEEP = ["hydra/sweeper=hposweep", "hydra/launcher=hposweep", "hydra.launcher.n_workers=1", "x=interval(0,4)"]


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory, warm_hydra: WarmProcess) -> App:
    """An app with a sweep in a folder of an odd name, and one in each of the others, whose name is its working one."""
    app = make_app(tmp_path_factory.mktemp("odd"), warm_hydra)
    (app.folder / ODD).mkdir()
    with contextlib.chdir(app.folder):
        from hposweep.hydra_glue.sweep_folder import dir_override

        for name in NAMES:
            done = app.run("--multirun", *HPOSWEEP, "hydra.sweeper.n_trials=1", dir_override(Path("sweeps", name)))
            assert done.exit_code == 0, done.err
    return app


def test_a_sweep_has_exactly_the_folder_that_was_named(swept: App) -> None:
    assert {path.name for path in (swept.folder / "sweeps").iterdir()} >= set(NAMES)
    for name in NAMES:
        folder = swept.folder / "sweeps" / name
        assert [row["state"] for row in rows(folder)][:1] == ["COMPLETE"]
        assert (folder / "0" / ".hydra" / "config.yaml").exists()
        assert (folder / "0" / "main.log").exists()


def test_it_is_resumed_and_reproduced(swept: App) -> None:
    folder = Path("sweeps", ODD)
    for words in (["resume", str(folder), "--n-trials", "2"], ["reproduce", str(folder)]):
        assert swept.warm is not None
        done = swept.warm.run(["-m", "hposweep", *words], swept.folder)
        assert done.exit_code == 0, done.err
    for each in (folder, folder.with_name(f"{ODD}-again")):
        assert len(rows(swept.folder / each)) == 2


@pytest.mark.parametrize("name", [ODD, "${", NO_UTF8], ids=["odd", "brace", "no UTF-8"])
def test_it_is_read(swept: App, name: str) -> None:
    folder = Path("sweeps", name)
    for command, *words in (["report"], ["compare", "sweeps/true"], ["export", "--to", "optuna", f"{len(name)}.db"]):
        done = run_here((command, str(folder), *words), swept.folder)
        assert done.exit_code == 0, done.err
    assert (swept.folder / folder / "report.html").exists()
    sweep = package.load(swept.folder / folder)
    assert next(iter(sweep.trials["state"])) == "COMPLETE"


def test_its_winner_is_run_again(swept: App) -> None:
    command = run_here(("best", str(Path("sweeps", ODD))), swept.folder).out
    done = swept.run(*shlex.split(command)[2:], "hydra.run.dir=alone")
    assert done.exit_code == 0, done.err
    winner = load_yaml(swept.folder / "sweeps" / ODD / "optimization_results.yaml")["best_params"]
    assert load_yaml(swept.folder / "alone" / ".hydra" / "config.yaml")["x"] == winner["x"]


@pytest.mark.parametrize(
    ("folder", "message"),
    [
        ("x" * 300, f"hydra.sweep.dir: {'x' * 300} can't be made (File name too long)"),
        ("x/" * 2100, f"hydra.sweep.dir: {'/'.join('x' * 2100)} can't be made (File name too long)"),
        ("main.py/x", "hydra.sweep.dir: main.py/x can't be made (Not a directory)"),
        ("\ud800", r"hydra.sweep.dir: '\ud800': no folder can have this name"),
    ],
    ids=["long name", "long path", "in a file", "no text"],
)
def test_a_folder_that_no_disk_holds_is_refused(swept: App, folder: str, message: str) -> None:
    swept.write("no_folder.yaml", f"defaults: [config, _self_]\nhydra: {{sweep: {{dir: {json.dumps(folder)}}}}}\n")
    done = swept.run("--multirun", "-cd", ".", "-cn", "no_folder", *HPOSWEEP)
    assert done.exit_code == 1
    assert done.error_lines[-1].startswith(message), done.err


def test_a_launcher_whose_jobs_can_t_have_the_folder_is_refused(swept: App) -> None:
    words = ["hydra/sweeper=hposweep", "x=interval(0,4)", "hydra.sweep.dir='refused/\\${x}'"]
    done = swept.run("--multirun", *words)
    assert done.exit_code == 1
    assert done.error_lines[-1].startswith("hydra.sweep.dir: refused/${x}: Hydra takes ${ in a job's folder")
    assert not (swept.folder / "refused").exists()
