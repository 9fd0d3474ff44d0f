"""What options of config groups bring along, in our own app and in others."""

from __future__ import annotations

import pytest

from support.apps import App
from support.processes import Run
from support.sweeps import load_yaml, rows

DRY = ("hydra.sweeper.dry_run=true",)


def keys(out: str) -> list[str]:
    """The keys of the search space that a dry run prints, with their options before them."""
    return [line.split("   ")[0].strip() for line in table_lines(out)]


def table_lines(out: str) -> list[str]:
    lines = [line.strip() for line in out.splitlines()]
    start = next(i for i, line in enumerate(lines) if line.startswith("──")) + 1
    return lines[start : start + lines[start:].index("")]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], ["optimizer.learning_rate"]),
        (
            ["model=mlp", "optimizer=adamw"],
            ["optimizer.learning_rate", "optimizer.weight_decay", *("model.num_hiddens", "model.num_layers")],
        ),
        (["search_space=learning_rate", "model=mlp"], ["optimizer.learning_rate"]),
        (["model=mlp", "model.num_layers=2"], ["optimizer.learning_rate", "model.num_hiddens"]),
        (
            ["model=softmax,mlp", "optimizer=sgd,adam"],
            [
                *("model", "mlp: model.num_hiddens", "mlp: model.num_layers"),
                *("optimizer", "sgd: optimizer.learning_rate", "adam: optimizer.learning_rate"),
            ],
        ),
        (
            ["optimizer=adam,adamw", "optimizer.learning_rate=interval(0.1,0.2)"],
            ["optimizer", "adamw: optimizer.weight_decay", "optimizer.learning_rate"],
        ),
    ],
    ids=" ".join,
)
def test_what_is_chosen_brings_its_own_hyperparameters(
    hposweep_here: Run, words: list[str], expected: list[str]
) -> None:
    done = hposweep_here("--multirun", *DRY, *words)
    assert done.exit_code == 0, done.err
    assert sorted(keys(done.out)) == sorted(expected)


SPACES = {
    "conf/own/db/postgres.yaml": "db.pool: choice(1, 2, 4)\n",
    "conf/own/db/mysql.yaml": "text: choice(p, q)\n",
}


@pytest.fixture
def own_app(app: App) -> App:
    app.write("conf/db/postgres.yaml", "name: postgres\npool: 1\n")
    for name, text in SPACES.items():
        app.write(name, text)
    return app


OWN = ("hydra.sweeper.own_spaces=own", "hydra/launcher=basic", "hydra.sweeper.n_trials=8")


def test_in_any_app_a_searched_group_brings_branches(own_app: App) -> None:
    done = own_app.sweep(*OWN, "db=mysql,postgres", "x=interval(0,1)")
    assert done.exit_code == 0, done.err
    table = rows(own_app.folder / "swept")
    assert {row["db"] for row in table} == {"mysql", "postgres"}
    assert all(
        (row["db.pool"] != "", row["text"] != "") == (row["db"] == "postgres", row["db"] == "mysql") for row in table
    )
    record = load_yaml(own_app.folder / "swept" / "sweep.yaml")
    assert list(record["search_space"]) == ["db", "text (db=mysql)", "db.pool (db=postgres)", "x"]
    # The same command goes on with it; a changed file of an option makes another sweep of it.
    assert own_app.sweep(*OWN, "db=mysql,postgres", "x=interval(0,1)").exit_code == 0
    own_app.write("conf/own/db/mysql.yaml", "text: choice(p, q, r)\n")
    done = own_app.sweep(*OWN, "db=mysql,postgres", "x=interval(0,1)")
    assert done.exit_code == 1
    assert "search space: text (db=mysql): 'choice(p, q)' -> 'choice(p, q, r)'" in done.err


def test_a_chosen_option_brings_its_own_to_all_trials(own_app: App) -> None:
    done = own_app.sweep(*OWN, "db=postgres", *DRY)
    assert done.exit_code == 0, done.err
    assert keys(done.out) == ["db.pool"]


@pytest.mark.parametrize(
    ("files", "words", "message"),
    [
        ({}, ["hydra.sweeper.own_spaces=nosuch"], "hydra.sweeper.own_spaces: the config has no directory nosuch"),
        (
            {"conf/own/db/postgre.yaml": "x: uniform(0, 1)\n"},
            [],
            "own/db/postgre.yaml: db has no option 'postgre'; did you mean 'postgres'? Allowed: mysql, postgres",
        ),
        ({"conf/own/db/mysql.yaml": "x: nosuch(1)\n"}, [], "own/db/mysql.yaml: x: no distribution 'nosuch'"),
        ({"conf/own/db/mysql.yaml": "x: [\n"}, [], "own/db/mysql.yaml: can't be read as YAML"),
        ({"conf/own/db/mysql.yaml": "- x\n"}, [], "own/db/mysql.yaml: must be a mapping of config keys to"),
        (
            {"conf/own/db/mysql.yaml": "defaults: [other]\nx: uniform(0, 1)\n"},
            [],
            "own/db/mysql.yaml: has a defaults list, which nothing composes here; write the hyperparameters out",
        ),
    ],
    ids=str,
)
def test_a_file_that_can_not_be_used_is_one_line(
    own_app: App, files: dict[str, str], words: list[str], message: str
) -> None:
    for name, text in files.items():
        own_app.write(name, text)
    done = own_app.sweep(*OWN, *words)
    assert done.exit_code == 1
    (line,) = done.error_lines
    assert line.startswith(message)
    assert not (own_app.folder / "swept").exists()


def test_a_nest_without_end_is_refused(own_app: App) -> None:
    own_app.write("conf/mode/fast.yaml", "speed: 1\n")
    own_app.write("conf/own/db/mysql.yaml", "+mode: choice(fast)\n")
    own_app.write("conf/own/mode/fast.yaml", "db: choice(mysql)\n")
    done = own_app.sweep(*OWN)
    assert done.exit_code == 1
    (line,) = done.error_lines
    assert line.endswith("stands twice where both would be active; a key has one place at a time")
