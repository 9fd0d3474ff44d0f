"""The dashboard's pages and what their scripts ask for."""

from __future__ import annotations

import functools
import gzip
import hashlib
import json
from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from plotly.offline import get_plotlyjs
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hposweep.errors import ConfigError
from hposweep.history import now
from hposweep.results.comparison.comparison import compare_read
from hposweep.results.dashboard import log_tail
from hposweep.results.dashboard.live_content import Answer, LiveContent
from hposweep.results.dashboard.sweep_list import Listed, SweepList
from hposweep.results.html import comparison_page, page, sweep_page
from hposweep.results.overview import SweepState
from hposweep.shown_text import visible, visible_lines

MOST_COMPARED = 40
MOST_KEPT = 20  # comparisons whose pages are kept
KINDS = {".js": "text/javascript", ".css": "text/css"}
OWN_ASSETS = ("dashboard.css", "list.js", "live.js", "live_page.js", "message.js")
GONE = "The sweep's folder was removed."
UNKNOWN = "There is no such sweep in the folder of this dashboard."

RunAgainOf = Callable[[Path], sweep_page.RunAgain | None]


class Dashboard:
    """What the pages are made of.

    Args:
        run_again_of: what makes the commands that run the trials of the sweep in a folder again.
    """

    def __init__(self, sweeps: SweepList, run_again_of: RunAgainOf) -> None:
        self._sweeps, self._run_again_of = sweeps, run_again_of
        self._of_sweeps: dict[str, LiveContent] = {}
        self._of_comparisons: dict[tuple[str, ...], LiveContent] = {}

    def app(self) -> Starlette:
        """The application that serves them."""
        answers = {
            "/": self.list_page,
            "/sweep": self.sweep_page,
            "/compare": self.comparison_page,
            "/api/sweeps": self.sweeps,
            "/api/sweep": self.sweep,
            "/api/compare": self.comparison,
            "/api/log": self.log,
            "/assets/{name}": self.asset,
        }
        return Starlette(routes=[Route(path, answer, methods=["GET"]) for path, answer in answers.items()])

    def list_page(self, request: Request) -> Response:
        """The page of all sweeps."""
        return _page("list.html")

    def sweeps(self, request: Request) -> Response:
        """What that page shows."""
        rows = self._sweeps.rows()
        text = json.dumps(rows, separators=(",", ":")).encode()
        return _sent(request, Answer(hashlib.sha256(text).hexdigest(), text, gzip.compress(text, 1, mtime=0)))

    def sweep_page(self, request: Request) -> Response:
        """The page of one sweep: its report, with what keeps it up to date."""
        return self._live_page(request, self._sweep(request), "sweep")

    def sweep(self, request: Request) -> Response:
        """What that page shows, and what the sweep is at."""
        return _sent(request, self._sweep(request))

    def comparison_page(self, request: Request) -> Response:
        """The page that compares sweeps."""
        return self._live_page(request, self._comparison(request), "comparison")

    def comparison(self, request: Request) -> Response:
        """What that page shows."""
        return _sent(request, self._comparison(request))

    def log(self, request: Request) -> Response:
        """A piece of what a trial has printed or logged."""
        listed = self._sweeps.find(request.query_params.get("id", ""))
        number, start = _count(request, "trial"), _count(request, "from")
        files = None if listed is None or number is None else listed.reader.files_of(number)
        if files is None:
            return JSONResponse({"why": "There is no such trial, or it has no folder yet."}, 404)
        assert listed is not None and number is not None
        names = log_tail.names(files)
        name = request.query_params.get("name", names[0] if names else "")
        if name not in names:
            return JSONResponse({"names": [*map(visible, names)], "why": "The trial has left no such file."}, 404)
        # Before the file is read: what it wrote last is in it then.
        is_running = listed.reader.is_running(number)
        try:
            piece = log_tail.piece(files, name, start)
        except OSError:
            return JSONResponse({"names": [*map(visible, names)], "why": "The file can't be read."}, 404)
        found = {"text": visible_lines(piece.text), "from": piece.start, "to": piece.end, "size": piece.size}
        return JSONResponse({"names": names, "name": name, "is_running": is_running, **found})

    def asset(self, request: Request) -> Response:
        """A script or a style sheet."""
        name = request.path_params["name"]
        content = _assets().get(name)
        if content is None:
            return Response("No such file.\n", 404, media_type="text/plain")
        version, text, packed = content
        return _sent(request, Answer(version, text, packed), KINDS[Path(name).suffix])

    def _sweep(self, request: Request) -> Answer:
        listed = self._sweeps.find(request.query_params.get("id", ""))
        if listed is None:
            return _without_content(UNKNOWN, 404)
        look = listed.reader.look()
        if look is None:
            return _without_content(GONE, 410)
        if look.overview.state is SweepState.UNREADABLE:
            return _without_content(look.overview.why, 200)
        live = self._of_sweeps.setdefault(
            f"{listed.id} {listed.reader.generation}", LiveContent(functools.partial(self._content_of, listed))
        )
        try:
            return live.get(look.version)
        except ConfigError as error:  # it was removed or damaged in the meantime
            return _without_content(f"{error}", 200)

    def _content_of(self, listed: Listed) -> dict[str, Any]:
        read_at = now()
        look, data = listed.reader.look(), listed.reader.data()
        folder = listed.reader.folder
        content = sweep_page.content(folder, data, self._run_again_of(folder))
        state = "" if look is None else str(look.overview.state)
        controller = "" if look is None else look.overview.controller
        return {"content": content, "read_at": read_at, "state": state, "controller": controller}

    def _comparison(self, request: Request) -> Answer:
        ids = request.query_params.getlist("id")
        if not 2 <= len(ids) <= MOST_COMPARED or len({*ids}) < len(ids):
            return _without_content(f"A comparison takes 2 to {MOST_COMPARED} different sweeps.", 404)
        found = [self._sweeps.find(id) for id in ids]
        listed = [each for each in found if each is not None]
        if len(listed) < len(found):
            return _without_content(UNKNOWN, 404)
        looks = [each.reader.look() for each in listed]
        for each, look in zip(listed, looks, strict=True):
            if look is None:
                return _without_content(f"{each.name}: its folder was removed.", 410)
        if len(self._of_comparisons) > MOST_KEPT:
            self._of_comparisons.clear()
        live = self._of_comparisons.setdefault(
            tuple(ids), LiveContent(functools.partial(self._content_of_comparison, listed))
        )
        try:
            return live.get(" ".join(look.version for look in looks if look is not None))
        except ConfigError as error:
            return _without_content(f"{error}", 200)

    def _content_of_comparison(self, listed: Sequence[Listed]) -> dict[str, Any]:
        read_at = now()
        sweeps = [each.reader.data() for each in listed]
        comparison = compare_read([each.reader.folder for each in listed], sweeps)
        return {"content": comparison_page.content(comparison), "read_at": read_at, "state": "", "controller": ""}

    def _live_page(self, request: Request, answer: Answer, kind: str) -> Response:
        found = json.loads(answer.text)
        if not found.get("content"):
            # Where it was removed, or is damaged now: it may be mended.
            return _page("message.html", answer.status)
        rendered = sweep_page.render_content if kind == "sweep" else comparison_page.render_content
        return Response(rendered(found["content"], served=True), media_type="text/html")


def _without_content(why: str, status: int) -> Answer:
    version = hashlib.sha256(why.encode(errors="replace")).hexdigest()
    return Answer.of(version, {"content": None, "why": visible(why)}, status)


def _count(request: Request, name: str) -> int | None:
    """A number of the query; None where it holds none."""
    text = request.query_params.get(name, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 16 else None


def _page(name: str, status: int = 200) -> Response:
    return Response(_part(name), status, media_type="text/html")


def _part(name: str) -> bytes:
    return resources.files("hposweep.results.dashboard").joinpath("parts", name).read_bytes()


@functools.cache
def _assets() -> dict[str, tuple[str, bytes, bytes]]:
    """Scripts and style sheets, each with its version, and packed."""
    texts = {name: _part(name) for name in OWN_ASSETS}
    texts |= {"page.css": page.css().encode(), "plotly.js": get_plotlyjs().encode()}
    texts |= {"sweep.js": page.script(["trials.js"]).encode(), "comparison.js": page.script([]).encode()}
    return {
        name: (hashlib.sha256(text).hexdigest(), text, gzip.compress(text, mtime=0)) for name, text in texts.items()
    }


def _sent(request: Request, answer: Answer, media_type: str = "application/json") -> Response:
    """The answer; where the browser has it already, nothing but that."""
    tag = f'"{answer.version}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(answer.packed, answer.status, {**headers, "Content-Encoding": "gzip"}, media_type)
    return Response(answer.text, answer.status, headers, media_type)
