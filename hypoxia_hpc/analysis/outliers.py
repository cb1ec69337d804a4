"""How far a patient's features lie from those of the training patients: of a patient unlike all of them a model's
probability says little."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from hypoxia_hpc.records import Float64Array

QUANTILE = 0.99
# Below this many distances their 99th percentile is the largest there is, which one patient in n + 1 of the same cohort
# exceeds, one in 17 of 16. A bound for one patient more, as if logarithms of distances were normal, is exceeded by 2 to
# 4 in 100 with 12 to 99 distances, and finds a cohort that is shifted by three deviations as well.
FEW = 100
FEW_CONFIDENCE = 0.97
LEAST_PATIENTS = 3  # one is left out, and a deviation needs two
# A feature that is 0 in all patients but one has no scale of its own, and that one value would decide a whole distance.
# The features of a network are of one layer: none counts as varying less than this share of their mean scale.
LEAST_SCALE = 0.1


@dataclass(frozen=True, slots=True)
class Reference:
    """Of the training patients' mean feature vectors: ``mean`` and ``scale`` (standard deviation, n - 1, at least a
    tenth of its mean over features) of each feature, float64 (d,). A patient at a distance above ``limit`` looks unlike
    the training patients. ``n``: how many distances the limit is of."""

    mean: Float64Array
    scale: Float64Array
    limit: float
    n: int


def reference_of(train: NDArray[np.floating], valid: NDArray[np.floating]) -> Reference | None:
    """From mean feature vectors of training patients (n, d) and of validation patients (m, d), finite; None with fewer
    than three training patients that differ.

    The limit is the 99th percentile, the next larger distance where it falls between two, of the distance of each
    training patient from all others and of each validation patient from all of training; of fewer than FEW the bound
    that one patient more keeps to with FEW_CONFIDENCE.
    """
    values = np.asarray(train, dtype=np.float64)
    if len(np.unique(values, axis=0)) < LEAST_PATIENTS:
        return None
    mean, spread = values.mean(axis=0), values.std(axis=0, ddof=1)
    scale = _not_too_small(spread)
    found = np.concatenate([list(_left_out(values, mean, spread)), distances(valid, mean, scale)])
    return Reference(mean, scale, _limit(found), len(found))


def distances(means: NDArray[np.floating], mean: Float64Array, scale: Float64Array) -> Float64Array:
    """(m,), 0 or more: the root of the mean over features of ((x - mean) / scale)², for each mean feature vector x of
    ``means`` (m, d). ``mean`` and ``scale`` as in `Reference`. About 1 for a patient like those of training."""
    rows = np.asarray(means, dtype=np.float64)
    return np.array([np.sqrt(np.mean(((row - mean) / scale) ** 2)) for row in rows], dtype=np.float64)


def origin_of_limit(n: int) -> str:
    """How a limit of ``n`` distances came about: the 99th percentile, or a rough bound of fewer than a hundred."""
    if n >= FEW:
        return "the 99th percentile of training and validation patients"
    return (
        f"a rough limit, for it is of {n} training and validation patients alone: about {1 - FEW_CONFIDENCE:.0%} of "
        "patients of the same cohort lie beyond it too"
    )


def _limit(found: Float64Array) -> float:
    n = len(found)
    if n >= FEW:
        return float(np.quantile(found, QUANTILE, method="higher"))
    # A patient in the very middle of the others is at distance 0.
    logarithms = np.log(found[found > 0])
    quantile = float(stdtrit(len(logarithms) - 1, FEW_CONFIDENCE))
    reach = quantile * logarithms.std(ddof=1) * np.sqrt(1 + 1 / len(logarithms))
    return float(np.exp(logarithms.mean() + reach))


def _left_out(values: Float64Array, mean: Float64Array, spread: Float64Array) -> Iterator[float]:
    """The distance of each row from the mean and scale of all others, which follow from those of all rows."""
    n = len(values)
    squares = (n - 1) * spread**2
    for row in values:
        away = row - mean
        others = np.sqrt(np.maximum(squares - n / (n - 1) * away**2, 0.0) / (n - 2))
        yield float(np.sqrt(np.mean((n / (n - 1) * away / _not_too_small(others)) ** 2)))


def _not_too_small(spread: Float64Array) -> Float64Array:
    scale: Float64Array = np.maximum(spread, LEAST_SCALE * spread.mean())
    return scale
