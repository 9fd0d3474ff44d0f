"""What the objective of a running job has said and asked, for those who run the job."""

from __future__ import annotations

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


_conversations: dict[Path, Conversation] = {}


def begin(folder: Path, knows_target: bool) -> None:
    """A job begins in this folder; `knows_target` where a key of its config holds the target epoch."""
    _conversations[folder] = Conversation(knows_target)


def of_job_in(folder: Path) -> Conversation | None:
    """What was said so far; None outside of a sweep's job."""
    return _conversations.get(folder)


def end(folder: Path) -> Conversation | None:
    """What was said in the job of this folder; None where it ran in another process."""
    return _conversations.pop(folder, None)
