"""Hypoxia labels from the published score table: Bhandari et al. 2019 (Nature Genetics, s41588-018-0318-2), table
S1."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import pandas as pd

from hypoxia_hpc.cohorts.csvfiles import read_table, refuse
from hypoxia_hpc.errors import InputError, some_names

LabelRule = Literal["type-median", "pan-median", "intra"]
LABEL_RULES: tuple[LabelRule, ...] = get_args(LabelRule)
PAN_CANCER = "Buffa_hypoxia_score_pan_cancer"
INTRA_TYPE = "Buffa_hypoxia_score_intra_tumour_type"

_INTEGER = re.compile(r"[+-]?\d{1,9}", re.ASCII)


@dataclass(frozen=True, eq=False)
class HypoxiaLabels:
    """``table``: patient_id, label (0 or 1), score (-1..1, above 0 exactly where the label is 1), tumour_type; sorted
    by patient_id. ``set_aside``: the original ids of second samples of a patient. ``counts``: tumour_type, n,
    hypoxic."""

    rule: LabelRule
    table: pd.DataFrame
    set_aside: tuple[str, ...]
    counts: pd.DataFrame


def read_scores(path: Path) -> pd.DataFrame:
    """The published table, which is separated by tabs; commas and semicolons are understood too: patient_id and
    tumour_type as text, every ``…_hypoxia_score_…`` column int64.

    Raises InputError with all missing columns, or all cells that are no integer or empty.
    """
    scores = read_table(path, ("patient_id", PAN_CANCER, INTRA_TYPE, "tumour_type"))
    numeric = [column for column in scores.columns if "_hypoxia_score_" in column]
    for column in (*numeric, "patient_id", "tumour_type"):
        scores[column] = scores[column].str.strip()
    offending = [
        f"line {line}: {column} is {cell!r}, not an integer"
        for column in numeric
        for line, cell in scores[column].items()
        if not _INTEGER.fullmatch(cell)
    ]
    for column in ("patient_id", "tumour_type"):
        offending += [f"line {line}: {column} is empty" for line in scores.index[scores[column] == ""]]
    refuse(
        f"{path} has {len(offending)} wrong cells",
        offending,
        "mend these cells; scores are whole numbers, none missing",
    )
    return scores.astype(dict.fromkeys(numeric, "int64"))


def hypoxia_labels(scores: pd.DataFrame, rule: LabelRule = "type-median") -> HypoxiaLabels:
    """Label the patients of `read_scores`. A patient is hypoxic (1) when the displacement is above 0:

    - ``type-median``: pan-cancer Buffa score minus the median of its tumour type, over the patients;
    - ``pan-median``: pan-cancer Buffa score minus the median of all rows, second samples included (the study's own
      file);
    - ``intra``: the intra-tumour-type Buffa score itself.

    ``score`` is the displacement over the largest absolute displacement in its tumour type (0 where all are 0). Rows
    whose id is that of another row with ``.1`` or ``.2`` behind it are set aside. Raises InputError for an unknown
    rule and for patients that occur in the table twice.
    """
    if rule not in LABEL_RULES:
        raise InputError(f"label rule {rule!r} does not exist", remedy=f"choose one of: {', '.join(LABEL_RULES)}")
    patient_ids = scores["patient_id"].str.replace(".", "-", regex=False)
    _refuse_repeated(scores["patient_id"], patient_ids)
    aside = _second_samples(scores["patient_id"], patient_ids)
    base = scores[~aside]
    displacement = _displacement(rule, scores, base)
    largest = displacement.abs().groupby(base["tumour_type"]).transform("max")
    table = pd.DataFrame(
        {
            "patient_id": patient_ids[~aside],
            "label": (displacement > 0).astype("int64"),
            "score": (displacement / largest).where(largest > 0, 0.0),
            "tumour_type": base["tumour_type"],
        }
    ).sort_values("patient_id", ignore_index=True)
    counts = table.groupby("tumour_type", as_index=False).agg(n=("label", "size"), hypoxic=("label", "sum"))
    return HypoxiaLabels(rule, table, tuple(sorted(scores["patient_id"][aside])), counts)


def _displacement(rule: LabelRule, scores: pd.DataFrame, base: pd.DataFrame) -> pd.Series[float]:
    if rule == "intra":
        return base[INTRA_TYPE].astype("float64")
    if rule == "pan-median":
        return base[PAN_CANCER] - float(scores[PAN_CANCER].median())
    return base[PAN_CANCER] - base.groupby("tumour_type")[PAN_CANCER].transform("median")


def _second_samples(original: pd.Series[str], patient_ids: pd.Series[str]) -> pd.Series[bool]:
    suffixed = original.str.contains(r"\.[12]$")
    return suffixed & patient_ids.str.slice(stop=-2).isin(patient_ids)


def _refuse_repeated(original: pd.Series[str], patient_ids: pd.Series[str]) -> None:
    repeated = original[patient_ids.duplicated(keep=False)].groupby(patient_ids)
    refuse(
        "patients that occur in the score table more than once",
        [f"{patient}: lines {some_names([str(line) for line in rows.index])}" for patient, rows in repeated],
        "keep one row for each patient",
    )
