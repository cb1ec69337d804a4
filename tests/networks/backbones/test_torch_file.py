"""Files of tensors as old PyTorch wrote them, made here by its rules: read, refused, and never run."""

from __future__ import annotations

import io
import pickle
import struct
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hypoxia_hpc.errors import InputError
from hypoxia_hpc.networks.backbones.torch_file import MAGIC, PROTOCOL, read_torch_file

KINDS = {np.dtype("<f4"): "FloatStorage", np.dtype("<i8"): "LongStorage"}
FACTS = {"protocol_version": PROTOCOL, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}


class Named:
    """Is pickled as a global name, whether there is a module of that name or not."""

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name


class Stored:
    def __init__(self, key: str, values: np.ndarray) -> None:
        self.key, self.values = key, values


class Tensor:
    """Is pickled as PyTorch does it: a call of _rebuild_tensor_v2."""

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments


class Pickler(pickle._Pickler):
    def save(self, obj: Any, *others: Any) -> None:
        if isinstance(obj, Named):
            self.write(f"c{obj.module}\n{obj.name}\n".encode())
        elif isinstance(obj, Tensor):
            self.save(Named("torch._utils", "_rebuild_tensor_v2"))
            self.save(obj.arguments)
            self.write(pickle.REDUCE)
        elif isinstance(obj, Stored):
            kind = Named("torch", KINDS[obj.values.dtype])
            self.save(("storage", kind, obj.key, "cpu", obj.values.size, None))
            self.write(pickle.BINPERSID)
        else:
            super().save(obj, *others)


def write(path: Path, described: Any, storages: Mapping[str, np.ndarray], *, facts: Any = FACTS) -> None:
    with path.open("wb") as file:
        for one in (MAGIC, PROTOCOL, facts, described, [*storages]):
            buffer = io.BytesIO()
            Pickler(buffer, protocol=2).dump(one)
            file.write(buffer.getvalue())
        for values in storages.values():
            file.write(struct.pack("<q", values.size) + values.tobytes())


def tensor(key: str, values: np.ndarray, first: int, shape: tuple[int, ...], steps: tuple[int, ...]) -> Tensor:
    return Tensor(Stored(key, values), first, shape, steps, False, OrderedDict())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("torch")


def refused(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_torch_file(path)
    assert str(path) in caught.value.problem
    return caught.value.problem


@given(
    array=hnp.arrays(
        st.sampled_from([np.dtype("<f4"), np.dtype("<i8")]),
        hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
    ),
    seed=st.integers(0, 23),
)
def test_tensors_come_back_in_any_order_of_axes(folder: Path, array: Any, seed: int) -> None:
    path = folder / "file.pth"
    order = np.random.default_rng(seed).permutation(array.ndim)
    stored = np.ascontiguousarray(array.transpose(order))
    steps = np.zeros(array.ndim, dtype=int)
    steps[order] = np.array(stored.strides, dtype=int) // stored.itemsize
    padded = np.concatenate([np.zeros(3, stored.dtype), stored.ravel(), np.zeros(1, stored.dtype)])
    one = tensor("1", padded, 3, array.shape, tuple(steps.tolist()))
    write(path, OrderedDict(a=one), {"1": padded})
    found = read_torch_file(path)["a"]
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize("name", ["os.system", "builtins.eval", "torch.load", "collections.Counter"])
def test_another_name_is_neither_imported_nor_called(tmp_path: Path, name: str) -> None:
    made = tmp_path / "made"
    module, _, function = name.rpartition(".")

    class Call(Tensor):
        pass

    class Evil(Pickler):
        def save(self, obj: Any, *others: Any) -> None:
            if isinstance(obj, Call):
                self.save(Named(module, function))
                self.save((f"touch {made}",))
                self.write(pickle.REDUCE)
            else:
                super().save(obj, *others)

    path = tmp_path / "evil.pth"
    with path.open("wb") as file:
        for one in (MAGIC, PROTOCOL, FACTS, OrderedDict(a=Call())):
            buffer = io.BytesIO()
            Evil(buffer, protocol=2).dump(one)
            file.write(buffer.getvalue())
    assert f"it names {name}" in refused(path)
    assert not made.exists()


VALUES = np.arange(12, dtype="<f4")


@pytest.mark.parametrize(
    ("first", "shape", "steps"),
    [(1, (12,), (1,)), (0, (3, 5), (4, 1)), (0, (2,), (12,)), (-1, (2,), (1,)), (0, (2,), (-1,)), (0, (2, 2), (1,))],
)
def test_a_tensor_beyond_its_storage_is_refused(
    tmp_path: Path, first: int, shape: tuple[int, ...], steps: tuple[int, ...]
) -> None:
    path = tmp_path / "file.pth"
    write(path, OrderedDict(a=tensor("1", VALUES, first, shape, steps)), {"1": VALUES})
    refused(path)


def test_a_small_storage_is_not_made_a_large_tensor_by_steps_of_zero(tmp_path: Path) -> None:
    path = tmp_path / "file.pth"
    write(path, OrderedDict(a=tensor("1", VALUES, 0, (2**20, 2**20), (0, 0))), {"1": VALUES})
    assert "lies beyond its storage" in refused(path)


def test_a_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file.pth"
    write(path, OrderedDict(a=tensor("1", VALUES, 0, (3, 4), (4, 1))), {"1": VALUES})
    whole = path.read_bytes()
    np.testing.assert_array_equal(read_torch_file(path)["a"], VALUES.reshape(3, 4))
    for n in range(len(whole)):
        path.write_bytes(whole[:n])
        refused(path)


@pytest.mark.parametrize(
    ("described", "storages", "facts", "why"),
    [
        ({"a": 1}, {}, FACTS, "more than tensors"),
        ([1], {}, FACTS, "more than tensors"),
        ({"a": tensor("1", VALUES, 0, (2,), (1,))}, {"2": VALUES}, FACTS, "storages are not those"),
        ({"a": tensor("1", VALUES, 0, (2,), (1,))}, {"1": VALUES[:5]}, FACTS, "5 values, not 12"),
        ({}, {}, {**FACTS, "little_endian": False}, "little-endian"),
    ],
)
def test_what_it_should_not_hold_is_named(
    tmp_path: Path, described: Any, storages: dict[str, np.ndarray], facts: Any, why: str
) -> None:
    path = tmp_path / "file.pth"
    write(path, described, storages, facts=facts)
    assert why in refused(path)


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "file.pth"
    for data in (b"", b"PK\x03\x04 a zip file", b"\x89HDF\r\n\x1a\n", pickle.dumps({"a": 1}), b"\x00" * 100):
        path.write_bytes(data)
        refused(path)
