"""From report data to what the templates lay out: tables and counts. Pure; a template only places them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from hypoxia_hpc.outcomes.outcome import Outcome
from hypoxia_hpc.records import Json
from hypoxia_hpc.reports.data import CohortPatient, ReportData, SlideRow, StageTime
from hypoxia_hpc.reports.lead import model_order
from hypoxia_hpc.reports.text import p_value, percent, thousands

SHOWN_SETS = ("train", "valid", "test", "unlabelled")
LEVELS = ("patient", "slide", "tile")


@dataclass(frozen=True, slots=True)
class MetricRow:
    """One model at one level: its metrics by name (dicts of metrics.json), and the number they rest on."""

    model: str
    metrics: Mapping[str, Json]
    n: int | None


@dataclass(frozen=True, slots=True)
class MetricTable:
    """One set at one level (patient, slide or tile)."""

    level: str
    rows: tuple[MetricRow, ...]


@dataclass(frozen=True, slots=True)
class CountRow:
    """Patients of one set or one tumour type: of each class (of all with a label where the outcome has no classes),
    and without label."""

    name: str
    counts: tuple[int, ...]
    unlabelled: int

    @property
    def total(self) -> int:
        return sum(self.counts) + self.unlabelled


@dataclass(frozen=True, slots=True)
class FlowStep:
    """A step of flow.json: ``left_out`` are (kind, reason, number, names)."""

    name: str
    slides: int
    patients: int
    left_out: tuple[tuple[str, str, int, tuple[str, ...]], ...]


def metric_tables(data: ReportData, set_name: str) -> list[MetricTable]:
    """The tables of one set, patients first; only levels and models that have metrics."""
    by_model = data.metrics.get("models", {})
    tables = []
    for level in LEVELS:
        found = {model: by_model[model].get(set_name, {}).get(level) for model in model_order(by_model)}
        rows = tuple(MetricRow(model, metrics, _n(metrics)) for model, metrics in found.items() if metrics)
        if rows:
            tables.append(MetricTable(level, rows))
    return tables


def shown_groups(
    table: MetricTable, groups: Mapping[str, Mapping[str, str]]
) -> dict[str, tuple[dict[str, str], list[MetricRow]]]:
    """Of each group of metrics those that a row of the table has, and the rows that have one; empty groups left out."""
    shown = {}
    for heading, names in groups.items():
        there = {name: title for name, title in names.items() if any(name in row.metrics for row in table.rows)}
        if there:
            shown[heading] = there, [row for row in table.rows if there.keys() & row.metrics.keys()]
    return shown


def _n(metrics: Mapping[str, Json]) -> int | None:
    counts = [one["n"] for one in metrics.values() if one.get("n") is not None]
    return max(counts, default=None)


def count_names(outcome: Outcome) -> tuple[str, ...]:
    """The columns of counts: the classes, or "with a label"."""
    return outcome.table.classes if outcome.kind in ("binary", "classes") else ("with a label",)


def set_counts(data: ReportData) -> list[CountRow]:
    """Patients per set, in the order train, valid, test, unlabelled, others."""
    names = {row.set_name for row in data.patients}
    ordered = [name for name in SHOWN_SETS if name in names] + sorted(names - set(SHOWN_SETS))
    return [
        _count(name or "in no set", [row for row in data.patients if row.set_name == name], data.outcome)
        for name in ordered
    ]


def type_counts(data: ReportData) -> list[CountRow]:
    """Patients per tumour type, most frequent first."""
    names = {row.tumour_type for row in data.patients}
    rows = [
        _count(name or "not given", [row for row in data.patients if row.tumour_type == name], data.outcome)
        for name in names
    ]
    return sorted(rows, key=lambda row: (-row.total, row.name))


def _count(name: str, patients: Sequence[CohortPatient], outcome: Outcome) -> CountRow:
    names = count_names(outcome)
    known = [outcome.shown(one.label) for one in patients if one.label is not None]
    counts = tuple(map(known.count, names)) if len(names) > 1 else (len(known),)
    return CountRow(name, counts, len(patients) - len(known))


def unlabelled_names(data: ReportData) -> list[str]:
    """Patients without a label, by name."""
    return sorted(row.patient_id for row in data.patients if row.label is None)


def flow_steps(flow: Json) -> list[FlowStep]:
    """The steps of flow.json."""
    return [
        FlowStep(str(step["step"]), step["slides"], step["patients"], left_out_of(step["left_out"]))
        for step in flow.get("steps", ())
    ]


def left_out_of(entries: Sequence[Json]) -> tuple[tuple[str, str, int, tuple[str, ...]], ...]:
    """What a step of flow.json left out, or what it calls aside."""
    return tuple((str(one["kind"]), str(one["reason"]), one["n"], tuple(one["names"])) for one in entries)


def probe_sentence(metrics: Json) -> str:
    """Whether the site can be read from the features of training patients; empty where that was not tried."""
    found = metrics.get("probe", {}).get("site", {})
    if found.get("accuracy") is None:
        return ""
    can = "can" if found["readable"] else "cannot"
    return (
        f"From the features alone the site of a training patient {can} be read: right for {found['accuracy']:.0%} of "
        f"{found['n']:,} patients of {found['groups']:,} sites, the commonest site is right for "
        f"{found['majority']:.0%} ({p_value(found['p'])})."
    )


def thousand_slides(times: Sequence[StageTime]) -> str:
    """``tile 12.3 core-hours; extract 0.412 GPU-hours``; nothing where no stage says it."""
    said = [(one.stage, _hours(one.core_hours, "core") + _hours(one.gpu_hours, "GPU")) for one in times]
    return "; ".join(f"{stage} {' and '.join(hours)}" for stage, hours in said if hours)


def thread_work(times: Sequence[StageTime]) -> str:
    """``tile: decode 61 %, kernel 30 %, write 9 %; extract: read 100 %``; nothing where no stage says it."""
    seconds = [(one.stage, asdict(one.threads)) for one in times]
    said = [(stage, _shares(threads)) for stage, threads in seconds if any(threads.values())]
    return "; ".join(f"{stage}: {shares}" for stage, shares in said)


def _shares(seconds: Mapping[str, float]) -> str:
    """Of those that are above half a percent."""
    whole = sum(seconds.values())
    return ", ".join(f"{name} {each / whole:.0%}" for name, each in seconds.items() if each > 0.005 * whole)


def _hours(hours: float | None, unit: str) -> list[str]:
    return [] if hours is None else [f"{hours:,.3g} {unit}-hours"]


def slide_totals(slides: Sequence[SlideRow]) -> SlideRow:
    """The last line of the slide table: sums over the slides that have counts."""
    return SlideRow(
        slide_id="",
        patient_id="",
        status="",
        planned=sum(row.planned or 0 for row in slides),
        kept=sum(row.kept or 0 for row in slides),
        background=sum(row.background or 0 for row in slides),
        unreadable=sum(row.unreadable or 0 for row in slides),
    )


def facts(data: ReportData) -> list[tuple[str, str, str]]:
    """The figures under the answer: name, value, remark."""
    totals = slide_totals(data.slides)
    labelled = sum(row.label is not None for row in data.patients)
    set_aside = len({row.slide_id for row in data.quarantined})
    return [
        ("patients", thousands(len(data.patients)), f"{labelled:,} with a label"),
        ("slides", thousands(len(data.slides)), f"{set_aside:,} quarantined" if set_aside else "none quarantined"),
        (
            "tiles kept",
            thousands(totals.kept),
            f"{percent(totals.kept or 0, totals.planned or 0)} of {thousands(totals.planned)} planned",
        ),
    ]
