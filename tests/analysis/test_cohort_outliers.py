"""Robust z scores and what stands out by them: one bad slide is named, and does not hide another one."""

from __future__ import annotations

import statistics

import numpy as np
import pytest

from hypoxia_hpc.analysis.cohort_outliers import FEWEST_SLIDES, MeasureRule, findings, robust_z

BOTH = MeasureRule("both", 0.001)


def test_as_its_definition() -> None:
    values = np.random.default_rng(0).normal(5, 2, 31).tolist()
    median = statistics.median(values)
    deviation = 1.4826 * statistics.median(abs(value - median) for value in values)
    assert robust_z([*values[:9], None, *values[9:]], BOTH) == pytest.approx(
        [*((value - median) / deviation for value in values[:9]), None, *((v - median) / deviation for v in values[9:])]
    )


def test_outliers_are_found_on_their_side_and_do_not_hide_each_other() -> None:
    usual = np.linspace(-1, 1, 12).tolist()
    values = [*usual, 50.0, 60.0, -50.0]
    for side, expected in (("both", {12, 13, 14}), ("high", {12, 13}), ("low", {14})):
        found = findings({"x": values}, {"x": MeasureRule(side, 0.001)})
        assert {place for place, one in enumerate(found) if one} == expected


def test_a_measure_that_hardly_varies_has_no_outlier_below_its_least_deviation() -> None:
    values = [0.0] * 11 + [0.03]
    assert findings({"pen": values}, {"pen": MeasureRule("high", 0.01)})[-1] == ()
    [finding] = findings({"pen": values}, {"pen": MeasureRule("high", 0.005)})[-1]
    assert finding.z == pytest.approx(6)


def test_few_slides_have_the_limits_of_any_cohort_alone() -> None:
    values = [0.0] * (FEWEST_SLIDES - 2) + [0.9]
    assert robust_z(values, BOTH) == [None] * len(values)
    *others, last = findings({"blurred": values}, {"blurred": MeasureRule("high", 0.05, most=0.25)})
    assert [(one.measure, one.value, one.z) for one in last] == [("blurred", 0.9, None)] and not any(others)


def test_the_furthest_stands_first() -> None:
    table = {"a": [0.0] * 9 + [4.0], "b": [0.0] * 9 + [-9.0], "c": [0.0] * 9 + [0.3]}
    rules = {"a": MeasureRule("high", 1.0), "b": MeasureRule("both", 1.0), "c": MeasureRule("high", 1.0, most=0.2)}
    assert [one.measure for one in findings(table, rules)[-1]] == ["c", "b", "a"]
    assert findings({}, rules) == ()
