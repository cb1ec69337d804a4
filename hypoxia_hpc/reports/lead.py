"""The models of a run: their order, their metrics, the one that the page speaks of, and what stands beside it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hypoxia_hpc.config import HEADS
from hypoxia_hpc.evaluation.baselines import BASELINES as MADE
from hypoxia_hpc.records import Json
from hypoxia_hpc.reports.data import PatientPrediction, ReportData

# What a guess without a look at the tissue reaches; in words that follow "AUC of".
BASELINES = {name: baseline.title for name, baseline in MADE.items()}
# The sets that a page may be about, and what one of their patients is.
MEASURED = {"test": "test patient", "external": "outside patient"}


def model_order(names: Iterable[str]) -> list[str]:
    """The heads as the configuration lists them, other models by name, the baselines last; each once."""
    known = {name: position for position, name in enumerate(HEADS)}
    known |= {name: len(HEADS) + 1 + position for position, name in enumerate(BASELINES)}
    return sorted(set(names), key=lambda name: (known.get(name, len(HEADS)), name))


def models_of(data: ReportData) -> list[str]:
    """Every model that has metrics or predictions, baselines left out."""
    names = {*data.metrics.get("models", {}), *(row.model for row in data.predictions)}
    return [name for name in model_order(names) if name not in BASELINES]


def baselines_of(data: ReportData) -> list[str]:
    """The baselines that have metrics."""
    return [name for name in model_order(data.metrics.get("models", {})) if name in BASELINES]


def metric(metrics: Json, model: str, set_name: str, level: str, name: str) -> Json:
    """``{"value", "low", "high", "n"}`` of metrics.json; empty where there is none."""
    found: Json = metrics.get("models", {}).get(model, {}).get(set_name, {}).get(level, {}).get(name, {})
    return found


def lead_model(data: ReportData, headline: str) -> tuple[str, str]:
    """The model that the page speaks of, and how it was chosen: never by its result on the test set.

    metrics.json says it; one of an older version does not, then by ``headline`` of validation patients.
    """
    models = models_of(data)
    if len(models) < 2:
        return (models[0] if models else ""), ""
    said = data.metrics.get("lead") or _lead(data.metrics, models, headline)
    lead, ties = str(said["model"]), [str(name) for name in said.get("ties", ())]
    others = [name for name in ties if name != lead]
    if said["by"] != "validation patients":
        return lead, f"Nothing on validation patients to choose by: {lead} is the first of {len(models)} models."
    chosen = f"{lead} was chosen among {len(models)} models by validation patients"
    chosen += ", who are test patients of other folds" if n_folds(data) else ""
    tied = f"; {', '.join(others)} did equally well there, and {lead} comes first in the list" if others else ""
    return lead, f"{chosen}{tied}."


def _lead(metrics: Json, models: Sequence[str], headline: str) -> Json:
    found = {model: metric(metrics, model, "valid", "patient", headline).get("value") for model in models}
    known = {model: value for model, value in found.items() if value is not None}
    if not known:
        return {"model": models[0], "by": "order of the list", "ties": []}
    ties = [model for model in known if known[model] == max(known.values())]
    return {"model": ties[0], "by": "validation patients", "ties": ties}


def measured_set(data: ReportData, lead: str) -> str:
    """The set that the page is about: test patients, or outside patients with labels."""
    levels = data.metrics.get("models", {}).get(lead, {})
    return next((name for name in MEASURED if levels.get(name, {}).get("patient")), "test")


def who_is_measured(data: ReportData, lead: str) -> str:
    """A patient of that set, in words."""
    return MEASURED[measured_set(data, lead)]


def n_folds(data: ReportData) -> int:
    """Folds of the cross-validation, 0 where there was none."""
    return max((len(folds) for folds in data.metrics.get("folds", {}).values()), default=0)


def test_rows(data: ReportData) -> dict[str, list[PatientPrediction]]:
    """Labelled test patients by model, in the page's order, baselines left out."""
    return rows_of(data, tuple(MEASURED))


def rows_of(data: ReportData, sets: Sequence[str]) -> dict[str, list[PatientPrediction]]:
    """Patients with a label in these sets, by model."""
    rows = [row for row in data.predictions if row.set_name in sets and row.label is not None]
    names = [name for name in model_order(row.model for row in rows) if name not in BASELINES]
    return {name: [row for row in rows if row.model == name] for name in names}
