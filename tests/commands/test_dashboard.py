"""`hposweep dashboard`: where it listens, what it prints, and how it ends; and the one that a sweep starts itself."""

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import IPython.display
import pytest

import hposweep as hposweep_package
from hposweep import optional_packages
from hposweep.api import tuning
from hposweep.results.dashboard import in_a_process
from support.apps import App
from support.processes import Run, kill, processes_in, wait_for
from support.report_pages import made

pytestmark = pytest.mark.process

LINK = re.compile(r"http://([\w.-]+):(\d+)/(\S*)")


class Running:
    """`python -m hposweep dashboard` in a process of its own."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "hposweep", "dashboard", *words],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.line = self.process.stdout.readline()
        found = LINK.search(self.line)
        assert found is not None, self.process.communicate()
        self.host, self.port, self.path = found[1], int(found[2]), f"/{found[3]}"

    def status(self, path: str = "/", **headers: str) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("GET", path, headers=headers)
        return connection.getresponse().status

    def stop(self, number: int) -> tuple[int, str, str]:
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, out, err


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    made(tmp_path / "outputs" / "s")
    return tmp_path / "outputs"


@pytest.fixture
def running(outputs: Path) -> Iterator[Running]:
    found = Running(outputs.parent)
    yield found
    found.process.kill()
    found.process.communicate()


def test_it_shows_outputs_to_this_machine_alone_until_ctrl_c(running: Running) -> None:
    assert running.line.startswith("Dashboard of outputs: http://127.0.0.1:")
    assert (running.status(), running.status("/sweep?id=s")) == (200, 200)
    assert running.status("/", Host="evil.com") == 403
    with pytest.raises(OSError), socket.create_connection((_other_address(), running.port), timeout=5):
        pass
    code, _, err = running.stop(signal.SIGINT)
    assert (code, err) == (130, "")


def test_sigterm_ends_it_quietly(running: Running) -> None:
    code, _, err = running.stop(signal.SIGTERM)
    assert (code, err) == (-signal.SIGTERM, "")


def test_a_second_one_takes_another_port_and_a_named_one_that_is_taken_is_refused(
    running: Running, hposweep: Run, outputs: Path
) -> None:
    other = Running(outputs.parent)
    assert other.port != running.port
    other.stop(signal.SIGINT)
    done = hposweep("dashboard", "--port", str(running.port))
    assert (done.exit_code, done.error_lines) == (
        1,
        [f"dashboard: --port: {running.port} is in use; name another, or none for a free one"],
    )


def test_another_address_asks_for_the_token_of_the_link(outputs: Path) -> None:
    running = Running(outputs.parent, "--host", "0.0.0.0")
    assert re.fullmatch(r"/\?token=[\w-]{32}", running.path)
    assert running.status() == 403
    assert running.status(running.path) == running.status(running.path, Host="node3.cluster:1") == 200
    assert running.stop(signal.SIGINT)[0] == 130


@pytest.mark.parametrize(
    "words, message",
    [
        (["nosuch"], "nosuch: no such folder"),
        (["--port", "0"], "--port: must be from 1 to 65535, got 0; see hposweep dashboard --help"),
        (["--port", "x"], "--port: must be from 1 to 65535, got x; see hposweep dashboard --help"),
        (["--host", "no.such.host.invalid"], "--host: no.such.host.invalid can't be listened at"),
        (["--host", "203.0.113.7"], "--host: 203.0.113.7 can't be listened at"),
        (["--no-such-option"], "unrecognized arguments: --no-such-option"),
    ],
)
def test_wrong_words_are_refused_in_one_line(hposweep_here: Run, outputs: Path, words: list[str], message: str) -> None:
    done = hposweep_here("dashboard", *words)
    assert done.exit_code == 1 and len(done.error_lines) == 1
    assert done.err.startswith(f"dashboard: {message}")


def test_missing_packages_are_named_with_how_to_get_them(
    hposweep_here: Run, outputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(optional_packages, "missing", lambda extra: ["starlette", "uvicorn"])
    done = hposweep_here("dashboard")
    assert done.error_lines == [
        "dashboard: the dashboard needs 'starlette', 'uvicorn': pip install 'hposweep[dashboard]'"
    ]


def with_a_dashboard(app: App) -> tuple["subprocess.Popen[str]", "re.Match[str]"]:
    """A sweep that waits, once it has printed the link of its dashboard."""
    app.write("main.py", WAITS)
    process = subprocess.Popen(
        [sys.executable, "main.py", "--multirun", "hydra/sweeper=hposweep", "hydra.sweep.dir=swept", *SHORT],
        cwd=app.folder,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    return process, next(found for line in process.stdout if (found := LINK.search(line)))


def test_a_sweep_prints_the_link_of_its_dashboard_which_ends_with_it(app: App) -> None:
    process, link = with_a_dashboard(app)
    assert process.stdout is not None
    connection = http.client.HTTPConnection("127.0.0.1", int(link[2]), timeout=60)
    connection.request("GET", f"/{link[3]}")
    answer = connection.getresponse()
    assert answer.status == 200 and b"swept" in answer.read()
    connection.request("GET", "/api/sweeps")
    assert b'"state":"running"' in connection.getresponse().read()
    connection.close()
    (app.folder / "go").touch()
    process.stdout.read()
    assert process.wait(60) == 0
    wait_for(lambda: not processes_in(app.folder))
    with pytest.raises(OSError), socket.create_connection(("127.0.0.1", int(link[2])), timeout=5):
        pass


def test_a_dashboard_ends_with_a_sweep_that_is_killed(app: App) -> None:
    process, _ = with_a_dashboard(app)
    kill(process)
    wait_for(lambda: not processes_in(app.folder))


def test_a_sweep_goes_on_without_the_packages_of_its_dashboard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], reports: list[Path]
) -> None:
    monkeypatch.setattr(optional_packages, "missing", lambda extra: ["uvicorn"] if extra == "dashboard" else [])
    sweep = hposweep_package.tune(_square, {"x": "uniform(0, 1)"}, n_trials=1, folder=tmp_path, dashboard=True)
    assert sweep.best is not None
    assert "no dashboard: it needs 'uvicorn': pip install 'hposweep[dashboard]'" in capfd.readouterr().err


def test_a_notebook_shows_the_dashboard_below_its_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[Any] = []
    monkeypatch.setattr(IPython, "get_ipython", lambda: SimpleNamespace(kernel=None))
    monkeypatch.setattr(IPython.display, "display", shown.append)
    tuning._show_dashboard("http://127.0.0.1:8470/sweep?id=.")
    (frame,) = shown
    assert frame.src == "http://127.0.0.1:8470/sweep?id=."
    monkeypatch.setattr(IPython, "get_ipython", lambda: SimpleNamespace())  # a terminal's
    tuning._show_dashboard("http://127.0.0.1:8470/sweep?id=.")
    assert len(shown) == 1


def test_a_dashboard_that_ends_before_its_sweep_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(in_a_process, "PROGRAM", "raise SystemExit(7)")
    links: list[str] = []
    with in_a_process.shown(tmp_path, links.append):
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
    assert len(links) == 1
    assert "the dashboard has ended before the sweep, with exit code 7" in caplog.text


SHORT = [
    *("hydra/launcher=hposweep", "hydra.launcher.n_workers=1", "hydra.sweeper.n_trials=2"),
    *("x=interval(0, 3)", "hydra.sweeper.dashboard=true"),
]
WAITS = """
import time
from pathlib import Path
import hydra

@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(cfg):
    while not Path(hydra.utils.get_original_cwd(), "go").exists():
        time.sleep(0.01)
    return (cfg.x - 2) ** 2

if __name__ == "__main__":
    main()
"""


def _square(configuration: dict[str, float]) -> float:
    return configuration["x"] ** 2


def _other_address() -> str:
    """An address of this machine that is none of the loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as found:
        try:
            found.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("the machine has no other address")
        address: str = found.getsockname()[0]
        return address
