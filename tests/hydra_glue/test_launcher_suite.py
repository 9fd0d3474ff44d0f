"""Hydra's own suites for launchers, and our job runner held against Hydra's."""

import pytest
from hydra import TaskFunction  # noqa: F401 (the suites need it importable)
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.test_utils.launcher_common_tests import IntegrationTestSuite, LauncherTestSuite

from support.apps import App

pytestmark = pytest.mark.process

NAME = "hposweep"


def test_the_launcher_is_found() -> None:
    assert "HposweepLauncher" in [plugin.__name__ for plugin in Plugins.instance().discover(Launcher)]


@pytest.mark.parametrize("launcher_name, overrides", [(NAME, [])])
class TestLauncher(LauncherTestSuite):
    """Hydra's suite for launchers."""


@pytest.mark.parametrize(
    "task_launcher_cfg, extra_flags",
    [({}, ["-m", "hydra/launcher=hposweep", "hydra.launcher.n_workers=1"])],
)
class TestIntegration(IntegrationTestSuite):
    """Hydra's suite for launchers in apps."""


JOB = """
import sys
from pathlib import Path
import hydra
from hposweep.hydra_glue.jobs import run_job as job_runner

if sys.argv.pop(1) == "hydras":
    job_runner.KNOWN_VERSION = "another"
import hydra._internal.core_plugins.basic_launcher as basic

def run_job(hydra_context, task_function, config, **keys):
    return job_runner.run_job(hydra_context, task_function, config)

basic.run_job = run_job

@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(cfg):
    (Path.cwd() / "cwd").touch()
    return cfg.x

if __name__ == "__main__":
    main()
"""


@pytest.mark.parametrize(
    "words", [[], ["hydra.output_subdir=null"], ["hydra.job.chdir=true"], ["text='é: \"x\"'"]], ids=str
)
def test_our_job_runner_leaves_the_same_files_as_hydras(app: App, words: list[str]) -> None:
    app.write("main.py", JOB)
    found = []
    for runner in ("hydras", "ours"):
        done = app.run(runner, "-m", "x=1,2", "hydra.sweep.dir=swept", *words)
        assert done.exit_code == 0, done.err
        swept = app.folder / "swept"
        found.append({str(p.relative_to(swept)): p.read_bytes() for p in swept.rglob("*") if p.is_file()})
        for path in sorted(swept.rglob("*"), reverse=True):
            path.unlink() if path.is_file() else path.rmdir()
    assert found[0] == found[1]
    assert ("0/.hydra/config.yaml" in found[0]) == ("hydra.output_subdir=null" not in words)
