"""What ``evaluate`` and ``predict`` show."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypoxia_hpc.cli.text.words import table

if TYPE_CHECKING:
    from hypoxia_hpc.records import Json
    from hypoxia_hpc.stages.predict import Predicted

HEADLINE_METRICS = {
    "roc_auc": "AUC",
    "accuracy": "accuracy",
    "f1_1": "F1 hypoxic",
    "f1_0": "F1 normoxic",
    "f1_macro": "F1 macro",
}


def metrics_table(metrics: Json) -> str:
    """Models by metrics of the test patients, each value with its interval; slide and tile AUC beside them, and of a
    cross-validation the AUC of its folds."""
    rows, folds = [], metrics.get("folds", {})
    for model, sets in metrics["models"].items():
        levels = sets.get("test", {})
        cells = [_interval(levels.get("patient", {}).get(name)) for name in HEADLINE_METRICS]
        others = [_value(levels.get(level, {}).get("roc_auc")) for level in ("slide", "tile")]
        rows.append([model, *cells, *others, *([_span(folds.get(model, {}))] if folds else [])])
    n = max((count for count in map(_patients, metrics["models"].values()) if count), default=0)
    if not n:
        return "no labelled test patient has features (all their slides are quarantined): nothing to measure"
    n_folds = max(map(len, folds.values()), default=0)
    header = [f"{n} test patients", *HEADLINE_METRICS.values(), "slide AUC", "tile AUC"]
    return table([*header, f"AUC of {n_folds} folds"] if folds else header, rows)


def _span(folds: Json) -> str:
    """Smallest and largest patient AUC of the folds' test sets."""
    areas = [sets.get("test", {}).get("patient", {}).get("roc_auc", {}).get("value") for sets in folds.values()]
    known = [area for area in areas if area is not None]
    return f"{min(known):.2f} to {max(known):.2f}" if known else "-"


def _patients(sets: Json) -> int:
    return int(sets.get("test", {}).get("patient", {}).get("accuracy", {}).get("n", 0))


def _interval(metric: Json | None) -> str:
    if metric is None or metric["value"] is None:
        return "-"
    if metric["low"] is None:
        return f"{metric['value']:.2f}"
    return f"{metric['value']:.2f} ({metric['low']:.2f}-{metric['high']:.2f})"


def _value(metric: Json | None) -> str:
    return "-" if metric is None or metric["value"] is None else f"{metric['value']:.2f}"


def predictions_table(done: Predicted) -> str:
    """A line for each patient and model."""
    patients = done.patients.sort_values(["id"], kind="stable")
    rows = [
        [str(patient_id), str(model), f"{probability:.3f}", _call(probability, done.threshold), f"{n_tiles:,}"]
        for patient_id, model, probability, n_tiles in zip(
            patients["id"], patients["model"], patients["probability"], patients["n_tiles"], strict=True
        )
    ]
    return table(["patient", "model", "probability", f"called (above {done.threshold:g})", "tiles"], rows)


def _call(probability: float, threshold: float) -> str:
    return "hypoxic" if probability > threshold else "normoxic"
