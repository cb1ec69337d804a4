"""Who is trained on and who is tested, and how good the predictions are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from hypoxia_hpc.analysis.metrics import binary_metrics
from hypoxia_hpc.cohorts.csvfiles import refuse
from hypoxia_hpc.config import EvaluateTable, TrainTable, parse_config
from hypoxia_hpc.errors import InputError
from hypoxia_hpc.records import Float64Array, Patient
from hypoxia_hpc.runs.cohort import split_of

TRAIN, EVALUATE = TrainTable(), EvaluateTable()


def split(
    patients: pd.DataFrame,
    fractions: tuple[float, float, float] = TRAIN.split,
    *,
    folds: int = TRAIN.folds,
    seed: int = TRAIN.seed,
) -> pd.DataFrame:
    """Patients into training, validation and test, as ``hypoxia-hpc train`` does it.

    Every patient is in one set of a fold. Classes are spread evenly over the sets, and so are tumour types within a
    class. The order of the rows does not matter.

    Args:
        patients: Columns ``patient_id`` (text, each once) and ``label`` (0, 1, or missing), and where it is known
            ``tumour_type``; ``Run.patients`` is such a table.
        fractions: Shares of train, valid and test, 0 to 1, which sum to 1. Train and test are above 0.
        folds: Above 1: cross-validation, 1 to 100. Each labelled patient is in the test set of one fold.
        seed: 0 to 2**31 - 1.

    Returns:
        Columns ``patient_id``, ``fold`` (from 0) and ``set`` ("train", "valid", "test", or "unlabelled").

    Raises:
        InputError: A column is missing, a patient occurs twice, a label is another, or there are too few patients for
            every set to have one of each class.

    Example:
        >>> hx.split(run.patients, seed=1)["set"].value_counts()
    """
    raw = {"split": tuple(fractions), "folds": folds, "seed": seed}
    return split_of(parse_config({"train": raw}, source="hx.split").train, _patients(patients))


def evaluate(
    y: ArrayLike,
    p: ArrayLike,
    groups: Sequence[Any] | NDArray[Any] | pd.Series | None = None,
    *,
    threshold: float = EVALUATE.threshold,
    bootstrap: int = EVALUATE.bootstrap,
    confidence: float = EVALUATE.confidence,
    seed: int = EVALUATE.seed,
) -> pd.DataFrame:
    """Metrics with intervals over patients, as ``hypoxia-hpc evaluate`` measures them.

    Args:
        y: (n,) labels, 0 or 1, of tiles, slides or patients.
        p: (n,) probability of label 1, 0 to 1.
        groups: (n,) the patient of each row. Intervals draw whole patients with all their rows, for the tiles of one
            patient are not independent. Default: every row is a patient.
        threshold: A probability above this is called 1.
        bootstrap: Number of resamples, 100 to 1,000,000.
        confidence: Share of the resamples that an interval holds, above 0.5 and below 1.
        seed: Seed of the resampling, 0 or more.

    Returns:
        A row for each metric (index ``metric``: accuracy, f1_0, f1_1, f1_micro, f1_macro, roc_auc), columns ``value``,
        ``low``, ``high`` (0 to 1, NaN where it is not defined) and ``n`` (rows).

    Raises:
        InputError: Other labels or probabilities, or arrays of other lengths.

    Example:
        >>> hx.evaluate([0, 1, 1], [0.2, 0.7, 0.9], groups=["A", "B", "B"]).loc["roc_auc", "value"]
        1.0
    """
    raw = {"threshold": threshold, "bootstrap": bootstrap, "confidence": confidence, "seed": seed}
    table = parse_config({"evaluate": raw}, source="hx.evaluate").evaluate
    return _measured(*_of_one_length(y, p, groups), table)


def _of_one_length(
    y: ArrayLike, p: ArrayLike, groups: Sequence[Any] | NDArray[Any] | pd.Series | None
) -> tuple[NDArray[Any], Float64Array, NDArray[np.object_]]:
    """Labels, probabilities and the patient of each row, all (n,)."""
    labels, probabilities = np.asarray(y), np.asarray(p, dtype=np.float64)
    names = np.asarray(range(labels.size) if groups is None else groups, dtype=object)
    if not labels.shape == probabilities.shape == names.shape or labels.ndim != 1:
        raise InputError(
            f"y {labels.shape}, p {probabilities.shape} and groups {names.shape}: must be (n,), of one length",
            remedy="of predict_proba give the column of class 1: predict_proba(bags)[:, 1]",
        )
    return labels, probabilities, names


def _measured(
    labels: NDArray[Any], probabilities: Float64Array, names: NDArray[np.object_], table: EvaluateTable
) -> pd.DataFrame:
    measured = binary_metrics(
        labels,
        probabilities,
        names,
        threshold=table.threshold,
        bootstrap=table.bootstrap,
        confidence=table.confidence,
        seed=table.seed,
    )
    frame = pd.DataFrame({name: asdict(interval) for name, interval in measured.items()}).T
    return frame.astype({"value": float, "low": float, "high": float, "n": int}).rename_axis("metric")


def _patients(table: pd.DataFrame) -> list[Patient]:
    missing = [name for name in ("patient_id", "label") if name not in table]
    refuse("the table of patients lacks columns", missing, "see Run.patients")
    types = table["tumour_type"].fillna("") if "tumour_type" in table else [""] * len(table)
    rows = list(zip(table["patient_id"], table["label"], types, strict=True))
    wrong = [f"{who}: {label!r}" for who, label, _ in rows if not _is_label(label)]
    refuse("labels that are not 0, 1 or missing", wrong, "give NA or None where the label is not known")
    return [Patient(str(who), None if pd.isna(label) else int(label), str(kind)) for who, label, kind in rows]


def _is_label(label: Any) -> bool:
    return bool(pd.isna(label)) or label in (0, 1)
