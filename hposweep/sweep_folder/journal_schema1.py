"""Journals of schema 1, as the first version wrote them: without numbers and checksums, the value without its name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hposweep.history import Ending

# A run's end was a sentence there; each code by how its sentence begins.
ENDINGS = {
    "complete": Ending.COMPLETE,
    "interrupted": Ending.INTERRUPTED,
    "time_budget is over": Ending.TIME_BUDGET,
    "hydra.sweeper.scheduler: compares trials at epochs": Ending.TARGET_UNHEEDED,
    "the first ": Ending.ALIKE_FAILURES,
}


class Schema1:
    """Translates lines of schema 1, in the order of the file, into fields of events of today."""

    def __init__(self) -> None:
        self._metric = "value"
        self._n_jobs: dict[int, int] = {}  # that were started, by trial

    def translated(self, fields: object) -> Mapping[str, Any]:
        """The fields of the next line.

        Raises:
            ValueError, KeyError, TypeError: if it is damaged, or of another schema.
        """
        if not isinstance(fields, dict):
            raise TypeError("an event is a mapping")
        match fields["event"]:
            case "sweep_started":
                if fields["schema"] != 1:
                    raise ValueError(f"it has no checksum, though schema {fields['schema']} has one")
                self._metric = fields["metric"]
            case "segment_started":
                job = self._n_jobs[fields["trial"]] = self._n_jobs.get(fields["trial"], 0) + 1
                return {**fields, "job": job}
            case "segment_ended":
                value = fields.pop("value")
                # A failure held the value of the rung before it.
                has_value = value is not None and fields["state"] not in ("FAILED", "TIMED_OUT", "INTERRUPTED")
                return {**fields, "values": {self._metric: value} if has_value else {}}
            case "sweep_ended":
                reason = str(fields.pop("reason"))
                ending = next((code for text, code in ENDINGS.items() if reason.startswith(text)), Ending.FAILURE_RATE)
                is_said_by_code = ending in (Ending.COMPLETE, Ending.INTERRUPTED, Ending.TIME_BUDGET)
                return {**fields, "ending": ending, "detail": "" if is_said_by_code else reason}
        return fields
