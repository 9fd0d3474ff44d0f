"""The code in docs/schedulers.md does what the text says."""

import re
from pathlib import Path

import pytest

from hposweep.trial import TrialState

ROOT = Path(__file__).resolve().parents[2]


def test_the_example_of_a_scheduler_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.syspath_prepend(tmp_path)
    text = (ROOT / "docs" / "schedulers.md").read_text(encoding="utf-8")
    scheduler, simulation = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (tmp_path / "halfway.py").write_text(scheduler, encoding="utf-8")
    names: dict[str, object] = {}
    exec(simulation, names)
    states = [trial.state for trial in names["sweep"].history.trials.values()]  # type: ignore[attr-defined]
    assert len(states) == 1000
    assert set(states) <= {TrialState.COMPLETE, TrialState.STOPPED, TrialState.DIVERGED}
    assert 400 < states.count(TrialState.COMPLETE) < 600
    seconds, value = capsys.readouterr().out.split()
    assert float(seconds) > 0
    assert 0 < float(value) < 0.2
