"""Heads trained from feature stores, against the same arithmetic on rows that are in memory already."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hypoxia_hpc.bench.case import Case, Place, Prepared, require
from hypoxia_hpc.networks.data.rows import LabelledStore, Rows, TrainingData, opened_rows
from hypoxia_hpc.networks.data.standardise import MEAN, SCALE
from hypoxia_hpc.networks.heads.logistic import Objective
from hypoxia_hpc.stores.features import write_features

LENGTH, STORE_ROWS, ROWS = 2048, 2000, 16_000
STANDARD = {MEAN: np.full(LENGTH, 0.4, np.float32), SCALE: np.full(LENGTH, 0.4, np.float32)}
C, MOST_APART = 0.01, 1e-9


def make_stores(folder: Path, n_rows: int) -> TrainingData:
    """Stores of rows as those of a network after ReLU and pooling: no two stores alike, labels by turns."""
    random = np.random.default_rng(0)
    base = (random.gamma(1.0, 0.4, (STORE_ROWS, LENGTH))).astype(np.float16)
    stores = []
    for number in range(n_rows // STORE_ROWS):
        path = folder / f"s{number:04d}.zarr"
        values = np.roll(base, (37 * number, 11 * number), axis=(0, 1))
        write_features(path, values, np.zeros((STORE_ROWS, 2), np.int64), {"key": path.name})
        stores.append(LabelledStore(path, STORE_ROWS, number % 2, path.name))
    return TrainingData(tuple(stores), (), LENGTH)


class Resident(Rows):
    """Rows that lie in memory already: the first chunk of the first store, whatever is asked for."""

    _chunk: NDArray[Any]

    def read(self, store: int, start: int, stop: int) -> NDArray[Any]:
        return self._chunk[: stop - start]

    @classmethod
    def of(cls, rows: Rows) -> Resident:
        """As many rows as these."""
        resident = cls(rows.stores, rows.readers, rows._pool)
        resident._chunk = rows.read(0, 0, 256)
        return resident


@contextmanager
def logistic_pass(place: Place) -> Iterator[Prepared]:
    """One pass of L-BFGS over all rows."""
    at = np.full(LENGTH + 1, 1e-3)
    with opened_rows(make_stores(place.scratch, ROWS)) as (rows, _):
        stored, resident = (Objective(each, STANDARD, C) for each in (rows, Resident.of(rows)))
        check = partial(check_loss, stored, rows, at)
        yield Prepared(ROWS, partial(stored, at), {"rows in memory": partial(resident, at)}, check)


def check_loss(objective: Objective, rows: Rows, at: NDArray[np.float64]) -> str:
    """Raises WrongAnswerError unless value and gradient are those of plain NumPy over all rows at once."""
    values = np.concatenate([rows.read(store, 0, STORE_ROWS) for store in range(len(rows.stores))])
    scaled = (values.astype(np.float64) - STANDARD[MEAN].astype(float)) / STANDARD[SCALE].astype(float)
    labels = np.repeat(rows.labels, STORE_ROWS)  # as many of each class: every row has weight 1
    logits = scaled @ at[:-1] + at[-1]
    loss = np.mean(np.logaddexp(0.0, logits) - labels * logits) + (at[:-1] @ at[:-1]) / (2 * C * len(rows))
    errors = 1 / (1 + np.exp(-logits)) - labels
    gradient = np.append(errors @ scaled / len(rows) + at[:-1] / (C * len(rows)), errors.mean())
    found_loss, found_gradient = objective(at)
    apart = max(abs(found_loss - loss), float(np.abs(found_gradient - gradient).max()))
    require(apart <= MOST_APART, f"loss or gradient is {apart:.1e} from that of plain NumPy")
    return "loss and gradient of plain NumPy"


CASES = (
    Case(
        "logistic", "heads", "a pass of logistic regression over feature stores", "rows", "rows in memory already",
        logistic_pass, all_cores=True,
    ),
)  # fmt: skip
