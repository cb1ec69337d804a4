"""Bags of tiles and their labels: checked, and written as the feature stores that training reads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hypoxia_hpc.errors import InputError, some_names
from hypoxia_hpc.networks.data.rows import LabelledStore
from hypoxia_hpc.records import Int64Array
from hypoxia_hpc.stores.features import write_features

Bags = Sequence[NDArray[Any]]
MOST_NAMED = 10


def two_classes(labels: NDArray[Any]) -> NDArray[Any]:
    """The two labels in sorted order, (2,). Raises InputError where there are more or fewer."""
    if labels.ndim != 1:
        raise InputError(f"y has the shape {labels.shape}: must be (n,), one label a bag", remedy="flatten it")
    found = np.unique(labels)
    if len(found) != 2:
        raise InputError(
            f"y has {len(found)} different labels: two are needed", offending=[repr(one) for one in found[:MOST_NAMED]]
        )
    return found


def checked_bags(
    bags: Bags, labels: NDArray[Any], classes: NDArray[Any], what: str
) -> tuple[list[NDArray[Any]], Int64Array]:
    """The values of the bags as :func:`checked_values`, and their labels as 0 and 1. Raises InputError."""
    values = checked_values(bags, what)
    if labels.shape != (len(values),):
        raise InputError(f"{len(values)} {what} and labels {labels.shape}", remedy="give one label for each bag")
    strange = sorted({repr(label) for label in labels[~np.isin(labels, classes)]})
    if strange:
        raise InputError(
            f"labels of {what} that training does not have: {some_names(strange)}", remedy="leave them out"
        )
    return values, (labels == classes[1]).astype(np.int64)


def checked_values(bags: Bags, what: str) -> list[NDArray[Any]]:
    """Bags as float16 or float32 (n_tiles, d). Raises InputError naming every bag that is none."""
    values = [_as_features(np.asarray(bag)) for bag in bags]
    wrong = [f"{what}[{number}]: {why}" for number, bag in enumerate(values) if (why := _why_wrong(bag))]
    if wrong:
        raise InputError(
            f"{len(wrong)} of {len(values)} {what} are no bags: finite numbers (n_tiles, d), 1 tile or more",
            offending=wrong[:MOST_NAMED],
            remedy="a bag is the features of one patient's tiles, as hx.extract gives them",
        )
    return values


def _as_features(bag: NDArray[Any]) -> NDArray[Any]:
    with np.errstate(over="ignore"):  # it is infinite then, and is said to be
        return bag.astype(np.float32) if bag.dtype.kind in "fiu" and bag.dtype != np.float16 else bag


def _why_wrong(bag: NDArray[Any]) -> str:
    if bag.dtype.kind != "f":
        return f"{bag.dtype} is no number"
    if bag.ndim != 2 or 0 in bag.shape:
        return f"its shape is {bag.shape}"
    return "" if np.isfinite(bag).all() else f"{(~np.isfinite(bag)).sum():,} values are NaN or infinite"


def one_length(values: Sequence[NDArray[Any]]) -> int:
    """The number of features, which is that of every bag. Raises InputError."""
    lengths = {bag.shape[1] for bag in values}
    if len(lengths) > 1:
        raise InputError(f"bags have {sorted(lengths)} features: one number is needed", remedy="extract them alike")
    return int(lengths.pop())


def stored_bags(
    folder: Path, values: Sequence[NDArray[Any]], codes: Int64Array, dtype: np.dtype[Any]
) -> tuple[LabelledStore, ...]:
    """Feature stores of the bags in their order, a patient each."""
    folder.mkdir(parents=True)
    stores = []
    for number, (bag, code) in enumerate(zip(values, codes.tolist(), strict=True)):
        path, patient_id = folder / f"{number:06d}.zarr", f"{folder.name}-{number}"
        write_features(path, bag.astype(dtype), np.zeros((len(bag), 2), dtype=np.int64), {"key": patient_id})
        stores.append(LabelledStore(path, len(bag), code, patient_id))
    return tuple(stores)
