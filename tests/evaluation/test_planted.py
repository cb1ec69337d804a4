"""What a model learns is planted: the hospital, the organ, the biology. Evaluation has to say which.

Patients have 16 features: a pattern of their hospital, one of their organ, one of the biology, and noise. A logistic
regression learns from training patients, as a head would. Five seeds, fixed in advance; the default suite has one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest
from judged import facts_of, measures
from sklearn.linear_model import LogisticRegression

from hypoxia_hpc.analysis.probe import probe_groups
from hypoxia_hpc.cohorts.dealing import Member
from hypoxia_hpc.cohorts.splits import SplitRule, split_members
from hypoxia_hpc.evaluation.baselines import baseline_rows, makeable, training_facts
from hypoxia_hpc.evaluation.content import Context, Said, content_of
from hypoxia_hpc.evaluation.operating import Seen, with_calls
from hypoxia_hpc.records import AnyArray, Float64Array, Json

SEEDS = (0, 1, 2, 3, 4)
N, D = 2000, 16
ONE_AND_ALL = [pytest.param((0,), id="one seed"), pytest.param(SEEDS, marks=pytest.mark.long, id="five seeds")]


@dataclass(frozen=True)
class Cohort:
    labels: AnyArray
    sites: AnyArray
    organs: AnyArray
    features: Float64Array

    @property
    def ids(self) -> list[str]:
        return [f"P{number:04d}" for number in range(N)]


def cohort(seed: int, *, n_sites: int = 8, site: bool = False, organ: bool = False, biology: float = 0.0) -> Cohort:
    """Labels are 85 / 15 % by hospital where ``site``, 80 / 20 % by organ where ``organ``, else even. Hospitals and
    organs can always be seen; ``biology`` is how far the label can, in standard deviations."""
    generator = np.random.default_rng(seed)
    sites, organs = generator.integers(0, n_sites, N), generator.integers(0, 2, N)
    share = np.where(sites % 2, 0.85, 0.15) if site else np.where(organs, 0.8, 0.2) if organ else np.full(N, 0.5)
    labels = (generator.random(N) < share).astype(int)
    patterns = 2 * generator.normal(size=(n_sites, D))[sites] + 2 * generator.normal(size=(2, D))[organs]
    direction = generator.normal(size=D)
    features = patterns + biology * np.outer(labels - 0.5, direction) + generator.normal(size=(N, D))
    return Cohort(labels, sites, organs, features)


def evaluated(made: Cohort, *, folds: int = 1, together: bool = False) -> Json:
    groups = [f"H{number}" for number in made.sites]
    members = [
        Member(name, str(label), "", group) for name, label, group in zip(made.ids, made.labels, groups, strict=True)
    ]
    split = split_members(members, SplitRule((0.35, 0.15, 0.5), folds, together=together)).table
    sets = [dict(zip(part["patient_id"], part["set"], strict=True)) for _, part in split.groupby("fold")]
    judge = replace(measures("binary"), folds=folds)
    rows = pd.concat([_predicted(made, one, fold) for fold, one in enumerate(sets)], ignore_index=True)
    seen = Seen((1.0, 1.0), (1.0, 1.0))
    operating = [
        judge.fit_operating(rows[(rows["fold"] == f) & (rows["set"] == "valid")], seen) for f in range(len(sets))
    ]
    called = with_calls(rows, {"m": operating}, judge.outcome.outputs, judge.calibrated, judge.outcome.table.classes)
    once = called.drop_duplicates("patient_id").sort_values("patient_id")
    facts = facts_of(once, judge, site=groups, tumour_type=[f"organ {number}" for number in made.organs])
    training = training_facts(facts, sets, judge)
    baselines = [baseline_rows(name, called, facts, training, judge) for name in makeable(facts)[0]]
    train = [sets[0][name] == "train" for name in made.ids]
    probed = probe_groups(
        made.features[train], [group for group, own in zip(groups, train, strict=True) if own], seed=0
    )
    units = dict(zip(made.ids, groups, strict=True)) if together else None
    whole = pd.concat([called, *baselines], ignore_index=True)
    context = Context(("m",), facts, folds, units, probed, {"m": operating})
    return content_of(Said(called, called, whole, {"slide": called, "patient": whole}), context, judge)


def _predicted(made: Cohort, sets: Mapping[str, str], fold: int) -> pd.DataFrame:
    where = np.array([sets[name] for name in made.ids])
    model = LogisticRegression(C=1.0, max_iter=500).fit(made.features[where == "train"], made.labels[where == "train"])
    rows = pd.DataFrame({"model": "m", "set": where, "id": made.ids, "patient_id": made.ids, "label": made.labels})
    rows = rows.assign(fold=pd.array([fold] * N, dtype="Int64"), n_tiles=20)
    return rows.assign(probability=model.predict_proba(made.features)[:, 1])


def area(found: Json, model: str) -> float:
    return float(found["models"][model]["test"]["patient"]["roc_auc"]["value"])


def kinds(found: Json) -> set[str]:
    return {one["kind"] for one in found["warnings"]}


@pytest.mark.parametrize("seeds", ONE_AND_ALL)
def test_a_hospital_without_biology_is_named_on_top(seeds: tuple[int, ...]) -> None:
    found = [evaluated(cohort(seed, site=True)) for seed in seeds]
    for one in found:
        assert one["models"]["m"]["test"]["patient"]["roc_auc"]["n"] >= 1000
        assert area(one, "m") > 0.8
        assert one["chance"]["m"]["verdict"] == "above"
        assert {"not-above-site", "chance-within-site", "site-readable"} <= kinds(one)
    within = [one["within"]["site"]["m"]["roc_auc"]["value"] for one in found]
    assert np.mean(within) == pytest.approx(0.5, abs=0.08 / np.sqrt(len(seeds)))
    # 0.85² of the pairs are of two hospitals and in order, 2 · 0.85 · 0.15 within one kind of hospital, half of these.
    true = 0.85**2 + 0.85 * 0.15
    assert np.mean([area(one, "site") for one in found]) == pytest.approx(true, abs=0.02 if len(seeds) > 1 else 0.04)


@pytest.mark.parametrize("seeds", ONE_AND_ALL)
def test_hospitals_that_stay_together_leave_nothing_of_it(seeds: tuple[int, ...]) -> None:
    for seed in seeds:
        found = evaluated(cohort(seed, n_sites=20 if seeds == (0,) else 40, site=True), folds=5, together=True)
        interval = found["models"]["m"]["test"]["patient"]["roc_auc"]
        assert interval["n"] == N
        assert interval["low"] < 0.5 < interval["high"], seed
        assert found["chance"]["m"]["verdict"] == "not told apart"


@pytest.mark.parametrize("seeds", ONE_AND_ALL)
def test_an_organ_is_named_and_vanishes_within_organs(seeds: tuple[int, ...]) -> None:
    for seed in seeds:
        found = evaluated(cohort(seed, organ=True))
        assert area(found, "m") > 0.75
        assert {"not-above-tumour-type", "chance-within-tumour-type"} <= kinds(found)
        assert found["within"]["tumour_type"]["m"]["roc_auc"]["value"] == pytest.approx(0.5, abs=0.08)


@pytest.mark.parametrize("seeds", ONE_AND_ALL)
def test_biology_survives_both(seeds: tuple[int, ...]) -> None:
    for seed in seeds:
        found = evaluated(cohort(seed, biology=1.0))
        assert not kinds(found) & {"too-few", "below-chance", "site-readable"}
        assert not [one for one in kinds(found) if one.startswith(("not-above", "chance-within"))]
        assert all(found["compared"][name]["low"] > 0 for name in ("site", "tumour-type", "tumour-type-and-site"))
        assert all(found["within"][column]["m"]["roc_auc"]["low"] > 0.7 for column in ("site", "tumour_type"))
