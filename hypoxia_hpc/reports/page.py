"""One self-contained HTML page from report data: no script, no request, every text escaped."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from hypoxia_hpc.errors import some_names
from hypoxia_hpc.reports import content, figures, text
from hypoxia_hpc.reports.data import (
    ClusterShares,
    CohortPatient,
    Curves,
    DroppedSlide,
    FeatureCompute,
    PatientPrediction,
    Point,
    Provenance,
    QuarantinedSlide,
    ReportData,
    Search,
    SlideRow,
    StageTime,
)

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = [
    "ClusterShares",
    "CohortPatient",
    "Curves",
    "DroppedSlide",
    "FeatureCompute",
    "PatientPrediction",
    "Point",
    "Provenance",
    "QuarantinedSlide",
    "ReportData",
    "Search",
    "SlideRow",
    "StageTime",
    "render_report",
]

HERE = Path(__file__).parent
# Sections of the page in their order: the name of the template, which is the section's id, and its title in the
# navigation. A new section is a template and a line here.
SECTIONS = {
    "metrics": "Metrics",
    "patients": "Test patients",
    "training": "Training",
    "clusters": "Clusters",
    "cohort": "Cohort",
    "unlabelled": "Unlabelled",
    "slides": "Slides",
    "quarantined": "Quarantined",
    "time": "Time",
    "provenance": "Provenance",
}
TEXTS = ("interval", "percent", "rate", "count_of", "nbytes")
METRICS = ("roc_auc", "accuracy", "f1_1", "f1_0", "f1_micro", "f1_macro")


def render_report(data: ReportData) -> str:
    """The page as HTML text (UTF-8 when written). Equal data give equal text.

    The browser loads and runs nothing: the Content-Security-Policy admits only the one style sheet, by its hash, and
    images from inside the page. Tables' text is escaped where it is placed, and cleaned of control characters.
    """
    css = (HERE / "page.css").read_text(encoding="utf-8")
    shown = [row for row in data.slides if row.thumbnail][: data.max_thumbnails]
    models_called, calls = content.calls(data)
    return (
        _environment()
        .get_template("page.html")
        .render(
            data=data,
            sections=SECTIONS,
            css=css,
            css_hash=base64.b64encode(hashlib.sha256(css.encode()).digest()).decode(),
            confidence=f"{100 * data.confidence:g} %",
            headline=content.headline(data),
            facts=content.facts(data),
            lead=content.lead_model(data)[0],
            metric_tables={name: content.metric_tables(data, name) for name in ("test", "valid", "train")},
            metric_names={name: _metric_name(name, data.class_names) for name in METRICS},
            roc=figures.roc_figure(data),
            calls_figures=figures.calls_figures(data),
            training=figures.training_figures(data),
            set_counts=content.set_counts(data),
            type_counts=content.type_counts(data),
            unlabelled=content.unlabelled_names(data),
            models_called=models_called,
            calls=calls,
            totals=content.slide_totals(data.slides),
            shown=shown,
        )
    )


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "fixed": text.fixed,
        "thousands": text.thousands,
        "duration": text.duration,
        "base64": lambda image: base64.b64encode(image).decode(),
    }
    environment.globals |= {name: getattr(text, name) for name in TEXTS}
    environment.globals |= {"BASELINE": content.BASELINE_MODEL, "some_names": some_names}
    return environment


def _finalize(value: object) -> object:
    """A value that the template prints, before it is escaped: text without control characters (markup is our own)."""
    return text.clean(value) if type(value) is str else value


def _metric_name(name: str, class_names: tuple[str, str]) -> str:
    names = {"roc_auc": "ROC AUC", "accuracy": "Accuracy", "f1_micro": "F1 micro", "f1_macro": "F1 macro"}
    return names.get(name) or f"F1 {class_names[int(name[-1])]}"
