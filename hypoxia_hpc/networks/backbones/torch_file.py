"""Tensors of a file that torch.save wrote before its zip files (PyTorch 1.5 and earlier), without PyTorch.

Such a file is a row of pickles (a magic number, a protocol version, facts of the machine, names and places of the
tensors, keys of the storages) and then the storages: a count, 8 bytes, and the values of each, in the order of the
keys. The format is that of ``_legacy_save`` in torch/serialization.py.

A pickle can run code. This reader knows five names, and all of them only describe tensors; any other one ends it.
"""

from __future__ import annotations

import math
import pickle
import struct
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from hypoxia_hpc.errors import InputError
from hypoxia_hpc.reading import open_plain
from hypoxia_hpc.records import AnyArray

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001
DTYPES: Mapping[str, np.dtype[Any]] = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}
MOST_BYTES = 2**32
# What a damaged pickle ends in, whichever byte it is.
UNREADABLE = (pickle.UnpicklingError, EOFError, ValueError, TypeError, AttributeError, IndexError, struct.error)
MOST_AXES = 8


class _Storage(NamedTuple):
    key: str
    kind: str
    size: int


class _Tensor(NamedTuple):
    """A view of a storage: its first value, and along each axis the size and the step, both in values."""

    storage: _Storage
    first: int
    shape: tuple[int, ...]
    steps: tuple[int, ...]


class _UnfitError(ValueError):
    """What is wrong with the file, in words for the user."""


def read_torch_file(path: Path) -> dict[str, AnyArray]:
    """The tensors by name, float32 or int64. Raises InputError: the file is none of this layout, or holds more than
    tensors."""
    try:
        with open_plain(path, MOST_BYTES) as file:
            return _tensors(file, path.stat().st_size)
    except UNREADABLE as error:
        raise InputError(
            f"{path} is no sound file of tensors as PyTorch 1.5 and earlier write it: {error}",
            remedy="install the package it came with again",
        ) from None


def _tensors(file: IO[bytes], nbytes: int) -> dict[str, AnyArray]:
    read = _reader(file)
    if read() != MAGIC or read() != PROTOCOL:
        raise _UnfitError("its first numbers are others")
    facts, described, keys = read(), read(), read()
    if not (isinstance(facts, dict) and facts.get("little_endian") is True):
        raise _UnfitError("its numbers are not little-endian")
    if not (isinstance(described, dict) and all(isinstance(one, _Tensor) for one in described.values())):
        raise _UnfitError("it holds more than tensors by name")
    storages = {one.storage.key: one.storage for one in described.values()}
    if not (isinstance(keys, list) and set(keys) == set(storages)):
        raise _UnfitError("its storages are not those of its tensors")
    values = {key: _values(file, storages[key], nbytes) for key in keys}
    return {str(name): _view(one, values) for name, one in described.items()}


def _reader(file: IO[bytes]) -> Callable[[], Any]:
    """Reads the next pickle."""
    return lambda: _Describing(file).load()


class _Describing(pickle.Unpickler):
    """Knows what describes a tensor, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if module == "torch" and name in DTYPES:
            return name
        raise _UnfitError(f"it names {module}.{name}, which is no part of a tensor")

    def persistent_load(self, pid: Any) -> _Storage:
        kind, storage, key, _, count, view = pid
        if kind != "storage" or storage not in DTYPES or type(count) is not int or count < 0 or view is not None:
            raise _UnfitError("a storage is described in a way that is not known")
        return _Storage(str(key), storage, count)


def _tensor(storage: Any, first: Any, shape: Any, steps: Any, *_: Any) -> _Tensor:
    """In place of ``torch._utils._rebuild_tensor_v2``. Every value of the tensor lies within its storage."""
    whole = all(type(one) is int and one >= 0 for one in (first, *shape, *steps))
    if not (isinstance(storage, _Storage) and whole and len(shape) == len(steps) <= MOST_AXES):
        raise _UnfitError("a tensor is described in a way that is not known")
    last = first + sum((size - 1) * step for size, step in zip(shape, steps, strict=True))
    if math.prod(shape) > storage.size or (math.prod(shape) and last >= storage.size):
        raise _UnfitError(f"a tensor of shape {shape} lies beyond its storage of {storage.size} values")
    return _Tensor(storage, first, tuple(shape), tuple(steps))


def _values(file: IO[bytes], storage: _Storage, nbytes: int) -> AnyArray:
    dtype = DTYPES[storage.kind]
    (count,) = struct.unpack("<q", file.read(8))
    if count != storage.size or count * dtype.itemsize > nbytes:
        raise _UnfitError(f"a storage has {count} values, not {storage.size}")
    values: AnyArray = np.frombuffer(file.read(count * dtype.itemsize), dtype, count)
    return values


def _view(tensor: _Tensor, values: Mapping[str, AnyArray]) -> AnyArray:
    flat = values[tensor.storage.key][tensor.first :]
    steps = [step * flat.itemsize for step in tensor.steps]
    return np.lib.stride_tricks.as_strided(flat, tensor.shape, steps, writeable=False)
