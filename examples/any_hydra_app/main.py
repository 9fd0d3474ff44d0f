"""Any Hydra app whose main function returns a number can be tuned: here gradient descent on a small valley.

    python main.py --multirun hydra/sweeper=hposweep hydra/launcher=hposweep \
        'learning_rate=tag(log,interval(1e-4,1))' 'n_steps=int(interval(5,50))' hydra.sweeper.n_trials=20
"""

import hydra
from omegaconf import DictConfig


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(cfg: DictConfig) -> float:
    """Returns the height that it reaches."""
    x, y = 3.0, 2.0
    for _ in range(cfg.n_steps):
        x, y = x - cfg.learning_rate * x, y - cfg.learning_rate * 4 * y
    return 0.5 * x**2 + 2 * y**2


if __name__ == "__main__":
    main()
