"""The plots of a sweep, each with its place in the page."""

from __future__ import annotations

from hposweep.number_text import number_text
from hposweep.results.figures import (
    beliefs,
    hyperparameters,
    incumbents,
    learning_curves,
    parallel_coordinates,
    rungs,
    time_line,
)
from hposweep.results.figures.style import Plot
from hposweep.results.html.page import Section
from hposweep.results.importance import NotShown, importances
from hposweep.results.sweep_data import SweepData

MOST_HYPERPARAMETER_PLOTS = 40
# The parts of the page that hold plots, in their order, with their titles.
GROUPS = {"progress": "Progress", "learning": "Learning", "hyperparameters": "Hyperparameters", "time": "Time"}


def sweep_plots(sweep: SweepData) -> tuple[dict[str, Plot], dict[str, Section]]:
    """The plots by the ids of their elements, and the sections around them."""
    plots: dict[str, Plot] = {}
    sections: dict[str, Section] = {}

    def add(
        group: str,
        id: str,
        title: str,
        plot: Plot | None,
        description: str,
        without: str = "",
        *,
        intro: str = "",
        wide: bool = False,
    ) -> None:
        if plot is not None:
            plots[id] = plot
        notes = [without] if plot is None else plot.notes
        sections[id] = Section(id, title, notes, plot is not None, description, intro, group, wide)

    metric = sweep.history.metric
    for against in ("trials", "epochs", "time"):
        add(
            "progress",
            f"incumbent-{against}",
            f"Best value by {against}",
            incumbents.incumbent(sweep, against),
            f"{metric} of the complete trials, and the best so far, by {against}",
            "no trial is complete yet",
        )
    add(
        "learning",
        "curves",
        "Learning curves",
        learning_curves.learning_curves(sweep),
        f"{metric} after each epoch",
        "no trial has reported an epoch",
        intro="Each line is a trial. The winner is the thick line that ends in a star; trials that are not complete "
        "are faint and dotted.",
        wide=True,
    )
    add("learning", "rungs", "Rungs", rungs.rungs_plot(sweep), "Trials by rung", "all trials are trained in one go")
    for i, key in enumerate(sweep.varying_keys[:MOST_HYPERPARAMETER_PLOTS]):
        plot = hyperparameters.hyperparameter(sweep, key)
        plot.figure.update_layout(xaxis_title=None, margin_t=6, height=280)  # the page's heading is its title
        add("hyperparameters", f"hyperparameter-{i}", key, plot, f"{metric} of the trials by {key}")
    add(
        "hyperparameters",
        "parallel",
        "Parallel coordinates",
        parallel_coordinates.parallel_coordinates(sweep),
        f"Hyperparameters and {metric} of the trials",
        "it takes a hyperparameter that varies and two trials with a value",
        intro="Each line is a trial; the better its result, the stronger its colour.",
        wide=True,
    )
    found = importances(sweep)
    bars = ""
    if not isinstance(found, NotShown):
        bars = "; ".join(f"{key}: {number_text(mean, 2)}" for key, mean in zip(found.keys, found.means, strict=True))
    add(
        "hyperparameters",
        "importance",
        "Importance of hyperparameters",
        None if isinstance(found, NotShown) else hyperparameters.importance(found),
        bars,
        found.reason if isinstance(found, NotShown) else "",
        intro="How much worse a random forest predicts the rank of a trial that it has not seen when this "
        "hyperparameter is shuffled; whiskers are one standard deviation over folds and repeats.",
        wide=True,
    )
    if sweep.expected:
        add(
            "hyperparameters",
            "expected",
            "What the searcher expected",
            beliefs.expected_against_seen(sweep),
            f"{metric} of the trials against what the searcher's model expected of them",
            "it takes three trials of which the searcher expected something, with a value",
            intro="Each point is a trial. Its bar is the 95% interval that the searcher's model gave before the trial "
            "was tried. On the dotted line a trial came out as expected.",
        )
    add(
        "time",
        "time-line",
        "Time line of workers",
        time_line.time_line(sweep),
        "Segments of the trials on each worker over the running time",
        "no segment has started",
        intro="Each line is a segment: one job of a trial. The mark at its end shows how it ended.",
        wide=True,
    )
    return plots, sections
