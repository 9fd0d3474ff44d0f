"""A dashboard that is served in a thread of the test."""

import contextlib
import http.client
import json
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from hposweep.results.dashboard import server
from hposweep.results.dashboard.app import FromRecords
from hposweep.results.dashboard.listening import listening_at
from hposweep.results.dashboard.sweep_list import SweepList
from support.processes import wait_for

NOTHING = FromRecords(run_again_of=lambda folder: None, model_of=lambda folder: None)


@dataclass(frozen=True)
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Dashboard:
    """A running one."""

    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, path: str, method: str = "GET", **headers: str) -> Answer:
        """Sends a request as it stands: no path or header is put in order."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.putrequest(method, path, skip_host="Host" in headers)
        for name, value in headers.items():
            connection.putheader(name.replace("_", "-"), value)
        connection.endheaders()
        answer = connection.getresponse()
        found = Answer(answer.status, answer.headers, answer.read())
        connection.close()
        return found

    def sweeps(self) -> dict[str, dict[str, Any]]:
        """The rows of the list, by the names of the sweeps."""
        return {row["name"]: row for row in self.ask("/api/sweeps").json["sweeps"]}

    def of(self, name: str, page: str = "/api/sweep", /, **query: object) -> str:
        """The path of a page of the sweep with this name."""
        return f"{page}?{urllib.parse.urlencode({'id': self.sweeps()[name]['id'], **query})}"


Serve = Callable[..., Dashboard]


@contextlib.contextmanager
def served(root: Path, token: str | None = None, port: int = 0, **made_of_folders: Any) -> Iterator[Dashboard]:
    """Serves the dashboard of a folder, by default at any port: one of its own may be of one that has just ended."""
    with listening_at("127.0.0.1", port) as socket:
        serving = server.server_of(SweepList(root), replace(NOTHING, **made_of_folders), socket, token)
        thread = threading.Thread(target=serving.run, kwargs={"sockets": [socket]})
        thread.start()
        try:
            wait_for(lambda: serving.started)
            yield Dashboard(socket.getsockname()[1])
        finally:
            serving.should_exit = True
            thread.join()


@pytest.fixture(scope="module")
def serve() -> Iterator[Serve]:
    """Serves dashboards until the module's end."""
    with contextlib.ExitStack() as stack:
        yield lambda *arguments, **options: stack.enter_context(served(*arguments, **options))
