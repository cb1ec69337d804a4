"""How good predictions are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, get_args

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from hypoxia_hpc.analysis.measures import binary_intervals, class_intervals, score_intervals, survival_intervals
from hypoxia_hpc.analysis.metrics import Interval
from hypoxia_hpc.cohorts.csvfiles import refuse
from hypoxia_hpc.config import EvaluateTable, parse_config
from hypoxia_hpc.config.outcome import OutcomeKind
from hypoxia_hpc.errors import InputError, some_names
from hypoxia_hpc.records import Float64Array, Int64Array

EVALUATE = EvaluateTable()
MOST_NAMED = 10
Groups = Sequence[Any] | NDArray[Any] | pd.Series | None
Classes = Sequence[Any] | NDArray[Any] | None


def evaluate(
    y: ArrayLike,
    p: ArrayLike,
    groups: Groups = None,
    *,
    kind: OutcomeKind = "binary",
    classes: Classes = None,
    threshold: float = EVALUATE.threshold,
    bootstrap: int = EVALUATE.bootstrap,
    confidence: float = EVALUATE.confidence,
    seed: int = EVALUATE.seed,
) -> pd.DataFrame:
    """Metrics of predictions with their intervals, as ``hypoxia-hpc evaluate`` measures them.

    Args:
        y: What is known of tiles, slides or patients: of "binary" and "classes" (n,) labels, of "score" (n,) numbers,
            of "survival" (n, 2) time (0 or more) and event (1, or 0 for censored).
        p: What a model says: of "binary" (n,) the probability of the second class, 0 to 1; of "classes" (n, k) that of
            each; of "score" (n,) numbers; of "survival" (n,) risks, larger for an earlier event.
        groups: (n,) the unit of each row: the patient, of several tiles or slides, or the hospital, of patients who are
            alike within one. Rows of one unit are not independent, and the intervals go by how much units differ.
            Default: every row is a unit.
        kind: "binary", "classes", "score" or "survival".
        classes: (k,) the labels in the order of the columns of p; of two, the second is the positive one. Default: 0
            and 1, or 0 to k - 1. ``model.classes_`` of an estimator.
        threshold: Of "binary": a probability above this is called the second class.
        bootstrap: Number of resamples for the intervals of r2 and mae, 100 to 1,000,000; all others need none.
        confidence: Of the intervals, above 0.5 and below 1.
        seed: Seed of the resampling, 0 or more.

    Returns:
        A row for each metric (index ``metric``), columns ``value``, ``low``, ``high`` (NaN where it is not defined) and
        ``n`` (rows). "binary": prevalence, roc_auc, average_precision, brier, accuracy, balanced_accuracy, f1_0, f1_1,
        f1_micro, f1_macro, mcc, sensitivity, specificity, ppv, npv, calibration_intercept, calibration_slope.
        "classes": roc_auc_0, ... (each against the rest), roc_auc_macro, top1, balanced_accuracy, f1_0, ..., f1_macro.
        "score": spearman, r2, mae. "survival": harrell, uno.

    Raises:
        InputError: Other labels, probabilities or numbers, or arrays of other lengths.

    Example:
        >>> hx.evaluate([0, 1, 1], [0.2, 0.7, 0.9], groups=["A", "B", "B"]).loc["roc_auc", "value"]
        1.0
    """
    raw = {"threshold": threshold, "bootstrap": bootstrap, "confidence": confidence, "seed": seed}
    table = parse_config({"evaluate": raw}, source="hx.evaluate").evaluate
    if kind not in get_args(OutcomeKind):
        raise InputError(f"kind = {kind!r} is not known", remedy=f"choose one of: {', '.join(get_args(OutcomeKind))}")
    known, said = np.asarray(y), np.asarray(p)
    units = None if groups is None else np.asarray(groups, dtype=object)
    _refuse_other_shapes(known, said, units, kind)
    measured = MEASURES[kind](known, _numbers("p", said), units, classes, table)
    frame = pd.DataFrame({name: asdict(interval) for name, interval in measured.items()}).T
    return frame.astype({"value": float, "low": float, "high": float, "n": int}).rename_axis("metric")


Units = NDArray[np.object_] | None
Measured = Mapping[str, Interval]


def _binary(y: NDArray[Any], p: Float64Array, units: Units, classes: Classes, table: EvaluateTable) -> Measured:
    labels = _codes(y, (0, 1) if classes is None else classes, 2)
    return binary_intervals(labels, p, threshold=table.threshold, confidence=table.confidence, units=units)


def _classes(y: NDArray[Any], p: Float64Array, units: Units, classes: Classes, table: EvaluateTable) -> Measured:
    labels = _codes(y, range(p.shape[1]) if classes is None else classes, p.shape[1])
    outside = np.unique(p[(p < 0) | (p > 1)])
    refuse(
        "probabilities that are not in 0..1", [repr(float(one)) for one in outside[:MOST_NAMED]], "see predict_proba"
    )
    return class_intervals(labels, p, confidence=table.confidence, units=units)


def _score(y: NDArray[Any], p: Float64Array, units: Units, _: Classes, table: EvaluateTable) -> Measured:
    resampling = {"bootstrap": table.bootstrap, "seed": table.seed}
    return score_intervals(_numbers("y", y), p, confidence=table.confidence, units=units, **resampling)


def _survival(y: NDArray[Any], p: Float64Array, units: Units, _: Classes, table: EvaluateTable) -> Measured:
    time, event = _numbers("y", y).T
    wrong = [f"{one!r}" for one in np.unique(time[time < 0]).tolist()[:MOST_NAMED]]
    refuse("times of follow-up that are below 0", wrong, "y is (n, 2): time, event")
    wrong = [f"{one!r}" for one in np.unique(event[~np.isin(event, (0, 1))]).tolist()[:MOST_NAMED]]
    refuse("events that are neither 0 nor 1", wrong, "y is (n, 2): time, event")
    return survival_intervals(time, event.astype(np.int64), p, confidence=table.confidence, units=units)


MEASURES: Mapping[OutcomeKind, Callable[[NDArray[Any], Float64Array, Units, Classes, EvaluateTable], Measured]] = {
    "binary": _binary,
    "classes": _classes,
    "score": _score,
    "survival": _survival,
}


def _refuse_other_shapes(y: NDArray[Any], p: NDArray[Any], units: Units, kind: OutcomeKind) -> None:
    """Raises InputError where what is known, what is said and the units are not of the shapes of this kind."""
    of_y = "(n, 2)" if kind == "survival" else "(n,)"
    of_p = "(n, k)" if kind == "classes" else "(n,)"
    is_right = _is(y, of_y) and _is(p, of_p) and (units is None or _is(units, "(n,)"))
    if not is_right or len({len(one) for one in (y, p, units) if one is not None}) > 1:
        groups = "" if units is None else f" and groups {units.shape}"
        raise InputError(
            f"y {y.shape}, p {p.shape}{groups}: must be {of_y}, {of_p} and (n,), of one length, for kind = {kind!r}",
            remedy="of predict_proba of two classes give the column of the second: predict_proba(bags)[:, 1]",
        )


def _is(values: NDArray[Any], shape: str) -> bool:
    return values.ndim == 1 if shape == "(n,)" else values.ndim == 2 and (shape == "(n, k)" or values.shape[1] == 2)


def _codes(y: NDArray[Any], classes: Sequence[Any] | NDArray[Any] | range, n: int) -> Int64Array:
    """The number of each label's class, (n,). Raises InputError for labels that are none of them."""
    names = list(classes)
    if len(names) != n or len(set(names)) != n:
        raise InputError(f"classes has {len(names)} names, {n} different ones are needed", remedy="see model.classes_")
    number_of = {name: number for number, name in enumerate(names)}
    strange = [repr(one) for one in dict.fromkeys(y.tolist()) if one not in number_of]
    if strange:
        raise InputError(
            f"labels that are none of {some_names([repr(name) for name in names])}",
            offending=strange[:MOST_NAMED],
            remedy="name the labels: classes=[...], in the order of the probabilities",
        )
    return np.array([number_of[label] for label in y.tolist()], dtype=np.int64)


def _numbers(name: str, values: NDArray[Any]) -> Float64Array:
    """As float64. Raises InputError for what is no finite number."""
    try:
        numbers = values.astype(np.float64)
    except (TypeError, ValueError):
        raise InputError(
            f"{name} has values that are no numbers: {values.dtype}", remedy="leave these rows out"
        ) from None
    if not np.isfinite(numbers).all():
        n = int((~np.isfinite(numbers)).sum())
        raise InputError(f"{n} values of {name} are NaN or infinite", remedy="leave these rows out")
    return numbers
