"""A plain function under hposweep.tune."""

import sys
import time

import hposweep
from hposweep.schedulers.asha import AshaScheduler


def objective(configuration, seed):
    value = configuration["x"] ** 2 + (0.5 if configuration["kind"] == "slow" else 0.0)
    for epoch in range(1, hposweep.target_epoch(default=9) + 1):
        time.sleep(float(sys.argv[3]) if len(sys.argv) > 3 else 0.0)
        hposweep.report(epoch, value / epoch)
    return value / epoch


SPACE = {"x": "uniform(-1, 2)", "kind": "choice(slow, fast)", "n": "int(loguniform(2, 64))"}
if __name__ == "__main__":
    sweep = hposweep.tune(
        objective, SPACE, n_trials=9, folder=sys.argv[1], seed=4, n_workers=1,
        scheduler=AshaScheduler(r_max=9), time_budget_s=float(sys.argv[2]) or None,
    )
    print(sweep)
