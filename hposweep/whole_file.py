"""Text files that are written whole or not at all."""

from __future__ import annotations

from pathlib import Path


def write(path: Path, text: str, errors: str = "strict") -> None:
    """Writes the file, in the place of the one that is there; `errors` as `str.encode` has them."""
    temporary = path.with_name(f"{path.name}.tmp")
    temporary.write_text(text, encoding="utf-8", errors=errors)
    temporary.replace(path)
