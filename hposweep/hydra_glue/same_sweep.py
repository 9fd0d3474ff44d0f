"""Taking up a sweep again: only the same one, with what may differ."""

from __future__ import annotations

import logging
from pathlib import Path

from hposweep.errors import ConfigError
from hposweep.hydra_glue.run_again import completed, of_an_app
from hposweep.results.comparison.differences import NO_PART_OF_THE_SWEEP, unequal_leaves, without_search_space
from hposweep.results.terminal import summary
from hposweep.shown_text import visible
from hposweep.sweep_folder.sweep_yaml import AppRecord, SweepRecord

log = logging.getLogger(__name__)

# How a sweep is run, and not what it is.
MAY_DIFFER = (
    *NO_PART_OF_THE_SWEEP,
    *(f"hydra.sweeper.{key}" for key in ("n_trials", "time_budget", "trial_timeout")),
    *(f"hydra.sweeper.{key}" for key in ("max_retries", "max_failure_rate", "progress", "dashboard")),
    *(f"hydra.{key}" for key in ("launcher", "job_logging", "hydra_logging", "verbose", "env", "overrides", "job.id")),
    # Another launcher has another name there.
    "hydra.runtime.choices.hydra/launcher",
)


def check_same_sweep(recorded: SweepRecord, wanted: AppRecord, folder: Path) -> None:
    """Compares what `sweep.yaml` holds with what it would hold now.

    A key that a later version of hposweep has added is no difference while it has its default value.

    Raises:
        ConfigError: with all differences, if another sweep stands in the folder.
    """
    recorded = of_an_app(recorded, folder)
    configs = (without_search_space(each.masked()) for each in map(completed, (recorded, wanted)))
    lines = [line for line in unequal_leaves("", *configs) if not line.startswith(MAY_DIFFER)]
    lines += [f"search space: {line}" for line in unequal_leaves("", recorded.prior_texts, wanted.prior_texts)]
    if None not in (recorded.data, wanted.data) and recorded.data != wanted.data:
        lines.append("data: the files have changed since the sweep began")
    if lines:
        raise ConfigError(
            f"hydra.sweep.dir: {summary.relative(folder)} holds another sweep; {'; '.join(lines)}. "
            "Name another folder, or resume it as it was"
        )
    # Nobody knows those of a sweep whose record was lost.
    for line in unequal_leaves("", recorded.versions or wanted.versions, wanted.versions):
        log.warning("this sweep began with other versions: %s", visible(line))
