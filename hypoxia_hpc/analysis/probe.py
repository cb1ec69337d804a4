"""Can the site be read from the features? A probe: if it can, and the site predicts the label, a model may have learnt
the site."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hypoxia_hpc.records import AnyArray, Float64Array, Int64Array

FOLDS = 5
LEAST_GROUPS = 2


@dataclass(frozen=True, slots=True)
class Probed:
    """``accuracy``: share of ``n`` patients whose group was read, cross-validated; ``majority``: the share that calling
    the commonest group of the other folds gets right; ``p``: two-sided, of both being equally often right (McNemar's
    exact test). ``left_out``: patients of groups with fewer than FOLDS patients. None where fewer than two groups are
    left."""

    accuracy: float | None
    majority: float | None
    p: float | None
    n: int
    groups: int
    left_out: int

    @property
    def readable(self) -> bool:
        """Whether the group can be read: more often than the majority, p < 0.05."""
        if self.accuracy is None or self.majority is None or self.p is None:
            return False
        return self.accuracy > self.majority and self.p < 0.05


def probe_groups(features: NDArray[np.floating], groups: Sequence[str], *, seed: int, c: float = 1.0) -> Probed:
    """Reads the group (site) of training patients from their mean features, (n, d), by a logistic regression with ridge
    penalty, cross-validated in 5 folds stratified by group. Features are standardised on the patients of the other
    folds and divided by the root of d, so that ``c`` means the same for every d. The order of the patients matters
    only through the folds.
    """
    codes, names = pd.factorize(np.asarray(groups, dtype=object), sort=True)
    kept = np.isin(codes, np.flatnonzero(np.bincount(codes, minlength=len(names)) >= FOLDS))
    n_groups, left_out = len(np.unique(codes[kept])), int(np.count_nonzero(~kept))
    if n_groups < LEAST_GROUPS:
        return Probed(None, None, None, int(kept.sum()), n_groups, left_out)
    read, guessed = _hits(np.asarray(features, dtype=np.float64)[kept], codes[kept], seed, c)
    p = mcnemar_p(int(np.count_nonzero(read & ~guessed)), int(np.count_nonzero(guessed & ~read)))
    return Probed(float(read.mean()), float(guessed.mean()), p, len(read), n_groups, left_out)


def mcnemar_p(only_one: int, only_other: int) -> float:
    """Two-sided exact p of two methods on the same patients, of the numbers that only one of them got right: binomial
    with 1/2 (McNemar 1947). 1 where there are none."""
    from scipy.stats import binomtest

    n = only_one + only_other
    return float(binomtest(only_one, n).pvalue) if n else 1.0


def _hits(features: Float64Array, codes: Int64Array, seed: int, c: float) -> tuple[AnyArray, AnyArray]:
    """(n,) each: was the patient's group read, was it the commonest of the other folds?"""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold

    read, guessed = np.zeros(len(codes), dtype=bool), np.zeros(len(codes), dtype=bool)
    for others, own in StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(features, codes):
        train, asked = _turned(features[others], features[own])
        model = LogisticRegression(C=c, max_iter=2000).fit(train, codes[others])
        read[own] = model.predict(asked) == codes[own]
        guessed[own] = codes[own] == np.bincount(codes[others]).argmax()
    return read, guessed


def _turned(train: Float64Array, asked: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Standardised on ``train`` (n, d), and turned to its n directions at most: a ridge penalty sees no difference, and
    with n below d the fit is that much quicker."""
    mean, scale = train.mean(axis=0), train.std(axis=0)
    scale = np.where(scale > 0, scale, 1) * np.sqrt(train.shape[1])
    train, asked = (train - mean) / scale, (asked - mean) / scale
    directions = np.linalg.svd(train, full_matrices=False)[2].T
    return train @ directions, asked @ directions
