"""The columns of our trainer's learning curve, any of which can be a trial's value. Light: the controller asks, too."""

from __future__ import annotations

VALIDATION_ERROR = "validation_error"
COLUMNS = (VALIDATION_ERROR, "validation_loss", "train_error", "train_loss")  # of each, less is better


def column_of(metric: str) -> str:
    """The column that the metric names; the validation error where a caller has a name of its own for the value."""
    return metric if metric in COLUMNS else VALIDATION_ERROR
