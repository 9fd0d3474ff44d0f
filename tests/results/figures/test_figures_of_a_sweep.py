"""The figures of sweeps: what they show of trials, and where."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
import yaml

from hposweep.history import Event
from hposweep.results import sweep_data
from hposweep.results.beliefs import Slice, Surface
from hposweep.results.figures.contour import contour
from hposweep.results.figures.hyperparameter_axis import HyperparameterAxis
from hposweep.results.figures.hyperparameters import hyperparameter
from hposweep.results.figures.incumbents import incumbent
from hposweep.results.figures.learning_curves import learning_curves
from hposweep.results.figures.levels import levels
from hposweep.results.figures.metrics import metrics
from hposweep.results.figures.parallel_coordinates import parallel_coordinates
from hposweep.results.figures.repetitions import repetitions
from hposweep.results.figures.rungs import rungs_plot
from hposweep.results.figures.style import DARK, LEVELS, TRIALS, WINNER, ValueAxis, log_ticks
from hposweep.results.html.sweep_plots import sweep_plots
from hposweep.results.importance import Importances, forest_surface, importances
from hposweep.results.sweep_data import SweepData
from hposweep.schedulers.asha import AshaScheduler
from hposweep.simulation import AugmentedBranin, simulate
from hposweep.sweep_folder.learning_curve import CurveWriter
from hposweep.sweep_folder.trial_files import TrialFiles
from hposweep.trial import Direction, TrialState
from support.journals import complete, proposed, segment, sweep_of

COMPLETE = TrialState.COMPLETE


class Believer:
    """A searcher's model that believes in a constant."""

    def along(self, key: str) -> Slice | None:
        ends = [0.1, 0.2, 0.3]
        return Slice(ends, np.array([0.5] * 3), np.array([0.4] * 3), np.array([0.6] * 3)) if key == "x" else None

    def over(self, key: str, other: str) -> Surface | None:
        return None


def simulated(folder: Path) -> SweepData:
    simulate(AugmentedBranin(), AshaScheduler(r_max=81), n_trials=120, n_workers=4, folder=folder, death_rate=0.001)
    return sweep_data.read(folder)


def under_seeds(folder: Path) -> SweepData:
    events: list[Event] = []
    for number, value in enumerate((0.3, 0.2)):
        events += complete(number, {"x": number}, value)
    events += complete(2, {"x": 0}, 0.1, repeats=0)
    events += complete(3, {"x": 1}, 0.5, repeats=1)
    events += complete(4, {"x": 0}, 0.25, repeats=0, confirms=True)
    events += complete(5, {"x": 0}, 0.35, repeats=0, confirms=True)
    return sweep_of(folder, *events)


def odd(folder: Path, odd_sweep: Callable[[Direction], Path]) -> SweepData:
    return sweep_data.read(odd_sweep(Direction.maximize))


@pytest.mark.parametrize("kind", [simulated, under_seeds, odd])
def test_points_that_are_trials_name_them(kind: Any, tmp_path: Path, odd_sweep: Callable[[Direction], Path]) -> None:
    sweep = kind(tmp_path, odd_sweep) if kind is odd else kind(tmp_path)
    plots, _ = sweep_plots(sweep, Believer())
    linked: set[str] = set()
    for id, plot in plots.items():
        for trace in plot.figure.data:
            if trace.meta != TRIALS:
                continue
            linked.add(id)
            numbers = np.asarray(trace.customdata).reshape(len(trace.x), -1)[:, 0]
            assert {*numbers.tolist()} <= {*sweep.history.trials}
    assert linked == {*plots} - {"rungs", "importance"}


# The best value so far.


def test_a_line_for_each_rung_and_the_winner_at_its_own_point(tmp_path: Path) -> None:
    events: list[Event] = [proposed(0), proposed(1), *segment(0, 0, 1, 0.5), *segment(1, 0, 1, 0.4)]
    events += [*segment(1, 1, 3, 0.45, COMPLETE), *segment(0, 1, 3, 0.2, COMPLETE)]
    plot = incumbent(sweep_of(tmp_path, *events), "epochs")
    assert plot is not None
    lines = {t.name: (t.x.tolist(), t.y.tolist()) for t in plot.figure.data if t.mode == "lines"}
    assert lines == {
        "1 epoch": ([1, 2, 6], pytest.approx([0.5, 0.4, 0.4])),
        "3 epochs: complete": ([4, 6, 6], pytest.approx([0.45, 0.2, 0.2])),
    }
    star = plot.figure.data[-1]
    assert (star.name, star.x.tolist(), star.customdata.tolist()) == ("winner", [6], [0])


def test_against_epochs_that_nobody_reports_there_is_no_plot(tmp_path: Path) -> None:
    sweep = sweep_of(tmp_path, proposed(0), *segment(0, 0, None, 0.5, COMPLETE))
    assert incumbent(sweep, "epochs") is None
    assert incumbent(sweep, "trials") is not None


def test_the_axis_is_logarithmic_where_improvements_came_early(tmp_path: Path) -> None:
    values = [0.9, 0.8, 0.7, 0.6, *[0.95] * 60]
    events = [event for number, value in enumerate(values) for event in complete(number, {"x": number}, value)]
    plot = incumbent(sweep_of(tmp_path, *events), "trials")
    assert plot is not None
    assert plot.figure.layout.xaxis.type == "log"
    assert plot.notes[0] == "The horizontal axis is logarithmic, since most improvements came early."


@pytest.mark.parametrize(
    ("values", "is_log"),
    [
        ([1e-6, 1e-4, 0.01, 1.0], True),
        ([0.1, 0.2, 0.9], False),
        ([0.0, 1e-6, 1e-4, 0.01, 1.0], False),
        ([-1e-6, 1e-4, 0.01, 1.0], False),
        ([*np.linspace(0.2, 0.3, 10), 1e30], False),  # one huge value is no decade
    ],
)
def test_values_that_span_decades_have_a_log_axis(values: list[float], is_log: bool) -> None:
    axis = ValueAxis.of(values)
    assert axis.is_log is is_log
    assert axis.low <= min(values) and axis.low < axis.high
    edge, wider = axis.with_edge()
    assert axis.high < edge < wider.high


@pytest.mark.parametrize(
    ("low", "high", "texts"),
    [
        (-3.1, 0.1, ["0.001", "0.01", "0.1", "1"]),
        (-6.1, -3.9, ["10⁻⁶", "10⁻⁵", "10⁻⁴"]),
        (-12.1, 0.1, ["10⁻¹²", "10⁻⁹", "10⁻⁶", "0.001", "1"]),
        (0.9, 2.1, ["10", "30", "100"]),
        (0.35, 0.6, ["2.37", "3.76"]),
    ],
)
def test_ticks_of_a_log_axis_are_few_and_short(low: float, high: float, texts: list[str]) -> None:
    assert [text for _, text in log_ticks(low, high)] == texts


# How far trials got.


def test_trials_are_coloured_by_how_far_they_got(tmp_path: Path) -> None:
    sweep = simulated(tmp_path)
    found = levels(sweep, sweep.trials)
    assert [level.name for level in found] == ["to epoch 1", "to epoch 3", "to epoch 9", "to epoch 27", "complete"]
    assert [level.colour for level in found] == LEVELS
    assert {*LEVELS} <= {*DARK}
    assert sum(len(level.trials) for level in found) == 120
    plot = learning_curves(sweep)
    assert plot is not None
    lines = [trace for trace in plot.figure.data if "lines" in trace.mode]
    assert [trace.line.color for trace in lines] == [*LEVELS, WINNER]


def test_the_winner_is_on_top_and_inside_of_the_frame(tmp_path: Path) -> None:
    # Its first value is far above all others.
    events: list[Event] = []
    for number in range(20):
        events += complete(number, {"x": number}, 0.1 + 0.001 * number)
        writer = CurveWriter(_curve_file(tmp_path, number))
        for epoch, value in enumerate((50.0 if number == 0 else 0.2, 0.15, 0.1 + 0.001 * number), start=1):
            writer.write({"epoch": epoch, "error": value})
    plot = learning_curves(sweep_of(tmp_path, *events))
    assert plot is not None
    line, star = plot.figure.data[-2:]
    assert (line.name, star.name) == ("winner, trial 0", "winner")
    low, high = plot.figure.layout.yaxis.range
    assert low < min(line.y) < max(line.y) < high
    assert star.cliponaxis is False


def _curve_file(folder: Path, number: int) -> Path:
    files = TrialFiles(folder, f"trials/{number}")
    files.make_folder()
    return files.learning_curve


def test_bars_of_rungs_count_trials(tmp_path: Path) -> None:
    sweep = simulated(tmp_path)
    plot = rungs_plot(sweep)
    assert plot is not None
    heights = {trace.name: trace.y.tolist() for trace in plot.figure.data if isinstance(trace, go.Bar)}
    came = [sum(each) for each in zip(*heights.values(), strict=True)]
    assert came[0] == 120
    assert heights["went on"][:-1] == came[1:]
    assert heights["complete"] == [0, 0, 0, 0, came[-1]]
    assert plot.notes[0].startswith(f"1 epoch: 120 came, {came[1]} went on; ")


def test_what_else_trials_report_is_drawn_by_quantity(tmp_path: Path) -> None:
    events: list[Event] = []
    for number in range(3):
        events += complete(number, {"x": number}, 0.1 + number)
        for epoch in (1, 2):
            row = {"train_loss": 2.0, "validation_loss": 3.0, "error": 0.1 + number, "train_error": 0.1, "norm": 1.0}
            CurveWriter(_curve_file(tmp_path, number)).write({"epoch": epoch, **row, "seconds": 1.0})
    found = metrics(sweep_of(tmp_path, *events))
    assert list(found) == ["loss", "error", "norm"]
    names = [trace.name for trace in found["loss"].figure.data if trace.showlegend]
    assert names == ["next best", "winner, train", "winner, validation"]
    assert found["loss"].figure.data[-1].line.color == WINNER


def test_the_metric_alone_is_not_drawn_twice(tmp_path: Path) -> None:
    CurveWriter(_curve_file(tmp_path, 0)).write({"epoch": 1, "error": 0.1})
    assert metrics(sweep_of(tmp_path, *complete(0, {"x": 1}, 0.1))) == {}


# Hyperparameters.


def with_options(folder: Path) -> SweepData:
    """Forty trials of two options that are equally good, but for one, and of a whole number."""
    events: list[Event] = []
    for number in range(40):
        events += complete(number, {"kind": "ab"[number % 2], "layers": 1 + number % 3}, 0.5 if number else 0.4)
    return sweep_of(folder, *events)


def test_options_stand_in_columns_apart_with_their_counts(tmp_path: Path) -> None:
    figure = hyperparameter(with_options(tmp_path), "kind").figure
    assert list(figure.layout.xaxis.ticktext) == ["a<br>20", "b<br>20"]
    (marks,) = [trace for trace in figure.data if trace.name == "COMPLETE"]
    of_a = marks.x[np.asarray(marks.customdata) % 2 == 0]
    assert -0.35 < of_a.min() < of_a.max() < 0.35
    points = {*zip(marks.x.tolist(), marks.y.tolist(), strict=True)}
    assert len(points) == len(marks.x)


def test_an_axis_of_whole_numbers_has_whole_numbers_alone(tmp_path: Path) -> None:
    sweep = with_options(tmp_path)
    assert list(hyperparameter(sweep, "layers").figure.layout.xaxis.ticktext) == ["1", "2", "3"]
    # Also where a model tells something in between.
    assert [text for _, text in HyperparameterAxis.of(sweep, "layers", [1.0, 1.5, 3.0]).ticks] == ["1", "2", "3"]


def test_a_searcher_s_model_is_drawn_under_the_trials(tmp_path: Path) -> None:
    events = [event for number in range(3) for event in complete(number, {"x": 0.1 + number, "y": 1}, 0.5)]
    sweep = sweep_of(tmp_path, *events)
    plot = hyperparameter(sweep, "x", Believer())
    low, high, mean, *_ = plot.figure.data
    assert (high.fill, *(trace.y.tolist() for trace in (low, high, mean))) == (
        "tonexty",
        *(pytest.approx([value] * 3) for value in (0.4, 0.6, 0.5)),
    )
    assert "the searcher's model with its 95% interval" in plot.notes[-1]
    assert len(hyperparameter(sweep, "y", Believer()).figure.data) < len(plot.figure.data)


SPACE: dict[str, Any] = {
    "model": {"text": "choice(a, b, c)", "choice": ["a", "b", "c"]},
    "width (model=a)": {"text": "randint(1, 9)", "distribution": "randint", "arguments": [1, 9], "key": "width"},
    "width (model=b)": {"text": "randint(1, 9)", "distribution": "randint", "arguments": [1, 9], "key": "width"},
    "inner (model=a)": {"text": "choice(x, y)", "choice": ["x", "y"], "key": "inner"},
    "deep (inner (model=a)=x)": {
        "text": "randint(1, 3)",
        "distribution": "randint",
        "arguments": [1, 3],
        "key": "deep",
    },
    "deep (inner (model=a)=y)": {
        "text": "randint(1, 3)",
        "distribution": "randint",
        "arguments": [1, 3],
        "key": "deep",
    },
    "rate": {"text": "uniform(0, 1)", "distribution": "uniform", "arguments": [0, 1]},
}
WHEN = {
    "width (model=a)": ("model", "a"),
    "width (model=b)": ("model", "b"),
    "inner (model=a)": ("model", "a"),
    "deep (inner (model=a)=x)": ("inner (model=a)", "x"),
    "deep (inner (model=a)=y)": ("inner (model=a)", "y"),
}


def conditional(folder: Path) -> SweepData:
    space = {
        id: record | ({"when": dict(zip(("choice", "option"), WHEN[id], strict=True))} if id in WHEN else {})
        for id, record in SPACE.items()
    }
    (folder / "sweep.yaml").write_text(yaml.safe_dump({"search_space": space}, sort_keys=False))
    events = complete(0, {"rate": 0.1, "model": "c"}, 0.5)
    for number in range(1, 9):
        inner = {"inner": "xy"[number % 2], "deep": 1 + number % 2} if number % 4 < 2 else {}
        configuration = {"rate": number / 10, "model": "a" if inner else "b", "width": number, **inner}
        events += complete(number, configuration, 0.5 + number / 100)
    return sweep_of(folder, *events)


def test_a_hyperparameter_stands_under_the_option_that_brings_it(tmp_path: Path) -> None:
    _, sections = sweep_plots(conditional(tmp_path))
    titles = [section.title for id, section in sections.items() if id.startswith("hyperparameter-")]
    # Each option of `inner` has `deep`, which therefore needs what `inner` needs.
    assert titles == [
        "model",
        "width, with model = a or b",
        "inner, with model = a",
        "deep, with model = a",
        "rate",
    ]


def test_trials_without_a_hyperparameter_are_not_in_its_plot(tmp_path: Path) -> None:
    sweep = conditional(tmp_path)
    numbers = [
        n for trace in hyperparameter(sweep, "inner").figure.data if trace.meta == TRIALS for n in trace.customdata
    ]
    assert sorted(numbers) == [1, 4, 5, 8]


def test_values_that_no_trial_has_get_no_axis(tmp_path: Path) -> None:
    failed = [each for i in range(4) for each in (proposed(i), *segment(i, 0, 3, None, TrialState.FAILED))]
    top_edge = "those without a value, such as failed ones, stand at the top edge."
    good = [*complete(4, {"x": 0.4}, 0.5), *complete(5, {"x": 0.5}, 0.25)]
    for name, events, axis_is_shown, note in [
        ("none", failed, False, "Each mark is a trial, without a value."),
        ("some", [*failed, *good], True, f"Each mark is a trial; {top_edge}"),
        ("all", good, True, "Each mark is a trial."),
    ]:
        (tmp_path / name).mkdir()
        sweep = sweep_of(tmp_path / name, *events)
        figure = hyperparameter(sweep, "x").figure
        assert (figure.layout.yaxis.showticklabels is not False) == axis_is_shown
        low, high = figure.layout.yaxis.range
        assert all(low < value < high for trace in figure.data for value in trace.y)
        assert sweep_plots(sweep)[1]["hyperparameter-0"].notes[0] == note


def test_parallel_coordinates_name_what_is_not_set_and_end_with_the_winner(tmp_path: Path) -> None:
    plot = parallel_coordinates(conditional(tmp_path))
    assert plot is not None
    assert (plot.figure.data[-1].name, {*plot.figure.data[-1].customdata[:, 0]}) == ("winner", {0})
    axes = [each.text for each in plot.figure.layout.annotations if each.text.startswith("<b>")]
    assert axes == [f"<b>{name}</b>" for name in ("model", "width", "inner", "deep", "rate", "error")]
    assert sum(each.text == "not set" for each in plot.figure.layout.annotations) == 3
    heights = [at for trace in plot.figure.data for at in trace.y if np.isfinite(at)]
    assert -0.2 < min(heights) < 0 and max(heights) <= 1


def test_lines_are_coloured_by_rank_among_all_trials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hposweep.results.figures.parallel_coordinates.MOST_LINES", 30)
    events = [event for number in range(100) for event in complete(number, {"x": number}, 0.1 + number / 100)]
    plot = parallel_coordinates(sweep_of(tmp_path, *events))
    assert plot is not None
    drawn = {trace.name: {*trace.customdata[:, 0]} for trace in plot.figure.data}
    # A third of the lines are the best trials, of which 5 are among the best 5%, the winner apart.
    assert (drawn["winner"], drawn["best 5%"], drawn["to 20%"] & {*range(10)}) == ({0}, {1, 2, 3, 4}, {5, 6, 7, 8, 9})
    assert max(drawn["to 50%"]) < 50 <= min(drawn["others"])


def test_under_a_scheduler_importance_is_that_of_trials_at_one_rung(tmp_path: Path) -> None:
    sweep = simulated(tmp_path)
    found = importances(sweep)
    assert isinstance(found, Importances)
    n_at = {epoch: sum(point.epoch == epoch for point in sweep.compared) for epoch in (1, 3, 9)}
    assert n_at[3] >= 30 > n_at[9]
    assert (found.epochs, found.n_trials) == (3, n_at[3])


def test_a_contour_shows_the_values_from_which_its_forest_has_learnt(tmp_path: Path) -> None:
    sweep = simulated(tmp_path)
    winner = sweep.history.incumbent
    assert winner is not None
    found = forest_surface(sweep, "x1", "x2", winner.configuration)
    assert found is not None and found.epochs == 3
    assert {*found.values} == {point.trial for point in sweep.compared if point.epoch == 3}
    assert found.surface.means.shape == (len(found.surface.other_values), len(found.surface.values))
    values = [*found.values.values()]
    assert min(values) <= found.surface.means.min() < np.median(values) < found.surface.means.max() <= max(values)
    plot = contour(sweep, "x1", "x2", found.surface, found.values)
    assert plot is not None
    ground, marks, star = plot.figure.data
    assert isinstance(ground, go.Contour)
    assert {*marks.customdata, *star.customdata} == {*found.values}


def test_the_ground_of_a_contour_stands_in_the_order_of_its_axes(tmp_path: Path) -> None:
    events = [event for i in range(3) for event in complete(i, {"x": i, "kind": "abc"[i]}, 0.1 * i)]
    sweep = sweep_of(tmp_path, *events)
    # Options in the order in which they were tried.
    surface = Surface([2, 0, 1], ["b", "c", "a"], np.array([[12.0, 10.0, 11.0], [22.0, 20.0, 21.0], [2.0, 0.0, 1.0]]))
    plot = contour(sweep, "x", "kind", surface)
    assert plot is not None
    ground = plot.figure.data[0]
    assert [*ground.x] == sorted(ground.x) and [*ground.y] == sorted(ground.y)
    assert np.ravel(ground.z).tolist() == [0, 1, 2, 10, 11, 12, 20, 21, 22]


def test_without_a_model_a_contour_is_its_trials(tmp_path: Path) -> None:
    sweep = with_options(tmp_path)
    plot = contour(sweep, "kind", "layers", None)
    assert plot is not None
    assert [trace.name for trace in plot.figure.data] == [None, "winner"]
    assert contour(sweep, "kind", "absent", None) is None


# Several seeds.


def test_configurations_under_several_seeds_stand_best_first_with_their_means(tmp_path: Path) -> None:
    plot = repetitions(under_seeds(tmp_path))
    assert plot is not None
    assert list(plot.figure.layout.yaxis.ticktext) == ["<b>trial 0</b>", "trial 1"]
    seeds, confirmations, means = plot.figure.data
    assert (seeds.customdata.tolist(), confirmations.customdata.tolist()) == ([0, 2, 1, 3], [4, 5])
    assert means.x.tolist() == pytest.approx([0.3, 0.35])  # of the confirmations alone, where there are some
    assert plot.notes == ["Once a configuration has confirmations, its mean is theirs alone."]


def test_without_repetitions_there_is_no_plot_of_them(tmp_path: Path) -> None:
    assert repetitions(sweep_of(tmp_path, *complete(0, {"x": 1}, 0.1))) is None


def test_figures_are_json(tmp_path: Path) -> None:
    plots, _ = sweep_plots(simulated(tmp_path))
    for plot in plots.values():
        assert "Infinity" not in json.dumps(json.loads(plot.figure.to_json()))
