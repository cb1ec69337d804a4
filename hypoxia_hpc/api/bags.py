"""Bags of tiles and their labels: checked, and written as the feature stores that training reads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hypoxia_hpc.cohorts.textfiles import refuse
from hypoxia_hpc.config.outcome import MOST_CLASSES
from hypoxia_hpc.errors import InputError, some, some_names
from hypoxia_hpc.networks.data.rows import LabelledStore
from hypoxia_hpc.records import Float64Array, Followed, Label
from hypoxia_hpc.stores.features import write_features

Bags = Sequence[NDArray[Any]]
MOST_NAMED = 10


def sorted_classes(labels: NDArray[Any], *, has_many: bool) -> NDArray[Any]:
    """The labels in sorted order, (k,). Raises InputError where there are fewer than two, or more than the model
    takes."""
    one_each(labels, "y")
    found = np.unique(labels)
    most = MOST_CLASSES if has_many else 2
    if not 2 <= len(found) <= most:
        raise InputError(
            f"y has {len(found)} different labels: {f'2 to {most}' if has_many else 'two'} are needed",
            offending=[repr(one) for one in found[:MOST_NAMED]],
        )
    return found


def one_each(labels: NDArray[Any], what: str) -> None:
    """Raises InputError where labels are not (n,)."""
    if labels.ndim != 1:
        raise InputError(f"{what} has the shape {labels.shape}: must be (n,), one label a bag", remedy="flatten it")


def class_codes(labels: NDArray[Any], classes: NDArray[Any], what: str) -> list[int]:
    """The number of each label's class. Raises InputError for labels that are none of them."""
    one_each(labels, f"y of {what}")
    strange = sorted({repr(label) for label in labels[~np.isin(labels, classes)]})
    if strange:
        raise InputError(
            f"labels of {what} that training does not have: {some_names(strange)}", remedy="leave them out"
        )
    codes: list[int] = np.searchsorted(classes, labels).tolist()
    return codes


def scores_in(labels: ArrayLike, what: str) -> list[float]:
    """Scores as numbers. Raises InputError where they are not (n,) finite numbers."""
    values = _finite(labels, what)
    one_each(values, f"y of {what}")
    scores: list[float] = values.tolist()
    return scores


def followed_in(labels: ArrayLike, what: str) -> list[Followed]:
    """Times and events. Raises InputError where they are not (n, 2), with times from 0 and events of 0 or 1."""
    values = _finite(labels, what)
    if values.ndim != 2 or values.shape[1] != 2:
        raise InputError(
            f"y of {what} has the shape {values.shape}: must be (n, 2), time and event of each bag",
            remedy="np.column_stack([time, event])",
        )
    wrong = (values[:, 0] < 0) | ~np.isin(values[:, 1], (0, 1))
    refuse(
        f"y of {what} has times below 0, or events that are neither 0 (censored) nor 1",
        [f"{what}[{number}]: {values[number].tolist()}" for number in np.flatnonzero(wrong)],
        "mend these, or leave these bags out",
    )
    return [Followed(time, int(event)) for time, event in values.tolist()]


def _finite(labels: ArrayLike, what: str) -> Float64Array:
    try:
        values = np.asarray(labels, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"y of {what} has values that are no numbers", remedy="leave these bags out") from None
    rows = np.atleast_1d(values)
    wrong = np.flatnonzero(~np.isfinite(rows).reshape(len(rows), -1).all(axis=1))
    refuse(
        f"y of {what} has values that are NaN or infinite", [f"{what}[{one}]" for one in wrong], "leave these bags out"
    )
    return values


def checked_bags(bags: Bags, labels: Sequence[Label], what: str) -> list[NDArray[Any]]:
    """The values of the bags as :func:`checked_values`. Raises InputError also where there is not a label for each."""
    values = checked_values(bags, what)
    if len(labels) != len(values):
        raise InputError(f"{len(values)} {what} and {len(labels)} labels", remedy="give one label for each bag")
    return values


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
    n = int((~np.isfinite(bag)).sum())
    return f"{some(n, 'value')} {'is' if n == 1 else 'are'} NaN or infinite" if n else ""


def one_length(values: Sequence[NDArray[Any]]) -> int:
    """The number of features, which is that of every bag. Raises InputError."""
    lengths = {bag.shape[1] for bag in values}
    if len(lengths) > 1:
        raise InputError(f"bags have {sorted(lengths)} features: one number is needed", remedy="extract them alike")
    return int(lengths.pop())


def stored_bags(
    folder: Path, values: Sequence[NDArray[Any]], labels: Sequence[Label], dtype: np.dtype[Any]
) -> tuple[LabelledStore, ...]:
    """Feature stores of the bags in their order, a patient each."""
    folder.mkdir(parents=True)
    stores = []
    for number, (bag, label) in enumerate(zip(values, labels, strict=True)):
        path, patient_id = folder / f"{number:06d}.zarr", f"{folder.name}-{number}"
        write_features(path, bag.astype(dtype), np.zeros((len(bag), 2), dtype=np.int64), {"key": patient_id})
        stores.append(LabelledStore(path, len(bag), label, patient_id))
    return tuple(stores)
