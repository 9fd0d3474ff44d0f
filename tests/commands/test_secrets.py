"""Secrets are in no record and no page of ours, and what runs a sweep again still has them."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import hposweep as hposweep_package
from support.apps import App
from support.processes import Run
from support.report_pages import all_texts
from support.sweeps import load_yaml

SECRETS = ("hunter2", "hunter3", "hunter4", "hunter5")
HYDRAS_OWN = ("multirun.yaml", ".hydra")


@pytest.fixture
def swept(app: App) -> Path:
    """A sweep with a secret in an override, in the config, in the search space and in the environment of its jobs."""
    app.write("conf/db/mysql.yaml", "name: mysql\nport: 3306\npassword: hunter3\n")
    words = ["x=interval(0,1)", "+hub={user: a, api_key: hunter2}", "+pin_token=choice(hunter4,hunter4b)"]
    words += ["+hydra.job.env_set.PLAIN=hunter5", "hydra.sweeper.n_trials=2"]
    done = app.sweep(*words)
    assert done.exit_code == 0, done.err
    ours = [line for line in done.out.splitlines() if "\t#" not in line]  # Hydra's basic launcher tells its overrides
    assert not any(secret in line for line in ours for secret in ("hunter2", "hunter3", "hunter5"))
    return app.folder / "swept"


def files_with(folder: Path, secret: str) -> set[str]:
    paths = (path for path in folder.rglob("*") if path.is_file() and not {*path.parts} & {*HYDRAS_OWN})
    return {str(path.relative_to(folder)) for path in paths if secret in path.read_text(errors="replace")}


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """The words that `resume` would have become, once it has run."""
    words: list[str] = []

    def execv(path: str, arguments: list[str]) -> None:
        words[:] = arguments
        raise SystemExit(0)

    monkeypatch.setattr(os, "execv", execv)
    return lambda: words


def test_a_secret_is_masked_and_a_sweep_with_one_is_run_again(
    swept: Path, hposweep_here: Run, started: Callable[[], list[str]]
) -> None:
    for command in (["report", "swept"], ["best", "swept"], ["export", "swept", "--to", "tensorboard", "swept/runs"]):
        done = hposweep_here(*command)
        assert done.exit_code == 0, done.err
        assert not any(secret in done.out + done.err for secret in SECRETS)
    # What is searched can't be left out of what a sweep is resumed from.
    assert {secret: files_with(swept, secret) for secret in SECRETS} == {
        **{secret: set() for secret in SECRETS},
        "hunter4": {"sweep.yaml", "journal.jsonl"},
    }
    record = load_yaml(swept / "sweep.yaml")
    assert record["overrides"]["task"][1] == "+hub=***"
    assert record["config"]["db"]["password"] == "***"
    assert list(hposweep_package.load(swept).trials["+pin_token"]) == ["***", "***"]

    assert hposweep_here("resume", "swept", "--n-trials", "3").exit_code == 0
    assert "+hub={user: a, api_key: hunter2}" in started()
    assert "+hydra.job.env_set.PLAIN=hunter5" in started()

    (swept / "multirun.yaml").unlink()
    (line,) = hposweep_here("resume", "swept").error_lines
    assert line == (
        "resume: swept/sweep.yaml: the value of hub is not recorded, as it looks like a secret, and multirun.yaml does "
        "not tell it; give it with --secret hub=..."
    )
    done = hposweep_here("resume", "swept", "--secret", "hub={api_key: b}", "--secret", "hydra.job.env_set.PLAIN=c")
    assert done.exit_code == 0, done.err
    assert "+hub={api_key: b}" in started() and "api_key" not in done.out
    (line,) = hposweep_here("resume", "swept", "--secret", "x=1").error_lines
    assert line.startswith("resume: --secret: x is no masked key of swept/sweep.yaml; masked: hub, hydra.job.env_set")


def test_what_an_earlier_version_has_recorded_is_shown_masked(hposweep_here: Run, tmp_path: Path) -> None:
    swept = Path(shutil.copytree(Path(__file__).parents[1] / "recorded" / "schema1" / "app", tmp_path / "swept"))
    path = swept / "sweep.yaml"
    text = path.read_text()
    path.write_text(
        text.replace("  task:\n", "  task:\n  - +db.password=hunter2\n", 1).replace(
            "config:\n", "config:\n  token: hunter3\n", 1
        )
    )
    for command in ("report", "best"):
        done = hposweep_here(command, "swept")
        assert done.exit_code == 0 and "hunter" not in done.out + done.err, done.err
    page = all_texts((swept / "report.html").read_text())
    assert "hunter" not in page and "+db.password=***" in page
