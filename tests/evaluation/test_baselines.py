"""Baselines know training patients alone, and are not made of what is not known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from judged import facts_of, measures, rows_of

from hypoxia_hpc.evaluation.baselines import BASELINES, baseline_rows, makeable, training_facts


def with_calls_of(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(calibrated=rows["probability"], threshold=0.3, call="normoxic")


def test_shares_of_training_patients_of_the_same_type_shrunk_to_all_of_them() -> None:
    judge, rows = measures("binary"), with_calls_of(rows_of("binary", 40, 1.0))
    facts = facts_of(rows, judge, tumour_type=["ABAA"[number % 4] for number in range(40)])
    sets = {name: "train" if number < 20 else "test" for number, name in enumerate(facts.index)}
    facts.loc[[name for name, where in sets.items() if where == "test"], "label"] = 1  # must not matter
    found = baseline_rows("tumour-type", rows, facts, training_facts(facts, [sets], judge), judge)
    training = facts[[sets[name] == "train" for name in facts.index]]
    for row in found.itertuples():
        own = training[training["tumour_type"] == facts.loc[row.id, "tumour_type"]]["label"]
        share = (own.sum() + 5 * training["label"].mean()) / (len(own) + 5)
        assert row.probability == pytest.approx(share)
        assert row.calibrated == row.probability
        assert (row.threshold, row.n_tiles, row.model) == (0.5, 0, "tumour-type")
        assert row.call == ("hypoxic" if share > 0.5 else "normoxic")


def test_of_several_folds_each_row_has_its_own_and_the_others_the_mean() -> None:
    judge = measures("score")
    rows = rows_of("score", 6, 0.0).assign(fold=pd.array([0, 1, 0, 1, None, None], dtype="Int64"))
    facts = facts_of(rows, judge)
    folds = [{"P000": "train", "P001": "train", "P002": "test"}, {"P002": "train", "P003": "train"}]
    training = training_facts(facts, folds, judge)
    found = baseline_rows("majority-class", rows, facts, training, judge)["predicted"].tolist()
    means = [facts["label"][:2].mean(), facts["label"][2:4].mean()]
    assert found == pytest.approx([means[0], means[1], means[0], means[1], np.mean(means), np.mean(means)])


@pytest.mark.parametrize(
    ("columns", "made"),
    [
        ({}, {"majority-class"}),
        ({"tumour_type": ["A", "B"] * 5, "n_tiles": range(10)}, {"majority-class", "tumour-type", "n-tiles"}),
        ({"tumour_type": "A", "site": ["x", ""] * 5}, {"majority-class"}),
        ({"tumour_type": ["A", "B"] * 5, "site": ["x", "y"] * 5}, set(BASELINES) - {"n-tiles", "colour"}),
        ({name: range(10) for name in ("red", "green", "blue", "background")}, {"majority-class", "colour"}),
    ],
)
def test_what_cannot_be_made_is_said(columns: dict[str, object], made: set[str]) -> None:
    judge = measures("binary")
    found, lacking = makeable(facts_of(rows_of("binary", 10, 1.0), judge, **columns))
    assert set(found) == made
    assert set(lacking) == set(BASELINES) - made
    assert all(lacking.values())
