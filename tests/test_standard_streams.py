"""What is printed disturbs no sweep: with closed streams, a reader who has gone, ASCII alone; nor do tight limits."""

import io
import logging
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hposweep import standard_streams
from hposweep.results.terminal.console import terminal
from support.apps import APP, App
from support.processes import run_process
from support.sweeps import rows

THREAD = "import threading; thread = threading.Thread(target=main); thread.start(); thread.join()"
IN_A_THREAD = APP.replace("    main()", f"    {THREAD}")
SWEEP = "--multirun hydra/sweeper=hposweep hydra/launcher=hposweep hydra.sweeper.n_trials=2 x='interval(0,4)'"
TIGHT = f"ulimit -n 64; export TMPDIR=$PWD/{'x' * 103}"
LINES = {
    "closed": f"python main.py {SWEEP} hydra.sweep.dir=closed <&- >&- 2>&-",
    "head": f"PYTHONIOENCODING=ascii python main.py {SWEEP} hydra.sweep.dir=\\'ü\\' 2>head.err | head -1",
    "tight": f"{TIGHT}; python in_a_thread.py {SWEEP} hydra.sweep.dir=tight",
    "too tight": f"{TIGHT}; python in_a_thread.py {SWEEP} hydra.sweep.dir=refused hydra.launcher.n_workers=16",
}


@pytest.fixture
def broken_pipe() -> Iterator[io.TextIOWrapper]:
    """A stream whose reader has gone."""
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w") as stream:
        yield stream


def test_log_lines_that_nobody_reads_go_nowhere(
    broken_pipe: io.TextIOWrapper, capsys: pytest.CaptureFixture[str]
) -> None:
    log = logging.getLogger("test_standard_streams")
    handler = logging.StreamHandler(broken_pipe)
    log.addHandler(handler)
    try:
        with standard_streams.usable():
            log.warning("one")
            log.warning("two")
    finally:
        log.removeHandler(handler)
    assert capsys.readouterr().err == ""


def test_tables_that_nobody_reads_go_nowhere(broken_pipe: io.TextIOWrapper, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", broken_pipe)
    console = terminal()
    console.print("one")
    console.print("two")


def test_what_an_encoding_lacks_is_an_escape(monkeypatch: pytest.MonkeyPatch) -> None:
    buffer = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(buffer, encoding="ascii"))
    with standard_streams.usable():
        print("Müller — x")
    assert buffer.getvalue() == b"M\\xfcller \\u2014 x\n"


@pytest.mark.process
def test_a_sweep_runs_wherever_its_lines_go_and_in_a_thread_under_tight_limits(app: App) -> None:
    """At once, as each starts a Python of its own."""
    app.write("in_a_thread.py", IN_A_THREAD)
    app.write("main.py", APP.replace('"x is"', '"x is", "ü —"'))
    (app.folder / ("x" * 103)).mkdir()
    path = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    with ThreadPoolExecutor() as threads:
        bash = ["bash", "-o", "pipefail", "-c"]
        done = threads.map(lambda line: run_process([*bash, line], app.folder, path), LINES.values())
        said = dict(zip(LINES, done, strict=True))
    assert {each.exit_code for each in said.values()} == {0}, said
    for folder in ("closed", "ü", "tight"):
        assert [row["state"] for row in rows(app.folder / folder)] == ["COMPLETE"] * 2
        # A closed descriptor was not given to a file of the sweep, in which a job's lines would stand then.
        assert (app.folder / folder / "0" / "hposweep" / "output.txt").read_text().startswith("x is ")
    assert (said["closed"].out, said["closed"].err) == ("", "")
    assert (app.folder / "head.err").read_text() == ""
    assert "hydra.launcher.n_workers: must be from 1 to " in said["too tight"].out
    assert not (app.folder / "refused").exists()
