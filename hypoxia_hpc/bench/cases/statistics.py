"""Statistics of a cohort: metrics with their bootstrap, against drawing the resamples alone. One core."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from hypoxia_hpc.analysis.bootstrap import patient_weights
from hypoxia_hpc.analysis.metrics import Interval, binary_metrics
from hypoxia_hpc.bench.case import Case, Place, Prepared, require

PATIENTS, ROWS, RESAMPLES = 2000, 6000, 640
MOST_APART = 1e-12


@contextmanager
def metrics(_: Place) -> Iterator[Prepared]:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, ROWS)
    probabilities = np.clip(rng.normal(0.45 + 0.1 * labels, 0.2), 0, 1)
    patients = np.array([f"P{number:05d}" for number in rng.integers(0, PATIENTS, ROWS)], dtype=object)

    def work() -> dict[str, Interval]:
        settings = {"threshold": 0.5, "confidence": 0.95}
        return binary_metrics(labels, probabilities, patients, bootstrap=RESAMPLES, seed=1, **settings)

    def check() -> str:
        from sklearn.metrics import roc_auc_score

        found, expected = work()["roc_auc"].value, float(roc_auc_score(labels, probabilities))
        agrees = found is not None and abs(found - expected) <= MOST_APART
        require(agrees, f"the area under the curve is {found}, scikit-learn's {expected}")
        return "the area of scikit-learn"

    n_patients = len(set(patients))
    bounds = {"drawing": lambda: list(patient_weights(n_patients, RESAMPLES, 1))}
    yield Prepared(RESAMPLES, work, bounds, check)


CASES = (
    Case(
        "bootstrap", "statistics", f"metrics of {ROWS:,} rows, patients resampled", "resamples",
        "drawing the patients alone", metrics, is_steady=True,
    ),
)  # fmt: skip
