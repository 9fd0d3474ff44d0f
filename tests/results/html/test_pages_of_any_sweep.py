"""Whatever a sweep holds, its page can be made."""

import itertools
from pathlib import Path

import pytest

from hposweep.trial import TrialState
from support.report_pages import Row, data_of, made, page_of

CONFIGURATIONS = (
    {"width": 3, "rate": 0.1, "kind": "a"},
    {"width": 5, "rate": 0.01, "kind": "b"},
    {"width": 3, "rate": 0.1, "kind": "b", "depth": 2},
)
WITH_A_VALUE = (TrialState.COMPLETE, TrialState.STOPPED, TrialState.PAUSED, TrialState.INTERRUPTED)


def rows(states: tuple[TrialState, ...]) -> list[Row]:
    of_state = zip(itertools.cycle(CONFIGURATIONS), [state for state in states for _ in range(3)], strict=False)
    return [
        (state, 0.1 + number if state in WITH_A_VALUE else None, configuration, "no" * (state not in WITH_A_VALUE))
        for number, (configuration, state) in enumerate(of_state)
    ]


@pytest.mark.parametrize(
    "states",
    [(), *((state,) for state in TrialState if state is not TrialState.RUNNING), tuple(WITH_A_VALUE[::-1])],
    ids=lambda states: " ".join(states) or "no trial",
)
def test_its_trials_may_be_in_any_states(states: tuple[TrialState, ...], tmp_path: Path) -> None:
    found = data_of(page_of(made(tmp_path, rows(states))))
    columns = {column["name"]: column["values"] for column in found["table"]["columns"]}
    assert len(columns["trial"]) == 3 * len(states)
    assert set(columns["state"]) == set(states)
