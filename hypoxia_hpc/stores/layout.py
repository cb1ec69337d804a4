"""What a store looks like on disk: one table of the arrays, and from it the Zarr v3 documents, to write and to check.

::

    <slide_id>.zarr/zarr.json                group; attributes: the caller's, and content
                    pixels/zarr.json         one folder per array; pixels is not there where none are kept
                    pixels/c.0.0.0.0         all of the array in one file: a shard, or a single chunk

The documents are written here, not by zarr-python, because their bytes enter ``content`` and zarr-python spells them
differently from release to release.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hypoxia_hpc.config import canonical_json
from hypoxia_hpc.records import Json
from hypoxia_hpc.stores.codecs import CODECS, NONE, PixelCodec
from hypoxia_hpc.stores.shards import encode_chunk

DOCUMENT = "zarr.json"


@dataclass(frozen=True, slots=True)
class ArrayRule:
    """What is allowed for one array: data types, dimensions (a number, or a name that means the same size wherever it
    occurs in the store), the most rows of an inner chunk, 0 where the array is not sharded but one chunk, and how
    chunks are packed."""

    dtypes: tuple[str, ...]
    dimensions: tuple[int | str, ...]
    most_rows: int = 0
    codec: PixelCodec = NONE

    @property
    def chunk_name(self) -> str:
        return ".".join(["c", *("0" for _ in self.dimensions)])


# 8 tiles of 299 px are 2.1 MB. benchmarks/stores.py, thousand tiles/s read from the page cache in batches of 32, with
# 1 / 4 / 8 / 16 / 32 tiles a chunk and codec "none": 18 / 22 / 22 / 21 / 19 by this package, 3 / 7 / 8 / 9 / 10 by
# zarr-python, 20 / 17 / 19 / 14 / 8 by zarrs. No codec packs larger chunks better, and the last one is padded.
CHUNK_TILES = 8
MOST_CHUNK_BYTES = 4 * 2**20  # fewer tiles where they are larger, since buffers are chunks
_COORDINATES = ArrayRule(("int64",), ("n", 2))
FEATURE_ARRAYS: Mapping[str, ArrayRule] = {
    "features": ArrayRule(("float16", "float32"), ("n", "d"), most_rows=256),
    "xy": _COORDINATES,
}


def tile_arrays(attributes: Json) -> Mapping[str, ArrayRule]:
    """The arrays of a tile store: ``spec`` in its attributes says whether ``pixels`` is one and how it is packed.

    ``spec`` is the [tile] table; without its keys ``pixels`` and ``codec`` they are "store" and "none".
    Raises ValueError where they are not what that table allows.
    """
    spec = attributes.get("spec", {})
    if not isinstance(spec, dict):
        raise ValueError("the attribute spec is no table")
    pixels, codec = spec.get("pixels", "store"), spec.get("codec", "none")
    if pixels not in ("store", "none") or codec not in tuple(CODECS):
        raise ValueError(f"spec has pixels {pixels!r:.80} and codec {codec!r:.80}, which no tile store has")
    others = {"xy": _COORDINATES, "background": ArrayRule(("float32",), ("n",))}
    if pixels == "none":
        return others
    packed = CODECS[codec]
    rows = 1 if packed.tile_by_tile else CHUNK_TILES
    return {"pixels": ArrayRule(("uint8",), ("n", "px", "px", 3), rows, packed), **others}


def document_bytes(rule: ArrayRule, dtype: str, shape: tuple[int, ...]) -> bytes:
    """The Zarr v3 ``zarr.json`` of an array: one chunk of all rows or, where sharded, one shard of all inner chunks."""
    rows = n_chunks_of(rule, dtype, shape) * rows_per_chunk(rule, dtype, shape)
    return _template(rule, dtype, shape[1:]).replace(_N, b"%d" % shape[0]).replace(_ROWS, b"%d" % rows)


# Placeholders for the number of rows, and of rows of a shard: larger than any real number. Encoding a document takes
# 50 µs, and the three of a store are compared whenever it is opened, so the encoded text is kept and filled in.
_N, _ROWS = b"1234567890123456701", b"1234567890123456702"


@lru_cache(maxsize=64)
def _template(rule: ArrayRule, dtype: str, row_shape: tuple[int, ...]) -> bytes:
    return json_bytes(_document(rule, dtype, (int(_N), *row_shape), int(_ROWS)))


def _document(rule: ArrayRule, dtype: str, shape: tuple[int, ...], shard_rows: int) -> Json:
    checksum: Json = {"name": "crc32c"}
    codecs: list[Json] = [*rule.codec.documents, checksum]
    chunk_shape = list(shape)
    if rule.most_rows:
        chunk_shape[0] = shard_rows
        sharding = {
            "chunk_shape": [rows_per_chunk(rule, dtype, shape), *shape[1:]],
            "codecs": codecs,
            "index_codecs": [*NONE.documents, checksum],
            "index_location": "end",
        }
        codecs = [{"name": "sharding_indexed", "configuration": sharding}]
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(shape),
        "data_type": dtype,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunk_shape}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "."}},
        "fill_value": 0,
        "codecs": codecs,
        "attributes": {},
    }


def rows_per_chunk(rule: ArrayRule, dtype: str, shape: tuple[int, ...]) -> int:
    """Rows of an inner chunk: the rule's, fewer where rows are large; all of them where the array is not sharded."""
    if not rule.most_rows:
        return shape[0]
    row_nbytes = math.prod(shape[1:]) * np.dtype(dtype).itemsize
    return max(1, min(rule.most_rows, MOST_CHUNK_BYTES // row_nbytes))


def n_chunks_of(rule: ArrayRule, dtype: str, shape: tuple[int, ...]) -> int:
    """Number of inner chunks of a sharded array of this shape, the last one padded; 1 where it is not sharded."""
    return -(-shape[0] // rows_per_chunk(rule, dtype, shape))


def chunk_nbytes_of(rule: ArrayRule, dtype: str, shape: tuple[int, ...]) -> int:
    """Bytes of the rows of one (inner) chunk, not packed."""
    return rows_per_chunk(rule, dtype, shape) * math.prod(shape[1:]) * np.dtype(dtype).itemsize


def write_array(store: Path, name: str, rule: ArrayRule, values: NDArray[Any]) -> dict[str, str]:
    """Write a small array as a single chunk; returns the SHA-256 (hex) of its files by path. Raises OSError."""
    (store / name).mkdir()
    chunk = b"".join(encode_chunk(values))
    (store / name / rule.chunk_name).write_bytes(chunk)
    hashes = write_array_document(store, name, rule, values.dtype.name, values.shape)
    return {**hashes, f"{name}/{rule.chunk_name}": hashlib.sha256(chunk).hexdigest()}


def write_array_document(store: Path, name: str, rule: ArrayRule, dtype: str, shape: tuple[int, ...]) -> dict[str, str]:
    """Write an array's ``zarr.json``; returns its SHA-256 (hex) by path. Raises OSError."""
    document = document_bytes(rule, dtype, shape)
    (store / name / DOCUMENT).write_bytes(document)
    return {f"{name}/{DOCUMENT}": hashlib.sha256(document).hexdigest()}


def write_group_document(store: Path, attributes: Json, hashes: Mapping[str, str]) -> None:
    """Write the group's ``zarr.json``: the attributes, and ``content`` made from the hashes. Raises OSError."""
    whole = {**attributes, "content": content_digest(hashes)}
    document = {"zarr_format": 3, "node_type": "group", "attributes": whole}
    (store / DOCUMENT).write_bytes(json_bytes(document))


def content_digest(hashes: Mapping[str, str]) -> str:
    """SHA-256 (hex) of the lines ``<SHA-256 of the file, hex>  <path in the store>``, sorted by path.

    In a shell, within the store: ``find * -mindepth 1 -type f | LC_ALL=C sort | xargs sha256sum | sha256sum``.
    """
    lines = [f"{hashes[path]}  {path}\n" for path in sorted(hashes)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def store_nbytes(store: Path) -> int:
    """Bytes of all files of a store. Raises OSError."""
    return sum(path.stat().st_size for path in store.rglob("*") if path.is_file())


def check_attributes(attributes: Json) -> None:
    """Raises ValueError unless the attributes have a ``key``, leave ``content`` free, and are JSON without NaN."""
    if not isinstance(attributes.get("key"), str) or "content" in attributes:
        raise ValueError(f"attributes need a text 'key' and must leave 'content' free, got {sorted(attributes)}")
    canonical_json(attributes)


def json_bytes(document: Json) -> bytes:
    """The text of a ``zarr.json``: equal documents give equal bytes. Raises ValueError for NaN."""
    return json.dumps(document, sort_keys=True, indent=2, allow_nan=False).encode() + b"\n"
