"""Checkpoints, from which trials go on. A cache: without one a trial starts again and reaches the same bits."""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np


class Checkpoint(NamedTuple):
    """The values of a program's variables, by position, after `epoch` epochs."""

    epoch: int
    state: list[np.ndarray]


def save(path: Path, identity: str, checkpoint: Checkpoint) -> None:
    """Writes the checkpoint atomically.

    Args:
        identity: what the trained values depend on; `load` refuses a checkpoint of another identity.
    """
    arrays: dict[str, Any] = {f"{position:04d}": value for position, value in enumerate(checkpoint.state)}
    arrays["head"] = np.array(json.dumps({"identity": identity, "epoch": checkpoint.epoch}))
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    temporary = path.with_suffix(".tmp")
    with open(temporary, "wb") as file:
        file.write(buffer.getvalue())
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def load(path: Path, identity: str, like: Sequence[np.ndarray]) -> Checkpoint | None:
    """The checkpoint in this file; None where there is none.

    Every array is checked against the CRC-32 that the file holds, and nothing in it is executed.

    Args:
        like: arrays with the shapes and types that the state must have.

    Raises:
        ValueError: if the file is damaged, or of another model, config or version; the message says which.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            head = json.loads(str(file["head"]))
            state = [file[name] for name in sorted(file.files) if name != "head"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"damaged ({error})") from None
    if head["identity"] != identity:
        raise ValueError("of another model, config or version")
    if [(value.shape, value.dtype) for value in state] != [(value.shape, value.dtype) for value in like]:
        raise ValueError("of another model")
    return Checkpoint(int(head["epoch"]), state)
