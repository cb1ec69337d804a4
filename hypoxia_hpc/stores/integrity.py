"""Is a store what was written? Checks that need no Zarr, made before Zarr decodes anything.

A check builds the document of each array again: apart from the sizes, it has to equal byte for byte the one that
:mod:`layout` writes. So no codec, data type or name from a store is ever trusted, and file sizes and the shard's index
follow from the document.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hypoxia_hpc.config import canonical_json
from hypoxia_hpc.errors import SlideError
from hypoxia_hpc.reading import MOST_SHARD_BYTES, parsed_json, read_plain, sha256_of
from hypoxia_hpc.records import Json
from hypoxia_hpc.stores.commit import machine_errors
from hypoxia_hpc.stores.layout import (
    DOCUMENT,
    FEATURE_ARRAYS,
    ArrayRule,
    chunk_nbytes_of,
    content_digest,
    document_bytes,
    n_chunks_of,
    tile_arrays,
)
from hypoxia_hpc.stores.shards import CRC_BYTES, ShardReader, crc32c_of

MOST_GROUP_BYTES = 16 * 2**20
MOST_ARRAY_BYTES = 64 * 2**10
MOST_ROWS = 2**28
MOST_SHARD_CHUNK_BYTES = 64 * 2**20  # a tile of 4096 px, the largest there are, has 50 MB
Layout = tuple[str, tuple[int, ...]]  # data type and shape of an array
# Raised for a damaged document, checksum or folder; any other OSError is a fault of the machine.
_DAMAGE = (ValueError, RecursionError, FileNotFoundError, NotADirectoryError)


def check_store(store: Path) -> list[str]:
    """What is wrong with a tile or feature store, its whole content read and compared; an empty list if it is sound.
    Raises MachineError where it cannot be read here: what may be sound is not to be deleted."""
    with machine_errors(store):
        try:
            attributes = read_attributes(store)
            kinds = (tile_arrays(attributes), FEATURE_ARRAYS)
            problems = min((store_problems(store, rules) for rules in kinds), key=len)
            if problems:
                return problems
            written, found = attributes["content"], content_of(store)
        except _DAMAGE as error:
            return [str(error)]
    return [] if found == written else [f"content is {found}, written was {written}"]


@contextmanager
def reading_store(store: Path) -> Iterator[None]:
    """Turn what Zarr and the checks raise for a damaged store into SlideError (damaged-store), the rest of the OSErrors
    into MachineError."""
    with machine_errors(store):
        try:
            yield
        except _DAMAGE as error:
            raise damaged(store, [str(error)]) from error


def sound_attributes(store: Path, rules: Mapping[str, ArrayRule]) -> Json:
    """The attributes of a store in which nothing is wrong as far as :func:`store_problems` looks. Raises SlideError."""
    return sound_store(store, rules)[0]


def sound_store(store: Path, rules: Mapping[str, ArrayRule]) -> tuple[Json, dict[str, Layout]]:
    """Those attributes, and the layout of every array. Raises SlideError."""
    problems, attributes, layouts = _examined(store, rules)
    if problems:
        raise damaged(store, problems)
    return attributes, layouts


def store_attributes(store: Path) -> Json | None:
    """The group attributes of a store, among them a text ``key``; None where the store or the key is missing."""
    try:
        attributes = read_attributes(store)
    except _DAMAGE:
        return None
    return attributes if isinstance(attributes.get("key"), str) else None


def store_key(store: Path) -> str | None:
    """The ``key`` of a store, from its group document alone; None as for :func:`store_attributes`."""
    attributes = store_attributes(store)
    return None if attributes is None else str(attributes["key"])


def read_attributes(store: Path) -> Json:
    """The group attributes of a store. Raises ValueError where they are not what a store has, OSError."""
    if store.is_symlink():
        raise ValueError(f"{store.name} is a symbolic link")
    document = parsed_json(store / DOCUMENT, read_plain(store / DOCUMENT, MOST_GROUP_BYTES, follow=False))
    if not isinstance(document, dict) or not isinstance(document.get("attributes"), dict):
        raise ValueError(f"{DOCUMENT} is no Zarr group with attributes")
    attributes: Json = document.pop("attributes")
    if canonical_json(document) != canonical_json({"zarr_format": 3, "node_type": "group"}):
        raise ValueError(f"{DOCUMENT} is no plain Zarr v3 group")
    return attributes


def store_problems(store: Path, rules: Mapping[str, ArrayRule]) -> list[str]:
    """Everything wrong with a store short of reading its values: entries, documents, sizes of files, shard indices.

    Raises OSErrors that are faults of the machine.
    """
    return _examined(store, rules)[0]


def _examined(store: Path, rules: Mapping[str, ArrayRule]) -> tuple[list[str], Json, dict[str, Layout]]:
    """What is wrong, the attributes, and the layouts of the arrays as far as that was found out."""
    try:
        attributes = read_attributes(store)
        problems = _entry_problems(store, {DOCUMENT: stat.S_ISREG, **dict.fromkeys(rules, stat.S_ISDIR)})
    except _DAMAGE as error:
        return [str(error)], {}, {}
    missing = [name for name in ("key", "content") if not isinstance(attributes.get(name), str)]
    problems += [f"{DOCUMENT}: the attribute {name} is missing" for name in missing]
    if problems:
        return problems, attributes, {}
    problems, layouts = _arrays_problems(store, rules)
    return problems, attributes, layouts


def check_array(folder: Path, rule: ArrayRule) -> Layout:
    """The layout of an array after a check of its entries, document, file size and shard index.

    Raises ValueError where one is wrong, OSError.
    """
    problems = _entry_problems(folder, {DOCUMENT: stat.S_ISREG, rule.chunk_name: stat.S_ISREG})
    if problems:
        raise ValueError("; ".join(problems))
    dtype, shape = _read_layout(folder / DOCUMENT, rule)
    _check_chunk_file(folder, rule, dtype, shape)
    return dtype, shape


def read_array(folder: Path, rule: ArrayRule, layout: Layout) -> NDArray[Any]:
    """An array that is one chunk, its checksum compared. Raises ValueError where that is another, OSError."""
    dtype, shape = layout
    data = read_plain(folder / rule.chunk_name, MOST_SHARD_BYTES, follow=False)
    values, crc = data[:-CRC_BYTES], data[-CRC_BYTES:]
    if len(values) != chunk_nbytes_of(rule, dtype, shape) or crc32c_of(values) != crc:
        raise ValueError(f"{folder.name}: the checksum of its chunk is wrong")
    return np.frombuffer(values, np.dtype(dtype).newbyteorder("<")).astype(dtype).reshape(shape)


def open_shard(folder: Path, rule: ArrayRule, dtype: str, shape: tuple[int, ...]) -> ShardReader:
    """The shard of an array whose document was checked. Raises ValueError where its index is wrong, OSError."""
    sizes = rule.codec.sizes(chunk_nbytes_of(rule, dtype, shape))
    return ShardReader(folder / rule.chunk_name, n_chunks_of(rule, dtype, shape), sizes)


def damaged(store: Path, problems: list[str]) -> SlideError:
    """The error that quarantines a slide for a store that is not what was written."""
    return SlideError(
        "damaged-store",
        f"{store}: {'; '.join(problems)}",
        remedy="delete this folder and run the stage that makes it again",
    )


def _arrays_problems(store: Path, rules: Mapping[str, ArrayRule]) -> tuple[list[str], dict[str, Layout]]:
    problems: list[str] = []
    sizes: dict[str, int] = {}
    layouts: dict[str, Layout] = {}
    for name, rule in rules.items():
        try:
            layouts[name] = check_array(store / name, rule)
        except _DAMAGE as error:
            problems.append(f"{name}: {error}")
            continue
        shape = layouts[name][1]
        expected_shape = [
            size if isinstance(size, int) else sizes.setdefault(size, found)
            for size, found in zip(rule.dimensions, shape, strict=True)
        ]
        if list(shape) != expected_shape:
            problems.append(f"{name}: shape {list(shape)} should be {expected_shape}")
    return problems, layouts


def _entry_problems(folder: Path, expected: Mapping[str, Any]) -> list[str]:
    with os.scandir(folder) as entries:
        kinds = {entry.name: entry.stat(follow_symlinks=False).st_mode for entry in entries}
    problems = [f"{name} is missing" for name in expected if name not in kinds]
    problems += [f"{name!r} does not belong here" for name in sorted(kinds) if name not in expected]
    wrong = [name for name in expected if name in kinds and not expected[name](kinds[name])]
    return problems + [f"{name} is a symbolic link or of another kind" for name in wrong]


def _read_layout(path: Path, rule: ArrayRule) -> Layout:
    raw = read_plain(path, MOST_ARRAY_BYTES, follow=False)
    document = parsed_json(path, raw)
    if not isinstance(document, dict):
        raise ValueError(f"{DOCUMENT} is no Zarr array")
    dtype, shape = document.get("data_type"), document.get("shape")
    if not isinstance(dtype, str) or dtype not in rule.dtypes:
        raise ValueError(f"data type {dtype!r:.80} is not one of {', '.join(rule.dtypes)}")
    if not isinstance(shape, list) or len(shape) != len(rule.dimensions):
        raise ValueError(f"shape {shape!r:.80} has not {len(rule.dimensions)} dimensions")
    if not all(type(size) is int and 0 < size < MOST_ROWS for size in shape):
        raise ValueError(f"shape {shape!r:.80} is not made of whole numbers from 1 to {MOST_ROWS - 1}")
    if rule.most_rows and chunk_nbytes_of(rule, dtype, tuple(shape)) > MOST_SHARD_CHUNK_BYTES:
        raise ValueError(f"shape {shape!r:.80} makes chunks of more than {MOST_SHARD_CHUNK_BYTES} bytes")
    if raw != document_bytes(rule, dtype, tuple(shape)):
        raise ValueError("codecs, chunks or other settings are not the ones that this version writes")
    return dtype, tuple(shape)


def _check_chunk_file(folder: Path, rule: ArrayRule, dtype: str, shape: tuple[int, ...]) -> None:
    if rule.most_rows:
        open_shard(folder, rule, dtype, shape)
        return
    expected = chunk_nbytes_of(rule, dtype, shape) + CRC_BYTES
    found = (folder / rule.chunk_name).lstat().st_size
    if found != expected:
        raise ValueError(f"{rule.chunk_name} has {found} bytes, its shape needs {expected}")


def content_of(store: Path) -> str:
    """SHA-256 (hex) over every array file of a store, as :func:`content_digest` defines it.

    Raises ValueError where something is neither a plain file nor a folder, OSError.
    """
    paths = [path for path in store.rglob("*") if not stat.S_ISDIR(path.lstat().st_mode)]
    return content_digest(
        {
            path.relative_to(store).as_posix(): sha256_of(path, MOST_SHARD_BYTES, follow=False)
            for path in paths
            if path != store / DOCUMENT
        }
    )
