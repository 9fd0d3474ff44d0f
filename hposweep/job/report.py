"""What an objective calls in its job: its learning curve, how far to train, its checkpoint, whether it ends soon.

Files and what the job knows of itself are all that it takes; no connection to the controller is needed.
"""

from __future__ import annotations

from pathlib import Path

from hposweep.job.running import current_job


def report(epoch: int, value: float, **metrics: float) -> None:
    """Writes an epoch of the trial that this job runs into `hposweep/learning_curve.csv` in its folder.

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
    current_job().report(epoch, value, **metrics)


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
    return current_job().target_epoch(default)


def checkpoint_dir() -> Path:
    """A folder of the running trial, the same in each of its jobs, for what the objective needs to go on.

    It is removed when the trial has ended, except that of the sweep's best trial; and for a trial that waits at a rung,
    when the sweep is over. If such a trial is continued later, it finds the folder empty.

    Raises:
        ValueError: outside of a job.
    """
    return current_job().checkpoint_dir()


def ends_soon() -> bool:
    """Whether this job was told that it is going to be ended: by a time limit or a preemption of its engine, say.

    An objective that has got True is ended at its next `report`, and the trial goes on in another job; so it saves
    before it reports. At its last epoch, as `target_epoch` has told it, it returns by itself. One that never asks is
    left alone until it is killed, and then goes on from the checkpoint that it has left.

        for epoch in range(start + 1, hposweep.target_epoch(default=27) + 1):
            train(model)
            if hposweep.ends_soon():
                save(path, model, epoch)
            hposweep.report(epoch, validate(model))

    Our own trainer and `hposweep.keras.SweepCallback` ask after each epoch. It costs a look at a file.

    Raises:
        ValueError: outside of a job.
    """
    return current_job().ends_soon()
