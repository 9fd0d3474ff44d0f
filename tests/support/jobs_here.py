"""Jobs of our own app in this process, and what they leave."""

from pathlib import Path

from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from hposweep.app import schema
from hposweep.conf_dir import conf_dir
from hposweep.job.running import RunningJob, running
from hposweep.sweep_folder.trial_files import TrialFiles
from hposweep.training import trainer
from hposweep.training.objective import objective
from hposweep.training.program import ProgramCache
from support.in_process import hydra_as_it_was


def composed(words: list[str]) -> DictConfig:
    """The config of a job; Hydra's state in this process stays what it was."""
    with hydra_as_it_was():
        schema.register()
        with initialize_config_dir(str(conf_dir()), version_base="1.3"):
            return compose("config", words)


def run(folder: Path, cfg: DictConfig, metric: str = "validation_loss") -> float:
    """Runs the job, or the next one of its trial, in its folder."""
    with running(RunningJob(TrialFiles(folder, "."), metric)) as job:
        try:
            return objective(cfg)
        finally:
            job.end()


def curve(folder: Path) -> list[dict[str, str]]:
    """The learning curve, bit for bit, without its seconds."""
    rows = TrialFiles(folder, ".").read_curve()
    return [{name: repr(value) for name, value in row.items() if name != "seconds"} for row in rows]


def forget_programs() -> None:
    """Makes the process one that has compiled nothing."""
    trainer.PROGRAMS = ProgramCache()
