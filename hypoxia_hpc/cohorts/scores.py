"""Hypoxia labels from a table of scores, above all the published one: Bhandari et al. 2019 (Nature Genetics,
s41588-018-0318-2), table S1."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import pandas as pd

from hypoxia_hpc.cohorts.barcodes import plain_patient_id
from hypoxia_hpc.cohorts.csvfiles import read_table
from hypoxia_hpc.cohorts.placeholders import placeholders
from hypoxia_hpc.cohorts.textfiles import refuse
from hypoxia_hpc.config.text_paths import composed
from hypoxia_hpc.errors import InputError, some, some_names

LabelRule = Literal["type-median", "pan-median", "intra"]
LABEL_RULES: tuple[LabelRule, ...] = get_args(LabelRule)
PAN_CANCER = "Buffa_hypoxia_score_pan_cancer"
INTRA_TYPE = "Buffa_hypoxia_score_intra_tumour_type"

# R's make.unique writes a second sample of a patient as its id with a number behind it.
_SUFFIX = re.compile(r"\.\d$", re.ASCII)


@dataclass(frozen=True, eq=False)
class HypoxiaLabels:
    """``table``: patient_id, label (0 or 1), score (-1..1, above 0 exactly where the label is 1), tumour_type; sorted
    by patient_id. ``set_aside``: the original ids of second samples of a patient. ``counts``: tumour_type, n,
    hypoxic. ``column``: the scores that were used; ``unused``: columns of the table that were not."""

    rule: LabelRule
    table: pd.DataFrame
    set_aside: tuple[str, ...]
    counts: pd.DataFrame
    column: str = PAN_CANCER
    unused: tuple[str, ...] = ()


def score_column(rule: LabelRule, column: str | None = None) -> str:
    """The scores that a rule goes by: ``column``, or the published Buffa scores. Raises InputError for an unknown rule,
    and for a pan-cancer column of the published table with the rule ``intra``."""
    if rule not in LABEL_RULES:
        raise InputError(f"label rule {rule!r} does not exist", remedy=f"choose one of: {', '.join(LABEL_RULES)}")
    if rule == "intra" and column is not None and column.endswith("_pan_cancer"):
        raise InputError(
            f"the rule intra takes scores above 0 for hypoxic, and {column} is over all tumour types",
            remedy=f"choose --rule type-median or pan-median, or --score-column {INTRA_TYPE}",
        )
    return column or (INTRA_TYPE if rule == "intra" else PAN_CANCER)


def read_scores(path: Path, rule: LabelRule = "type-median", column: str | None = None) -> pd.DataFrame:
    """A table of scores: patient_id and tumour_type as text, the scores that the rule goes by as float64, the other
    columns as text. Only the rule ``type-median`` needs tumour types; without the column they are empty.

    Raises InputError with all missing columns, or all cells that are no number, may be two numbers, or are empty.
    """
    name = score_column(rule, column)
    needed = ("patient_id", name, "tumour_type") if rule == "type-median" else ("patient_id", name)
    scores = read_table(path, needed, ("tumour_type",), numbers=(name,))
    scores = scores.assign(tumour_type=scores.get("tumour_type", ""))
    for one in (name, "patient_id", "tumour_type"):
        scores[one] = scores[one].str.strip().map(composed)
    offending = [
        f"line {line}: {name} is {cell!r}, not a number" for line, cell in scores[name].items() if not _is_score(cell)
    ]
    for one in [each for each in needed if each != name]:
        offending += [f"line {line}: {one} is empty" for line in scores.index[scores[one] == ""]]
    if "tumour_type" in needed:
        types = scores["tumour_type"]
        offending += [
            f"line {line}: tumour_type is {cell!r}, not a type"
            for line, cell in types[types.isin(placeholders(types))].items()
        ]
    refuse(f"{path} has {some(len(offending), 'wrong cell')}", offending, "mend these cells, or leave these rows out")
    return scores.assign(**{name: scores[name].map(float)})


def _is_score(cell: str) -> bool:
    try:
        return math.isfinite(float(cell)) and cell.isascii() and "_" not in cell
    except ValueError:
        return False


def hypoxia_labels(scores: pd.DataFrame, rule: LabelRule = "type-median", column: str | None = None) -> HypoxiaLabels:
    """Label the patients of `read_scores`. A patient is hypoxic (1) when the displacement is above 0:

    - ``type-median``: the score minus the median of its tumour type, over the patients;
    - ``pan-median``: the score minus the median of all rows, second samples included (the study's own file);
    - ``intra``: the score itself, which is one within the tumour type.

    ``score`` is the displacement over the largest absolute displacement in its tumour type (0 where all are 0). Rows
    whose id is that of another row with ``.1``, ``.2``, … behind it are set aside. Raises InputError for an unknown
    rule and for patients that occur in the table twice.
    """
    name = score_column(rule, column)
    aside = _second_samples(scores["patient_id"])
    base = scores[~aside]
    patient_ids = base["patient_id"].map(plain_patient_id)
    _refuse_repeated(patient_ids)
    displacement = _displacement(rule, scores[name], base[name], base["tumour_type"])
    largest = displacement.abs().groupby(base["tumour_type"]).transform("max")
    table = pd.DataFrame(
        {
            "patient_id": patient_ids,
            "label": (displacement > 0).astype("int64"),
            "score": (displacement / largest).where(largest > 0, 0.0),
            "tumour_type": base["tumour_type"],
        }
    ).sort_values("patient_id", ignore_index=True)
    counts = table.groupby("tumour_type", as_index=False).agg(n=("label", "size"), hypoxic=("label", "sum"))
    unused = tuple(one for one in scores.columns if one not in ("patient_id", "tumour_type", name))
    return HypoxiaLabels(rule, table, tuple(sorted(scores["patient_id"][aside])), counts, name, unused)


def _displacement(
    rule: LabelRule, everyone: pd.Series[float], scores: pd.Series[float], types: pd.Series[str]
) -> pd.Series[float]:
    if rule == "intra":
        return scores
    if rule == "pan-median":
        return scores - float(everyone.median())
    return scores - scores.groupby(types).transform("median")


def _second_samples(original: pd.Series[str]) -> pd.Series[bool]:
    whole = set(original[~original.str.contains(_SUFFIX)].map(plain_patient_id))
    return original.map(lambda text: _SUFFIX.search(text) is not None and plain_patient_id(text[:-2]) in whole)


def _refuse_repeated(patient_ids: pd.Series[str]) -> None:
    repeated = patient_ids[patient_ids.duplicated(keep=False)].groupby(patient_ids)
    refuse(
        "patients that occur in the score table more than once",
        [f"{patient}: lines {some_names([str(line) for line in rows.index])}" for patient, rows in repeated],
        "keep one row for each patient",
    )
