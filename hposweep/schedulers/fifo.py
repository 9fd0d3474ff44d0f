"""First in, first out: every trial gets its full budget at once."""

from dataclasses import dataclass

from hposweep.trial import NextSegment, Trial


@dataclass(frozen=True)
class FifoScheduler:
    """Starts a new trial whenever a worker is free (the book's BasicScheduler)."""

    r_max: None = None

    def next_segment(self) -> NextSegment | None:
        return NextSegment(trial=None, target_epoch=None)

    def record(self, trial: Trial) -> None:
        """No result changes the order."""
