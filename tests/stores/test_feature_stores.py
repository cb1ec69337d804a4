"""Feature stores, read back by zarr-python and by this package."""

import tempfile
from pathlib import Path
from typing import Any

import naive
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from hypoxia_hpc.stores.features import open_features, write_features
from hypoxia_hpc.stores.integrity import check_store, content_of, store_key


def features_of(n: int, d: int, dtype: str) -> tuple[Any, Any]:
    random = np.random.default_rng(n)
    return random.normal(size=(n, d)).astype(dtype), random.integers(0, 2**40, (n, 2))


@given(st.integers(1, 600), st.integers(1, 20), st.sampled_from(["float16", "float32"]))
@settings(max_examples=30)
def test_whatever_is_written_is_read(n: int, d: int, dtype: str) -> None:
    values, xy = features_of(n, d, dtype)
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder, "s.1.zarr")
        nbytes = write_features(store, values, xy, {"key": "k", "backbone": "vgg16"})
        features = open_features(store)
        assert features.slide_id == "s.1"
        assert features.values.dtype == dtype
        np.testing.assert_array_equal(features.values, values)
        np.testing.assert_array_equal(features.xy, xy)
        np.testing.assert_array_equal(zarr.open_array(store / "features", mode="r")[:], values)
        assert features.attributes == {"key": "k", "backbone": "vgg16", "content": naive.content(store)}
        assert check_store(store) == []
        assert nbytes == sum(path.stat().st_size for path in store.rglob("*") if path.is_file())


def test_a_store_has_eight_inodes_and_the_same_bytes_each_time(tmp_path: Path) -> None:
    values, xy = features_of(700, 12, "float16")
    for name in ("a", "b"):
        write_features(tmp_path / f"{name}.zarr", values, xy, {"key": "k"})
        assert 1 + len(list((tmp_path / f"{name}.zarr").rglob("*"))) == 8
    assert content_of(tmp_path / "a.zarr") == content_of(tmp_path / "b.zarr")
    strided = np.asfortranarray(values)
    write_features(tmp_path / "c.zarr", strided, xy, {"key": "k"})
    assert content_of(tmp_path / "c.zarr") == content_of(tmp_path / "a.zarr")


def test_another_key_replaces_the_store(tmp_path: Path) -> None:
    values, xy = features_of(5, 3, "float32")
    write_features(tmp_path / "a.zarr", values, xy, {"key": "one"})
    write_features(tmp_path / "a.zarr", values[:4], xy[:4], {"key": "two"})
    assert store_key(tmp_path / "a.zarr") == "two"
    assert len(open_features(tmp_path / "a.zarr").values) == 4
    assert [path.name for path in tmp_path.iterdir()] == ["a.zarr"]


@pytest.mark.parametrize(
    ("values", "xy"),
    [
        (np.zeros((3, 4), np.float64), np.zeros((3, 2), np.int64)),
        (np.zeros((0, 4), np.float16), np.zeros((0, 2), np.int64)),
        (np.zeros((3, 0), np.float16), np.zeros((3, 2), np.int64)),
        (np.zeros(3, np.float16), np.zeros((3, 2), np.int64)),
        (np.zeros((3, 4), np.float16), np.zeros((2, 2), np.int64)),
        (np.zeros((3, 4), np.float16), np.zeros((3, 2), np.int32)),
    ],
)
def test_other_shapes_and_types_are_refused(tmp_path: Path, values: Any, xy: Any) -> None:
    with pytest.raises(ValueError, match="must be"):
        write_features(tmp_path / "a.zarr", values, xy, {"key": "k"})
    assert list(tmp_path.iterdir()) == []
