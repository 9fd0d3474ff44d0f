"""A sweep as a TensorBoard log folder: a run for each trial, with its curves as scalars, and a table for HParams.

It needs the package `tensorboard` alone, and not its `EventFileWriter`, which imports TensorFlow if that is installed
and starts a thread for each run.
"""

from __future__ import annotations

import io
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2
from tensorboard.plugins.hparams.summary_v2 import (
    Discrete,
    HParam,
    IntInterval,
    Metric,
    RealInterval,
    hparams_config_pb,
    hparams_pb,
)
from tensorboard.plugins.text.summary_v2 import text_pb
from tensorboard.summary.writer.record_writer import RecordWriter

from hposweep.errors import ConfigError
from hposweep.results import sweep_data
from hposweep.results.exports import trial_dates
from hposweep.results.exports.domains import Domain, Options, Range, domains
from hposweep.results.exports.trial_dates import TrialDates
from hposweep.results.sweep_data import SweepData, is_number
from hposweep.search_space import Value
from hposweep.shown_text import plural
from hposweep.sweep_folder.files import write_atomically
from hposweep.sweep_folder.trial_files import TrialFiles
from hposweep.trial import Trial, TrialState

Kept = float | bool | str

STATE_TAG = "trial/state"
FAILURE_TAG = "trial/failure"
STATUSES = {
    TrialState.RUNNING: api_pb2.STATUS_RUNNING,
    TrialState.COMPLETE: api_pb2.STATUS_SUCCESS,
    TrialState.PAUSED: api_pb2.STATUS_SUCCESS,
    TrialState.STOPPED: api_pb2.STATUS_SUCCESS,
    TrialState.DIVERGED: api_pb2.STATUS_FAILURE,
    TrialState.FAILED: api_pb2.STATUS_FAILURE,
    TrialState.TIMED_OUT: api_pb2.STATUS_FAILURE,
    TrialState.INTERRUPTED: api_pb2.STATUS_UNKNOWN,
}


def write(sweep_dir: Path, target: str) -> str:
    """Writes the sweep into a log folder.

    Each run has all columns of the trial's learning curve, by epoch. TensorBoard stores them as 32-bit floats, and the
    values of hyperparameters as 64-bit floats. It knows only success and failure: the text `trial/state` holds our own
    state, and `trial/failure` the reason of a failure.

    Args:
        target: an empty folder or a new one.

    Returns:
        One line: what was written, and how to look at it.

    Raises:
        ConfigError: if the folder is not empty, or can't be written.
    """
    sweep = sweep_data.read(sweep_dir)
    folder = Path(target)
    try:
        if folder.exists() and any(folder.iterdir()):
            raise ConfigError(f"{target}: is not empty; name an empty folder or a new one")
        _write(folder, sweep_dir, sweep)
    except OSError as error:
        raise ConfigError(f"{target}: can't be written ({error.strerror})") from None
    n_trials = len(sweep.trials)
    return (
        f"{plural(n_trials, 'TensorBoard run')}. "
        f"To look at {'it' if n_trials == 1 else 'them'}: tensorboard --logdir {shlex.quote(target)}"
    )


def _write(folder: Path, sweep_dir: Path, sweep: SweepData) -> None:
    ranges = domains(sweep)
    dates = trial_dates.read(sweep_dir)
    started_s = min((each.started.timestamp() for each in dates.values()), default=0.0)
    kept = {key: _kept(domain) for key, domain in ranges.items() if isinstance(domain, Options)}
    config = hparams_config_pb(
        hparams=[HParam(key, domain=_hparam_domain(ranges[key], kept.get(key, ()))) for key in ranges],
        metrics=[Metric(sweep.history.metric)],
        time_created_secs=started_s,
    )
    _write_events(folder, [Event(wall_time=started_s, summary=config)])
    # Of equal length, so that runs sort by number wherever names are sorted.
    n_digits = len(str(max(sweep.history.trials, default=0)))
    for trial in sweep.trials:
        name = f"trial-{trial.number:0{n_digits}}"
        hparams = {
            key: _hparam_value(value, ranges[key], kept.get(key, ())) for key, value in trial.configuration.items()
        }
        _write_events(folder / name, _events(sweep_dir, sweep, trial, name, hparams, dates[trial.number]))


def _events(
    sweep_dir: Path, sweep: SweepData, trial: Trial, name: str, hparams: Mapping[str, Kept], dates: TrialDates
) -> list[Event]:
    started_s, ended_s = dates.started.timestamp(), dates.ended.timestamp()
    start = hparams_pb(hparams, trial_id=name, start_time_secs=started_s)
    texts = {STATE_TAG: str(trial.state)} | ({FAILURE_TAG: trial.failure_line} if trial.failure else {})
    return [
        Event(wall_time=started_s, summary=start),
        *_scalar_events(sweep_dir, sweep, trial, dates),
        *(Event(wall_time=ended_s, summary=text_pb(tag, text)) for tag, text in texts.items()),
        Event(wall_time=ended_s, summary=_session_end(trial.state, ended_s)),
    ]


def _scalar_events(sweep_dir: Path, sweep: SweepData, trial: Trial, dates: TrialDates) -> list[Event]:
    """An event an epoch, with the columns of the learning curve and the metric."""
    metric, curve = sweep.history.metric, sweep.curves.get(trial.number)
    rows = TrialFiles(sweep_dir, trial.folder, sweep.history.schema).read_curve()
    points: dict[int, dict[str, float]] = {}
    moments: dict[int, float] = {}
    now = dates.started.timestamp()
    for row in rows:
        epoch = int(row["epoch"])
        now += row.get("seconds", 0.0)
        points[epoch], moments[epoch] = {name: value for name, value in row.items() if name != "epoch"}, now
    if curve is not None:
        for epoch, value in zip(curve.epochs.tolist(), curve.values.tolist(), strict=True):
            points.setdefault(epoch, {})[metric] = value
    elif trial.value is not None:  # of an objective that reports no epochs
        points[trial.epoch or 0] = {metric: trial.value}
    return [
        Event(
            wall_time=moments.get(epoch, dates.reached.get(epoch, dates.ended).timestamp()),
            step=epoch,
            summary=Summary(value=[Summary.Value(tag=tag, simple_value=value) for tag, value in points[epoch].items()]),
        )
        for epoch in sorted(points)
    ]


def _session_end(state: TrialState, ended_s: float) -> Summary:
    info = plugin_data_pb2.SessionEndInfo(status=STATUSES[state], end_time_secs=ended_s)
    if state is TrialState.RUNNING:
        info.ClearField("end_time_secs")
    data = plugin_data_pb2.HParamsPluginData(session_end_info=info)
    tag = metadata.SESSION_END_INFO_TAG
    value = Summary.Value(tag=tag, metadata=metadata.create_summary_metadata(data), tensor=metadata.NULL_TENSOR)
    return Summary(value=[value])


def _hparam_domain(domain: Domain, kept: Sequence[Kept]) -> Any:
    match domain:
        case Range(integer=True):
            return IntInterval(int(domain.low), int(domain.high))
        case Range():
            return RealInterval(domain.low, domain.high)
    return Discrete(kept)


def _hparam_value(value: Value, domain: Domain, kept: Sequence[Kept]) -> Kept:
    return float(value) if isinstance(domain, Range) else kept[domain.position(value)]


def _kept(options: Options) -> Sequence[Kept]:
    """The options as TensorBoard has them: all numbers, all booleans, or all text."""
    if all(isinstance(value, bool) for value in options.values):
        return options.values
    if all(is_number(value) for value in options.values):
        numbers = [float(value) for value in options.values]
        # Two that are equal as numbers, 1 and 1.0 say, are told apart as texts.
        if len(set(numbers)) == len(numbers) and numbers == list(options.values):
            return numbers
    return options.texts


def _write_events(run: Path, events: list[Event]) -> None:
    run.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    writer = RecordWriter(buffer)
    for event in [Event(wall_time=events[0].wall_time, file_version="brain.Event:2"), *events]:
        writer.write(event.SerializeToString())
    # TensorBoard finds its files by "tfevents".
    write_atomically(run / "events.out.tfevents.0.hposweep", buffer.getvalue(), durable=False)
