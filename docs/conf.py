"""Sphinx's config: `make docs` builds the pages of this folder into docs/_build/html."""

from importlib.metadata import version as version_of
from typing import Any

from sphinx.application import Sphinx

project = "hposweep"
author = "the hposweep authors"
copyright = author
version = release = version_of("hposweep")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
exclude_patterns = ["_build"]
myst_heading_anchors = 3
# What is typed or written to a file has a button that copies it, what is printed has none.
copybutton_selector = "div.highlight-bash pre, div.highlight-python pre, div.highlight-yaml pre"

html_theme = "furo"
html_title = "hposweep"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_show_sphinx = False
html_copy_source = False

# Docstrings are written in Markdown's way: `code`.
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
# Types of signatures that stand on other projects' pages, or on none. A dead link of a page is an error all the same.
nitpick_ignore_regex = [("py:.*", r".*")]


def mark_examples(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Marks an indented example in a docstring as code, for reStructuredText; under `Args:` there is no blank line."""
    for number in range(len(lines) - 1, 1, -1):
        begins = lines[number].startswith("    ") and not lines[number - 1].strip()
        if begins and lines[number - 2] and not lines[number - 2].startswith(" "):
            lines[number - 1 : number] = ["", "::", ""]


def setup(app: Sphinx) -> None:
    """Sphinx's words: what this file adds. Before napoleon, which reads `Args:`."""
    app.connect("autodoc-process-docstring", mark_examples, priority=400)
