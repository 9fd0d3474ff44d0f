"""A run of a sweep in its folder: what it finds there, what it leaves, and what it does on a disk that is full."""

import contextlib
import dataclasses
import errno
import functools
import io
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rich.console import Console

from hposweep.errors import ConfigError, WriteError
from hposweep.history import Ending, SegmentStarted
from hposweep.job.running import RunningJob
from hposweep.results.terminal import progress
from hposweep.schedulers.asha import AshaScheduler
from hposweep.search_space import SearchSpace, parse_hyperparameter, trial_seed
from hposweep.searchers.random import RandomSearcher
from hposweep.sweep_folder import tables
from hposweep.sweep_folder.journal import read_events
from hposweep.sweep_folder.sweep_yaml import FunctionRecord, read_record
from hposweep.sweep_folder.trial_files import TrialFiles
from hposweep.sweep_run import LastJob, Outcome, SweepRun
from hposweep.trial import Segment, SegmentEnd, SegmentResult, Trial
from hposweep.tuner import EventLog, Tuner
from hposweep.workers.stop_signals import StopSignals
from hposweep.workers.virtual import VirtualWorkers
from support.sweeps import rows

SPACE = SearchSpace({"x": parse_hyperparameter("uniform(0, 1)")})
HALF = SearchSpace({"x": parse_hyperparameter("uniform(0, 0.5)")})
RECORD = FunctionRecord(seed=0, n_trials=6, search_space=SPACE.records(), metric="error", direction="minimize")
Job = Callable[[Segment, Trial], SegmentResult]

pytestmark = pytest.mark.usefixtures("reports")


def test_a_last_job_that_is_lost_with_its_machine_is_started_again(tmp_path: Path) -> None:
    ids: list[str] = []

    def final(segment: Segment, trial: Trial) -> SegmentResult:
        ids.append(trial.job_id)
        return SegmentResult(1.0, 0.125) if len(ids) == 3 else SegmentResult(1.0, failure="gone", end=SegmentEnd.LOST)

    history = run(tmp_path / "sweep", final=final).history
    assert history.final is not None
    assert history.final.value == 0.125
    assert len(set(ids)) == 3


def train(sweep_dir: Path, segment: Segment, trial: Trial) -> SegmentResult:
    """A job that goes on from its checkpoint, an epoch number, and from there on reports its value."""
    folder = f"trials/{trial.number}"
    job = RunningJob(TrialFiles(sweep_dir, folder), "error", knows_target=True)
    state = job.checkpoint_dir() / "epoch"
    start = int(state.read_text()) if state.exists() else 0
    value = trial.configuration["x"]
    for epoch in range(start + 1, (segment.target_epoch or 0) + 1):
        job.report(epoch, value / epoch)
    state.write_text(f"{segment.target_epoch}")
    return SegmentResult(1.0, value / (segment.target_epoch or 1), folder=folder)


def run(
    sweep_dir: Path, job: Job | None = None, n_trials: int = 6, final: Job | None = None, record=RECORD, **options
) -> Outcome:
    """One run of a sweep of ASHA."""
    job = job or functools.partial(train, sweep_dir)
    sweep_dir.mkdir(exist_ok=True)

    def tuner_on(journal: EventLog) -> Tuner:
        return Tuner(
            RandomSearcher(SPACE, 0),
            AshaScheduler(r_min=1, r_max=4, eta=2),
            journal,
            VirtualWorkers(job),
            n_trials=n_trials,
            seed=0,
            trial_seed=lambda number, configuration: trial_seed(0, number),
            metric="error",
        )

    return SweepRun(
        sweep_dir,
        tuner_on,
        record,
        check_same=lambda recorded: None,
        key=str,
        n_trials=n_trials,
        stop_signals=StopSignals(),
        progress="none",
        final=None if final is None else LastJob("test_error", VirtualWorkers(final)),
        **{"folder_of": lambda trial: f"trials/{trial.number}", **options},
    ).run()


def what_counts(sweep_dir: Path) -> tuple[list[dict[str, str]], dict[str, list[tuple[float, float]]]]:
    """The table but for what differs from run to run, and the curves but for their seconds."""
    of_a_run = ("attempts", "started_at", "duration_s")
    table = [{name: cell for name, cell in row.items() if name not in of_a_run} for row in rows(sweep_dir)]
    curves = {
        path.name: [(row["epoch"], row["error"]) for row in TrialFiles(sweep_dir, f"trials/{path.name}").read_curve()]
        for path in (sweep_dir / "trials").iterdir()
    }
    return table, curves


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    """A sweep that nothing has disturbed."""
    run(tmp_path / "whole")
    return tmp_path / "whole"


def test_no_trial_takes_what_another_sweep_has_left_in_its_place(tmp_path: Path, whole: Path) -> None:
    sweep = tmp_path / "sweep"
    run(sweep, n_trials=8)
    for path in sorted(sweep.glob("*.*")):  # all but the trials is deleted, and the others' epochs are changed
        path.unlink()
    for number in range(6):
        files = TrialFiles(sweep, f"trials/{number}")
        files.checkpoint_dir.mkdir(exist_ok=True)
        (files.checkpoint_dir / "epoch").write_text("3")
        files.learning_curve.write_text("epoch,error\n1,0.0\n2,0.0\n3,0.0\n")
        (files.job_dir / "theirs").touch()
    run(sweep)
    found, expected = what_counts(sweep), what_counts(whole)
    assert found[0] == expected[0]
    assert {name: found[1][name] for name in expected[1]} == expected[1]
    assert all((sweep / "trials" / f"{number}" / "theirs").exists() for number in range(6))


def test_a_trial_that_was_cut_off_goes_on_from_its_own_checkpoint(tmp_path: Path, whole: Path) -> None:
    sweep = tmp_path / "sweep"

    def dies(segment: Segment, trial: Trial) -> SegmentResult:
        train(sweep, segment, trial)
        raise SystemExit  # the controller is killed when the third job is done, and before that is on record

    jobs = iter([train, train])
    with pytest.raises(SystemExit):
        run(sweep, lambda segment, trial: next(jobs, lambda _, *rest: dies(*rest))(sweep, segment, trial))
    reported: list[int] = []

    def goes_on(segment: Segment, trial: Trial) -> SegmentResult:
        before = len(TrialFiles(sweep, f"trials/{trial.number}").read_curve())
        reported.append(before)
        return train(sweep, segment, trial)

    run(sweep, goes_on)
    assert reported[0] > 0  # its rows were there when its second job began
    assert what_counts(sweep)[1] == what_counts(whole)[1]


def test_a_folder_that_is_another_trials_is_not_cleared(tmp_path: Path) -> None:
    sweep = tmp_path / "sweep"
    run(sweep, n_trials=1)
    before = TrialFiles(sweep, "trials/0").learning_curve.read_bytes()

    def refused(segment: Segment, trial: Trial) -> SegmentResult:
        return SegmentResult(0.0, failure="the folder is trial 0's")

    run(sweep, refused, n_trials=2, folder_of=lambda trial: "trials/0")
    assert TrialFiles(sweep, "trials/0").learning_curve.read_bytes() == before


ENDS = ["trials.csv", "optimization_results.yaml", "report.html"]


@pytest.mark.parametrize("lost", [[ENDS[0]], [ENDS[1]], [ENDS[2]], ENDS])
def test_naming_a_finished_sweep_writes_what_a_kill_left_unwritten(
    tmp_path: Path, reports: list[Path], lost: list[str]
) -> None:
    sweep = tmp_path / "sweep"
    run(sweep)
    before = {name: (sweep / name).read_text() for name in ENDS}
    for name in lost:
        (sweep / name).unlink()
    journal = (sweep / "journal.jsonl").read_bytes()
    reports.clear()
    outcome = run(sweep)
    assert {name: (sweep / name).read_text() for name in ENDS} == before
    assert (sweep / "journal.jsonl").read_bytes() == journal
    # A front shows the results where they were not all there.
    assert (outcome.ended is not None, bool(reports)) == (ENDS[2] in lost, ENDS[2] in lost)


def test_results_that_are_older_than_the_last_event_are_written_anew(tmp_path: Path, reports: list[Path]) -> None:
    """As the sweep leaves them every few seconds while it runs."""
    sweep = tmp_path / "sweep"
    run(sweep)
    right = (sweep / "trials.csv").read_text()
    (sweep / "trials.csv").write_text("trial,state\n0,RUNNING\n")
    for name in ENDS:
        os.utime(sweep / name, (1, 1))
    run(sweep)
    assert (sweep / "trials.csv").read_text() == right
    assert len(reports) == 2


def fill(monkeypatch: pytest.MonkeyPatch, name: str, number: int) -> None:
    """Lets no file of this name be written."""
    write = os.write

    def full(descriptor: int, content: bytes) -> int:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if path.name == name or path.name.startswith(f".{name}."):
            raise OSError(number, os.strerror(number))
        return write(descriptor, content)

    monkeypatch.setattr(os, "write", full)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
@pytest.mark.parametrize("name", ["sweep.yaml", "journal.jsonl", "trials.csv", "optimization_results.yaml"])
def test_a_file_of_the_sweep_that_can_not_be_written_is_one_line_and_the_sweep_is_resumed_to_the_same_end(
    tmp_path: Path, whole: Path, name: str, number: int
) -> None:
    sweep = tmp_path / "sweep"
    message = f"{sweep / name}: can't be written ({os.strerror(number)}); mend that, then resume the sweep"
    with pytest.MonkeyPatch.context() as patch, pytest.raises(WriteError, match=f"^{re.escape(message)}$"):
        fill(patch, name, number)
        run(sweep)
    list(read_events(sweep))
    run(sweep)
    assert what_counts(sweep) == what_counts(whole)


def test_tables_that_can_not_be_written_while_the_sweep_runs_stop_it(tmp_path: Path, whole: Path, monkeypatch) -> None:
    sweep = tmp_path / "sweep"
    monkeypatch.setattr("hposweep.sweep_folder.keeper.SECONDS_BETWEEN_TABLES", 0.0)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(WriteError, match=r"trials\.csv: can't be written"):
        fill(patch, "trials.csv", errno.ENOSPC)
        run(sweep)
    events = list(read_events(sweep))
    assert events[-1].ending is Ending.UNWRITABLE  # type: ignore[attr-defined]
    assert sum(isinstance(event, SegmentStarted) for event in events) <= 2
    run(sweep)
    assert what_counts(sweep) == what_counts(whole)


def test_a_last_job_that_could_not_write_is_run_again(tmp_path: Path) -> None:
    sweep = tmp_path / "sweep"
    unwritable = SegmentResult(1.0, failure="output.txt: can't be written (full)", end=SegmentEnd.UNWRITABLE)
    with pytest.raises(WriteError, match=r"output\.txt: can't be written"):
        run(sweep, final=lambda segment, trial: unwritable)
    run(sweep, final=lambda segment, trial: SegmentResult(1.0, 0.125))
    assert "test_error: 0.125" in (sweep / tables.RESULTS_FILE).read_text()


def test_its_progress_tells_of_trials_rungs_and_the_searcher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    @contextlib.contextmanager
    def shown(mode: str, view: progress.LiveView) -> Iterator[None]:
        yield
        console = Console(file=io.StringIO(), width=100)
        console.print(view)
        seen.append(console.file.getvalue())  # type: ignore[attr-defined]

    class Staged(RandomSearcher):
        def stage(self) -> str:
            return "staged: all told"

    monkeypatch.setattr(progress, "shown", shown)
    monkeypatch.setitem(globals(), "RandomSearcher", Staged)
    run(tmp_path / "swept")
    (text,) = seen
    assert text.startswith("6 of 6 trials")
    assert "rungs 1: 6  2: 4  4: 2   staged: all told" in text


def test_a_folder_in_the_place_of_a_table_is_done_without(tmp_path: Path, caplog) -> None:
    sweep = tmp_path / "sweep"
    (sweep / "trials.csv").mkdir(parents=True)
    assert not run(sweep).why_failed
    assert (sweep / "optimization_results.yaml").is_file()
    assert [record.message for record in caplog.records if "does without it" in record.message] == [
        f"{sweep}/trials.csv: can't be written (Is a directory); hposweep does without it"
    ]


DAMAGED = {
    "lost": None,
    "empty": b"",
    "zeros after a power cut": bytes(4096),
    "garbage": bytes(range(256)),
    "cut off": b"---\nseed: 0\nn_trials: 6\nsearch_space:\n  x: uniform(0, 1)\n",
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_lost_record_is_replaced_by_what_stands_in_for_it(tmp_path: Path, whole: Path, caplog, content) -> None:
    sweep = tmp_path / "sweep"
    run(sweep, n_trials=3)
    path = sweep / "sweep.yaml"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(
        ConfigError, match=rf"^{path}: (not found|damaged); .*; it tells which sweep|^{path}: not found"
    ):
        run(sweep)

    def nothing() -> FunctionRecord:
        raise ConfigError("multirun.yaml: not found")

    with pytest.raises(ConfigError, match=rf"^{path}: .*nothing else tells .*: multirun\.yaml: not found$"):
        run(sweep, recovered=nothing)
    run(sweep, recovered=lambda: RECORD)
    assert read_record(sweep) == RECORD
    assert what_counts(sweep) == what_counts(whole)
    assert "it is written anew" in caplog.text


@pytest.mark.parametrize(
    ("record", "why"),
    [
        (dataclasses.replace(RECORD, seed=1), "whose seed is 0"),
        (dataclasses.replace(RECORD, search_space=HALF.records()), "of which trial 0 is none here"),
    ],
)
def test_a_journal_of_another_sweep_is_not_taken_for_that_of_what_stands_in(
    tmp_path: Path, record: FunctionRecord, why: str
) -> None:
    sweep = tmp_path / "sweep"
    run(sweep, n_trials=3)
    (sweep / "sweep.yaml").unlink()
    before = (sweep / "journal.jsonl").read_bytes()
    with pytest.raises(ConfigError, match=rf"sweep\.yaml: not found; the journal is of another sweep, {why}$"):
        run(sweep, record=record, recovered=lambda: record)
    assert (sweep / "journal.jsonl").read_bytes() == before


def test_what_killed_writers_left_is_removed(tmp_path: Path) -> None:
    sweep = tmp_path / "sweep"
    sweep.mkdir()
    for name in ("sweep.yaml", "trials.csv", "optimization_results.yaml", "report.html"):
        (sweep / f".{name}.0a1b2c3d.tmp").touch()
    run(sweep)
    assert not list(sweep.glob(".*"))
