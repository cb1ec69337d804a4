"""The REMARK checklist (McShane et al. 2005, JNCI 97:1180) of studies of prognostic markers, as far as a run knows."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from hypoxia_hpc.records import Json
from hypoxia_hpc.reports.data import ReportData
from hypoxia_hpc.reports.methods import TO_FILL_IN, Item
from hypoxia_hpc.reports.text import count_of, p_value

MADE_OF = {
    "phenotypes": "the shares of a patient's tiles in each cluster",
    "predictions": "what a model says of a patient",
    "columns": "columns of patients.csv",
}


def remark(data: ReportData) -> list[Item]:
    """All 20 items; none where nothing was said of survival."""
    if not data.survival:
        return []
    answers: Mapping[str, Callable[[Json], str]] = {
        "1": _marker, "3": _treatment, "7": _endpoints, "8": _candidates, "9": _size, "10": _methods, "11": _cut,
        "12": _flow, "13": _counts, "15": _univariate, "16": _multivariate, "17": _measures, "18": _checks,
    }  # fmt: skip
    found = []
    for name, text in REMARK.items():
        answer = answers[name](data.survival) if name in answers else ""
        found.append(Item(name, text, answer or TO_FILL_IN, not answer))
    return found


def _each(content: Json, said: Callable[[Json], str]) -> str:
    """A sentence for each endpoint."""
    sentences = {name: said(one) for name, one in content["endpoints"].items()}
    return " ".join(f"{name}: {sentence}" for name, sentence in sentences.items() if sentence)


def _marker(content: Json) -> str:
    return f"Marker: a risk made of {MADE_OF.get(content['of'], content['of'])}. Hypotheses: to be filled in."


def _treatment(content: Json) -> str:
    column = content["settings"]["treatment"]
    return f"Column {column} of patients.csv. How it was chosen: to be filled in." if column else ""


def _endpoints(content: Json) -> str:
    names = ", ".join(content["endpoints"])
    return f"Times in {content['time_unit']}: {names}. What counts as the event: to be filled in."


def _candidates(content: Json) -> str:
    adjusted = ", ".join(content["settings"]["adjust"])
    return f"{_each(content, _names)}{f' Adjusted for {adjusted}.' if adjusted else ''}"


def _names(found: Json) -> str:
    parts = found["candidates"]
    names = [*parts["clusters"], *parts["outputs"], *(one["name"] for one in parts["covariates"])]
    return f"{count_of(len(names), 'candidate')} ({', '.join(names[:10])}{', …' if len(names) > 10 else ''})."


def _size(content: Json) -> str:
    return f"All patients that there were. {_each(content, _events)} A calculation of sample size: to be filled in."


def _events(found: Json) -> str:
    sets = (f"{name} {one['patients']:,}, events {one['events']:,}" for name, one in found["sets"].items())
    return f"{'; '.join(sets)}."


def _methods(content: Json) -> str:
    one = content["settings"]
    return (
        f"Cox's model, ties by {one['ties']}, ridge {one['ridge']:g}; columns screened before the fit by spread "
        f"({one['least_carriers']:g} patients), by p by themselves ({one['screen_p']:g}), by number "
        f"({one['events_per_column']:g} events a column), and by rank. Patients without a value were left out; nothing "
        f"was imputed. Optimism: {one['bootstrap']} resamples of the whole making of the signature, and {one['folds']} "
        "folds."
    )


def _cut(content: Json) -> str:
    return f"Cut at the quantile {content['cut']:g} of the risk in discovery, and kept for all others."


def _flow(content: Json) -> str:
    return _each(content, _left_out) or "No patient was left out."


def _left_out(found: Json) -> str:
    return "; ".join(f"{why}: {len(ids):,}" for why, ids in found["left_out"].items())


def _counts(content: Json) -> str:
    return f"{_each(content, _events)} Demographic characteristics: to be filled in."


def _univariate(content: Json) -> str:
    return "See the hazard table, and the Kaplan-Meier curves." if _has(content, "screen") else ""


def _multivariate(content: Json) -> str:
    return "See the hazard table, with intervals, whatever the p." if _has(content, "hazards") else ""


def _measures(content: Json) -> str:
    return "See the hazard ratio of the risk beside the columns adjusted for." if content["settings"]["adjust"] else ""


def _checks(content: Json) -> str:
    return _each(content, _constancy)


def _constancy(found: Json) -> str:
    p = found.get("constancy", {}).get("together", {}).get("p")
    return "" if p is None else f"proportional hazards {p_value(p)}; optimism and other folds: see above."


def _has(content: Json, name: str) -> bool:
    return any(one.get(name) for one in content["endpoints"].values())


REMARK = {
    "1": "Introduction: the marker examined, the objectives, any hypotheses",
    "2": "Patients: source, inclusion and exclusion criteria",
    "3": "Patients: treatments received and how they were chosen",
    "4": "Specimens: type of material, control samples, preservation and storage",
    "5": "Assay: method, protocol, quality control, reproducibility, blinding",
    "6": "Design: how cases were selected, period, end of follow-up, median follow-up",
    "7": "Design: all clinical endpoints, precisely defined",
    "8": "Design: all candidate variables",
    "9": "Design: rationale of the sample size, power",
    "10": "Analysis: all statistical methods, selection of variables, model building, assumptions, missing data",
    "11": "Analysis: how marker values were handled, and how cutpoints were found",
    "12": "Data: the flow of patients, and how many were in each stage; numbers of events",
    "13": "Data: demographic and clinical characteristics, numbers of missing values",
    "14": "Presentation: relation of the marker to standard prognostic variables",
    "15": "Presentation: univariable analyses of marker and outcome, with estimates and survival curves",
    "16": "Presentation: multivariable analyses, with estimates and intervals for all variables",
    "17": "Presentation: estimates from models with the marker and standard prognostic variables, whatever their p",
    "18": "Presentation: further investigations, as checks of assumptions, sensitivity, internal validation",
    "19": "Discussion: interpretation in the light of hypotheses and other studies, limitations",
    "20": "Discussion: implications for research and clinical value",
}
