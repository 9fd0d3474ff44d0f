"""The code in docs/schedulers.md does what the text says."""

import re
from pathlib import Path

import pytest

from hposweep.trial import TrialState

ROOT = Path(__file__).resolve().parents[2]


def test_the_example_of_a_scheduler_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(ROOT)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "schedulers.md").read_text(), re.DOTALL)
    names: dict[str, object] = {}
    for block in blocks:
        exec(block, names)
    states = [trial.state for trial in names["sweep"].history.trials.values()]  # type: ignore[attr-defined]
    assert len(states) == 1000
    assert set(states) <= {TrialState.COMPLETE, TrialState.STOPPED, TrialState.DIVERGED}
    assert 400 < states.count(TrialState.COMPLETE) < 600
    seconds, value = capsys.readouterr().out.split()
    assert float(seconds) > 0
    assert 0 < float(value) < 0.2
