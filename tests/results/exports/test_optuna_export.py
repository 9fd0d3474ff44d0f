"""A sweep as a study: Optuna itself reads it back."""

import datetime
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
import yaml
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial
from optuna.trial import TrialState as OptunaState

import hposweep
from hposweep.errors import ConfigError
from hposweep.history import SegmentEnded
from hposweep.results import sweep_data
from hposweep.results.exports import optuna_export
from hposweep.schedulers.asha import AshaScheduler
from hposweep.search_space import Configuration, literal
from hposweep.simulation import AugmentedBranin, simulate
from hposweep.sweep_folder.journal import read_events
from hposweep.trial import Direction, TrialState

# Each of our states, and Optuna's for it.
EXPECTED = {
    "COMPLETE": OptunaState.COMPLETE,
    "PAUSED": OptunaState.PRUNED,
    "STOPPED": OptunaState.PRUNED,
    "DIVERGED": OptunaState.FAIL,
    "FAILED": OptunaState.FAIL,
    "TIMED_OUT": OptunaState.FAIL,
    "INTERRUPTED": OptunaState.FAIL,
    "RUNNING": OptunaState.RUNNING,
}
AS_TEXT = ("odd",)  # the choice with options that Optuna can't hold, or can't tell apart


class Unsteady(AugmentedBranin):
    """Diverges in a corner."""

    def value(self, configuration: Configuration, epoch: int) -> float:
        return float("nan") if configuration["x1"] > 8 else super().value(configuration, epoch)


def loaded(folder: Path, url: str) -> optuna.Study:
    """The study of the folder, by Optuna in a storage that it opens anew."""
    return optuna.load_study(study_name=folder.name, storage=url)


def exported(folder: Path) -> optuna.Study:
    url = f"sqlite:///{folder.parent}/study.db"
    optuna_export.write(folder, url)
    return loaded(folder, url)


def curve_of(sweep: sweep_data.SweepData, number: int) -> dict[int, float]:
    curve = sweep.curves.get(number)
    return {} if curve is None else dict(zip(curve.epochs.tolist(), curve.values.tolist(), strict=True))


def local(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text).astimezone().replace(tzinfo=None)


def check(folder: Path, study: optuna.Study) -> None:
    """Every trial is what the folder tells."""
    sweep = sweep_data.read(folder)
    ended = {event.trial: event.time for event in read_events(folder) if isinstance(event, SegmentEnded)}
    assert study.direction.name.lower() == str(sweep.history.direction)
    assert study.metric_names == [sweep.history.metric]
    assert [trial.number for trial in study.trials] == [trial.number for trial in sweep.trials]
    for ours, theirs in zip(sweep.trials, study.trials, strict=True):
        assert theirs.state is EXPECTED[ours.state]
        assert theirs.value == (None if theirs.state is OptunaState.FAIL else ours.value)
        assert repr(theirs.intermediate_values) == repr(curve_of(sweep, ours.number))
        assert theirs.datetime_start == local(ours.started_at)
        end = None if ours.state is TrialState.RUNNING else local(ended[ours.number])
        assert theirs.datetime_complete == end
        check_params(ours.configuration, theirs)
        attributes = {
            "state": ours.state.value,
            "seed": ours.seed,
            "attempts": ours.attempts,
            "duration_s": ours.duration_s,
            "folder": ours.folder,
        }
        attributes |= {"failure": ours.failure_line} if ours.failure else {}
        is_kept_apart = theirs.state is OptunaState.FAIL and ours.value is not None
        attributes |= {"value": repr(ours.value)} if is_kept_apart else {}
        assert theirs.user_attrs == attributes


def check_params(ours: Configuration, theirs: FrozenTrial) -> None:
    assert theirs.params.keys() == theirs.distributions.keys() == ours.keys()
    for key, value in ours.items():
        expected = literal(value) if key in AS_TEXT else value
        assert (type(theirs.params[key]), theirs.params[key]) == (type(expected), expected)
        distribution = theirs.distributions[key]
        assert distribution._contains(distribution.to_internal_repr(theirs.params[key]))


@pytest.mark.parametrize("direction", list(Direction))
def test_a_sweep_with_each_state_and_odd_values_is_read_back(
    odd_sweep: Callable[[Direction], Path], direction: Direction
) -> None:
    folder = odd_sweep(direction)
    study = exported(folder)
    check(folder, study)
    assert {trial.user_attrs["state"] for trial in study.trials} == set(EXPECTED)
    best = min if direction is Direction.minimize else max
    assert study.best_value == best(0.25, 1 / 3)


def test_distributions_are_those_of_the_recorded_search_space(odd_sweep: Callable[[Direction], Path]) -> None:
    folder = odd_sweep(Direction.minimize)
    found: dict[str, Any] = {}
    for trial in exported(folder).trials:
        found |= trial.distributions
    assert found.pop("optimizer.rate") == FloatDistribution(1e-4, 1.0, log=True)
    assert found.pop("units") == IntDistribution(32, 1024, log=True)
    assert found.pop("layers") == IntDistribution(1, 3)
    assert found.pop("noise") == FloatDistribution(-3.25, 5.75), "an infinite end is the trials' own"
    assert found.pop("decay") == FloatDistribution(0.0, 0.09)
    assert found.pop("batch") == CategoricalDistribution((16, 32))
    assert found.pop("half") == CategoricalDistribution((0.5, 1))
    assert found.pop("flag") == CategoricalDistribution((True, False))
    assert found.pop("low") == FloatDistribution(0.001, math.nextafter(1.0, 0.0), log=True)
    assert found.pop("depth") == IntDistribution(1, 8)
    assert found.pop("constant") == CategoricalDistribution((0.9,))
    assert found.pop("name") == CategoricalDistribution(("a name",))
    assert found.pop("+unrecorded") == FloatDistribution(1.5, 4.5)
    texts = ("[1, two]", "{a: 1}", "null", "true", "1", "1.0", "'1'", "'[1, two]'", "inf")
    assert found.pop("odd").choices == texts
    assert set(found.pop("text").choices) == {trial.configuration["text"] for trial in sweep_data.read(folder).trials}
    assert found == {}


def test_the_study_knows_the_search_space_as_it_is_recorded(odd_sweep: Callable[[Direction], Path]) -> None:
    folder = odd_sweep(Direction.minimize)
    recorded = yaml.safe_load((folder / "sweep.yaml").read_text())["search_space"]
    assert exported(folder).user_attrs == {"seed": 7, "search_space": recorded}


def test_a_simulated_sweep_is_read_back(tmp_path: Path) -> None:
    folder = tmp_path / "swept"
    scheduler = AshaScheduler(r_max=81)
    simulate(Unsteady(), scheduler, n_trials=60, n_workers=8, death_rate=0.05, max_retries=1, folder=folder)
    study = exported(folder)
    check(folder, study)
    assert {"PAUSED", "DIVERGED", "FAILED"} <= {trial.user_attrs["state"] for trial in study.trials}
    values = [trial.configuration["x1"] for trial in sweep_data.read(folder).trials]
    assert study.trials[0].distributions["x1"] == FloatDistribution(min(values), max(values))


def objective(configuration: Configuration) -> float:
    if configuration["kind"] == "bad\nkind":
        raise ValueError("no")
    for epoch in (1, 2):
        hposweep.report(epoch, configuration["x"] / epoch)
    return float(configuration["x"] / 2)


@pytest.mark.process
def test_a_real_sweep_is_read_back_and_plotted(tmp_path: Path) -> None:
    space = {"x": "uniform(1, 2)", "kind": {"choice": ["good", "bad\nkind"]}}
    folder = tmp_path / "swept"
    hposweep.tune(objective, space, n_trials=6, n_workers=2, seed=1, folder=folder)
    study = exported(folder)
    check(folder, study)
    assert {trial.state for trial in study.trials} == {OptunaState.COMPLETE, OptunaState.FAIL}
    assert study.trials[0].distributions["x"] == FloatDistribution(1.0, 3.0)
    shown = optuna.visualization.plot_intermediate_values(study).data
    assert len(shown) == len(study.get_trials(states=[OptunaState.COMPLETE]))


def test_a_second_export_of_a_sweep_is_refused_and_leaves_the_first(tmp_path: Path) -> None:
    folder = tmp_path / "swept"
    simulate(AugmentedBranin(), AshaScheduler(r_max=81), n_trials=3, folder=folder)
    study = exported(folder)
    url = f"sqlite:///{tmp_path}/study.db"
    with pytest.raises(ConfigError) as caught:
        optuna_export.write(folder, url)
    assert str(caught.value) == f"{url}: has a study 'swept' already; name another storage"
    check(folder, study)


def test_a_storage_holds_several_sweeps(tmp_path: Path) -> None:
    for name in ("one", "two"):
        simulate(AugmentedBranin(), AshaScheduler(r_max=81), n_trials=3, folder=tmp_path / name)
        check(tmp_path / name, exported(tmp_path / name))


@pytest.mark.parametrize("name", ["study.db", "a b?#%20{x}'.db"])
def test_a_path_is_a_file_of_sqlite(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "swept"
    simulate(AugmentedBranin(), AshaScheduler(r_max=81), n_trials=3, folder=folder)
    said = optuna_export.write(folder, str(tmp_path / name))
    assert said.startswith("Study 'swept' with 3 trials. To look at it: optuna-dashboard ")
    assert (tmp_path / name).read_bytes().startswith(b"SQLite format 3")


def test_an_export_that_is_cut_off_leaves_no_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "swept"
    simulate(AugmentedBranin(), AshaScheduler(r_max=81), n_trials=3, folder=folder)

    def cut_off(study: optuna.Study, trials: list[FrozenTrial]) -> None:
        study.add_trial(trials[0])
        raise KeyboardInterrupt

    url = f"sqlite:///{tmp_path}/study.db"
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(optuna.Study, "add_trials", cut_off)
        optuna_export.write(folder, url)
    assert optuna.get_all_study_names(url) == []
    check(folder, exported(folder))


REFUSED = [
    pytest.param("sqlite:///no/folder/study.db", "unable to open database file", id="no folder"),
    pytest.param("not_a_database.db", "file is not a database", id="no database"),
    pytest.param("nope://host/name", "Can't load plugin: sqlalchemy.dialects:nope", id="no such kind"),
    pytest.param("postgresql://me:secret@host:port/name", "no URL of a storage", id="no URL"),
    pytest.param("sqlite://", "would be lost with this process; name a file", id="in memory"),
]


@pytest.mark.parametrize(("target", "reason"), REFUSED)
def test_a_storage_that_cannot_be_used_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str, reason: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("not_a_database.db").write_text("This is text.\n" * 100)
    simulate(AugmentedBranin(), AshaScheduler(r_max=81), n_trials=3, folder=tmp_path / "swept")
    with pytest.raises(ConfigError) as caught:
        optuna_export.write(tmp_path / "swept", target)
    message = str(caught.value)
    assert reason in message
    assert "\n" not in message
    assert "secret" not in message
