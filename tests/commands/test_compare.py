"""`compare`: a table on the terminal, a page where it is asked for, and one line for what can't be compared."""

from pathlib import Path

import pytest

from hposweep.schedulers.asha import AshaScheduler
from hposweep.simulation import AugmentedBranin, simulate
from support.processes import Run, RunText


@pytest.fixture
def swept(tmp_path: Path) -> Path:
    """The folder of two simulated sweeps, which hposweep is run in."""
    for seed in (1, 2):
        folder = tmp_path / "outputs" / f"branin-{seed}"
        simulate(AugmentedBranin(), AshaScheduler(r_max=81), n_trials=100, seed=seed, folder=folder)
    return tmp_path


def test_it_prints_a_table_and_writes_a_page_only_where_it_is_asked_to(hposweep_here: Run, swept: Path) -> None:
    words = ("compare", "outputs/branin-1", "outputs/branin-2")
    done = hposweep_here(*words)
    assert (done.exit_code, done.err) == (0, "")
    lines = [line.split() for line in done.out.splitlines()]
    assert ["validation_error", "(minimize)", "of", "the", "incumbent"] in lines
    assert [words[:3] for words in lines if words and words[0].startswith("branin-")][:2] == [
        ["branin-1", "1", "100"],
        ["branin-2", "1", "100"],
    ]
    assert not list(swept.rglob("*.html"))
    done = hposweep_here(*words, "--html", "compare.html")
    assert (done.exit_code, done.out.splitlines()[-1]) == (0, "Page: compare.html")
    assert "branin-1" in (swept / "compare.html").read_text()


def test_real_sweeps_are_compared_from_their_records(hposweep_warm: Run, small_sweep: Path, swept: Path) -> None:
    done = hposweep_warm("--multirun", "data.train_fraction=0.02", "trainer.max_epochs=1", "hydra.sweeper.n_trials=1")
    assert done.exit_code == 0, done.err
    (other,) = (swept / "outputs").glob("sweep-*")
    done = hposweep_warm("compare", str(small_sweep), str(other))
    assert (done.exit_code, done.err) == (0, "")
    # One trial of one epoch is all that the second sweep has used: no trial of the first was complete by then.
    assert "At 1 epoch, the most that every sweep has used, n_trials=1 " in done.out
    rows = [line.split() for line in done.out.splitlines()]
    assert ["hydra.sweeper.n_trials", "4", "1"] in rows
    assert ["trainer.max_epochs", "3", "1"] in rows
    assert ["data.train_fraction", "0.1", "0.02"] in rows


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["outputs/branin-1"], "compare: sweep: needs two folders or more, got only outputs/branin-1"),
        (["outputs/branin-1", "outputs"], "compare: outputs: holds no sweep of hposweep (no journal.jsonl)"),
        (["outputs/branin-1"] * 2, "compare: outputs/branin-1: is named twice; a sweep can't be compared with itself"),
        (
            ["outputs/branin-1", "outputs/branin-2", "--html", "no/such/folder.html"],
            "compare: --html: no/such/folder.html: can't be written (No such file or directory)",
        ),
    ],
)
def test_what_can_not_be_compared_is_one_line(hposweep_here: Run, swept: Path, words: list[str], message: str) -> None:
    done = hposweep_here("compare", *words)
    assert (done.exit_code, done.out, done.error_lines) == (1, "", [message])


@pytest.mark.parametrize("name", ["plotly", "jinja2"])
def test_the_page_without_the_extra_is_one_line_and_the_table_needs_none(
    python: RunText, swept: Path, name: str
) -> None:
    words = ["hposweep", "compare", "outputs/branin-1", "outputs/branin-2"]
    code = f"import sys; sys.modules['{name}'] = None; sys.argv = {{}}\nfrom hposweep.__main__ import main; main()"
    assert python(code.format(words)).exit_code == 0
    done = python(code.format([*words, "--html", "compare.html"]))
    assert done.error_lines == [f"compare: --html needs '{name}': pip install 'hposweep[report]'"]
    assert done.out == ""
