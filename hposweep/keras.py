"""What makes a script with `model.fit` an objective. It imports Keras, which `import hposweep` does not."""

from hposweep.optional_packages import needed_by

with needed_by("hposweep.keras", "keras"):
    from hposweep.training.sweep_callback import SweepCallback

__all__ = ["SweepCallback"]
