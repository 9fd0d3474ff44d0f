"""What Hydra's users expect of any sweeper, in somebody else's app, by real commands."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from support.apps import App
from support.odd_returns import check_odd_returns
from support.processes import Completed
from support.sweeps import load_yaml as load
from support.sweeps import rows

N = "hydra.sweeper.n_trials"


def ok(done: Completed) -> None:
    assert done.exit_code == 0, done.err + done.out


def test_a_sweep_of_another_app_leaves_its_folder(app: App) -> None:
    done = app.with_report.sweep(f"{N}=6", "x=interval(0,4)", "y=int(interval(0,3))", "db=postgres")
    ok(done)
    folder = app.folder / "swept"
    assert {path.name for path in folder.iterdir()} == {
        *("multirun.yaml", "sweep.yaml", "journal.jsonl", "trials.csv", "optimization_results.yaml", "report.html"),
        *map(str, range(6)),
    }
    table = rows(folder)
    assert list(table[0]) == [
        *("trial", "state", "value", "epochs", "seed", "x", "y", "attempts", "started_at", "duration_s", "failure")
    ]
    assert [row["trial"] for row in table] == list(map(str, range(6)))
    for number, row in enumerate(table):
        job = folder / str(number)
        config, overrides = load(job / ".hydra" / "config.yaml"), load(job / ".hydra" / "overrides.yaml")
        assert row["state"] == "COMPLETE"
        assert repr(config["x"]) == row["x"]
        assert repr(config["y"]) == row["y"]
        assert float(row["value"]) == (config["x"] - 2) ** 2 + config["y"]
        assert config["db"]["name"] == "postgres"
        assert overrides == ["db=postgres", f"x={row['x']}", f"y={row['y']}"]
        hydra = load(job / ".hydra" / "hydra.yaml")["hydra"]
        assert hydra["job"]["num"] == number
        assert hydra["runtime"]["output_dir"] == str(job)
        assert (job / "main.log").exists()
        assert (job / "hposweep" / "output.txt").read_text() == f"x is {row['x']}\n"
    best = min(table, key=lambda row: float(row["value"]))
    results = load(folder / "optimization_results.yaml")
    assert results["name"] == "hposweep"
    assert results["best_trial"] == int(best["trial"])
    assert results["best_params"] == {"x": float(best["x"]), "y": int(best["y"])}
    assert results["best_value"] == float(best["value"])
    assert "x is" not in done.out
    assert "python main.py db=postgres" in done.out
    multirun = load(folder / "multirun.yaml")
    assert multirun["hydra"]["mode"] == "MULTIRUN"
    assert "interval(0,4)" in str(multirun["hydra"]["overrides"]["task"])


def test_configurations_do_not_depend_on_what_else_is_asked(app: App) -> None:
    ok(app.sweep(f"{N}=3", "x=interval(0,4)"))
    ok(app.sweep(f"{N}=5", "x=interval(0,4)", "y=choice(1,2)", "hydra.sweep.dir=more"))
    draws = [[row["x"] for row in rows(app.folder / name)] for name in ("swept", "more")]
    assert draws[1][:3] == draws[0]


@pytest.mark.parametrize(("direction", "best"), [("minimize", min), ("maximize", max)])
def test_the_direction_and_the_metric(app: App, direction: str, best: Callable[[list[float]], float]) -> None:
    ok(app.sweep(f"{N}=6", "x=interval(0,4)", f"hydra.sweeper.direction={direction}", "hydra.sweeper.metric=score"))
    scores = [float(row["score"]) for row in rows(app.folder / "swept")]
    results = load(app.folder / "swept" / "optimization_results.yaml")
    assert (results["best_value"], results["metric"]) == (best(scores), "score")


def test_a_group_is_searched_over(app: App) -> None:
    ok(app.sweep(f"{N}=8", "db=glob(*)"))
    names = set()
    for row in rows(app.folder / "swept"):
        config = load(app.folder / "swept" / row["trial"] / ".hydra" / "config.yaml")
        assert config["db"]["name"] == row["db"]
        names.add(row["db"])
    assert names == {"mysql", "postgres"}


def test_what_searches_nothing_is_one_trial_that_more_cannot_extend(app: App) -> None:
    done = app.sweep(f"{N}=5", "x=3")
    ok(done)
    assert "Nothing is searched: one trial is enough." in done.out
    assert [row["value"] for row in rows(app.folder / "swept")] == ["1.0"]
    ok(app.sweep(f"{N}=6", "x=3"))
    assert len(rows(app.folder / "swept")) == 1


STRINGS = "text=choice('1','true','it\\'s','a b','#x',null,abc)"


def test_strings_reach_the_config_as_they_are(app: App) -> None:
    ok(app.sweep(f"{N}=20", STRINGS.replace(",null", ",'null'")))
    found = set()
    for number in range(20):
        text = load(app.folder / "swept" / str(number) / ".hydra" / "config.yaml")["text"]
        cell = rows(app.folder / "swept")[number]["text"]
        assert cell == text or json.loads(cell) == text
        found.add(text)
    assert found <= {"1", "true", "it's", "a b", "#x", "null", "abc"}
    assert len(found) > 4


def test_the_search_space_stands_in_the_config_or_on_the_command_line(app: App) -> None:
    app.write("conf/config.yaml", (app.folder / "conf/config.yaml").read_text() + SPACE_IN_CONFIG)
    ok(app.run("--multirun", "hydra.sweep.dir=swept", 'hydra.sweeper.search_space.y="choice(0, 1)"'))
    table = rows(app.folder / "swept")
    assert len(table) == 4
    assert all(0 <= float(row["x"]) <= 4 and row["y"] in ("0", "1") for row in table)


SPACE_IN_CONFIG = """
hydra:
  sweeper:
    n_trials: 4
    search_space:
      x: uniform(0, 4)
"""


@pytest.fixture(autouse=True)
def sweeper_of_the_config(request: pytest.FixtureRequest) -> None:
    """The test above chooses the sweeper in the config, as users do."""
    if request.node.name.startswith("test_the_search_space_stands"):
        app = request.getfixturevalue("app")
        config = app.folder / "conf" / "config.yaml"
        config.write_text(
            config.read_text().replace("  - db: mysql", "  - db: mysql\n  - override hydra/sweeper: hposweep")
        )


FLAGS = [
    pytest.param(["hydra.output_subdir=null"], lambda job: not (job / ".hydra").exists(), id="output_subdir=null"),
    pytest.param(["hydra.job.chdir=true"], lambda job: (job / "cwd").read_text() == str(job), id="chdir"),
    pytest.param(["+hydra.job.env_set.FOO=bar"], lambda job: (job / "foo").read_text() == "bar", id="env_set"),
    pytest.param(["hydra.job.name=other"], lambda job: (job / "other.log").exists(), id="job.name"),
    pytest.param(["hydra.verbose=true"], lambda job: "a detail" in (job / "main.log").read_text(), id="verbose"),
    pytest.param(["hydra/job_logging=disabled"], lambda job: not (job / "main.log").exists(), id="job_logging"),
]
CURIOUS_APP = """
import logging, os
from pathlib import Path
import hydra
from hydra.core.hydra_config import HydraConfig

@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(cfg):
    job = Path(HydraConfig.get().runtime.output_dir)
    (job / "cwd").write_text(os.getcwd())
    (job / "foo").write_text(os.environ.get("FOO", ""))
    logging.getLogger("curious").debug("a detail")
    return cfg.x

if __name__ == "__main__":
    main()
"""


@pytest.mark.parametrize(("words", "holds"), FLAGS)
def test_the_flags_of_a_job(app: App, words: list[str], holds: Callable[[Path], bool]) -> None:
    app.write("main.py", CURIOUS_APP)
    ok(app.sweep(f"{N}=1", "x=interval(0,4)", *words))
    assert holds(app.folder / "swept" / "0")
    assert rows(app.folder / "swept")[0]["state"] == "COMPLETE"


def test_a_subdir_of_ones_own(app: App) -> None:
    ok(app.sweep(f"{N}=3", "x=interval(0,4)", "hydra.sweep.subdir=${hydra.job.override_dirname}"))
    for row in rows(app.folder / "swept"):
        assert (app.folder / "swept" / f"x={row['x']}" / ".hydra" / "config.yaml").exists()


def test_two_trials_in_one_folder_are_refused(app: App) -> None:
    done = app.sweep(f"{N}=3", "x=interval(0,4)", "hydra.sweep.subdir=same")
    assert done.exit_code != 0
    assert done.error_lines[-1].startswith("hydra.sweep.subdir: gives all trials the folder 'same'")
    assert not (app.folder / "swept").exists()


def test_a_trial_whose_folder_is_anothers_already_fails_alone(app: App) -> None:
    ok(app.sweep(f"{N}=6", "x=choice(1,2,3,4,5)", "hydra.sweeper.max_failure_rate=1", DIRNAME))
    table = rows(app.folder / "swept")
    assert [row["state"] for row in table].count("COMPLETE") == len({row["x"] for row in table}) < 6
    failures = {row["failure"].split(";")[0] for row in table if row["state"] == "FAILED"}
    assert all("is the folder of trial" in failure for failure in failures)


TYPED_APP = """
from dataclasses import dataclass
import hydra
from hydra.core.config_store import ConfigStore

@dataclass
class Config:
    n: int = 1
    x: float = 0

ConfigStore.instance().store(name="config", node=Config)

@hydra.main(version_base="1.3", config_name="config")
def main(cfg):
    return cfg.x

if __name__ == "__main__":
    main()
"""


@pytest.mark.parametrize("words", [["hydra/launcher=hposweep"], ["hydra.sweeper.max_batch_size=8"]])
def test_a_trial_whose_config_can_t_be_composed_fails_alone(app: App, words: list[str]) -> None:
    app.write("main.py", TYPED_APP)
    ok(app.sweep(f"{N}=8", "x=interval(0,1)", "n=1,many,2", "hydra.sweeper.max_failure_rate=1", *words))
    table = rows(app.folder / "swept")
    assert {(row["n"], row["state"]) for row in table} == {("1", "COMPLETE"), ("2", "COMPLETE"), ("many", "FAILED")}
    assert {row["failure"].removeprefix("hydra.errors.") for row in table} == {
        *("", "ConfigCompositionException: Error merging override n=many"),
    }


@pytest.mark.parametrize("words", [["hydra/launcher=hposweep"], ["hydra.sweeper.max_batch_size=8"]])
def test_a_trial_whose_folder_no_disk_holds_fails_alone(app: App, words: list[str]) -> None:
    app.write("swept/text=c,x=1", "no folder")
    options = ["x=1,2", f"text={'v' * 300},'nul\0',c"]
    ok(app.sweep(f"{N}=6", *options, "hydra.sweeper.max_failure_rate=1", DIRNAME, *words))
    reasons = {"v" * 300: "File name too long", "nul\0": "embedded null byte", "c": "Not a directory"}
    table = rows(app.folder / "swept")
    assert len({(row["x"], row["text"]) for row in table}) == 6
    for row in table:
        text = json.loads(row["text"]) if row["text"].startswith('"') else row["text"]
        is_fine = (row["x"], text) == ("2", "c")
        assert row["state"] == ("COMPLETE" if is_fine else "FAILED")
        assert row["failure"].startswith("" if is_fine else "hydra.sweep.subdir: the folder '")
        assert row["failure"].endswith("" if is_fine else f"' can't be made ({reasons[text]})")
        assert len(row["failure"]) < 200


def test_a_folder_of_all_trials_that_no_record_can_hold_is_refused(app: App) -> None:
    app.write("conf/odd.yaml", 'defaults: [config, _self_]\nhydra: {sweep: {subdir: "\\udce9${hydra.job.num}"}}\n')
    done = app.run("--multirun", "-cn", "odd", "hydra/sweeper=hposweep", "hydra.sweep.dir=swept", "x=interval(0,4)")
    assert done.exit_code == 1
    assert done.error_lines[-1].startswith(r"hydra.sweep.subdir: '\udce90': can't be written as UTF-8")
    assert not (app.folder / "swept").exists()


def test_a_trial_whose_folder_s_place_is_taken_by_a_file_fails_alone(app: App) -> None:
    app.write("swept/1", "no folder")
    ok(app.sweep(f"{N}=3", "x=interval(0,4)"))
    table = rows(app.folder / "swept")
    assert [row["state"] for row in table] == ["COMPLETE", "FAILED", "COMPLETE"]
    assert table[1]["failure"] == "hydra.sweep.subdir: the folder '1' can't be made (Not a directory)"
    assert (app.folder / "swept" / "1").read_text() == "no folder"


DIRNAME = "hydra.sweep.subdir=${hydra.job.override_dirname}"


@pytest.mark.parametrize("named", ["multirun/${now:%Y}", "${text}"])
def test_two_sweeps_named_by_the_same_second_get_a_folder_each(app: App, named: str) -> None:
    words = ["--multirun", "hydra/sweeper=hposweep", f"{N}=1", "x=interval(0,4)"]
    # The year alone stands for the second: it is the same for both.
    for _ in range(2):
        ok(app.run(*words, f"hydra.sweep.dir={named}", "text=multirun/${now:%Y}"))
    first, second = sorted((app.folder / "multirun").iterdir())
    assert second.name == f"{first.name}-2"
    assert (second / "0" / ".hydra" / "config.yaml").exists()
    assert load(second / "0" / ".hydra" / "hydra.yaml")["hydra"]["sweep"]["dir"] == str(second)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["hydra/sweeper=hposweep", "--cfg", "hydra", "-p", "hydra.sweeper"], "n_trials: 20"),
        (["--info", "plugins"], "HposweepSweeper"),
        (["--hydra-help"], "sweeper:"),
        (["hydra/sweeper=hposweep", "--cfg", "job"], "x: 1.0"),
        (["hydra/sweeper=hposweep", "--info", "defaults"], "hydra/sweeper/searcher/random"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_hydras_own_questions(app: App, words: list[str], expected: str) -> None:
    done = app.fresh.run(*words)
    ok(done)
    assert expected in done.out


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("python main.py hydra/sweeper=hp", "hydra/sweeper=hposweep"),
        ("python main.py hydra/sweeper=hposweep hydra/sweeper/searcher=ra", "hydra/sweeper/searcher=random"),
        ("python main.py hydra/sweeper=hposweep hydra.sweeper.n_tr", "hydra.sweeper.n_trials="),
    ],
)
def test_completion_knows_the_sweeper(app: App, line: str, expected: str) -> None:
    done = app.fresh.run("-sc", "query=bash", env={"COMP_LINE": line, "COMP_POINT": str(len(line))})
    assert expected in done.out.split()


def test_a_misspelt_searcher_keeps_hydras_words(app: App) -> None:
    done = app.sweep("hydra/sweeper/searcher=rndom", "x=interval(0,4)")
    assert done.exit_code == 1
    assert "Available options in 'hydra/sweeper/searcher'" in done.err
    assert "Traceback" not in done.err


def test_an_unknown_key_is_refused_before_the_folder_is_made(app: App) -> None:
    done = app.sweep("nosuch=interval(0,4)")
    assert done.exit_code == 1
    assert "Could not override 'nosuch'" in done.err
    assert not (app.folder / "swept").exists()


CALLBACKS = """
from hydra.experimental.callback import Callback

class Note(Callback):
    def __init__(self, path): self.path = path
    def note(self, text):
        with open(self.path, "a") as file: file.write(text + "\\n")
    def on_multirun_start(self, config, **kwargs): self.note("start")
    def on_multirun_end(self, config, **kwargs): self.note("end")
    def on_job_start(self, config, **kwargs): self.note(f"job {config.hydra.job.num}")
    def on_job_end(self, config, job_return, **kwargs): self.note(job_return.status.name)
"""
WITH_CALLBACKS = (
    "+hydra.callbacks.note._target_=callbacks.Note",
    "+hydra.callbacks.note.path=${hydra.runtime.cwd}/notes",
    "+hydra.callbacks.log._target_=hydra.experimental.callbacks.LogJobReturnCallback",
    "+hydra.callbacks.pickle._target_=hydra.experimental.callbacks.PickleJobInfoCallback",
)


@pytest.mark.parametrize(
    ("words", "exit_code", "notes"),
    [
        (["x=interval(0,4)"], 0, ["start", "job 0", "COMPLETED", "job 1", "COMPLETED", "end"]),
        (
            ["y=null", "x=interval(0,4)", f"{N}=9"],
            3,
            ["start", *[w for n in range(3) for w in (f"job {n}", "FAILED")], "end"],
        ),
        (["x=interval(4,0)"], 1, ["start", "end"]),
        (["x=interval(0,4)", "hydra.sweeper.dry_run=true"], 0, ["start", "end"]),
        (["nosuch=interval(0,4)"], 1, ["start", "end"]),
    ],
    ids=["complete", "stopped early", "refused", "dry run", "unknown key"],
)
def test_callbacks_are_called_once_at_every_ending(
    app: App, words: list[str], exit_code: int, notes: list[str]
) -> None:
    app.write("callbacks.py", CALLBACKS)
    done = app.sweep(f"{N}=2", *words, *WITH_CALLBACKS, env={"PYTHONPATH": str(app.folder)})
    assert done.exit_code == exit_code, done.err
    assert (app.folder / "notes").read_text().split("\n")[:-1] == notes
    if exit_code == 0 and len(notes) > 2:
        with open(app.folder / "swept" / "0" / ".hydra" / "job_return.pickle", "rb") as file:
            assert pickle.load(file).status.name == "COMPLETED"


UNLUCKY_APP = """
import math, sys
import hydra

@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(cfg):
    if cfg.x == 1: raise ValueError("x is one")
    if cfg.x == 2: sys.exit(4)
    if cfg.x == 3: return math.nan
    if cfg.x == 4: return None
    if cfg.x == 5: return math.inf
    return cfg.x

if __name__ == "__main__":
    main()
"""


def test_bad_luck_costs_its_own_trial_alone(app: App) -> None:
    app.write("main.py", UNLUCKY_APP)
    done = app.sweep(f"{N}=40", "hydra.sweeper.max_failure_rate=1", "x=choice(1,2,3,4,5,6,7)")
    ok(done)
    by_x = {row["x"]: row for row in rows(app.folder / "swept")}
    assert len(by_x) == 7
    states = {x: by_x[x]["state"] for x in sorted(by_x)}
    assert states == dict(
        zip("1234567", ["FAILED", "FAILED", "DIVERGED", "FAILED", "DIVERGED", "COMPLETE", "COMPLETE"], strict=True)
    )
    assert by_x["1"]["failure"] == "ValueError: x is one"
    assert "sys.exit(4)" in by_x["2"]["failure"] or "SystemExit: 4" in by_x["2"]["failure"]
    assert by_x["4"]["failure"] == "the objective returned None; it must return a number"
    assert by_x["3"]["value"] == "nan"
    job = app.folder / "swept" / by_x["1"]["trial"]
    for name in ("hposweep/failure.txt", "main.log"):
        assert "Traceback" in (job / name).read_text()
        assert "x is one" in (job / name).read_text()
    assert load(app.folder / "swept" / "optimization_results.yaml")["best_value"] == 6


@pytest.mark.parametrize("words", [["hydra/launcher=hposweep"], ["hydra.sweeper.max_batch_size=12"]])
def test_a_return_value_that_is_no_number_costs_its_own_trial_alone(app: App, words: list[str]) -> None:
    check_odd_returns(app, *words)


APP_WITH_FILES = """
from pathlib import Path
import hydra
from hydra.core.hydra_config import HydraConfig

@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(cfg):
    folder = Path(HydraConfig.get().runtime.output_dir)
    (folder / "checkpoint").mkdir(exist_ok=True)
    names = "checkpoint/model.pt checkpoint.npz learning_curve.csv data.json output.txt failure.txt"
    for name in names.split():
        (folder / name).write_text("mine")
    return cfg.x

if __name__ == "__main__":
    main()
"""


@pytest.mark.parametrize("launcher", ["hposweep", "basic"])
def test_an_app_keeps_its_own_files_whatever_their_names(app: App, launcher: str) -> None:
    app.write("main.py", APP_WITH_FILES)
    words = [f"{N}=3", "x=interval(0,4)", f"hydra/launcher={launcher}"]
    ok(app.with_report.sweep(*words))
    for number in range(3):
        job = app.folder / "swept" / str(number)
        for name in ("checkpoint/model.pt", "checkpoint.npz", "learning_curve.csv", "data.json", "output.txt"):
            assert (job / name).read_text() == "mine"
        assert {path.name for path in (job / "hposweep").iterdir()} == {"job", "output.txt"}
    assert [(row["state"], row["epochs"]) for row in rows(app.folder / "swept")] == [("COMPLETE", "")] * 3
    assert (app.folder / "swept" / "report.html").exists()


def test_a_sweep_without_a_complete_trial_has_no_winner(app: App) -> None:
    app.write("main.py", UNLUCKY_APP)
    done = app.sweep(f"{N}=4", "x=choice(3,5)")
    results = load(app.folder / "swept" / "optimization_results.yaml")
    assert (results["best_trial"], results["best_params"], results["best_value"]) == (None, None, None)
    assert results["states"] == {"DIVERGED": 4}
    assert done.exit_code == 0


def test_when_the_first_three_fail_alike_the_sweep_says_why_and_exits_with_3(app: App) -> None:
    app.write("main.py", UNLUCKY_APP)
    done = app.sweep(f"{N}=20", "x=1", "y=interval(0,1)")
    assert done.exit_code == 3
    assert "the first 3 trials all failed with: ValueError: x is one" in done.out + done.err
    assert len(rows(app.folder / "swept")) == 3


def test_multirun_as_the_mode_of_the_config(app: App) -> None:
    ok(app.run("hydra.mode=MULTIRUN", "hydra/sweeper=hposweep", "hydra.sweep.dir=swept", f"{N}=1", "x=interval(0,4)"))
    assert len(rows(app.folder / "swept")) == 1


def test_seed_and_budget_keys_are_given_to_the_job_where_the_app_has_them(app: App) -> None:
    ok(app.sweep(f"{N}=2", "x=interval(0,4)", "hydra.sweeper.seed_key=y"))
    for number, row in enumerate(rows(app.folder / "swept")):
        assert load(app.folder / "swept" / str(number) / ".hydra" / "config.yaml")["y"] == int(row["seed"])
    ok(app.sweep(f"{N}=2", "x=interval(0,4)", "y=5", "hydra.sweeper.seed_key=y", "hydra.sweep.dir=fixed"))
    assert [row["seed"] for row in rows(app.folder / "fixed")] == ["5", "5"]


def test_the_journal_is_one_json_object_a_line(app: App) -> None:
    app.write("main.py", UNLUCKY_APP)
    ok(app.sweep(f"{N}=8", "x=choice(3,6)"))
    lines = (app.folder / "swept" / "journal.jsonl").read_text().splitlines()
    events = [json.loads(line, parse_constant=pytest.fail) for line in lines]
    assert [event["event"] for event in events][:3] == ["sweep_started", "trial_proposed", "segment_started"]
    assert events[-1]["event"] == "sweep_ended"
    assert events[0]["schema"] == 2


STRUCTURED_APP = """
from dataclasses import field, make_dataclass
import hydra
from hydra.core.config_store import ConfigStore

# As hydra-zen makes them: classes that nobody finds by their names.
for name, port in (("mysql", 3306), ("postgres", 5432)):
    node = make_dataclass(f"Builds_{name}", [("port", int, field(default=port))])
    ConfigStore.instance().store(group="typed", name=name, node=node)

@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(cfg):
    return cfg.typed.port

if __name__ == "__main__":
    main()
"""


@pytest.mark.parametrize("launcher", ["hposweep", "basic"])
def test_configs_of_classes_that_were_made_at_run_time(app: App, launcher: str) -> None:
    app.write("main.py", STRUCTURED_APP)
    ok(app.sweep(f"{N}=6", "+typed=mysql,postgres", "x=interval(0,4)", f"hydra/launcher={launcher}"))
    ports = {"mysql": "3306.0", "postgres": "5432.0"}
    table = rows(app.folder / "swept")
    assert [row["value"] for row in table] == [ports[row["+typed"]] for row in table]
