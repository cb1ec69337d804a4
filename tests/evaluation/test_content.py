"""The content of metrics.json: a planted site or organ is named on top, a planted signal survives both checks."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from judged import facts_of, measures, rows_of

from hypoxia_hpc.analysis.probe import probe_groups
from hypoxia_hpc.cli.text.metrics import metrics_text
from hypoxia_hpc.config.outcome import OUTCOME_KINDS
from hypoxia_hpc.evaluation.baselines import baseline_rows, makeable, training_facts
from hypoxia_hpc.evaluation.content import Context, Said, content_of
from hypoxia_hpc.evaluation.operating import Seen, with_calls
from hypoxia_hpc.records import Json

BALANCED = Seen((1.0, 1.0), (1.0, 1.0))


@dataclass(frozen=True)
class Planted:
    """How far what the model says goes with the biology (hidden, and behind the label) and with the site."""

    biology: float
    site: float


def content(planted: Planted, *, n: int = 400, n_sites: int = 8, seed: int = 0) -> Json:
    """Half of the patients train, half test; labels are 85 % in half of the sites and 15 % in the others."""
    generator = np.random.default_rng(seed)
    sites = generator.integers(0, n_sites, n)
    labels = (generator.random(n) < np.where(sites % 2, 0.85, 0.15)).astype(int)
    logits = planted.biology * (labels - 0.5) + planted.site * (sites % 2 - 0.5) + generator.normal(size=n)
    judge = measures("binary")
    rows = rows_of("binary", n, 0.0).assign(label=labels, probability=1 / (1 + np.exp(-logits)))
    rows["set"] = np.where(np.arange(n) < n // 2, "train", "test")
    rows = with_calls(
        rows, {"m": [judge.fit_operating(rows[:0], BALANCED)]}, judge.outcome.outputs, judge.calibrated,
        judge.outcome.table.classes,
    )  # fmt: skip
    facts = facts_of(rows, judge, site=[f"H{number}" for number in sites])
    return judged_content(rows, facts, judge, sites=sites, seed=seed)


def judged_content(rows: pd.DataFrame, facts: pd.DataFrame, judge, sites=None, seed=0, units=None) -> Json:
    folds = [dict(zip(rows["patient_id"], rows["set"], strict=True))]
    training = training_facts(facts, folds, judge)
    whole = pd.concat([rows, *(baseline_rows(name, rows, facts, training, judge) for name in makeable(facts)[0])])
    probed = None
    if sites is not None:
        features = np.eye(int(sites.max()) + 1)[sites] + np.random.default_rng(seed).normal(
            0, 0.3, (len(sites), sites.max() + 1)
        )
        probed = probe_groups(features, facts["site"].tolist(), seed=0)
    context = Context(("m",), facts, 1, units, probed, {})
    said = Said(rows, rows, whole, {"slide": rows, "patient": whole})
    return content_of(said, context, judge)


def kinds(found: Json) -> set[str]:
    return {one["kind"] for one in found["warnings"]}


def test_a_planted_site_without_biology_is_named_on_top() -> None:
    found = content(Planted(biology=0.0, site=6.0))
    area = found["models"]["m"]["test"]["patient"]["roc_auc"]["value"]
    assert area > 0.8
    assert found["chance"]["m"]["verdict"] == "above"
    assert {"not-above-site", "chance-within-site", "site-readable"} <= kinds(found)
    assert found["within"]["site"]["m"]["roc_auc"]["value"] == pytest.approx(0.5, abs=0.1)
    # The true area of a site that is right in 85 %.
    assert found["models"]["site"]["test"]["patient"]["roc_auc"]["value"] == pytest.approx(0.85, abs=0.06)


def test_a_planted_signal_survives_the_site() -> None:
    found = content(Planted(biology=5.0, site=0.0))
    assert not kinds(found) & {"not-above-site", "chance-within-site"}
    assert found["compared"]["site"]["low"] > 0
    assert found["within"]["site"]["m"]["roc_auc"]["low"] > 0.7


@pytest.mark.parametrize("kind", OUTCOME_KINDS)
def test_every_kind_of_outcome_has_all_of_it(kind: str) -> None:
    judge = measures(kind)
    rows = rows_of(kind, 120, 3.0)
    rows["set"] = np.repeat(["train", "valid", "test"], 40)
    if judge.calibrated:
        n = len(judge.outcome.table.classes)
        seen = Seen((1.0,) * n, (1.0,) * n)
        operating = {"m": [judge.fit_operating(rows[rows["set"] == "valid"], seen)]}
        rows = with_calls(rows, operating, judge.outcome.outputs, judge.calibrated, judge.outcome.table.classes)
    facts = facts_of(rows, judge, tumour_type=["A", "B", "A"] * 40, n_tiles=np.arange(120.0))
    found = judged_content(rows, facts, judge)
    json.dumps(found, allow_nan=False)
    assert found["lead"] == {"model": "m", "metric": judge.headline, "by": "being the only one", "ties": []}
    assert set(found["models"]) == {"m", "majority-class", "tumour-type", "n-tiles"}
    assert set(found["compared"]) == {"majority-class", "tumour-type", "n-tiles"}
    assert found["models"]["m"]["test"]["patient"][judge.headline]["n"] == 40
    assert found["chance"]["m"]["verdict"] == "above"
    assert {one["check"] for one in found["unchecked"]} >= {"comparison with site", "comparison with colour"}


@pytest.mark.parametrize("kind", OUTCOME_KINDS)
def test_one_group_in_the_test_set_has_figures_and_no_claim(kind: str) -> None:
    """Nothing says how much groups differ: no interval, no test, no comparison, and that is said."""
    judge, rows = measures(kind), rows_of(kind, 60, 3.0)
    rows["set"] = np.repeat(["train", "test"], 30)
    if judge.calibrated:
        n = len(judge.outcome.table.classes)
        operating = {"m": [judge.fit_operating(rows[:0], Seen((1.0,) * n, (1.0,) * n))]}
        rows = with_calls(rows, operating, judge.outcome.outputs, judge.calibrated, judge.outcome.table.classes)
    types = ["A", "B", "A"] * 20
    units = dict(zip(rows["patient_id"], np.repeat(["x", "y"], 30), strict=True))
    found = judged_content(rows, facts_of(rows, judge, tumour_type=types), judge, units=units)
    metrics = found["models"]["m"]["test"]["patient"]
    assert metrics[judge.headline]["value"] > judge.no_relation
    assert {(one["low"], one["high"]) for one in metrics.values()} == {(None, None)}
    assert (found["chance"]["m"]["method"], found["chance"]["m"]["p_holm"], found["compared"]) == ("none", 1.0, {})
    assert found["within"] == {}
    assert "no claim is made, for nothing here can be tested: m" in metrics_text(found)
    assert "(y)" in {one["kind"]: one["text"] for one in found["warnings"]}["one-group"]
    assert "is the model better than chance, and than each baseline?" in {one["check"] for one in found["unchecked"]}


def test_what_cannot_be_measured_within_groups_is_said() -> None:
    """Every tumour type has one class: no two patients of a type can be compared."""
    judge, rows = measures("binary"), rows_of("binary", 40, 3.0)
    rows = rows.assign(calibrated=rows["probability"], set=np.repeat(["train", "test"], 20))
    types = ["AB"[label] for label in rows["label"]]
    found = judged_content(rows, facts_of(rows, judge, tumour_type=types), judge)
    assert found["within"]["tumour_type"]["m"]["roc_auc"]["value"] is None
    unchecked = {one["check"]: one["why"] for one in found["unchecked"]}
    assert "of different classes" in unchecked["is the model better than chance within a tumour type?"]


def test_without_test_patients_nothing_is_said() -> None:
    judge = measures("binary")
    rows = rows_of("binary", 20, 1.0, set_name="train")
    operating = {"m": [judge.fit_operating(rows[:0], BALANCED)]}
    rows = with_calls(rows, operating, judge.outcome.outputs, judge.calibrated, judge.outcome.table.classes)
    found = judged_content(rows, facts_of(rows, judge), judge)
    assert kinds(found) == {"too-few"}
    assert (found["chance"], found["compared"]) == ({}, {})


@pytest.mark.parametrize(
    ("scale", "shift", "said"),
    [(1.0, 0.0, set()), (3.0, 0.0, {"calibration-slope"}), (1.0, 1.0, {"calibration"})],
)
def test_a_model_that_is_calibrated_passes_and_others_are_named(scale: float, shift: float, said: set[str]) -> None:
    """Labels are drawn by the probabilities; ``scale`` and ``shift`` are what the model then says of the log-odds."""
    judge, generator = measures("binary"), np.random.default_rng(3)
    odds = 1.5 * generator.normal(size=1000)
    labels = (generator.random(1000) < 1 / (1 + np.exp(-odds))).astype(int)
    rows = rows_of("binary", 1000, 0.0).assign(label=labels, probability=1 / (1 + np.exp(-(scale * odds + shift))))
    rows["set"] = np.where(np.arange(1000) < 20, "train", "test")
    operating = {"m": [judge.fit_operating(rows[:0], BALANCED)]}
    rows = with_calls(rows, operating, judge.outcome.outputs, judge.calibrated, judge.outcome.table.classes)
    found = judged_content(rows, facts_of(rows, judge), judge)
    assert {one for one in kinds(found) if one.startswith("calibration")} == said
