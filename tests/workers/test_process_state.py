"""Whatever an objective leaves behind: the next one on the same worker finds its process as a new one is."""

import json
import math
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from hposweep.api.tuning import FunctionJobs
from hposweep.sweep_folder.trial_files import TrialFiles
from hposweep.trial import Segment, SegmentResult, Trial
from hposweep.workers.local.pool import WorkerPool
from hposweep.workers.local.process_state import ASPECTS
from support.bad_objectives import BAD, objective

pytestmark = pytest.mark.process

SEED = 7


class OneWorker:
    """A pool of one worker, and the folder of its jobs."""

    def __init__(self, sweep_dir: Path) -> None:
        self.sweep_dir, self._n_jobs = sweep_dir, 0
        self.pool = WorkerPool(FunctionJobs(objective, sweep_dir, "value", None), 1, [], {}, math.inf)

    def run(self, kind: str) -> tuple[SegmentResult, TrialFiles]:
        folder = f"trials/{self._n_jobs}"
        self._n_jobs += 1
        trial = Trial(self._n_jobs, {"kind": kind}, SEED)
        answer = self.pool.submit((Segment(self._n_jobs, 0, None), trial, folder)).result(timeout=120)
        return answer.result, TrialFiles(self.sweep_dir, folder)

    def what_a_healthy_one_finds(self) -> tuple[dict[str, Any], str]:
        result, files = self.run("healthy")
        assert (result.failure, result.value) == ("", 1.0)
        return json.loads((files.checkpoint_dir / "found.json").read_text()), files.output.read_text()


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OneWorker]:
    one = OneWorker(tmp_path_factory.mktemp("sweep"))
    yield one
    one.pool.stop()


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str]:
    """What a healthy objective finds in a new process."""
    one = OneWorker(tmp_path_factory.mktemp("fresh"))
    try:
        return one.what_a_healthy_one_finds()
    finally:
        one.pool.stop()


@pytest.mark.parametrize("kind", BAD)
def test_after_a_bad_objective_a_healthy_one_finds_a_process_like_a_new_one(
    worker: OneWorker, fresh: tuple[dict[str, Any], str], kind: str
) -> None:
    worker.run(kind)
    found, printed = worker.what_a_healthy_one_finds()
    assert {key: (now, fresh[0][key]) for key, now in found.items() if now != fresh[0][key]} == {}
    assert printed == fresh[1] == "healthy\nand well\nto the end\n"


class Finder:
    """Of a module that has brought it along."""

    def find_spec(self, *_: object) -> None:
        """It finds nothing."""


def test_importers_come_back_and_one_finder_of_each_kind_that_modules_bring_along_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    finders, brought = list(sys.meta_path), Finder()
    monkeypatch.setattr(sys, "meta_path", [Finder(), *finders[1:], brought])
    ASPECTS["importers"].put_right((finders, list(sys.path_hooks)))
    assert sys.meta_path == [*finders, brought]


def test_no_process_of_a_job_is_left() -> None:
    left = [each for each in psutil.process_iter(["cmdline"]) if each.info["cmdline"] == ["sleep", "1000"]]
    assert not [each for each in left if psutil.Process(os.getpid()) in each.parents()]
