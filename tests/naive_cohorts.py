"""Slow, obvious twins of cohorts and analysis."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict

import numpy as np
from sklearn.metrics import accuracy_score, f1_score, roc_auc_score


def hypoxia_label(scores, rule):
    """patient_id -> (label, score), with the standard library, row by row."""
    rows = [
        (row.patient_id, row.Buffa_hypoxia_score_pan_cancer, row.Buffa_hypoxia_score_intra_tumour_type, row.tumour_type)
        for row in scores.itertuples()
    ]
    ids = {row[0] for row in rows}
    base = [row for row in rows if not (row[0][-2:] in (".1", ".2") and row[0][:-2] in ids)]
    everyone = statistics.median(row[1] for row in rows)
    displacements = {}
    for patient, pan, intra, tumour_type in base:
        of_type = statistics.median(row[1] for row in base if row[3] == tumour_type)
        displacement = {"type-median": pan - of_type, "pan-median": pan - everyone, "intra": intra}[rule]
        displacements[patient.replace(".", "-")] = (displacement, tumour_type)
    largest = defaultdict(float)
    for displacement, tumour_type in displacements.values():
        largest[tumour_type] = max(largest[tumour_type], abs(displacement))
    return {p: (int(d > 0), d / largest[t] if largest[t] else 0.0) for p, (d, t) in displacements.items()}


def pooled(tiles, level):
    """id -> (mean probability, number of tiles), with exact sums."""
    by_id = defaultdict(list)
    for row in tiles.itertuples():
        by_id[getattr(row, f"{level}_id")].append(row.probability)
    return {name: (math.fsum(values) / len(values), len(values)) for name, values in by_id.items()}


def metric_values(labels, probabilities, threshold):
    """scikit-learn's metrics of these rows; roc_auc NaN with one class."""
    called = (probabilities > threshold).astype(int)
    f1_0, f1_1 = f1_score(labels, called, labels=[0, 1], average=None, zero_division=0)
    return {
        "accuracy": accuracy_score(labels, called),
        "f1_0": f1_0,
        "f1_1": f1_1,
        "f1_micro": f1_score(labels, called, labels=[0, 1], average="micro", zero_division=0),
        "f1_macro": f1_score(labels, called, labels=[0, 1], average="macro", zero_division=0),
        "roc_auc": roc_auc_score(labels, probabilities) if len(set(labels)) == 2 else math.nan,
    }


def binary_metrics(labels, probabilities, patient_ids, *, threshold, bootstrap, confidence, seed):
    """metric -> (value, low, high): the drawn patients' rows are put one after another and measured."""
    names = sorted(set(patient_ids))
    rows_of = [np.flatnonzero(np.asarray(patient_ids) == name) for name in names]
    generator = np.random.Generator(np.random.PCG64(seed))
    resampled = []
    for _ in range(bootstrap):
        rows = np.concatenate([rows_of[i] for i in generator.integers(0, len(names), size=len(names))])
        resampled.append(metric_values(labels[rows], probabilities[rows], threshold))
    result = {}
    for name, value in metric_values(labels, probabilities, threshold).items():
        defined = [each[name] for each in resampled if not math.isnan(each[name])]
        tail = 100 * (1 - confidence) / 2
        result[name] = (value, np.percentile(defined, tail), np.percentile(defined, 100 - tail))
    return result
