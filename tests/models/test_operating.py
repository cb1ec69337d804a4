"""What the sampling of each head saw, and what is fitted on the validation patients of each fold."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from hypoxia_hpc.config import EvaluateTable, TrainTable
from hypoxia_hpc.evaluation.kinds import measures_of
from hypoxia_hpc.models.operating import operating_of, seen_by
from hypoxia_hpc.outcomes.registry import BINARY

CLASSES = ("normoxic", "hypoxic")


def rows(head: str, fold: int, set_name: str, labels: list[int], n_tiles: int = 10) -> pd.DataFrame:
    frame = pd.DataFrame({"model": head, "set": set_name, "label": labels, "probability": 0.3, "n_tiles": n_tiles})
    return frame.assign(fold=pd.array([fold] * len(labels), dtype="Int64"))


@pytest.mark.parametrize(
    ("head", "balance", "drawn"),
    [
        ("tanh", "sample", (1, 1)),
        ("tanh", "weight", (1, 1)),
        ("tanh", "none", (60, 10)),
        ("attention", "none", (3, 1)),
        ("attention", "sample", (1, 1)),
        ("logistic", None, (1, 1)),  # always balanced: it has no such entry
    ],
)
def test_what_the_loss_of_a_head_saw(head: str, balance: str | None, drawn: tuple[int, int]) -> None:
    table = TrainTable.model_validate({head: {"balance": balance}} if balance else {})
    train = pd.concat([rows(head, 0, "train", [0, 0, 0], 20), rows(head, 0, "train", [1], 10)])
    found = seen_by(head, train, table, CLASSES)
    assert (found.patients, found.drawn) == ((3, 1), drawn)


def test_each_fold_is_fitted_on_its_own_validation_patients() -> None:
    table = TrainTable.model_validate({"heads": ["tanh"], "folds": 2})
    parts = [rows("tanh", fold, "train", [0, 1]) for fold in (0, 1)]
    parts += [
        rows("tanh", 0, "valid", [0, 1] * 6),
        rows("tanh", 1, "valid", [0, 0, 1]),
        rows("tanh", 1, "test", [1] * 40),
    ]
    one, two = operating_of(pd.concat(parts), table, measures_of(BINARY, EvaluateTable()))["tanh"]
    assert [each.as_json()["n_0"] for each in (one, two)] == [6, 2]
    assert [each.as_json()["calibration"]["n_1"] for each in (one, two)] == [6, 1]
    assert np.isclose(one.calibrated(np.array([[0.3]]))[0, 0], 0.3)
