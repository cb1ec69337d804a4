"""What may be said of models by their test patients: which leads, whether any is better or worse than chance, how it
compares with other models and baselines, and what is left within groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial

import numpy as np
import pandas as pd

from hypoxia_hpc.analysis.chance import Chance, auc_chance, holm, verdict
from hypoxia_hpc.analysis.comparison import Compared
from hypoxia_hpc.analysis.measures import within_interval
from hypoxia_hpc.analysis.rows import Ids
from hypoxia_hpc.evaluation.baselines import MAJORITY, uninformative
from hypoxia_hpc.evaluation.measures import Measures, chance_of_intervals
from hypoxia_hpc.records import Json

ALPHA = 0.05
Units = Mapping[str, str] | None  # the group of each patient that is drawn as a whole


def lead_of(heads: Sequence[str], models: Json, measures: Measures) -> Json:
    """Which head leads: by its headline metric on validation patients, never on test patients; the first of those that
    tie, which are named."""
    found = {head: _on_validation(models.get(head, {}), measures.headline) for head in heads}
    known = {head: value for head, value in found.items() if value is not None}
    if not known:
        return {"model": heads[0], "metric": measures.headline, "by": "order of [train] heads", "ties": []}
    best = max(known.values())
    ties = [head for head, value in known.items() if value == best]
    by = "validation patients" if len(heads) > 1 else "being the only one"
    return {"model": ties[0], "metric": measures.headline, "by": by, "ties": ties[1:]}


def _on_validation(sets: Json, name: str) -> float | None:
    value = sets.get("valid", {}).get("patient", {}).get(name, {}).get("value")
    return None if value is None else float(value)


def chances(rows: Mapping[str, pd.DataFrame], measures: Measures, units: Units) -> Json:
    """Of each head in ``rows`` (labelled test patients): p against no relation, adjusted for all heads (Holm), how it
    was found, and what may be said: above, below, or neither."""
    found: dict[str, Chance] = {
        head: Chance(1.0, "none")
        if only_group(part, units)
        else measures.chance(part, measures.said_of_patients, units_of(part, units))
        for head, part in rows.items()
    }
    adjusted = holm({head: one.p for head, one in found.items()})
    values = {head: _headline(part, measures) for head, part in rows.items()}
    return {
        head: {
            "p": one.p,
            "p_holm": adjusted[head],
            "method": one.method,
            "verdict": _verdict(values[head], adjusted[head], measures),
        }
        for head, one in found.items()
    }


def _headline(rows: pd.DataFrame, measures: Measures) -> float | None:
    statistic = measures.statistic(rows, measures.said_of_patients, np.arange(len(rows)), len(rows))
    value = float(statistic(np.ones((len(rows), 1)))[0, 0]) if len(rows) else np.nan
    return None if np.isnan(value) else value


def _verdict(value: float | None, p: float, measures: Measures) -> str:
    """As of an area, whose value without any relation is 1/2."""
    return verdict(None if value is None else 0.5 + value - measures.no_relation, p, ALPHA)


def comparisons(lead: str, rows: Mapping[str, pd.DataFrame], measures: Measures, units: Units, own: Compared) -> Json:
    """The headline metric of the lead model less that of each other model and baseline, on the same test patients.
    ``own``: that of the lead model less its value without any relation, which is that of the majority class."""
    mine, said = rows[lead], measures.said_of_patients
    silent = uninformative(rows, measures)
    return {
        name: asdict(own if name == MAJORITY else measures.compared(mine, other, said, units_of(mine, units)))
        for name, other in rows.items()
        if name not in (lead, *silent) and len(other) == len(mine)
    }


def beyond_chance(headline: Json, chance: Json, measures: Measures) -> Compared:
    """The headline metric of a model, with its own interval and its own p against chance, less its value without any
    relation."""
    if (headline["value"], headline["low"]) == (measures.no_relation, None) and chance["method"] != "none":
        return Compared(0.0, 0.0, 0.0, 1.0, headline["n"])  # a model that says the same of everyone, as that class does
    value, low, high = (
        None if headline[name] is None else headline[name] - measures.no_relation for name in ("value", "low", "high")
    )
    return Compared(value, low, high, None if value is None else chance["p"], headline["n"])


def within_groups(
    rows: Mapping[str, pd.DataFrame], groups: Mapping[str, str], measures: Measures, units: Units
) -> Json:
    """Of each head: the area under the ROC curve within groups, with its interval and its p against 1/2; two classes
    alone. ``groups``: of every patient; patients whose group is empty are left out."""
    found: Json = {}
    for head, part in rows.items():
        known = part[part["patient_id"].astype(str).map(groups).fillna("") != ""]
        own = known["patient_id"].astype(str).map(groups).tolist()
        labels = known["label"].to_numpy(dtype=np.int64)
        said = known[measures.said_of_patients[0]].to_numpy(dtype=np.float64)
        interval = partial(within_interval, labels, said, own, units=units_of(known, units), folds=measures.folds)
        if units is None and measures.folds == 1:
            chance = auc_chance(labels, said, within=own, seed=measures.table.seed)
        else:
            chance = chance_of_intervals(lambda confidence: interval(confidence=confidence), 0.5)  # noqa: B023
        found[head] = {"roc_auc": asdict(interval(confidence=measures.table.confidence)), **asdict(chance)}
    return found


def group_counts(rows: pd.DataFrame, groups: Mapping[str, str], shown: pd.Series) -> list[Json]:
    """How many of these patients each group has, by what is ``shown`` of their labels; groups by falling number."""
    own = rows["patient_id"].astype(str).map(groups).fillna("")
    table = pd.crosstab(own, shown)
    counts = [
        {"group": str(name), "n": int(row.sum()), "by_class": {str(key): int(n) for key, n in row.items()}}
        for name, row in table.iterrows()
    ]
    return sorted(counts, key=lambda one: (-one["n"], one["group"]))


def only_group(rows: pd.DataFrame, units: Units) -> str:
    """The group that all of these patients are of, where groups are drawn as wholes; empty where there are several:
    one group says nothing of how groups differ, so that there is no interval, no test and no comparison."""
    known = groups_among(rows, units)
    return known.pop() if len(known) == 1 else ""


def groups_among(rows: pd.DataFrame, units: Units) -> set[str]:
    """The groups that these patients are of, where groups are drawn as wholes."""
    return set() if units is None else {units[name] for name in rows["patient_id"].astype(str)}


def units_of(rows: pd.DataFrame, units: Units) -> Ids | None:
    """The unit of each row's patient."""
    return None if units is None else rows["patient_id"].astype(str).map(units).to_numpy(dtype=object)
