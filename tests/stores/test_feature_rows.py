"""Rows of a feature store read by ranges, without the rest of it."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypoxia_hpc.errors import SlideError
from hypoxia_hpc.stores.features import FeatureRows, write_features

CHUNK = 256


def write(path: Path, n: int, d: int, dtype: str = "float16") -> np.ndarray:
    values = np.random.default_rng(n).normal(size=(n, d)).astype(dtype)
    write_features(path, values, np.zeros((n, 2), dtype=np.int64), {"key": "k", "spec": {"backbone": "vgg16"}})
    return values


@given(st.integers(1, 900), st.integers(1, 9), st.sampled_from(["float16", "float32"]), st.data())
@settings(max_examples=40)
def test_any_range_is_what_was_written(n: int, d: int, dtype: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, n))
    stop = data.draw(st.integers(start, n))
    with tempfile.TemporaryDirectory() as folder:
        values = write(Path(folder, "s.zarr"), n, d, dtype)
        rows = FeatureRows(Path(folder, "s.zarr"))
        assert (rows.n, rows.feature_length, rows.dtype) == (n, d, values.dtype)
        assert rows.attributes["spec"] == {"backbone": "vgg16"}
        out = np.full((stop - start, d), 7, dtype=dtype)
        rows.read_into(start, stop, out)
        np.testing.assert_array_equal(out, values[start:stop])


def test_a_damaged_chunk_is_found_when_it_is_read_and_the_others_are_read(tmp_path: Path) -> None:
    values = write(tmp_path / "s.zarr", 3 * CHUNK, 4)
    shard = tmp_path / "s.zarr" / "features" / "c.0.0"
    data = bytearray(shard.read_bytes())
    data[CHUNK * 4 * 2 + 4 + 100] ^= 1  # in the second chunk
    shard.write_bytes(data)
    rows = FeatureRows(tmp_path / "s.zarr")
    for start, stop in ((0, CHUNK), (2 * CHUNK, 3 * CHUNK)):
        out = np.empty((stop - start, 4), dtype=np.float16)
        rows.read_into(start, stop, out)
        np.testing.assert_array_equal(out, values[start:stop])
    for start, stop in ((CHUNK, 2 * CHUNK), (CHUNK + 3, CHUNK + 4), (0, 3 * CHUNK)):
        with pytest.raises(SlideError, match="checksum of chunk 1 is wrong"):
            rows.read_into(start, stop, np.empty((stop - start, 4), dtype=np.float16))


def test_a_store_that_was_replaced_or_cut_after_it_was_opened_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "s.zarr", 300, 4)
    rows = FeatureRows(tmp_path / "s.zarr")
    shard = tmp_path / "s.zarr" / "features" / "c.0.0"
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(SlideError, match="changed or replaced"):
        rows.read_into(0, 300, np.empty((300, 4), dtype=np.float16))
    with pytest.raises(SlideError, match=r"damaged|index|size"):
        FeatureRows(tmp_path / "s.zarr")


@pytest.mark.parametrize(
    ("start", "stop", "shape", "dtype"),
    [
        (0, 11, (11, 4), "float16"),
        (-1, 3, (4, 4), "float16"),
        (5, 3, (0, 4), "float16"),
        (0, 3, (2, 4), "float16"),
        (0, 3, (3, 5), "float16"),
        (0, 3, (3, 4), "float32"),
    ],
)
def test_what_does_not_fit_is_refused(
    tmp_path: Path, start: int, stop: int, shape: tuple[int, int], dtype: str
) -> None:
    write(tmp_path / "s.zarr", 10, 4)
    with pytest.raises(ValueError, match=r"fit|float16"):
        FeatureRows(tmp_path / "s.zarr").read_into(start, stop, np.empty(shape, dtype=dtype))
    with pytest.raises(ValueError, match="in one piece"):
        FeatureRows(tmp_path / "s.zarr").read_into(0, 3, np.empty((4, 3), dtype=np.float16).T[:3])
