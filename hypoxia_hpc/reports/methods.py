"""A paragraph of methods to paste, and the TRIPOD+AI checklist (Collins et al. 2024, BMJ 385, e078378), both as far as
the run knows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePath

from hypoxia_hpc.config.extract import IMPORTED
from hypoxia_hpc.records import Json
from hypoxia_hpc.reports.content import CountRow, count_names, set_counts, slide_totals
from hypoxia_hpc.reports.data import ReportData
from hypoxia_hpc.reports.kinds.kind import Kind
from hypoxia_hpc.reports.lead import BASELINES, baselines_of, lead_model, models_of, n_folds
from hypoxia_hpc.reports.summary import summarise
from hypoxia_hpc.reports.text import count_of, thousands

TO_FILL_IN = "to be filled in"


@dataclass(frozen=True, slots=True)
class Item:
    """An item of the checklist and what this run says about it; ``is_open`` where a person has to fill it in."""

    number: str
    text: str
    answer: str
    is_open: bool


def methods_paragraph(data: ReportData, kind: Kind) -> str:
    """How the result was made, in sentences; empty where no model was trained and tested in this run."""
    if not _is_study(data):
        return ""
    parts = (_cohort, _tiles, _features, _models, _split, _evaluation, _software)
    return " ".join(sentence for part in parts if (sentence := part(data, kind)))


def checklist(data: ReportData, kind: Kind) -> list[Item]:
    """All items of TRIPOD+AI; none where no model was trained and tested in this run."""
    if not _is_study(data):
        return []
    answers: Mapping[str, Callable[[ReportData, Kind], str]] = {
        "6b": _eligibility, "7": _tiles, "8a": _outcome, "9b": _features, "10": _size, "11": _missing, "12a": _split,
        "12c": _models, "12e": _evaluation, "12g": _pooling, "13": _imbalance, "14": _groups, "15": _output,
        "18f": _software, "20a": _flow, "20b": _counts, "21": _counts, "22": _specification, "23a": _performance,
        "23b": _groups,
    }  # fmt: skip
    found = []
    for number, text in TRIPOD_AI.items():
        answer = answers[number](data, kind) if number in answers else ""
        found.append(Item(number, text, answer or TO_FILL_IN, not answer))
    return found


def _is_study(data: ReportData) -> bool:
    """Not where models of another run predicted, whose settings and patients are not here."""
    return bool(data.settings) and any(row.set_name == "test" for row in data.predictions)


def _cohort(data: ReportData, kind: Kind) -> str:
    labelled = sum(one.label is not None for one in data.patients)
    by_class = _by_class(data)
    counts = ", ".join(f"{n:,} {name}" for name, n in by_class.items())
    counts = f" ({counts})" if len(by_class) > 1 else ""
    patients = count_of(len(data.patients), "patient")
    of = "Images" if _of_images(data) else count_of(len(data.slides), "whole-slide image")
    return f"{of} of {patients} were taken; {count_of(labelled, 'patient')} with a label{counts}."


def _of_images(data: ReportData) -> bool:
    return bool(data.settings.get("source", {}).get("kind") == "folders")


def _imported(data: ReportData) -> str:
    """What made the features, where another tool did; else empty."""
    backbone = str(data.settings.get("extract", {}).get("backbone", ""))
    return backbone.removeprefix(IMPORTED) if backbone.startswith(IMPORTED) else ""


def _by_class(data: ReportData) -> dict[str, int]:
    rows = set_counts(data)
    return {name: sum(row.counts[i] for row in rows) for i, name in enumerate(count_names(data.outcome))}


def _tiles(data: ReportData, kind: Kind) -> str:
    tile = data.settings["tile"]
    totals = slide_totals(data.slides)
    side = f"{tile['tile_px']} x {tile['tile_px']} pixels"
    how = f"Slides were cut without overlap into tiles of {side} at {tile['mpp']:g} µm per pixel"
    if _of_images(data):
        whole = (
            "Images were" if tile["large_images"] == "resize" else f"Images of at least {side} were cut; others were"
        )
        how = f"{whole} {'padded' if tile['small_images'] == 'pad' else 'stretched'} to one tile of {side}"
    if _imported(data):
        return f"Another tool had cut tiles of {side} at about {tile['mpp']:g} µm per pixel; all of them were used."
    kept = f"{thousands(totals.kept)} of {thousands(totals.planned)} were kept"
    return f"{how}; {_left_out(data)}{kept}.{_stain(data)}"


def _left_out(data: ReportData) -> str:
    """Which tiles were, as the beginning of a sentence part; empty where all are kept."""
    tile = data.settings["tile"]
    share, series = tile["max_background"], tile.get("series", {})
    parts = []
    if series.get("scale", "none") != "none":
        own = series["scale"] == "window"
        scale = "each slice had the window of its file" if own else "each series had one scale of gray"
        parts.append(f"{scale}, and slices with less than {100 * series['min_content']:g} % content were left out")
    if share < 1:
        background = f"background (luminance of {tile['white']} or more)"
        parts.append(f"tiles of which more than {100 * share:g} % is {background} were left out")
    return "".join(f"{part}, " for part in parts)


def _stain(data: ReportData) -> str:
    """A sentence on the colours that tiles were given, where they were given any."""
    table = data.settings["tile"].get("stain", {})
    if table.get("method", "none") == "none":
        return ""
    reference = table["reference"]
    to = "the published reference" if reference is None else "one image"
    to = "the median of training slides" if PurePath(reference or "").suffix == ".json" else to
    kept = "was left out" if table["untrusted"] == "quarantine" else "kept its colours"
    of = "patient" if _of_images(data) else "slide"
    return (
        f" Their stain was normalised by the method of {table['method'].capitalize()}, fitted on the tissue of each "
        f"{of}, to {to}; what had no stain that could be trusted {kept}."
    )


def _features(data: ReportData, kind: Kind) -> str:
    if made_by := _imported(data):
        return f"Each tile was described by features of {made_by}, which another tool had made."
    extract = data.settings["extract"]
    weights = "random weights" if data.random_weights else "pretrained weights (ImageNet)"
    weights = weights if extract["weights"] in ("imagenet", "random") else "weights of its own"
    return f"Each tile was described by the pooled output of {extract['backbone']} with {weights}."


def _models(data: ReportData, kind: Kind) -> str:
    names, lead = models_of(data), lead_model(data, kind.headline)
    listed = f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]
    chosen = f" {lead[1]}" if lead[1] else ""
    verb = "was" if len(names) == 1 else "were"
    return f"On these features {count_of(len(names), 'model')} {verb} trained: {listed}.{chosen}"


def _split(data: ReportData, kind: Kind) -> str:
    train, folds = data.settings["train"], n_folds(data)
    together = f", all patients of one {train['keep_together']} in one set" if train["keep_together"] else ""
    if folds:
        repeats = f", repeated {train['repeats']} times" if train["repeats"] > 1 else ""
        return f"Models were evaluated by cross-validation over patients in {train['folds']} folds{repeats}{together}."
    if train.get("split_file"):
        return f"Patients were split into training, validation and test sets as a given table says{together}."
    shares = " / ".join(f"{100 * share:g}" for share in train["split"])
    return f"Patients were split into training, validation and test sets ({shares} %), stratified by label{together}."


def _pooling(data: ReportData, kind: Kind) -> str:
    table = data.settings["evaluate"]
    pooled = {
        "mean": "the mean over",
        "median": "the median over",
        "top-k": f"the mean of the {table['pooling_k']} largest predictions of",
        "share-above": f"the share above {table['pooling_threshold']:g} among",
    }[table["pooling"]]
    weighs = "; attention weighs the tiles itself" if "attention" in models_of(data) else ""
    if table.get("fusion") == "late" and data.metrics.get("series"):
        return f"A patient's prediction is the mean of the logits of its series, of each {pooled} its tiles{weighs}."
    images = "images" if _of_images(data) else "slides"
    return f"A patient's prediction is {pooled} all tiles of all {images} of the patient{weighs}."


def _evaluation(data: ReportData, kind: Kind) -> str:
    if not data.metrics.get("models"):
        return ""
    beside = [BASELINES[name] for name in baselines_of(data)]
    compared = f" Baselines on the same patients: {', '.join(beside)}." if beside else ""
    names = ", ".join(dict.fromkeys(title for group in kind.metric_groups(data).values() for title in group.values()))
    together = data.settings["train"]["keep_together"]
    over = f"over groups of patients of one {together}" if together else "over patients"
    return (
        f"Reported on test patients with {100 * data.confidence:g} % intervals, {over}: {names}.{compared} "
        f"{kind.call_rule(data, lead_model(data, kind.headline)[0])}"
    )


def _software(data: ReportData, kind: Kind) -> str:
    versions = data.provenance.versions
    named = ", ".join(f"{name} {version}" for name, version in versions.items())
    return f"Software: {named}." if named else ""


def _outcome(data: ReportData, kind: Kind) -> str:
    table = data.outcome.table
    return f"{kind.question(data.outcome)} Read from the column {' and '.join(table.columns)} of patients.csv."


def _eligibility(data: ReportData, kind: Kind) -> str:
    cohort, modes = data.settings["cohort"], data.settings.get("source", {}).get("image_mode", ())
    if _of_images(data):
        which = f"of the series {', '.join(modes)}" if modes else "that the folder or table of images names"
        return f"Patients with images {which}. Clinical criteria: to be filled in."
    return (
        f"Slides of samples: {', '.join(cohort['samples'])}; preparations: {', '.join(cohort['preparations'])}. "
        "Clinical criteria: to be filled in."
    )


def _size(data: ReportData, kind: Kind) -> str:
    tested = ", ".join(_in_words(row) for row in set_counts(data))
    return f"All patients that there were: {tested}. A calculation of sample size: to be filled in."


def _in_words(row: CountRow) -> str:
    return f"{row.name} {row.total:,}"


def _missing(data: ReportData, kind: Kind) -> str:
    without = sum(one.label is None for one in data.patients)
    return f"{count_of(without, 'patient')} without a label took no part in training and metrics. Nothing was imputed."


def _imbalance(data: ReportData, kind: Kind) -> str:
    if data.outcome.kind not in ("binary", "classes"):
        return ""
    heads = [(name, data.settings["train"].get(name, {})) for name in data.settings["train"]["heads"]]
    said = [f"{name}: balance by {head['balance']}" for name, head in heads if "balance" in head]
    return "; ".join(said) + ("." if said else "")


def _groups(data: ReportData, kind: Kind) -> str:
    there = [name for name, has in _group_facts(data).items() if has]
    return f"Test patients by {' and by '.join(there)}: see the tables above." if there else ""


def _group_facts(data: ReportData) -> dict[str, bool]:
    return {
        "tumour type": any(one.tumour_type for one in data.patients),
        "site": any(one.site for one in data.patients),
    }


def _output(data: ReportData, kind: Kind) -> str:
    return f"{', '.join(column.title for column in kind.columns(data.outcome))}: see the table of test patients."


def _flow(data: ReportData, kind: Kind) -> str:
    what = "patients" if _of_images(data) else "slides and patients"
    return f"See the flow of {what}." if data.flow.get("steps") else ""


def _counts(data: ReportData, kind: Kind) -> str:
    names = count_names(data.outcome)
    rows = [
        f"{row.name}: " + ", ".join(f"{n:,} {name}" for n, name in zip(row.counts, names, strict=True))
        for row in set_counts(data)
        if sum(row.counts)
    ]
    return "; ".join(rows) + ("." if rows else "")


def _specification(data: ReportData, kind: Kind) -> str:
    return "Every setting is in run.toml and every model in the run's models/, with its key: see Provenance."


def _performance(data: ReportData, kind: Kind) -> str:
    summary = summarise(data, kind)
    return " ".join(filter(None, (summary.answer, summary.verdict)))


def flattened(settings: Json, path: str = "") -> dict[str, str]:
    """Settings as text by their name in run.toml ("train.folds")."""
    found: dict[str, str] = {}
    for name, value in settings.items():
        inner = f"{path}.{name}" if path else name
        found |= flattened(value, inner) if isinstance(value, dict) else {inner: _word(value)}
    return found


def _word(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


TRIPOD_AI = {
    "1": "Title: developing or evaluating a prediction model, target population, outcome",
    "2": "Abstract: see TRIPOD+AI for Abstracts",
    "3a": "Background: the healthcare context and the rationale",
    "3b": "Background: target population, intended purpose, intended users",
    "3c": "Background: known health inequalities between groups",
    "4": "Objectives: development, validation, or both",
    "5a": "Source of the data, and how representative they are",
    "5b": "Dates: start and end of accrual, end of follow-up",
    "6a": "Setting, number and location of centres",
    "6b": "Eligibility criteria",
    "6c": "Treatments received, and how they were handled",
    "7": "Data preparation, quality checks, and whether these are alike across groups",
    "8a": "Outcome: definition, time horizon, how and when it was assessed",
    "8b": "Outcome: qualification of the assessors, where it needs interpretation",
    "8c": "Outcome: what was done to blind its assessment",
    "9a": "Predictors: how they were chosen",
    "9b": "Predictors: definition, how and when they were measured",
    "9c": "Predictors: qualification of the assessors, where they need interpretation",
    "10": "Sample size: how it was arrived at",
    "11": "Missing data: how they were handled",
    "12a": "Analysis: how the data were used, and parted into sets",
    "12b": "Analysis: how predictors were handled",
    "12c": "Analysis: type of model, rationale, steps of building it, internal validation",
    "12d": "Analysis: heterogeneity between clusters, as hospitals",
    "12e": "Analysis: measures and plots of performance",
    "12f": "Analysis: model updating",
    "12g": "Analysis: how predictions were calculated",
    "13": "Class imbalance: how it was handled, and recalibration",
    "14": "Fairness: how it was addressed",
    "15": "Model output: what it is, thresholds and how they were chosen",
    "16": "Differences between development and evaluation data",
    "17": "Ethical approval",
    "18a": "Funding",
    "18b": "Conflicts of interest",
    "18c": "Protocol: where it can be had",
    "18d": "Registration",
    "18e": "Data sharing",
    "18f": "Code sharing",
    "19": "Patient and public involvement",
    "20a": "Participants: their flow through the study",
    "20b": "Participants: characteristics overall and by centre",
    "20c": "Participants: comparison with the development data, where it is an evaluation",
    "21": "Number of participants and of outcome events in each analysis",
    "22": "Full specification of the model, so that predictions can be made",
    "23a": "Performance with confidence intervals, also in groups",
    "23b": "Heterogeneity of performance between clusters",
    "24": "Results of model updating",
    "25": "Interpretation, fairness included, in the light of objectives and other studies",
    "26": "Limitations",
    "27a": "Usability: how poor or unavailable input is to be handled",
    "27b": "Usability: what users have to do, and the expertise they need",
    "27c": "Usability: next steps for research",
}
