"""Checkpoints, from which trials go on. A cache: without one a trial starts again and reaches the same bits."""

from __future__ import annotations

import io
import json
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from hposweep.sweep_folder.files import write_atomically

# Begins the comment of the zip file, which ends the file: the CRC-32 of all that stands before follows. NumPy's own
# checks take some damage for another file, and fail at some in ways of their own.
COMMENT = b"hposweep crc32 "
N_COMMENT = len(COMMENT) + 8
END_OF_ZIP = b"PK\x05\x06"
ARRAY = "hposweep array"  # the one key of what stands for an array in the file's head


class Checkpoint(NamedTuple):
    """The values of a program's variables, by position, after `epoch` epochs."""

    epoch: int
    state: list[np.ndarray]
    curve: int | None = None  # checksum of the learning curve by then; None in those of earlier versions
    # What else the training goes on from: plain values and arrays, in lists and in dicts by text.
    extra: Mapping[str, Any] = MappingProxyType({})


def save(path: Path, identity: str, checkpoint: Checkpoint) -> None:
    """Writes the checkpoint atomically.

    Args:
        identity: what the trained values depend on; `load` refuses a checkpoint of another identity.

    Raises:
        WriteError: if it can't be written.
    """
    arrays: dict[str, Any] = {f"{position:04d}": value for position, value in enumerate(checkpoint.state)}
    head: dict[str, Any] = {"identity": identity, "epoch": checkpoint.epoch, "curve": checkpoint.curve}
    if checkpoint.extra:
        head["extra"] = _with_numbers(dict(checkpoint.extra), arrays)
    arrays["head"] = np.array(json.dumps(head))
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    write_atomically(path, _with_checksum(buffer.getvalue()))


def load(path: Path, identity: str, like: Sequence[np.ndarray]) -> Checkpoint | None:
    """The checkpoint in this file; None where there is none.

    The file is checked against the checksum that it ends with, and nothing in it is executed.

    Args:
        like: arrays with the shapes and types that the state must have.

    Raises:
        ValueError: if the file is damaged, or of another model, config or version; the message says which.
    """
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ValueError(f"no file that can be read ({error.strerror})") from None
    _check(content)
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            head = json.loads(str(file["head"]))
            state = [file[name] for name in sorted(filter(str.isdecimal, file.files), key=int)]
            extra = _with_arrays(head.get("extra", {}), file)
            found = Checkpoint(head["epoch"], state, head.get("curve"), extra)
            its_identity = head["identity"]
    except Exception as error:  # whatever zipfile and NumPy make of a file without a checksum
        raise ValueError(f"damaged ({type(error).__name__}: {error})") from None
    if its_identity != identity:
        raise ValueError("of another model, config or version")
    if [(value.shape, value.dtype) for value in found.state] != [(value.shape, value.dtype) for value in like]:
        raise ValueError("of another model")
    return found


def _with_numbers(value: Any, arrays: dict[str, Any]) -> Any:
    """The value with a name in the place of each array, which is added to the arrays."""
    if isinstance(value, np.ndarray):
        name = f"extra{len(arrays)}"
        arrays[name] = value
        return {ARRAY: name}
    if isinstance(value, Mapping):
        return {key: _with_numbers(each, arrays) for key, each in value.items()}
    return [_with_numbers(each, arrays) for each in value] if isinstance(value, list | tuple) else value


def _with_arrays(value: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    if isinstance(value, dict):
        if value.keys() == {ARRAY}:
            return arrays[value[ARRAY]]
        return {key: _with_arrays(each, arrays) for key, each in value.items()}
    return [_with_arrays(each, arrays) for each in value] if isinstance(value, list) else value


def _with_checksum(content: bytes) -> bytes:
    """The zip file with a comment that holds its checksum; a zip file ends with its comment and the length of that."""
    checked = content[:-2] + N_COMMENT.to_bytes(2, "little")
    return checked + COMMENT + b"%08x" % zlib.crc32(checked)


def _check(content: bytes) -> None:
    """Raises a ValueError if the file has another checksum than it says; those of earlier versions say none."""
    checked, comment = content[:-N_COMMENT], content[-N_COMMENT:]
    has_no_comment = content[-22:-18] == END_OF_ZIP and content[-2:] == b"\0\0"
    if not has_no_comment and comment != COMMENT + b"%08x" % zlib.crc32(checked):
        raise ValueError("damaged (its checksum is wrong)")
