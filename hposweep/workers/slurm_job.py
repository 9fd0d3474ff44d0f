"""What a Slurm job runs: one job of a sweep on an agent, whose answer is left as a file for whoever controls the sweep.

The files of a job of the sweep stand in one folder, and begin with its name: `7_1.begun` holds the node on which it
has begun, `7_1.payload` what the caller asked for besides the result, and `7_1.json` the answer. That one is written
last, and nothing that could be run is read from it.
"""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import secrets
import signal
import threading
import time
from collections.abc import Iterable
from concurrent.futures import wait
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import cloudpickle

from hposweep.trial import SegmentEnd, SegmentResult
from hposweep.workers.agent import Agent, AgentSpec
from hposweep.workers.local import descendants
from hposweep.workers.local.worker import JobAnswer

SECONDS_BETWEEN_LOOKS = 0.1  # for a signal
SECONDS_TO_BE_KILLED = 1.0  # who kills all processes of a job may get to the worker first
# What the controller sends to end a job at once. Slurm's own way takes half a minute, if the job ignores SIGTERM.
END_SIGNAL = signal.SIGUSR1
TIME_SIGNAL = signal.SIGUSR2  # that submitit asks Slurm for, before the time limit
PREEMPTION_SIGNAL = signal.SIGTERM
TIME_LIMIT = "time limit"
PREEMPTION = "preemption"


@dataclass(frozen=True)
class TrialPaths:
    """What has to be known of the trial's files where its job may be ended by Slurm."""

    end_notice: str  # file that tells the job that it is soon to be ended
    checkpoints: tuple[str, ...]  # files and folders from which the next job goes on

    def saved_at(self) -> float:
        """When the newest checkpoint was written, in seconds since the epoch; 0 where there is none."""
        found = [file for each in self.checkpoints for file in (Path(each), *Path(each).rglob("*"))]
        return max((_changed_at(file) for file in found if not file.is_dir()), default=0.0)


@dataclass(frozen=True)
class SharedFolder:
    """In the place of a controller's sign of life: Slurm's jobs outlive theirs, and another one adopts them."""

    folder: Path  # the sweep's

    def is_seen(self) -> bool:
        """Whether the node sees the folder: it does, for this was read from there."""
        return True

    def is_alive(self, now: float) -> bool:
        """Whether the job may go on."""
        return True


@dataclass(frozen=True)
class NamedJob:
    """A job of the sweep as it is handed to Slurm."""

    name: str  # like no other of the sweep, such as `Trial.job_id`
    arguments: tuple[Any, ...]
    timeout_s: float | None
    paths: TrialPaths


@dataclass(frozen=True)
class Answer:
    """What a job has left for its controller."""

    answer: JobAnswer
    refusal: str = ""  # why its node can't serve: one line
    warning: str = ""  # TIME_LIMIT or PREEMPTION, where Slurm had announced the job's end


class AnswerFolder:
    """The folder of the answers, as jobs and their controller see it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def begin(self, name: str, node: str) -> None:
        """Notes that a job runs."""
        _write(self.folder / f"{name}.begun", node.encode())

    def write(self, name: str, answer: Answer) -> None:
        """Leaves a job's answer, at once and whole."""
        found = answer.answer
        if found.payload:
            _write(self.folder / f"{name}.payload", found.payload)
        content = {
            "result": dataclasses.asdict(found.result),
            "memory_mb": found.memory_mb,
            "error": None if found.error is None else f"{type(found.error).__name__}: {found.error}",
            "has_payload": bool(found.payload),
            "refusal": answer.refusal,
            "warning": answer.warning,
        }
        _write(self.folder / f"{name}.json", json.dumps(content).encode())

    def read(self, name: str) -> Answer:
        """A job's answer; its payload is read by whoever has asked for one.

        Raises:
            FileNotFoundError: if there is none by now.
            ValueError: if it is damaged.
        """
        content = json.loads((self.folder / f"{name}.json").read_bytes())
        try:
            found = content["result"]
            value = None if found["value"] is None else float(found["value"])
            known = {**found, "end": SegmentEnd(found["end"]), "value": value, "duration_s": float(found["duration_s"])}
            error = None if content["error"] is None else RuntimeError(content["error"])
            answer = JobAnswer(SegmentResult(**known), float(content["memory_mb"]), error=error)
            if content["has_payload"]:
                payload = (self.folder / f"{name}.payload").read_bytes()
                answer = dataclasses.replace(answer, payload=payload)
            return Answer(answer, str(content["refusal"]), str(content["warning"]))
        except (KeyError, TypeError) as error:
            raise ValueError(f"{name}.json: damaged ({error})") from None

    def begun_at(self, name: str) -> float | None:
        """When the job began, in seconds since the epoch, by the clock of the file system; None: it has not."""
        return _changed_at(self.folder / f"{name}.begun") or None

    def node_of(self, name: str) -> str:
        """The node on which the job has begun; empty where it has not."""
        try:
            return (self.folder / f"{name}.begun").read_text()
        except FileNotFoundError:
            return ""

    def there(self) -> tuple[set[str], set[str]]:
        """The names of the jobs that have begun, and of those that have answered."""
        files = os.listdir(self.folder)  # noqa: PTH208 (half the time)
        return set(_stems(files, ".begun")), set(_stems(files, ".json"))

    def move(self, name: str, other: AnswerFolder) -> None:
        """Puts away what a job has left."""
        for kind in ("payload", "json", "begun"):
            path = self.folder / f"{name}.{kind}"
            if path.exists():
                path.replace(other.folder / path.name)

    def remove(self, name: str) -> None:
        """Removes what a job has left."""
        for kind in ("json", "payload", "begun"):
            (self.folder / f"{name}.{kind}").unlink(missing_ok=True)


def run(spec_file: str, answer_folder: str, job: NamedJob) -> None:
    """Runs a job, inside of Slurm's; leaves its answer, unless the controller has ended it."""
    node = os.environ.get("SLURMD_NODENAME") or platform.node()
    answers = AnswerFolder(Path(answer_folder))
    is_to_end = threading.Event()
    warnings: list[str] = []

    def note(number: int, frame: FrameType | None) -> None:
        if number == END_SIGNAL:
            is_to_end.set()
            return
        warnings.append(TIME_LIMIT if number == TIME_SIGNAL else PREEMPTION)

    spec: AgentSpec = cloudpickle.loads(Path(spec_file).read_bytes())
    # Slurm sends these to all processes of a job. The worker, which is to save its state, inherits the disregard.
    for number in (TIME_SIGNAL, PREEMPTION_SIGNAL):
        signal.signal(number, signal.SIG_IGN)
    agent = Agent(spec, node)
    # In place of submitit's: a job that has saved its state ends, and the sweep goes on in another one.
    for number in (END_SIGNAL, TIME_SIGNAL, PREEMPTION_SIGNAL):
        signal.signal(number, note)
    refusal = agent.greeting().refusal
    if refusal:
        lost = SegmentResult(0.0, failure=refusal, end=SegmentEnd.LOST, place=node)
        answers.write(job.name, Answer(JobAnswer(lost, 0.0), refusal=refusal))
        return
    answers.begin(job.name, node)
    running = agent.run(job.name, job.arguments, job.timeout_s)
    while not wait([running], SECONDS_BETWEEN_LOOKS).done:
        if is_to_end.is_set():
            descendants.kill_children(os.getpid())
            os._exit(0)
        # Again and again: the trial's job removes it when it begins, and Slurm may have spoken up to a minute early.
        if warnings and Path(job.paths.end_notice).parent.is_dir():
            Path(job.paths.end_notice).touch()
    answer = running.result()
    answer = answer.with_result(place=", ".join(filter(None, (node, answer.result.place))))
    if answer.result.end is SegmentEnd.DIED:
        time.sleep(SECONDS_TO_BE_KILLED)
        if warnings:
            return  # Slurm has killed the worker, and knows why
    answers.write(job.name, Answer(answer, warning=warnings[0] if warnings else ""))
    agent.stop()


def _stems(files: Iterable[str], ending: str) -> Iterable[str]:
    return (name.removesuffix(ending) for name in files if name.endswith(ending) and not name.startswith("."))


def _changed_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _write(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    temporary.write_bytes(content)
    temporary.replace(path)
