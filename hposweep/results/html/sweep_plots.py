"""The plots of a sweep, each with its place in the page."""

from __future__ import annotations

from hposweep.number_text import number_text
from hposweep.results.figures import hyperparameters, incumbents, learning_curves, time_line
from hposweep.results.figures.style import Plot
from hposweep.results.html.page import Section
from hposweep.results.importance import NotShown, importances
from hposweep.results.sweep_data import SweepData

MOST_HYPERPARAMETER_PLOTS = 40


def sweep_plots(sweep: SweepData) -> tuple[dict[str, Plot], dict[str, Section]]:
    """The plots by the ids of their elements, and the sections around them."""
    plots: dict[str, Plot] = {}
    sections: dict[str, Section] = {}

    def add(id: str, title: str, plot: Plot | None, description: str, without: str = "") -> None:
        if plot is not None:
            plots[id] = plot
        notes = [without] if plot is None else plot.notes
        sections[id] = Section(id, title, notes, plot is not None, description)

    metric = sweep.history.metric
    for against in ("trials", "time"):
        add(
            f"incumbent-{against}",
            f"Best value by {against}",
            incumbents.incumbent(sweep, against) if sweep.complete else None,
            f"{metric} of the complete trials, and the best so far, by {against}",
            "No trial is complete yet.",
        )
    curves = learning_curves.learning_curves(sweep)
    add("curves", "Learning curves", curves, f"{metric} after each epoch", "No trial has reported an epoch.")
    for i, key in enumerate(sweep.varying_keys[:MOST_HYPERPARAMETER_PLOTS]):
        plot = hyperparameters.hyperparameter(sweep, key)
        plot.figure.update_layout(xaxis_title=None, margin_t=6, height=280)  # the page's heading is its title
        add(f"hyperparameter-{i}", key, plot, f"{metric} of the trials by {key}")
    add(
        "parallel",
        "Parallel coordinates",
        hyperparameters.parallel_coordinates(sweep),
        f"Hyperparameters and {metric} of the trials",
        "It takes a hyperparameter that varies and two trials with a value.",
    )
    found = importances(sweep)
    if isinstance(found, NotShown):
        add("importance", "Importance of hyperparameters", None, "", f"Not shown: {found.reason}.")
    else:
        bars = "; ".join(f"{key}: {number_text(mean, 2)}" for key, mean in zip(found.keys, found.means, strict=True))
        add("importance", "Importance of hyperparameters", hyperparameters.importance(found), bars)
    add(
        "time-line",
        "Time line of workers",
        time_line.time_line(sweep),
        "Segments of the trials on each worker over the running time",
        "No segment has started.",
    )
    return plots, sections
