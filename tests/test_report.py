"""hposweep.report: an objective's own learning curve."""

from pathlib import Path

import pytest

from hposweep import learning_curve
from hposweep.report import report_to

APP = """
import hydra, hposweep

@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(cfg):
    for epoch in (1, 2, 3):
        hposweep.report(epoch, cfg.x / epoch, loss=2 * cfg.x)
    return cfg.x / 3

if __name__ == "__main__":
    main()
"""


def test_any_objective_reports_its_curve(app) -> None:  # type: ignore[no-untyped-def]
    app.write("main.py", APP)
    words = ["x=interval(1,4)", "hydra.sweeper.n_trials=2", "hydra.sweeper.metric=height", "hydra/launcher=hposweep"]
    done = app.sweep(*words)
    assert done.exit_code == 0, done.err
    rows = learning_curve.read(app.folder / "swept" / "1" / "learning_curve.csv")
    assert [list(row) for row in rows] == [["epoch", "loss", "height", "seconds"]] * 3
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    table = (app.folder / "swept" / "trials.csv").read_text().splitlines()
    assert table[0].split(",")[:4] == ["trial", "state", "height", "epochs"]
    assert [line.split(",")[3] for line in table[1:]] == ["3", "3"]


def test_what_a_cut_off_run_left_is_replaced(tmp_path: Path) -> None:
    for epoch, value in [(1, 0.5), (2, 0.4), (3, 0.3), (2, 0.45)]:
        report_to(tmp_path, epoch, value, "error")
    rows = learning_curve.read(tmp_path / "learning_curve.csv")
    assert [(row["epoch"], row["error"]) for row in rows] == [(1, 0.5), (2, 0.45)]


def test_epochs_count_from_1(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="epoch counts from 1, got 0"):
        report_to(tmp_path, 0, 0.5, "error")
