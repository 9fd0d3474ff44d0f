"""An app of three files: its objective takes long enough to be killed, reports its epochs and goes on from a checkpoint."""

import json
import time

import hydra
from omegaconf import DictConfig

import hposweep


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(cfg: DictConfig) -> float:
    if cfg.fails:
        raise RuntimeError(f"x is {cfg.x:.3f}")
    path = hposweep.checkpoint_dir() / "state.json"
    state = json.loads(path.read_text()) if path.exists() else {"epoch": 0, "value": (cfg.x - 2) ** 2 + 1}
    for epoch in range(state["epoch"] + 1, hposweep.target_epoch(default=cfg.epochs) + 1):
        time.sleep(cfg.seconds)
        state = {"epoch": epoch, "value": state["value"] * cfg.shrink.factor}
        path.write_text(json.dumps(state))
        hposweep.report(epoch, state["value"], x_squared=cfg.x**2)
    return state["value"]


if __name__ == "__main__":
    main()
