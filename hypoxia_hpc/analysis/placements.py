"""How each row stands among those of the other class, and the variances and covariances of areas under the ROC curve
(DeLong 1988; for rows that belong to units, Obuchowski 1997 and the jackknife)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hypoxia_hpc.analysis.resampling import jackknife
from hypoxia_hpc.analysis.rows import auc_statistic
from hypoxia_hpc.records import Float64Array, Int64Array

# However few units make up nearly all of a variance, it counts as estimated with this number of degrees of
# freedom: with fewer, intervals of nearly perfect areas are wider than they need to be to cover.
LEAST_FREEDOM = 4.0


@dataclass(frozen=True, slots=True)
class Covariance:
    """Covariance of the areas of k models, (k, k), NaN where a class has one unit, and the degrees of freedom of each
    variance, (k,). ``n_positive``, ``n_negative``: units that have rows of the class; ``independent``: one row a
    unit."""

    matrix: Float64Array
    freedom: Float64Array
    n_positive: int
    n_negative: int
    independent: bool


def placements(labels: NDArray[np.integer], probabilities: NDArray[np.floating]) -> Float64Array:
    """(n,) in 0..1: for a positive row the share of the negative rows that rank below it, for a negative row that of
    the positive rows above it, ties half. Either class's mean is the area under the ROC curve. Both classes are there.
    """
    from scipy.stats import rankdata

    positive = np.asarray(labels) == 1
    overall, placed = rankdata(probabilities), np.empty(len(positive))
    for own in (positive, ~positive):
        below = overall[own] - rankdata(np.asarray(probabilities)[own])
        placed[own] = below / np.count_nonzero(~own)
    placed[~positive] = 1 - placed[~positive]
    return placed


def auc_of(labels: NDArray[np.integer], probabilities: NDArray[np.floating]) -> float:
    """The area under the ROC curve: a quotient of whole numbers (Mann-Whitney). Both classes are there."""
    from scipy.stats import rankdata

    positive = np.asarray(labels) == 1
    n = int(np.count_nonzero(positive))
    twice = 2 * float(rankdata(probabilities)[positive].sum()) - n * (n + 1)
    return twice / (2 * n * (len(positive) - n))


def auc_covariance(
    labels: NDArray[np.integer], probabilities: NDArray[np.floating], units: Int64Array, n_units: int
) -> Covariance:
    """The covariance of the areas of k models, whose probabilities are the columns of (n, k); both classes are there.

    Where every unit has rows of one class, it contributes the sum of the deviations of its rows' `placements`, each
    over the size of its class; sums over units of either class are scaled by I / (I - 1), I being the units that have
    it (Obuchowski 1997). With one row a unit this is DeLong's. Where units have rows of both classes (sites), it is
    that of the jackknife over units, which covers better among few of them.

    A variance that few units make up nearly alone is known worse than n - 1 degrees of freedom say. Its own are
    2 n / (kurtosis - 1), as the variance of a variance has it, n - 1 at most, put together over the classes by Welch's
    and Satterthwaite's formula; LEAST_FREEDOM at least, where n - 1 is as many.
    """
    placed = np.column_stack([placements(labels, column) for column in probabilities.T])
    shares = [_shares(np.asarray(labels) == label, placed, units, n_units) for label in (0, 1)]
    (zeros, has_0), (ones, has_1) = shares
    if (has_0 & has_1).any():
        parts = [_left_out(labels, probabilities, units, n_units)]
    else:
        parts = [_scale(int(has.sum())) * part[has] for part, has in ((zeros, has_0), (ones, has_1))]
    matrix: Float64Array = np.sum([part.T @ part for part in parts], axis=0)
    freedom = _freedom(parts, [(part**2).sum(axis=0) for part in parts])
    return Covariance(matrix, freedom, int(has_1.sum()), int(has_0.sum()), len(units) == n_units)


def _left_out(
    labels: NDArray[np.integer], probabilities: NDArray[np.floating], units: Int64Array, n_units: int
) -> Float64Array:
    """(n_units or fewer, k): the deviations of the areas without each unit, where they are defined, from their mean;
    their products are summed to the jackknife's covariance. NaN with fewer than two."""
    areas = np.column_stack([
        jackknife(auc_statistic(labels, column, units, n_units), n_units) for column in probabilities.T
    ])  # fmt: skip
    areas = areas[~np.isnan(areas).any(axis=1)]
    n = len(areas)
    if n < 2:
        return np.full((1, probabilities.shape[1]), np.nan)
    deviations: Float64Array = (areas - areas.mean(axis=0)) * np.sqrt((n - 1) / n)
    return deviations


def _scale(n: int) -> float:
    return float(np.sqrt(n / (n - 1))) if n > 1 else np.nan


def _freedom(parts: list[Float64Array], variances: list[Float64Array]) -> Float64Array:
    """(k,): of the sum of independent ``variances`` (k,), each of the columns of its ``parts`` (n, k)."""
    most = [max(len(part) - 1.0, 1.0) for part in parts]
    own = [np.clip(_by_kurtosis(part), 1, least) for part, least in zip(parts, most, strict=True)]
    by_number = _welch(variances, [np.full(len(variances[0]), each) for each in most])
    return np.maximum(_welch(variances, own), np.minimum(by_number, LEAST_FREEDOM))


def _by_kurtosis(part: Float64Array) -> Float64Array:
    """(k,): 2 n / (kurtosis - 1) of the columns of (n, k), infinite where they do not vary."""
    squares = (part - part.mean(axis=0)) ** 2
    spread = squares.mean(axis=0) ** 2
    above = (squares**2).mean(axis=0) - spread
    freedom: Float64Array = np.where(above > 0, 2 * len(part) * spread / np.where(above > 0, above, 1), np.inf)
    return freedom


def _welch(variances: list[Float64Array], freedoms: list[Float64Array]) -> Float64Array:
    """(k,): degrees of freedom of the sum of ``variances`` with ``freedoms``; the fewest where it is 0."""
    total = np.sum(variances, axis=0) ** 2
    below = np.sum([each**2 / own for each, own in zip(variances, freedoms, strict=True)], axis=0)
    found: Float64Array = np.where(total > 0, total / np.where(total > 0, below, 1), np.min(freedoms, axis=0))
    return found


def _shares(
    own: NDArray[np.bool_], placed: Float64Array, units: Int64Array, n_units: int
) -> tuple[Float64Array, NDArray[np.bool_]]:
    """(n_units, k): sums over a class's rows of the deviation from its mean over its size; and which units have it."""
    deviations = (placed[own] - placed[own].mean(axis=0)) / np.count_nonzero(own)
    columns = [np.bincount(units[own], weights=column, minlength=n_units) for column in deviations.T]
    return np.column_stack(columns), np.bincount(units[own], minlength=n_units) > 0
