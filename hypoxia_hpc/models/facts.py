"""What is known of the patients of a run without looking at the tissue: labels, tumour type, site, tiles, colour."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from pandas.api.types import pandas_dtype

from hypoxia_hpc.cohorts.groups import SITE
from hypoxia_hpc.models.predictions import label_columns
from hypoxia_hpc.runs.cohort import Cohort

COLOURS = ("red", "green", "blue", "background")


def patient_facts(cohort: Cohort, n_tiles: Mapping[str, int]) -> pd.DataFrame:
    """The facts that baselines go by (see `hypoxia_hpc.evaluation.baselines`), one row for each patient with a slide.
    ``n_tiles``: kept tiles of each patient with features. Raises InputError for bad tables."""
    patients, sites = cohort.patients, cohort.groups(SITE)
    index = pd.Index(list(patients), name="patient_id", dtype=object)
    labels = label_columns(patients, cohort.outcome)
    facts = pd.DataFrame(index=index)
    for column, known in labels.items():
        facts[column] = index.map(known).astype(pandas_dtype(cohort.outcome.label_types[column]))
    facts["tumour_type"] = [patient.tumour_type for patient in patients.values()]
    facts["site"] = [sites[name] for name in patients]
    facts["n_tiles"] = [float(n_tiles.get(name, 0)) for name in patients]
    return facts.assign(**dict.fromkeys(COLOURS, float("nan")))


def kept_together(cohort: Cohort) -> dict[str, str] | None:
    """The group of each patient by the column that [train] keeps together; a patient without a value is one by itself.
    None where nothing is kept together."""
    groups = cohort.groups(cohort.config.train.keep_together)
    return {name: group or f"patient {name}" for name, group in groups.items()} or None
