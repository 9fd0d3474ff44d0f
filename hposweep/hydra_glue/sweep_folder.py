"""The folder of a sweep: claimed for this sweep alone before anything is written."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException

from hposweep.errors import ConfigError, object_text
from hposweep.hydra_glue.overrides import literal_text, render_value
from hposweep.results.terminal import summary
from hposweep.search_space.parsing import check_text
from hposweep.shown_text import cut
from hposweep.sweep_folder.files import made_unique_folder
from hposweep.sweep_folder.trial_files import TrialFiles

MOST_CHARACTERS_SHOWN = 100
KEY = "hydra.sweep.dir"
SUBDIR_KEY = "hydra.sweep.subdir"


def settle(config: DictConfig) -> bool:
    """Resolves `hydra.sweep.dir` once and for all jobs, and names the absolute folder in its place.

    A job's own config may give another folder, where it depends on a key that is searched; the part of it that Hydra
    hands back gives none, where it depends on the app's keys; and a job may leave another working folder behind.

    Returns:
        Whether the time of day names it, so that each sweep has to have a new one.

    Raises:
        ConfigError: if it can't be resolved.
    """
    text = _sweep_node(config)["dir"]
    try:
        with resolving(config):
            is_new = _asks_for_the_time(config)
            folder = Path(str(config.hydra.sweep.dir))
        os.fsencode(folder)
        folder.exists()
    except OmegaConfBaseException as error:
        raise ConfigError(f"{KEY}: {text} can't be resolved in the sweep's config ({_first_line(error)})") from None
    except UnicodeEncodeError:
        raise ConfigError(f"{KEY}: {object_text(str(folder))}: no folder can have this name") from None
    except OSError as error:  # its name is too long
        raise _not_made(folder, error) from None
    _name(config, folder.absolute())
    return is_new


def _asks_for_the_time(config: DictConfig) -> bool:
    """Whether `hydra.sweep.dir`, or a key from which it takes its value, has `${now:...}` in it."""
    known = OmegaConf.get_cache(config)
    OmegaConf.clear_cache(config)
    try:
        assert config.hydra.sweep.dir is not None
        return bool(OmegaConf.get_cache(config).get("now"))
    finally:
        OmegaConf.set_cache(config, known)


def check_name_for_hydra(config: DictConfig) -> None:
    """Raises a ConfigError if Hydra's own jobs can't have this folder: what they make of its name isn't escaped."""
    if "${" in str(config.hydra.sweep.dir):
        raise ConfigError(
            f"{KEY}: {summary.relative(Path(str(config.hydra.sweep.dir)))}: Hydra takes ${{ in a job's folder for an "
            "interpolation; name another folder, or take hydra/launcher=hposweep"
        )


def claim(config: DictConfig, *, is_new: bool) -> Path:
    """Makes the sweep's folder, or takes the one that is there, and returns its absolute path.

    Args:
        is_new: whether another sweep may have it already, in the same second; then it gets `-2` and so on.

    Raises:
        ConfigError: if the folder can't be made.
    """
    wanted = Path(str(config.hydra.sweep.dir))
    try:
        folder = made_unique_folder(wanted) if is_new else wanted
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _not_made(wanted, error) from None
    if folder != wanted:
        _name(config, folder)
    return folder.resolve()


def _not_made(folder: Path, error: OSError) -> ConfigError:
    return ConfigError(
        f"{KEY}: {summary.relative(folder)} can't be made ({error.strerror}); name a folder that can be written"
    )


def dir_override(folder: Path) -> str:
    """The override that gives a sweep this folder, whatever characters are in its name."""
    return f"{KEY}={render_value(literal_text(str(folder)))}"


def is_dir_override(override: str) -> bool:
    """Whether the override names the sweep's folder."""
    return override.lstrip("+").split("=", 1)[0] == KEY


def _name(config: DictConfig, folder: Path) -> None:
    """Names the folder in the config, and in the overrides from which launchers compose again."""
    lines: Any = OmegaConf.to_container(config.hydra.overrides.hydra, resolve=False)
    with read_write(config), open_dict(config):
        config.hydra.sweep.dir = literal_text(str(folder))
        config.hydra.overrides.hydra = [*(line for line in lines if not is_dir_override(line)), dir_override(folder)]


@contextlib.contextmanager
def resolving(config: DictConfig) -> Iterator[None]:
    """Resolves `${hydra:...}` in this config, as in the job that will have it."""
    holder: Any = HydraConfig.instance()
    before, holder.cfg = holder.cfg, config
    try:
        yield
    finally:
        holder.cfg = before


def check_subdir(config: DictConfig, composed: DictConfig, n_trials: int) -> None:
    """Raises a ConfigError if all trials would write into one folder, or nobody knows into which.

    Args:
        composed: the config of the first trial.
    """
    text = subdir_text(config)
    if n_trials > 1 and "${" not in text:
        raise ConfigError(
            f"{SUBDIR_KEY}: gives all trials the folder '{text}'; it must depend on the trial, as "
            "${hydra.job.num} does"
        )
    try:
        check_text(_subdir_in(composed, 0))
    except ConfigError as error:
        raise ConfigError(f"{SUBDIR_KEY}: {error}") from None
    except OmegaConfBaseException as error:
        raise ConfigError(f"{SUBDIR_KEY}: {text} can't be resolved in a job's config ({_first_line(error)})") from None


class JobFolders:
    """The folder of each trial's jobs: no two trials share one, and the disk can hold it."""

    def __init__(self, config_loader: ConfigLoader, config: DictConfig) -> None:
        self._config_loader = config_loader
        self._config = config
        self._trials: dict[str, int] = {}
        self._text = subdir_text(config)
        # The usual case: the number makes them differ, and nothing has to be composed.
        self._differ_by_number = "job.num" in self._text
        self._composed: dict[tuple[int, tuple[str, ...]], str] = {}

    def refusal(self, trial: int, overrides: list[str]) -> str:
        """Why the trial's job can't run with these overrides; empty where nothing is wrong with its folder."""
        subdir = self.subdir(trial, overrides)
        if not subdir:
            return ""
        shown = cut(subdir, MOST_CHARACTERS_SHOWN)
        files = TrialFiles(Path(str(self._config.hydra.sweep.dir)), subdir)
        try:
            subdir.encode()  # the journal holds it
            # One of the files that will stand there.
            files.learning_curve.lstat()
        except FileNotFoundError:
            pass
        except (OSError, ValueError) as error:  # its name is too long or no name, or a file is in its place
            # Where only hposweep's own folder in it can't be made, the job does without.
            if not (isinstance(error, NotADirectoryError) and files.job_dir.is_dir()):
                why = error.strerror if isinstance(error, OSError) else error
                return f"{SUBDIR_KEY}: the folder '{shown}' can't be made ({why})"
        owner = trial if self._differ_by_number else self._trials.setdefault(subdir, trial)
        if owner == trial:
            return ""
        return f"{SUBDIR_KEY}: '{shown}' is the folder of trial {owner} already; it must differ from trial to trial"

    def path(self, trial: int, overrides: list[str]) -> Path:
        """The folder of the trial's job."""
        return Path(str(self._config.hydra.sweep.dir), self.subdir(trial, overrides))

    def subdir(self, trial: int, overrides: list[str]) -> str:
        """The folder of the trial's job, relative to the sweep's; empty where these overrides can't be composed."""
        named = re.sub(r"\$\{hydra[.:]job\.num\}", str(trial), self._text)
        if "${" not in named:
            return named
        key = (trial, tuple(overrides))
        if key not in self._composed:
            self._composed[key] = self._composed_subdir(trial, overrides)
        return self._composed[key]

    def _composed_subdir(self, trial: int, overrides: list[str]) -> str:
        try:
            return _subdir_in(self.composed(overrides), trial)
        except (HydraException, OmegaConfBaseException):
            return ""  # the launcher will meet the same, and say it

    def composed(self, overrides: list[str]) -> DictConfig:
        """The config of a job with these overrides, without its number.

        Raises:
            HydraException: if they don't fit the config.
        """
        return self._config_loader.load_sweep_config(self._config, overrides)


def _subdir_in(composed: DictConfig, trial: int) -> str:
    with open_dict(composed):
        composed.hydra.job.id = str(trial)
        composed.hydra.job.num = trial
    with resolving(composed):
        return str(composed.hydra.sweep.subdir)


def _first_line(error: Exception) -> str:
    return str(error).split("\n", 1)[0]


def subdir_text(config: DictConfig) -> str:
    """`hydra.sweep.subdir` as it was written."""
    return str(_sweep_node(config)["subdir"])


def _sweep_node(config: DictConfig) -> dict[str, Any]:
    return OmegaConf.to_container(config.hydra.sweep, resolve=False)  # type: ignore[return-value]
