"""Comparing sweeps: what is one method and what it is called, incumbents at equal epochs and time, and what is said."""

import dataclasses
import datetime
import itertools
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from hposweep.errors import ConfigError
from hposweep.history import Ending, Event, SegmentEnded, SegmentStarted, SweepEnded, SweepStarted, TrialProposed
from hposweep.results.comparison.comparison import Against, Comparison, Quartiles, compare, quartiles, summary, table
from hposweep.schedulers import Scheduler
from hposweep.schedulers.asha import AshaScheduler
from hposweep.schedulers.fifo import FifoScheduler
from hposweep.simulation import CurveTable, SimulatedSweep, simulate
from hposweep.sweep_folder.journal import Journal
from hposweep.sweep_folder.learning_curve import CurveWriter
from hposweep.sweep_folder.trial_files import TrialFiles
from hposweep.trial import Direction, StartTrial, TrialState

N_EPOCHS = 9


@dataclass(frozen=True)
class FullBudgetScheduler(FifoScheduler):
    """First in, first out, for an objective that is told its epochs."""

    def next_segment(self, can_start_new: bool) -> StartTrial | None:
        return StartTrial(target_epoch=N_EPOCHS) if can_start_new else None


def curves() -> CurveTable:
    """Curves that come down with noise; epochs take quarters of a second, which dates hold exactly."""
    random = np.random.default_rng(5)
    final = random.uniform(0.1, 0.6, 400)[:, None]
    values = final + 0.3 / np.arange(1, N_EPOCHS + 1) + random.normal(0, 0.01, (400, N_EPOCHS))
    seconds = random.integers(1, 9, (400, 1)) / 4 * np.ones((1, N_EPOCHS))
    return CurveTable([{"i": i} for i in range(400)], values, seconds)


def record(scheduler: str, seed: int, /, **sweeper: Any) -> dict[str, Any]:
    """A small sweep.yaml, as a Hydra app's sweep leaves it."""
    target = {"asha": "AshaScheduler", "fifo": "FifoScheduler"}[scheduler]
    node = {"seed": seed, "seed_key": "seed", "progress": "auto", "n_trials": 30, "time_budget": None, **sweeper}
    node["scheduler"] = {"_target_": f"hposweep.schedulers.{scheduler}.{target}", **node.get("scheduler", {})}
    return {
        "command": "python -m hposweep",
        "seed": seed,
        "search_space": {"optimizer.learning_rate": "loguniform(0.0001, 1)"},
        "overrides": {"task": [], "hydra": [f"hydra.sweeper.seed={seed}"]},
        "config": {
            "seed": seed,
            "model": {"num_hiddens": 256},
            "hydra": {
                "sweep": {"dir": f"outputs/{scheduler}-{seed}"},
                "sweeper": node,
                "launcher": {"n_workers": None},
                "overrides": {"hydra": [f"hydra.sweeper.seed={seed}"]},
                "runtime": {"cwd": f"/somewhere/{seed}", "choices": {"scheduler": scheduler, "experiment": None}},
            },
        },
    }


def write_record(folder: Path, what: dict[str, Any]) -> Path:
    (folder / "sweep.yaml").write_text(yaml.safe_dump(what))
    return folder


Simulated = tuple[list[Path], list[SimulatedSweep]]


@pytest.fixture(scope="module")
def six(tmp_path_factory: pytest.TempPathFactory) -> Simulated:
    """Three sweeps of random search and three of ASHA."""
    root = tmp_path_factory.mktemp("six")
    makers: dict[str, tuple[Callable[[], Scheduler], int]] = {
        "fifo": (FullBudgetScheduler, 20),
        "asha": (lambda: AshaScheduler(r_max=N_EPOCHS), 60),
    }
    folders, sweeps = [], []
    for name, (make, n_trials) in makers.items():
        for seed in (1, 2, 3):
            folder = root / f"{name}-{seed}"
            sweeps.append(simulate(curves(), make(), n_trials=n_trials, n_workers=2, seed=seed, folder=folder))
            folders.append(write_record(folder, record(name, seed)))
    return folders, sweeps


def course(events: Sequence[Event]) -> np.ndarray:
    """Epochs used, seconds, and the incumbent by then, a row an end of a segment."""
    rows: list[tuple[float, float, float]] = []
    begun: dict[int, int] = {}
    epochs, best = 0, math.inf
    first = datetime.datetime.fromisoformat(events[0].time)
    for event in events:
        if isinstance(event, SegmentStarted):
            begun[event.trial] = event.start_epoch
        if isinstance(event, SegmentEnded):
            assert event.epoch is not None and event.value is not None
            epochs += event.epoch - begun[event.trial]
            if event.state is TrialState.COMPLETE:
                best = min(best, event.value)
            rows.append((epochs, (datetime.datetime.fromisoformat(event.time) - first).total_seconds(), best))
    return np.array(rows)


def test_incumbents_at_equal_epochs_and_at_equal_time_are_those_of_the_journals(six: Simulated) -> None:
    folders, sweeps = six
    courses = [course(sweep.events) for sweep in sweeps]
    equal_epochs = min(rows[-1, 0] for rows in courses)
    equal_s = min(sweep.seconds for sweep in sweeps)
    comparison = compare(folders)
    assert (comparison.effort, comparison.equal_effort, comparison.equal_s) == ("epochs", equal_epochs, equal_s)
    assert [method.name for method in comparison.methods] == ["scheduler=fifo", "scheduler=asha"]
    points: list[tuple[Against, int, float]] = [("epochs", 0, equal_epochs), ("seconds", 1, equal_s)]
    points += [("epochs", 0, equal_epochs / 2), ("epochs", 0, math.inf)]
    for method, of_method in zip(comparison.methods, (courses[:3], courses[3:]), strict=True):
        for against, column, used in points:
            values = [rows[rows[:, column] <= used][-1, 2] for rows in of_method]
            assert np.isfinite(values).all()
            found = method.incumbent(against, used)
            assert [found.first, found.median, found.third] == pytest.approx(np.quantile(values, (0.25, 0.5, 0.75)))
    # The two methods are not equal anywhere, else the test would see little.
    assert len({method.incumbent("epochs", equal_epochs).median for method in comparison.methods}) == 2


def value_of_the_incumbent(sweep: SimulatedSweep) -> float:
    incumbent = sweep.history.incumbent
    assert incumbent is not None and incumbent.value is not None
    return incumbent.value


def test_the_table_has_a_row_a_method_and_marks_the_best(six: Simulated) -> None:
    folders, sweeps = six
    comparison = compare(folders)
    heads, rows = table(comparison)
    n_epochs = int(min(course(sweep.events)[-1, 0] for sweep in sweeps))
    assert heads[:6] == ["method", "sweeps", "trials", "epochs", "wall time, seconds", "at the end"]
    assert heads[6:] == [f"at {n_epochs} epochs", f"at {comparison.equal_s:.3g} seconds"]
    finals = [[value_of_the_incumbent(sweep) for sweep in group] for group in (sweeps[:3], sweeps[3:])]
    for row, values, n_trials, group in zip(rows, finals, (20, 60), (sweeps[:3], sweeps[3:]), strict=True):
        epochs = np.median([course(sweep.events)[-1, 0] for sweep in group])
        seconds = np.median([sweep.seconds for sweep in group])
        assert [cell.text for cell in row[1:5]] == ["3", str(n_trials), f"{epochs:,.0f}", f"{seconds:.3g}"]
        first, median, third = np.quantile(values, (0.25, 0.5, 0.75))
        assert (row[5].text, row[5].spread) == (f"{median:.4g}", f"({first:.4g}, {third:.4g})")
    best = [int(np.argmin([np.median(values) for values in finals]))]
    assert [i for i, row in enumerate(rows) if row[5].is_best] == best


def test_the_steps_of_a_method_end_with_the_sweep_that_used_the_most(six: Simulated) -> None:
    folders, sweeps = six
    random = compare(folders).methods[0]
    courses = [course(sweep.events) for sweep in sweeps[:3]]
    changes = {rows[i, 0] for rows in courses for i in range(len(rows)) if i == 0 or rows[i, 2] < rows[i - 1, 2]}
    assert [used for used, _ in random.steps("epochs")] == sorted(changes | {max(rows[-1, 0] for rows in courses)})


@pytest.mark.parametrize(
    ("values", "direction", "expected"),
    [
        ([0.4, 0.1, 0.2], Direction.minimize, (0.15, 0.2, 0.3)),
        ([0.4, 0.1, 0.2], Direction.maximize, (0.15, 0.2, 0.3)),
        ([0.5], Direction.minimize, (0.5, 0.5, 0.5)),
        ([0.25, 0.75], Direction.minimize, (0.375, 0.5, 0.625)),
        ([0.1, None, 0.3], Direction.minimize, (0.2, 0.3, None)),
        ([0.1, None, 0.3], Direction.maximize, (None, 0.1, 0.2)),
        ([None, None, 0.3], Direction.minimize, (None, None, None)),
        ([None], Direction.maximize, (None, None, None)),
    ],
)
def test_a_sweep_without_an_incumbent_counts_as_the_worst(
    values: list[float | None], direction: Direction, expected: tuple[float | None, ...]
) -> None:
    found = quartiles(values, direction)
    assert [found.first, found.median, found.third] == [
        each if each is None else pytest.approx(each) for each in expected
    ]


# Sweeps by hand.


def at(second: float, event: Event) -> Event:
    moment = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(seconds=second)
    return dataclasses.replace(event, time=moment.isoformat(timespec="milliseconds"))


@dataclass(frozen=True)
class Made:
    """A sweep whose complete trials had these values, each after 3 epochs and 3 seconds."""

    values: Sequence[float] = (0.3, 0.2)
    seed: int = 0
    metric: str = "error"
    direction: Direction = Direction.minimize
    epoch: int | None = 3
    n_validation: int | None = None
    ended: Ending | None = Ending.COMPLETE

    def write(self, folder: Path, what: dict[str, Any] | None = None) -> Path:
        (folder / "trials" / "0").mkdir(parents=True, exist_ok=True)
        journal = Journal.open(folder)
        journal.append(at(0, SweepStarted(len(self.values), self.seed, self.metric, self.direction)))
        for number, value in enumerate(self.values):
            journal.append(at(3 * number, TrialProposed(number, {"x": value}, 1)))
            journal.append(at(3 * number, SegmentStarted(number, 0, self.epoch, 1)))
            ended = SegmentEnded(
                number, TrialState.COMPLETE, self.epoch, {self.metric: value}, 3.0, folder=f"trials/{number}"
            )
            journal.append(at(3 * number + 3, ended))
        if self.ended:
            journal.append(at(3 * len(self.values), SweepEnded(self.ended)))
        journal.close()
        if self.n_validation is not None:
            for number in range(len(self.values)):
                files = TrialFiles(folder, f"trials/{number}")
                files.make_folder()
                files.data_summary.write_text(json.dumps({"n_validation": self.n_validation, "n_test": 10_000}))
        return folder if what is None else write_record(folder, what)


def changed(what: dict[str, Any], **leaves: Any) -> dict[str, Any]:
    """The record with other values, whose keys are written with two underscores for a dot."""
    found: dict[str, Any] = yaml.safe_load(yaml.safe_dump(what))
    for key, value in leaves.items():
        *names, last = key.split("__")
        node = found
        for name in names:
            node = node.setdefault(name, {})
        node[last] = value
    return found


def compared(root: Path, *records: dict[str, Any] | None, sweeps: Sequence[Made] = ()) -> Comparison:
    of_each = sweeps or [Made(seed=i) for i in range(len(records))]
    made = zip("abcdefgh", of_each, records, strict=False)
    return compare([sweep.write(root / name, what) for name, sweep, what in made])


ASHA, FIFO = record("asha", 0), record("fifo", 0)
ETA_4 = record("asha", 0, scheduler={"eta": 4})
NAMES: list[Any] = [
    pytest.param([ASHA, FIFO], ["scheduler=asha", "scheduler=fifo"], id="options of a group"),
    pytest.param(
        [record("asha", 0, scheduler={"eta": 3}), ETA_4, FIFO],
        ["scheduler=asha scheduler.eta=3", "scheduler=asha scheduler.eta=4", "scheduler=fifo"],
        id="keys of methods that chose the same option",
    ),
    pytest.param(
        [FIFO, changed(FIFO, config__hydra__launcher__n_workers=8)], ["n_workers=null", "n_workers=8"], id="workers"
    ),
    pytest.param(
        [FIFO, changed(FIFO, search_space={"x": "uniform(0, 1)"})],
        [
            "search_space.optimizer.learning_rate=loguniform(0.0001, 1) …",
            "search_space.x=uniform(0, 1) …",
        ],
        id="search spaces",
    ),
    pytest.param(
        [FIFO, changed(FIFO, config__model__text="1"), changed(FIFO, config__model__text=1)],
        ["no model.text", "model.text='1'", "model.text=1"],
        id="types",
    ),
    pytest.param(
        [FIFO, changed(FIFO, config__model={"_target_": "my.models.Small"})],
        ["model.num_hiddens=256 no model._target_", "model=Small no model.num_hiddens"],
        id="targets",
    ),
    pytest.param(
        [FIFO, changed(FIFO, **{f"config__key_{i}": f"{i}" * 9 for i in range(9)})],
        [
            "no key_0 no key_1 no key_2 no key_3 no key_4 no key_5 no key_6 …",
            "key_0='000000000' key_1='111111111' key_2='222222222' …",
        ],
        id="many keys",
    ),
    pytest.param([FIFO, changed(FIFO, config__text="y" * 500)], ["no text", "b"], id="a long value"),
    pytest.param([None, None], ["a", "b"], id="nothing is recorded"),
    pytest.param([FIFO, None, ASHA], ["scheduler=fifo", "b", "scheduler=asha"], id="one is not recorded"),
    pytest.param([None, FIFO, record("fifo", 5)], ["a", "b + c"], id="one method is recorded"),
    pytest.param([record("fifo", i) for i in range(4)], ["a + b + 2 more"], id="seeds of one method"),
]


@pytest.mark.parametrize(("records", "names"), NAMES)
def test_a_method_is_called_after_what_sets_it_apart(
    tmp_path: Path, records: list[dict[str, Any] | None], names: list[str]
) -> None:
    assert [method.name for method in compared(tmp_path, *records).methods] == names


@pytest.mark.parametrize(
    "other",
    [
        record("fifo", 7),
        changed(FIFO, config__hydra__sweeper__progress="log"),
        changed(FIFO, config__hydra__sweeper__time_budget=100),
        changed(FIFO, config__hydra__sweeper__final_metric="test_error"),
        changed(FIFO, config__hydra__job__name="another"),
        changed(FIFO, versions={"keras": "3.1"}, commit="abc"),
    ],
    ids=["seed", "progress", "time budget", "final job", "job", "versions"],
)
def test_sweeps_that_differ_in_what_makes_no_method_are_one(tmp_path: Path, other: dict[str, Any]) -> None:
    comparison = compared(tmp_path, FIFO, other)
    assert [method.name for method in comparison.methods] == ["a + b"]
    assert comparison.differences == []
    assert summary(comparison)[0] == "2 sweeps of 1 method."
    assert summary(comparison)[1].endswith("the incumbent has a median error of 0.2.")


def test_the_differences_name_groups_and_keys_with_each_value(tmp_path: Path) -> None:
    other = changed(ETA_4, config__model__num_hiddens=None, search_space={})
    found = compared(tmp_path, FIFO, None, other).differences
    assert {difference.key: list(difference.values) for difference in found} == {
        "scheduler": ["fifo", "not recorded", "asha"],
        "hydra.sweeper.scheduler._target_": [
            "hposweep.schedulers.fifo.FifoScheduler",
            "not recorded",
            "hposweep.schedulers.asha.AshaScheduler",
        ],
        "hydra.sweeper.scheduler.eta": ["absent", "not recorded", "4"],
        "model.num_hiddens": ["256", "not recorded", "null"],
        "search_space.optimizer.learning_rate": ["loguniform(0.0001, 1)", "not recorded", "absent"],
    }


def test_names_that_were_cut_alike_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    long = [changed(FIFO, config__a=1, **{f"config__{key}": "y" * 60}) for key in ("b", "c")]
    names = [method.name for method in compared(tmp_path, FIFO, *long).methods]
    assert names == ["no a no b no c", "a=1 … (b)", "a=1 … (c)"]


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (
            Made(metric="accuracy"),
            "b: its metric is accuracy (minimize), that of a is error (minimize); only values of ",
        ),
        (Made(direction=Direction.maximize), "b: its metric is error (maximize), that of a is error (minimize); only "),
    ],
)
def test_another_metric_or_direction_is_refused(tmp_path: Path, other: Made, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compared(tmp_path, None, None, sweeps=[Made(), other])
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_a_sweep_is_not_compared_with_itself(tmp_path: Path) -> None:
    folder = Made().write(tmp_path / "a")
    with pytest.raises(ConfigError, match=r"a/\.\./a: is named twice"):
        compare([folder, folder / ".." / "a"])


def test_folders_of_one_name_are_told_apart_by_their_paths(tmp_path: Path) -> None:
    folders = [Made().write(tmp_path / parent / "swept") for parent in ("one", "other")]
    assert [method.name for method in compare(folders).methods] == [str(folder) for folder in folders]


def test_other_validation_data_is_a_warning_and_there_is_no_interval(tmp_path: Path) -> None:
    sizes = [Made(n_validation=10_000), Made((0.21,), n_validation=5_000)]
    comparison = compared(tmp_path / "sizes", None, None, sweeps=sizes)
    assert comparison.warnings == [
        "not all sweeps were validated on the same data: their values can't be compared "
        "(validation examples: 5,000, 10,000)"
    ]
    assert comparison.n_validation is None
    split = changed(FIFO, config__data={"split_seed": 0, "batch_size": 16})
    comparison = compared(tmp_path / "split", split, changed(split, config__data__split_seed=1))
    assert comparison.warnings[0].endswith("(data.split_seed: 0, 1)")
    comparison = compared(tmp_path / "batch", split, changed(split, config__data__batch_size=32))
    assert comparison.warnings == []


@pytest.mark.parametrize(
    ("sweep", "what", "warning"),
    [
        (Made(ended=Ending.TIME_BUDGET), FIFO, "b is not finished: the time budget is over"),
        (Made(ended=None), FIFO, "b is not finished: it runs, or was killed"),
        (Made(()), FIFO, "b has no complete trial, which counts as the worst"),
        (Made(seed=5), FIFO, "a + b has several sweeps of one seed (5): they are not independent"),
        (
            Made(),
            {"n_trials": 2, "scheduler": "FifoScheduler", "search_space": {"x": "uniform(0, 1)"}},
            "hposweep.tune records neither the objective nor its scheduler's options, so they may differ: b",
        ),
    ],
)
def test_what_makes_a_comparison_worth_less_is_said(
    tmp_path: Path, sweep: Made, what: dict[str, Any], warning: str
) -> None:
    assert compared(tmp_path, FIFO, what, sweeps=[Made(seed=5), sweep]).warnings == [warning]


def test_other_versions_machines_and_commits_are_noted(tmp_path: Path) -> None:
    environment = {"versions": {"python": "3.11", "keras": "3.1"}, "platform": {"cpu": "A"}, "commit": "0" * 40}
    other = {"versions": {"python": "3.11", "numpy": "2.0"}, "platform": {"cpu": "B"}, "commit": "1" * 40}
    assert compared(tmp_path, changed(FIFO, **environment), changed(ASHA, **other)).notes == [
        "different versions: keras 3.1, absent; numpy absent, 2.0",
        "different machines: cpu A, B",
        "different commits: 000000000000, 111111111111",
    ]


# What is said of the order. Wilson's intervals of 2000, 2050 and 4000 out of 10,000 examples are (0.1923, 0.208),
# (0.1972, 0.2130) and (0.3904, 0.4096).


def test_a_difference_within_the_interval_of_the_validation_set_is_said_to_be_none(tmp_path: Path) -> None:
    values = ((0.205,), (0.2,), (0.4,))
    sweeps = [Made(of_one, n_validation=10_000) for of_one in values]
    _, by_epochs, by_time, alone = summary(compared(tmp_path, FIFO, ASHA, ETA_4, sweeps=sweeps))
    told = (
        "scheduler=asha no scheduler.eta is ahead with error of 0.2, before scheduler=fifo with 0.205. By the 95% "
        "interval of 10,000 validation examples, 0.1923 to 0.208, it can't be told from scheduler=fifo (0.205): the "
        "intervals overlap."
    )
    assert by_epochs == f"At 3 epochs, the most that every sweep has used, {told}"
    assert by_time == f"In 3 seconds, the longest that every sweep has run, {told}"
    assert alone == "Each method has only one sweep: other seeds may reverse the order."


def test_a_difference_beyond_the_interval_is_said_to_be_one(tmp_path: Path) -> None:
    sweeps = [Made((value,), n_validation=10_000) for value in (0.4, 0.2)]
    assert summary(compared(tmp_path, FIFO, ASHA, sweeps=sweeps))[1].endswith(
        "By the 95% interval of 10,000 validation examples, 0.1923 to 0.208, no other method is as good."
    )


def test_the_spread_over_seeds_is_held_against_the_difference(tmp_path: Path) -> None:
    records = [*(record("fifo", i) for i in range(3)), *(record("asha", i) for i in range(3))]
    values = [0.1, 0.2, 0.5, 0.3, 0.4, 0.6]
    comparison = compared(tmp_path / "1", *records, sweeps=[Made((each,), i % 3) for i, each in enumerate(values)])
    at_equal_epochs = summary(comparison)[1]
    assert "scheduler=fifo is ahead with a median error of 0.2, before scheduler=asha with 0.4." in at_equal_epochs
    assert at_equal_epochs.endswith("Over seeds its quartiles overlap with those of scheduler=asha.")
    values = [0.1, 0.2, 0.21, 0.3, 0.4, 0.6]
    comparison = compared(tmp_path / "2", *records, sweeps=[Made((each,), i % 3) for i, each in enumerate(values)])
    assert summary(comparison)[1].endswith("before scheduler=asha with 0.4.")


@pytest.mark.parametrize("direction", Direction)
def test_a_method_without_a_median_is_neither_equal_nor_without_trials(tmp_path: Path, direction: Direction) -> None:
    records = [*(record("fifo", i) for i in range(3)), *(record("asha", i) for i in range(3))]
    values: list[tuple[float, ...]] = [(0.4,), (0.5,), (0.6,), (), (), (0.45,)]
    sweeps = [Made(each, i % 3, direction=direction) for i, each in enumerate(values)]
    # Sweeps without a trial have used nothing, so what they are worth is seen at the end of the others.
    comparison = dataclasses.replace(compared(tmp_path, *records, sweeps=sweeps), equal_effort=1.0)
    assert summary(comparison)[1] == (
        "At 1 trial, the most that every sweep has used, scheduler=fifo is ahead with a median error of 0.5, before "
        "any other has a complete trial in more than half of its sweeps."
    )
    comparison = dataclasses.replace(comparison, equal_effort=0.0)
    assert summary(comparison)[1].endswith("no method has a complete trial in more than half of its sweeps.")


def test_equal_incumbents_have_no_leader(tmp_path: Path) -> None:
    comparison = compared(tmp_path, FIFO, ASHA)
    assert (
        summary(comparison)[1] == "At 6 epochs, the most that every sweep has used, all are equal, with error of 0.2."
    )
    assert [cell.is_best for row in table(comparison)[1] for cell in row[-3:]] == [True] * 6


def test_a_method_with_one_sweep_among_others_is_named(tmp_path: Path) -> None:
    comparison = compared(tmp_path, FIFO, record("fifo", 1), ASHA)
    assert summary(comparison)[-1] == ("With only one sweep: scheduler=asha. Its spread over seeds is unknown.")


def test_without_a_complete_trial_there_is_nothing_to_say(tmp_path: Path) -> None:
    comparison = compared(tmp_path, FIFO, ASHA, sweeps=[Made((), 0), Made((), 1)])
    assert summary(comparison)[1].endswith("no method has a complete trial.")
    assert [row[-1].text for row in table(comparison)[1]] == ["none", "none"]


def test_the_larger_value_wins_where_it_is_maximized(tmp_path: Path) -> None:
    sweeps = [Made(values, metric="accuracy", direction=Direction.maximize) for values in ((0.7, 0.8), (0.9, 0.6))]
    comparison = compared(tmp_path, FIFO, ASHA, sweeps=sweeps)
    assert "scheduler=asha is ahead with accuracy of 0.9, before scheduler=fifo with 0.8." in summary(comparison)[1]
    assert comparison.methods[0].incumbent("epochs", 3) == Quartiles(0.7, 0.7, 0.7)


# Epochs.


def test_without_epochs_trials_are_counted(tmp_path: Path) -> None:
    folders = [tmp_path / "fifo", tmp_path / "asha"]
    simulate(curves(), FifoScheduler(), n_trials=10, folder=folders[0])
    swept = simulate(curves(), AshaScheduler(r_max=N_EPOCHS), n_trials=40, folder=folders[1])
    comparison = compare(folders)
    assert (comparison.effort, comparison.equal_effort) == ("trials", 10)
    assert comparison.notes == ["started trials are counted instead of epochs, which are unknown in fifo"]
    heads, rows = table(comparison)
    assert "epochs" not in heads
    assert "at 10 trials" in heads
    n_started = itertools.accumulate(isinstance(event, TrialProposed) for event in swept.events)
    values = [
        event.value
        for event, n in zip(swept.events, n_started, strict=True)
        if isinstance(event, SegmentEnded) and event.state is TrialState.COMPLETE and n <= 10
    ]
    assert comparison.methods[1].incumbent("trials", 10).median == min(values, default=None)  # type: ignore[type-var]
    assert rows[0][2].text == "10"


def test_learning_curves_tell_epochs_that_the_journal_does_not(tmp_path: Path) -> None:
    for number, n_epochs in enumerate((4, 7)):
        files = TrialFiles(tmp_path / "a", f"trials/{number}")
        files.make_folder()
        curve = CurveWriter(files.learning_curve)
        for epoch in range(1, n_epochs + 1):
            curve.write({"epoch": epoch, "error": 0.5})
    Made(epoch=None).write(tmp_path / "a")
    comparison = compare([tmp_path / "a", Made().write(tmp_path / "b")])
    assert (comparison.effort, comparison.equal_effort) == ("epochs", 6)
    assert [used for used, _ in comparison.methods[0].steps("epochs")] == [4, 11]
