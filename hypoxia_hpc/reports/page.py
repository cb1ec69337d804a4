"""One HTML page and the files beside it, from report data: no request, one script of ours, every text escaped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from hypoxia_hpc.errors import some_names
from hypoxia_hpc.reports import content, methods, patient_tables, text
from hypoxia_hpc.reports.compare import side_by_side
from hypoxia_hpc.reports.data import ReportData, SlideRow
from hypoxia_hpc.reports.figures import Figure, TrainingFigure, training_figures
from hypoxia_hpc.reports.galleries import gallery_pictures, shown_galleries
from hypoxia_hpc.reports.gallery_plan import OF_PATIENT
from hypoxia_hpc.reports.kinds.registry import KINDS
from hypoxia_hpc.reports.lead import BASELINES, lead_model, who_is_measured
from hypoxia_hpc.reports.left_out import left_out_table
from hypoxia_hpc.reports.phenotypes import cluster_rows, phenotype_figures, rand_range, typical_pictures
from hypoxia_hpc.reports.quality import QualityRow, quality_pictures, quality_table, rule_of, said_of
from hypoxia_hpc.reports.remark import remark
from hypoxia_hpc.reports.rendering import code, digest, environment
from hypoxia_hpc.reports.series import series_table
from hypoxia_hpc.reports.summary import summarise
from hypoxia_hpc.reports.survival import SET_COLUMNS, SurvivalPart, survival_parts
from hypoxia_hpc.reports.tables import DataTable

if TYPE_CHECKING:
    from jinja2 import Environment

PAGE = "index.html"
# Sections of the page in their order: the name of the template, which is the section's id, and its title in the
# navigation. A new section is a template and a line here; one whose template makes nothing is left out.
SECTIONS = {
    "compared": "Runs",
    "metrics": "Metrics",
    "series": "Series",
    "patients": "Patients",
    "groups": "Types and sites",
    "survival": "Survival",
    "galleries": "Tiles",
    "training": "Training",
    "clusters": "Clusters",
    "phenotypes": "Phenotypes",
    "cohort": "Cohort",
    "unlabelled": "Unlabelled",
    "quality": "Quality",
    "slides": "Slides",
    "quarantined": "Quarantined",
    "time": "Time",
    "methods": "Methods",
    "provenance": "Provenance",
}
TEXTS = ("interval", "percent", "rate", "count_of", "nbytes", "p_value")


@dataclass(frozen=True, slots=True)
class Drawings:
    """What the page shows and has files of its own."""

    figures: tuple[Figure, ...]
    training: tuple[TrainingFigure, ...]
    tables: tuple[DataTable, ...]
    thumbnails: tuple[tuple[str, SlideRow], ...]  # with the names of their files
    phenotypes: tuple[Figure, ...]
    typical: tuple[tuple[str, bytes], ...]  # pictures of the typical tiles of clusters, by the names of their files
    survival: tuple[SurvivalPart, ...]
    quality: tuple[tuple[str, QualityRow], ...]  # pictures of slides that stand out, with the names of their files


def report_files(data: ReportData) -> dict[str, bytes]:
    """The files of the report by their path: the page, its figures and tables (SVG, CSV), its thumbnails (JPEG). Equal
    data give equal bytes.

    The browser loads nothing from elsewhere and runs nothing but one script: the Content-Security-Policy admits the
    script and the style sheet by their hashes, and images that lie beside the page. Tables' text is escaped where it is
    placed, and cleaned of control characters.
    """
    drawings = _drawings(data)
    pictures = gallery_pictures(data.galleries)
    return {PAGE: _page(data, drawings).encode(), **dict(_linked(drawings)), **dict(pictures)}


def _drawings(data: ReportData) -> Drawings:
    kind = KINDS[data.outcome.kind]
    lead, _ = lead_model(data, kind.headline)
    tables = (
        patient_tables.patient_table(data, kind, lead),
        *patient_tables.group_tables(data, kind, lead),
        patient_tables.unlabelled_table(data, kind, lead),
        left_out_table(data),
        quality_table(data.quality),
    )
    shown = [row for row in data.slides if row.thumbnail][: data.max_thumbnails]
    # Numbers, for no name of a table becomes a path.
    named = tuple((f"thumbnails/{number:04d}.jpg", row) for number, row in enumerate(shown, start=1))
    figures, training = tuple(kind.figures(data, lead)), tuple(training_figures(data))
    shown_clusters = data.phenotypes
    return Drawings(
        figures,
        training,
        tuple(table for table in tables if table is not None),
        named,
        tuple(phenotype_figures(data)),
        () if shown_clusters is None else tuple(typical_pictures(shown_clusters)),
        survival_parts(data.survival),
        tuple(quality_pictures(data.quality, data.max_thumbnails)),
    )


def _linked(drawings: Drawings) -> Iterator[tuple[str, bytes]]:
    of_training = (figure for one in drawings.training for figure in one.figures)
    of_survival = (figure for part in drawings.survival for figure in part.figures)
    for figure in (*drawings.figures, *drawings.phenotypes, *of_training, *of_survival):
        yield f"figures/{figure.name}.svg", figure.drawn.document.encode()
        yield f"figures/{figure.name}.csv", figure.csv().encode()
    hazards = [part.hazards for part in drawings.survival if part.hazards is not None]
    for table in (*drawings.tables, *hazards):
        yield f"figures/{table.name}.csv", table.csv().encode()
    for path, row in drawings.thumbnails:
        yield path, row.thumbnail or b""
    for path, one in drawings.quality:
        yield path, one.picture or b""
    yield from drawings.typical


def _page(data: ReportData, drawings: Drawings) -> str:
    context = _context(data, drawings)
    templates = _environment()
    bodies = {name: templates.get_template(f"{name}.html").render(context).strip() for name in SECTIONS}
    shown = {name: body for name, body in bodies.items() if body}
    css, script = code("page.css"), code("page.js")
    return templates.get_template("page.html").render(
        context,
        titles={name: SECTIONS[name] for name in shown},
        bodies=shown,
        css=css,
        script=script,
        css_hash=digest(css),
        script_hash=digest(script),
    )


def _context(data: ReportData, drawings: Drawings) -> dict[str, Any]:
    kind = KINDS[data.outcome.kind]
    lead, _ = lead_model(data, kind.headline)
    return {
        "data": data,
        "kind": kind,
        "lead": lead,
        "who": who_is_measured(data, lead),
        "confidence": f"{100 * data.confidence:g} %",
        "summary": summarise(data, kind),
        "facts": content.facts(data),
        "call_rule": kind.call_rule(data, lead),
        "probe": content.probe_sentence(data.metrics),
        "metric_tables": {name: content.metric_tables(data, name) for name in ("test", "external", "valid", "train")},
        "series_table": series_table(data, kind),
        "metric_groups": kind.metric_groups(data),
        "drawings": drawings,
        "cluster_rows": [] if data.phenotypes is None else cluster_rows(data.phenotypes),
        "rand_range": [] if data.phenotypes is None else rand_range(data.phenotypes),
        "curves": [one for one in drawings.figures if not one.group],
        "of_models": _by_group(drawings.figures),
        "tables": {table.name: table for table in drawings.tables},
        "count_names": content.count_names(data.outcome),
        "set_counts": content.set_counts(data),
        "type_counts": content.type_counts(data),
        "unlabelled": content.unlabelled_names(data),
        "flow": content.flow_steps(data.flow),
        "aside": content.left_out_of(data.flow.get("aside", ())),
        "totals": content.slide_totals(data.slides),
        "compared": side_by_side((data, *data.others)) if data.others else None,
        "methods": methods.methods_paragraph(data, kind),
        "checklist": methods.checklist(data, kind),
        "survival": drawings.survival,
        "set_columns": SET_COLUMNS,
        "remark": remark(data),
        "galleries": shown_galleries(data.galleries),
        "quality_rule": rule_of(data.quality),
        "said_of": said_of,
        "of_patient": OF_PATIENT,
    }


def _by_group(figures: Iterable[Figure]) -> dict[str, list[Figure]]:
    grouped: dict[str, list[Figure]] = {}
    for figure in figures:
        if figure.group:
            grouped.setdefault(figure.group, []).append(figure)
    return grouped


@cache
def _environment() -> Environment:
    found = environment()
    found.filters |= {"fixed": text.fixed, "thousands": text.thousands, "duration": text.duration}
    found.globals |= {name: getattr(text, name) for name in TEXTS}
    found.globals |= {"BASELINES": BASELINES, "some_names": some_names, "shown_groups": content.shown_groups}
    found.globals["thousand_slides"] = content.thousand_slides
    found.globals["thread_work"] = content.thread_work
    return found
