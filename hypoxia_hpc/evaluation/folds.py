"""Cross-validation: what different models say is not ranked together, neither of models nor of baselines that are set
beside them.

The share of a class in the training patients of a fold is the lower, the more of them are in its test patients: ranked
together, baselines get an area below 1/2 by construction, and a model would seem to lead by more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

import pandas as pd

from hypoxia_hpc.analysis.metrics import Interval
from hypoxia_hpc.analysis.rows import Ids
from hypoxia_hpc.analysis.spreads import Exact
from hypoxia_hpc.evaluation.baselines import BASELINES
from hypoxia_hpc.evaluation.claims import Units, units_of
from hypoxia_hpc.evaluation.measures import Measures, says_nothing
from hypoxia_hpc.records import Json

# How the names of metrics begin that go by the order of patients alone.
RANKED = ("roc_auc", "average_precision", "spearman", "harrell", "uno")


def within_folds(rows: Mapping[str, pd.DataFrame], measures: Measures, units: Units) -> Json:
    """Of each model and baseline in ``rows`` (labelled test patients of every fold): the headline metric over the folds
    (`Measures.over_folds`), with its interval."""
    said = measures.said_of_patients
    return {
        name: {measures.headline: asdict(_over_folds(own, measures, said, units_of(own, units)))}
        for name, own in rows.items()
    }


def _over_folds(rows: pd.DataFrame, measures: Measures, said: Sequence[str], units: Ids | None) -> Interval:
    n, spreads = rows["patient_id"].nunique(), measures.spreads([rows], said, units)
    if spreads is None:
        return Interval(None, None, None, n)
    [one] = spreads.each
    low, high = (None, None) if isinstance(one, Exact) else one.interval(measures.table.confidence)
    return Interval(one.value, low, high, n)


def baselines_within_folds(
    rows: Mapping[str, pd.DataFrame], found: Json, measures: Measures, units: Units
) -> dict[str, Json]:
    """Metrics of baselines, by their names, that take the place of those of all folds ranked together. ``rows`` as of
    `within_folds`, which has ``found`` the headline; of baselines that say the same of all patients of a fold, all
    metrics that go by order are those of one that says the same of everyone."""
    said = list(measures.said_of_patients)
    replaced: dict[str, Json] = {}
    for name in BASELINES:
        if name not in rows:
            continue
        replaced[name] = dict(found[name])
        if says_nothing(rows[name], said):
            same = rows[name].drop_duplicates("patient_id")
            same = same.assign(**{column: float(same[column].mean()) for column in said})
            metrics = measures.metrics(same, said, units_of(same, units))
            replaced[name] |= {key: asdict(one) for key, one in metrics.items() if key.startswith(RANKED)}
    return replaced
