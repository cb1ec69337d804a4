"""What may be said of models: the lead by validation patients, words by tests, groups taken out."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
from judged import measures, rows_of

from hypoxia_hpc.analysis.comparison import Compared
from hypoxia_hpc.config.outcome import OUTCOME_KINDS
from hypoxia_hpc.evaluation.baselines import uninformative
from hypoxia_hpc.evaluation.claims import beyond_chance, chances, comparisons, group_counts, lead_of, within_groups


def judged(effect: float, n: int = 60, seed: int = 0) -> pd.DataFrame:
    rows = rows_of("binary", n, effect, seed=seed)
    return rows.assign(calibrated=rows["probability"])


def on_validation(**values: float | None) -> dict[str, object]:
    return {
        head: {
            "valid": {"patient": {"roc_auc": {"value": value}}},
            "test": {"patient": {"roc_auc": {"value": 1 - (value or 0)}}},
        }
        for head, value in values.items()
    }


def test_the_lead_is_chosen_on_validation_patients_and_ties_are_said() -> None:
    judge = measures("binary")
    models = on_validation(tanh=0.7, funnel=0.9, attention=0.9)
    found = lead_of(["tanh", "funnel", "attention"], models, judge)
    assert (found["model"], found["ties"], found["by"]) == ("funnel", ["attention"], "validation patients")
    assert lead_of(["tanh", "funnel"], on_validation(tanh=None, funnel=None), judge)["model"] == "tanh"


def test_p_is_adjusted_for_the_number_of_heads_and_words_go_by_it() -> None:
    judge = measures("binary")
    alone = chances({"a": judged(0.9, 24)}, judge, None)["a"]
    beside = chances({"a": judged(0.9, 24), "b": judged(0.0, 24, 3), "c": judged(0.0, 24, 4)}, judge, None)["a"]
    assert alone["p_holm"] == alone["p"] == beside["p"]
    assert beside["p_holm"] == pytest.approx(3 * alone["p"])
    assert chances({"a": judged(3.0)}, judge, None)["a"]["verdict"] == "above"
    assert chances({"a": judged(-3.0)}, judge, None)["a"]["verdict"] == "below"
    assert chances({"a": judged(0.0)}, judge, None)["a"]["verdict"] == "not told apart"


def test_a_site_is_no_more_than_one_observation_where_sites_are_drawn() -> None:
    judge, rows = measures("binary"), judged(1.0)
    sites = {name: f"site {number % 4}" for number, name in enumerate(rows["patient_id"])}
    free, drawn = (chances({"a": rows}, judge, units)["a"] for units in (None, sites))
    assert (free["method"], drawn["method"]) == ("exact", "clustered")


def test_the_lead_is_compared_with_models_of_the_same_patients() -> None:
    judge = measures("binary")
    rows = {"a": judged(2.0), "b": judged(0.0), "of others": judged(0.0, 40)}
    found = comparisons("a", rows, judge, None, Compared(None, None, None, None, 60))
    assert set(found) == {"b"}
    assert found["b"]["low"] > 0


@pytest.mark.parametrize("kind", OUTCOME_KINDS)
def test_the_lead_over_the_majority_class_is_its_own_figure_and_one_that_says_nothing_is_not_compared(
    kind: str,
) -> None:
    """A baseline that says the same of everyone has a figure without error: the interval of the difference is the
    model's own, and so is p."""
    judge, rows = measures(kind), rows_of(kind, 60, 1.5)
    rows = rows.assign(**dict(zip(judge.said_of_patients, rows[list(judge.outcome.outputs)].to_numpy().T, strict=True)))
    same = rows.assign(**dict.fromkeys(judge.said_of_patients, 0.3))
    whole = {"a": rows, "majority-class": same, "site": same}
    chance = chances({"a": rows}, judge, None)["a"]
    headline = asdict(judge.metrics(rows, judge.said_of_patients, None)[judge.headline])
    own = beyond_chance(headline, chance, judge)
    found = comparisons("a", whole, judge, None, own)
    assert set(found) == {"majority-class"}
    assert set(uninformative(whole, judge)) == {"site"}
    expected = {name: headline[name] - judge.no_relation for name in ("low", "high")}
    assert found["majority-class"] == {"difference": own.difference, **expected, "p": chance["p"], "n": 60}
    assert (chance["p"] < 0.05) == (expected["low"] > 0)
    known = {"value": judge.no_relation, "low": None, "high": None, "n": 60}
    nothing = beyond_chance(known, {"p": 1.0, "method": "interval"}, judge)
    assert nothing == Compared(0.0, 0.0, 0.0, 1.0, 60), "a model that says the same of everyone"
    alone = judge.metrics(same, judge.said_of_patients, None)[judge.headline]
    assert (alone.value, alone.low, alone.high) == (None if kind == "score" else 0.5, None, None)
    assert chances({"a": same}, judge, None)["a"]["p"] == 1


def test_a_signal_of_the_group_vanishes_within_groups() -> None:
    judge = measures("binary")
    rows = judged(0.0, 200)
    generator = np.random.default_rng(5)
    is_type = rows["label"].to_numpy() ^ (generator.random(200) < 0.15)
    rows = rows.assign(calibrated=0.3 * generator.random(200) + 0.6 * is_type)
    groups = {name: "AB"[int(number)] for name, number in zip(rows["patient_id"], is_type, strict=True)}
    assert chances({"a": rows}, judge, None)["a"]["verdict"] == "above"
    found = within_groups({"a": rows}, groups, judge, None)["a"]
    assert found["p"] > 0.05
    assert found["roc_auc"]["low"] < 0.5 < found["roc_auc"]["high"]
    kept = within_groups({"a": rows}, groups, judge, groups)["a"]
    assert kept["method"] == "interval"
    assert within_groups({"a": rows}, {}, judge, None)["a"]["roc_auc"]["value"] is None


def test_groups_are_counted_by_class() -> None:
    rows = judged(0.0, 10)
    groups = {name: "A" if number < 7 else "" for number, name in enumerate(rows["patient_id"])}
    found = group_counts(rows, groups, rows["label"].map({0: "normoxic", 1: "hypoxic"}))
    assert found == [
        {"group": "A", "n": 7, "by_class": {"hypoxic": 3, "normoxic": 4}},
        {"group": "", "n": 3, "by_class": {"hypoxic": 2, "normoxic": 1}},
    ]
