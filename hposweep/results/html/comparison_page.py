"""The page of a comparison: the incumbents of the methods against epochs and time, and how the methods differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hposweep.number_text import number_text
from hposweep.results.comparison.comparison import Against, Comparison, how_to_read, leaders, summary, table
from hposweep.results.comparison.methods import ABSENT, NOT_RECORDED
from hposweep.results.figures import incumbents
from hposweep.results.figures.style import Plot
from hposweep.results.html import page
from hposweep.results.html.page import Section, Served
from hposweep.shown_text import plural

TITLES = {"epochs": "By epochs used", "trials": "By trials started", "seconds": "By wall time"}


def write(comparison: Comparison, path: Path) -> None:
    """Writes the page.

    Raises:
        OSError: if the file can't be written.
    """
    page.write(path, render(comparison))


def render(comparison: Comparison) -> str:
    """The page."""
    return page_of(content(comparison))


def page_of(content: Mapping[str, Any], served: Served | None = None) -> str:
    """The page with this content; `served`: as in `page.render`."""
    return page.render(
        "comparison.html", content["title"], {"figures": content["figures"]}, served=served, parts=content["parts"]
    )


def content(comparison: Comparison) -> dict[str, Any]:
    """All that the page shows, as JSON takes it: title, parts and figures as in `sweep_page.content`."""
    plots, sections = _plots(comparison)
    heads, rows = table(comparison)
    names = [method.name for method in comparison.methods]
    head = page.part(
        "comparison/head.html",
        names=names,
        comparison=comparison,
        n_sweeps=plural(sum(len(method.sweeps) for method in comparison.methods), "sweep"),
    )
    body = page.part(
        "comparison/body.html",
        names=names,
        comparison=comparison,
        facts=[_fact(comparison, *point) for point in comparison.points],
        summary=summary(comparison),
        how_to_read=how_to_read(comparison),
        sections=sections,
        heads=heads,
        rows=rows,
        no_value=(ABSENT, NOT_RECORDED),
        number_text=number_text,
    )
    return {
        "title": f"Comparison: {' | '.join(names)}",
        "parts": {"part-head": head, "part-body": body},
        "figures": page.figures_of(plots),
    }


def _plots(comparison: Comparison) -> tuple[dict[str, Plot], list[Section]]:
    """The plots by the ids of their elements, and the sections around them."""
    plots: dict[str, Plot] = {}
    sections = []
    for _, against, _ in comparison.points:
        id, title = f"incumbents-{against}", TITLES[against]
        plot = incumbents.incumbents(comparison, against)
        notes: Sequence[str] = [f"No method has a {comparison.without_median} yet."] if plot is None else plot.notes
        description = f"{comparison.metric} of the incumbent of each method, {title.lower()}"
        sections.append(Section(id, title, notes, plot is not None, description))
        if plot is not None:
            plots[id] = plot
    return plots, sections


def _fact(comparison: Comparison, point: str, against: Against, used: float) -> tuple[str, str, str]:
    """A number at the top: at which point, the best value there, and whose it is."""
    found = [method.incumbent(against, used) for method in comparison.methods]
    best = leaders(found, comparison.direction)
    if not best:
        return f"at {point}", "none", f"no {comparison.without_median}"
    median = found[best[0]].median
    assert median is not None
    return f"at {point}", number_text(median), ", ".join(comparison.methods[i].name for i in best)
