"""Ctrl-C and SIGTERM reach the program that a command runs, once, and leave no process behind."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hposweep.commands.child_process import ChildProcesses
from support.apps import App
from support.processes import processes_in, wait_for
from support.sweeps import events

pytestmark = pytest.mark.process

# A trial waits until it may end; the reproduced sweep inherits the word for it.
WAITING_APP = """
import os, time
import hydra

@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(cfg):
    while "WAIT" in os.environ and not os.path.exists("go"):
        time.sleep(0.02)
    return cfg.x

if __name__ == "__main__":
    main()
"""


@contextlib.contextmanager
def reproducing(app: App, into: str) -> Iterator[subprocess.Popen[bytes]]:
    """`reproduce`, in a process group of its own as in a shell, once its first trial runs."""
    words = [sys.executable, "-m", "hposweep", "reproduce", "swept", "--into", into]
    env = {**os.environ, "WAIT": "1"}
    with subprocess.Popen(words, cwd=app.folder, env=env, process_group=0, stderr=subprocess.PIPE) as command:
        wait_for(lambda: any(event["event"] == "segment_started" for event in events(app.folder / into)))
        yield command


def test_what_stops_reproduce_stops_the_sweep_that_it_runs(app: App) -> None:
    app.write("main.py", WAITING_APP)
    assert app.sweep("x=interval(0,1)", "hydra.sweeper.n_trials=3").exit_code == 0

    with reproducing(app, "interrupted") as command:
        os.killpg(command.pid, signal.SIGINT)
        app.write("go", "")  # had the signal come twice, the trial would have been cut off
        assert command.wait() == 130
        assert command.stderr is not None and b"Traceback" not in command.stderr.read()
    ended = events(app.folder / "interrupted")[-1]
    assert (ended["event"], ended["ending"]) == ("sweep_ended", "interrupted")
    wait_for(lambda: processes_in(app.folder) == [])

    (app.folder / "go").unlink()
    with reproducing(app, "killed") as command:
        command.kill()
    wait_for(lambda: processes_in(app.folder) == [])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_command_alone_is_passed_on(tmp_path: Path, number: signal.Signals) -> None:
    program = f"""
import os, signal, time
def stop(*_): print("stopped", flush=True); os._exit(7)
signal.signal({int(number)}, stop)
os.kill(os.getppid(), {int(number)})
while True: time.sleep(0.02)
"""
    with open(tmp_path / "output", "wb") as output, ChildProcesses() as processes:
        assert processes.run([sys.executable, "-c", program], tmp_path, output) == 7
        assert processes.exit_code == 128 + number
        # Nothing is begun after it.
        assert processes.run([sys.executable, "-c", "open('second', 'w')"], tmp_path) == 128 + number
    assert (tmp_path / "output").read_text() == "stopped\n"
    assert not (tmp_path / "second").exists()
    assert signal.getsignal(number) not in (processes._pass_on, signal.SIG_IGN)
