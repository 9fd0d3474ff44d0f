"""The dashboard's pages and what their scripts ask for."""

from __future__ import annotations

import functools
import hashlib
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from plotly.offline import get_plotlyjs
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hposweep.errors import ConfigError
from hposweep.history import now
from hposweep.results.beliefs import Model
from hposweep.results.comparison.comparison import compare_read
from hposweep.results.dashboard.kept import Kept, KeptForests, NoForests
from hposweep.results.dashboard.live_content import Answer, Content, LiveContent, Made
from hposweep.results.dashboard.sweep_list import Listed, SweepList
from hposweep.results.html import comparison_page, page, sweep_page
from hposweep.results.html.trial_rows import RunAgain
from hposweep.results.importance import Forests
from hposweep.results.overview import SweepState
from hposweep.shown_text import visible
from hposweep.sweep_folder import log_tail

MOST_COMPARED = 40
MOST_KEPT = 20  # comparisons whose pages are kept
KINDS = {".js": "text/javascript", ".css": "text/css"}
OWN_ASSETS = ("dashboard.css", "list.js", "live.js", "live_page.js", "message.js")
GONE = "The sweep's folder was removed."
FOLDER = "Hposweep-Folder"  # the header that tells the folders of dashboards apart
UNKNOWN = "There is no such sweep in the folder of this dashboard."


@dataclass(frozen=True)
class FromRecords:
    """What is made of the folder of a sweep by rooms above this one."""

    run_again_of: Callable[[Path], RunAgain | None]  # the commands that run its trials again
    model_of: Callable[[Path], Model | None]  # its searcher's


class Dashboard:
    """What the pages are made of."""

    def __init__(self, sweeps: SweepList, from_records: FromRecords) -> None:
        self._sweeps, self._from_records = sweeps, from_records
        self._lock = threading.Lock()
        self._of_sweeps: dict[str, _LiveSweep] = {}
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
        app = Starlette(routes=[Route(path, answer, methods=["GET"]) for path, answer in answers.items()])
        # Pages outlive their server, and the next one at its port may serve another folder.
        app.state.folder = hashlib.sha256(os.fsencode(self._sweeps.root.resolve())).hexdigest()[:16]
        return app

    def list_page(self, request: Request) -> Response:
        """The page of all sweeps."""
        return _page("list.html")

    def sweeps(self, request: Request) -> Response:
        """What that page shows."""
        return _sent(request, Answer.of_json(self._sweeps.rows()))

    def sweep_page(self, request: Request) -> Response:
        """The page of one sweep: its report, with what keeps it up to date."""
        made = self._sweep(request)
        if isinstance(made, Absent):
            return _page("message.html", made.status)
        served = page.Served("sweep.js", _state(request, "sweep", made))
        return Response(sweep_page.page_of(made.content, served), media_type="text/html")

    def sweep(self, request: Request) -> Response:
        """What that page shows, and what the sweep is at."""
        return _sent_made(request, self._sweep(request))

    def comparison_page(self, request: Request) -> Response:
        """The page that compares sweeps."""
        made = self._comparison(request)
        if isinstance(made, Absent):
            return _page("message.html", made.status)
        served = page.Served("comparison.js", _state(request, "compare", made))
        return Response(comparison_page.page_of(made.content, served), media_type="text/html")

    def comparison(self, request: Request) -> Response:
        """What that page shows."""
        return _sent_made(request, self._comparison(request))

    def log(self, request: Request) -> Response:
        """A piece of what a trial has printed or logged."""
        listed = self._sweeps.find(request.query_params.get("id", ""))
        number, start = _count(request, "trial"), _count(request, "from")
        if listed is None or number is None:
            return _sent_made(request, Absent(UNKNOWN, 404))
        files = listed.reader.files_of(number)
        names = [] if files is None else log_tail.names(files)
        name = request.query_params.get("name", names[0] if names else "")
        found: dict[str, Any] = {"names": names, "why": "There is no such file of the trial yet."}
        if files is not None and name in names:
            # Before the file is read: what the job wrote last is in it then.
            found = {"names": names, "name": name, "is_running": listed.reader.is_running(number)}
            try:
                piece = log_tail.piece(files, name, start)
            except OSError:
                found["why"] = "The file can't be read."
            else:
                found |= {"from": piece.start, "to": piece.end}
                found |= {"text": log_tail.shown(piece.text), "rest": log_tail.shown(piece.rest)}
        return _sent(request, Answer.of_json(found))

    def asset(self, request: Request) -> Response:
        """A script or a style sheet."""
        name = request.path_params["name"]
        answer = _assets().get(name)
        if answer is None:
            return Response("No such file.\n", 404, media_type="text/plain")
        return _sent(request, answer, KINDS[Path(name).suffix])

    def _sweep(self, request: Request) -> Made | Absent:
        listed = self._sweeps.find(request.query_params.get("id", ""))
        if listed is None:
            return Absent(UNKNOWN, 404)
        look = listed.reader.look()
        if look is None:
            return Absent(GONE)
        if look.overview.state is SweepState.UNREADABLE:
            return Absent(look.overview.why)
        key = f"{listed.id} {listed.reader.generation}"
        with self._lock:
            if key not in self._of_sweeps:
                self._of_sweeps[key] = _LiveSweep(listed, self._content_of)
            live = self._of_sweeps[key]
        try:
            return live.get(look.version)
        except ConfigError as error:  # it was removed or damaged in the meantime
            return Absent(f"{error}")

    def _content_of(self, listed: Listed, kept: Kept | None) -> Content:
        import_all()
        read_at, look, data = now(), listed.reader.look(), listed.reader.data()
        folder = listed.reader.folder
        model: Model | None = None
        forests: Forests = NoForests()
        if kept is not None:
            n_ended, is_final = data.history.n_ended, not data.is_running
            model = kept.get("model", n_ended, lambda: self._from_records.model_of(folder), is_final=is_final)
            forests = KeptForests(kept)
        content = sweep_page.content(folder, data, self._from_records.run_again_of(folder), model, forests)
        told = {} if look is None else self._sweeps.told(listed, look)
        return content, {"read_at": read_at, **told}

    def _comparison(self, request: Request) -> Made | Absent:
        ids = request.query_params.getlist("id")
        if not 2 <= len(ids) <= MOST_COMPARED or len({*ids}) < len(ids):
            return Absent(f"A comparison takes 2 to {MOST_COMPARED} different sweeps.", 404)
        found = [self._sweeps.find(id) for id in ids]
        listed = [each for each in found if each is not None]
        if len(listed) < len(found):
            return Absent(UNKNOWN, 404)
        versions = []
        for each in listed:
            look = each.reader.look()
            if look is None:
                return Absent(f"{each.name}: its folder was removed.")
            versions.append(look.version)
        if len(self._of_comparisons) > MOST_KEPT:
            self._of_comparisons.clear()
        live = self._of_comparisons.setdefault(tuple(ids), LiveContent(functools.partial(_compared, listed)))
        try:
            return live.get(" ".join(versions))
        except ConfigError as error:
            return Absent(f"{error}")


class _LiveSweep:
    """The content of a sweep's page; the first one has nothing that takes long, so that the page is there soon.

    Args:
        content_of: makes it; it is given what is kept of what takes long, or None where that is left out.
    """

    def __init__(self, listed: Listed, content_of: Callable[[Listed, Kept | None], Content]) -> None:
        kept = Kept()
        self._live = LiveContent(lambda: content_of(listed, kept if self._live.is_made else None))

    def get(self, version: str) -> Made:
        """As `LiveContent.get`."""
        return self._live.get(f"{version}{' whole' if self._live.is_made else ''}")


@dataclass(frozen=True)
class Absent:
    """Why there is nothing to show. It is no error of the server, but for what never was there."""

    why: str
    status: int = 200


def _compared(listed: Sequence[Listed]) -> Content:
    import_all()
    read_at = now()
    sweeps = [each.reader.data() for each in listed]
    content = comparison_page.content(compare_read([each.reader.folder for each in listed], sweeps))
    return content, {"read_at": read_at}


def import_all() -> None:
    """Imports what plots need, all of it before the first one is made.

    Plotly looks whether pandas is imported: it must not find it half-way, in a thread that imports scikit-learn.
    """
    import sklearn.ensemble
    import sklearn.inspection
    import sklearn.model_selection  # noqa: F401


def _count(request: Request, name: str) -> int | None:
    """A number of the query; None where it holds none."""
    text = request.query_params.get(name, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 16 else None


def _page(name: str, status: int = 200) -> Response:
    return Response(_part(name), status, media_type="text/html")


def _part(name: str) -> bytes:
    return resources.files("hposweep.results.dashboard").joinpath("parts", name).read_bytes()


@functools.cache
def _assets() -> dict[str, Answer]:
    """Scripts and style sheets."""
    texts = {name: _part(name) for name in OWN_ASSETS}
    texts |= {name: page.source(name).encode() for name in ("copy.js", "page.css")}
    texts |= {
        "plotly.js": get_plotlyjs().encode(),
        "sweep.js": page.script(sweep_page.SCRIPTS).encode(),
        "comparison.js": page.script(["parts.js"]).encode(),
    }
    return {name: Answer.of(text) for name, text in texts.items()}


def _state(request: Request, kind: str, made: Made) -> dict[str, Any]:
    """What a page is told beside its content."""
    return {"kind": kind, "folder": request.app.state.folder, **made.state}


def _sent_made(request: Request, made: Made | Absent) -> Response:
    if isinstance(made, Absent):
        return _sent(request, Answer.of_json({"content": None, "why": visible(made.why)}), status=made.status)
    return _sent(request, made.answer)


def _sent(request: Request, answer: Answer, media_type: str = "application/json", status: int = 200) -> Response:
    """The answer; where the browser has it already, nothing but that."""
    tag = f'"{answer.version}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache", "Vary": "Accept-Encoding", FOLDER: request.app.state.folder}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(answer.packed, status, {**headers, "Content-Encoding": "gzip"}, media_type)
    return Response(answer.text, status, headers, media_type)
