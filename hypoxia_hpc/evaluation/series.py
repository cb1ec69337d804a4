"""How each series of a patient's images does by itself, and what they give together. Pure."""

from __future__ import annotations

from dataclasses import asdict

import pandas as pd

from hypoxia_hpc.analysis.pooling import SERIES
from hypoxia_hpc.evaluation.claims import Units, only_group, units_of
from hypoxia_hpc.evaluation.measures import Measures
from hypoxia_hpc.records import Json

# In the column of series: all of them, fused late. It is no name of a folder.
LATE = ""


def by_series(rows: pd.DataFrame, set_name: str, measures: Measures, units: Units) -> list[Json]:
    """The headline metric of labelled patients of a set, with its interval: for each ``model`` and each ``series`` and,
    named `LATE`, for the mean of the logits of all of them; one entry for each.

    ``rows``: as of patients, with the column ``series``; a patient counts in the series that it has.
    """
    known = rows[(rows["set"] == set_name) & rows[list(measures.outcome.label_types)].notna().all(axis=1)]
    found = []
    for (model, series), own in known.groupby(["model", SERIES], sort=True, observed=True):
        metrics = measures.metrics(own, measures.said_of_patients, units_of(own, units))
        figure = asdict(metrics[measures.headline])
        if only_group(own, units):
            figure |= {"low": None, "high": None}
        found.append({"model": str(model), "series": str(series), **figure})
    return found
