"""`reproduce`: a sweep runs again to the same bits, and every difference is found."""

import shutil
from pathlib import Path

import yaml

from hposweep.hydra_glue import run_again
from hposweep.results.comparison.differences import differences
from support.processes import Run
from support.sweeps import change_journal


def copy(sweep: Path, folder: Path) -> Path:
    return Path(shutil.copytree(sweep, folder / "recorded"))


def between(first: Path, second: Path) -> list[str]:
    found = differences(first, run_again.read(first), second, run_again.read(second), tolerance=0.02)
    return [f"{'!' if difference.matters else '.'} {difference.text}" for difference in found]


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_a_sweep_is_reproduced_and_a_changed_digit_is_found(
    hposweep_warm: Run, small_sweep: Path, tmp_path: Path
) -> None:
    recorded = copy(small_sweep, tmp_path)
    curve = recorded / "trials" / "2" / "hposweep" / "learning_curve.csv"
    head, first, second, third = curve.read_text().splitlines()
    cells = second.split(",")
    cells[1] = cells[1][:-1] + str((int(cells[1][-1]) + 1) % 10)
    curve.write_text("\n".join([head, first, ",".join(cells), third]) + "\n")

    assert hposweep_warm("reproduce", "recorded").exit_code == 1
    again = tmp_path / "recorded-again"
    assert between(small_sweep, again) == []
    (found,) = between(recorded, again)
    assert found.startswith("! trial 2: learning curve, epoch 2, train_loss: ")


def test_a_folder_that_is_there_is_no_place_for_it(hposweep_here: Run, small_sweep: Path, tmp_path: Path) -> None:
    name = copy(small_sweep, tmp_path).name
    done = hposweep_here("reproduce", name, "--into", name)
    assert done.error_lines == [f"reproduce: --into: {name} exists already; name a new folder"]
    done = hposweep_here("reproduce", name, "--tolerance", "nan")
    assert done.error_lines == ["reproduce: --tolerance: must be at least 0, got nan"]


def test_every_kind_of_difference_is_named(small_sweep: Path, tmp_path: Path) -> None:
    other = copy(small_sweep, tmp_path)
    assert between(small_sweep, other) == []
    change_journal(other, '"seed": 1826701615', '"seed": 1', count=1)
    change(other / "sweep.yaml", "batch_size: 16", "batch_size: 17")
    assert between(small_sweep, other) == [
        "! config data.batch_size: 16 -> 17",
        "! trial 0: seed 1826701615 -> 1",
    ]


def test_on_another_machine_values_are_held_against_the_tolerance(small_sweep: Path, tmp_path: Path) -> None:
    other = copy(small_sweep, tmp_path)
    record = yaml.safe_load((other / "sweep.yaml").read_text())
    change(other / "sweep.yaml", record["versions"]["tensorflow"], "2.99.0")
    (path,) = (path for path in (other / "trials").rglob("learning_curve.csv") if path.parents[1].name == "1")
    change(path, path.read_text().splitlines()[1].split(",")[1], "0.123")
    # The bits of a curve can't be the same there; the version is named, and nothing that matters differs.
    assert between(small_sweep, other) == [f". versions tensorflow: '{record['versions']['tensorflow']}' -> '2.99.0'"]


def test_what_has_no_sweep_is_refused(hposweep_here: Run, tmp_path: Path) -> None:
    done = hposweep_here("reproduce", "nosuch")
    assert done.exit_code == 1
    assert done.error_lines == ["reproduce: nosuch: holds no sweep of hposweep (no journal.jsonl)"]
    done = hposweep_here("reproduce")
    assert done.error_lines == ["reproduce: outputs: holds no sweep; name the folder of one"]
