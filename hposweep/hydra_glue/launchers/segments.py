"""A Hydra launcher as workers: our own take segments one by one, any other in batches."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from hposweep.hydra_glue.sweep_folder import JobFolders
from hposweep.trial import Segment, SegmentResult, Trial
from hposweep.workers.protocol import Workers


@dataclass(frozen=True)
class SegmentJobs:
    """The Hydra jobs of segments: their overrides, and which folder is whose."""

    overrides_of: Callable[[Segment, Trial], list[str]]
    folders: JobFolders

    def subdir(self, segment: Segment, overrides: list[str]) -> str:
        """The job's folder, relative to the sweep's."""
        return self.folders.subdir(segment.trial, overrides)

    def refused(self, segment: Segment, overrides: list[str]) -> Future[SegmentResult] | None:
        """The segment's end, where its job can't run: its folder is another trial's, or no disk can hold it."""
        refusal = self.folders.refusal(segment.trial, overrides)
        if not refusal:
            return None
        future: Future[SegmentResult] = Future()
        future.set_result(SegmentResult(duration_s=0.0, failure=refusal))
        return future


@runtime_checkable
class SegmentLauncher(Protocol):
    """A launcher that takes segments one by one. Ours do; Hydra's own interface knows batches alone."""

    is_watched: bool  # whether its workers, on other machines, end when the lease of their controller does

    def workers(self, jobs: SegmentJobs) -> Workers:
        """The launcher as workers; several on one launcher share its processes."""
