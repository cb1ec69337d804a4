"""What a model is worth to patients that it has not seen, from those that it was made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from hypoxia_hpc.records import AnyArray, Float64Array, Int64Array

# Takes the rows that a model is made of, and two sets of rows that it is measured on; gives the measures on either,
# (metrics,) each; NaN where there is no model.
Measure = Callable[[Int64Array, Int64Array], tuple[Float64Array, Float64Array]]


class Corrected(NamedTuple):
    """(metrics,) each: of the model of all patients, on them; by how much that is too good; and what is left.
    ``n_resamples``: in how many a model could be made."""

    apparent: Float64Array
    optimism: Float64Array
    corrected: Float64Array
    n_resamples: int


def corrected(measure: Measure, event: AnyArray, n_resamples: int, seed: int) -> Corrected:
    """Harrell's bootstrap (Harrell, Lee and Mark 1996): the whole making of the model, screen included, is repeated on
    patients drawn with replacement; its figure there less its figure on all patients, on average, is the optimism.

    ``measure(drawn, everyone)`` makes the model of the rows ``drawn`` and measures it on those and on ``everyone``.
    ``event`` (n,): a draw without an event is drawn again.
    """
    everyone = np.arange(len(event))
    apparent = measure(everyone, everyone)[0]
    gaps = []
    for drawn in draws(event, n_resamples, seed):
        on_drawn, on_everyone = measure(drawn, everyone)
        gaps.append(on_drawn - on_everyone)
    found = np.array(gaps).reshape(len(gaps), len(apparent))
    known = ~np.isnan(found)
    n_known = known.sum(axis=0)
    mean = np.where(n_known > 0, np.where(known, found, 0).sum(axis=0) / np.maximum(n_known, 1), np.nan)
    return Corrected(apparent, mean, apparent - mean, int(n_known.min(initial=len(gaps))))


def draws(event: AnyArray, n_resamples: int, seed: int) -> Iterator[Int64Array]:
    """Rows drawn with replacement, (n,) each, with an event in each; the same for the same seed."""
    generator = np.random.default_rng(seed)
    had = np.asarray(event) == 1
    for _ in range(n_resamples if had.any() else 0):
        drawn = generator.integers(0, len(had), len(had))
        while not had[drawn].any():
            drawn = generator.integers(0, len(had), len(had))
        yield drawn.astype(np.int64)


def dealt_folds(event: AnyArray, n_folds: int, seed: int) -> Int64Array:
    """The fold of each patient, 0 to ``n_folds`` - 1, (n,): as many events in each as can be, and as many others."""
    generator = np.random.default_rng(seed)
    had = np.asarray(event) == 1
    folds = np.empty(len(had), dtype=np.int64)
    dealt = 0
    for mine in (np.flatnonzero(had), np.flatnonzero(~had)):
        folds[generator.permutation(mine)] = (dealt + np.arange(len(mine))) % n_folds
        dealt += len(mine)
    return folds
