"""What is imported when: pure rooms need nothing, and the controller never imports TensorFlow."""

import pytest

from support.processes import RunText

PURE = ["hposweep.search_space", "hposweep.trial", "hposweep.history", "hposweep.tuner", "hposweep.simulation"]
PURE += [
    "hposweep",
    "hposweep.searchers.random",
    "hposweep.searchers.tpe",
    "hposweep.searchers.cmaes",
    "hposweep.schedulers.fifo",
    "hposweep.sweep_folder.journal",
    "hposweep.workers.virtual",
]
HEAVY = ("tensorflow", "keras", "d2l", "pandas", "matplotlib")


@pytest.mark.parametrize("module", PURE)
def test_a_pure_room_imports_without_hydra_and_tensorflow(python: RunText, module: str) -> None:
    blocked = ["hydra", "omegaconf", "tensorflow", "keras", "d2l"]
    done = python(f"import sys\nfor name in {blocked}: sys.modules[name] = None\nimport {module}")
    assert done.exit_code == 0, done.err


def test_the_plugin_is_light(python: RunText) -> None:
    heavy = (*HEAVY, "scipy", "numpy", "rich", "hposweep")
    code = (
        "import sys\nfrom hydra.core.plugins import Plugins\nPlugins.instance()\n"
        "assert 'hydra_plugins.hposweep_sweeper' in sys.modules\n"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    assert python(code).out.strip() == "[]"


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["--cfg", "job"],
        ["--info", "plugins"],
        ["best", "--help"],
        ["retrain", "--help"],
        ["export", "--help"],
        ["--multirun", "hydra.sweeper.dry_run=true"],
        ["--multirun", "hydra.sweeper.n_trials=0"],
    ],
    ids=lambda words: " ".join(words),
)
def test_the_controlling_process_does_not_import_tensorflow(python: RunText, words: list[str]) -> None:
    code = (
        f"import sys\nsys.argv = ['hposweep', *{words}]\n"
        "from hposweep.__main__ import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        f"print('imported', [name for name in {HEAVY} if name in sys.modules])"
    )
    assert python(code).out.splitlines()[-1] == "imported []"
