"""Taking up a sweep again: only the same one, with what may differ."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from hposweep.errors import ConfigError
from hposweep.results.comparison.differences import NO_PART_OF_THE_SWEEP, unequal_leaves

log = logging.getLogger(__name__)

# How a sweep is run, and not what it is.
MAY_DIFFER = (
    *NO_PART_OF_THE_SWEEP,
    *(f"hydra.sweeper.{key}" for key in ("n_trials", "time_budget", "trial_timeout")),
    *(f"hydra.sweeper.{key}" for key in ("max_retries", "max_failure_rate", "progress")),
    *(f"hydra.{key}" for key in ("launcher", "job_logging", "hydra_logging", "verbose", "env", "overrides", "job.id")),
    # Another launcher has another name there.
    "hydra.runtime.choices.hydra/launcher",
)


def check_same_sweep(recorded: Mapping[str, Any], wanted: Mapping[str, Any], folder: str) -> None:
    """Compares what `sweep.yaml` holds with what it would hold now.

    Raises:
        ConfigError: with all differences, if another sweep stands in the folder.
    """
    lines = [
        line for line in unequal_leaves("", recorded["config"], wanted["config"]) if not line.startswith(MAY_DIFFER)
    ]
    lines += [f"search space: {line}" for line in unequal_leaves("", recorded["search_space"], wanted["search_space"])]
    if lines:
        raise ConfigError(
            f"hydra.sweep.dir: {folder} holds another sweep; {'; '.join(lines)}. "
            "Name another folder, or resume it as it was"
        )
    for line in unequal_leaves("", recorded["versions"], wanted["versions"]):
        log.warning("this sweep began with other versions: %s", line)
