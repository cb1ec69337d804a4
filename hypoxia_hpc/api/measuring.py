"""How good predictions are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from hypoxia_hpc.analysis.calls import CALL_METRICS
from hypoxia_hpc.analysis.concordance import SURVIVAL_METRICS
from hypoxia_hpc.analysis.measures import binary_intervals, class_intervals, score_intervals, survival_intervals
from hypoxia_hpc.analysis.metrics import Interval
from hypoxia_hpc.analysis.scores import SCORE_METRICS
from hypoxia_hpc.cohorts.textfiles import refuse
from hypoxia_hpc.config import EvaluateTable, parse_config
from hypoxia_hpc.config.outcome import OutcomeKind
from hypoxia_hpc.errors import InputError, some_names
from hypoxia_hpc.records import Float64Array, Int64Array

MOST_NAMED = 10
# By kind. Of classes the areas are of each against the rest, roc_auc_0, roc_auc_1, ...; so are f1_0, f1_1, ...
METRICS: Mapping[OutcomeKind, tuple[str, ...]] = {
    "binary": (
        *("prevalence", "roc_auc", "average_precision", "brier", *CALL_METRICS),
        *("calibration_intercept", "calibration_slope"),
    ),
    "classes": ("roc_auc_0", "roc_auc_macro", "top1", "balanced_accuracy", "f1_0", "f1_macro"),
    "score": SCORE_METRICS,
    "survival": SURVIVAL_METRICS,
}
Groups = Sequence[Any] | NDArray[Any] | pd.Series | None
Classes = Sequence[Any] | NDArray[Any] | None
Units = NDArray[np.object_] | None
Measured = Mapping[str, Interval]


def evaluate(
    y: ArrayLike,
    p: ArrayLike,
    groups: Groups = None,
    *,
    kind: OutcomeKind = "binary",
    classes: Classes = None,
    **settings: float,
) -> pd.DataFrame:
    """Metrics of predictions with their intervals, as ``hypoxia-hpc evaluate`` measures them.

    Args:
        y: What is known of n tiles, slides or patients: labels (n,); of "score" numbers (n,); of "survival" (n, 2), the
            time (0 or more) and event (1, or 0 for censored).
        p: What a model says: of "binary" (n,) the probability of the second class, of "classes" (n, k) that of each; of
            "score" (n,) numbers, of "survival" (n,) risks, larger for an earlier event.
        groups: (n,) the patient of each tile or slide, or the hospital of each patient: rows of one are alike, and the
            intervals go by how much groups differ. Default: every row by itself.
        kind: "binary", "classes", "score" or "survival".
        classes: (k,) labels in the order of p, as ``model.classes_``; of two the second is positive. Default: 0 to k-1.
        settings: Entries of [evaluate]: threshold, confidence; bootstrap and seed, by which r2 and mae go.

    Returns:
        A row for each metric (index ``metric``: :data:`METRICS`), columns ``value``, ``low``, ``high`` (NaN where it is
        not defined) and ``n`` (rows). A number in a name is that of a class.

    Raises:
        InputError: Other labels, probabilities or numbers, or arrays of other lengths.

    Example:
        >>> hx.evaluate([0, 1, 1], [0.2, 0.7, 0.9], groups=["A", "B", "B"]).loc["roc_auc", "value"]
        1.0
    """
    table = parse_config({"evaluate": settings}, source="hx.evaluate").evaluate
    known, said, units = np.asarray(y), np.asarray(p), None if groups is None else np.asarray(groups, dtype=object)
    _refuse_other_shapes(known, said, units, kind)
    return _frame(MEASURES[kind](known, _numbers("p", said), units, classes, table))


def _frame(measured: Measured) -> pd.DataFrame:
    frame = pd.DataFrame({name: asdict(interval) for name, interval in measured.items()}).T
    return frame.astype({"value": float, "low": float, "high": float, "n": int}).rename_axis("metric")


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
    """Raises InputError for an unknown kind, and where what is known, what is said and the units have other shapes."""
    if kind not in MEASURES:
        raise InputError(f"kind = {kind!r} is not known", remedy=f"choose one of: {', '.join(MEASURES)}")
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
        raise InputError(f"{name} has NaN or infinite values: {n:,} of them", remedy="leave these rows out")
    return numbers
