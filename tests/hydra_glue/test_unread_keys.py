"""Keys that nothing reads are refused in any app, as far as they are ours; an app's own keys are its own."""

import pytest

from support.apps import App
from support.sweeps import rows

PLUGIN = "a key of another plugin; here"
REFUSED = [
    ("+hydra.sweeper.n_jobs=4", f"hydra.sweeper.n_jobs: {PLUGIN} the number of workers is hydra.launcher.n_workers"),
    (
        "+hydra.sweeper.sampler=tpe",
        f"hydra.sweeper.sampler: {PLUGIN} the searcher is chosen by hydra/sweeper/search",
    ),
    ("+hydra.sweeper.n_trails=4", "hydra.sweeper.n_trails: nothing reads this key; did you mean 'hydra.sweeper.n_tri"),
    ("+hydra.launcher.workers=4", "hydra.launcher.workers: nothing reads this key; did you mean 'hydra.launcher.n_wo"),
]


@pytest.mark.parametrize(("word", "message"), REFUSED, ids=[word for word, _ in REFUSED])
def test_a_key_that_nothing_reads_is_refused_in_any_app(app: App, word: str, message: str) -> None:
    done = app.sweep("hydra/launcher=hposweep", "x=interval(0,4)", word)
    assert done.exit_code == 1
    (line,) = done.error_lines
    assert line.startswith(message)
    assert not (app.folder / "swept").exists()


def test_what_an_app_and_other_launchers_read_is_theirs(app: App) -> None:
    words = ["hydra.sweeper.n_trials=1", "x=interval(0,4)", "+n_jobs=3", "+model.callbacks=[a]"]
    done = app.sweep(*words, "+hydra.sweeper.note=a", "text=${hydra:sweeper.note}")
    assert done.exit_code == 0, done.err
    assert rows(app.folder / "swept")[0]["state"] == "COMPLETE"
