"""HDF5 files, a part of the features at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypoxia_hpc.exports.slide import SlideExport, feature_parts

if TYPE_CHECKING:
    import h5py


@contextmanager
def new_hdf5(path: Path) -> Iterator[h5py.File]:
    """A file of HDF5 to fill; equal content gives equal bytes."""
    import h5py

    with h5py.File(path, "w", libver="earliest") as file:  # later formats keep the time at which a group was made
        yield file


def put_features(group: h5py.Group, name: str, slide: SlideExport, dtype: str) -> h5py.Dataset:
    """Features (n, d) of a slide as a dataset of this type. Raises SlideError for a damaged store."""
    rows = slide.features
    if rows is None:
        raise ValueError("a format without features")
    dataset = group.create_dataset(name, shape=(rows.n, rows.feature_length), dtype=dtype)
    for start, part in feature_parts(rows):
        dataset[start : start + len(part)] = part.astype(dtype, copy=False)
    return dataset


def set_attributes(of: h5py.Dataset | h5py.File, values: dict[str, Any]) -> None:
    """Attributes of a dataset or of the file."""
    for name, value in values.items():
        of.attrs[name] = value
