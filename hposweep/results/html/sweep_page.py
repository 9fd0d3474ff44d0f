"""`report.html`: the results of a sweep, self-contained: it makes no network request.

It is made from the folder alone, so it can be made anew at any time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from hposweep.history import count_states
from hposweep.results.beliefs import Model
from hposweep.results.figures.style import LOOKS, of_all
from hposweep.results.html import findings, page, trial_details, trial_rows
from hposweep.results.html.findings import FailureGroup
from hposweep.results.html.in_a_process import FILE_NAME
from hposweep.results.html.page import Section, Served
from hposweep.results.html.sweep_plots import GROUPS, sweep_plots
from hposweep.results.html.trial_rows import RunAgain
from hposweep.results.importance import Forests
from hposweep.results.shown_values import MOST_CHARACTERS, value_shown
from hposweep.results.sweep_data import SweepData, read
from hposweep.shown_text import cut
from hposweep.sweep_folder.sweep_yaml import AppRecord
from hposweep.trial import TrialState

SCRIPTS = ("marks.js", "panel.js", "table.js", "parts.js")


def write(sweep_dir: Path, run_again: RunAgain | None, model: Model | None = None) -> Path:
    """Makes the report of a sweep anew, and returns its path.

    Args:
        run_again: None: the page names no commands.
        model: as in `content`.

    Raises:
        ConfigError: if the folder holds no sweep.
        ModuleNotFoundError: if a package of the extra `report` is missing.
    """
    path = sweep_dir / FILE_NAME
    page.write(path, render(sweep_dir, read(sweep_dir), run_again, model))
    return path


def render(sweep_dir: Path, sweep: SweepData, run_again: RunAgain | None, model: Model | None = None) -> str:
    """The page."""
    return page_of(content(sweep_dir, sweep, run_again, model))


def page_of(content: Mapping[str, Any], served: Served | None = None) -> str:
    """The page with this content; `served`: as in `page.render`."""
    above = ["part-summary", "part-failures-first", *(f"part-{group}" for group in GROUPS), "part-missing"]
    return page.render(
        "report.html",
        content["title"],
        {name: value for name, value in content.items() if name != "parts"},
        SCRIPTS,
        served,
        parts=content["parts"],
        parts_above=above,
        parts_below=["part-failures", "part-setup"],
    )


def content(
    sweep_dir: Path,
    sweep: SweepData,
    run_again: RunAgain | None,
    model: Model | None = None,
    forests: Forests | None = None,
) -> dict[str, Any]:
    """All that the page shows, as JSON takes it.

    The page's script takes another content of the same sweep by `update_page(content)`:

        title: of the page
        parts: by the ids of their elements the HTML in them
        figures: by the ids of their elements
        table, commands: as in `trial_rows`
        segments, curves, intervals, tracebacks, logs: as in `trial_details`

    Args:
        model: of the sweep's searcher; None: it has none, or it is not drawn.
        forests: None: they are fitted for this content.
    """
    plots, sections = sweep_plots(sweep, model, forests)
    trials = trial_rows.listed(sweep)
    failures = findings.failure_groups(sweep)
    return {
        "title": f"{sweep.name}: report of a sweep",
        "parts": _parts(sweep_dir, sweep, sections, failures, len(trials), run_again),
        "figures": page.figures_of(plots),
        "table": trial_rows.table(sweep, trials),
        "commands": trial_rows.commands(trials, run_again),
        "segments": trial_details.segments(sweep),
        "curves": trial_details.curves(sweep),
        "intervals": trial_details.intervals(sweep, trials),
        "tracebacks": trial_details.tracebacks(sweep, failures),
        "logs": trial_details.logs(sweep_dir, sweep, trial_rows.ranked(sweep), failures),
    }


def _parts(
    sweep_dir: Path,
    sweep: SweepData,
    sections: Mapping[str, Section],
    failures: Sequence[FailureGroup],
    n_listed: int,
    run_again: RunAgain | None,
) -> dict[str, str]:
    """The pieces of the page that change while the sweep runs, by the ids of their elements."""
    groups = {
        id: [section for section in sections.values() if section.group == id and section.has_plot] for id in GROUPS
    }
    failures_first = _failures_come_first(sweep)
    failures_part = page.part(
        "sweep/failures.html",
        groups=failures[: findings.MOST_FAILURE_GROUPS],
        n_more=max(0, len(failures) - findings.MOST_FAILURE_GROUPS),
        opened=failures_first,
    )
    parts = {
        "head": page.part("sweep/head.html", sweep=sweep, status=findings.status(sweep)),
        "contents": page.part(
            "sweep/contents.html",
            groups=[(id, title) for id, title in GROUPS.items() if groups[id]],
            has_trials=bool(sweep.trials),
            has_failures=bool(failures),
            failures_first=failures_first,
        ),
        "summary": page.part(
            "sweep/summary.html",
            facts=findings.facts(sweep),
            summary=findings.summary(sweep_dir, sweep),
            winner=sweep.history.incumbent,
            winner_command=trial_rows.command(sweep.history.incumbent, run_again),
            value_shown=value_shown,
            has_plots=any(groups.values()),
        ),
        "failures-first": failures_part if failures_first else "",
        "missing": page.part("sweep/missing.html", reasons=_reasons(sections) if sweep.trials else []),
        "not-listed": page.part(
            "sweep/not_listed.html",
            notes=of_all(n_listed, len(sweep.trials), "trials", "the best among them; trials.csv has all", "listed"),
        ),
        "failures": "" if failures_first else failures_part,
        "setup": page.part(
            "sweep/setup.html",
            history=sweep.history,
            record=sweep.record,
            program=sweep.record.command if isinstance(sweep.record, AppRecord) else "",
            cwd=(sweep.record.cwd or "") if isinstance(sweep.record, AppRecord) else "",
            config=_config_text(sweep),
        ),
    }
    legend = [(LOOKS[state].letter, state) for state in count_states(sweep.history)]
    parts |= {
        id: page.part(
            "sweep/group.html",
            id=id,
            title=title,
            sections=groups[id],
            has_winner=sweep.history.incumbent is not None,
            # Plots of the other groups have legends of their own.
            legend=legend if id == "hyperparameters" else [],
        )
        for id, title in GROUPS.items()
    }
    return {f"part-{id}": html for id, html in parts.items()}


def _failures_come_first(sweep: SweepData) -> bool:
    """Whether the failures are what there is to tell: no trial is complete, or more than half failed."""
    states = sweep.history.n_in_state
    n_failed = sum(states[state] for state in trial_rows.FAILURES)
    return n_failed > 0 and (not states[TrialState.COMPLETE] or 2 * n_failed > len(sweep.trials))


def _reasons(sections: Mapping[str, Section]) -> list[tuple[str, str]]:
    """The plots that are missing, and why: those with the same reason together."""
    titles: dict[str, list[str]] = {}
    for section in sections.values():
        if not section.has_plot:
            titles.setdefault(" ".join(section.notes), []).append(section.title)
    return [(", ".join(of_reason), reason) for reason, of_reason in titles.items()]


def _config_text(sweep: SweepData) -> str:
    """The config of the sweep as YAML; empty where none is recorded."""
    if not isinstance(sweep.record, AppRecord):
        return ""
    return str(yaml.safe_dump(_with_cut_texts(sweep.record.config), sort_keys=False, allow_unicode=True))


def _with_cut_texts(node: Any) -> Any:
    if isinstance(node, Mapping):
        return {key: _with_cut_texts(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_with_cut_texts(value) for value in node]
    return cut(node, MOST_CHARACTERS) if isinstance(node, str) else node
