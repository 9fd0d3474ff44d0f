"""When the local launcher replaces a worker, and what that costs: nothing that was not under way."""

import csv
import math
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra._internal.callbacks import Callbacks
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path
from hydra.core.utils import setup_globals
from hydra.types import HydraContext, RunMode

import hposweep
from hposweep.hydra_glue.jobs.task_function import JobFunction
from hposweep.hydra_glue.launchers.local import LocalLauncher
from hposweep.trial import SegmentEnd
from support.apps import App

pytestmark = pytest.mark.process

# A worker alone has less than 200 MB. It returns its process number.
GROWING_APP = """
import os
import hydra

kept = []

@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(cfg):
    kept.append(b"x" * 200 * 2**20)
    return os.getpid()

if __name__ == "__main__":
    main()
"""


@pytest.mark.parametrize(
    ("limit_mb", "expected"),
    [
        pytest.param(400, "aabb", id="after every second job"),
        pytest.param(4000, "aaaa", id="never"),
    ],
)
def test_a_worker_that_has_grown_too_large_is_replaced_after_its_job(app: App, limit_mb: int, expected: str) -> None:
    app.write("main.py", GROWING_APP)
    words = ["hydra/launcher=hposweep", "hydra.launcher.n_workers=1", f"hydra.launcher.max_worker_memory_mb={limit_mb}"]
    done = app.sweep("x=interval(0,1)", "hydra.sweeper.n_trials=4", *words)
    assert done.exit_code == 0, done.err + done.out
    with open(app.folder / "swept" / "trials.csv", newline="") as file:
        workers = [row["value"] for row in csv.DictReader(file)]
    names = dict(zip(dict.fromkeys(workers), "abcd", strict=False))
    assert "".join(names[worker] for worker in workers) == expected


@pytest.fixture
def launcher_of(tmp_path: Path) -> Iterator[Callable[..., LocalLauncher]]:
    """Makes a launcher with one worker, for jobs that call this function."""
    setup_globals()
    loader = ConfigLoaderImpl(create_config_search_path(None))
    words = [f"hydra.sweep.dir={tmp_path}", "hydra/sweeper=hposweep", "hydra.job.chdir=false"]
    config = loader.load_configuration(None, words, RunMode.MULTIRUN)
    launcher = LocalLauncher(n_workers=1, threads=1, preload=[], max_worker_memory_mb=math.inf)

    def make(task_function: Any) -> LocalLauncher:
        launcher.setup(HydraContext(config_loader=loader, callbacks=Callbacks()), task_function, config)
        return launcher

    yield make
    launcher.stop()


def test_a_worker_that_dies_before_it_takes_the_job_costs_it_nothing(launcher_of) -> None:
    launcher = launcher_of(lambda _: os.getpid())
    worker = int(launcher.submit(0, [], "0_1").result().result.value)
    os.kill(worker, signal.SIGSTOP)  # so that it can't take the job
    job = launcher.submit(1, [], "1_1")
    os.kill(worker, signal.SIGKILL)
    result = job.result().result
    assert result.end is SegmentEnd.RETURNED
    assert result.value not in (None, worker)


class Deadly:
    """Kills the process that unpickles it."""

    def __reduce__(self) -> Any:
        return os._exit, (3,)


def test_a_job_whose_workers_never_come_to_life_ends(launcher_of) -> None:
    result = launcher_of(Deadly()).submit(0, [], "0_1").result().result
    assert result.end is SegmentEnd.DIED
    assert result.failure == "the worker process died"


def test_a_job_that_begins_after_its_successor_is_lost_and_not_even_hydra_s_files_are_written(
    launcher_of, tmp_path: Path
) -> None:
    launcher = launcher_of(JobFunction(lambda _: 0.5, None))
    assert launcher.submit(7, [], "7_2").result().result.value == 0.5
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert any(path.name == "hydra.yaml" for path in before)
    late = launcher.submit(7, [], "7_1").result().result
    assert (late.end, late.value) == (SegmentEnd.LOST, None)
    assert late.failure == f"{tmp_path}/7/hposweep/job: another job runs the trial by now"
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    for again in ("7_2", "7_3"):
        assert launcher.submit(7, [], again).result().result.value == 0.5


DEVICE_APP = """
import os
import hydra

@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(cfg):
    print("device", os.environ["CUDA_VISIBLE_DEVICES"])
    return cfg.x

if __name__ == "__main__":
    main()
"""
ON_DEVICES = ["x=interval(0,1)", "hydra.sweeper.n_trials=4", "hydra/launcher=hposweep", "hydra.launcher.devices=[2,3]"]


def test_a_sweep_on_devices_tells_where_each_job_ran(app: App) -> None:
    app.write("main.py", DEVICE_APP)
    done = app.sweep(*ON_DEVICES)
    assert done.exit_code == 0, done.err + done.out
    places = hposweep.load(app.folder / "swept").segments["place"]
    assert set(places) <= {"gpu 2", "gpu 3"}
    for (trial, _), place in places.items():
        output = app.folder / "swept" / str(trial) / "hposweep" / "output.txt"
        assert output.read_text() == f"device {place.removeprefix('gpu ')}\n"


@pytest.mark.parametrize(
    ("word", "line"),
    [
        (
            "+hydra.job.env_set.CUDA_VISIBLE_DEVICES='0'",
            "hydra.job.env_set.CUDA_VISIBLE_DEVICES: hydra.launcher.devices says what each worker sees; "
            "give one of them",
        ),
        (
            "hydra.launcher.n_workers=3",
            "hydra.launcher.n_workers: must be at most 2, which hydra.launcher.devices and "
            "hydra.launcher.workers_per_device make, got 3",
        ),
    ],
)
def test_options_that_contradict_devices_are_refused_in_one_line_before_any_trial(app: App, word, line) -> None:
    app.write("main.py", DEVICE_APP)
    done = app.sweep(*ON_DEVICES, word)
    assert (done.exit_code, done.error_lines[-1]) == (1, line)
    assert not (app.folder / "swept").exists()
