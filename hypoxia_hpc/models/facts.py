"""What is known of the patients of a run without looking at the tissue: labels, tumour type, site, tiles, colour."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from pandas.api.types import pandas_dtype

from hypoxia_hpc.analysis.colours import SlideColour
from hypoxia_hpc.cohorts.groups import SITE
from hypoxia_hpc.models.predictions import label_columns
from hypoxia_hpc.runs.cohort import Cohort

COLOURS = SlideColour._fields


def patient_facts(cohort: Cohort, n_tiles: Mapping[str, int], slide_colours: Mapping[str, SlideColour]) -> pd.DataFrame:
    """The facts that baselines go by (see `hypoxia_hpc.evaluation.baselines`), one row for each patient with a slide.
    ``n_tiles``: kept tiles of each patient with features; ``slide_colours``: of its slides, of which the mean is taken.
    Raises InputError for bad tables."""
    patients, sites = cohort.patients, cohort.groups(SITE)
    index = pd.Index(list(patients), name="patient_id", dtype=object)
    labels = label_columns(patients, cohort.outcome)
    facts = pd.DataFrame(index=index)
    for column, known in labels.items():
        facts[column] = index.map(known).astype(pandas_dtype(cohort.outcome.label_types[column]))
    facts["tumour_type"] = [patient.tumour_type for patient in patients.values()]
    facts["site"] = [sites[name] for name in patients]
    facts["n_tiles"] = [float(n_tiles.get(name, 0)) for name in patients]
    return facts.join(_colours(cohort, slide_colours))


def _colours(cohort: Cohort, slide_colours: Mapping[str, SlideColour]) -> pd.DataFrame:
    owners = {state.slide.slide_id: state.slide.patient_id for state in cohort.done}
    rows = [(owners[name], *colour) for name, colour in slide_colours.items()]
    table = pd.DataFrame(rows, columns=["patient_id", *COLOURS]).astype(dict.fromkeys(COLOURS, "float64"))
    means: pd.DataFrame = table.groupby("patient_id").mean()
    return means


def kept_together(cohort: Cohort) -> dict[str, str] | None:
    """The group of each patient by the column that [train] keeps together; a patient without a value is one by itself.
    None where nothing is kept together."""
    groups = cohort.groups(cohort.config.train.keep_together)
    return {name: group or f"patient {name}" for name, group in groups.items()} or None
