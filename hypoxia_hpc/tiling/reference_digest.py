"""The digest of the reference of [tile.stain]: what keys need, without the libraries that read it."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from hypoxia_hpc.errors import InputError
from hypoxia_hpc.reading import sha256_of

MOST_BYTES = 2**30  # of an image that is read whole


def reference_digest(path: Path) -> str:
    """SHA-256 (hex) of the file's bytes; empty where it cannot be read, which `tile` refuses."""
    try:
        status = path.stat()
    except OSError:
        return ""
    return _digest(path, status.st_size, status.st_mtime_ns)


@cache
def _digest(path: Path, size: int, mtime_ns: int) -> str:
    """Once for each state of the file: every slide asks for it."""
    try:
        return sha256_of(path, MOST_BYTES)
    except (InputError, OSError):
        return ""
