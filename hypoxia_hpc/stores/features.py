"""Feature stores, ``RUN/features/<name>/<slide_id>.zarr``: a vector per tile and its coordinates, one store a slide."""

from __future__ import annotations

from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hypoxia_hpc.records import Features, Int64Array, Json
from hypoxia_hpc.stores.commit import committing_directory
from hypoxia_hpc.stores.integrity import open_shard, reading_store, sound_attributes, sound_store, store_key
from hypoxia_hpc.stores.layout import (
    FEATURE_ARRAYS,
    check_attributes,
    rows_per_chunk,
    store_nbytes,
    write_array,
    write_array_document,
    write_group_document,
)
from hypoxia_hpc.stores.shards import ShardWriter, encode_chunk

RULE = FEATURE_ARRAYS["features"]


def write_features(target: Path, values: NDArray[Any], xy: Int64Array, attributes: Json) -> int:
    """Write and commit the features of one slide; returns the size of the store in bytes.

    values: float16 or float32 (n, d), n and d above 0. xy: int64 (n, 2), top left of each tile in level 0 pixels.
    attributes: JSON for the group, ``key`` among it; ``content`` is added. A store of the same key that is there
    already stays, one of another key is replaced. Raises ValueError for another type or shape, MachineError.
    """
    if values.dtype.name not in RULE.dtypes or values.ndim != 2 or 0 in values.shape:
        raise ValueError(f"values must be {' or '.join(RULE.dtypes)} (n, d), got {values.dtype} {values.shape}")
    if xy.dtype != np.int64 or xy.shape != (len(values), 2):
        raise ValueError(f"xy must be int64 ({len(values)}, 2), got {xy.dtype} {xy.shape}")
    check_attributes(attributes)
    with committing_directory(target, lambda there: store_key(there) == attributes["key"], sealed=False) as folder:
        hashes = {
            f"features/{RULE.chunk_name}": _write_shard(folder / "features", values),
            **write_array_document(folder, "features", RULE, values.dtype.name, values.shape),
            **write_array(folder, "xy", FEATURE_ARRAYS["xy"], xy),
        }
        write_group_document(folder, attributes, hashes)
        return store_nbytes(folder)


def open_features(path: Path) -> Features:
    """Read a whole feature store, and compare its checksums. Raises SlideError (damaged-store), MachineError."""
    import zarr

    with reading_store(path):
        attributes = sound_attributes(path, FEATURE_ARRAYS)
        values = zarr.open_array(path / "features", mode="r")[:]
        xy = zarr.open_array(path / "xy", mode="r")[:]
        return Features(path.name.removesuffix(".zarr"), np.asarray(values), np.asarray(xy), attributes)


class FeatureRows:
    """The rows of a feature store, read on demand: ``n`` vectors of ``feature_length`` values, float16 or
    float32. Opening checks all but the values: entries, documents, sizes of files, the shard's index.

    Raises SlideError (damaged-store), MachineError, on opening and on reading.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with reading_store(path):
            self.attributes, layouts = sound_store(path, FEATURE_ARRAYS)
            name, shape = layouts["features"]
            self.n, self.feature_length = shape
            self.dtype: np.dtype[Any] = np.dtype(name)
            self._chunk_rows = rows_per_chunk(RULE, self.dtype.name, shape)
            self._shard = open_shard(path / "features", RULE, self.dtype.name, shape)

    def read_into(self, start: int, stop: int, out: NDArray[Any]) -> None:
        """Read rows ``start`` to ``stop`` into ``out`` (stop - start, feature_length), of this dtype and in one piece.

        Whole chunks go straight into it; the checksum of every chunk that is touched is compared.
        """
        if not 0 <= start <= stop <= self.n or out.shape != (stop - start, self.feature_length):
            raise ValueError(f"rows {start} to {stop} of {self.n} do not fit in {out.shape}")
        if out.dtype != self.dtype or not out.flags.c_contiguous:
            raise ValueError(f"out has to be {self.dtype} in one piece")
        with reading_store(self.path), self._shard.opened() as file:
            for first in range(start - start % self._chunk_rows, stop, self._chunk_rows):
                self._read_chunk(file, first, start, stop, out)

    def _read_chunk(self, file: BufferedReader, first: int, start: int, stop: int, out: NDArray[Any]) -> None:
        last = first + self._chunk_rows
        is_whole = start <= first and last <= stop
        chunk = out[first - start : last - start] if is_whole else self._empty_chunk()
        self._shard.read_chunk(file, first // self._chunk_rows, chunk.reshape(-1).view(np.uint8))
        if not is_whole:
            begin, end = max(start, first), min(stop, last)
            out[begin - start : end - start] = chunk[begin - first : end - first]

    def _empty_chunk(self) -> NDArray[Any]:
        return np.empty((self._chunk_rows, self.feature_length), dtype=self.dtype)


def _write_shard(folder: Path, values: NDArray[Any]) -> str:
    """Write the shard file, the last chunk padded with zeros; returns its SHA-256 (hex). Raises OSError."""
    folder.mkdir()
    shard = ShardWriter(folder / RULE.chunk_name)
    chunk_rows = rows_per_chunk(RULE, values.dtype.name, values.shape)
    try:
        for start in range(0, len(values), chunk_rows):
            chunk = np.zeros((chunk_rows, values.shape[1]), dtype=values.dtype)
            rows = values[start : start + chunk_rows]
            chunk[: len(rows)] = rows
            shard.extend([encode_chunk(chunk)])
        return shard.finish()
    finally:
        shard.close()
