"""Early stopping and the reduction of the learning rate, as functions of the learning curve.

What they decide after an epoch follows from the rows up to there, so that a trial that is resumed, or that trains in
several jobs, decides as one that ran through. They decide as Keras's callbacks of these names do.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from hposweep.errors import ConfigError, nearest
from hposweep.training.metrics import name_in
from hposweep.trial import Direction

Rows = Sequence[Mapping[str, float]]


@dataclass(frozen=True, kw_only=True)
class _Rule:
    """A rule that watches a column.

    Attributes:
        monitor: the column.
        direction: which of its values are the better ones.
        patience: epochs without an improvement after which the rule does something.
        min_delta: the least change that is an improvement.
    """

    monitor: str
    direction: Direction
    patience: int
    min_delta: float

    @classmethod
    def of(
        cls, key: str, node: Mapping[str, Any] | None, metric: str, directions: Mapping[str, Direction]
    ) -> Self | None:
        """The rule of a node of the config; None where there is none.

        Args:
            key: of the node.
            metric: the sweep's, which is monitored where the node names no column.
            directions: of the columns.

        Raises:
            ConfigError: naming the key.
        """
        if node is None:
            return None
        allowed = [each.name for each in dataclasses.fields(cls) if each.name != "direction"]
        for name in node:
            if name not in allowed:
                raise ConfigError(f"{key}.{name}: no such option{nearest(name, allowed)}Allowed: {', '.join(allowed)}")
        monitor = str(node.get("monitor") or metric)
        if monitor not in directions:
            columns = ", ".join(directions)
            raise ConfigError(f"{key}.monitor: no column '{monitor}' in the learning curve; there are {columns}")
        given = {name: value for name, value in node.items() if value is not None}
        try:
            return cls(**{**given, "monitor": monitor, "direction": directions[monitor]})
        except ConfigError as error:
            raise ConfigError(f"{key}.{error}") from None

    def _check(self, **least: float) -> None:
        for name, lowest in least.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not value >= lowest:
                raise ConfigError(f"{name}: must be a number of at least {lowest}, got {value}")

    def _loss(self, row: Mapping[str, float]) -> float:
        return self.direction.loss(row[self.monitor])

    def _is_measured(self, row: Mapping[str, float]) -> bool:
        return not math.isnan(row[self.monitor])


@dataclass(frozen=True, kw_only=True)
class EarlyStopping(_Rule):
    """Ends a training that no longer improves.

    Attributes:
        start_from_epoch: epochs that don't count, at the beginning.
    """

    patience: int = 3
    min_delta: float = 0.0
    start_from_epoch: int = 0

    def __post_init__(self) -> None:
        self._check(patience=1, min_delta=0, start_from_epoch=0)

    def stops_after(self, rows: Rows) -> bool:
        """Whether the training ends after the last of these epochs, which are all so far."""
        best: float | None = None
        wait = 0
        for row in rows[self.start_from_epoch :]:
            if not self._is_measured(row):
                continue
            loss = self._loss(row)
            if best is None or loss + self.min_delta < best:
                best, wait = loss, 0
                continue
            wait += 1
            if wait >= self.patience:
                return True
        return False


@dataclass(frozen=True, kw_only=True)
class ReduceOnPlateau(_Rule):
    """Lowers the learning rate where the training no longer improves.

    Attributes:
        factor: what the learning rate is multiplied by.
        cooldown: epochs after a reduction in which none is waited for.
        min_lr: the learning rate is not lowered below it.
    """

    patience: int = 10
    min_delta: float = 1e-4
    factor: float = 0.1
    cooldown: int = 0
    min_lr: float = 0.0

    def __post_init__(self) -> None:
        self._check(patience=1, min_delta=0, cooldown=0, min_lr=0)
        if not isinstance(self.factor, int | float) or not 0 < self.factor < 1:
            raise ConfigError(f"factor: must be above 0 and below 1, got {self.factor}")

    def learning_rate_after(self, rows: Rows, learning_rate: float) -> float:
        """The learning rate of the next epoch.

        Args:
            rows: of all epochs so far.
            learning_rate: of the first epoch.
        """
        best, wait, cooling = math.inf, 0, 0
        for row in rows:
            if not self._is_measured(row):
                continue
            loss = self._loss(row)
            if cooling > 0:
                cooling, wait = cooling - 1, 0
            if loss + self.min_delta < best:
                best, wait = loss, 0
            elif cooling == 0:
                wait += 1
                if wait >= self.patience:
                    learning_rate = max(learning_rate * self.factor, min(self.min_lr, learning_rate))
                    cooling, wait = self.cooldown, 0
        return learning_rate


def check_validation(trainer: Mapping[str, Any], metric: str, *, has_validation: bool) -> None:
    """Checks that nothing needs a validation part that the data lack.

    Raises:
        ConfigError: naming the key.
    """
    if has_validation:
        return
    why = "and the data have no validation examples"
    if metric.startswith("validation_"):
        raise ConfigError(
            f"hydra.sweeper.metric: {metric} is measured on validation examples, {why}: set data.validation above 0, "
            f"or take train_{name_in(metric)}"
        )
    if trainer.get("save") == "best":
        raise ConfigError(f"trainer.save: the best epoch is that of the validation, {why}; set it to last")
    for name in ("early_stopping", "reduce_on_plateau"):
        monitor = str((trainer.get(name) or {}).get("monitor") or metric)
        if monitor.startswith("validation_"):
            raise ConfigError(f"trainer.{name}.monitor: {monitor} is measured on validation examples, {why}")
