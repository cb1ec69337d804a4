"""How often does the interval of the pooled area of a cross-validation hold 1/2 where there is no signal?

    python benchmarks/cross_validation_coverage.py            # writes cross_validation_coverage.json

Patients with random features and random labels, a logistic regression in k folds, the area under the ROC curve of all
test patients together: with the interval for as many independent patients, and with `folds_factor`.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression

from hypoxia_hpc.analysis.auc_intervals import auc_interval

COHORTS = 1000
CELLS = ((60, 16, 10), (100, 2, 5), (100, 16, 5), (200, 16, 5), (200, 100, 5), (500, 16, 5))


def pooled(n: int, d: int, k: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels of n patients with d features, and what a model of the other folds says of each."""
    generator = np.random.default_rng([n, d, k, seed])
    labels = generator.permutation(np.arange(n) % 2)
    features = generator.normal(size=(n, d))
    fold = np.empty(n, dtype=np.int64)
    for label in (0, 1):
        own = np.flatnonzero(labels == label)
        fold[own] = generator.permutation(np.arange(len(own)) % k)
    said = np.empty(n)
    for number in range(k):
        test = fold == number
        model = LogisticRegression(max_iter=500).fit(features[~test], labels[~test])
        said[test] = model.predict_proba(features[test])[:, 1]
    return labels, said


def cell(n: int, d: int, k: int) -> dict[str, float]:
    """Shares of cohorts whose interval holds 1/2, and how much the area varies against what either interval thinks."""
    areas, holds = [], {1: 0, k: 0}
    for seed in range(COHORTS):
        labels, said = pooled(n, d, k, seed)
        for folds in holds:
            found = auc_interval(labels, said, confidence=0.95, folds=folds)
            holds[folds] += found.low <= 0.5 <= found.high
        areas.append(found.value)
    return {
        "patients": n,
        "features": d,
        "folds": k,
        "covered": holds[1] / COHORTS,
        "covered_with_factor": holds[k] / COHORTS,
        "mean_area": round(float(np.mean(areas)), 4),
        "deviation": round(float(np.std(areas)), 4),
    }


def main() -> None:
    """Every cell, printed and written beside this file."""
    found = [cell(*one) for one in CELLS]
    for one in found:
        print(one)
    target = Path(__file__).with_suffix(".json")
    target.write_text(json.dumps({"cohorts": COHORTS, "cells": found}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
