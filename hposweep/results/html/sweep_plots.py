"""The plots of a sweep, each with its place in the page."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from hposweep.history import best_partial
from hposweep.number_text import number_text
from hposweep.results.beliefs import Model
from hposweep.results.figures import (
    beliefs,
    contour,
    hyperparameters,
    incumbents,
    learning_curves,
    metrics,
    parallel_coordinates,
    repetitions,
    rungs,
    time_line,
)
from hposweep.results.figures.style import Plot, has_value
from hposweep.results.html.page import Section
from hposweep.results.importance import Forests, Importances, NotShown
from hposweep.results.sweep_data import SweepData
from hposweep.shown_text import cut, plural

MOST_HYPERPARAMETER_PLOTS = 40
LONGEST_NAME = 80
HEIGHT_OF_A_TITLE = 20  # of an axis, in pixels
WIDTH_OF_AN_AXIS = 116  # of parallel coordinates, in pixels, so that their names stand apart
# The parts of the page that hold plots, in their order, with their titles.
GROUPS = {
    "progress": "Progress",
    "learning": "Learning",
    "matters": "What matters",
    "hyperparameters": "Hyperparameters",
    "time": "Time",
}


@dataclass(frozen=True)
class _Page:
    """What the page has so far."""

    plots: dict[str, Plot] = field(default_factory=dict)
    sections: dict[str, Section] = field(default_factory=dict)

    def add(
        self,
        group: str,
        id: str,
        title: str,
        plot: Plot | None,
        description: str,
        without: str = "",
        *,
        intro: str = "",
        wide: bool = False,
        least_width: int = 0,
    ) -> None:
        """Adds a plot or, where there is none, the reason; nothing where that is empty."""
        if plot is not None:
            self.plots[id] = plot
        elif not without:
            return
        notes = [without] if plot is None else plot.notes
        self.sections[id] = Section(id, title, notes, plot is not None, description, intro, group, wide, least_width)


def sweep_plots(
    sweep: SweepData, model: Model | None = None, forests: Forests | None = None
) -> tuple[dict[str, Plot], dict[str, Section]]:
    """The plots by the ids of their elements, and the sections around them.

    Args:
        model: of the sweep's searcher; None: it has none, or it is not drawn.
        forests: None: they are fitted for this page.
    """
    page = _Page()
    _add_progress(page, sweep)
    _add_learning(page, sweep)
    _add_hyperparameters(page, sweep, model, forests or Forests())
    _add_expected(page, sweep)
    page.add(
        "time",
        "time-line",
        "Time line of workers",
        time_line.time_line(sweep),
        "Segments of the trials on each worker over the running time",
        "no segment has started",
        intro="Each line is a segment: one job of a trial. The mark at its end shows how it ended.",
        wide=True,
    )
    return page.plots, page.sections


def _add_progress(page: _Page, sweep: SweepData) -> None:
    metric = sweep.history.metric
    how = "The line is the best value of the complete trials so far, which are the dots."
    if sweep.rungs:
        how = (
            "A line for each rung: the best value so far among the trials that were compared after so many epochs "
            "(open dots). The thick line and the filled dots are the complete trials, of which the best one wins."
        )
    for against, by in (("trials", "trials"), ("epochs", "epochs"), ("time", "running time")):
        is_first = against == "trials"
        page.add(
            "progress",
            f"incumbent-{against}",
            f"Best value by {by}",
            incumbents.incumbent(sweep, against),
            f"{metric} of the trials where they were compared, and the best so far, by {by}",
            "no trial was compared yet" if is_first else "",
            intro=how if is_first else "",
            wide=is_first or sweep.epochs_used is None,
        )
    page.add(
        "progress",
        "repetitions",
        "Configurations under several seeds",
        repetitions.repetitions(sweep),
        f"{metric} of each configuration under its seeds, the best configuration first",
        intro="A row for each configuration, named by its first trial, the best on top. Diamonds are means; intervals "
        "that overlap don't tell which configuration is better.",
        wide=True,
    )


def _add_expected(page: _Page, sweep: SweepData) -> None:
    if not sweep.expected:
        return
    page.add(
        "matters",
        "expected",
        "What the searcher expected",
        beliefs.expected_against_seen(sweep),
        f"{sweep.history.metric} of the trials against what the searcher's model expected of them",
        "it takes three trials of which the searcher expected something, with a value",
        intro="Each point is a trial. Its bar is the 95% interval that the searcher's model gave before the trial "
        "was tried. On the dotted line a trial came out as expected.",
        wide=True,
    )


def _add_learning(page: _Page, sweep: SweepData) -> None:
    metric = sweep.history.metric
    page.add(
        "learning",
        "curves",
        "Learning curves",
        learning_curves.learning_curves(sweep),
        f"{metric} after each epoch",
        "no trial has reported an epoch",
        intro="Each line is a trial, coloured by how far it got. The winner is the thick line that ends in a star.",
        wide=True,
    )
    page.add(
        "learning",
        "rungs",
        "Rungs",
        rungs.rungs_plot(sweep),
        "Trials that came to each rung, and how many of them went on",
        intro="How many trials came to each rung, and how well their order there agrees with their order at the next "
        "one: a rank correlation of 1 is the same order, 0 none. Only trials that went on have both, and these are "
        "alike: among all trials it would be larger.",
        wide=True,
    )
    of_quantities = metrics.metrics(sweep)
    for i, (quantity, plot) in enumerate(of_quantities.items()):
        page.add(
            "learning",
            f"metric-{i}",
            f"{cut(quantity.replace('_', ' '), LONGEST_NAME).capitalize()} of the best trials",
            plot,
            f"{cut(quantity, LONGEST_NAME)} of the best trials after each epoch",
            wide=len(of_quantities) == 1,
        )


def _add_hyperparameters(page: _Page, sweep: SweepData, model: Model | None, forests: Forests) -> None:
    metric = sweep.history.metric
    found = forests.importances(sweep)
    bars = ""
    if not isinstance(found, NotShown):
        bars = "; ".join(f"{key}: {number_text(mean, 2)}" for key, mean in zip(found.keys, found.means, strict=True))
    page.add(
        "matters",
        "importance",
        "Importance of hyperparameters",
        None if isinstance(found, NotShown) else hyperparameters.importance(found),
        bars,
        found.reason if isinstance(found, NotShown) else "",
        intro="How much worse a random forest predicts the rank of a trial that it has not seen when this "
        "hyperparameter is shuffled; whiskers are one standard deviation over folds and repeats.",
    )
    _add_contour(page, sweep, found, model, forests)
    keys = [key for key in sweep.varying_keys if _n_values(sweep, key) > 1]
    for i, key in enumerate(keys[:MOST_HYPERPARAMETER_PLOTS]):
        plot = hyperparameters.hyperparameter(sweep, key, model)
        # The page's heading is the axis's title.
        plot.figure.update_layout(xaxis_title=None, margin_t=6, height=plot.figure.layout.height - HEIGHT_OF_A_TITLE)
        if i == 0:
            plot = replace(plot, notes=[_how_to_read_slices(sweep), *plot.notes])
        condition = cut(sweep.condition(key), LONGEST_NAME)
        page.add(
            "hyperparameters",
            f"hyperparameter-{i}",
            f"{key}, with {condition}" if condition else key,
            plot,
            f"{metric} of the trials by {key}",
        )
    page.add(
        "hyperparameters",
        "parallel",
        "Parallel coordinates",
        parallel_coordinates.parallel_coordinates(sweep),
        f"Hyperparameters and {metric} of the trials",
        "it takes a hyperparameter that varies and two trials with a value",
        intro="Each line is a trial, coloured by its rank; the thick one is the winner.",
        wide=True,
        least_width=WIDTH_OF_AN_AXIS * (len(sweep.varying_keys) + 1),
    )


def _how_to_read_slices(sweep: SweepData) -> str:
    colours = " Colours tell how far they got, as in the learning curves." if sweep.rungs else ""
    n_with_value = sum(map(has_value, sweep.trials))
    without = (
        "; those without a value, such as failed ones, stand at the top edge" if n_with_value else ", without a value"
    )
    return f"Each mark is a trial{'' if n_with_value == len(sweep.trials) else without}.{colours}"


def _add_contour(
    page: _Page, sweep: SweepData, found: Importances | NotShown, model: Model | None, forests: Forests
) -> None:
    """The two hyperparameters that matter most or, where that is not known, the first two that the best trial has."""
    best = sweep.history.incumbent or best_partial(sweep.history)
    keys = sweep.varying_keys if isinstance(found, NotShown) else found.keys
    pair = [] if best is None else [key for key in keys if key in best.configuration][:2]
    if best is None or len(pair) < 2:
        return
    key, other = pair
    metric = sweep.history.metric
    surface, values, says = None if model is None else model.over(key, other), None, ""
    as_the_best = f"the other hyperparameters as trial {best.number} has them"
    if surface is not None:
        says = f" The ground is what the searcher's model predicts, {as_the_best}."
    else:
        forest = forests.surface(sweep, key, other, best.configuration)
        if forest is not None:
            after = "" if forest.epochs is None else f" after {plural(forest.epochs, 'epoch')}"
            surface, values = forest.surface, forest.values
            says = f" The ground is what a random forest predicts of it{after}, {as_the_best}."
    page.add(
        "matters",
        "contour",
        f"{key} and {other}",
        contour.contour(sweep, key, other, surface, values),
        f"{metric} of the trials by {key} and {other}",
        intro=f"Each mark is a trial, coloured by its {metric}.{says}",
    )


def _n_values(sweep: SweepData, key: str) -> int:
    return len({repr(trial.configuration[key]) for trial in sweep.trials if key in trial.configuration})
