"""An objective that ASHA can schedule: it asks for its target epoch, reports each epoch, and keeps a checkpoint.

    python main.py --multirun hydra/sweeper=hposweep hydra/launcher=hposweep hydra/sweeper/scheduler=asha \
        hydra.sweeper.scheduler.r_max=27 'learning_rate=tag(log,interval(1e-4,1))' 'momentum=interval(0,1)' \
        hydra.sweeper.n_trials=60

It works without the lines that load and save, too, but then a promoted trial trains again from epoch 1.
"""

import json

import hydra
from omegaconf import DictConfig

import hposweep


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(cfg: DictConfig) -> float:
    """Gradient descent with momentum down a narrow valley; returns the height that it reaches."""
    checkpoint = hposweep.checkpoint_dir() / "state.json"
    state = json.loads(checkpoint.read_text()) if checkpoint.exists() else {"epoch": 0, "x": 3.0, "speed": 0.0}
    for epoch in range(state["epoch"] + 1, hposweep.target_epoch(default=cfg.epochs) + 1):
        state["speed"] = cfg.momentum * state["speed"] - cfg.learning_rate * state["x"]
        state["x"] += state["speed"]
        state["epoch"] = epoch
        hposweep.report(epoch, 0.5 * state["x"] ** 2)
    # All at once: a file that was half-written when the power went would be worse than none.
    checkpoint.with_suffix(".tmp").write_text(json.dumps(state))
    checkpoint.with_suffix(".tmp").replace(checkpoint)
    return 0.5 * state["x"] ** 2


if __name__ == "__main__":
    main()
