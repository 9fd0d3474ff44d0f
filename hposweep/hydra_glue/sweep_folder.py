"""The folder of a sweep: claimed for this sweep alone before anything is written."""

from __future__ import annotations

import re
from pathlib import Path

from hydra.core.config_loader import ConfigLoader
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from hposweep.errors import ConfigError
from hposweep.sweep_folder.files import made_unique_folder

KEY = "hydra.sweep.dir"
SUBDIR_KEY = "hydra.sweep.subdir"


def claim(config: DictConfig) -> Path:
    """Makes the folder that `hydra.sweep.dir` names, or takes the one that is there, and returns its absolute path.

    A folder named by the time of day gets `-2` and so on where another sweep, in the same second, has it already. The
    config then names the folder that was taken, also for launchers that compose again.

    Raises:
        ConfigError: if the folder can't be made.
    """
    text = str(OmegaConf.to_container(config.hydra.sweep, resolve=False)["dir"])  # type: ignore[call-overload, index]
    wanted = Path(str(config.hydra.sweep.dir))
    try:
        folder = made_unique_folder(wanted) if "${now:" in text else wanted
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"{KEY}: {wanted} can't be made ({error.strerror}); name a folder that can be written"
        ) from None
    if folder != wanted:
        name_folder(config, folder)
    return folder.resolve()


def name_folder(config: DictConfig, folder: Path) -> None:
    """Makes this the sweep's folder in the config, and in the overrides from which launchers compose again."""
    with read_write(config), open_dict(config):
        config.hydra.sweep.dir = str(folder)
        config.hydra.overrides.hydra.append(f"{KEY}={folder}")


def check_subdir(config: DictConfig, n_trials: int) -> None:
    """Raises a ConfigError if all trials would write into one folder."""
    text = subdir_text(config)
    if n_trials > 1 and "${" not in text:
        raise ConfigError(
            f"{SUBDIR_KEY}: gives all trials the folder '{text}'; it must depend on the trial, as "
            "${hydra.job.num} does"
        )


class JobFolders:
    """The folder of each trial's jobs, so that no two trials share one."""

    def __init__(self, config_loader: ConfigLoader, config: DictConfig) -> None:
        self._config_loader = config_loader
        self._config = config
        self._trials: dict[str, int] = {}
        # The usual case: the number makes them differ, and nothing has to be composed.
        self._differ_by_number = "job.num" in subdir_text(config)

    def conflict(self, trial: int, overrides: list[str]) -> str:
        """Why the trial's job can't run with these overrides; empty where its folder is its own."""
        if self._differ_by_number:
            return ""
        subdir = self.subdir(trial, overrides)
        owner = self._trials.setdefault(subdir, trial)
        if owner == trial or not subdir:
            return ""
        return f"{SUBDIR_KEY}: '{subdir}' is the folder of trial {owner} already; it must differ from trial to trial"

    def subdir(self, trial: int, overrides: list[str]) -> str:
        """The folder of the trial's job, relative to the sweep's; empty where these overrides can't be composed."""
        named = subdir_by_number(self._config, trial)
        if "${" not in named:
            return named
        try:
            composed = self._config_loader.load_sweep_config(self._config, overrides)
        except HydraException:
            return ""  # the launcher will meet the same, and say it
        with open_dict(composed):
            composed.hydra.job.id = str(trial)
            composed.hydra.job.num = trial
        return str(composed.hydra.sweep.subdir)


def subdir_by_number(config: DictConfig, trial: int) -> str:
    """`hydra.sweep.subdir` with the trial's number in its place; nothing else is resolved."""
    return re.sub(r"\$\{hydra[.:]job\.num\}", str(trial), subdir_text(config))


def subdir_text(config: DictConfig) -> str:
    """`hydra.sweep.subdir` as it was written."""
    return str(OmegaConf.to_container(config.hydra.sweep, resolve=False)["subdir"])  # type: ignore[call-overload, index]
