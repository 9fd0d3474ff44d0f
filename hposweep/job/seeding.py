"""The global states of random number generators, which an objective may use without a thought."""

from __future__ import annotations

import random
import sys

import numpy as np


def seed_global_states(seed: int) -> None:
    """Seeds Python's and NumPy's global generators and, where they are imported, TensorFlow's and PyTorch's.

    A warm worker, and one that was forked from another process, would go on with the numbers of somebody else.
    """
    random.seed(seed)
    np.random.seed(seed % 2**32)
    if "tensorflow" in sys.modules:
        sys.modules["tensorflow"].random.set_seed(seed)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(seed)
