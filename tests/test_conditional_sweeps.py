"""What is inactive in a trial stands nowhere: not in its journal, its table, its page, its exports, its job."""

from __future__ import annotations

import json

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from hposweep.history import TrialProposed
from hposweep.results import sweep_data
from hposweep.results.exports import optuna_export
from hposweep.results.html import sweep_page, trial_rows
from hposweep.search_space import SearchSpace, parse_hyperparameter, parse_search_space
from hposweep.sweep_folder import tables
from hposweep.sweep_folder.journal import read_events
from hposweep.sweep_folder.sweep_yaml import read_record
from support.apps import App
from support.random_sweep import swept
from support.strategies import search_trees
from support.sweeps import load_yaml, read_csv, rows


@settings(max_examples=8)
@given(space=search_trees(), seed=st.integers(0, 1000))
def test_no_file_of_a_sweep_has_an_inactive_value(space: SearchSpace, seed: int) -> None:
    with swept(space, seed, n_trials=6) as sweep_dir:
        record = read_record(sweep_dir)
        assert record is not None
        assert SearchSpace.of(record.dimensions) == space
        of_trials = {
            event.trial: event.configuration for event in read_events(sweep_dir) if isinstance(event, TrialProposed)
        }
        active = {number: {each.key for each in space.active(found)} for number, found in of_trials.items()}
        assert all(found.keys() == active[number] for number, found in of_trials.items())
        for row in read_csv(sweep_dir / tables.TRIALS_FILE):
            number = int(row["trial"])
            filled = {key for key in space.keys if key in row and row[key] != ""}
            assert filled == active[number]
        best = load_yaml(sweep_dir / tables.RESULTS_FILE)
        assert best["best_params"].keys() == active[best["best_trial"]]
        data = sweep_data.read(sweep_dir)
        for number, frozen in enumerate(optuna_export.frozen_trials(sweep_dir, data)):
            assert frozen.params.keys() == frozen.distributions.keys() == active[number]
        for column in data.table.columns:
            if column.key is not None:
                shown = [number for number, cell in enumerate(column.cells) if cell is not tables.NOT_SET]
                assert shown == [number for number in sorted(active) if column.key in active[number]]


def test_the_page_of_a_conditional_sweep_leaves_the_cells_of_other_branches_empty() -> None:
    nodes = parse_search_space(yaml.safe_load(TREE), lambda key, node: parse_hyperparameter(node), nested=True)
    with swept(SearchSpace(nodes), seed=0, n_trials=30) as sweep_dir:
        data = sweep_data.read(sweep_dir)
        columns = {column["key"]: column["values"] for column in trial_rows.table(data, data.trials)["columns"]}
        assert [x == "1.0" for x in columns["x"]] == [text != "" for text in columns["text"]]
        assert [db == "postgres" for db in columns["db"]] == [user != "" for user in columns["db.user"]]
        assert "db.user" in sweep_page.render(sweep_dir, data, None)


TREE = """
x:
  choice:
    1.0: {text: "choice(one, other)"}
    2.0:
    3.0: {y: "uniform(0, 1)"}
db:
  choice:
    mysql:
    postgres: {db.user: "choice(me, you)"}
"""


def test_no_job_has_an_inactive_value(app: App) -> None:
    app.write("conf/db/postgres.yaml", "name: postgres\nuser: nobody\n")
    app.write("conf/space/tree.yaml", f"# @package hydra.sweeper.search_space\n{TREE}")
    done = app.sweep("+space=tree", "hydra.sweeper.n_trials=12", "hydra/launcher=basic")
    assert done.exit_code == 0, done.err
    table = rows(app.folder / "swept")
    seen = set()
    for row in table:
        job = app.folder / "swept" / row["trial"] / ".hydra"
        given = {line.partition("=")[0] for line in load_yaml(job / "overrides.yaml")} - {"+space"}
        expected = {"x", "db"} | {"1.0": {"text"}, "2.0": set(), "3.0": {"y"}}[row["x"]]
        expected |= {"db.user"} if row["db"] == "postgres" else set()
        assert given == expected == {key for key in ("x", "text", "y", "db", "db.user") if row[key]}
        config = load_yaml(job / "config.yaml")
        assert ("user" in config["db"]) == (row["db"] == "postgres")
        seen.add((row["x"], row["db"]))
    assert len(seen) > 3
    journal = [json.loads(line) for line in (app.folder / "swept" / "journal.jsonl").read_text().splitlines()]
    proposed = [event["configuration"] for event in journal if event["event"] == "trial_proposed"]
    assert all(("text" in each) == (each["x"] == 1.0) for each in proposed)
