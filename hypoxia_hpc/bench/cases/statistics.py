"""Statistics of a cohort: metrics with their bootstrap, against drawing the resamples alone. One core."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from hypoxia_hpc.analysis.bootstrap import patient_weights
from hypoxia_hpc.analysis.metrics import Interval, binary_metrics
from hypoxia_hpc.bench.case import Case, Place, Prepared, require
from hypoxia_hpc.records import Float64Array, Int64Array

PATIENTS, ROWS, RESAMPLES = 2000, 6000, 640
CHECKED_RESAMPLES = 70  # more than two blocks of them
MOST_APART = 1e-12
SEED, CONFIDENCE = 1, 0.95


@contextmanager
def metrics(_: Place) -> Iterator[Prepared]:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, ROWS)
    probabilities = np.clip(rng.normal(0.45 + 0.1 * labels, 0.2), 0, 1)
    patients = np.array([f"P{number:05d}" for number in rng.integers(0, PATIENTS, ROWS)], dtype=object)

    def work(resamples: int = RESAMPLES) -> dict[str, Interval]:
        settings = {"threshold": 0.5, "confidence": CONFIDENCE}
        return binary_metrics(labels, probabilities, patients, bootstrap=resamples, seed=SEED, **settings)

    def check() -> str:
        found = work(CHECKED_RESAMPLES)["roc_auc"]
        expected = sklearn_area(labels, probabilities, patients)
        pairs = zip((found.value, found.low, found.high), expected, strict=True)
        agrees = all(mine is not None and abs(mine - theirs) <= MOST_APART for mine, theirs in pairs)
        require(agrees, f"the area under the curve and its interval are {found}, scikit-learn's {expected}")
        return f"the area of scikit-learn, and its interval over {CHECKED_RESAMPLES} resamples"

    n_patients = len(set(patients))
    bounds = {"drawing": lambda: list(patient_weights(n_patients, RESAMPLES, SEED))}
    yield Prepared(RESAMPLES, work, bounds, check)


def sklearn_area(labels: Int64Array, probabilities: Float64Array, patients: NDArray[np.object_]) -> tuple[float, ...]:
    """The area under the curve of n rows and the ends of its interval, 0..1: scikit-learn's, resample by resample,
    with patients drawn one by one."""
    from sklearn.metrics import roc_auc_score

    _, patient_of = np.unique(patients, return_inverse=True)
    n_patients, generator = int(patient_of.max()) + 1, np.random.Generator(np.random.PCG64(SEED))
    drawn = (generator.integers(0, n_patients, size=n_patients) for _ in range(CHECKED_RESAMPLES))
    weights = (np.bincount(one, minlength=n_patients)[patient_of] for one in drawn)
    areas = [roc_auc_score(labels, probabilities, sample_weight=of_rows) for of_rows in weights]
    low, high = np.quantile(areas, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(roc_auc_score(labels, probabilities)), float(low), float(high)


CASES = (
    Case(
        "bootstrap", "statistics", f"metrics of {ROWS:,} rows, patients resampled", "resamples",
        "drawing the patients alone", metrics, is_steady=True,
    ),
)  # fmt: skip
