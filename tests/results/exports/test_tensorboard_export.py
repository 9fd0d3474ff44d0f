"""A sweep as a log folder: TensorBoard itself reads it back."""

import datetime
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.event_accumulator import STORE_EVERYTHING_SIZE_GUIDANCE, EventAccumulator
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.hparams import api_pb2, backend_context, get_experiment, list_session_groups, metadata
from tensorboard.util import tensor_util

import hposweep
from hposweep.errors import ConfigError
from hposweep.history import SegmentEnded
from hposweep.results import sweep_data
from hposweep.results.exports import tensorboard_export
from hposweep.schedulers.asha import AshaScheduler
from hposweep.search_space import Configuration, SearchSpace, literal
from hposweep.simulation import AugmentedBranin, simulate
from hposweep.sweep_folder.journal import read_events
from hposweep.sweep_folder.trial_files import TrialFiles
from hposweep.trial import Direction, Trial
from support.processes import RunText
from support.random_sweep import swept
from support.strategies import search_trees

# Where TensorFlow is installed, TensorBoard's readers import it.
pytestmark = pytest.mark.process

EXPECTED = {
    "COMPLETE": api_pb2.STATUS_SUCCESS,
    "PAUSED": api_pb2.STATUS_SUCCESS,
    "STOPPED": api_pb2.STATUS_SUCCESS,
    "DIVERGED": api_pb2.STATUS_FAILURE,
    "FAILED": api_pb2.STATUS_FAILURE,
    "TIMED_OUT": api_pb2.STATUS_FAILURE,
    "INTERRUPTED": api_pb2.STATUS_UNKNOWN,
    "RUNNING": api_pb2.STATUS_RUNNING,
}


def exported(folder: Path) -> Path:
    logs = folder.parent / "logs"
    tensorboard_export.write(folder, str(logs))
    return logs


def run_of(logs: Path, name: str = ".") -> EventAccumulator:
    return EventAccumulator(str(logs / name), size_guidance=STORE_EVERYTHING_SIZE_GUIDANCE).Reload()


def run_names(logs: Path) -> list[str]:
    return sorted(path.name for path in logs.iterdir() if path.is_dir())


def curves(run: EventAccumulator) -> dict[str, dict[int, float]]:
    """All scalars by tag and epoch."""
    return {tag: {event.step: event.value for event in run.Scalars(tag)} for tag in run.Tags()["scalars"]}


def expected_curves(folder: Path, sweep: sweep_data.SweepData, trial: Trial) -> dict[str, dict[int, float]]:
    rows = TrialFiles(folder, trial.folder, sweep.history.schema).read_curve()
    found: dict[str, dict[int, float]] = {}
    for row in rows:
        for tag in row.keys() - {"epoch"}:
            found.setdefault(tag, {})[int(row["epoch"])] = row[tag]
    curve = sweep.curves.get(trial.number)
    if curve is not None:
        found[sweep.history.metric] = dict(zip(curve.epochs.tolist(), curve.values.tolist(), strict=True))
    elif trial.value is not None:
        found[sweep.history.metric] = {0: trial.value}
    return found


def in_32_bits(values: Mapping[str, Mapping[int, float]]) -> dict[str, dict[int, str]]:
    return {tag: {step: repr(float(np.float32(value))) for step, value in each.items()} for tag, each in values.items()}


def text(run: EventAccumulator, tag: str) -> str:
    (event,) = run.Tensors(tag)
    return str(tensor_util.make_ndarray(event.tensor_proto).item().decode())


def kept(key: str, value: Any) -> Any:
    """How TensorBoard has a hyperparameter's value."""
    if key == "odd":  # options of several types
        return literal(value)
    return value if isinstance(value, str | bool) else float(value)


def hparams_of(start_info: Any) -> dict[str, Any]:
    return {key: getattr(value, value.WhichOneof("kind")) for key, value in start_info.hparams.items()}


def seconds_of(date: str) -> float:
    return datetime.datetime.fromisoformat(date).timestamp()


def check(folder: Path, logs: Path) -> None:
    """Every trial is what the folder tells."""
    sweep = sweep_data.read(folder)
    ended = {event.trial: event.time for event in read_events(folder) if isinstance(event, SegmentEnded)}
    names = run_names(logs)
    assert [int(name.removeprefix("trial-")) for name in names] == [trial.number for trial in sweep.trials]
    for trial, name in zip(sweep.trials, names, strict=True):
        run = run_of(logs, name)
        assert in_32_bits(curves(run)) == in_32_bits(expected_curves(folder, sweep, trial))
        assert text(run, tensorboard_export.STATE_TAG) == trial.state
        has_failure = tensorboard_export.FAILURE_TAG in run.Tags()["tensors"]
        assert has_failure == bool(trial.failure)
        assert not has_failure or text(run, tensorboard_export.FAILURE_TAG) == trial.failure_line
        contents = run.PluginTagToContent("hparams")
        start = metadata.parse_session_start_info_plugin_data(contents[metadata.SESSION_START_INFO_TAG])
        assert hparams_of(start) == {key: kept(key, value) for key, value in trial.configuration.items()}
        assert start.group_name == name
        assert start.start_time_secs == seconds_of(trial.started_at)
        end = metadata.parse_session_end_info_plugin_data(contents[metadata.SESSION_END_INFO_TAG])
        assert end.status == EXPECTED[trial.state]
        at = ended.get(trial.number)
        assert end.end_time_secs == (0 if at is None else seconds_of(at))


@pytest.mark.parametrize("direction", list(Direction))
def test_a_sweep_with_each_state_and_odd_values_is_read_back(
    odd_sweep: Callable[[Direction], Path], direction: Direction
) -> None:
    folder = odd_sweep(direction)
    check(folder, exported(folder))
    assert {trial.state for trial in sweep_data.read(folder).trials} == set(EXPECTED)


@settings(max_examples=4)
@given(space=search_trees(), seed=st.integers(0, 1000))
def test_no_run_has_an_inactive_hyperparameter(space: SearchSpace, seed: int) -> None:
    with swept(space, seed, n_trials=4) as folder:
        logs = exported(folder)
        for trial, name in zip(sweep_data.read(folder).trials, run_names(logs), strict=True):
            contents = run_of(logs, name).PluginTagToContent("hparams")
            start = metadata.parse_session_start_info_plugin_data(contents[metadata.SESSION_START_INFO_TAG])
            assert start.hparams.keys() == {each.key for each in space.active(trial.configuration)}


def domain_of(info: Any) -> Any:
    if info.WhichOneof("domain") == "domain_interval":
        return info.domain_interval.min_value, info.domain_interval.max_value
    return list(info.domain_discrete)


def test_domains_are_those_of_the_recorded_search_space(odd_sweep: Callable[[Direction], Path]) -> None:
    logs = exported(odd_sweep(Direction.minimize))
    contents = run_of(logs).PluginTagToContent("hparams")
    experiment = metadata.parse_experiment_plugin_data(contents[metadata.EXPERIMENT_TAG])
    assert [(metric.name.group, metric.name.tag) for metric in experiment.metric_infos] == [("", "error")]
    found = {info.name: (info.type, domain_of(info)) for info in experiment.hparam_infos}
    number, boolean, string = api_pb2.DATA_TYPE_FLOAT64, api_pb2.DATA_TYPE_BOOL, api_pb2.DATA_TYPE_STRING
    assert found.pop("optimizer.rate") == (number, (1e-4, 1.0))
    assert found.pop("units") == (number, (32, 1024))
    assert found.pop("layers") == (number, (1, 3))
    assert found.pop("noise") == (number, (-3.25, 5.75)), "an infinite end is the trials' own"
    assert found.pop("decay") == (number, (0, 0.09))
    assert found.pop("batch") == (number, [16, 32])
    assert found.pop("half") == (number, [0.5, 1])
    assert found.pop("flag") == (boolean, [False, True])
    assert found.pop("low") == (number, (0.001, math.nextafter(1.0, 0.0)))
    assert found.pop("depth") == (number, (1, 8))
    assert found.pop("constant") == (number, [0.9])
    assert found.pop("name") == (string, ["a name"])
    assert found.pop("+unrecorded") == (number, (1.5, 4.5))
    texts = ["[1, two]", "{a: 1}", "null", "true", "1", "1.0", "'1'", "'[1, two]'", "inf"]
    assert found.pop("odd") == (string, sorted(texts))
    assert found.pop("text")[0] == string
    assert found == {}


def test_the_hparams_dashboard_shows_each_trial_with_its_status_and_metric(
    odd_sweep: Callable[[Direction], Path],
) -> None:
    folder = odd_sweep(Direction.minimize)
    logs = exported(folder)
    multiplexer = EventMultiplexer().AddRunsFromDirectory(str(logs)).Reload()
    context = backend_context.Context(TBContext(data_provider=MultiplexerDataProvider(multiplexer, str(logs))))
    experiment = get_experiment.Handler(RequestContext(), context, "", api_pb2.GetExperimentRequest()).run()
    assert [metric.name.tag for metric in experiment.metric_infos] == ["error"]
    request = api_pb2.ListSessionGroupsRequest(
        start_index=0, slice_size=100, allowed_statuses=list(set(EXPECTED.values()))
    )
    groups = list_session_groups.Handler(RequestContext(), context, "", request).run().session_groups
    sweep = sweep_data.read(folder)
    assert [group.name for group in groups] == [f"trial-{trial.number}" for trial in sweep.trials]
    for trial, group in zip(sweep.trials, groups, strict=True):
        (session,) = group.sessions
        assert session.status == EXPECTED[trial.state]
        assert hparams_of(group) == {key: kept(key, value) for key, value in trial.configuration.items()}
        curve = expected_curves(folder, sweep, trial).get("error", {})
        values = [repr(metric.value) for metric in session.metric_values]
        assert values == [repr(float(np.float32(value))) for value in list(curve.values())[-1:]]


def test_a_simulated_sweep_is_read_back(tmp_path: Path) -> None:
    folder = tmp_path / "swept"
    simulate(AugmentedBranin(), AshaScheduler(r_max=81), n_trials=12, n_workers=4, folder=folder)
    logs = exported(folder)
    check(folder, logs)
    assert run_names(logs)[:3] == ["trial-00", "trial-01", "trial-02"]


def objective(configuration: Configuration) -> float:
    for epoch in (1, 2):
        hposweep.report(epoch, configuration["x"] / epoch, loss=epoch)
    return float(configuration["x"] / 2)


@pytest.mark.process
def test_a_real_sweep_is_read_back(tmp_path: Path) -> None:
    folder = tmp_path / "swept"
    hposweep.tune(objective, {"x": "uniform(1, 2)"}, n_trials=3, n_workers=2, folder=folder)
    logs = exported(folder)
    check(folder, logs)
    times = [event.wall_time for event in run_of(logs, "trial-0").Scalars("value")]
    assert times == sorted(times)
    assert set(curves(run_of(logs, "trial-0"))) == {"value", "loss", "seconds"}


def test_tensorflow_is_never_imported(python: RunText, odd_sweep: Callable[[Direction], Path]) -> None:
    folder = odd_sweep(Direction.minimize)
    code = (
        "import sys\nfrom pathlib import Path\nfrom hposweep.results.exports import tensorboard_export\n"
        f"print(tensorboard_export.write(Path({str(folder)!r}), 'logs'))\n"
        "print('tensorflow' in sys.modules)"
    )
    done = python(code)
    assert done.exit_code == 0, done.err
    assert done.out.splitlines() == [
        "10 TensorBoard runs. To look at them: tensorboard --logdir logs",
        "False",
    ]


@pytest.mark.parametrize("held", ["a file", "another export", "a file in its place"])
def test_a_folder_that_holds_something_is_refused_and_left_alone(tmp_path: Path, held: str) -> None:
    folder, logs = tmp_path / "swept", tmp_path / "logs"
    simulate(AugmentedBranin(), AshaScheduler(r_max=81), n_trials=3, folder=folder)
    if held == "a file in its place":
        logs.write_text("")
    elif held == "a file":
        logs.mkdir()
        (logs / "mine").write_text("")
    else:
        exported(folder)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ConfigError) as caught:
        tensorboard_export.write(folder, str(logs))
    reason = {"a file in its place": "can't be written (Not a directory)"}
    expected = reason.get(held, "is not empty; name an empty folder or a new one")
    assert str(caught.value) == f"{logs}: {expected}"
    assert sorted(tmp_path.rglob("*")) == before


def test_an_empty_folder_will_do(tmp_path: Path) -> None:
    folder = tmp_path / "swept"
    simulate(AugmentedBranin(), AshaScheduler(r_max=81), n_trials=3, folder=folder)
    (tmp_path / "logs").mkdir()
    check(folder, exported(folder))
