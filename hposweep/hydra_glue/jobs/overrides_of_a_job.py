"""The overrides of a trial's jobs, and the seed that stands among them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig, OmegaConf

from hposweep.errors import ConfigError
from hposweep.hydra_glue.jobs.composition import TARGET_EPOCH_KEY
from hposweep.hydra_glue.overrides import ParsedOverrides, render
from hposweep.search_space import Configuration, trial_seed
from hposweep.trial import Segment, Trial


@dataclass(frozen=True)
class JobOverrides:
    """The overrides of all trials, those of one trial, its seed and its target epoch."""

    options: Mapping[str, Any]  # of the sweeper
    parsed: ParsedOverrides
    config: DictConfig  # of the sweep

    def seed_of(self, number: int, configuration: Configuration) -> int:
        """The seed of a trial's training: its own, unless the user fixes or searches the key that receives it."""
        key = self.options["seed_key"]
        if key is not None and key in _keys(self.parsed.fixed):
            return int(OmegaConf.select(self.config, key))
        return int(configuration[key]) if key in configuration else trial_seed(self.options["seed"], number)

    def check_seeds(self) -> None:
        """Raises a ConfigError if trials are to have different seeds, and all get the same one."""
        key = self.options["seed_key"]
        searched = key is not None and key in self.parsed.search_space.keys
        if key is None or not (searched or key in _keys(self.parsed.fixed)):
            return
        for name, is_on in (("n_seeds", self.options["n_seeds"] > 1), ("confirm_top", self.options["confirm_top"] > 0)):
            if is_on:
                how = "searched" if searched else "the same for all trials"
                raise ConfigError(f"hydra.sweeper.{name}: needs trials of different seeds, and {key} is {how}")

    def of_trial(self, trial: Trial, target_epoch: int | None) -> list[str]:
        """All overrides of a job that trains the trial to this epoch; None: to its full budget."""
        overrides = [*self.parsed.fixed, *render(trial.configuration)]
        seed_key, budget_key = self.options["seed_key"], self.options["budget_key"]
        if seed_key is not None and seed_key not in _keys(overrides):
            overrides.append(f"{seed_key}={trial.seed}")
        if target_epoch is not None:
            overrides += [f"{budget_key}={target_epoch}"] if budget_key is not None else []
            overrides.append(f"{TARGET_EPOCH_KEY}={target_epoch}")
        return overrides

    def of_segment(self, segment: Segment, trial: Trial) -> list[str]:
        """The overrides of one segment's job."""
        return self.of_trial(trial, segment.target_epoch)

    def of_final_job(self, segment: Segment, winner: Trial) -> list[str]:
        """The overrides of the job that follows the last trial; the winner's .hydra stays that of its training."""
        overrides = self.of_segment(segment, winner)
        return [*overrides, *self.options["final_overrides"], "hydra.output_subdir=null"]


def _keys(overrides: list[str] | tuple[str, ...]) -> set[str]:
    return {override.split("=", 1)[0] for override in overrides}
