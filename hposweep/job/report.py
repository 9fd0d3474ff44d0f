"""What a job's objective says and asks: its learning curve, how far to train, where to keep its checkpoint.

Files and what the job knows of itself are all that it takes; no connection to the controller is needed.
"""

from __future__ import annotations

import operator
import time
from pathlib import Path

from hposweep.job import running
from hposweep.job.running import TargetReached
from hposweep.sweep_folder import file_names, learning_curve

_reported_at: dict[Path, float] = {}


def report(epoch: int, value: float, **metrics: float) -> None:
    """Writes an epoch of the trial that this job runs into `learning_curve.csv` in its folder.

    Rows of this epoch and later ones, from a run that was cut off, are replaced. Where the sweep's scheduler wants the
    trial trained to some epoch only, and the objective did not ask for it (`target_epoch`), the job ends in here when
    it gets there, with this value.

        for epoch in range(1, 11):
            hposweep.report(epoch, validate(model), train_loss=train(model))

    Args:
        epoch: epochs that are trained, from 1.
        value: of the sweep's metric, `hydra.sweeper.metric`.
        metrics: whatever else is to stand in the curve; the same names in every epoch.

    Raises:
        ValueError: outside of a job, if the epoch is below 1 or no whole number, or for other metrics than before.
    """
    job = running.running_job()
    report_to(job.folder, epoch, value, job.metric, **metrics)
    said = running.of_job_in(job.folder)
    if job.target_epoch is None or said is None or said.knows_target or epoch < job.target_epoch:
        return
    said.was_ended_at_target = True
    raise TargetReached(float(value))


def target_epoch(default: int) -> int:
    """The epoch to which this job is to train, its own first one included; then it returns.

    A scheduler such as ASHA trains a trial in several jobs, each to a later epoch. An objective that goes on from a
    checkpoint (`checkpoint_dir`) trains no epoch twice:

        path = hposweep.checkpoint_dir() / "model.npz"
        model, start = load(path) if path.exists() else (new_model(), 0)
        for epoch in range(start + 1, hposweep.target_epoch(default=27) + 1):
            train(model)
            hposweep.report(epoch, validate(model))
        save(path, model, epoch)

    Args:
        default: the full budget, for a single run and for `scheduler=fifo`.

    Raises:
        ValueError: outside of a job.
    """
    job = running.running_job()
    said = running.of_job_in(job.folder)
    if said is not None:
        said.knows_target = True
    return default if job.target_epoch is None else job.target_epoch


def checkpoint_dir() -> Path:
    """A folder of the running trial, the same in each of its jobs, for what the objective needs to go on.

    It is there, and is removed when nobody needs it any more: when the trial has ended, the sweep's best one excepted,
    or for a trial that waits at a rung when the sweep is over. Then such a trial, if it ever goes on, finds it empty.

    Raises:
        ValueError: outside of a job.
    """
    folder = running.running_job().folder / file_names.CHECKPOINT_DIR
    folder.mkdir(exist_ok=True)
    return folder


def report_to(folder: Path, epoch: int, value: float, metric: str, **metrics: float) -> None:
    """`report` for the folder and the metric that are given; `seconds` since the last report are added."""
    try:
        epoch = operator.index(epoch)
    except TypeError:
        raise ValueError(f"epoch must be a whole number, got {epoch!r}") from None
    if epoch < 1:
        raise ValueError(f"epoch counts from 1, got {epoch}")
    path = folder / learning_curve.FILE_NAME
    rows = learning_curve.read(path)
    before = [each for each in rows if each["epoch"] < epoch][-1:]
    row = {"epoch": epoch, **{name: float(number) for name, number in metrics.items()}, metric: float(value)}
    if before and set(before[0]) != {*row, "seconds"}:
        names, other = (sorted({*each} - {"epoch", "seconds"}) for each in (row, before[0]))
        raise ValueError(f"epoch {epoch} reports {', '.join(names)}; the one before it {', '.join(other)}")
    if rows and rows[-1]["epoch"] >= epoch:
        learning_curve.cut_back(path, epoch - 1)
    said = running.of_job_in(folder)
    if said is not None and said.first_epoch is None:
        said.first_epoch = epoch
    now = time.monotonic()
    row["seconds"] = now - _reported_at.get(path, now)
    _reported_at[path] = now
    learning_curve.append_row(path, {name: row[name] for name in before[0]} if before else row)


def start_clock(folder: Path) -> None:
    """Lets the seconds of the next report count from now."""
    _reported_at[folder / learning_curve.FILE_NAME] = time.monotonic()
