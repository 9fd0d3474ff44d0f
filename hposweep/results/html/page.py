"""Self-contained pages (they make no network request): their frame, their style, their plots.

Texts of configs and errors are escaped: in HTML by Jinja2's autoescape, in scripts by its `tojson`, in plots by
`figures.style.plain`. A content security policy allows only the page's two scripts, by their hashes.
"""

from __future__ import annotations

import base64
import functools
import gzip
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from hposweep.results.figures.style import DARK, Plot
from hposweep.results.shown_values import MOST_CHARACTERS
from hposweep.shown_text import cut
from hposweep.sweep_folder.files import write_atomically

# NaN and infinity, which JSON lacks, would be a bug of ours, and break the page.
JSON: Mapping[str, Any] = {"allow_nan": False, "separators": (",", ":")}


@dataclass(frozen=True)
class Section:
    """A plot of the page, or the reason why it is missing."""

    id: str
    title: str
    notes: Sequence[str]
    has_plot: bool
    description: str  # of the plot, for screen readers
    intro: str = ""  # how to read it
    group: str = ""  # the part of the page where it stands
    wide: bool = False  # it takes the whole width of its group
    least_width: int = 0  # of the plot, in pixels: on a narrower screen it scrolls


@dataclass(frozen=True)
class Served:
    """What a page holds that a server keeps up to date, in place of all that makes it self-contained."""

    script: str  # its scripts in one, by the name that the server gives to them
    state: Mapping[str, Any]  # of the content, for the server's own script


def render(
    template: str,
    title: str,
    data: Mapping[str, Any],
    scripts: Sequence[str] = (),
    served: Served | None = None,
    **variables: Any,
) -> str:
    """The page of a template in `parts`.

    Args:
        data: what the scripts find in the variable `page`; `figures` are the plots by the ids of their elements, as
            `figures_of` gives them.
        scripts: more files of `parts` to run, in this order.
        served: None: the page is self-contained.
        variables: for the template.
    """
    frame: dict[str, Any] = {"served": served}
    if served is None:
        code, plotly_js = script(scripts), get_plotlyjs()
        frame |= {
            "css": source("page.css"),
            "script": code,
            "script_hashes": [_hash(code), _hash(plotly_js)],
            "plotly_js": _packed(plotly_js),
            "packed_data": _packed(json.dumps({**data, "dark": DARK}, **JSON)),
        }
    found = _environment().get_template(template)
    return found.render(title=title, data={**data, "dark": DARK}, **frame, **variables)


def script(names: Sequence[str]) -> str:
    """The scripts of a page in one: those of all pages, and more files of `parts`."""
    return "\n".join([*map(source, ("copy.js", "plots.js", *names)), "start_page();\n"])


def part(template: str, **variables: Any) -> Markup:
    """A piece of a page, as HTML."""
    return Markup(_environment().get_template(template).render(**variables))  # noqa: S704 (the template has escaped it)


def figures_of(plots: Mapping[str, Plot]) -> dict[str, Any]:
    """The figures of plots as the page's script takes them, by the ids of their elements."""
    figures = {id: _without_arrays(plot.figure.to_dict()) for id, plot in plots.items()}
    return {id: {"data": each["data"], "layout": each["layout"]} for id, each in figures.items()}


def _without_arrays(node: Any) -> Any:
    """A figure as plotly gives it: packed arrays, but for those that it can't pack, since they are empty, say."""
    if isinstance(node, Mapping):
        return {key: _without_arrays(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [_without_arrays(value) for value in node]
    return node.tolist() if isinstance(node, np.ndarray) else node


def write(path: Path, page: str) -> None:
    """Writes the file, whole or not at all."""
    write_atomically(path, page, errors="replace")


@functools.cache
def _environment() -> jinja2.Environment:
    loader = jinja2.FunctionLoader(source)
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined, loader=loader
    )
    environment.policies["json.dumps_kwargs"] = JSON
    environment.filters["cut"] = lambda text: cut(text, MOST_CHARACTERS)
    return environment


def source(name: str) -> str:
    """The text of a style sheet, script or template in `parts`."""
    return resources.files("hposweep.results.html").joinpath("parts", name).read_text(encoding="utf-8")


def _packed(text: str) -> str:
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()


def _hash(script: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
