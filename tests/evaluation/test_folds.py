"""What the models of different folds say is never ranked together: baselines have no area below 1/2 by construction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from judged import facts_of, measures, rows_of

from hypoxia_hpc.config.outcome import OUTCOME_KINDS
from hypoxia_hpc.evaluation.baselines import MAJORITY, baseline_rows, training_facts
from hypoxia_hpc.evaluation.folds import baselines_within_folds, within_folds
from hypoxia_hpc.evaluation.measures import Measures

FOLDS = 5


def cross_validated(kind: str, name: str, *, seed: int = 0, n: int = 60) -> tuple[Measures, pd.DataFrame]:
    """What a baseline says of test patients of every fold, the patients of two types dealt to the folds at random."""
    judge, generator = replace(measures(kind), folds=FOLDS), np.random.default_rng(seed)
    rows = rows_of(kind, n, 0.0, seed=seed).sample(frac=1, random_state=seed).sort_values("id")
    rows["fold"] = pd.array(generator.permutation(np.arange(n) % FOLDS), dtype="Int64")
    if kind in ("binary", "classes"):
        rows["label"] = generator.permutation(rows["label"].to_numpy())
    facts = facts_of(rows, judge, tumour_type=generator.choice(["A", "B"], n))
    folds = [
        {one: "test" if own == fold else "train" for one, own in zip(rows["patient_id"], rows["fold"], strict=True)}
        for fold in range(FOLDS)
    ]
    return judge, baseline_rows(name, rows, facts, training_facts(facts, folds, judge), judge)


@pytest.mark.parametrize("kind", OUTCOME_KINDS)
def test_the_majority_class_is_at_chance_without_error(kind: str) -> None:
    judge, rows = cross_validated(kind, MAJORITY)
    pooled = judge.metrics(rows, judge.said_of_patients, None)[judge.headline].value
    assert pooled is not None and pooled < judge.no_relation, "the case shows nothing"
    found = within_folds({MAJORITY: rows}, judge, None)
    one = found[MAJORITY][judge.headline]
    value = None if kind == "score" else 0.5  # there is no correlation with what does not vary
    assert one == {"value": value, "low": None, "high": None, "n": 60}
    replaced = baselines_within_folds({MAJORITY: rows}, found, judge, None)[MAJORITY]
    ranked = {name: one["value"] for name, one in replaced.items()}
    expected = {
        "binary": {"roc_auc": 0.5, "average_precision": 0.5},
        "classes": dict.fromkeys(("roc_auc_0", "roc_auc_1", "roc_auc_2", "roc_auc_macro"), 0.5),
        "score": {"spearman": None},
        "survival": {"harrell": 0.5, "uno": 0.5},
    }
    assert ranked == expected[kind]


def test_a_type_without_a_relation_is_at_chance_on_average() -> None:
    """Ranked together, it is below: who has the label lowers the share of its own type in training."""

    def mean(area: Callable[[Measures, pd.DataFrame], float]) -> float:
        return float(np.mean([area(*cross_validated("binary", "tumour-type", seed=seed)) for seed in range(60)]))

    def pooled(judge: Measures, rows: pd.DataFrame) -> float:
        return float(replace(judge, folds=1).over_folds(*asked(judge, rows))(np.ones((60, 1)))[0, 0])

    def over_folds(judge: Measures, rows: pd.DataFrame) -> float:
        return float(judge.over_folds(*asked(judge, rows))(np.ones((60, 1)))[0, 0])

    def asked(judge: Measures, rows: pd.DataFrame) -> tuple[pd.DataFrame, tuple[str, ...], np.ndarray, int]:
        return rows, judge.said_of_patients, np.arange(60), 60

    assert mean(pooled) < 0.46
    assert mean(over_folds) == pytest.approx(0.5, abs=0.03)


def test_the_interval_over_folds_is_that_of_the_patients() -> None:
    """Of a model that is the same in every fold, about the interval of all patients together; of none, none."""
    judge, rows = replace(measures("binary"), folds=FOLDS), rows_of("binary", 120, 1.5)
    rows = rows.assign(calibrated=rows["probability"], fold=pd.array(np.arange(120) % FOLDS, dtype="Int64"))
    rows["fold"] = rows["fold"].sample(frac=1, random_state=1).to_numpy()
    one = within_folds({"m": rows}, judge, None)["m"]["roc_auc"]
    whole = judge.metrics(rows, judge.said_of_patients, None)["roc_auc"]
    assert whole.low is not None and whole.high is not None
    assert one["value"] == pytest.approx(whole.value, abs=0.05)
    assert one["high"] - one["low"] == pytest.approx(whole.high - whole.low, rel=0.3)
    one_class = rows[rows["label"] == 1]
    unknown = within_folds({"m": one_class}, judge, None)["m"]["roc_auc"]
    assert unknown == {"value": None, "low": None, "high": None, "n": 60}
