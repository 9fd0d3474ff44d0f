"""`sweep.yaml`: what is needed to run a sweep again, and to say where a second one differs."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import logging
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from hydra.conf import OverridesConf
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from hposweep.conf_dir import conf_dir
from hposweep.errors import ConfigError
from hposweep.hydra_glue.overrides import is_sweep, render
from hposweep.hydra_glue.sweep_folder import dir_override, is_dir_override
from hposweep.search_space import SearchSpace
from hposweep.secret_keys import is_masked, masked_configuration, masked_override
from hposweep.shown_text import cut
from hposweep.sweep_folder import environment
from hposweep.sweep_folder.sweep_yaml import (
    RECORD_FILE,
    AppRecord,
    SweepRecord,
    read_plain,
    read_record,
    readable_record,
    recordable,
    select,
)
from hposweep.trial import Trial, TrialState

log = logging.getLogger(__name__)

MULTIRUN_FILE = "multirun.yaml"  # Hydra's own, the config of the sweep
CONSOLE_SCRIPT = "hposweep"
CONFIG_OPTIONS = ("--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd")  # Hydra's
# Overrides that make up a sweep, and mean nothing to a trial that is run by itself.
MODE = "hydra.mode="
METRIC = "hydra.sweeper.metric="
# Groups of our own app whose files write into the sweeper's node.
NO_NODES_OF_THEIR_OWN = ("search_space", "searcher", "scheduler", "experiment")
OF_THE_SWEEP = ("hydra.sweep", "hydra/sweeper", "hydra.launcher", "hydra/launcher", MODE)


def record_of(config: DictConfig, search_space: SearchSpace, data: str | None = None) -> AppRecord:
    """What the file of this sweep holds; of versions those of the packages that are installed.

    Args:
        data: the fingerprint of the data's files; None: unknown.
    """
    return _record(config, search_space, program(), data=data, **environment.record())


def _record(config: DictConfig, search_space: SearchSpace | None, command: str, **of_the_environment: Any) -> AppRecord:
    # Interpolations stay as they are: they are part of what the user wrote.
    plain = recordable(OmegaConf.to_container(config, resolve=False, enum_to_str=True))
    overrides = plain["hydra"]["overrides"]
    return AppRecord(
        command=command,
        cwd=str(config.hydra.runtime.cwd),
        task_overrides=overrides["task"],
        hydra_overrides=overrides["hydra"],
        seed=config.hydra.sweeper.seed,
        n_trials=config.hydra.sweeper.n_trials,
        search_space={} if search_space is None else search_space.records(),
        config=plain,
        **of_the_environment,
    )


def from_multirun(sweep_dir: Path, search_space_of: Callable[[DictConfig], SearchSpace]) -> AppRecord:
    """The record of a sweep whose `sweep.yaml` is lost, as far as `multirun.yaml` tells: without versions and commit.

    Raises:
        ConfigError: if that file is lost, too, or damaged.
    """
    config = _multirun(sweep_dir)
    try:
        return _record(config, search_space_of(config), program())
    except (OmegaConfBaseException, HydraException, LookupError, TypeError, AttributeError):
        raise _damaged_multirun(sweep_dir) from None


def _multirun(sweep_dir: Path) -> DictConfig:
    try:
        config = OmegaConf.load(sweep_dir / MULTIRUN_FILE)
    except FileNotFoundError:
        raise ConfigError(f"{sweep_dir / MULTIRUN_FILE}: not found") from None
    except (yaml.YAMLError, OmegaConfBaseException, ValueError, OSError, RecursionError):
        raise _damaged_multirun(sweep_dir) from None
    if not isinstance(config, DictConfig):
        raise _damaged_multirun(sweep_dir)
    return config


def _damaged_multirun(sweep_dir: Path) -> ConfigError:
    return ConfigError(f"{sweep_dir / MULTIRUN_FILE}: damaged; it must hold the config of the sweep")


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


def words_of_program(record: AppRecord) -> list[str]:
    """What starts the program of a recorded sweep again, with this interpreter, wherever its scripts are."""
    first, *others = _words(record.command)
    return [sys.executable, *(["-m", "hposweep"] if first == CONSOLE_SCRIPT else []), *others]


def read(sweep_dir: Path) -> AppRecord:
    """The record of a Hydra app's sweep.

    Raises:
        ConfigError: if the folder has none, a damaged one, or that of a sweep by `hposweep.tune`.
    """
    record = read_record(sweep_dir)
    if record is None:
        raise ConfigError(
            f"{sweep_dir / RECORD_FILE}: not found; naming the sweep again with its command writes it anew where "
            f"{MULTIRUN_FILE} tells enough"
        )
    return of_an_app(record, sweep_dir)


def read_or_recovered(sweep_dir: Path) -> AppRecord:
    """The same; where it is lost or damaged, as much of it as starts the sweep again, from `multirun.yaml`.

    Raises:
        ConfigError: if neither tells how the sweep was started.
    """
    try:
        return read(sweep_dir)
    except ConfigError as error:
        if (sweep_dir / RECORD_FILE).is_file() and readable_record(sweep_dir) is not None:
            raise  # of another front, which has no command
        try:
            config = _multirun(sweep_dir)
            record = _record(config, None, shlex.join(_program_of(config)))
        except (OmegaConfBaseException, LookupError, TypeError, AttributeError):
            raise ConfigError(f"{error}; {_damaged_multirun(sweep_dir)}") from None
        except ConfigError as other:
            raise ConfigError(f"{error}; {other}") from None
        log.warning("%s: lost or damaged; %s stands in for it", sweep_dir / RECORD_FILE, MULTIRUN_FILE)
        return record


def _program_of(config: DictConfig) -> list[str]:
    """What started the program, as far as its config tells.

    Raises:
        ConfigError: if its script is not where it was started.
    """
    job, runtime = config.hydra.job, config.hydra.runtime
    if any(source.provider == "main" and Path(source.path) == conf_dir() for source in runtime.config_sources):
        words = ["python", "-m", "hposweep"]
    else:
        script = f"{job.name}.py"
        if not (Path(runtime.cwd) / script).is_file():
            raise ConfigError(f"{Path(runtime.cwd) / script}: not found; start the sweep again with its command")
        words = ["python", script]
    words += ["--config-name", job.config_name]
    for source in runtime.config_sources:
        if source.provider == "command-line":
            words += ["--config-dir", source.path]
    return words


def of_an_app(record: SweepRecord, sweep_dir: Path) -> AppRecord:
    """The record, which is that of a Hydra app's sweep.

    Raises:
        ConfigError: if it is that of a sweep by `hposweep.tune`.
    """
    if isinstance(record, AppRecord):
        return record
    raise ConfigError(
        f"{sweep_dir / RECORD_FILE}: a sweep of hposweep.tune, which no command line runs again; "
        f"hposweep.tune(..., folder='{sweep_dir}') goes on with it"
    )


def defaults_of_keys() -> dict[str, dict[str, Any]]:
    """By its `_target_` the keys of each of our sweepers, launchers, searchers and schedulers, and their defaults."""
    Plugins.instance()  # whose scan puts them into the store
    groups = ConfigStore.instance().repo["hydra"]
    nodes = [groups["sweeper"], groups["launcher"], groups["sweeper"]["searcher"], groups["sweeper"]["scheduler"]]
    found: dict[str, dict[str, Any]] = {}
    for stored in (each for group in nodes for each in group.values() if not isinstance(each, dict)):
        if stored.provider == "hposweep":
            keys = recordable(OmegaConf.to_container(stored.node, resolve=False, enum_to_str=True))
            keys.pop("defaults", None)  # a word to Hydra, and no key of the composed config
            found.setdefault(keys["_target_"], keys)
    return found


def completed(record: AppRecord) -> AppRecord:
    """The record with the keys that came since it was written, and their defaults."""
    record = record.completed(defaults_of_keys())
    if not _is_of_our_app(record):
        return record
    config = dict(record.config)
    choices = dict(record.choices)
    groups = yaml.safe_load((conf_dir() / "config.yaml").read_text(encoding="utf-8"))["defaults"]
    for group, default in (pair for entry in groups if isinstance(entry, dict) for pair in entry.items()):
        if " " in group or (conf_dir() / group).name in NO_NODES_OF_THEIR_OWN or default is None:
            continue
        option = choices.setdefault(group, default)
        path = conf_dir() / group / f"{option}.yaml"
        node = config.get(group, {})
        if path.is_file() and isinstance(node, Mapping):
            keys = yaml.safe_load(path.read_text(encoding="utf-8"))
            keys = keys.get(group, keys)
            config[group] = {**{key: value for key, value in keys.items() if key != "defaults"}, **node}
    hydra = {**config["hydra"], "runtime": {**config["hydra"]["runtime"], "choices": choices}}
    return dataclasses.replace(record, config={**config, "hydra": hydra})


def _is_of_our_app(record: AppRecord) -> bool:
    return all(role in record.choices for role in ("searcher", "scheduler"))


def starting_overrides(record: AppRecord, folder: Path) -> list[str]:
    """The overrides with which a recorded sweep was started, for a sweep in this folder."""
    of_hydra = [line for line in record.hydra_overrides if not is_dir_override(line)]
    return [*record.task_overrides, *_search_space_of_its_time(record), *of_hydra, dir_override(folder.absolute())]


def _search_space_of_its_time(record: AppRecord) -> list[str]:
    """The choice of the search space, where our app had another default than `own` when the sweep was started."""
    choice = record.choices.get("search_space")
    is_given = any(line.startswith("search_space=") for line in record.task_overrides)
    if (
        choice is None
        or not _is_of_our_app(record)
        or is_given
        or "own_spaces" in (record.config_node("hydra", "sweeper") or {})
    ):
        return []
    return [f"search_space={choice}"]


def trial_overrides(record: AppRecord, trial: Trial) -> list[str]:
    """The overrides with which a trial of a recorded sweep is run again, by itself, with the sweep's full budget."""
    overrides = [*_without_sweeps(tuple(record.task_overrides)), *render(trial.configuration)]
    taken = {line.split("=", 1)[0] for line in overrides}
    if record.seed_key is not None and record.seed_key not in taken:
        overrides.append(f"{record.seed_key}={trial.seed}")
    budget = _full_budget(record, trial)
    if budget is not None and record.budget_key is not None:
        overrides.append(f"{record.budget_key}={budget}")
    return [*overrides, *_of_hydra(record)]


def _of_hydra(record: AppRecord) -> list[str]:
    """The overrides of Hydra's own config that mean something to a trial which is run by itself."""
    # A single run of our own app has the sweeper's node, and reads the metric there.
    kept = METRIC if _is_of_our_app(record) else ()
    lines = [
        line
        for line in record.hydra_overrides
        if line.startswith(kept) or not line.lstrip("+~").startswith(OF_THE_SWEEP)
    ]
    is_of_the_config = not any(line.startswith(MODE) for line in record.hydra_overrides)
    if is_of_the_config and record.config_node("hydra", "mode") == RunMode.MULTIRUN.name:
        lines.append(f"{MODE}{RunMode.RUN.name}")  # the config alone, say of its hparams_search, makes a sweep of it
    return lines


def _full_budget(record: AppRecord, trial: Trial) -> int | None:
    """Epochs of a complete trial as the scheduler has them; None where the config has them anyway."""
    r_max = record.scheduler_r_max
    if isinstance(r_max, int):
        return r_max
    # An interpolation is resolved in the config of the sweep: a complete trial tells to what.
    return trial.target_epoch if r_max is not None and trial.state is TrialState.COMPLETE else None


@functools.lru_cache(maxsize=8)
def _without_sweeps(overrides: tuple[str, ...]) -> tuple[str, ...]:
    """The overrides that are the same for all trials; parsed once for the thousands of trials of a sweep."""
    parser = OverridesParser.create()
    return tuple(line for line in overrides if not is_sweep(_parsed(parser, line)))


def _parsed(parser: OverridesParser, line: str) -> Override:
    try:
        return parser.parse_override(line)
    except (HydraException, RecursionError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise ConfigError(
            f"{RECORD_FILE}: overrides: {cut(line, 100)!r} is no override of Hydra's ({reason})"
        ) from None


def command_of_run(overrides: OverridesConf) -> list[str]:
    """The words that run a single run again, in another folder, as people may see them.

    Args:
        overrides: the node of Hydra's config.
    """
    of_hydra = [line for line in overrides.hydra if not line.startswith(("hydra.run.dir=", MODE))]
    return [*_words(program()), *map(masked_override, (*overrides.task, *of_hydra))]


def trial_command(record: AppRecord, trial: Trial) -> list[str]:
    """The words that run a trial of a recorded sweep again, by itself."""
    return [*_words(record.command), *trial_overrides(record, trial)]


def shown_command(record: AppRecord, trial: Trial) -> list[str]:
    """The same as people may see it: with masks in place of what looks like a secret."""
    shown = dataclasses.replace(trial, configuration=masked_configuration(trial.configuration))
    return trial_command(record.masked(), shown)


def shown_commands(record: SweepRecord | None) -> Callable[[Trial], list[str]] | None:
    """What makes `shown_command` of each trial; None for hposweep.tune and simulations, which leave no command."""
    return functools.partial(shown_command, record) if isinstance(record, AppRecord) else None


def with_secrets(record: AppRecord, sweep_dir: Path, given: Mapping[str, str]) -> AppRecord:
    """The record with the values of its overrides that are not recorded.

    Hydra's own `multirun.yaml` has them, unless somebody has removed it.

    Args:
        given: values by their keys, which come first.

    Raises:
        ConfigError: if a value is missing, or one is given that is not.
    """
    unknown = [key for key in given if key not in record.masked_keys]
    if unknown:
        masked = ", ".join(record.masked_keys) or "none"
        raise ConfigError(f"--secret: {unknown[0]} is no masked key of {sweep_dir / RECORD_FILE}; masked: {masked}")
    if not record.masked_keys:
        return record
    found = read_plain(sweep_dir / MULTIRUN_FILE) or {}

    def restored(kind: str, lines: Sequence[str]) -> list[str]:
        written = select(found, "hydra", "overrides", kind)
        return [_restored(sweep_dir, line, given, written) if is_masked(line) else line for line in lines]

    return dataclasses.replace(
        record,
        task_overrides=restored("task", record.task_overrides),
        hydra_overrides=restored("hydra", record.hydra_overrides),
    )


def _restored(sweep_dir: Path, line: str, given: Mapping[str, str], written: object) -> str:
    key = line.partition("=")[0]
    name = key.lstrip("+")
    if name in given:
        return f"{key}={given[name]}"
    for other in reversed(written) if isinstance(written, list) else ():
        if isinstance(other, str) and other.partition("=")[0] == key and not is_masked(other):
            return other
    raise ConfigError(
        f"{sweep_dir / RECORD_FILE}: the value of {name} is not recorded, as it looks like a secret, and "
        f"{MULTIRUN_FILE} does not tell it; give it with --secret {name}=..."
    )


@functools.lru_cache(maxsize=8)
def _words(command: str) -> tuple[str, ...]:
    """The words of a shell's line."""
    return tuple(shlex.split(command))
