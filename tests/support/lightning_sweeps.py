"""What a sweep of the app with lightning-hydra-template's layout leaves, whatever launcher runs it."""

from pathlib import Path

from support.apps import App
from support.sweeps import load_yaml, results_of, rows

SEARCH = ["hparams_search=line_hposweep", "experiment=example"]


def check_search(app: App, *words: str, task: str = "train") -> Path:
    """Runs the search of the app's own file, and returns the one folder that it leaves."""
    done = app.run(*SEARCH, *words)
    assert done.exit_code == 0, done.err + done.out
    (sweep,) = (app.folder / "logs" / task / "multiruns").iterdir()
    table = rows(sweep)
    assert [row["state"] for row in table] == ["COMPLETE"] * 4, [row["failure"] for row in table]
    assert results_of(sweep)["best_value"] == max(float(row["value"]) for row in table)
    for row in table:
        job = sweep / row["trial"]
        config = load_yaml(job / "config_tree.log")
        assert config["paths"]["output_dir"] == config["trainer"]["default_root_dir"] == str(job)
        assert config["paths"]["work_dir"] == str(app.folder)
        assert repr(config["model"]["optimizer"]["lr"]) == row["model.optimizer.lr"]
        assert (config["seed"], config["model"]["net"]["slope"]) == (12345, -1.0)
        assert "Output dir" in (job / f"{task}.log").read_text()
        assert (job / "checkpoints" / "best.ckpt").exists() == (task == "train")
    return sweep
