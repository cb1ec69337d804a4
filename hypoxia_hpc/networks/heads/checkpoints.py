"""The state of a training on disk: one file, replaced as a whole, so that a kill leaves the earlier or the new one."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hypoxia_hpc.config import canonical_json
from hypoxia_hpc.reading import MOST_ARRAYS_BYTES, parsed_json, read_plain
from hypoxia_hpc.records import Json
from hypoxia_hpc.stores.commit import committed_file, machine_errors

FILE = "checkpoint.safetensors"
CheckpointArrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """``state`` is JSON without NaN, ``arrays`` go as they are."""

    state: Json
    arrays: CheckpointArrays


class Checkpoints:
    """The checkpoint of one model in a folder of its own, ``RUN/checkpoints/<model>/``.

    ``key`` is that of the model: a checkpoint of another key, or a damaged one, counts as missing.
    ``minutes`` is how much work a kill may cost.
    """

    def __init__(self, folder: Path, key: str, minutes: float) -> None:
        self._folder = folder
        self._key = key
        self._seconds = 60 * minutes
        self._saved_at = time.monotonic()

    @property
    def due(self) -> bool:
        """Whether the last checkpoint, or else the beginning, is ``minutes`` ago."""
        return time.monotonic() - self._saved_at >= self._seconds

    def save(self, state: Json, arrays: CheckpointArrays) -> None:
        """Replace the checkpoint, all or nothing. Raises MachineError (disk full, ...); then the earlier one stays."""
        from safetensors.numpy import save

        whole = {name: np.asarray(array, order="C") for name, array in arrays.items()}
        text = canonical_json(state)
        metadata = {"key": self._key, "state": text, "content": _digest(self._key, text, whole)}
        committed_file(self._folder / FILE, save(whole, metadata))
        self._saved_at = time.monotonic()

    def load(self) -> Checkpoint | None:
        """The checkpoint, None where there is none of this key that can be read. Raises MachineError."""
        from safetensors import SafetensorError
        from safetensors.numpy import load

        try:
            with machine_errors(self._folder):
                data = read_plain(self._folder / FILE, MOST_ARRAYS_BYTES)
            arrays = load(data)
            metadata = _metadata(self._folder / FILE, data)
            state = parsed_json(self._folder / FILE, metadata["state"])
        except (FileNotFoundError, NotADirectoryError, SafetensorError, ValueError, KeyError, TypeError):
            return None
        sound = metadata.get("content") == _digest(self._key, metadata["state"], arrays)
        return Checkpoint(state, arrays) if sound else None

    def clear(self) -> None:
        """Delete the checkpoint once the model is saved. Raises MachineError."""
        with machine_errors(self._folder):
            (self._folder / FILE).unlink(missing_ok=True)
            if self._folder.is_dir() and not any(self._folder.iterdir()):
                self._folder.rmdir()


def _metadata(path: Path, data: bytes) -> Mapping[str, Any]:
    """The texts in the header of a safetensors file that was loaded: 8 bytes little-endian length, then JSON.

    ``safetensors.safe_open`` reads them from a path only, which may be another file by now.
    """
    header = parsed_json(path, data[8 : 8 + int.from_bytes(data[:8], "little")])
    metadata: Mapping[str, Any] = header["__metadata__"]
    return metadata


def _digest(key: str, state: str, arrays: CheckpointArrays) -> str:
    digest = hashlib.sha256(canonical_json([key, state]).encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(canonical_json([name, array.dtype.name, list(array.shape)]).encode())
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()
