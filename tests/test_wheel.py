"""A wheel works from any folder, with its conf/ and small data inside, and Fashion-MNIST from Keras's cache."""

import subprocess
import sys
from pathlib import Path

import pytest

from hposweep.training import fashion_mnist
from support.processes import RunText

ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.process

# The wheel's packages come before the checkout's, which an editable install puts on the path.
RUN = "import sys; sys.path.insert(0, {site!r}); from hposweep.__main__ import main; main()"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target"]
    subprocess.run([*install, str(folder / "site"), str(wheel)], check=True, capture_output=True)
    return folder / "site"


@pytest.fixture
def keras_home(tmp_path: Path) -> Path:
    """A cache as Keras leaves it after its download."""
    (tmp_path / "keras" / "datasets").mkdir(parents=True)
    (tmp_path / "keras" / "datasets" / "fashion-mnist").symlink_to(fashion_mnist.data_folder())
    return tmp_path / "keras"


def test_a_sweep_runs_from_a_wheel(site: Path, tmp_path: Path, keras_home: Path, python: RunText) -> None:
    words = ["--multirun", "model=mlp", "data.train_fraction=0.02", "trainer.max_epochs=1", "hydra.sweeper.n_trials=1"]
    code = f"import sys; sys.argv = ['hposweep', *{[*words, 'hydra.sweep.dir=swept']}]; {RUN.format(site=str(site))}"
    done = python(f"{code}\n", env={"KERAS_HOME": str(keras_home), "PYTHONPATH": str(site)})
    assert done.exit_code == 0, done.err
    assert "1 trial: 1 COMPLETE" in done.out
    config = (tmp_path / "swept" / "sweep.yaml").read_text()
    assert str(site / "hposweep" / "conf") in config
    assert str(ROOT) not in config


def test_the_wheel_holds_conf_and_small_data_alone(site: Path) -> None:
    names = {str(path.relative_to(site)) for path in site.rglob("*") if path.is_file()}
    conf = {str(path.relative_to(ROOT)) for path in (ROOT / "conf").rglob("*.yaml")}
    assert {f"hposweep/{name}" for name in conf} <= names
    assert "hydra_plugins/hposweep_sweeper.py" in names
    assert {"hposweep/datasets/penguins/penguins.csv", "hposweep/datasets/cars/cars.csv"} <= names
    assert "bin/hposweep" in names  # the console script
    assert not [name for name in names if name.endswith(".gz") or name.startswith("tests")]


def test_a_wheel_finds_the_data_that_comes_with_it(site: Path, tmp_path: Path, python: RunText) -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(site)!r})\n"
        "from hposweep.training import tabular\n"
        "splits = tabular.csv('datasets/penguins/penguins.csv', 'species', 'classification')\n"
        "print(tabular.__file__, len(splits.train.targets))"
    )
    done = python(code, env={"PYTHONPATH": str(site)})
    assert done.out.split() == [str(site / "hposweep" / "training" / "tabular.py"), "206"], done.err
