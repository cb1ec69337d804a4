"""The head of the page: what was asked, the answer, what stands beside it, what speaks against believing it."""

from __future__ import annotations

from dataclasses import dataclass

from hypoxia_hpc.config import STUDIES
from hypoxia_hpc.records import Json
from hypoxia_hpc.reports.data import ReportData
from hypoxia_hpc.reports.kinds.kind import Kind
from hypoxia_hpc.reports.lead import (
    BASELINES,
    MEASURED,
    baselines_of,
    lead_model,
    measured_set,
    metric,
    n_folds,
    rows_of,
    who_is_measured,
)
from hypoxia_hpc.reports.text import count_of, fixed, interval, p_value

# Of patients without a label, or predicted by the models of another run.
CALLED = ("unlabelled", "predict")
COMPARISON = "comparison with "  # begins a check of metrics.json that was not made, before the name of the baseline
WITHIN = {"tumour_type": "within a tumour type", "site": "within a site"}


@dataclass(frozen=True, slots=True)
class Beside:
    """A line of the table under the answer: ``name``, its metric, and how much better the model is than it."""

    name: str
    metric: Json
    difference: Json
    is_lead: bool = False


@dataclass(frozen=True, slots=True)
class Summary:
    """``verdict``: what the test against chance says. ``warnings`` and ``unchecked`` are sentences."""

    question: str
    answer: str
    verdict: str
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
    unchecked: tuple[str, ...]
    beside: tuple[Beside, ...]


def summarise(data: ReportData, kind: Kind) -> Summary:
    """The answer: the metric of test patients; without one, the calls; without those, that there is none."""
    lead, choice = lead_model(data, kind.headline)
    set_name = measured_set(data, lead)
    found = metric(data.metrics, lead, set_name, "patient", kind.headline)
    if found.get("value") is not None:
        n = count_of(found["n"], who_is_measured(data, lead))
        answer = f"{kind.headline_name} {value_and_span(found)} on {n}, model {lead}."
        notes: tuple[str, ...] = (_across_folds(data, kind, lead), choice)
    else:
        answer, notes = _without_metric(data, kind, lead)
    return Summary(
        kind.question(data.outcome),
        answer,
        verdict(data.metrics.get("chance", {}), lead),
        tuple(filter(None, (*notes, _ceiling(data)))),
        tuple(str(one["text"]) for one in data.metrics.get("warnings", ())),
        tuple(_unchecked(str(one["check"]), str(one["why"])) for one in data.metrics.get("unchecked", ())),
        beside(data, kind, lead, set_name) if found.get("value") is not None else (),
    )


def _ceiling(data: ReportData) -> str:
    """How well the study's question can be answered at all, where that is known."""
    study = STUDIES.get(data.settings.get("study", ""))
    return "" if study is None or study.ceiling is None else study.ceiling.text


def _unchecked(check: str, why: str) -> str:
    name = check.removeprefix(COMPARISON)
    return f"{check.replace(name, BASELINES.get(name, name)).rstrip('?')} ({why})"


# How p was found, by the method of metrics.json.
TESTS = {
    "exact": "exact test",
    "permutation": "permutation test",
    "clustered": "by the interval over groups of patients",
    "interval": "by the interval",
}


def verdict(chance: Json, lead: str) -> str:
    """What the test of the lead model against chance says; empty where none was made."""
    found = chance.get(lead)
    if not found:
        return ""
    p, n = p_value(found["p_holm"]), len(chance)
    if found["method"] == "none":
        return "No claim is made: no two patients or groups here can be compared."
    tested = (
        f"{p}{f', corrected for {n} models (Holm)' if n > 1 else ''}; {TESTS.get(found['method'], found['method'])}"
    )
    words = {
        "above": f"Better than chance ({tested}).",
        "below": f"Worse than chance ({tested}). Look for swapped labels.",
    }
    return words.get(found["verdict"], f"Chance is not ruled out ({tested}).")


def beside(data: ReportData, kind: Kind, lead: str, set_name: str) -> tuple[Beside, ...]:
    """The lead model, the baselines, and the lead model within groups, on the same patients."""
    compared = data.metrics.get("compared", {})
    rows = [Beside(f"model {lead}", metric(data.metrics, lead, set_name, "patient", kind.headline), {}, is_lead=True)]
    for group, words in WITHIN.items():
        found = data.metrics.get("within", {}).get(group, {}).get(lead, {}).get(kind.headline, {})
        if found.get("value") is not None:
            rows.append(Beside(f"model {lead}, {words}", found, {}, is_lead=True))
    over_folds = data.metrics.get("within_folds", {}).get(lead, {}).get(kind.headline, {})
    if over_folds.get("value") is not None:
        rows.append(Beside(f"model {lead}, mean over folds", over_folds, {}, is_lead=True))
    for name in baselines_of(data):
        found = metric(data.metrics, name, set_name, "patient", kind.headline)
        # One that tells nothing here is not compared, and named among what was not checked.
        if found.get("value") is not None and (name in compared or not compared):
            rows.append(Beside(BASELINES[name], found, compared.get(name, {})))
    return tuple(rows)


def value_and_span(found: Json) -> str:
    """``0.75 (0.55–0.90)``."""  # noqa: RUF002
    span = interval(found.get("low"), found.get("high"), 2)
    return f"{found['value']:.2f} ({span})" if span else f"{found['value']:.2f}"


def _without_metric(data: ReportData, kind: Kind, lead: str) -> tuple[str, tuple[str, ...]]:
    rows = [row for row in data.predictions if row.model == lead and row.set_name in CALLED]
    if not rows:
        return "No model has been evaluated on test patients yet.", ()
    patients = count_of(len(rows), "unlabelled patient")
    notes = tuple(filter(None, (_no_metric(data, kind, lead), data.models_note)))
    calls = [row.call for row in rows if row.call]
    if not calls:
        return f"{patients} predicted, model {lead}.", notes
    # The positive class of two, the last of several.
    name = data.outcome.table.classes[-1]
    return f"{calls.count(name):,} of {patients} called {name}, model {lead}.", notes


def _no_metric(data: ReportData, kind: Kind, lead: str) -> str:
    rows = rows_of(data, tuple(MEASURED)).get(lead, [])
    if not rows:
        return f"There is no {kind.headline_name}: this run has no labelled test patients."
    one_class = len({row.label for row in rows}) == 1
    return f"There is no {kind.headline_name}" + (": the test patients are all of one class." if one_class else ".")


def _folds_in_words(data: ReportData) -> str:
    """``5 folds``, ``5 folds, 10 times``."""
    repeats = data.settings.get("train", {}).get("repeats", 1)
    return f"{n_folds(data) // repeats} folds{f', {repeats} times' if repeats > 1 else ''}"


def _across_folds(data: ReportData, kind: Kind, lead: str) -> str:
    if not n_folds(data):
        return ""
    of_lead = data.metrics["folds"].get(lead, {}).values()
    found = [sets.get("test", {}).get("patient", {}).get(kind.headline, {}).get("value") for sets in of_lead]
    known = [value for value in found if value is not None]
    span = ""
    if known:
        mean = fixed(sum(known) / len(known), 2)
        span = f"; fold by fold it is {mean} on average, from {min(known):.2f} to {max(known):.2f}"
    return (
        f"Cross-validated in {_folds_in_words(data)}, each patient predicted by models that did not see it{span}. "
        "The interval allows for folds that share training patients (Nadeau and Bengio); it holds the split fixed. "
        "Baselines, and how much better the model is than they are, are means over the folds: what different folds say "
        "is not ranked together."
    )
