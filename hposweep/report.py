"""Reports from inside a job: the learning curve of its trial."""

from __future__ import annotations

import time
from pathlib import Path

from hposweep import learning_curve

_reported_at: dict[Path, float] = {}


def report(epoch: int, value: float, **metrics: float) -> None:
    """Writes an epoch of the trial that this Hydra job runs into `learning_curve.csv` in its folder.

    A file is all that it takes: no connection to the controller is needed. Rows of this epoch and later ones, from a
    run that was cut off, are replaced.

        for epoch in range(1, 11):
            hposweep.report(epoch, validate(model), train_loss=train(model))

    Args:
        epoch: epochs that are trained, from 1.
        value: of the sweep's metric, `hydra.sweeper.metric`.
        metrics: whatever else is to stand in the curve; the same names in every epoch.

    Raises:
        ValueError: outside of a Hydra job, or if the epoch is below 1.
    """
    # Only a Hydra job comes here, and it has imported this long ago.
    from hydra.core.hydra_config import HydraConfig

    config = HydraConfig.get()
    metric = str(config.sweeper.get("metric", "value"))
    report_to(Path(config.runtime.output_dir), epoch, value, metric, **metrics)


def report_to(folder: Path, epoch: int, value: float, metric: str, **metrics: float) -> None:
    """`report` for the folder and the metric that are given; `seconds` since the last report are added."""
    if epoch < 1:
        raise ValueError(f"epoch counts from 1, got {epoch}")
    path = folder / learning_curve.FILE_NAME
    last = learning_curve.read(path)[-1:]
    if last and last[0]["epoch"] >= epoch:
        learning_curve.cut_back(path, epoch - 1)
    now = time.monotonic()
    seconds = now - _reported_at.get(path, now)
    _reported_at[path] = now
    row = {"epoch": epoch, **{name: float(number) for name, number in metrics.items()}, metric: float(value)}
    learning_curve.append_row(path, {**row, "seconds": seconds})


def start_clock(folder: Path) -> None:
    """Lets the seconds of the next report count from now."""
    _reported_at[folder / learning_curve.FILE_NAME] = time.monotonic()
