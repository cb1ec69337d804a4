"""From report data to what the template lays out: sentences, tables, counts. Pure; the template only places them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from hypoxia_hpc.config import HEADS
from hypoxia_hpc.records import Json
from hypoxia_hpc.reports.data import PatientPrediction, ReportData, SlideRow
from hypoxia_hpc.reports.text import count_of, interval, percent, thousands

BASELINE_MODEL = "tumour-type"
SHOWN_SETS = ("train", "valid", "test", "unlabelled")
# Of patients without a label, or predicted by the models of another run.
CALLED = ("unlabelled", "predict")
LEVELS = ("patient", "slide", "tile")


@dataclass(frozen=True, slots=True)
class Headline:
    """The page's answer in one sentence, and notes on how far it can be trusted."""

    answer: str
    notes: tuple[str, ...]


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
    """Patients of one set or one tumour type: of class 0, of class 1, without label."""

    name: str
    negative: int
    positive: int
    unlabelled: int

    @property
    def total(self) -> int:
        return self.negative + self.positive + self.unlabelled


@dataclass(frozen=True, slots=True)
class Call:
    """An unlabelled patient: number of tiles, and its probability by model (None where a model has none)."""

    patient_id: str
    n_tiles: int
    probabilities: tuple[float | None, ...]


def model_order(names: Iterable[str]) -> list[str]:
    """The heads as the configuration lists them, other models by name, the baseline last; each once."""
    known = {name: position for position, name in enumerate(HEADS)} | {BASELINE_MODEL: len(HEADS) + 1}
    return sorted(set(names), key=lambda name: (known.get(name, len(HEADS)), name))


def models_of(data: ReportData) -> list[str]:
    """Every model that has metrics or predictions, the baseline left out."""
    names = {*data.metrics.get("models", {}), *(row.model for row in data.predictions)}
    return [name for name in model_order(names) if name != BASELINE_MODEL]


def metric(data: ReportData, model: str, set_name: str, level: str, name: str) -> Json:
    """``{"value", "low", "high", "n"}`` of metrics.json; empty where there is none."""
    found: Json = data.metrics.get("models", {}).get(model, {}).get(set_name, {}).get(level, {}).get(name, {})
    return found


def lead_model(data: ReportData) -> tuple[str, str]:
    """The model of the headline, and how it was chosen: never by its result on the test set."""
    models = models_of(data)
    if len(models) < 2:
        return (models[0] if models else ""), ""
    aucs = {model: metric(data, model, "valid", "patient", "roc_auc").get("value") for model in models}
    known = {model: auc for model, auc in aucs.items() if auc is not None}
    if known:
        lead = max(known, key=lambda model: known[model])
        chosen = f"{lead} was chosen among {len(models)} models by its ROC AUC on the validation patients"
        # Every patient is a test patient of one fold and may be a validation patient of another.
        return lead, f"{chosen}, who are test patients of other folds." if n_folds(data) else f"{chosen}."
    choice = f"No ROC AUC on validation patients to choose by: {models[0]} is the first of {len(models)} models."
    return models[0], choice


def headline(data: ReportData) -> Headline:
    """The answer: the patient ROC AUC on the test set; without one, the calls; without those, that there is none."""
    lead, choice = lead_model(data)
    auc = metric(data, lead, "test", "patient", "roc_auc")
    if auc.get("value") is not None:
        answer = f"Patient ROC AUC {_value_and_span(auc)} on {count_of(auc['n'], 'test patient')}, model {lead}."
        notes = (_across_folds(data, lead), _against_chance(auc, data.confidence), _against_baseline(data), choice)
        return Headline(answer, tuple(filter(None, notes)))
    probabilities = [row.probability for row in data.predictions if row.model == lead and row.set_name in CALLED]
    if probabilities:
        called = sum(probability > data.threshold for probability in probabilities)
        name, patients = data.class_names[1], count_of(len(probabilities), "unlabelled patient")
        rule = f"Called {name}: a probability above {data.threshold:g}."
        return Headline(f"{called:,} of {patients} called {name}, model {lead}.", (rule, _no_auc(data, lead)))
    return Headline("No model has been evaluated on test patients yet.", ())


def _no_auc(data: ReportData, lead: str) -> str:
    rows = [row for row in data.predictions if row.model == lead and row.set_name == "test"]
    reasons = (
        "this run has no labelled test patients",
        "the test patients are all of one class",
        "it was not computed",
    )
    return f"There is no ROC AUC: {reasons[len({row.label for row in rows} - {None})]}."


def n_folds(data: ReportData) -> int:
    """Folds of the cross-validation, 0 where there was none."""
    return max((len(folds) for folds in data.metrics.get("folds", {}).values()), default=0)


def _across_folds(data: ReportData, lead: str) -> str:
    if not n_folds(data):
        return ""
    of_lead = data.metrics["folds"].get(lead, {}).values()
    areas = [sets.get("test", {}).get("patient", {}).get("roc_auc", {}).get("value") for sets in of_lead]
    known = [area for area in areas if area is not None]
    span = f"; fold by fold it is {min(known):.2f} to {max(known):.2f}" if known else ""
    return f"Cross-validated in {n_folds(data)} folds, each patient predicted by the model that did not see it{span}."


def _against_chance(auc: Json, confidence: float) -> str:
    if not interval(auc["low"], auc["high"]):
        return "The interval could not be computed, so nothing can be said against chance."
    name = f"The {100 * confidence:g} % interval"
    if auc["low"] > 0.5:
        return f"{name} (bootstrap over {auc['n']:,} patients) lies above 0.5, chance."
    if auc["high"] < 0.5:
        return f"{name} lies below 0.5: worse than chance. Look for swapped labels."
    return f"{name} contains 0.5: not told apart from chance."


def _against_baseline(data: ReportData) -> str:
    auc = metric(data, BASELINE_MODEL, "test", "patient", "roc_auc")
    if auc.get("value") is None:
        return ""
    return f"The tumour type alone reaches {_value_and_span(auc)}."


def _value_and_span(auc: Json) -> str:
    span = interval(auc["low"], auc["high"], 2)
    return f"{auc['value']:.2f} ({span})" if span else f"{auc['value']:.2f}"


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


def _n(metrics: Mapping[str, Json]) -> int | None:
    counts = [one["n"] for one in metrics.values() if one.get("n") is not None]
    return max(counts, default=None)


def set_counts(data: ReportData) -> list[CountRow]:
    """Patients per set, in the order train, valid, test, unlabelled, others."""
    names = {row.set_name for row in data.patients}
    ordered = [name for name in SHOWN_SETS if name in names] + sorted(names - set(SHOWN_SETS))
    return [
        _count(name or "in no set", (row.label for row in data.patients if row.set_name == name)) for name in ordered
    ]


def type_counts(data: ReportData) -> list[CountRow]:
    """Patients per tumour type, most frequent first."""
    names = {row.tumour_type for row in data.patients}
    rows = [
        _count(name or "not given", (row.label for row in data.patients if row.tumour_type == name)) for name in names
    ]
    return sorted(rows, key=lambda row: (-row.total, row.name))


def _count(name: str, labels: Iterable[int | None]) -> CountRow:
    counts = Counter(labels)
    return CountRow(name, counts[0], counts[1], counts[None])


def unlabelled_names(data: ReportData) -> list[str]:
    return sorted(row.patient_id for row in data.patients if row.label is None)


def calls(data: ReportData) -> tuple[list[str], list[Call]]:
    """The models that predicted unlabelled patients, and those patients, most probable (by the lead model) first."""
    rows = [row for row in data.predictions if row.set_name in CALLED and row.model != BASELINE_MODEL]
    models = model_order(row.model for row in rows)
    lead = lead_model(data)[0]
    by_patient: dict[str, dict[str, PatientPrediction]] = {}
    for row in rows:
        by_patient.setdefault(row.patient_id, {})[row.model] = row
    ranked = sorted(by_patient, key=lambda name: (-_probability(by_patient[name], lead), name))
    return models, [_call(name, by_patient[name], models) for name in ranked]


def _probability(by_model: Mapping[str, PatientPrediction], model: str) -> float:
    return by_model[model].probability if model in by_model else -1.0


def _call(name: str, by_model: Mapping[str, PatientPrediction], models: Sequence[str]) -> Call:
    probabilities = tuple(by_model[model].probability if model in by_model else None for model in models)
    return Call(name, max(row.n_tiles for row in by_model.values()), probabilities)


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
