"""Mean and spread of the training tiles, in one pass over rows that need not fit in memory."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hypoxia_hpc.errors import InputError
from hypoxia_hpc.networks.data.rows import Rows, below_run
from hypoxia_hpc.networks.heads.result import Arrays, Shapes
from hypoxia_hpc.outcomes.outcome import Outcome
from hypoxia_hpc.records import Float32Array, Float64Array

MEAN, SCALE = "mean", "scale"
LABEL_MEAN, LABEL_SCALE = "label_mean", "label_scale"


class Moments(NamedTuple):
    """Of ``n`` rows: the ``mean`` of every feature and its sum of squares about it, ``m2``, both float64 (d,)."""

    n: int
    mean: Float64Array
    m2: Float64Array


def standard_arrays(train: Rows, valid: Rows) -> Arrays:
    """Mean and standard deviation of the training rows, float32 (d,) each, under `MEAN` and `SCALE`; the same bits
    in whatever parts the rows are read. A feature that never changes has scale 1.

    All rows are read. Raises InputError naming every store with NaN or infinite features.
    """
    merged, bad = _merged(train)
    bad += _merged(valid)[1] if len(valid) else []
    if bad or merged is None:
        raise InputError(
            f"{len(bad)} feature {'store holds' if len(bad) == 1 else 'stores hold'} NaN or infinite features",
            offending=sorted(bad),
            remedy=f"delete these folders below {train.stores[0].path.parent}, then run extract again; if they come "
            "back, check the weights file",
        )
    scale = np.sqrt(merged.m2 / merged.n).astype(np.float32)
    scale[scale == 0] = 1.0
    return {MEAN: merged.mean.astype(np.float32), SCALE: scale}


def standard_shapes(feature_length: int) -> Shapes:
    """Of the arrays of :func:`standard_arrays`."""
    return dict.fromkeys((MEAN, SCALE), ((feature_length,), "float32"))


def label_arrays(train: Rows) -> Arrays:
    """Mean and standard deviation of the scores of the training patients, float64 (1,) each, under `LABEL_MEAN` and
    `LABEL_SCALE`; nothing for another kind of outcome."""
    if train.outcome.kind != "score":
        return {}
    scores = np.array([one for _, one in sorted({store.patient_id: store.label for store in train.stores}.items())])
    return {LABEL_MEAN: scores.mean(keepdims=True), LABEL_SCALE: scores.std(keepdims=True)}


def label_shapes(outcome: Outcome) -> Shapes:
    """Of the arrays of :func:`label_arrays`."""
    return dict.fromkeys((LABEL_MEAN, LABEL_SCALE), ((1,), "float64")) if outcome.kind == "score" else {}


def standardise(arrays: Arrays, values: Float32Array) -> Float32Array:
    """Feature vectors float32 (n, d) less the training tiles' mean, over their standard deviation."""
    standardised: Float32Array = ((values - arrays[MEAN]) / arrays[SCALE]).astype(np.float32, copy=False)
    return standardised


def moments_of(values: NDArray[Any]) -> Moments:
    """Of rows float16 or float32 (n, d), n above 0, in two passes; NaN where a feature is not finite."""
    rows = values.astype(np.float64)
    with np.errstate(invalid="ignore"):
        mean = rows.mean(axis=0)
        rows -= mean
        return Moments(len(rows), mean, np.einsum("ij,ij->j", rows, rows))


def merge(a: Moments, b: Moments) -> Moments:
    """Moments of the rows of both (Chan, Golub, LeVeque 1979)."""
    n = a.n + b.n
    delta = b.mean - a.mean
    return Moments(n, a.mean + delta * (b.n / n), a.m2 + b.m2 + delta * delta * (a.n * b.n / n))


def _merged(rows: Rows) -> tuple[Moments | None, list[str]]:
    """Moments of all rows, and the names of the stores with features that are not finite."""
    merged: Moments | None = None
    bad: dict[str, None] = {}
    for store, found in rows.each_chunk(lambda _, values: moments_of(values)):
        if not np.isfinite(found.mean).all():
            bad[below_run(rows.stores[store].path)] = None
        else:
            merged = found if merged is None else merge(merged, found)
    return merged, list(bad)
