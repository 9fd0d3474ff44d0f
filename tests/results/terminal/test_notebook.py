"""What a sweep shows in a notebook while it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbclient
import nbformat
import pytest

pytestmark = pytest.mark.process

CELL = """
from pathlib import Path
from hposweep.history import History, SegmentEnded, SegmentStarted, TrialProposed
from hposweep.results.terminal import progress
from hposweep.sweep_folder.trial_files import TrialFiles
from hposweep.trial import TrialState

progress.SECONDS_BETWEEN_PICTURES = 0.01
history = History(metric="error")
with progress.shown("auto", progress.LiveView(history, 2, lambda trial: TrialFiles(Path("/nonexistent"), ""))):
    for number in range(2):
        history.apply(TrialProposed(number, {"<b>": number}, 0))
        history.apply(SegmentStarted(number, 0, None, 1))
        seen.acquire()
        history.apply(SegmentEnded(number, TrialState.COMPLETE, None, {"error": 0.5 - number / 4}, 1.0))
"""
# A cell goes on when its display has shown the trial that runs.
SEEN = """
import threading
seen, publish = threading.Semaphore(0), get_ipython().display_pub.publish

def published(data, *arguments, **options):
    publish(data, *arguments, **options)
    if f"trial {len(history.trials) - 1}: starting" in data["text/plain"]:
        seen.release()

get_ipython().display_pub.publish = published
"""


class Client(nbclient.NotebookClient):
    """Keeps what the kernel sends for displays."""

    def process_message(self, msg: Any, cell: Any, cell_index: int) -> Any:
        if "display_data" in msg["msg_type"]:
            shown: list[tuple[str, str]] = self.nb.metadata.setdefault("shown", [])
            shown.append((msg["msg_type"], msg["content"]["data"]["text/plain"]))
        return super().process_message(msg, cell, cell_index)


def test_it_is_one_output_that_changes(tmp_path: Path) -> None:
    notebook = nbformat.v4.new_notebook()  # type: ignore[no-untyped-call]
    notebook.cells = [nbformat.v4.new_code_cell(text) for text in (SEEN, CELL)]  # type: ignore[no-untyped-call]
    Client(notebook, timeout=100, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}).execute()
    kinds, texts = zip(*notebook.metadata["shown"], strict=True)
    assert kinds[0] == "display_data" and set(kinds[1:]) == {"update_display_data"}
    assert any("trial 1: starting" in text for text in texts)
    (output,) = notebook.cells[1].outputs
    assert output["data"]["text/plain"].startswith("2 of 2 trials")
    html = output["data"]["text/html"]
    assert "best: trial 1, error 0.25" in html and "&lt;b&gt; 1" in html and "<b>" not in html
