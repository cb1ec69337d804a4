"""What needs no image, or no more than its colour: the predictions to set beside a model's.

Each is learnt from training patients alone.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hypoxia_hpc.analysis.bootstrap import rank_order, twice_concordant
from hypoxia_hpc.analysis.rows import Statistic, as_objects, class_counts, divided, group_codes
from hypoxia_hpc.errors import InputError
from hypoxia_hpc.records import Float64Array, Int64Array

# A group counts as if it had this many patients more, of the shares of all of training.
PRIOR_PATIENTS = 5


def majority_class(train_labels: NDArray[np.integer], n_classes: int = 2) -> int:
    """The class with most training patients, of several the first. Labels (n,) in 0..n_classes-1."""
    return int(_counts(train_labels, n_classes).argmax())


def group_shares(
    train_labels: NDArray[np.integer],
    train_groups: Sequence[Hashable],
    groups: Sequence[Hashable],
    n_classes: int = 2,
) -> Float64Array:
    """(len(groups), n_classes): the share of each class among the training patients of the same group (tumour type,
    site, or a tuple of both), shrunk to that of all training patients: (k + 5 · prior) / (n + 5), k of n patients of
    the group. A group without training patients has the prior. Of two classes column 1 is the probability of label 1.

    Raises InputError without training patients.
    """
    counts = _counts(train_labels, n_classes)
    prior = counts / counts.sum()
    # Of objects one by one: a tuple is a group, not a row of a table.
    codes, known = pd.factorize(as_objects(train_groups))
    k = class_counts(train_labels, codes.astype(np.int64), len(known), n_classes)
    shares = (k + PRIOR_PATIENTS * prior) / (k.sum(axis=1, keepdims=True) + PRIOR_PATIENTS)
    places = pd.Index(known, tupleize_cols=False).get_indexer(pd.Index(as_objects(groups), tupleize_cols=False))
    return np.vstack([shares, prior])[places]  # a group that is not known has place -1: the last


def fitted_on_values(
    train_labels: NDArray[np.integer],
    train_values: NDArray[np.floating],
    values: NDArray[np.floating],
    n_classes: int = 2,
) -> Float64Array:
    """(m, n_classes): probabilities of a logistic regression (scikit-learn's, C = 1) on values of training patients
    (n, k): the number of tiles, one channel of the mean colour, the share of background. Values are standardised on
    training patients; NaN counts as their mean. A class without training patients has probability 0."""
    from sklearn.linear_model import LogisticRegression

    counts = _counts(train_labels, n_classes)
    found = np.zeros((len(values), n_classes))
    if np.count_nonzero(counts) == 1:
        found[:, counts.argmax()] = 1
        return found
    train, asked = _standardised(train_values, values)
    model = LogisticRegression(max_iter=1000).fit(train, train_labels)
    if len(asked):
        found[:, model.classes_] = model.predict_proba(asked)
    return found


def group_means(
    train_values: NDArray[np.floating], train_groups: Sequence[Hashable], groups: Sequence[Hashable]
) -> Float64Array:
    """(len(groups),): the mean number of the training patients of the same group, shrunk to that of all of them as
    `group_shares` does. ``train_values`` (n,). Raises InputError without training patients."""
    values = _known(train_values).astype(np.float64)
    sums, sizes, places = _by_group(values, train_groups, groups)
    mean = float(values.mean())
    return np.append((sums + PRIOR_PATIENTS * mean) / (sizes + PRIOR_PATIENTS), mean)[places]


def group_log_rates(
    train_time: NDArray[np.floating],
    train_event: NDArray[np.integer],
    train_groups: Sequence[Hashable],
    groups: Sequence[Hashable],
) -> Float64Array:
    """(len(groups),): the logarithm of the rate of events (events over follow-up, the hazard of an exponential model)
    of the training patients of the same group, as if the group had PRIOR_PATIENTS more with the mean follow-up and the
    rate of all. ``train_time`` of any unit, ``train_event`` 0 or 1, (n,). Without events everywhere, 0. Raises
    InputError without training patients."""
    time, event = _known(train_time).astype(np.float64), np.asarray(train_event, dtype=np.float64)
    events, _, places = _by_group(event, train_groups, groups)
    followed, _, _ = _by_group(time, train_groups, groups)
    mean_time, mean_event = float(time.mean()), float(event.mean())
    if mean_time <= 0 or mean_event <= 0:
        return np.zeros(len(groups))
    rates = (events + PRIOR_PATIENTS * mean_event) / (followed + PRIOR_PATIENTS * mean_time)
    found: Float64Array = np.log(np.append(rates, mean_event / mean_time))[places]
    return found


def fitted_numbers(
    train_numbers: NDArray[np.floating], train_values: NDArray[np.floating], values: NDArray[np.floating]
) -> Float64Array:
    """(m,): numbers by a ridge regression (scikit-learn's, alpha = 1) on values of training patients (n, k), as
    `fitted_on_values` takes them."""
    from sklearn.linear_model import Ridge

    train, asked = _standardised(train_values, values)
    model = Ridge(alpha=1.0).fit(train, _known(train_numbers))
    found: Float64Array = model.predict(asked) if len(asked) else np.zeros(0)
    return found


def fitted_log_rates(
    train_time: NDArray[np.floating],
    train_event: NDArray[np.integer],
    train_values: NDArray[np.floating],
    values: NDArray[np.floating],
) -> Float64Array:
    """(m,): the logarithm of the rate of events by an exponential regression on values of training patients (n, k):
    events over follow-up by a Poisson regression (scikit-learn's, alpha = 0.01) with the follow-up as weight, which
    has the same likelihood. Follow-ups of 0 are left out; without events everywhere, 0."""
    from sklearn.linear_model import PoissonRegressor

    time, event = _known(train_time).astype(np.float64), np.asarray(train_event, dtype=np.float64)
    followed = time > 0
    if not event[followed].any():
        return np.zeros(len(values))
    train, asked = _standardised(train_values, values)
    unit = float(time[followed].mean())
    model = PoissonRegressor(alpha=0.01, max_iter=1000)
    model.fit(train[followed], event[followed] / (time[followed] / unit), sample_weight=time[followed] / unit)
    found: Float64Array = asked @ model.coef_ + model.intercept_ - np.log(unit)
    return found


def within_statistic(
    labels: NDArray[np.integer],
    probabilities: NDArray[np.floating],
    groups: Sequence[Hashable],
    units: Int64Array,
    n_units: int,
) -> Statistic:
    """The area under the ROC curve within groups (tumour types, sites): of all pairs of a positive and a negative row
    of the same group, the share in which the former ranks higher, ties half. What tells groups apart cannot raise it.
    NaN where no group has both classes."""
    codes = group_codes(groups)
    parts = []
    for code in range(codes.max(initial=-1) + 1):
        rows = np.flatnonzero(codes == code)
        own, own_units = np.asarray(labels)[rows], units[rows]
        if 0 < np.count_nonzero(own == 1) < len(own):
            order, begins = rank_order(own, np.asarray(probabilities)[rows])
            parts.append((own[order] == 1, begins, own_units[order], class_counts(own, own_units, n_units)))

    def measure(weights: Float64Array) -> Float64Array:
        twice, pairs = np.zeros(weights.shape[1]), np.zeros(weights.shape[1])
        for positive, begins, own_units, counts in parts:
            twice += twice_concordant(positive, begins, own_units, weights)
            drawn = weights.T @ counts
            pairs += drawn[:, 0] * drawn[:, 1]
        return divided(twice, 2 * pairs)[:, None]

    return measure


def paired_rows(labels: NDArray[np.integer], groups: Sequence[Hashable]) -> NDArray[np.bool_]:
    """(n,): is the row in a group that has both classes, and so in a pair of `within_statistic`?"""
    codes = group_codes(groups)
    counts = class_counts(labels, codes, codes.max(initial=-1) + 1)
    both = (counts[:, 0] > 0) & (counts[:, 1] > 0)
    return both[codes]


def _by_group(
    values: Float64Array, train_groups: Sequence[Hashable], groups: Sequence[Hashable]
) -> tuple[Float64Array, Float64Array, Int64Array]:
    """Sum of ``values`` and number of patients of each group of training, and the place of each of ``groups`` among
    them, -1 where it is none."""
    codes, known = pd.factorize(as_objects(train_groups))
    sums = np.bincount(codes, weights=values, minlength=len(known)).astype(np.float64)
    sizes = np.bincount(codes, minlength=len(known)).astype(np.float64)
    places = pd.Index(known, tupleize_cols=False).get_indexer(pd.Index(as_objects(groups), tupleize_cols=False))
    return sums, sizes, places.astype(np.int64)


def _known(train: NDArray[Any]) -> NDArray[Any]:
    """As it is. Raises InputError without training patients."""
    if len(train) == 0:
        raise InputError("no training patient has a label", remedy="give labels in patients.csv and train again")
    return np.asarray(train)


def _counts(labels: NDArray[np.integer], n_classes: int) -> Int64Array:
    return np.bincount(_known(labels).astype(np.int64), minlength=n_classes)


def _standardised(train: NDArray[np.floating], asked: NDArray[np.floating]) -> tuple[Float64Array, Float64Array]:
    """Both with the mean and the deviation of ``train`` (n, k); a column without any value there is 0."""
    known = ~np.isnan(train)
    n = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, train, 0).sum(axis=0, dtype=np.float64) / n
    spread = np.sqrt((np.where(known, train - mean, 0) ** 2).sum(axis=0) / n)
    scale = np.where(spread > 0, spread, 1)
    return np.nan_to_num((train - mean) / scale), np.nan_to_num((asked - mean) / scale)
