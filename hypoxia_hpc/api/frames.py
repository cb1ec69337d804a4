"""What a run has on disk, as pandas frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from hypoxia_hpc.cohorts.textfiles import unguard
from hypoxia_hpc.models.prediction_tables import reading_predictions
from hypoxia_hpc.outcomes.outcome import Outcome
from hypoxia_hpc.records import Json
from hypoxia_hpc.runs.state import SlideState
from hypoxia_hpc.slurm.chain import Plan


def slide_row(state: SlideState) -> dict[str, Any]:
    """A row of ``Run.slides``."""
    slide = state.slide
    reason = state.receipt.reason if state.status == "quarantined" and state.receipt is not None else ""
    return {
        "slide_id": slide.slide_id,
        "patient_id": slide.patient_id,
        "path": str(slide.path),
        "mpp": float("nan") if slide.mpp is None else slide.mpp,
        "cost": slide.cost,
        "name": slide.name,
        "status": state.status,
        "stage": state.stage,
        "reason": reason,
    }


def metrics_frame(metrics: Json) -> pd.DataFrame:
    """``Run.metrics`` of the content of metrics.json."""
    rows = [
        {"model": model, "set": set_name, "level": level, "metric": metric, **interval}
        for model, sets in metrics["models"].items()
        for set_name, levels in sets.items()
        for level, measured in levels.items()
        for metric, interval in measured.items()
    ]
    names = ["model", "set", "level", "metric"]
    table = pd.DataFrame(rows, columns=[*names, "value", "low", "high", "n"]).sort_values(names, ignore_index=True)
    return table.astype({"value": float, "low": float, "high": float, "n": int})


def read_predictions(file: Path, outcome: Outcome) -> pd.DataFrame:
    """predictions/slides.csv or patients.csv, typed. Raises NotReadyError for a damaged one, MachineError."""
    texts = ("model", "set", "id", "call")
    types: dict[Any, Any] = {**dict.fromkeys(texts, "str"), "fold": "Int64", **outcome.label_types}
    with reading_predictions(file) as opened:
        missing = {name: [""] for name in pd.read_csv(opened, nrows=0).columns if name not in texts}
        opened.seek(0)
        table = pd.read_csv(opened, dtype=types, keep_default_na=False, na_values=missing)
    guarded = [name for name in ("id", "call") if name in table]
    return table.assign(**{name: table[name].map(unguard) for name in guarded})


def jobs_frame(plan: Plan, ids: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """``Submission.jobs`` of a plan; ``ids`` by stage of what was sent."""
    rows = [
        {
            "stage": job.request.stage,
            "elements": 1 if job.request.elements is None else len(job.request.elements),
            "nodes": job.request.nodes,
            "ranks": job.request.ranks,
            "cpus": job.request.cpus,
            "memory_mb": job.request.memory_mb,
            "minutes": job.request.minutes,
            "gres": job.request.gres or "",
            "partition": job.request.partition or "",
            "ids": " ".join(ids.get(job.request.stage, ())),
        }
        for job in plan.jobs
    ]
    return pd.DataFrame(rows)
