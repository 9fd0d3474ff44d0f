"""Real sweeps of somebody's app on a disk that takes no more, and in folders whose record is lost."""

import sys
from pathlib import Path

import pytest

from support.apps import App
from support.processes import Completed, run_process
from support.sweeps import events, rows, without_seconds

pytestmark = pytest.mark.process

APP = """
import hydra, hposweep

@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(cfg):
    for epoch in (1, 2, 3):
        print(cfg.text * cfg.y)
        hposweep.report(epoch, cfg.x / epoch)
    return cfg.x / 3

if __name__ == "__main__":
    main()
"""
WORDS = ["main.py", "--multirun", "hydra/sweeper=hposweep", "x=interval(0,4)", "hydra.sweeper.n_trials=4"]


def run(app: App, *words: str, kilobytes: int | None = None) -> Completed:
    limit = "" if kilobytes is None else f"ulimit -f {kilobytes}; "
    return run_process(["bash", "-c", f'{limit}exec "$0" "$@"', sys.executable, *words], app.folder)


def curves(sweep: Path) -> dict[str, list[dict[str, str]]]:
    paths = sorted(sweep.glob("*/hposweep/learning_curve.csv"))
    return {path.parents[1].name: without_seconds(path) for path in paths}


@pytest.mark.parametrize("launcher", ["hposweep", "basic"])
def test_a_file_that_may_not_grow_stops_the_sweep_in_one_line_and_no_trial_has_failed(app: App, launcher: str) -> None:
    app.write("main.py", APP)
    noisy = ["y=4000", f"hydra/launcher={launcher}"]
    stopped = run(app, *WORDS, *noisy, "hydra.sweep.dir=swept", kilobytes=16)
    assert stopped.exit_code == 1
    (line,) = stopped.error_lines
    assert line.endswith("/hposweep/output.txt: can't be written (File too large); mend that, then resume the sweep")
    ends = [event["state"] for event in events(app.folder / "swept") if event["event"] == "segment_ended"]
    assert set(ends) == {"INTERRUPTED"}
    assert app.run(*WORDS[1:], *noisy, "hydra.sweep.dir=swept").exit_code == 0
    assert app.run(*WORDS[1:], *noisy, "hydra.sweep.dir=whole").exit_code == 0
    swept, whole = (rows(app.folder / name) for name in ("swept", "whole"))
    assert [row["state"] for row in swept] == ["COMPLETE"] * 4
    assert [(row["x"], row["value"]) for row in swept] == [(row["x"], row["value"]) for row in whole]
    assert curves(app.folder / "swept") == curves(app.folder / "whole")


@pytest.mark.parametrize("launcher", ["hposweep", "basic"])
def test_what_stands_in_the_place_of_a_trials_files_costs_no_trial(app: App, launcher: str) -> None:
    app.write("main.py", APP)
    (app.folder / "theirs").mkdir()
    for number in range(4):
        (app.folder / "swept" / str(number)).mkdir(parents=True)
    (app.folder / "swept" / "0" / "hposweep").write_text("theirs")
    (app.folder / "swept" / "1" / "hposweep").symlink_to(app.folder / "theirs")
    app.write("swept/2/hposweep/learning_curve.csv", "epoch,value\n9,0.0\n")  # another sweep's
    done = app.run(*WORDS[1:], f"hydra/launcher={launcher}", "hydra.sweep.dir=swept")
    assert done.exit_code == 0, done.err + done.out
    assert app.run(*WORDS[1:], f"hydra/launcher={launcher}", "hydra.sweep.dir=whole").exit_code == 0
    swept, whole = (rows(app.folder / name) for name in ("swept", "whole"))
    # Nobody knows how far a trial without a curve has trained.
    assert [row["epochs"] for row in swept] == ["", "", "3", "3"]
    assert [(row["state"], row["value"]) for row in swept] == [(row["state"], row["value"]) for row in whole]
    assert (app.folder / "swept" / "0" / "hposweep").read_text() == "theirs"
    assert not list((app.folder / "theirs").iterdir())


def test_a_sweep_whose_record_is_lost_is_taken_up_as_far_as_multirun_yaml_tells(app: App) -> None:
    sweep = app.folder / "swept"
    record, multirun = sweep / "sweep.yaml", sweep / "multirun.yaml"
    words = ["hydra/launcher=basic", "hydra.sweeper.n_trials=2"]
    assert app.sweep(*words, "x=interval(0,4)").exit_code == 0

    record.write_bytes(record.read_bytes()[:-100])
    refused = app.sweep(*words, "x=interval(0,5)", "y=1")
    assert refused.exit_code == 1
    (line,) = refused.error_lines
    assert line.startswith("hydra.sweep.dir: swept holds another sweep; y: 0 -> 1; ")
    assert "search space: x: 'interval(0,4)' -> 'interval(0,5)'" in line

    done = app.sweep("hydra/launcher=basic", "hydra.sweeper.n_trials=3", "x=interval(0,4)")
    assert done.exit_code == 0, done.err
    assert "sweep.yaml: damaged" in done.out
    assert len(rows(sweep)) == 3

    record.unlink()
    resumed = run(app, "-m", "hposweep", "resume", "swept", "--n-trials", "4")
    assert resumed.exit_code == 0, resumed.err
    assert "swept/sweep.yaml: lost or damaged; multirun.yaml stands in for it" in resumed.err
    assert len(rows(sweep)) == 4

    record.unlink()
    assert run(app, "-m", "hposweep", "report", "swept").exit_code == 0
    for text in ("", "hydra: {}", "hydra: text", "[", "x: 1.0\n"):
        multirun.write_text(text)
        refused = app.sweep(*words, "x=interval(0,4)") if text else run(app, "-m", "hposweep", "resume", "swept")
        assert refused.exit_code == 1
        (line,) = refused.error_lines
        assert "swept/sweep.yaml: not found; " in line
        assert line.endswith("swept/multirun.yaml: damaged; it must hold the config of the sweep")
    multirun.unlink()
    (line,) = app.sweep(*words, "x=interval(0,4)").error_lines
    assert line.endswith("swept/multirun.yaml: not found")
