"""`hposweep.load`: a sweep's folder as data frames and plots."""

from __future__ import annotations

import functools
import html
import importlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from hposweep import searcher_model
from hposweep.errors import ConfigError
from hposweep.history import best_partial, ranked, states_text
from hposweep.number_text import number_text
from hposweep.optional_packages import needed_by
from hposweep.results import sweep_data
from hposweep.results.shown_values import rows_shown
from hposweep.results.sweep_data import SweepData
from hposweep.searcher_model import SearcherModel
from hposweep.shown_text import plural, visible
from hposweep.sweep_folder import file_names, learning_curve
from hposweep.sweep_folder.sweep_yaml import readable_record
from hposweep.sweep_folder.tables import NOT_SET, Column, names_of_means, trial_table
from hposweep.sweep_folder.trial_files import TrialFiles
from hposweep.trial import Trial

if TYPE_CHECKING:
    import pandas
    import plotly.graph_objects

    from hposweep.results.figures.style import Plot

N_BEST = 5
INT64 = range(-(2**63), 2**63)


def load(folder: Path | str) -> Sweep:
    """Opens the folder of any sweep, running or ended, of `python -m hposweep`, your Hydra app or `tune`.

    It reads the folder once; load it again to see later results.

    Raises:
        ConfigError: if the folder holds no journal, or a damaged one.
    """
    return Sweep.read(Path(folder))


@dataclass(frozen=True)
class BestTrial(Trial):
    """The best complete trial of a sweep, in its folder."""

    sweep_folder: Path = Path()

    @property
    def model_path(self) -> Path | None:
        """The model that our own objective has saved of this trial, which `keras.models.load_model` loads; None where
        there is none: `trainer.save` in conf/trainer/default.yaml says when there is.
        """
        path = self.sweep_folder / self.folder / file_names.MODEL
        return path if self.folder and path.is_file() else None


@dataclass(frozen=True, repr=False)
class Sweep:
    """A sweep, read from its folder.

        sweep = hposweep.load("outputs/sweep-20260102-030405")
        sweep.trials.sort_values("validation_error").head()
        sweep.plot_learning_curves()

    Data frames and plots take `pip install 'hposweep[notebook]'`.
    """

    folder: Path
    data: SweepData

    @classmethod
    def read(cls, folder: Path) -> Self:
        """As `load`."""
        return cls(folder, sweep_data.read(folder))

    @property
    def best(self) -> BestTrial | None:
        """The best complete trial, with its `number`, `configuration`, `value` and `model_path`; None without one."""
        winner = self.data.history.incumbent
        return None if winner is None else BestTrial(**vars(winner), sweep_folder=self.folder)

    @property
    def metric(self) -> str:
        """The name of the objective's value, which names a column of `trials` and of `curves`."""
        return self.data.history.metric

    @functools.cached_property
    def trials(self) -> pandas.DataFrame:
        """A row a trial, indexed by its number.

        The columns of `trials.csv`: `state`, the metric (NaN where there is none), `epochs` that it has trained,
        `seed`, a column a hyperparameter, `attempts`, `started_at`, `duration_s`, `failure` (one line). A
        hyperparameter that has the name of another column stands under `configuration.<name>`. What is not set is
        missing (NaN or `pandas.NA`): the epochs of an objective that reports none, a hyperparameter that this trial
        does not have. A hyperparameter that is null is None, in a column of objects.

        Raises:
            ConfigError: if pandas is not installed.
        """
        pandas = _pandas()
        number, *columns = self.data.table.columns
        index = pandas.Index(number.cells, name=number.name)
        return pandas.DataFrame({column.name: self._frame_column(column, index) for column in columns}, index=index)

    def _frame_column(self, column: Column, index: pandas.Index) -> Any:
        """A column of the table of trials as pandas holds it."""
        pandas = _pandas()
        if column.key is None and column.name == self.metric:
            return pandas.array([None if cell is NOT_SET else cell for cell in column.cells], dtype="float64")
        if column.key is None and column.name == "epochs":
            return pandas.array([pandas.NA if cell is NOT_SET else cell for cell in column.cells], dtype="Int64")
        if column.key is None and column.name == "started_at":
            dates = [None if cell is NOT_SET else cell for cell in column.cells]
            return pandas.to_datetime(dates, utc=True, format="ISO8601")
        present = [cell for cell in column.cells if cell is not NOT_SET]
        if len(present) == len(column.cells) and None not in present:
            return column.cells
        dtype = _dtype_with_missing(present)
        cells = np.empty(len(column.cells), dtype=object)
        for i, cell in enumerate(column.cells):  # one by one: a list of lists would become a matrix
            cells[i] = cell if cell is not NOT_SET else math.nan if dtype == "float64" else pandas.NA
        # A series: of an array pandas would guess the type, and turn null among texts into a missing one.
        return pandas.Series(cells, index=index, dtype=dtype)

    @functools.cached_property
    def metrics(self) -> pandas.DataFrame:
        """A row a trial, indexed by its number, with all that it has reported of its last epoch.

        Raises:
            ConfigError: if pandas is not installed.
        """
        pandas = _pandas()
        rows = {}
        for trial in self.data.trials:
            reported = TrialFiles(self.folder, trial.folder, self.data.history.schema).read_curve()
            if reported:
                rows[trial.number] = learning_curve.metrics_of(reported[-1])
        frame = pandas.DataFrame.from_dict(rows, orient="index")
        return frame.rename_axis("trial")

    @functools.cached_property
    def curves(self) -> pandas.DataFrame:
        """A row an epoch of each trial, indexed by `trial` and `epoch`, with a column for each number it reported.

        Of a trial that reported none, its values at the ends of its segments.

        Raises:
            ConfigError: if pandas is not installed.
        """
        pandas = _pandas()
        rows: list[dict[str, float]] = []
        for trial in self.data.trials:
            if trial.number not in self.data.curves:
                continue
            reported = TrialFiles(self.folder, trial.folder, self.data.history.schema).read_curve()
            if reported:
                rows += [{**row, "trial": trial.number, "epoch": int(row["epoch"])} for row in reported]
            else:
                curve = self.data.curves[trial.number]
                points = zip(curve.epochs.tolist(), curve.values.tolist(), strict=True)
                rows += [{"trial": trial.number, "epoch": epoch, self.metric: value} for epoch, value in points]
        frame = pandas.DataFrame(rows) if rows else pandas.DataFrame(columns=["trial", "epoch", self.metric])
        return frame.set_index(["trial", "epoch"])

    @functools.cached_property
    def segments(self) -> pandas.DataFrame:
        """A row a segment's job, in the order of their starts, indexed by `trial` and `job` (of the trial, from 1).

        Columns: `attempt` at the segment, from 1; `start_epoch` and `target_epoch` (missing: as far as the objective
        trains by itself); `started_at`; `duration_s` (NaN where nobody measured it); `end`, the trial's state from then
        on, or DIED (its worker died), LOST (with its machine), CUT_OFF (it runs, or nobody saw its end); `place`, such
        as `node7, gpu 0` (empty on the one machine without devices); `failure` (one line).

        Raises:
            ConfigError: if pandas is not installed.
        """
        pandas = _pandas()
        segments = self.data.segments
        index = pandas.MultiIndex.from_arrays(
            [[each.trial for each in segments], [each.job for each in segments]], names=["trial", "job"]
        )
        dates = [each.started_at or None for each in segments]
        columns = {
            "attempt": [each.attempt for each in segments],
            "start_epoch": [each.start_epoch for each in segments],
            "target_epoch": pandas.array([each.target_epoch for each in segments], dtype="Int64"),
            "started_at": pandas.to_datetime(dates, utc=True, format="ISO8601"),
            "duration_s": pandas.array([each.duration_s for each in segments], dtype="float64"),
            "end": [each.end for each in segments],
            "place": [each.place for each in segments],
            "failure": [each.failure for each in segments],
        }
        return pandas.DataFrame(columns, index=index)

    def plot_incumbent(self, against: str = "trials") -> plotly.graph_objects.Figure:
        """The best value so far at each rung, and of the complete trials, against "trials", "epochs" or "time"."""
        if against not in ("trials", "epochs", "time"):
            raise ConfigError(f"against: must be trials, epochs or time, got {against!r}")
        why_none = "no trial was compared, or its epochs are not known"
        return _figure(_drawn_by("incumbents").incumbent(self.data, against), why_none)

    def plot_learning_curves(self) -> plotly.graph_objects.Figure:
        """The metric after each epoch, the winner marked, rungs as dashed lines."""
        return _figure(_drawn_by("learning_curves").learning_curves(self.data), "no trial has reported an epoch")

    def plot_hyperparameter(self, key: str) -> plotly.graph_objects.Figure:
        """The metric against the values of one hyperparameter, and what the searcher's model says, where it has one."""
        if key not in self.data.keys:
            raise ConfigError(f"key: no hyperparameter {key!r}. Available: {', '.join(self.data.keys)}")
        return _figure(_drawn_by("hyperparameters").hyperparameter(self.data, key, self._model))

    def plot_expected(self) -> plotly.graph_objects.Figure:
        """The metric against what the searcher's model expected of each trial before it was tried."""
        why_none = "it needs a searcher with a model, such as bayesian, and three trials that ended"
        return _figure(_drawn_by("beliefs").expected_against_seen(self.data), why_none)

    @functools.cached_property
    def _model(self) -> SearcherModel | None:
        return searcher_model.rebuilt(self.folder, readable_record(self.folder))

    def plot_parallel_coordinates(self) -> plotly.graph_objects.Figure:
        """An axis a hyperparameter, and the metric."""
        return _figure(
            _drawn_by("parallel_coordinates").parallel_coordinates(self.data), "it needs two trials that differ"
        )

    def plot_importance(self) -> plotly.graph_objects.Figure:
        """How much worse a random forest, fitted to the trials, predicts when a hyperparameter is shuffled."""
        figures = _drawn_by("hyperparameters")
        from hposweep.results.importance import Importances, importances

        found = importances(self.data)
        if not isinstance(found, Importances):
            raise ConfigError(f"no importances: {found.reason}")
        return _figure(figures.importance(found))

    def plot_time_line(self) -> plotly.graph_objects.Figure:
        """The segments that each worker ran, over time."""
        return _figure(_drawn_by("time_line").time_line(self.data), "no trial has started")

    def __repr__(self) -> str:
        return f"<{self._summary()}>"

    def _repr_html_(self) -> str:
        best = ranked(self.data.history)[:N_BEST]
        columns = ("trial", "state", self.metric, *names_of_means(self.metric))
        of_best = trial_table(best, self.data.history, self.data.n_epochs).of(*columns)
        head = "".join(f"<th>{html.escape(column.name)}</th>" for column in of_best.columns)
        rows = "".join(
            "<tr>" + "".join(f"<td>{html.escape(text)}</td>" for text in row) + "</tr>" for row in rows_shown(of_best)
        )
        table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>" if rows else ""
        return f"<div><p>{html.escape(self._summary())}</p>{table}</div>"

    def _summary(self) -> str:
        history = self.data.history
        best, name = history.incumbent, "best"
        if best is None:
            best, name = best_partial(history), "none complete; the best so far"
        value = "" if best is None or best.value is None else f" {number_text(best.value)}"
        found = "" if best is None else f"; {name}: trial {best.number}, {history.metric}{value}"
        unfinished = "" if self.data.is_finished() else ", not finished"
        n_trials = plural(len(history.trials), "trial")
        return visible(f"Sweep {self.data.name}: {n_trials} ({states_text(history)}){unfinished}{found}")


def _dtype_with_missing(values: Sequence[Any]) -> str:
    """What can hold these values of a hyperparameter beside a missing one."""
    kinds = {type(value) for value in values}
    if kinds == {float}:
        return "float64"
    return "Int64" if kinds == {int} and all(value in INT64 for value in values) else "object"


def _pandas() -> Any:
    with needed_by("a data frame", "notebook"):
        import pandas
    return pandas


def _drawn_by(module: str) -> Any:
    with needed_by("a plot", "notebook"):
        return importlib.import_module(f"hposweep.results.figures.{module}")


def _figure(plot: Plot | None, why_none: str = "") -> plotly.graph_objects.Figure:
    """The plot as a figure of its own, with its notes under it."""
    if plot is None:
        raise ConfigError(f"nothing to plot: {why_none}")
    figure = plot.figure
    figure.update_layout(template="plotly_white")
    if plot.notes:
        figure.add_annotation(
            {"text": "<br>".join(plot.notes), "x": 0, "y": 0, "xref": "paper", "yref": "paper"},
            **{"yshift": -60, "yanchor": "top", "align": "left", "showarrow": False, "font": {"size": 11}},
        )
        figure.update_layout(margin={"b": 70 + 14 * len(plot.notes)})
    return figure
