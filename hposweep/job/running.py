"""What the objective of a running job has said and asked, for those who run the job."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


class TargetReached(BaseException):  # no error, and not to be caught as one
    """Ends a job at its target epoch, for an objective that would train on."""

    def __init__(self, value: float) -> None:
        super().__init__(value)
        self.value = value


@dataclass
class Conversation:
    """What the objective of the running job has said and asked so far."""

    knows_target: bool = False  # it reads its target epoch by itself
    was_ended_at_target: bool = False
    first_epoch: int | None = None  # that it reported


@dataclass(frozen=True)
class RunningJob:
    """What `hposweep.report` and its like must know of the job that they are called in."""

    folder: Path
    metric: str
    target_epoch: int | None  # None: all that the objective trains by itself


_conversations: dict[Path, Conversation] = {}
_running_job: RunningJob | None = None


def begin(folder: Path, knows_target: bool) -> None:
    """A job begins in this folder; `knows_target` where a key of its config holds the target epoch."""
    _conversations[folder] = Conversation(knows_target)


def of_job_in(folder: Path) -> Conversation | None:
    """What was said so far; None outside of a sweep's job."""
    return _conversations.get(folder)


def end(folder: Path) -> Conversation | None:
    """What was said in the job of this folder; None where it ran in another process."""
    return _conversations.pop(folder, None)


@contextlib.contextmanager
def running(job: RunningJob) -> Iterator[None]:
    """Makes this the job that the process runs, for one that is no Hydra job."""
    global _running_job
    _running_job = job
    try:
        yield
    finally:
        _running_job = None


def running_job() -> RunningJob:
    """The job that this process runs.

    Raises:
        ValueError: if it runs none.
    """
    if _running_job is not None:
        return _running_job
    # A Hydra job has imported this long ago.
    from hydra.core.hydra_config import HydraConfig

    config = HydraConfig.get()
    target = config.sweeper.get("target_epoch")
    return RunningJob(
        Path(config.runtime.output_dir),
        str(config.sweeper.get("metric", "value")),
        None if target is None else int(target),
    )
