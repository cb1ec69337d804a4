"""The table of series: how the models do on each series of a patient's images, and on all of them. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from hypoxia_hpc.evaluation.series import LATE
from hypoxia_hpc.records import Json
from hypoxia_hpc.reports.data import ReportData
from hypoxia_hpc.reports.kinds.kind import Kind
from hypoxia_hpc.reports.lead import measured_set, metric, models_of

FUSED_LATE = "all, late: the mean of the logits"
AS_USED = "all, as a patient is predicted"


@dataclass(frozen=True, slots=True)
class SeriesRow:
    """``figures``: of each model, as of metrics.json, empty where there is none; ``n``: patients."""

    name: str
    n: int
    figures: tuple[Json, ...]
    is_fused: bool


@dataclass(frozen=True, slots=True)
class SeriesTable:
    """``hint``: how each model comes from several series to one patient."""

    models: tuple[str, ...]
    rows: tuple[SeriesRow, ...]
    hint: str


def series_table(data: ReportData, kind: Kind) -> SeriesTable | None:
    """None where patients have no series, or none of them was measured."""
    found: dict[str, dict[str, Json]] = {}
    for one in data.metrics.get("series", ()):
        found.setdefault(str(one["series"]), {})[str(one["model"])] = one
    models = tuple(name for name in models_of(data) if any(name in own for own in found.values()))
    if not models:
        return None
    used = {name: metric(data.metrics, name, measured_set(data, name), "patient", kind.headline) for name in models}
    late = found.pop(LATE, {})
    rows = [_row(name, own, models, is_fused=False) for name, own in sorted(found.items())]
    rows += [_row(FUSED_LATE, late, models, is_fused=True), _row(AS_USED, used, models, is_fused=True)]
    return SeriesTable(models, tuple(rows), _hint(data, models))


def _row(name: str, own: dict[str, Json], models: tuple[str, ...], *, is_fused: bool) -> SeriesRow:
    figures = tuple(own.get(model, {}) for model in models)
    return SeriesRow(name, max((one.get("n") or 0 for one in figures), default=0), figures, is_fused)


def _hint(data: ReportData, models: tuple[str, ...]) -> str:
    is_late = data.settings.get("evaluate", {}).get("fusion") == "late"
    others = [name for name in models if name != "attention"]
    parts = ["attention weighs the images of all series together"] if "attention" in models else []
    if others:
        how = "are fused late" if is_late else "are pooled from the images of all series together"
        parts.append(f"patients of {', '.join(others)} {how}")
    return f"{'; '.join(parts)}."
