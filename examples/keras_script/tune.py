"""The same in plain Python: `hposweep.tune` instead of a Hydra app.     python tune.py"""

from main import train
from scipy import stats

import hposweep
from hposweep.schedulers.asha import AshaScheduler


def objective(configuration: dict) -> float:
    """The share of digits that the configuration gets right."""
    return train(**configuration, dropout=0.2, epochs=9)


if __name__ == "__main__":
    sweep = hposweep.tune(
        objective,
        {"learning_rate": stats.loguniform(1e-4, 1e-1), "units": "int(loguniform(16, 128))"},
        n_trials=12,
        scheduler=AshaScheduler(r_max=9),
        metric="val_accuracy",
        direction="maximize",
        folder="outputs/tuned",
    )
    print(sweep.best.configuration, sweep.best.value)
