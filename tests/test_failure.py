"""What a failure is called, whatever exception it was, from the exception and from the traceback of an old journal."""

import traceback
from collections.abc import Callable
from pathlib import Path

import hydra
import pytest
from omegaconf import OmegaConf

from hposweep.failure import as_recorded, line_of_exception, line_of_text
from hposweep.job.run import JobExitError, failed, run
from hposweep.job.running import RunningJob
from hposweep.sweep_folder.trial_files import TrialFiles
from hposweep.trial import SegmentResult, Trial


def raise_noted() -> None:
    error = ValueError("the data file is empty")
    error.add_note("see the manual, page 3")
    raise error


def raise_chained() -> None:
    try:
        raise OSError("no such file\nin sight")
    except OSError as error:
        raise RuntimeError("training failed\nfor good") from error


def raise_in_handler() -> None:
    try:
        raise OSError("no such file")
    except OSError:
        raise RuntimeError("training failed") from None


def raise_while_handling() -> None:
    try:
        raise ExceptionGroup("inner", [ValueError("a")])
    except ExceptionGroup:
        raise KeyError("x")  # noqa: B904


def raises(error: BaseException) -> Callable[[], None]:
    def objective() -> None:
        raise error

    return objective


class NoTextError(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")


STRUCT = OmegaConf.create({"model": {"a": 1}})
OmegaConf.set_struct(STRUCT, True)
LOST = "RuntimeError: a worker of mine died:"
TELLS_ANOTHER = f"a worker of mine died:\n{''.join(traceback.format_exception(ValueError('inside')))}\n"
TELLS_ANOTHER += 'Traceback (most recent call last):\n  File "x.py", line 1, in f\nTypeError: not mine'

CASES = [
    pytest.param(
        lambda: STRUCT.model.nope,
        "omegaconf.errors.ConfigAttributeError: Key 'nope' is not in struct",
        id="a key of OmegaConf",
    ),
    pytest.param(
        lambda: hydra.utils.instantiate({"_target_": "math.pow", "y": 2}),
        "hydra.errors.InstantiationException: Error in call to target 'math.pow':",
        id="instantiate",
    ),
    pytest.param(raise_noted, "ValueError: the data file is empty", id="notes"),
    pytest.param(raise_chained, "RuntimeError: training failed", id="raise from"),
    pytest.param(raise_in_handler, "RuntimeError: training failed", id="raise from None"),
    pytest.param(raise_while_handling, "KeyError: 'x'", id="another exception occurred"),
    pytest.param(raises(RuntimeError("same device\n  (when checking)\n\n")), "RuntimeError: same device", id="lines"),
    pytest.param(
        raises(ExceptionGroup("two things", [ValueError("a"), TypeError("b")])),
        "ExceptionGroup: two things (2 sub-exceptions)",
        id="a group",
    ),
    pytest.param(raises(ValueError()), "ValueError", id="no message"),
    pytest.param(raises(RuntimeError(TELLS_ANOTHER)), LOST, id="a message that holds a traceback"),
    pytest.param(raises(ValueError("a\x1b[2Jb\u202ec")), r"ValueError: a\x1b[2Jb\u202ec", id="control characters"),
]


def traceback_of(objective: Callable[[], object]) -> tuple[BaseException, str]:
    try:
        objective()
    except Exception as error:
        return error, traceback.format_exc()
    raise AssertionError("it was to raise")


@pytest.mark.parametrize(("objective", "line"), CASES)
def test_a_failure_is_called_by_the_type_and_the_first_line_of_its_message(
    objective: Callable[[], object], line: str
) -> None:
    error, text = traceback_of(objective)
    assert [line_of_exception(error), line_of_text(text)] == [line, line]


def test_a_message_that_begins_with_empty_lines_has_another_first_one() -> None:
    error, text = traceback_of(raises(RuntimeError("\n\n  late\nmore")))
    assert [line_of_exception(error), line_of_text(text)] == ["RuntimeError: late", "RuntimeError:"]


def test_a_syntax_error_says_where_it_is() -> None:
    error, text = traceback_of(lambda: compile("x = = 1", "model.py", "exec"))
    assert line_of_exception(error) == "SyntaxError: invalid syntax (model.py, line 1)"
    assert line_of_text(text) == "SyntaxError: invalid syntax"


def test_an_exception_that_can_not_be_shown_has_its_type() -> None:
    assert line_of_exception(NoTextError()).endswith("NoTextError: <its message can't be shown>")


@pytest.mark.parametrize(
    ("reason", "line"),
    [
        ("killed by SIGKILL", "killed by SIGKILL"),
        ("PicklingError: no\nTraceback (most recent call last):\n  x", "PicklingError: no"),
        ("", ""),
        ("Traceback (most recent call last):\n  cut off", "Traceback (most recent call last):"),
    ],
)
def test_a_reason_is_called_by_its_first_line(reason: str, line: str) -> None:
    assert Trial(0, {}, 7, failure=reason).failure_line == line


def test_a_failure_is_one_short_line_without_control_characters() -> None:
    assert Trial(0, {}, 7, failure="a\x1b[2Jb\tc\u202ed\ud800").failure_line == r"a\x1b[2Jb\tc\u202ed\ud800"
    assert Trial(0, {}, 7, exception="a\x9bb").failure_line == r"a\x9bb"
    long = line_of_exception(ValueError("x" * 5_000_000))
    assert long == "ValueError: " + "x" * 288 + "… (5,000,012 characters)"
    assert Trial(0, {}, 7, exception=long).failure_line == long


def result_of(folder: Path, objective: Callable[[], object]) -> SegmentResult:
    """What is recorded of a job that raises."""
    files = TrialFiles(folder, ".")
    try:
        run(RunningJob(files, metric="error"), objective, seed=0)
    except Exception as error:
        return failed(files, error, 1.0, "0")
    raise AssertionError("it was to raise")


@pytest.mark.parametrize("message", ["y" * 5_000_000, "line\n" * 1_000_000], ids=["one line", "many lines"])
def test_of_a_huge_failure_the_whole_text_is_in_its_file_alone(tmp_path: Path, message: str) -> None:
    result = result_of(tmp_path, raises(ValueError(message)))
    assert TrialFiles(tmp_path, ".").failure.read_text().rstrip().endswith(f"ValueError: {message}".rstrip())
    assert len(result.exception) < 400 and result.exception.startswith("ValueError: ")
    recorded = as_recorded(result.failure)
    assert len(recorded) < 21_000 and recorded.startswith("Traceback") and recorded == as_recorded(recorded)


def test_a_text_that_can_not_be_encoded_is_no_other_failure(tmp_path: Path) -> None:
    result = result_of(tmp_path, raises(ValueError("half \ud800")))
    assert result.exception == r"ValueError: half \ud800"
    assert r"half \ud800" in TrialFiles(tmp_path, ".").failure.read_text()


def test_an_exit_is_called_by_what_the_job_raised(tmp_path: Path) -> None:
    result = result_of(tmp_path, raises(SystemExit(3)))
    assert result.exception == "SystemExit: 3"
    assert line_of_exception(JobExitError("sys.exit(3)")).endswith("JobExitError: sys.exit(3)")
