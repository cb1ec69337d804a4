"""Every kind of outcome is measured by its own metrics; a planted effect is found, and none where there is none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from judged import CLASSES, measures, rows_of
from sklearn.metrics import roc_auc_score

from hypoxia_hpc.analysis.metrics import Interval
from hypoxia_hpc.config.outcome import OUTCOME_KINDS
from hypoxia_hpc.evaluation.kinds import MEASURES
from hypoxia_hpc.evaluation.measures import chance_of_intervals

HEADLINES = {"binary": "roc_auc", "classes": "roc_auc_macro", "score": "spearman", "survival": "harrell"}


def said(kind: str) -> tuple[str, ...]:
    return measures(kind).outcome.outputs


def test_every_kind_has_measures() -> None:
    assert set(MEASURES) == set(OUTCOME_KINDS)


@pytest.mark.parametrize("kind", OUTCOME_KINDS)
def test_a_planted_effect_is_found_and_none_where_there_is_none(kind: str) -> None:
    judge = measures(kind)
    with_effect, without = rows_of(kind, 120, 2.0), rows_of(kind, 120, 0.0)
    assert judge.headline == HEADLINES[kind]
    found = judge.metrics(with_effect, said(kind), None)[judge.headline]
    assert found.low is not None
    assert found.low > judge.no_relation
    assert judge.chance(with_effect, said(kind), None).p < 0.001
    assert judge.chance(without, said(kind), None).p > 0.05


@pytest.mark.parametrize("kind", OUTCOME_KINDS)
def test_the_headline_statistic_is_the_headline_metric(kind: str) -> None:
    judge, rows = measures(kind), rows_of(kind, 60, 1.0)
    statistic = judge.statistic(rows, said(kind), np.arange(60), 60)
    assert statistic(np.ones((60, 1))).shape == (1, 1)
    found = judge.metrics(rows, said(kind), None)[judge.headline].value
    assert statistic(np.ones((60, 1)))[0, 0] == pytest.approx(found)


@pytest.mark.parametrize("kind", OUTCOME_KINDS)
def test_two_models_are_compared_on_the_same_patients(kind: str) -> None:
    judge = measures(kind)
    good, poor = rows_of(kind, 120, 2.5), rows_of(kind, 120, 0.0, seed=1)
    found = judge.compared(good, poor, said(kind), None)
    first, second = (judge.metrics(rows, said(kind), None)[judge.headline].value for rows in (good, poor))
    assert first is not None and second is not None
    assert found.difference == pytest.approx(first - second)
    assert found.told_apart
    alike = judge.compared(good, rows_of(kind, 120, 2.5, seed=1), said(kind), None)
    assert not alike.told_apart


@pytest.mark.parametrize("kind", OUTCOME_KINDS)
def test_folds_of_a_cross_validation_make_the_interval_of_a_difference_wider(kind: str) -> None:
    one, other = rows_of(kind, 120, 1.0), rows_of(kind, 120, 0.6, seed=1)
    alone, folded = (replace(measures(kind), folds=folds).compared(one, other, said(kind), None) for folds in (1, 5))
    assert alone.low is not None and alone.high is not None and folded.low is not None and folded.high is not None
    assert folded.difference == alone.difference
    assert (folded.high - folded.low) / (alone.high - alone.low) == pytest.approx(1.5, abs=0.12)


@pytest.mark.parametrize("kind", OUTCOME_KINDS)
def test_two_that_never_differ_have_an_interval(kind: str) -> None:
    """The same predictions differ nowhere; two other perfect models may differ in other patients."""
    judge, rows = measures(kind), rows_of(kind, 40, 0.0)
    names = list(said(kind))
    if kind in ("binary", "classes"):
        right = rows["label"].to_numpy()[:, None] == ([1] if kind == "binary" else np.arange(3))
        rows[names] = np.where(right, 0.8, 0.1)
    else:
        rows[names[0]] = rows["label"] if kind == "score" else -rows["time"]
    found = judge.compared(rows, rows.assign(**{name: rows[name] / 2 for name in names}), names, None)
    assert found.difference == 0
    assert found.low is not None and found.high is not None
    assert found.low < 0 < found.high
    alike = judge.compared(rows, rows, names, None)
    assert alike.difference == 0 and not alike.told_apart and alike.low is not None


@pytest.mark.parametrize("kind", OUTCOME_KINDS)
def test_units_that_are_drawn_as_wholes_make_intervals_wider(kind: str) -> None:
    """Every patient four times is no more than every patient once."""
    judge, rows = measures(kind), rows_of(kind, 60, 1.5)
    often = pd.concat([rows] * 4, ignore_index=True)
    widths = []
    for part, units in ((rows, None), (often, often["patient_id"]), (often, None)):
        found = judge.metrics(part, said(kind), units)[judge.headline]
        assert found.low is not None and found.high is not None
        widths.append(found.high - found.low)
    assert widths[1] > 0.85 * widths[0]
    assert widths[2] < 0.7 * widths[1]


@pytest.mark.parametrize("kind", OUTCOME_KINDS)
def test_baselines_learn_from_groups_and_from_values(kind: str) -> None:
    judge, rows = measures(kind), rows_of(kind, 120, 0.0)
    ordered = rows.sort_values(next(iter(judge.outcome.label_types)), kind="stable")
    groups = np.where(np.arange(120) < 60, "low", "high").tolist()
    by_group = judge.of_groups(ordered, groups, ["low", "high", "unknown"])
    assert by_group.shape == (3, judge.outcome.n_outputs)
    spread = np.ptp(by_group, axis=0).max()
    assert spread > 0.1
    assert (np.abs(by_group[2] - by_group[:2].mean(axis=0)) < spread).all()
    values = np.arange(120.0)[:, None]
    by_value = judge.of_values(ordered, values, np.array([[0.0], [119.0], [np.nan]]))
    assert by_value.shape == (3, judge.outcome.n_outputs)
    assert np.ptp(by_value[:2], axis=0).max() > 0.1
    assert (np.abs(by_value[2] - by_value[:2].mean(axis=0)) < np.ptp(by_value[:2], axis=0).max()).all()


def test_metrics_of_classes_agree_with_scikit_learn() -> None:
    judge, rows = measures("classes"), rows_of("classes", 90, 1.0)
    probabilities = rows[[f"probability_{name}" for name in CLASSES]].to_numpy()
    found = judge.metrics(rows, said("classes"), None)
    assert found["roc_auc_macro"].value == pytest.approx(
        roc_auc_score(rows["label"], probabilities, multi_class="ovr", average="macro")
    )


def test_p_turns_intervals_round() -> None:
    """Of a normal interval around 0.8 with standard error 0.1, against 0.5: three standard errors."""
    from scipy.stats import norm

    def interval(confidence: float) -> Interval:
        reach = 0.1 * float(norm.ppf((1 + confidence) / 2))
        return Interval(0.8, 0.8 - reach, 0.8 + reach, 10)

    assert chance_of_intervals(interval, 0.5).p == pytest.approx(2 * norm.sf(3), rel=1e-3)
    assert chance_of_intervals(interval, 0.8).p == 1
    assert chance_of_intervals(interval, -9).p == pytest.approx(1e-6)
    assert chance_of_intervals(lambda _: Interval(None, None, None, 0), 0.5).method == "none"


def test_so_few_patients_that_no_p_can_be_small() -> None:
    assert measures("binary").least_p(rows_of("binary", 4, 1.0)) == pytest.approx(1 / 3)
    assert measures("score").least_p(rows_of("score", 1, 1.0)) == 1
