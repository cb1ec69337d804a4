"""What is known of the patients of a run without looking at the tissue: labels, tumour type, site, tiles, colour."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

import pandas as pd
from pandas.api.types import pandas_dtype

from hypoxia_hpc.analysis.colours import SlideColour
from hypoxia_hpc.cohorts.groups import SITE
from hypoxia_hpc.cohorts.textfiles import unguard
from hypoxia_hpc.models.prediction_tables import TRAINING_FILE, reading_predictions
from hypoxia_hpc.models.predictions import label_columns, predictions_digest
from hypoxia_hpc.outcomes.outcome import Outcome
from hypoxia_hpc.records import Json
from hypoxia_hpc.runs.cohort import Cohort
from hypoxia_hpc.runs.directory import RunDir

COLOURS = SlideColour._fields
FOLDS = "folds"
MOST_FOLDS = 10_000  # 100 repeats of 100


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


def facts_of_predicted(
    cohort: Cohort, patients: pd.DataFrame, slide_colours: Mapping[str, SlideColour]
) -> pd.DataFrame:
    """`patient_facts` with the tiles that predictions of ``patients`` are of, the rows of any number of models."""
    return patient_facts(cohort, dict(zip(patients["id"], patients["n_tiles"], strict=True)), slide_colours)


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


def training_table(training: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """training.csv: each patient once of the facts of the ``training`` patients of each fold, with the folds that train
    on them, separated by blanks."""
    whole = pd.concat(list(training))
    whole = whole[~whole.index.duplicated()].sort_index()
    folds = [" ".join(str(n) for n, part in enumerate(training) if name in part.index) for name in whole.index]
    return whole.reset_index(names="id").assign(**{FOLDS: folds})


def read_training(model_run: RunDir, metrics: Json, outcome: Outcome) -> list[pd.DataFrame]:
    """The facts of the training patients of each fold, as `training_table` laid them out; empty where they are not
    there, or predictions/ is another one than ``metrics`` of the run was made of."""
    file = model_run.predictions / TRAINING_FILE
    if not file.exists() or predictions_digest(model_run.predictions) != metrics["predictions"]:
        return []
    texts, numbers = ("id", "tumour_type", "site", FOLDS), ("n_tiles", *COLOURS)
    types: dict[Hashable, str] = {**dict.fromkeys(texts, "str"), **dict.fromkeys(numbers, "float64")}
    types.update(outcome.label_types)
    empty = {str(name): [""] for name in types if name not in texts}
    with reading_predictions(file) as opened:
        return _by_fold(pd.read_csv(opened, dtype=types, keep_default_na=False, na_values=empty))


def _by_fold(table: pd.DataFrame) -> list[pd.DataFrame]:
    """Raises ValueError, KeyError for a table that is none of `training_table`."""
    for column in ("id", "tumour_type", "site"):
        table[column] = table[column].map(unguard)
    of_patients = table[FOLDS].str.split()
    n_folds = 1 + max(int(fold) for folds in of_patients for fold in folds)
    if n_folds > MOST_FOLDS:
        raise ValueError(f"{n_folds} folds")
    by_id = table.drop(columns=FOLDS).set_index("id")
    return [by_id[[str(fold) in folds for folds in of_patients]] for fold in range(n_folds)]
