"""What the dashboard answers: the sweeps of its folder, and nothing from anywhere else."""

import json
import shutil
import urllib.parse
from pathlib import Path

import numpy as np
import pytest

from hposweep.history import SegmentEnded, SegmentStarted, SweepStarted, TrialProposed
from hposweep.results.beliefs import Slice
from hposweep.sweep_folder.journal import FILE_NAME, Journal
from hposweep.sweep_folder.trial_files import TrialFiles
from hposweep.trial import Direction, TrialState
from results.dashboard.conftest import Dashboard, Serve
from support.processes import wait_for
from support.report_pages import Row, made


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    made(folder / "outside" / "sweep")
    outputs = folder / "outputs"
    made(outputs / "a")
    made(outputs / "multirun" / "2026-07-01" / "a b%2e&=?#é")
    (outputs / "linked").symlink_to(folder / "outside" / "sweep")
    (outputs / "secret.txt").write_text("secret")
    return outputs


@pytest.fixture(scope="module")
def dashboard(serve: Serve, root: Path) -> Dashboard:
    return serve(root)


def test_sweeps_of_folders_below_are_listed_and_served(dashboard: Dashboard) -> None:
    sweeps = dashboard.sweeps()
    assert {*sweeps} == {"a", "multirun/2026-07-01/a b%2e&=?#é"}
    for name in sweeps:
        answer = dashboard.ask(dashboard.of(name))
        assert answer.status == 200
        assert "0.2" in answer.json["content"]["parts"]["part-summary"]
        assert answer.json["state"] == "finished"
        assert dashboard.ask(dashboard.of(name, "/sweep")).body.startswith(b"<!doctype html>")


class Flat:
    """The model of a searcher that expects the same everywhere."""

    def along(self, key: str) -> Slice:
        return Slice([0.001, 1.0], np.full(2, 0.3), np.full(2, 0.2), np.full(2, 0.4))

    def over(self, key: str, other: str) -> None:
        return None


def test_plots_of_hyperparameters_have_the_model_of_the_searcher(serve: Serve, tmp_path: Path) -> None:
    folder = made(tmp_path / "a")
    asked: list[Path] = []

    def model_of(folder: Path) -> Flat:
        asked.append(folder)
        return Flat()

    dashboard = serve(tmp_path, model_of=model_of)
    # The first content does not wait for it.
    wait_for(lambda: "Line and band" in json.dumps(dashboard.ask(dashboard.of("a")).json["content"]["parts"]))
    assert {*asked} == {folder}


def test_a_page_does_not_wait_for_its_forests(serve: Serve, tmp_path: Path) -> None:
    rows: list[Row] = [(TrialState.COMPLETE, 0.2 + i / 100, {"rate": i / 10, "momentum": i % 7}, "") for i in range(30)]
    made(tmp_path / "a", rows)
    dashboard = serve(tmp_path)
    first = dashboard.ask(dashboard.of("a")).json["content"]
    assert "importance" not in first["figures"] and "it is being computed" in first["parts"]["part-missing"]
    wait_for(lambda: "importance" in dashboard.ask(dashboard.of("a")).json["content"]["figures"])


@pytest.mark.parametrize(
    "id",
    [
        *("", ".", "..", "../outside/sweep", "a/..", "a/../a", "./a", "a/", "/a", "//a", "a/trials", "a/trials/0"),
        *("linked", "secret.txt", "a\0", "\0", "a%00", "%61", "%2e%2e%2foutside%2fsweep", "..%2foutside%2fsweep"),
        *("a\\", "A", "a ", "\udcff", "x" * 5000, "file:///etc/passwd", "~", "$HOME", "{id}", "a\r\nX: y"),
    ],
)
def test_what_was_not_listed_is_not_there(dashboard: Dashboard, root: Path, id: str) -> None:
    absolute = str(root / "a")
    for each in (id, absolute, absolute.replace("/", "%2F"), str(root.parent / "outside" / "sweep")):
        query = urllib.parse.urlencode({"id": each, "trial": 0}, errors="surrogateescape")
        for page in ("/sweep", "/api/sweep", "/api/log", "/compare", "/api/compare"):
            answer = dashboard.ask(f"{page}?{query}&id=a" if "compare" in page else f"{page}?{query}")
            assert answer.status == 404, (page, each)
            assert b"0.2" not in answer.body


@pytest.mark.parametrize(
    "path",
    [
        *("/assets/../app.py", "/assets/..%2fapp.py", "/assets/%2e%2e/app.py", "/assets/%2e%2e%2fapp.py", "/assets/"),
        *("/assets//etc/passwd", "/assets/%2fetc%2fpasswd", "/assets/list.html", "/assets/list.js%00", "/../app.py"),
        *("/assets/list.js/", "//assets/list.js", "/outputs/secret.txt", "/secret.txt", "/sweep/a", "/api", "/.git"),
        *("/%2e%2e/%2e%2e/etc/passwd", "/..%5c..%5cetc%5cpasswd", "/sweep/../secret.txt", "/%00", "/api/sweeps/.."),
    ],
)
def test_no_other_path_leads_anywhere(dashboard: Dashboard, path: str) -> None:
    answer = dashboard.ask(path)
    assert answer.status in (307, 404)
    if answer.status == 307:  # without a slash at the end
        assert urllib.parse.urlsplit(answer.headers["Location"]).netloc in ("", f"127.0.0.1:{dashboard.port}")


@pytest.mark.parametrize("query", ["", "id=a", "id=a&id=a", "&".join(f"id={i}" for i in range(100)), "id=a&id=linked"])
def test_a_comparison_takes_several_listed_sweeps(dashboard: Dashboard, query: str) -> None:
    assert dashboard.ask(f"/api/compare?{query}").status == 404
    assert dashboard.ask(f"/compare?{query}").status == 404


def test_sweeps_are_compared(dashboard: Dashboard) -> None:
    query = urllib.parse.urlencode([("id", row["id"]) for row in dashboard.sweeps().values()])
    answer = dashboard.ask(f"/compare?{query}")
    assert answer.status == 200 and b"2 sweeps" in answer.body
    assert "2 sweeps" in dashboard.ask(f"/api/compare?{query}").json["content"]["parts"]["part-head"]


def test_what_has_not_changed_is_not_sent_again(dashboard: Dashboard) -> None:
    for path in ("/api/sweeps", dashboard.of("a"), "/assets/plotly.js"):
        first = dashboard.ask(path)
        again = dashboard.ask(path, If_None_Match=first.headers["ETag"])
        assert (first.status, again.status, again.body) == (200, 304, b"")


@pytest.mark.parametrize("trial", ["", "0x0", "-1", "1e3", "99", "٣", "1" * 400, "0/../1", " 0"])
def test_other_trials_have_no_output(dashboard: Dashboard, trial: str) -> None:
    answer = dashboard.ask(dashboard.of("a", "/api/log", trial=trial))
    assert answer.status in (200, 404) and "text" not in answer.json


@pytest.mark.parametrize("name", ["../../../../secret.txt", "/etc/passwd", "job", "learning_curve.csv", "\0", ""])
def test_other_files_are_no_output(dashboard: Dashboard, root: Path, name: str) -> None:
    TrialFiles(root / "a", "trials/0").output.write_text("printed\n")
    assert dashboard.ask(dashboard.of("a", "/api/log", trial=0)).json["text"] == "printed\n"
    assert "text" not in dashboard.ask(dashboard.of("a", "/api/log", trial=0, name=name)).json


@pytest.mark.parametrize("start", ["-1", "x", "9" * 15, "9" * 400, "1.5"])
def test_an_odd_position_gives_the_end_of_the_file(dashboard: Dashboard, root: Path, start: str) -> None:
    TrialFiles(root / "a", "trials/0").output.write_text("printed\n")
    found = dashboard.ask(f"{dashboard.of('a', '/api/log', trial=0)}&from={start}").json
    assert (found["text"], found["from"], found["to"]) == ("printed\n", 0, 8)


def test_a_sweep_that_appears_is_removed_and_comes_back_is_told(tmp_path: Path, serve: Serve) -> None:
    dashboard = serve(tmp_path)
    assert dashboard.sweeps() == {}
    made(tmp_path / "s")
    path = "/api/sweep?id=s"
    while not dashboard.sweeps():  # folders are not looked for all the time
        pass
    assert dashboard.ask(path).json["content"]
    shutil.rmtree(tmp_path / "s")
    assert dashboard.sweeps()["s"]["state"] == "removed"
    answer = dashboard.ask(path)
    assert (answer.status, answer.json) == (200, {"content": None, "why": "The sweep's folder was removed."})
    assert dashboard.ask("/sweep?id=s").status == 200
    made(tmp_path / "s", [])
    assert dashboard.sweeps()["s"]["n_done"] == 0
    assert dashboard.ask(path).json["content"]


def test_a_damaged_journal_is_told_and_no_error(tmp_path: Path, serve: Serve) -> None:
    made(tmp_path / "s")
    dashboard = serve(tmp_path)
    assert dashboard.ask("/api/sweep?id=s").json["content"]
    with open(tmp_path / "s" / FILE_NAME, "a") as file:
        file.write("no event\n")
    row = dashboard.sweeps()["s"]
    assert row["state"] == "unreadable" and "is damaged" in row["why"]
    answer = dashboard.ask("/api/sweep?id=s")
    assert answer.status == 200 and answer.json["content"] is None and "is damaged" in answer.json["why"]
    query = "id=s&id=s2"
    assert dashboard.ask(f"/api/compare?{query}").status == 404


def test_the_folder_itself_may_be_removed(tmp_path: Path, serve: Serve) -> None:
    made(tmp_path / "outputs" / "s")
    dashboard = serve(tmp_path / "outputs")
    shutil.rmtree(tmp_path / "outputs")
    while True:
        found = dashboard.ask("/api/sweeps").json
        if found["why"]:
            break
    assert "no such folder" in found["why"]
    assert [row["state"] for row in found["sweeps"]] == ["removed"]


@pytest.mark.parametrize("folder", ["../outside", "/etc", "a/../../outside", "linked", "trials/\0"])
@pytest.mark.parametrize("state", [TrialState.COMPLETE, TrialState.INTERRUPTED])
def test_a_hostile_journal_leads_nowhere(tmp_path: Path, serve: Serve, folder: str, state: TrialState) -> None:
    outside = tmp_path / "outside"
    TrialFiles(outside, ".").make_folder()
    TrialFiles(outside, ".").output.write_text("secret-output\n")
    (outside / "x.log").write_text("secret-output\n")
    TrialFiles(outside, ".").learning_curve.write_text("epoch,error\n1,0.123456\n")
    sweep = tmp_path / "outputs" / "s"
    sweep.mkdir(parents=True)
    (sweep / "linked").symlink_to(outside)
    journal = Journal.open(sweep)
    events = [TrialProposed(0, {"x": 1}, 7), SegmentStarted(0, 0, 3, 1)]
    end = SegmentEnded(0, state, 3, {"error": 0.5}, 1.0, folder=folder)
    journal.append(SweepStarted(1, 0, "error", Direction.minimize), *events, end)
    journal.close()
    dashboard = serve(tmp_path / "outputs")
    for name in ("output.txt", "x.log", "../outside/x.log"):
        found = dashboard.ask(dashboard.of("s", "/api/log", trial=0, name=name)).json
        assert found["names"] == [] and "text" not in found
    text = json.dumps(dashboard.ask(dashboard.of("s")).json)
    assert "secret-output" not in text and "0.123456" not in text
