"""Bootstrap over units (patients, or sites) for any statistic, and the interval made of it.

Every resample keeps every class: a resample that lacks one is drawn again. Units are drawn without regard to their
class, so that the class balance varies as it does from cohort to cohort: F1, average precision and Brier score depend
on it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr, ndtri

from hypoxia_hpc.analysis.bootstrap import LANES, patient_weights
from hypoxia_hpc.analysis.rows import Statistic, divided, point
from hypoxia_hpc.records import Float64Array

# Blocks of resamples are drawn at most this many times as often as they are asked for: with one unit of a class among
# n the share that keeps it is 1 - 1/e.
MOST_DRAWS = 50


class Bounds(NamedTuple):
    """A metric and its interval, NaN where it is not defined."""

    value: float
    low: float
    high: float


def kept_weights(counts: Float64Array, n_resamples: int, seed: int) -> Iterator[Float64Array]:
    """How often each unit is drawn: blocks (n_units, up to LANES), all together ``n_resamples`` columns, in each of
    which every class is there that ``counts`` (n_units, classes) has. Fewer where hardly any draw has them all."""
    present = counts.sum(axis=0) > 0
    left = n_resamples
    for block in patient_weights(len(counts), MOST_DRAWS * n_resamples, seed):
        drawn = block.T @ counts
        kept = block[:, (drawn[:, present] > 0).all(axis=1)][:, :left]
        left -= kept.shape[1]
        if kept.shape[1]:
            yield np.ascontiguousarray(kept)
        if left == 0:
            return


def jackknife(statistic: Statistic, n_units: int) -> Float64Array:
    """(n_units, metrics): the statistic without each of the units, NaN where it is not defined then."""
    blocks = []
    for start in range(0, n_units, LANES):
        left_out = np.arange(start, min(start + LANES, n_units))
        weights = np.ones((n_units, len(left_out)))
        weights[left_out, np.arange(len(left_out))] = 0
        blocks.append(statistic(weights))
    return np.concatenate(blocks)


def jackknife_variance(left_out: Float64Array) -> Float64Array:
    """(metrics,): the variance of each metric by the delete-one jackknife, of `jackknife` (n_units, metrics); units
    without which the metric is not defined do not count. NaN with fewer than two."""
    defined = ~np.isnan(left_out)
    n = defined.sum(axis=0)
    mean = divided(np.where(defined, left_out, 0).sum(axis=0), n)
    squares = np.where(defined, (left_out - mean) ** 2, 0).sum(axis=0)
    return np.where(n > 1, squares * divided(n - 1, n), np.nan)


def resampled(statistic: Statistic, counts: Float64Array, n_resamples: int, seed: int) -> Float64Array:
    """(n_resamples, metrics): the statistic of each resample of `kept_weights`."""
    blocks = [statistic(weights) for weights in kept_weights(counts, n_resamples, seed)]
    return np.concatenate(blocks) if blocks else np.empty((0, len(point(statistic, len(counts)))))


def bootstrap_intervals(
    statistic: Statistic,
    counts: Float64Array,
    *,
    n_resamples: int,
    confidence: float,
    seed: int,
    inflation: float = 1.0,
) -> list[Bounds]:
    """Each metric of ``statistic`` with its BCa interval (Efron 1987: bias-corrected and accelerated, the acceleration
    from the jackknife over units).

    ``counts``: float64 (n_units, classes), rows of each class in each unit. The bounds are NaN with fewer than two
    units, or where all resamples give the same value: such a bootstrap knows nothing of how far the metric may be off.
    ``inflation``: by how much the variance is larger than that of independent units; resamples are that much further
    from the metric.
    """
    values = point(statistic, len(counts))
    drawn = resampled(statistic, counts, n_resamples if len(counts) > 1 else 0, seed)
    if inflation != 1:
        drawn = values + math.sqrt(inflation) * (drawn - values)
    left_out = jackknife(statistic, len(counts))
    return [
        Bounds(float(value), *bca_bounds(float(value), column, without, confidence))
        for value, column, without in zip(values, drawn.T, left_out.T, strict=True)
    ]


def bca_bounds(value: float, drawn: Float64Array, left_out: Float64Array, confidence: float) -> tuple[float, float]:
    """Low and high of the BCa interval from bootstrapped values and jackknife values, (n,) each; a resample that equals
    ``value`` counts half as below it."""
    drawn, left_out = drawn[~np.isnan(drawn)], left_out[~np.isnan(left_out)]
    if np.isnan(value) or len(drawn) == 0 or np.ptp(drawn) == 0:
        return np.nan, np.nan
    below = (np.count_nonzero(drawn < value) + np.count_nonzero(drawn == value) / 2) / len(drawn)
    # All resamples on one side: as if half a resample were on the other.
    bias = ndtri(np.clip(below, 0.5 / len(drawn), 1 - 0.5 / len(drawn)))
    away = left_out.mean() - left_out if len(left_out) else np.zeros(1)
    spread = float((away**2).sum()) ** 1.5
    acceleration = float((away**3).sum()) / (6 * spread) if spread > 0 else 0.0
    tails = bias + ndtri(np.array([(1 - confidence) / 2, (1 + confidence) / 2]))
    low, high = np.quantile(drawn, ndtr(bias + tails / (1 - acceleration * tails)))
    return float(low), float(high)
