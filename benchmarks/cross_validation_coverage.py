"""How often does the interval of the pooled area of a cross-validation hold 1/2 where there is no signal, and how often
those of a predicted score what they are on average?

    python benchmarks/cross_validation_coverage.py            # writes cross_validation_coverage.json

Patients with random features and random labels, a logistic regression in k folds, the area under the ROC curve of all
test patients together: with the interval for as many independent patients, and with `folds_factor`. The same of scores
by a ridge regression, without a signal and with one.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression, Ridge

from hypoxia_hpc.analysis.auc_intervals import auc_interval
from hypoxia_hpc.analysis.measures import score_intervals
from hypoxia_hpc.analysis.scores import SCORE_METRICS

COHORTS = 1000
SCORE_COHORTS, RESAMPLES = 200, 400
SCORE_CELLS = ((60, 16, 10), (100, 16, 5), (200, 16, 5))
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


def pooled_scores(n: int, d: int, k: int, signal: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores of n patients with d features, and what a model of the other folds says of each."""
    generator = np.random.default_rng([n, d, k, seed])
    features = generator.normal(size=(n, d))
    scores = generator.normal(size=n) + signal * features[:, 0]
    fold, said = generator.permutation(np.arange(n) % k), np.empty(n)
    for number in range(k):
        test = fold == number
        said[test] = Ridge().fit(features[~test], scores[~test]).predict(features[test])
    return scores, said


def score_cells(n: int, d: int, k: int, signal: float) -> list[dict[str, float | str]]:
    """Of each metric of a score: shares of cohorts whose interval holds its mean over the cohorts."""
    found: dict[int, np.ndarray] = {}
    for folds in (1, k):
        rows = [
            score_intervals(
                *pooled_scores(n, d, k, signal, seed), confidence=0.95, bootstrap=RESAMPLES, seed=0, folds=folds
            )
            for seed in range(SCORE_COHORTS)
        ]
        found[folds] = np.array([[(row[m].low, row[m].value, row[m].high) for m in SCORE_METRICS] for row in rows])
    cells = []
    for number, metric in enumerate(SCORE_METRICS):
        mean = float(found[1][:, number, 1].mean())
        holds = {
            folds: float(((each[:, number, 0] <= mean) & (mean <= each[:, number, 2])).mean())
            for folds, each in found.items()
        }
        cells.append(
            {
                "patients": n,
                "features": d,
                "folds": k,
                "signal": signal,
                "metric": metric,
                "covered": holds[1],
                "covered_with_factor": holds[k],
                "mean": round(mean, 4),
            }
        )
    return cells


def main() -> None:
    """Every cell, printed and written beside this file."""
    found = [cell(*one) for one in CELLS]
    for one in found:
        print(one)
    target = Path(__file__).with_suffix(".json")
    scores = [one for cells in SCORE_CELLS for signal in (0.0, 1.0) for one in score_cells(*cells, signal)]
    table = {"cohorts": COHORTS, "cells": found, "score_cohorts": SCORE_COHORTS, "scores": scores}
    target.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
