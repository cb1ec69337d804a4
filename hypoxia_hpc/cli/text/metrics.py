"""What ``evaluate`` and ``predict`` show."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypoxia_hpc.cli.text.words import table

if TYPE_CHECKING:
    from hypoxia_hpc.records import Json
    from hypoxia_hpc.stages.predict import Outside

# What is shown of each metric, in this order; those that an outcome has.
SHOWN_METRICS = {
    "roc_auc": "AUC",
    "roc_auc_macro": "macro AUC",
    "spearman": "Spearman",
    "harrell": "concordance",
    "average_precision": "average precision",
    "accuracy": "accuracy",
    "top1": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "f1_macro": "F1 macro",
    "r2": "R²",
    "mae": "mean absolute error",
    "uno": "concordance (Uno)",
    "brier": "Brier score",
}
AS_WIDE_AS = 4  # metrics in a table, the headline first


def metrics_text(metrics: Json) -> str:
    """What evaluate found: warnings on top, then a table of test patients, then the words that tests allow."""
    warned = [f"warning: {one['text']}" for one in metrics["warnings"]]
    parts = ["\n".join(warned), metrics_table(metrics), "\n".join(_verdicts(metrics))]
    return "\n\n".join(part for part in parts if part)


def metrics_table(metrics: Json, set_name: str = "test", patients: str = "test patients") -> str:
    """Models by metrics of the patients of a set, each value with its interval; the headline metric of slides and tiles
    beside them, and of a cross-validation that of its folds."""
    order = dict.fromkeys((*metrics["chance"], *metrics["models"]))  # heads, then baselines
    found = {model: metrics["models"].get(model, {}) for model in order}
    tested = {model: sets[set_name] for model, sets in found.items() if set_name in sets}
    if not any("patient" in levels for levels in tested.values()):
        return "no labelled test patient has features (all their slides are quarantined): nothing to measure"
    headline, folds = metrics["lead"]["metric"], metrics.get("folds", {})
    measured = next(levels["patient"] for levels in tested.values() if "patient" in levels)
    names = [headline, *[name for name in SHOWN_METRICS if name in measured and name != headline]][:AS_WIDE_AS]
    rows = []
    for model, levels in tested.items():
        cells = [_interval(levels.get("patient", {}).get(name)) for name in names]
        others = [_value(levels.get(level, {}).get(headline)) for level in ("slide", "tile")]
        rows.append([model, *cells, *others, *([_span(folds.get(model, {}), headline)] if folds else [])])
    n_folds, word = max(map(len, folds.values()), default=0), SHOWN_METRICS[headline]
    header = [f"{measured[headline]['n']} {patients}", *(SHOWN_METRICS[name] for name in names)]
    header += [f"slide {word}", f"tile {word}"]
    return table([*header, f"{word} of {n_folds} folds"] if folds else header, rows)


def _verdicts(metrics: Json) -> list[str]:
    """Of each head: above chance, below, or neither."""
    words = {"above": "above chance", "below": "below chance"}
    by_words: dict[str, list[str]] = {}
    for head, found in metrics["chance"].items():
        said, p = words.get(found["verdict"], "cannot be distinguished from chance"), f" (p = {found['p_holm']:.2g})"
        if found["method"] == "none":
            said, p = "no claim is made, for nothing here can be tested", ""
        by_words.setdefault(said, []).append(f"{head}{p}")
    n = len(metrics["chance"])
    adjusted = f", p adjusted for {n} models" if n > 1 else ""
    return [f"{said}{adjusted}: {', '.join(heads)}" for said, heads in by_words.items()]


def _span(folds: Json, name: str) -> str:
    """Smallest and largest value of the folds' test patients."""
    values = [sets.get("test", {}).get("patient", {}).get(name, {}).get("value") for sets in folds.values()]
    known = [value for value in values if value is not None]
    return f"{min(known):.2f} to {max(known):.2f}" if known else "-"


def _interval(metric: Json | None) -> str:
    if metric is None or metric["value"] is None:
        return "-"
    if metric["low"] is None:
        return f"{metric['value']:.2f}"
    return f"{metric['value']:.2f} ({metric['low']:.2f}-{metric['high']:.2f})"


def _value(metric: Json | None) -> str:
    return "-" if metric is None or metric["value"] is None else f"{metric['value']:.2f}"


def predictions_text(done: Outside) -> str:
    """What predict found: warnings on top, then a line for each patient by the model that leads, and metrics of
    labelled outside patients."""
    warned = [f"warning: {one['text']}" for one in done.metrics["warnings"]]
    warned += [f"not checked: {one['check']} ({one['why']})" for one in done.metrics["unchecked"]]
    lead = done.metrics["lead"]
    measured = metrics_table(done.metrics, "external", "outside patients") if done.metrics["models"] else ""
    said = f"by {lead['model']}, the model that leads ({lead['by']}); predictions/patients.csv has all"
    parts = ["\n".join(warned), _patients_table(done, lead["model"]), said, measured]
    return "\n\n".join(part for part in parts if part)


def _patients_table(done: Outside, model: str) -> str:
    patients = done.patients[done.patients["model"] == model].sort_values(["id"], kind="stable")
    shown = [name for name in (*done.said, "call", "distance", "n_tiles") if name in patients]
    rows = [
        [str(row["id"]), *(_cell(row[name]) for name in shown), "unlike training" if row.get("unlike_training") else ""]
        for row in patients.to_dict(orient="records")
    ]
    return table(["patient", *("tiles" if name == "n_tiles" else name for name in shown), ""], rows)


def _cell(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)
