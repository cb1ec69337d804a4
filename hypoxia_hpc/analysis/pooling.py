"""From tiles to slides and patients: the mean prediction over all tiles or another statistic of them, or the mean logit
weighted by attention; and from several series of a patient's images to one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd

from hypoxia_hpc.config.evaluate import PoolingKind
from hypoxia_hpc.records import Float64Array, Int64Array

Level = Literal["slide", "patient"]
ATTENTION, SERIES = "attention_logit", "series"
# How a pooled number becomes what is written: a logit a probability, logits of classes probabilities, a number itself.
Link = Literal["logistic", "softmax", "identity"]
PROBABILITY = ("probability",)
# A probability this far from 0 or 1 counts as that far: the logit of 0 would make one series decide alone.
LEAST_PROBABILITY = 1e-6


@dataclass(frozen=True, slots=True)
class Pooling:
    """What of the tiles' predictions stands for a slide or patient: their mean; their median; the mean of the ``k``
    largest, of all where there are fewer; or the share of them above ``threshold``. ``is_late``: of each series of
    images by itself, then `fused`."""

    kind: PoolingKind = "mean"
    k: int = 10
    threshold: float = 0.5
    is_late: bool = False


MEAN = Pooling()


def logit_names(n: int) -> list[str]:
    """The columns of a tile's logits, where there are n."""
    return ["logit"] if n == 1 else [f"logit_{number}" for number in range(n)]


def pool_tiles(
    tiles: pd.DataFrame,
    level: Level,
    outputs: Sequence[str] = PROBABILITY,
    link: Link = "logistic",
    pooling: Pooling = MEAN,
) -> pd.DataFrame:
    """id, patient_id, the ``outputs`` (float64), n_tiles (int64), one row a slide or patient, sorted by id.

    ``tiles`` has one row a tile: slide_id, patient_id, and either ``outputs``, each of which is pooled by ``pooling``
    (a patient's over the tiles of all its slides); or ``attention_logit`` and `logit_names`, one for each output,
    float64 of any size: then the outputs are what ``link`` makes of the weighted mean of the logits. The weights of the
    tiles are the softmax of the attention logits within the slide or patient. With ``pooling.is_late`` and a column
    ``series`` the former are pooled by series first. The order of the rows does not matter, to the last bit.
    """
    if pooling.is_late and SERIES in tiles and ATTENTION not in tiles:
        by_series = pool_series(tiles, level, outputs, link, pooling)
        return fused(by_series, ["id", "patient_id"], outputs, link)
    codes, ids = pd.factorize(tiles[f"{level}_id"], sort=True)
    if ATTENTION in tiles:
        attention, logits = _floats(tiles, ATTENTION), logit_names(len(outputs))
        pooled = [_attention_mean(codes, len(ids), _floats(tiles, name), attention) for name in logits]
        values = linked(np.stack(pooled, axis=1), link)
    else:
        values = np.stack([_pooled(codes, len(ids), _floats(tiles, name), pooling) for name in outputs], axis=1)
    n_tiles = np.bincount(codes, minlength=len(ids))
    first = np.argsort(codes, kind="stable")[np.cumsum(n_tiles) - n_tiles]
    return pd.DataFrame(
        {
            "id": np.asarray(ids),
            "patient_id": tiles["patient_id"].to_numpy()[first],
            **dict(zip(outputs, values.T, strict=True)),
            "n_tiles": n_tiles,
        }
    )


def pool_series(
    tiles: pd.DataFrame, level: Level, outputs: Sequence[str], link: Link, pooling: Pooling
) -> pd.DataFrame:
    """`pool_tiles` of the tiles of each ``series`` (a column) by themselves, with that column: one row for each slide
    or patient and series that it has, by series."""
    alone = replace(pooling, is_late=False)
    parts = [
        pool_tiles(own, level, outputs, link, alone).assign(**{SERIES: str(name)})
        for name, own in tiles.groupby(SERIES, sort=True, observed=True)
    ]
    return pd.concat(parts, ignore_index=True)


def fused(by_series: pd.DataFrame, keys: Sequence[str], outputs: Sequence[str], link: Link) -> pd.DataFrame:
    """Late fusion: one row for each value of ``keys``, in their order, whose ``outputs`` are what ``link`` makes of the
    mean of the logits over its series; of a score or a log hazard the mean. ``n_tiles`` is the sum; of other columns
    the first. ``by_series`` as `pool_series` has it."""
    rows = by_series.sort_values([*keys, SERIES], kind="stable", ignore_index=True)
    rows[list(outputs)] = _unlinked(rows[list(outputs)].to_numpy(dtype=np.float64), link)
    whole = rows.groupby(list(keys), sort=False, observed=True, dropna=False)
    others = [name for name in rows.columns if name not in (*keys, SERIES)]
    how = {**dict.fromkeys(others, "first"), **dict.fromkeys(outputs, "mean"), "n_tiles": "sum"}
    pooled = whole[others].agg(how).reset_index()
    pooled[list(outputs)] = linked(pooled[list(outputs)].to_numpy(dtype=np.float64), link)
    found: pd.DataFrame = pooled[[name for name in rows.columns if name != SERIES]]
    return found


def _unlinked(values: Float64Array, link: Link) -> Float64Array:
    """The logits that `linked` makes these of, but for a number that all classes of a row share."""
    if link == "identity":
        return values
    inner = np.clip(values, LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
    logits: Float64Array = np.log(inner) if link == "softmax" else np.log(inner / (1 - inner))
    return logits


def linked(logits: Float64Array, link: Link) -> Float64Array:
    """What is written for logits, float64 (n, k): probabilities that sum to 1 with "softmax", each by itself with
    "logistic", the numbers themselves with "identity"."""
    from scipy.special import softmax

    if link == "identity":
        return logits
    probabilities: Float64Array = softmax(logits, axis=1) if link == "softmax" else logistic(logits)
    return probabilities


def attention_weights(tiles: pd.DataFrame) -> Float64Array:
    """The weight of each tile in its patient's bag, float64 (n,) in 0..1, summing to 1 over a patient's tiles."""
    codes, ids = pd.factorize(tiles["patient_id"], sort=True)
    attention = _floats(tiles, ATTENTION)
    order = np.lexsort((attention, codes))
    weights = _softmax_terms(codes, attention, order)
    totals = np.bincount(codes[order], weights=weights[order], minlength=len(ids))
    shares: Float64Array = weights / totals[codes]
    return shares


def logistic(logits: Float64Array) -> Float64Array:
    """1 / (1 + exp(-x)), float64 in 0..1; NaN stays NaN."""
    from scipy.special import expit

    probabilities: Float64Array = expit(logits)
    return probabilities


def _floats(tiles: pd.DataFrame, column: str) -> Float64Array:
    return tiles[column].to_numpy(dtype=np.float64)


def _pooled(codes: Int64Array, n_ids: int, values: Float64Array, pooling: Pooling) -> Float64Array:
    """A statistic of the values by code; each code has one or more."""
    order = np.lexsort((values, codes))  # a sum depends on its order: smallest first, for any order of the input
    codes, values = codes[order], values[order]
    counts = np.bincount(codes, minlength=n_ids)
    ends = np.cumsum(counts)
    if pooling.kind == "median":
        middle: Float64Array = (values[ends - 1 - counts // 2] + values[ends - 1 - (counts - 1) // 2]) / 2
        return middle
    if pooling.kind == "top-k":
        kept = ends[codes] - np.arange(len(codes)) <= pooling.k
        codes, values, counts = codes[kept], values[kept], np.minimum(counts, pooling.k)
    elif pooling.kind == "share-above":
        values = (values > pooling.threshold).astype(np.float64)
    means: Float64Array = np.bincount(codes, weights=values, minlength=n_ids) / counts
    return means


def _attention_mean(codes: Int64Array, n_ids: int, values: Float64Array, attention: Float64Array) -> Float64Array:
    """The mean by code, weighted by the softmax of ``attention`` within the code (Ilse et al. 2018, equation 8)."""
    order = np.lexsort((values, attention, codes))
    weights = _softmax_terms(codes, attention, order)[order]
    ranked = codes[order]
    total = np.bincount(ranked, weights=weights, minlength=n_ids)
    means: Float64Array = np.bincount(ranked, weights=weights * values[order], minlength=n_ids) / total
    return means


def _softmax_terms(codes: Int64Array, attention: Float64Array, order: Int64Array) -> Float64Array:
    """exp(attention - the largest of its code), by row: ``order`` has the codes together, attention rising in each."""
    last_of_code = np.flatnonzero(np.diff(codes[order], append=-1))
    largest = attention[order[last_of_code]]
    terms: Float64Array = np.exp(attention - largest[codes])
    return terms
