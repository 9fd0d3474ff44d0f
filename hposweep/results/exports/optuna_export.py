"""A sweep as a study in an Optuna storage, for Optuna's plots and optuna-dashboard."""

from __future__ import annotations

import datetime
import shlex
import warnings
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import DuplicatedStudyError, ExperimentalWarning, StorageInternalError
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial
from sqlalchemy import URL, make_url
from sqlalchemy.exc import SQLAlchemyError

from hposweep.errors import ConfigError
from hposweep.results import sweep_data
from hposweep.results.exports import trial_dates
from hposweep.results.exports.domains import Domain, Options, Range, domains
from hposweep.results.exports.trial_dates import TrialDates
from hposweep.results.sweep_data import SweepData, is_number
from hposweep.search_space import Value
from hposweep.shown_text import plural
from hposweep.trial import Trial, TrialState

STATES = {
    TrialState.RUNNING: optuna.trial.TrialState.RUNNING,
    TrialState.COMPLETE: optuna.trial.TrialState.COMPLETE,
    TrialState.PAUSED: optuna.trial.TrialState.PRUNED,
    TrialState.STOPPED: optuna.trial.TrialState.PRUNED,
    # Optuna has no worst result: a trial without a number as its value has failed.
    TrialState.DIVERGED: optuna.trial.TrialState.FAIL,
    TrialState.FAILED: optuna.trial.TrialState.FAIL,
    TrialState.TIMED_OUT: optuna.trial.TrialState.FAIL,
    TrialState.INTERRUPTED: optuna.trial.TrialState.FAIL,
}


def write(sweep_dir: Path, target: str) -> str:
    """Adds the sweep to a storage, as a study named like its folder.

    A trial keeps its number. User attributes hold what Optuna has no field for: of a trial `state`, `seed`, `attempts`,
    `duration_s`, `folder`, `failure` and, if Optuna calls it failed, its `value` as text; of the study `search_space`
    and `seed`.

    Args:
        target: the URL of a storage, or the path of an SQLite file, new or not.

    Returns:
        One line: what was written, and how to look at it.

    Raises:
        ConfigError: if the storage can't be used, or has a study of this name already.
    """
    sweep = sweep_data.read(sweep_dir)
    # All is checked before the storage is touched.
    trials = frozen_trials(sweep_dir, sweep)
    url = _storage_url(target)
    shown = url.render_as_string(hide_password=True)
    try:
        storage = RDBStorage(url.render_as_string(hide_password=False))
    # ImportError: no driver for the database; RuntimeError: its tables are of another version of Optuna.
    except (SQLAlchemyError, ImportError, RuntimeError) as error:
        raise ConfigError(f"{shown}: can't be used as an Optuna storage ({_reason(error)})") from None
    try:
        _write(storage, sweep, trials)
    except DuplicatedStudyError:
        raise ConfigError(f"{shown}: has a study {sweep.name!r} already; name another storage") from None
    except (SQLAlchemyError, StorageInternalError) as error:
        raise ConfigError(f"{shown}: can't be written ({_reason(error)})") from None
    return (
        f"Study {sweep.name!r} with {plural(len(trials), 'trial')}. "
        f"To look at it: optuna-dashboard {shlex.quote(shown)}"
    )


def frozen_trials(sweep_dir: Path, sweep: SweepData) -> list[FrozenTrial]:
    """The trials as Optuna's, in the order of their numbers."""
    ranges = domains(sweep)
    distributions = {key: distribution(domain) for key, domain in ranges.items()}
    dates = trial_dates.read(sweep_dir)
    # Optuna numbers them as they come.
    assert [trial.number for trial in sweep.trials] == list(range(len(sweep.trials)))
    return [_frozen(sweep, trial, ranges, distributions, dates[trial.number]) for trial in sweep.trials]


def distribution(domain: Domain) -> BaseDistribution:
    """Optuna's distribution over these values.

    Optuna's options are numbers, text, booleans and null; it takes 1, 1.0 and true for the same. So a list or a mapping
    becomes text, and so do all options if two of them would be the same: as a search space's YAML file writes them.
    """
    match domain:
        case Range(integer=True):
            return IntDistribution(int(domain.low), int(domain.high), log=domain.log)
        case Range():
            return FloatDistribution(domain.low, domain.high, log=domain.log)
    return CategoricalDistribution(_choices(domain))


def _choices(options: Options) -> tuple[bool | int | float | str | None, ...]:
    held = [
        text if isinstance(value, list | tuple | dict) or _is_too_large(value) else value
        for value, text in zip(options.values, options.texts, strict=True)
    ]
    return tuple(held) if len(set(held)) == len(held) else options.texts


def _is_too_large(value: Value) -> bool:
    """Whether it is an integer that no float holds: Optuna compares choices as floats."""
    return isinstance(value, int) and not is_number(value) and not isinstance(value, bool)


def _frozen(
    sweep: SweepData,
    trial: Trial,
    ranges: dict[str, Domain],
    distributions: dict[str, BaseDistribution],
    dates: TrialDates,
) -> FrozenTrial:
    state = STATES[trial.state]
    has_failed = state is optuna.trial.TrialState.FAIL
    curve = sweep.curves.get(trial.number)
    frozen = optuna.trial.create_trial(
        state=state,
        value=None if has_failed else trial.value,
        params={key: _param(value, ranges[key], distributions[key]) for key, value in trial.configuration.items()},
        distributions={key: distributions[key] for key in trial.configuration},
        user_attrs=_user_attributes(trial, has_failed=has_failed),
        intermediate_values=(
            {} if curve is None else dict(zip(curve.epochs.tolist(), curve.values.tolist(), strict=True))
        ),
    )
    frozen.datetime_start = _local(dates.started)
    if state.is_finished():
        frozen.datetime_complete = _local(dates.ended)
    return frozen


def _param(value: Value, domain: Domain, kept: BaseDistribution) -> Value:
    if isinstance(domain, Options):
        assert isinstance(kept, CategoricalDistribution)
        return kept.choices[domain.position(value)]
    return value


def _user_attributes(trial: Trial, *, has_failed: bool) -> dict[str, Any]:
    attributes: dict[str, Any] = {
        "state": str(trial.state),
        "seed": trial.seed,
        "attempts": trial.attempts,
        "duration_s": trial.duration_s,
        "folder": trial.folder,
    }
    if trial.failure:
        attributes["failure"] = trial.failure_line
    if has_failed and trial.value is not None:
        attributes["value"] = repr(trial.value)  # as text: JSON has no NaN
    return attributes


def _local(date: datetime.datetime) -> datetime.datetime:
    """The date as Optuna stores it: local, without a time zone."""
    return date.astimezone().replace(tzinfo=None)


def _write(storage: RDBStorage, sweep: SweepData, trials: list[FrozenTrial]) -> None:
    # Optuna reports each study that it creates.
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(storage=storage, study_name=_study_name(sweep), direction=sweep.history.direction.value)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            study.set_metric_names([sweep.history.metric])
        study.set_user_attr("seed", sweep.history.seed)
        study.set_user_attr("search_space", {} if sweep.record is None else dict(sweep.record.prior_texts))
        study.add_trials(trials)
    except BaseException:
        # A half-written study would block the next export.
        optuna.delete_study(study_name=_study_name(sweep), storage=storage)
        raise


def _study_name(sweep: SweepData) -> str:
    """The folder's name; a database holds no name that isn't UTF-8."""
    return sweep.name.encode(errors="backslashreplace").decode()


def _storage_url(target: str) -> URL:
    if "://" not in target:
        return URL.create("sqlite", database=target)
    try:
        url = make_url(target)
    except (SQLAlchemyError, ValueError) as error:  # ValueError: a port that is no number
        # The target itself may hold a password.
        scheme = target.partition("://")[0]
        raise ConfigError(f"{scheme}://...: no URL of a storage ({_reason(error)})") from None
    if url.get_backend_name() == "sqlite" and url.database in (None, "", ":memory:"):
        raise ConfigError(f"{target}: would be lost with this process; name a file, as in sqlite:///study.db")
    return url


def _reason(error: Exception) -> str:
    """The database's message, in one line."""
    cause = getattr(error, "orig", None) or getattr(error.__cause__, "orig", None) or error
    return " ".join(str(cause).split()) or type(cause).__name__
