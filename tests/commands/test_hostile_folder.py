"""A folder of a sweep that somebody else has made: what reads it runs nothing of it, and shows it as text."""

import json
import os
import pickle
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import hposweep as hposweep_package
from hposweep.errors import ConfigError
from hposweep.history import Ending, Event, SegmentEnded, SegmentStarted, SweepEnded, SweepStarted, TrialProposed
from hposweep.sweep_folder.journal import Journal
from hposweep.trial import Direction, Expected, TrialState
from support.processes import Run
from support.report_pages import all_texts

MARKUP = "</script><script>document.title='owned'</script><img src=x onerror=alert(1)>"
CONTROL = "\x1b]0;owned\x07\x1b[2J\r\x9b31m\u202eleft\u2028\x00"
TEXT = f"{MARKUP}{CONTROL}"
FORMULA = '=HYPERLINK("http://x","y")'
# What each reading command is called with; their sweep comes first.
READING = [
    ("ls",),
    ("show",),
    ("report",),
    ("best",),
    ("compare", "other"),
    *(("export", "--to", tool) for tool in ("optuna", "tensorboard")),
]


class Payload:
    """Makes a file where it is unpickled."""

    def __reduce__(self) -> Any:
        return os.system, ("touch owned",)


def events(key: str, value: object, folder: str) -> list[Event]:
    configuration = {key: value, "x": 0.5, f"{TEXT}x": 10**400}
    return [
        SweepStarted(2, 0, f"error{TEXT}", Direction.minimize, controller=TEXT),
        *(
            TrialProposed(number, {**configuration, "x": number / 3}, 7 + number, expected=Expected(0.1, -1e308, 1e308))
            for number in range(3)
        ),
        *(SegmentStarted(number, 0, 3, 1) for number in range(3)),
        SegmentEnded(0, TrialState.COMPLETE, 3, {f"error{TEXT}": 0.5}, 1.0, folder=folder),
        SegmentEnded(1, TrialState.COMPLETE, 3, {f"error{TEXT}": 1e308}, 1.0, folder=folder),
        SegmentEnded(2, TrialState.FAILED, 0, {}, 1.0, f"Traceback\n{TEXT}\nValueError: {TEXT}", folder, f"A: {TEXT}"),
        SweepEnded(Ending.FAILURE_RATE, TEXT),
    ]


def record(**changes: Any) -> str:
    """A hostile sweep.yaml."""
    targets = {"_target_": "os.system", "command": "touch owned", "_args_": ["touch owned"]}
    interpolations = ["${oc.env:HOME}", "${oc.decode:'${oc.env:HOME}'}", "${now:%Y}", "${hydra:runtime.cwd}", "${a.b"]
    sweeper = {"_target_": "os.system", "metric": TEXT, "seed_key": TEXT, "budget_key": "${oc.env:HOME}"}
    hydra = {"sweeper": {**sweeper, "scheduler": targets, "searcher": targets}, "launcher": targets}
    fields = {
        "command": "python -c 'import os; os.system(\"touch owned\")'",
        "cwd": f"/nosuch/{TEXT}",
        "overrides": {"task": ["+objective._target_=os.system", f'text="{MARKUP}"'], "hydra": ["hydra.job.chdir=true"]},
        "seed": 0,
        "n_trials": 2,
        "search_space": {"x": "uniform(0, 1)", f"{TEXT}x": TEXT, "y": "__import__('os').system('touch owned')"},
        "versions": {TEXT: TEXT},
        "commit": TEXT,
        "platform": {TEXT: TEXT},
        "config": {"a": targets, "b": interpolations, TEXT: TEXT, "hydra": {**hydra, "runtime": {"choices": TEXT}}},
        **changes,
    }
    return yaml.safe_dump(json.loads(json.dumps(fields)))  # without aliases


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """The folder of a sweep whose every text, file and link is somebody else's."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "hposweep").mkdir()
    (tmp_path / "outside" / "hposweep" / "data.json").write_text('{"baseline_error": 0.123456789}')
    sweep = tmp_path / "hostile"
    make(sweep, "0")
    (sweep / "0" / "hposweep").mkdir(parents=True)
    files = sweep / "0" / "hposweep"
    for name in ("checkpoint.npz", "model.npz"):
        np.savez(files / name, allow_pickle=True, a=np.array([Payload()], dtype=object))
    (files / "checkpoint").mkdir()
    (files / "checkpoint" / "a.pkl").write_bytes(pickle.dumps(Payload()))
    (files / "learning_curve.csv").write_text(f"epoch,error{MARKUP},seconds\n1,0.5,1e308\n2,nan,1\n")
    (files / "failure.txt").write_text(TEXT)
    (files / "data.json").symlink_to(tmp_path / "outside" / "hposweep" / "data.json")
    (sweep / ".hydra").mkdir()
    for path in (sweep / "multirun.yaml", sweep / ".hydra" / "config.yaml", sweep / "optimization_results.yaml"):
        path.write_text("a: !!python/object/apply:os.system ['touch owned']\n")
    (sweep / "trials.csv").write_text(f"trial,x\n0,{FORMULA}\n")
    (sweep / "report.html").symlink_to(tmp_path / "outside" / "report.html")
    shutil.copytree(sweep, tmp_path / "other", symlinks=True)
    return sweep


def make(sweep: Path, job_folder: str, **changes: Any) -> None:
    sweep.mkdir()
    journal = Journal.open(sweep)
    journal.append(*events(f"key{TEXT}", TEXT, job_folder))
    journal.close()
    (sweep / "sweep.yaml").write_text(record(**changes))


def check_output(text: str) -> None:
    assert all(line.isprintable() for line in text.split("\n")), repr(text)


def test_reading_runs_nothing_and_shows_everything_as_text(hposweep_here: Run, hostile: Path, tmp_path: Path) -> None:
    for command, *words in READING:
        target = [f"{command}-{words[-1]}.db"] if command == "export" else []
        done = hposweep_here(command, "hostile", *words, *target)
        assert done.exit_code == 0, (command, done.err)
        check_output(done.out + done.err)
    page = (hostile / "report.html").read_text()
    assert not (hostile / "report.html").is_symlink() and not (tmp_path / "outside" / "report.html").exists()
    assert "<script>document" not in page and "<img" not in page
    assert "0.123456789" not in all_texts(page)
    sweep = hposweep_package.load(hostile)
    assert len(sweep.trials) == 3 and len(sweep.curves) == 4
    assert "<script>document" not in sweep._repr_html_()
    check_output(repr(sweep))
    assert list(tmp_path.rglob("owned")) == []


@pytest.mark.parametrize("job_folder", ["/outside", "../outside", "0/../../outside", "link", ".", f"0/{CONTROL}"])
def test_a_folder_that_a_journal_names_is_read_in_the_sweep_alone(
    hposweep_here: Run, hostile: Path, tmp_path: Path, job_folder: str
) -> None:
    named = f"{tmp_path}/outside" if job_folder == "/outside" else job_folder
    make(tmp_path / "leading", named)
    (tmp_path / "leading" / "link").symlink_to(tmp_path / "outside")
    done = hposweep_here("report", "leading")
    assert done.exit_code == 0, done.err
    assert "0.1235" not in all_texts((tmp_path / "leading" / "report.html").read_text())


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


BOMB = "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n"
SPOILT_RECORDS: dict[str, str | Callable[[], str]] = {
    "a tag of Python": "command: !!python/object/apply:os.system ['touch owned']\n",
    "a new object": "command: !!python/object/new:os.system [touch owned]\n",
    "a name of Python": "command: !!python/name:os.system\n",
    "aliases": BOMB,
    "nested deeply": f"a: {nested(5000)}",
    "a huge number": f"seed: {'9' * 5000}",
    "no date": "a: 2020-99-99",
    "a date": "a: 2020-01-01",
    "bytes": "a: !!binary aGVsbG8=",
    "a set": "a: !!set {a}",
    "not UTF-8": "a: \udcff",
    "empty": "",
    "a number": "1",
    "a list": "[1]",
    "open quotes": record(command="python 'main.py"),
    "no command": record(command=""),
    "a list as command": record(command=["python"]),
    "numbers as overrides": record(overrides={"task": [1], "hydra": []}),
    "a text as overrides": record(overrides="a=1"),
    "a text as seed": record(seed="0"),
    "numbers as priors": record(search_space={"x": 1}),
    "a list as config": record(config=[]),
    "a list as versions": record(versions=[]),
}


@pytest.mark.parametrize("text", SPOILT_RECORDS.values(), ids=SPOILT_RECORDS)
def test_a_record_that_no_sweep_has_written_is_refused_in_one_line(
    hposweep_here: Run, tmp_path: Path, text: str
) -> None:
    make(tmp_path / "spoilt", "0")
    (tmp_path / "spoilt" / "sweep.yaml").write_text(text, errors="surrogateescape")
    done = hposweep_here("best", "spoilt")
    assert done.error_lines == ["best: spoilt/sweep.yaml: damaged; it must hold what the sweep was started with"]
    assert list(tmp_path.rglob("owned")) == []


@pytest.mark.parametrize("override", ["a=[", nested(3000), "=", "", "~", "a=${", "++", "a={b:", TEXT])
def test_an_override_that_hydra_can_not_read_is_refused_in_one_line(
    hposweep_here: Run, tmp_path: Path, override: str
) -> None:
    make(tmp_path / "spoilt", "0", overrides={"task": [override], "hydra": []})
    for command in ("best", "report"):
        done = hposweep_here(command, "spoilt")
        assert (done.exit_code, len(done.error_lines)) in ((1, 1), (0, 0)), done.err
        check_output(done.err)


SPOILT_LINES: dict[str, dict[str, Any]] = {
    "a trial that is none": {"event": "trial_proposed", "trial": "0", "configuration": {}, "seed": 0},
    "a negative trial": {"event": "trial_proposed", "trial": -1, "configuration": {}, "seed": 0},
    "a huge trial": {"event": "trial_proposed", "trial": 10**30, "configuration": {}, "seed": 0},
    **{
        f"{expected} as expected": {"event": "trial_proposed", "trial": 9, "configuration": {}, "seed": 0}
        | {"expected": expected}
        for expected in (
            "0.1",
            [0.1, 0.0, 0.2],
            {"median": 0.1, "low": 0.0},
            {"median": 0.1, "low": "0.0", "high": 0.2, "epoch": None},
            {"median": 0.1, "low": 0.0, "high": 0.2, "epoch": -1},
            {"median": 0.1, "low": 0.0, "high": 0.2, "epoch": None, "eval": 1},
            {"median": 0.1, "low": 0.2, "high": 0.0, "epoch": None},
            {"median": 0.1, "low": 0.0, "high": 10**400, "epoch": None},
            {"median": float("nan"), "low": 0.0, "high": float("inf"), "epoch": None},
        )
    },
    "a list as configuration": {"event": "trial_proposed", "trial": 9, "configuration": [1], "seed": 0},
    "a trial that nobody proposed": {"event": "segment_started", "trial": 9, "start_epoch": 0, "target_epoch": 1}
    | {"attempt": 1},
    "a death of nobody": {"event": "segment_died", "trial": 9, "duration_s": 1.0, "failure": ""},
    "a number as folder": {"event": "segment_ended", "trial": 0, "state": "COMPLETE", "epoch": 1, "values": {}}
    | {"duration_s": 1.0, "folder": 5},
    "a text as time": {"event": "segment_ended", "trial": 0, "state": "COMPLETE", "epoch": 1, "values": {}}
    | {"duration_s": "long"},
    "a list as metric": {"event": "sweep_started", "n_trials": 1, "seed": 0, "metric": [], "direction": "minimize"},
    "unknown": {"event": "eval", "text": "1"},
    "nested deeply": {"event": "sweep_ended", "ending": json.loads(nested(500))},
}


@pytest.mark.parametrize("fields", SPOILT_LINES.values(), ids=SPOILT_LINES)
def test_a_line_that_no_sweep_has_written_is_refused_with_its_number(
    hposweep_here: Run, tmp_path: Path, fields: dict[str, Any]
) -> None:
    make(tmp_path / "spoilt", "0")
    path = tmp_path / "spoilt" / "journal.jsonl"
    number = path.read_bytes().count(b"\n") + 1
    text = json.dumps({"line": number, **fields})
    with open(path, "a") as file:
        file.write(f'{text[:-1]}, "check": "{zlib.crc32(text.encode()):08x}"}}\n')
    (line,) = hposweep_here("best", "spoilt").error_lines
    assert line.startswith(f"best: spoilt/journal.jsonl: line {number} is damaged or of a later version")
    with pytest.raises(ConfigError, match=f"line {number} is damaged"):
        hposweep_package.load(tmp_path / "spoilt")


SPOILT_CURVES = [
    f"epoch,error,seconds\n1,0.5,1\n{10**30},0.25,1\n",
    f"epoch,error,seconds\n1,0.5,1\n{'9' * 5000},0.25,1\n",
    "epoch,error,seconds\n-5,0.5,1\n1,0.5,-1e308\n",
    "error,seconds\n0.5,1\n",
    "epoch,error,seconds\n1,inf,nan\n2,-inf,inf\n3,1e308,1e308\n4,1e308,1e308\n",
    f"epoch,error,{FORMULA},{TEXT.splitlines()[0]}\n1,0.5,1,1\n",
    "epoch,epoch,error\n1,2,0.5\n",
    "\x00\x00\x00\n",
    "epoch," + ",".join(f"c{i}" for i in range(2000)) + "\n1," + ",".join("1" * 2000) + "\n",
    "",
]
SPOILT_SIZES = ["[" * 5000, "1", "[]", '{"n_test": "a"}', f'{{"n_test": {"9" * 400}}}', '{"n_validation": -5}', "{"]
SPOILT_SIZES += ['{"n_validation": NaN}', '{"n_validation": Infinity, "baseline_error": -1e400}', '{"n_test": null}']


def test_files_of_trials_that_no_job_has_written_are_shown_or_left_out(hposweep_here: Run, tmp_path: Path) -> None:
    n_trials = len(SPOILT_CURVES) + 2
    sweep = tmp_path / "spoilt"
    sweep.mkdir()
    (sweep / "sweep.yaml").write_text(record())
    journal = Journal.open(sweep)
    journal.append(SweepStarted(n_trials, 0, "error", Direction.minimize))
    for number in range(n_trials):
        journal.append(TrialProposed(number, {"x": number / 7}, 7), SegmentStarted(number, 0, 3, 1))
        files = sweep / str(number) / "hposweep"
        files.mkdir(parents=True)
        if number < len(SPOILT_CURVES):
            (files / "learning_curve.csv").write_text(SPOILT_CURVES[number])
        elif number == len(SPOILT_CURVES):
            os.mkfifo(files / "learning_curve.csv")  # reading it would never end
        else:
            (files / "learning_curve.csv").mkdir()
        journal.append(SegmentEnded(number, TrialState.COMPLETE, 3, {"error": 0.5}, 1.0, folder=str(number)))
    journal.close()
    for command, *words in (("report",), ("best",), ("export", "--to", "tensorboard", "runs")):
        done = hposweep_here(command, "spoilt", *words)
        assert done.exit_code == 0, (command, done.err)
    assert len(hposweep_package.load(sweep).curves) > 0
    for sizes in SPOILT_SIZES:
        (sweep / "0" / "hposweep" / "data.json").write_text(sizes)
        assert hposweep_package.load(sweep).data.n_validation is None
    (sweep / "0" / "hposweep" / "data.json").write_text('{"n_validation": 0, "n_test": 0, "baseline_error": 0}')
    done = hposweep_here("report", "spoilt")
    assert done.exit_code == 0, done.err


@pytest.mark.parametrize("name", ["sweep.yaml", "journal.jsonl", "multirun.yaml"])
def test_a_pipe_in_place_of_a_file_is_no_file(hposweep_here: Run, tmp_path: Path, name: str) -> None:
    make(tmp_path / "spoilt", "0")
    (tmp_path / "spoilt" / name).unlink(missing_ok=True)
    os.mkfifo(tmp_path / "spoilt" / name)
    done = hposweep_here("best", "spoilt")
    assert (done.exit_code, len(done.error_lines)) == ((0, 0) if name == "multirun.yaml" else (1, 1)), done.err
