"""The predictions to set beside a model's: of what is known of a patient without looking at the tissue.

Facts are a frame with a row for each patient (index patient_id): the columns of ``outcome.label_types``, <NA> where the
label is not known; tumour_type and site, empty where they are not; n_tiles; red, green, blue (0..255) and background
(0..1), means over the patient's slides, NaN where they are not known.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from hypoxia_hpc.evaluation.measures import Measures, says_nothing
from hypoxia_hpc.evaluation.operating import THRESHOLD, with_call
from hypoxia_hpc.records import Float64Array

TYPE, SITE = "tumour_type", "site"
MAJORITY = "majority-class"


@dataclass(frozen=True, slots=True)
class Baseline:
    """``words``: what it goes by, behind "a guess from"; ``title`` in tables; ``columns`` of the facts: names of
    groups, or numbers."""

    words: str
    title: str
    columns: tuple[str, ...]
    are_groups: bool


# By their names in tables. To add one: a line here, and its columns in the facts.
BASELINES: Mapping[str, Baseline] = {
    MAJORITY: Baseline("how often each class occurs", "the commonest class", (), are_groups=True),
    "tumour-type": Baseline("the tumour type", "tumour type alone", (TYPE,), are_groups=True),
    "site": Baseline("the site", "site alone", (SITE,), are_groups=True),
    "tumour-type-and-site": Baseline("tumour type and site", "tumour type and site", (TYPE, SITE), are_groups=True),
    "n-tiles": Baseline("the number of tiles", "number of tiles alone", ("n_tiles",), are_groups=False),
    "colour": Baseline(
        "mean colour and background", "colour alone", ("red", "green", "blue", "background"), are_groups=False
    ),
}
UNKNOWN: Mapping[str, str] = {
    TYPE: "no patient has a tumour_type in patients.csv",
    SITE: "no patient has a site: a column site in patients.csv or slides.csv, or a TCGA barcode as patient_id",
    "red": "the colour of no slide is known",
}
SHOWN = {"n_tiles": "number of tiles"}  # a column in words, where it is not its name


def makeable(facts: pd.DataFrame) -> tuple[list[str], dict[str, str]]:
    """The baselines that these facts allow, and why others cannot be made, by their names."""
    lacking = {name: why for name in BASELINES if (why := _lacking(facts, BASELINES[name]))}
    return [name for name in BASELINES if name not in lacking], lacking


def _lacking(facts: pd.DataFrame, baseline: Baseline) -> str:
    known = {column: set(facts[column].dropna()) - {""} for column in baseline.columns}
    unknown = [column for column, values in known.items() if not values]
    if unknown:
        return UNKNOWN.get(unknown[0], f"{unknown[0]} is not known of any patient")
    constant = [column for column, values in known.items() if len(values) == 1]
    # Groups of two columns of which one is constant are those of the other, which is a baseline by itself.
    if constant and (baseline.are_groups or len(constant) == len(known)):
        return f"all patients have the same {SHOWN.get(constant[0], constant[0]).replace('_', ' ')}"
    return ""


def makeable_outside(facts: pd.DataFrame, training: Sequence[pd.DataFrame]) -> tuple[list[str], dict[str, str]]:
    """As `makeable`, of ``facts`` of patients of another cohort, learnt from ``training``, the facts of the training
    patients of each fold: groups have to be known in both."""
    learnt = pd.concat(list(training))
    lacking = {name: why for name, one in BASELINES.items() if (why := _lacking_outside(facts, learnt, one))}
    return [name for name in BASELINES if name not in lacking], lacking


def _lacking_outside(facts: pd.DataFrame, learnt: pd.DataFrame, baseline: Baseline) -> str:
    for whose, known in (("outside", facts), ("training", learnt)):
        if why := _lacking(known, baseline):
            return f"among {whose} patients, {why}"
    columns = list(baseline.columns)
    if not baseline.are_groups or set(_groups(facts, columns)) & set(_groups(learnt, columns)):
        return ""
    return f"no outside patient has the {baseline.words.removeprefix('the ')} of a training patient"


def uninformative(rows: Mapping[str, pd.DataFrame], measures: Measures) -> dict[str, str]:
    """Why baselines tell nothing here, by their names, of ``rows`` by model: they say the same of every patient. The
    majority class always does, and is what the figure without any relation stands for."""
    why = "it says the same of all these patients"
    return {
        name: why
        for name, own in rows.items()
        if name in BASELINES and name != MAJORITY and says_nothing(own, measures.said_of_patients)
    }


def training_facts(facts: pd.DataFrame, folds: Sequence[Mapping[str, str]], measures: Measures) -> list[pd.DataFrame]:
    """For each of ``folds`` (the set of every patient) the facts of its labelled training patients."""
    labelled = facts[facts[list(measures.outcome.label_types)].notna().all(axis=1)]
    return [labelled[labelled.index.map(sets.get) == "train"] for sets in folds]


def baseline_rows(
    name: str, rows: pd.DataFrame, facts: pd.DataFrame, training: Sequence[pd.DataFrame], measures: Measures
) -> pd.DataFrame:
    """The rows of one model with what a baseline says instead: learnt, for each fold, from the facts of its
    ``training`` patients; for a row of no fold the mean over the folds. ``facts``: of the patients of the rows. Its
    probabilities are calibrated as they are, and the threshold is that of [evaluate]."""
    asked = facts.loc[rows["patient_id"].astype(str).tolist()]
    said = [_said(BASELINES[name], train, asked, measures) for train in training]
    fold = rows["fold"].fillna(len(said)).to_numpy(dtype=np.int64)
    chosen = np.stack([*said, np.mean(said, axis=0)])[fold, np.arange(len(rows))]
    outputs = measures.outcome.outputs
    made = rows.assign(model=name, n_tiles=0, **dict(zip(outputs, chosen.T, strict=True)))
    if not measures.calibrated:
        return made
    made = made.assign(**dict(zip(measures.calibrated, chosen.T, strict=True)))
    if THRESHOLD in made:
        made[THRESHOLD] = measures.table.threshold
    return with_call(made, measures.calibrated, measures.outcome.table.classes)


def _said(baseline: Baseline, train: pd.DataFrame, asked: pd.DataFrame, measures: Measures) -> Float64Array:
    columns = list(baseline.columns)
    if baseline.are_groups:
        return measures.of_groups(train, _groups(train, columns), _groups(asked, columns))
    train_values, values = (part[columns].to_numpy(dtype=np.float64) for part in (train, asked))
    return measures.of_values(train, train_values, values)


def _groups(rows: pd.DataFrame, columns: Sequence[str]) -> list[Hashable]:
    return list(map(tuple, rows[list(columns)].to_numpy(dtype=object))) if columns else [()] * len(rows)
