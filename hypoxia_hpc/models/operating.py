"""How the models of a run are used: what their sampling saw, and what is fitted on their validation patients."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from hypoxia_hpc.config import TrainTable
from hypoxia_hpc.config.heads.registry import HEADS, loss_over
from hypoxia_hpc.evaluation.measures import Measures
from hypoxia_hpc.evaluation.operating import Operating, Seen


def operating_of(patients: pd.DataFrame, table: TrainTable, measures: Measures) -> dict[str, list[Operating]]:
    """Of each head, that of each fold; none of an outcome without probabilities. ``patients``: rows of predictions with
    model, fold, set, label, the outputs and n_tiles, those of every fold with its training and validation patients."""
    if not measures.calibrated:
        return {}
    found: dict[str, list[Operating]] = {}
    labelled = patients[patients["label"].notna()]
    for head in table.heads:
        rows = labelled[labelled["model"] == head]
        by_fold = [rows[rows["fold"] == fold] for fold in range(table.n_folds)]
        found[head] = [_fitted(head, part, table, measures) for part in by_fold]
    return found


def _fitted(head: str, rows: pd.DataFrame, table: TrainTable, measures: Measures) -> Operating:
    train, valid = (rows[rows["set"] == name] for name in ("train", "valid"))
    return measures.fit_operating(valid, seen_by(head, train, table, measures.outcome.table.classes))


def seen_by(head: str, train: pd.DataFrame, table: TrainTable, classes: Sequence[str]) -> Seen:
    """What the training of a head saw of each class, from its training patients: equal shares where classes were
    balanced; else the patients, or their tiles, as they are."""
    labels = train["label"].to_numpy(dtype=np.int64)
    patients = np.bincount(labels, minlength=len(classes))
    balance = getattr(table.table_of(head), "balance", HEADS[head].balance)
    if balance != "none":
        drawn = [1.0] * len(classes)
    elif loss_over(head).startswith("patient"):
        drawn = patients.astype(np.float64).tolist()
    else:
        tiles = train["n_tiles"].to_numpy(dtype=np.float64)
        drawn = np.bincount(labels, weights=tiles, minlength=len(classes)).tolist()
    return Seen(tuple(patients.astype(np.float64).tolist()), tuple(drawn))
