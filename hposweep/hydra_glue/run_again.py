"""`sweep.yaml`: what is needed to run a sweep again, and to say where a second one differs."""

from __future__ import annotations

import itertools
import shlex
import sys
from pathlib import Path
from typing import Any

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from hposweep.errors import ConfigError
from hposweep.hydra_glue.overrides import is_sweep, render
from hposweep.search_space import SearchSpace
from hposweep.sweep_folder import environment
from hposweep.sweep_folder.files import write_atomically
from hposweep.sweep_folder.sweep_yaml import RECORD_FILE, check_record
from hposweep.trial import Trial, TrialState

FILE_NAME = RECORD_FILE
CONSOLE_SCRIPT = "hposweep"
CONFIG_OPTIONS = ("--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd")  # Hydra's
# Overrides that make up a sweep, and mean nothing to a trial that is run by itself.
OF_THE_SWEEP = ("hydra.sweep", "hydra/sweeper", "hydra.launcher", "hydra/launcher", "hydra.mode")


def record_of(config: DictConfig, search_space: SearchSpace) -> dict[str, Any]:
    """What the file of this sweep holds; of versions those of the packages that are installed."""
    return {
        "command": program(),
        "overrides": {
            "task": OmegaConf.to_container(config.hydra.overrides.task),
            "hydra": OmegaConf.to_container(config.hydra.overrides.hydra),
        },
        "seed": config.hydra.sweeper.seed,
        "n_trials": config.hydra.sweeper.n_trials,
        "search_space": {key: str(prior) for key, prior in search_space.hyperparameters.items()},
        **environment.record(),
        # Interpolations stay as they are: they are part of what the user wrote.
        "config": OmegaConf.to_container(config, resolve=False, enum_to_str=True),
    }


def write(sweep_dir: Path, record: dict[str, Any]) -> None:
    """Writes the file, whole or not at all."""
    write_atomically(sweep_dir / FILE_NAME, OmegaConf.to_yaml(OmegaConf.create(record)))


def program() -> str:
    """How this program was started, quoted for a shell: without its overrides, but with where it finds its config."""
    main = sys.modules["__main__"]
    if main.__spec__ is not None:  # python -m package
        words = ["python", "-m", main.__spec__.name.removesuffix(".__main__")]
    elif "hposweep.__main__" in sys.modules:  # else it is `__main__`, or was never imported
        words = [CONSOLE_SCRIPT]
    else:
        words = ["python", sys.argv[0]]
    for word, following in itertools.zip_longest(sys.argv[1:], sys.argv[2:], fillvalue=""):
        if word in CONFIG_OPTIONS:
            words += [word, following]
        elif word.startswith(tuple(f"{option}=" for option in CONFIG_OPTIONS)):
            words.append(word)
    return shlex.join(words)


def words_of_program(record: dict[str, Any]) -> list[str]:
    """What starts the program of a recorded sweep again, with this interpreter, wherever its scripts are."""
    first, *others = shlex.split(record["command"])
    return [sys.executable, *(["-m", "hposweep"] if first == CONSOLE_SCRIPT else []), *others]


def read(sweep_dir: Path) -> dict[str, Any]:
    """The record of a Hydra app's sweep.

    Raises:
        ConfigError: if the folder has none, a damaged one, or that of a sweep by `hposweep.tune`.
    """
    path = sweep_dir / FILE_NAME
    if not path.is_file():
        raise ConfigError(f"{path}: not found; the folder holds no sweep of hposweep")
    try:
        record = check_record(OmegaConf.to_container(OmegaConf.load(path), resolve=False), path)
    except (yaml.YAMLError, UnicodeDecodeError, OSError):  # OmegaConf's for a file that holds a single value
        record = check_record(None, path)
    if "command" not in record:
        raise ConfigError(
            f"{path}: a sweep of hposweep.tune, which no command line runs again; "
            f"hposweep.tune(..., folder='{sweep_dir}') goes on with it"
        )
    return record


def starting_overrides(record: dict[str, Any], folder: Path) -> list[str]:
    """The overrides with which a recorded sweep was started, for a sweep in this folder."""
    return [*record["overrides"]["task"], *record["overrides"]["hydra"], f"hydra.sweep.dir={folder}"]


def trial_overrides(record: dict[str, Any], trial: Trial) -> list[str]:
    """The overrides with which a trial of a recorded sweep is run again, by itself."""
    parser = OverridesParser.create()
    task = [line for line in record["overrides"]["task"] if not is_sweep(parser.parse_override(line))]
    overrides = [*task, *render(trial.configuration)]
    taken = {line.split("=", 1)[0] for line in overrides}
    sweeper = record["config"]["hydra"]["sweeper"]
    if sweeper["seed_key"] is not None and sweeper["seed_key"] not in taken:
        overrides.append(f"{sweeper['seed_key']}={trial.seed}")
    # The scheduler's full budget, where that isn't what the config says anyway.
    is_short = trial.state is TrialState.COMPLETE and (sweeper["scheduler"] or {}).get("r_max") is not None
    if is_short and sweeper["budget_key"] is not None:
        overrides.append(f"{sweeper['budget_key']}={trial.target_epoch}")
    return overrides + [line for line in record["overrides"]["hydra"] if not line.lstrip("+~").startswith(OF_THE_SWEEP)]


def trial_command(record: dict[str, Any], trial: Trial) -> list[str]:
    """The words that run a trial of a recorded sweep again, by itself."""
    return [*shlex.split(record["command"]), *trial_overrides(record, trial)]
