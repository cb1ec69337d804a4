"""The content of metrics.json, made of predictions and of what is known of patients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import pandas as pd

from hypoxia_hpc.analysis.pooling import SERIES
from hypoxia_hpc.analysis.probe import Probed
from hypoxia_hpc.evaluation.baselines import BASELINES, SITE, TYPE, makeable, uninformative
from hypoxia_hpc.evaluation.claims import (
    Units,
    beyond_chance,
    chances,
    comparisons,
    group_counts,
    groups_among,
    lead_of,
    only_group,
    units_of,
    within_groups,
)
from hypoxia_hpc.evaluation.folds import baselines_within_folds, within_folds
from hypoxia_hpc.evaluation.measures import Measures
from hypoxia_hpc.evaluation.operating import Operating
from hypoxia_hpc.evaluation.series import by_series
from hypoxia_hpc.evaluation.warnings import GROUP_WORDS, Warned, figure_warnings, group_warnings, warnings_of
from hypoxia_hpc.records import Json

LEVELS = ("tile", "slide", "patient")
TEST = "test"
NO_INTERVAL = {"low": None, "high": None}


@dataclass(frozen=True)
class Said:
    """Frames of predictions by level, each row with model, fold, set, patient_id, the label's columns, what the models
    and baselines say, and of slides and patients what `with_calls` adds. ``once``: those of slides and patients with
    the mean of the folds that tested them, where repeats tested them several times; of ``series``, too, where patients
    have several."""

    tiles: pd.DataFrame
    slides: pd.DataFrame
    patients: pd.DataFrame
    once: Mapping[str, pd.DataFrame]


@dataclass(frozen=True)
class Context:
    """What is known beside the predictions. ``facts``: see `baselines`; ``units``: the group of each patient that
    [train] keeps together; ``probed``: of the site, None where it could not be; ``operating``: by head and fold."""

    heads: tuple[str, ...]
    facts: pd.DataFrame
    n_folds: int
    units: Units
    probed: Probed | None
    operating: Mapping[str, Sequence[Operating]]


def content_of(said: Said, context: Context, measures: Measures) -> Json:
    """Everything of metrics.json but its seals: see docs/evaluation."""
    outcome = measures.outcome
    models = models_of({"tile": said.tiles, **said.once}, measures, context.units)
    rows, by_fold = (rows_by_model(part, TEST, measures) for part in (said.once["patient"], said.patients))
    heads = {head: rows[head] for head in context.heads if head in rows}
    lead = lead_of(context.heads, models, measures)
    chance = chances(heads, measures, context.units)
    content: Json = {
        "outcome": outcome.table.model_dump(mode="json"),
        "models": models,
        "lead": lead,
        "operating": _operating(context.operating),
        "chance": chance,
        "compared": compared_with(lead["model"], by_fold, models, chance, TEST, measures, context.units),
        **of_groups(heads, context.facts, measures, context.units),
        "probe": {}
        if context.probed is None
        else {SITE: {**asdict(context.probed), "readable": context.probed.readable}},
        "unchecked": _unchecked(context, by_fold, measures),
    }
    content["unchecked"] += not_measured(lead["model"], content)
    content |= of_series(said, TEST, measures, context.units)
    if context.n_folds > 1:
        found = content["within_folds"] = within_folds(by_fold, measures, context.units)
        for name, replaced in baselines_within_folds(by_fold, found, measures, context.units).items():
            models[name][TEST]["patient"] |= replaced
        content["folds"] = _folds(said.patients, replace(measures, folds=1), context.units)
    content["warnings"] = [asdict(one) for one in _warned(content, heads, measures, context.units)]
    return content


def _warned(content: Json, heads: Mapping[str, pd.DataFrame], measures: Measures, units: Units) -> list[Warned]:
    """Of the lead model's test patients, and of all that ``content`` says."""
    lead = content["lead"]["model"]
    if lead not in heads:
        return warnings_of(content, measures, 1.0)
    rows, headline = heads[lead], content["models"][lead][TEST]["patient"][measures.headline]
    groups = groups_among(rows, units)
    of_figure = [] if len(groups) == 1 else figure_warnings(rows, headline, measures, "test patient")
    return [*group_warnings(groups), *of_figure, *warnings_of(content, measures, measures.least_p(rows))]


def of_series(said: Said, set_name: str, measures: Measures, units: Units) -> Json:
    """``series``: what `by_series` finds; nothing where patients have no series."""
    rows = said.once.get(SERIES)
    return {} if rows is None else {SERIES: by_series(rows, set_name, measures, units)}


def compared_with(
    lead: str,
    rows: Mapping[str, pd.DataFrame],
    models: Json,
    chance: Json,
    set_name: str,
    measures: Measures,
    units: Units,
) -> Json:
    """``compared``: `claims.comparisons` of the ``lead`` model, where it has ``rows``, of several groups."""
    if lead not in rows or only_group(rows[lead], units):
        return {}
    own = beyond_chance(models[lead][set_name]["patient"][measures.headline], chance[lead], measures)
    return comparisons(lead, rows, measures, units, own)


def models_of(levels: Mapping[str, pd.DataFrame], measures: Measures, units: Units) -> Json:
    """Metrics of labelled rows by model, set and level; ``levels``: frames of predictions by level."""
    models: Json = {}
    for level in LEVELS:
        said = measures.outcome.outputs if level == "tile" else measures.said_of_patients
        by_set = _labelled(levels[level], measures).groupby(["model", "set"], sort=True, observed=True)
        for (model, set_name), rows in by_set:
            found = measured(rows, level, said, measures, units)
            models.setdefault(str(model), {}).setdefault(str(set_name), {})[level] = found
    return models


def measured(rows: pd.DataFrame, level: str, said: Sequence[str], measures: Measures, units: Units) -> Json:
    """Every metric of labelled rows of one level with its interval: patients drawn as wholes or, where ``units`` are
    given, whole groups of patients."""
    own = units_of(rows, units)
    if own is None and level != "patient":
        own = rows["patient_id"].astype(str).to_numpy(dtype=object)
    found = {name: asdict(interval) for name, interval in measures.metrics(rows, said, own).items()}
    return {name: one | NO_INTERVAL for name, one in found.items()} if only_group(rows, units) else found


def _folds(patients: pd.DataFrame, measures: Measures, units: Units) -> Json:
    folds: Json = {}
    labelled = _labelled(patients, measures)
    for (model, fold, set_name), rows in labelled.groupby(["model", "fold", "set"], sort=True, observed=True):
        found = measured(rows, "patient", measures.said_of_patients, measures, units)
        folds.setdefault(str(model), {}).setdefault(str(fold), {})[str(set_name)] = {"patient": found}
    return folds


def rows_by_model(rows: pd.DataFrame, set_name: str, measures: Measures) -> dict[str, pd.DataFrame]:
    """The labelled rows of one set, by model, patients by id and fold."""
    own = _labelled(rows[rows["set"] == set_name], measures).sort_values(["id", "fold"], kind="stable")
    return {str(model): part for model, part in own.groupby("model", sort=False, observed=True)}


def _labelled(rows: pd.DataFrame, measures: Measures) -> pd.DataFrame:
    known: pd.DataFrame = rows[rows[list(measures.outcome.label_types)].notna().all(axis=1)]
    return known


def _operating(operating: Mapping[str, Sequence[Operating]]) -> Json:
    return {
        head: [{"fold": fold, **one.as_json()} for fold, one in enumerate(each)] for head, each in operating.items()
    }


def of_groups(heads: Mapping[str, pd.DataFrame], facts: pd.DataFrame, measures: Measures, units: Units) -> Json:
    """``groups`` and ``within`` of labelled patients, the rows of each head, by tumour type and site; ``facts``: see
    `baselines`."""
    groups: Json = {}
    within: Json = {}
    for column in (TYPE, SITE):
        own = {str(name): str(value) for name, value in facts[column].items()}
        if not heads or not any(own.values()):
            continue
        first = next(iter(heads.values()))
        groups[column] = group_counts(first, own, _shown(first, measures))
        is_one = bool(only_group(first, units))
        if measures.outcome.kind == "binary" and len(groups[column]) > 1 and not is_one:
            within[column] = within_groups(heads, own, measures, units)
    return {"groups": groups, "within": within}


def _shown(rows: pd.DataFrame, measures: Measures) -> pd.Series:
    """The class of each row by its name; of other outcomes one for all."""
    if "call" not in rows:
        return pd.Series("all", index=rows.index)
    names = measures.outcome.table.classes
    return rows["label"].map(lambda number: names[int(number)])


def _unchecked(context: Context, rows: Mapping[str, pd.DataFrame], measures: Measures) -> list[Json]:
    """Which checks could not be made, and why."""
    found = not_compared(makeable(context.facts)[1] | uninformative(rows, measures))
    if any(only_group(own, context.units) for own in rows.values()):
        check = "is the model better than chance, and than each baseline?"
        found.append({"check": check, "why": "all test patients are of one group that is kept together"})
    if context.probed is None or context.probed.accuracy is None:
        found.append({"check": "can the site be read from the features?", "why": "fewer than two sites of 5 patients"})
    return found


def not_measured(lead: str, content: Json) -> list[Json]:
    """As entries of ``unchecked``: baselines of ``content`` that the ``lead`` model cannot be held against with an
    interval, and groups within which it cannot be measured."""
    why = "one of both figures has no interval: too few patients, groups or classes"
    open_ended = {name: why for name, one in content["compared"].items() if name in BASELINES and one["low"] is None}
    return [
        *not_compared(open_ended),
        *(
            {
                "check": f"is the model better than chance within a {GROUP_WORDS[column]}?",
                "why": f"no two of these patients of one {GROUP_WORDS[column]} are of different classes",
            }
            for column, heads in content["within"].items()
            if lead in heads and heads[lead]["roc_auc"]["value"] is None
        ),
    ]


def not_compared(lacking: Mapping[str, str]) -> list[Json]:
    """As entries of ``unchecked``: why there are no baselines of these names."""
    return [{"check": f"comparison with {name}", "why": why} for name, why in lacking.items()]
