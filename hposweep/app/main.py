"""Our own Hydra app: trains one configured model, or a sweep of them with --multirun."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from hposweep import optional_packages
from hposweep.app import composition_errors, schema
from hposweep.app.check_config import (
    check_config,
    check_extra,
    check_keys,
    check_metric,
    check_sweep,
    data_fingerprint,
    name_of_value,
    settled_options,
)
from hposweep.conf_dir import conf_dir
from hposweep.errors import ConfigError
from hposweep.hydra_glue import run_again
from hposweep.hydra_glue.unread_keys import keys_of
from hposweep.results.terminal import summary


def trial(cfg: DictConfig) -> float:
    """Calls the configured objective: one job."""
    composition_errors.composition_is_over()
    try:
        check_config(cfg)
        check_metric(cfg, HydraConfig.get().sweeper)
        if _is_a_single_run():
            check_keys(cfg, OmegaConf.create({"hydra": HydraConfig.get()}))
        value: float = hydra.utils.get_method(cfg.objective._target_)(cfg)
    except ConfigError as error:
        if _is_a_single_run() and composition_errors.VARIABLE not in os.environ:
            raise SystemExit(f"{error}") from None
        raise
    if _is_a_single_run():
        config = HydraConfig.get()
        folder, command = Path(config.runtime.output_dir), run_again.command_of_run(config.overrides)
        summary.print_single_run(folder, name_of_value(cfg, config.sweeper), value, command)
    return value


def _check_sweep(cfg: DictConfig, of_options: Sequence[DictConfig]) -> None:
    composition_errors.composition_is_over()
    check_sweep(cfg, of_options)


# Read by the sweeper when trials' configs are composed, before anything is written.
trial.check_config = _check_sweep  # type: ignore[attr-defined]
trial.data_fingerprint = data_fingerprint  # type: ignore[attr-defined]
trial.settled_options = settled_options  # type: ignore[attr-defined]


def _is_a_single_run() -> bool:
    return HydraConfig.get().mode == RunMode.RUN


def run() -> None:
    """Runs the app with the command line's arguments; what Hydra refuses in them is one line."""
    schema.register()
    if optional_packages.missing("keras"):
        _refuse_what_needs_keras()
    with composition_errors.until_composed() as wants_tracebacks:
        try:
            hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="config")(trial)()
        except composition_errors.COMPOSITION_ERRORS as error:
            if wants_tracebacks:
                raise
            raise SystemExit(composition_errors.one_line(error, _keys())) from None
        except BrokenPipeError:  # whoever read the output has gone
            raise
        except (ValueError, OSError) as error:
            # Some of what Hydra refuses is no exception of its own.
            if wants_tracebacks or not composition_errors.is_composing():
                raise
            raise SystemExit(_refusal(error)) from None


def _refuse_what_needs_keras() -> None:
    """Says before Hydra makes the folder of a single run that our own objective can't run here."""
    arguments = get_args_parser().parse_args()
    if arguments.help or arguments.hydra_help or arguments.cfg or arguments.info or arguments.shell_completion:
        return
    try:
        with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
            cfg = hydra.compose("config", arguments.overrides)
    except composition_errors.COMPOSITION_ERRORS:  # of a sweep's values, too, which is checked when it is composed
        return
    try:
        check_extra(cfg)
    except ConfigError as error:
        raise SystemExit(f"{error}") from None


def _refusal(error: Exception) -> str:
    for word in sys.argv[1:]:
        group, _, option = word.partition("=")
        if option == "null" and (conf_dir() / group).is_dir():
            return f"{word}: a config group needs one of its options; Available: {', '.join(_options_of(group))}"
    return str(error)


def _options_of(group: str) -> list[str]:
    return sorted(path.stem for path in (conf_dir() / group).glob("*.yaml"))


def _keys() -> list[str]:
    """The keys of the config as it is with the groups that were chosen, for suggestions."""
    GlobalHydra.instance().clear()
    groups = [word for word in sys.argv[1:] if "=" in word and (conf_dir() / word.split("=")[0]).is_dir()]
    with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
        try:
            config = hydra.compose("config", groups, return_hydra_config=True)
        except composition_errors.COMPOSITION_ERRORS:
            config = hydra.compose("config", return_hydra_config=True)
    return keys_of("", config)
