"""`run_here` says what a process of its own says, and leaves the process that it was called in as it was."""

import logging
import os
import signal
import sys
from pathlib import Path

import pytest
from hydra import version
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig

from support.in_process import run_here
from support.processes import Run, RunText

SPACE = "hydra.sweeper.search_space.optimizer.learning_rate"
DRY_RUN = "hydra.sweeper.dry_run=true"
CASES = [
    pytest.param(["--multirun", "hydra.sweeper.n_trials=0"], 1, id="the sweeper refuses an option"),
    pytest.param(["--multirun", f'{SPACE}="gama(2,1)"'], 1, id="the search space"),
    pytest.param(["--multirun", "optimizer.learnin_rate=0.1,1"], 1, id="a misspelt key, found in a second composition"),
    pytest.param(["--multirun", "data.batch_size=50001"], 1, id="the app's own check"),
    pytest.param(["model=sofmax"], 1, id="a single run"),
    pytest.param(
        ["--multirun", "scheduler=asha", "hydra.sweeper.dry_run=true", "model=softmax,mlp"], 0, id="a dry run"
    ),
    pytest.param(["--cfg", "job"], 0, id="a question to Hydra"),
    pytest.param(["reproduc", "outputs/sweep"], 1, id="a misspelt command"),
    pytest.param(["retrain", "--seeds", "x"], 1, id="a command's arguments"),
    pytest.param(["best", "--help"], 0, id="a command's help"),
]


@pytest.mark.parametrize(("words", "exit_code"), CASES)
def test_it_says_what_a_process_says(hposweep_warm: Run, tmp_path: Path, words: list[str], exit_code: int) -> None:
    here, there = run_here(tuple(words), tmp_path), hposweep_warm(*words)
    assert here == there
    assert here.exit_code == exit_code
    assert list(tmp_path.iterdir()) == []


def test_a_traceback_where_one_is_wanted_ends_alike(hposweep_warm: Run, hposweep_here: Run) -> None:
    here, there = (run("model=nosuch", env={"HYDRA_FULL_ERROR": "1"}) for run in (hposweep_here, hposweep_warm))
    assert here.exit_code == there.exit_code == 1
    assert here.error_lines[-12:] == there.error_lines[-12:]


def test_it_leaves_this_process_as_it_was(hposweep_here: Run) -> None:
    def state() -> list[object]:
        return [
            version.getbase(),
            *(dict(os.environ), Path.cwd(), list(sys.argv), list(sys.path), sys.stdout, sys.stderr),
            *(logging.getLogger().handlers[:], logging.getLogger().level, logging.getLogger("hydra").handlers[:]),
            *(signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)),
            *(GlobalHydra.instance().is_initialized(), HydraConfig.initialized(), sorted(ConfigStore.instance().repo)),
        ]

    before = state()
    for words in (["--multirun", DRY_RUN], ["--multirun", "seed=-1"], ["model=nosuch"], ["bets"]):
        hposweep_here(*words)
    assert state() == before


def test_it_imports_no_tensorflow(python: RunText) -> None:
    words = [["--multirun", DRY_RUN], ["--multirun", "data.batch_size=0"], ["trainer.threads=0"]]
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parents[1])!r})\n"
        "from pathlib import Path\nfrom support.in_process import run_here\n"
        f"print([run_here(tuple(each), Path.cwd()).exit_code for each in {words}], 'tensorflow' in sys.modules)"
    )
    assert python(code).out == "[0, 1, 1] False\n"
