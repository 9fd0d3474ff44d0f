"""The agent: whom it serves, and where its jobs run."""

import dataclasses
import importlib.metadata
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hposweep.sweep_folder import lease
from hposweep.sweep_folder.lease import LeaseWatch
from hposweep.trial import SegmentEnd
from hposweep.workers import agent as agent_module
from hposweep.workers.agent import Agent, Surroundings
from support.engines import agent_spec
from support.processes import is_alive, wait_for
from support.worker_jobs import Jobs

TOKEN = "0123456789abcdef"


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package of the user's own, imported here."""
    package = tmp_path / "program" / "users_package" / "inner"
    package.mkdir(parents=True)
    (package / "model.py").write_text("WIDTH = 3\n")
    (package.parent / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path / "program"))
    __import__("users_package.inner.model")
    yield package / "model.py"
    for name in ("users_package", "users_package.inner", "users_package.inner.model"):
        sys.modules.pop(name, None)


def test_the_same_process_has_the_same_surroundings(program: Path) -> None:
    here = Surroundings.here()
    assert "users_package.inner.model" in here.program
    assert not [name for name in here.program if name.startswith(("numpy", "json", "pytest"))]
    assert here.differences() == []


def test_another_version_of_the_users_code_is_told(program: Path) -> None:
    here = Surroundings.here()
    program.write_text("WIDTH = 4\n")
    assert here.differences() == [f"another {program}"]
    program.unlink()
    assert here.differences() == ["no module users_package.inner.model"]


def test_the_comparison_imports_nothing(program: Path) -> None:
    here = Surroundings.here()
    for name in ("users_package", "users_package.inner", "users_package.inner.model"):
        del sys.modules[name]
    (program.parent.parent / "__init__.py").write_text("raise SystemExit('imported')\n")
    assert "users_package" not in sys.modules
    assert any(each.startswith("another") for each in here.differences())


@pytest.mark.parametrize("name", agent_module.COMPARED_PACKAGES)
def test_another_version_of_a_package_is_told(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    here = Surroundings.here()
    version = importlib.metadata.version
    monkeypatch.setattr(importlib.metadata, "version", lambda other: "0.0.1" if other == name else version(other))
    assert here.differences() == [f"{name} 0.0.1 instead of {version(name)}"]


def test_a_node_without_the_sweeps_folder_is_refused(tmp_path: Path) -> None:
    spec = agent_spec(Jobs(), tmp_path)
    spec = dataclasses.replace(spec, controller=LeaseWatch(tmp_path / "elsewhere" / "journal.lease", TOKEN))
    greeting = Agent(spec, "node7").greeting()
    assert greeting.refusal == (
        f"node7 doesn't see the sweep's folder {tmp_path}/elsewhere: "
        "the machines of an engine need a file system that they share"
    )


def test_a_node_whose_folder_of_that_name_is_another_one_is_refused(tmp_path: Path) -> None:
    spec = agent_spec(Jobs(), tmp_path)
    spec = dataclasses.replace(spec, controller=LeaseWatch(tmp_path / lease.FILE_NAME, TOKEN))
    assert "doesn't see" in Agent(spec, "node7").greeting().refusal


def test_a_node_with_another_package_is_refused_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = agent_spec(Jobs(), tmp_path)
    monkeypatch.setattr(agent_module, "_versions", lambda: {**spec.surroundings.versions, "hydra-core": "1.2"})
    refusal = Agent(spec, "node7").greeting().refusal
    assert refusal.startswith("node7 is another than the controller: hydra-core 1.2 instead of 1.")
    assert "\n" not in refusal


@pytest.mark.process
def test_an_agent_runs_and_cancels_jobs(tmp_path: Path) -> None:
    agent = Agent(agent_spec(Jobs(), tmp_path))
    try:
        assert agent.greeting().refusal == ""
        assert agent.run("1", ("echo", 2.0), None).result(60).result.value == 2.0
        hanging = agent.run("2", ("hang", str(tmp_path / "pid")), None)
        agent.cancel("1")
        agent.cancel("2")
        assert hanging.result(60).result.end is SegmentEnd.CUT_OFF
    finally:
        agent.stop()


@pytest.mark.process
def test_a_job_ends_with_the_lease_of_its_controller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "EXPIRES_S", 2.0)
    monkeypatch.setattr(agent_module, "SECONDS_BETWEEN_LOOKS", 0.1)
    path = tmp_path / lease.FILE_NAME
    content = f"{TOKEN} {{}} process 1 on node0\n"
    path.write_text(content.format(1))
    spec = dataclasses.replace(agent_spec(Jobs(), tmp_path), controller=LeaseWatch(path, TOKEN))
    agent = Agent(spec)
    try:
        future = agent.run("1", ("hang", str(tmp_path / "pid")), None)
        wait_for(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
        result = future.result(60).result
        assert (result.end, result.failure) == (SegmentEnd.LOST, agent_module.ORPHANED)
        wait_for(lambda: not is_alive(int((tmp_path / "pid").read_text())))
        path.write_text(content.format(2))
        assert agent.run("2", ("echo", 2.0), None).result(60).result.value == 2.0
    finally:
        agent.stop()
