"""What users of Hydra want of a sweep that can be taken up again (hydra #3328), by one story in somebody else's app.

A sweep of 8 trials on two workers, one that raises and one that diverges among them. Trials from number 4 on wait for
the file `hold` to go, so that two of them are under way whenever something happens:

    first run     the controller is killed
    between       somebody wants to go on with another search space, seed, direction and config
    second run    the same command; a second controller comes; a worker is killed in the middle of its trial
    third run     `python -m hposweep resume`, with 11 trials

The same command with 11 trials, undisturbed and on one worker, is what it has to equal.
"""

import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from support.processes import kill, wait_for
from support.sweeps import events, load_yaml, results_of, rows
from support.warm import WarmProcess

pytestmark = pytest.mark.process

APP = """
import math, os, time
from pathlib import Path
import hydra
from hydra.core.hydra_config import HydraConfig

@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(cfg):
    number, folder = HydraConfig.get().job.num, Path(HydraConfig.get().runtime.output_dir)
    (folder / "pid").write_text(str(os.getpid()))
    while number >= 4 and Path("hold").exists():
        time.sleep(0.01)
    if number == 1:
        raise ValueError("bad luck")
    return math.nan if number == 2 else (cfg.x - 2) ** 2 + cfg.y

if __name__ == "__main__":
    main()
"""
SWEEP = ["main.py", "--multirun", "hydra/sweeper=hposweep", "hydra/launcher=hposweep"]
SPACE, N = "x=interval(0,4)", "hydra.sweeper.n_trials"
COMMAND = [*SWEEP, SPACE, f"{N}=8", "hydra.sweep.dir=swept", "hydra.launcher.n_workers=2"]
ANOTHER = [*SWEEP, "x=interval(0,5)", "y=7", "hydra.sweeper.seed=1", "hydra.sweeper.direction=maximize"]
DIFFERENCES = {
    "search space": "search space: x: 'interval(0,4)' -> 'interval(0,5)'",
    "config": "y: 0 -> 7",
    "seed": "hydra.sweeper.seed: 0 -> 1",
    "direction": "hydra.sweeper.direction: 'minimize' -> 'maximize'",
}


@dataclass
class Story:
    """A folder in which sweeps are run, and what was seen of them."""

    folder: Path
    warm_python: str  # starts what is not killed
    journals: list[list[dict[str, Any]]] = field(default_factory=list)  # as each run left it
    outputs: list[str] = field(default_factory=list)  # of the runs that ended by themselves
    refusals: dict[str, tuple[int, str]] = field(default_factory=dict)  # exit code and last line of those sent away
    controller: int = 0  # process number of the second run's
    is_untouched: bool = False  # by those sent away

    def start(self, *words: str, python: str = sys.executable) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [python, *words], cwd=self.folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )

    def finish(self, process: subprocess.Popen[str]) -> None:
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 0, out
        self.outputs.append(out)
        self.journals.append(events(self.folder / "swept"))

    def be_refused(self, name: str, *words: str) -> None:
        process = self.start(*words, python=self.warm_python)
        out, _ = process.communicate(timeout=60)
        self.refusals[name] = process.returncode, out.splitlines()[-1]

    def workers(self) -> list[int]:
        """Those that have begun trials 4 and 5, if both are begun."""
        texts = [path.read_text() for path in sorted(self.folder.glob("swept/[45]/pid"))]
        return list(map(int, texts)) if len(texts) == 2 and all(texts) else []


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory, warm_hydra: WarmProcess) -> Story:
    python = str(warm_hydra.python)
    story = Story(tmp_path_factory.mktemp("story"), python)
    (story.folder / "main.py").write_text(APP)
    (story.folder / "conf").mkdir()
    (story.folder / "conf" / "config.yaml").write_text("x: 1.0\ny: 0\n")
    hold, sweep = story.folder / "hold", story.folder / "swept"
    hold.touch()

    first = story.start(*COMMAND)
    wait_for(story.workers)
    kill(first)
    story.journals.append(events(sweep))

    before = contents(sweep)
    story.be_refused("another sweep", *ANOTHER, f"{N}=8", "hydra.sweep.dir=swept")
    story.is_untouched = contents(sweep) == before

    for path in sweep.glob("*/pid"):
        path.unlink()
    second = story.start(*COMMAND)
    wait_for(story.workers)
    story.be_refused("second controller", "-m", "hposweep", "resume", "swept")
    story.controller = second.pid
    os.kill(story.workers()[0], signal.SIGKILL)
    wait_for(lambda: any(event["event"] == "segment_died" for event in events(sweep)))
    hold.unlink()
    story.finish(second)

    story.finish(story.start("-m", "hposweep", "resume", "swept", "--n-trials", "11", python=python))
    undisturbed = [*SWEEP, SPACE, f"{N}=11", "hydra.sweep.dir=undisturbed", "hydra.launcher.n_workers=1"]
    story.finish(story.start(*undisturbed, python=python))
    return story


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def states(journal: list[dict[str, Any]]) -> list[str]:
    """What a journal knows of the trials, in the order of their numbers."""
    found = {event["trial"]: "RUNNING" for event in journal if event["event"] == "trial_proposed"}
    found.update({event["trial"]: event["state"] for event in journal if event["event"] == "segment_ended"})
    return [found[number] for number in sorted(found)]


@pytest.mark.parametrize("difference", DIFFERENCES.values(), ids=DIFFERENCES.keys())
def test_another_sweep_is_refused_with_what_differs(story: Story, difference: str) -> None:
    exit_code, line = story.refusals["another sweep"]
    assert exit_code == 1
    assert line.startswith("hydra.sweep.dir: swept holds another sweep; ")
    assert difference in line


def test_who_was_refused_has_changed_nothing(story: Story) -> None:
    assert story.is_untouched


def test_the_states_are_known_when_the_controller_is_killed(story: Story) -> None:
    assert states(story.journals[0]) == ["COMPLETE", "FAILED", "DIVERGED", "COMPLETE", "RUNNING", "RUNNING"]


def test_a_second_controller_is_sent_away_while_one_runs(story: Story) -> None:
    exit_code, line = story.refusals["second controller"]
    assert exit_code == 1
    assert f"is being run by process {story.controller} on " in line


def test_the_same_command_goes_on_to_the_total_of_all_runs(story: Story) -> None:
    assert "resuming: 4 of 8 trials have ended" in story.outputs[0]
    assert states(story.journals[1]) == ["COMPLETE", "FAILED", "DIVERGED", *["COMPLETE"] * 5]


def test_more_trials_extend_the_sweep(story: Story) -> None:
    assert "resuming: 8 of 11 trials have ended" in story.outputs[1]
    assert states(story.journals[2]) == ["COMPLETE", "FAILED", "DIVERGED", *["COMPLETE"] * 8]


def test_a_trial_has_one_number_over_all_runs(story: Story) -> None:
    proposed = [event["trial"] for event in story.journals[2] if event["event"] == "trial_proposed"]
    assert proposed == list(range(11))
    for number in range(11):
        job = story.folder / "swept" / str(number)
        assert load_yaml(job / ".hydra" / "hydra.yaml")["hydra"]["job"]["num"] == number


def test_only_what_was_under_way_is_run_again(story: Story) -> None:
    started = [event["trial"] for event in story.journals[2] if event["event"] == "segment_started"]
    # Number 4 was under way when the controller was killed, and again when its worker was.
    assert [started.count(number) for number in range(11)] == [1, 1, 1, 1, 3, 2, 1, 1, 1, 1, 1]


def test_the_results_are_those_of_a_sweep_that_ran_through(story: Story) -> None:
    swept, undisturbed = story.folder / "swept", story.folder / "undisturbed"
    of_a_run = ("attempts", "started_at", "duration_s")
    tables = [[{k: v for k, v in row.items() if k not in of_a_run} for row in rows(s)] for s in (swept, undisturbed)]
    assert tables[0] == tables[1]
    results = [results_of(s) for s in (swept, undisturbed)]
    assert results[0] == results[1]
    for number in map(str, range(11)):
        for name in ("config.yaml", "overrides.yaml"):
            config = Path(number) / ".hydra" / name
            assert (swept / config).read_bytes() == (undisturbed / config).read_bytes()
