from pathlib import Path
from typing import Any


class ModelCheckpoint:
    """Keeps the model of the best epoch."""

    def __init__(self, dirpath: str, monitor: str, mode: str) -> None:
        self.folder, self.monitor, self.sign = Path(dirpath), monitor, 1 if mode == "max" else -1
        self.best = -float("inf")

    def on_epoch_end(self, metrics: dict[str, float], model: Any) -> None:
        value = self.sign * metrics[self.monitor]
        if value > self.best:
            self.best = value
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / "best.ckpt").write_text(f"{model.net.slope}\n")


class Trainer:
    """Trains, and lets its callbacks know."""

    def __init__(self, default_root_dir: str, min_epochs: int, max_epochs: int, callbacks: list[Any]) -> None:
        self.default_root_dir, self.max_epochs, self.callbacks = Path(default_root_dir), max_epochs, callbacks
        self.callback_metrics: dict[str, float] = {}

    def fit(self, model: Any, datamodule: Any) -> None:
        for _ in range(self.max_epochs):
            for batch in datamodule.train_batches():
                model.training_step(batch)
            self.callback_metrics = model.validation_metrics(datamodule.validation)
            for callback in self.callbacks:
                callback.on_epoch_end(self.callback_metrics, model)
