"""The folder of a sweep: claimed for this sweep alone before anything is written."""

from __future__ import annotations

from pathlib import Path

from hydra.core.config_loader import ConfigLoader
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from hposweep import journal
from hposweep.errors import ConfigError

KEY = "hydra.sweep.dir"


def claim(config: DictConfig) -> Path:
    """Makes the folder that `hydra.sweep.dir` names, for this sweep alone, and returns its absolute path.

    A folder named by the time of day gets `-2` and so on where another sweep, in the same second, has it already. The
    config then names the folder that was taken, also for launchers that compose again.

    Raises:
        ConfigError: if the folder holds a sweep, or can't be made.
    """
    text = str(OmegaConf.to_container(config.hydra.sweep, resolve=False)["dir"])  # type: ignore[call-overload, index]
    wanted = Path(str(config.hydra.sweep.dir))
    is_named_by_the_time = "${now:" in text
    folder, number = wanted, 1
    try:
        while True:
            if not is_named_by_the_time and _is_free(folder):
                folder.mkdir(parents=True, exist_ok=True)
                break
            if is_named_by_the_time:
                try:
                    folder.mkdir(parents=True)
                    break
                except FileExistsError:
                    number += 1
                    folder = wanted.with_name(f"{wanted.name}-{number}")
    except OSError as error:
        raise ConfigError(
            f"{KEY}: {folder} can't be made ({error.strerror}); name a folder that can be written"
        ) from None
    if folder != wanted:
        name_folder(config, folder)
    return folder.resolve()


def name_folder(config: DictConfig, folder: Path) -> None:
    """Makes this the sweep's folder in the config, and in the overrides from which launchers compose again."""
    with read_write(config), open_dict(config):
        config.hydra.sweep.dir = str(folder)
        config.hydra.overrides.hydra.append(f"{KEY}={folder}")


def check_subdir(config_loader: ConfigLoader, config: DictConfig, overrides: list[list[str]]) -> None:
    """Raises a ConfigError if two trials would write into one folder."""
    folders = []
    for number, trial_overrides in enumerate(overrides):
        composed = config_loader.load_sweep_config(config, trial_overrides)
        with open_dict(composed):
            composed.hydra.job.id = str(number)
            composed.hydra.job.num = number
        folders.append(str(composed.hydra.sweep.subdir))
    if len(set(folders)) < len(folders):
        raise ConfigError(
            f"hydra.sweep.subdir: gives two trials the folder '{folders[0]}'; "
            "it must depend on the trial, as ${hydra.job.num} does"
        )


def _is_free(folder: Path) -> bool:
    if (folder / journal.FILE_NAME).exists():
        raise ConfigError(f"{KEY}: {folder} holds a sweep already; name another folder")
    return True
