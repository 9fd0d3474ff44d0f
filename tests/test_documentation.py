"""The pages of docs/ build without a warning, their commands and code run, and they say what there is."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import json
import os
import re
import runpy
import shutil
import signal
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

import pytest
from markdown_it import MarkdownIt

from hposweep.commands import COMMANDS
from hposweep.first_seconds import EXIT_INTERRUPTED
from support.slurm import slurm
from support.warm import WarmProcess

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
EXAMPLES = ROOT / "examples"
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *(page for page in sorted(DOCS.rglob("*.md")) if "_build" not in page.parts),
    *sorted(EXAMPLES.glob("*/README.md")),
]
BLOCK = re.compile(r"(?:<!-- (?P<mark>[^>]*) -->\n)?```(?P<language>\w+)\n(?P<text>.*?)```", re.DOTALL)
FILE_NAME = re.compile(r"(?:# @package .*\n)?# ([\w./]+\.(?:py|yaml))\n")
# What a comment above a block says of it:
NOT_RUN = "not run: "
REASONS = {
    "installs packages",
    "sets up an environment of 3 GB",
    "runs all tests",
    "needs a network",
    "there is no cluster here",
    "there is no scheduler here",
    "there is no GPU here",
    "it takes hydra-optuna-sweeper",
    "its guide runs it",
    "only a full disk makes it be printed",
    "a drawing",
    "the drawing of the house, which has a test of its own",
}
DRY_RUN = "dry run"  # a command that would take long is run with hydra.sweeper.dry_run=true
USAGE = "usage"  # the words that a command takes
ENGINES = {"slurm": slurm}  # that run while the commands of a page do
NEEDS = {"tracking": ("mlflow", "wandb")}  # packages of pages that run where these are installed
EXITS_WITH = "exits with "
UNTIL_CTRL_C = "until Ctrl-C"  # a server, which ends by that alone


class Block(NamedTuple):
    """A piece of a page between two fences: commands, Python, a file, or what the piece before has printed."""

    language: str
    text: str
    mark: str  # the comment above it

    @property
    def file_name(self) -> str | None:
        """Where it is to be written, as its first comment says."""
        named = FILE_NAME.match(self.text)
        return named[1] if named else None


def blocks(page: Path) -> list[Block]:
    found = BLOCK.finditer(page.read_text(encoding="utf-8"))
    return [Block(each["language"], each["text"], each["mark"] or "") for each in found]


def run(block: Block, folder: Path, path: str) -> str:
    """Runs a block of commands or of Python, found by a PATH; what it has printed."""
    if block.mark == UNTIL_CTRL_C:
        return run_until_ctrl_c(block, folder, path)
    words = ["bash", "-e", "-c"] if block.language == "bash" else ["python", "-c"]
    text = block.text
    if block.mark == DRY_RUN:
        text = text.replace("--multirun", "--multirun hydra.sweeper.dry_run=true")
        assert text != block.text, f"{text}\nhas no sweep that could be run dry"
    done = subprocess.run(
        [*words, text],
        cwd=folder,
        env={**os.environ, "PATH": path, "COLUMNS": "200"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    expected = int(block.mark.removeprefix(EXITS_WITH)) if block.mark.startswith(EXITS_WITH) else 0
    assert done.returncode == expected, f"{block.text}\n{done.stdout}"
    return done.stdout


def run_until_ctrl_c(block: Block, folder: Path, path: str) -> str:
    """Runs a command until it has said how it ends, and ends it so."""
    process = subprocess.Popen(
        ["bash", "-e", "-c", f"exec {block.text}"],
        cwd=folder,
        env={**os.environ, "PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    printed = ""
    for line in process.stdout:
        printed += line
        if "Ctrl-C" in line:
            process.send_signal(signal.SIGINT)
    assert process.wait() == EXIT_INTERRUPTED, printed
    return printed


def without_numbers(text: str) -> list[str]:
    """The lines of an output, but for what differs from run to run: numbers and the width of columns."""
    return [" ".join(re.sub(r"\d[\d.,:e+-]*", "0", line).split()) for line in text.splitlines() if line.strip()]


def runs_something(page: Path) -> bool:
    return any(not is_left_out(block) for block in blocks(page))


def is_left_out(block: Block) -> bool:
    return block.mark.startswith(NOT_RUN) or block.mark == USAGE


def name_of(page: Path) -> str:
    return page.parent.name if page.parent.parent == EXAMPLES else page.stem


@pytest.mark.parametrize("page", [page for page in PAGES if runs_something(page)], ids=name_of)
def test_what_a_page_shows_runs_and_prints_what_it_says(page: Path, tmp_path: Path, warm_keras: WarmProcess) -> None:
    for package in NEEDS.get(page.stem, ()):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{page.name} needs the package {package}, which is not installed")
    shutil.copytree(EXAMPLES, tmp_path / "examples")
    (tmp_path / "benchmarks").symlink_to(ROOT / "benchmarks")  # what it has recorded
    folder = tmp_path / page.parent.relative_to(ROOT) if page.parent.parent == EXAMPLES else tmp_path
    with ENGINES.get(page.stem, contextlib.nullcontext)():
        run_blocks(page, folder, warm_keras)


def run_blocks(page: Path, tmp_path: Path, warm_keras: WarmProcess) -> None:
    printed = ""
    for block in blocks(page):
        if is_left_out(block):
            continue
        if block.language == "text":
            assert set(without_numbers(block.text)) <= set(without_numbers(printed)), printed
        elif block.file_name is not None:
            path = tmp_path / block.file_name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
        else:
            assert block.language in ("bash", "python"), f"{block.text}\nis neither run nor written to a file"
            printed = run(block, tmp_path, warm_keras.path)


def test_blocks_that_are_not_run_say_why() -> None:
    marks = {block.mark for page in PAGES for block in blocks(page) if block.mark}
    left_out = {mark.removeprefix(NOT_RUN) for mark in marks if mark.startswith(NOT_RUN)}
    assert left_out == REASONS
    assert all(re.fullmatch(rf"{NOT_RUN}.*|{EXITS_WITH}\d+|{DRY_RUN}|{USAGE}|{UNTIL_CTRL_C}", mark) for mark in marks)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_each_block_says_what_it_is(page: Path) -> None:
    """A block that is indented, or of another language, would be run by no test."""
    tokens = MarkdownIt().enable("table").parse(page.read_text(encoding="utf-8"))
    assert [token.content for token in tokens if token.type == "code_block"] == []
    languages = {token.info for token in tokens if token.type == "fence" and not token.info.startswith("{")}
    assert languages <= {"bash", "python", "text", "yaml"}


def test_packages_are_installed_by_one_spelling() -> None:
    """The one that works in a checkout, after `pip install .`, as well as from a registry."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extra = f"(?:{'|'.join(project['optional-dependencies'])})"
    ours = rf"\.|hposweep|'hposweep\[{extra}(?:,{extra})*\]'"
    option = r"--no-deps|--(?:extra-)?index-url \S+"
    other = r"(?!hposweep)[\w-]+(?:==[\d.]+)?"
    allowed = re.compile(rf"(?:(?:{option}) )*(?:{ours}|{other})(?: {other})*")
    files = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
    for room in ("docs", "examples", "hposweep", "conf", ".github"):
        files += [path for path in (ROOT / room).rglob("*") if path.suffix in (".md", ".py", ".yaml", ".yml", ".ipynb")]
    text = "\n".join(path.read_text(encoding="utf-8") for path in files if "_build" not in path.parts)
    found = re.findall(r"(?<!uv )pip install\s((?:[^\s`\"|);]|[ ](?! ))*)", text.replace("\\n", "\n"))
    spelt = {words.partition(" #")[0].rstrip(".,; ") or "." for words in found} - {"'hposweep[{extra}]'"}
    assert "'hposweep[report]'" in spelt
    assert [words for words in sorted(spelt) if not allowed.fullmatch(words)] == []


def test_version_is_the_same_everywhere() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (\S+)", changelog, re.MULTILINE)[0] == version
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")


def test_doors_of_the_readme_are_short() -> None:
    """Each is complete (the test of its page runs it) in less than 20 lines."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    doors = re.findall(r"^## I have a ([^\n]*)\n(.*?)(?=^## )", text, re.MULTILINE | re.DOTALL)
    assert [name for name, _ in doors] == ["Keras model", "Hydra app", "Python function"]
    for name, door in doors:
        shown = [found["text"] for found in BLOCK.finditer(door) if found["language"] != "text"]
        lines = [line for text in shown for line in text.splitlines() if line.strip()]
        assert len(lines) < 20, name


@pytest.mark.process
def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-n", "-d", str(tmp_path / "doctrees")]
    done = subprocess.run(
        [*build, str(DOCS), str(tmp_path / "html")], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    built = (tmp_path / "html" / "reference" / "python.html").read_text(encoding="utf-8")
    assert 'id="hposweep.tune"' in built


def test_the_reference_of_config_keys_is_current_and_says_something_of_each_key() -> None:
    script = runpy.run_path(str(DOCS / "make_config_reference.py"))
    sections = script["sections"]()
    assert [key.name for section in sections for key in section.keys if not key.text] == []
    current = (DOCS / "reference" / "config.md").read_text(encoding="utf-8")
    assert current == script["page"](sections), "run python docs/make_config_reference.py"


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_is_in_the_reference_with_its_options(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    reference = (DOCS / "reference" / "command_line.md").read_text(encoding="utf-8")
    (section,) = re.findall(rf"\n## {command}\n(.*?)(?=\n## )", reference, re.DOTALL)
    with pytest.raises(SystemExit, match="0"):
        importlib.import_module(f"hposweep.commands.{command}").main(["--help"])
    options = set(re.findall(r"(?<!\S)\[?(--[a-z-]+)", capsys.readouterr().out)) - {"--help"}
    assert [option for option in options if option not in section] == []
    shown = "".join(found["text"] for found in BLOCK.finditer(section) if found["mark"] == USAGE)
    assert set(re.findall(r"--[a-z-]+", shown)) <= options


def test_the_figures_of_the_comparison_are_those_that_were_measured() -> None:
    page = (DOCS / "comparison.md").read_text(encoding="utf-8")
    overhead, throughput, report = (
        json.loads((ROOT / "benchmarks" / f"{name}.json").read_text(encoding="utf-8"))
        for name in ("overhead", "throughput", "report")
    )
    milliseconds = [row["ms"] for row in overhead["overhead"]]
    assert f"| {min(milliseconds):.1f} to {max(milliseconds):.1f} ms |" in page
    assert f"take {overhead['idle']['ratio']:.2f} times as long" in page
    for row in throughput["throughput"]:
        book = max(row["book_alone"], row["book_twice"])
        cells = f"{row['batch_size']} | {book:.2f} | {row['ours_2']:.2f} | {row['times_book']:.3g} |"
        assert cells in page, f"{row['model']}: {cells}"
    assert f"takes {report[-1]['seconds']:.0f} s and is a page of {report[-1]['page_mb']:.0f} MB" in page


def test_the_figures_of_the_engines_are_those_that_were_measured() -> None:
    page = (DOCS / "guides" / "clusters.md").read_text(encoding="utf-8")
    measured = json.loads((ROOT / "benchmarks" / "engines.json").read_text(encoding="utf-8"))
    for name, row in measured["overhead"].items():
        shown = name if "launcher" in name or name == "Ray Tune" else f"`hposweep_{name}`".replace("_local", "")
        assert re.search(rf"^\| {shown}[^|]*\| {row['ms']:.0f} ms \|$", page, re.MULTILINE), name
    for engine, before in (("ray", "take "), ("dask", "and ")):
        assert f"{before}{measured['idle'][engine]['ratio']:.2f}" in page
    assert not [row for row in measured["equality"] if row["differences"]]


def test_the_gallery_shows_each_ready_made_sweep() -> None:
    page = (DOCS / "gallery.md").read_text(encoding="utf-8")
    names = sorted(path.stem for path in (ROOT / "conf" / "experiment").glob("*.yaml"))
    assert sorted(re.findall(r"experiment=(\w+)", page)) == names
    assert sorted(re.findall(r"\(gallery/(\w+)\.png\)", page)) == names


def test_each_room_of_the_package_has_its_line_in_the_drawing_of_the_house() -> None:
    text = (DOCS / "design.md").read_text(encoding="utf-8")
    drawing = re.search(r"```text\n(__main__.*?)```", text, re.DOTALL)
    assert drawing is not None
    drawn = {line.split()[0] for line in drawing[1].splitlines()}
    folders = {f"{path.parent.name}/" for path in (ROOT / "hposweep").glob("*/__init__.py")}
    modules = {path.name for path in (ROOT / "hposweep").glob("*.py")} - {"__init__.py"}
    assert folders | modules == drawn


def test_the_figures_of_the_searchers_are_those_that_were_measured() -> None:
    page = (DOCS / "guides" / "searchers.md").read_text(encoding="utf-8")
    measured = json.loads((ROOT / "benchmarks" / "searchers.json").read_text(encoding="utf-8"))
    assert set(measured["instances"]) == {1, 2, 3, 4, 5}, "the others are for tuning"
    n_runs = len(measured["instances"]) * measured["seeds"]
    assert f"{n_runs} runs on each" in page
    assert {name.partition(":")[0] for name in measured["functions"]} == {"bbob", "bbob-mixint"}
    assert len(measured["functions"]) == 48
    for name in ("bayesian", "tpe", "optuna_tpe", "cma_es"):
        found = measured["summary"][name]
        at = [found["at"][str(n)] for n in measured["evaluations"]]
        cells = " | ".join(f"{each['ratio']:.2g} [{each['low']:.2g}, {each['high']:.2g}]" for each in at)
        workers = found["workers"]
        cells += f" | {found['evaluations_to_random']:.0f}"
        cells += f" | {workers['ratio']:.2g} [{workers['low']:.2g}, {workers['high']:.2g}]"
        assert f"| {cells} | {found['ms_per_evaluation']:.1f} |" in page, name


def test_the_figures_of_conditions_and_of_rungs_are_those_that_were_measured() -> None:
    page = (DOCS / "guides" / "searchers.md").read_text(encoding="utf-8")
    conditional, rungs = (
        json.loads((ROOT / "benchmarks" / f"{name}.json").read_text(encoding="utf-8"))
        for name in ("conditional", "multi_fidelity")
    )
    over_all = conditional["ratios"]["report"]["bayesian"]
    figure, low, high = (over_all[key][-1] for key in ("geometric_mean", "low", "high"))
    assert f"is at {figure:.2g} [{low:.2g}, {high:.2g}] times the" in page
    for name in conditional["trees"].keys() - set(conditional["tuning"]):
        medians = [conditional["trees"][name][of]["median"][-1] for of in ("bayesian", "tpe", "optuna_group", "random")]
        assert f"| `{name}` | {' | '.join(f'{median:.2g}' for median in medians)} |" in page
    for name in rungs["objectives"].keys() - set(rungs["tuning"]):
        methods = [rungs["objectives"][name][method] for method in ("asha+bayesian", "asha+tpe", "fifo+bayesian")]
        ratios = [method["full"]["ratio"] for method in methods]
        cells = [f"{share(each['ratio'])} [{share(each['low'])}, {share(each['high'])}]" for each in ratios]
        assert f"| `{name}` | {' | '.join(cells)} |" in page


def share(ratio: float | None) -> str:
    return "never" if ratio is None else f"{ratio:.2g}"


def test_the_figures_of_real_trainings_are_those_that_were_measured() -> None:
    page = (DOCS / "guides" / "searchers.md").read_text(encoding="utf-8")
    bayesmark = json.loads((ROOT / "benchmarks" / "bayesmark" / "scores.json").read_text(encoding="utf-8"))["tables"]
    cash = json.loads((ROOT / "benchmarks" / "cash.json").read_text(encoding="utf-8"))
    first, whole = bayesmark["first studies"], bayesmark["all studies"]
    assert (len(first["problems"]), len(whole["problems"]), whole["repeats"]) == (34, 34, 5)
    for name, rounds in first["optimizers"].items():
        tables = [whole["optimizers"].get(name), rounds]
        cells = [f"{table[n]['score']:.1f}" if table else "not run" for table in tables for n in ("4", "16")]
        assert f"| {' | '.join(cells)} | {first['optimizer_s_per_study'][name]:.1f} |" in page, name
    for name, sweeps in cash["sweeps"].items():
        means = cash["means"][name]
        ends, tests = (
            ", ".join(f"{sweep[key]:.4f}" for sweep in sweeps) for key in ("incumbent", "test_error_of_winner")
        )
        mean = f"{means['epochs']:.0f} | {means['training_s']:.0f} | {means['incumbent_at_shared_epochs']:.4f}"
        assert f"| {mean} | {ends} | {tests} |" in page, name


def test_each_row_beside_keras_other_tuners_has_its_example() -> None:
    page = (DOCS / "keras_tools.md").read_text(encoding="utf-8")
    rows = [line.strip("| ").split(" | ") for line in page.splitlines() if re.match(r"\| [^|]", line)]
    assert len(rows) > 40
    assert [row[0] for row in rows if len(row) != 5] == []
    assert [row[0] for row in rows if ".md)" not in row[-1]] == []
