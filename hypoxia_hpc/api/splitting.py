"""Who is trained on and who is tested."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from hypoxia_hpc.cohorts.groups import groups_in
from hypoxia_hpc.cohorts.labelling import patients_in
from hypoxia_hpc.cohorts.splits import members_of
from hypoxia_hpc.cohorts.textfiles import refuse
from hypoxia_hpc.config import RunConfig, TrainTable, parse_config
from hypoxia_hpc.outcomes.registry import outcome_of
from hypoxia_hpc.records import Patient
from hypoxia_hpc.runs.split import make_split

TRAIN = TrainTable()


def split(
    patients: pd.DataFrame,
    fractions: tuple[float, float, float] = TRAIN.split,
    *,
    folds: int = TRAIN.folds,
    repeats: int = TRAIN.repeats,
    seed: int = TRAIN.seed,
    keep_together: str = TRAIN.keep_together,
    outcome: str | Mapping[str, Any] = "binary",
) -> pd.DataFrame:
    """Patients into training, validation and test, as ``hypoxia-hpc train`` does it.

    Every patient is in one set of a fold. Classes (fifths of a score; events and fifths of the follow-up) are spread
    evenly over the sets, and so are tumour types within them. The order of the rows does not matter.

    Args:
        patients: Columns ``patient_id`` (each once), those of the outcome (``label``; ``time`` and ``event``; missing
            where not known), ``tumour_type`` where it is known; ``Run.patients`` is such a table.
        fractions: Shares of train, valid and test, 0 to 1, which sum to 1. Train and test are above 0.
        folds: Above 1: cross-validation, 1 to 100. Each labelled patient is in the test set of one fold.
        repeats: The cross-validation this many times, each time with other folds.
        seed: 0 to 2**31 - 1.
        keep_together: A column, such as "site", each of whose values is in one set of a fold; "": none. A patient
            without a site takes that of its TCGA barcode.
        outcome: "binary", "score", "survival", or entries of the [outcome] table: ``{"kind": "classes", "classes":
            ["LMS", "SS", "UPS"], "column": "subtype"}``.

    Returns:
        Columns ``patient_id``, ``fold`` (from 0) and ``set`` ("train", "valid", "test", or "unlabelled").

    Raises:
        InputError: Missing columns, wrong labels, a patient twice, too few patients or groups for all sets.

    Example:
        >>> hx.split(run.patients, seed=1)["set"].value_counts()
    """
    division = {"split": tuple(fractions), "folds": folds, "repeats": repeats, "seed": seed}
    asked = {"kind": outcome} if isinstance(outcome, str) else dict(outcome)
    entries = {"train": {**division, "keep_together": keep_together}, "outcome": asked}
    return _split(patients, parse_config(entries, source="hx.split"))


def _split(table: pd.DataFrame, config: RunConfig) -> pd.DataFrame:
    outcome = outcome_of(config.outcome)
    missing = [name for name in ("patient_id", *outcome.table.columns) if name not in table]
    refuse("the table of patients lacks columns", missing, f"it has {', '.join(map(str, table.columns))}")
    cells = table.rename(columns=str).map(_cell)
    nameless = [f"row {row!r}" for row in cells.index[cells["patient_id"] == ""]]
    refuse("patients without an id", nameless, "give each row the id of its patient, or leave it out")
    patients = patients_in(cells.assign(tumour_type=cells.get("tumour_type", "")), outcome)
    groups = _groups(cells, config.train.keep_together, patients)
    return make_split(config.train, members_of(patients, groups, outcome), outcome).table


def _groups(cells: pd.DataFrame, column: str, patients: Sequence[Patient]) -> Mapping[str, str] | None:
    labelled = [each.patient_id for each in patients if each.label is not None]
    return groups_in({"the table of patients": cells}, column, labelled) if column else None


def _cell(value: Any) -> str:
    """The value as a table on the disk has it; missing ones are empty."""
    return "" if pd.isna(value) else str(value).strip()
