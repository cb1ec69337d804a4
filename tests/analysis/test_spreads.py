"""Two metrics of the same units: values, variances and correlation by the jackknife, and the intervals made of them."""

from __future__ import annotations

import numpy as np
import pytest

from hypoxia_hpc.analysis.auc_intervals import AreaSpread, auc_interval
from hypoxia_hpc.analysis.intervals import bounded_interval
from hypoxia_hpc.analysis.rows import auc_statistic, mean_statistic
from hypoxia_hpc.analysis.spreads import BoundedSpread, Exact, Jackknifed

N = 40


def test_of_means_the_jackknife_is_exact():
    generator = np.random.default_rng(1)
    values = generator.random((N, 2)) @ np.array([[1.0, 0.6], [0.0, 0.8]])
    found = Jackknifed.of([mean_statistic(values[:, [i]], np.arange(N), N) for i in (0, 1)], N)
    assert found.values == pytest.approx(values.mean(axis=0))
    assert found.variances == pytest.approx(values.var(axis=0, ddof=1) / N)
    assert found.correlation == pytest.approx(np.corrcoef(values.T)[0, 1])
    folded = Jackknifed.of([mean_statistic(values[:, [0]], np.arange(N), N)], N, folds=5)
    assert folded.bounded(N, N, 0.0)[0].variance == pytest.approx(2.25 * found.variances[0])
    [one, _] = found.bounded(N, N, 0.0)
    assert one == BoundedSpread(one.value, one.variance, N, N - 1, 0.0)
    assert one.interval(0.9) == bounded_interval(one.value, one.variance, N, 0.9, freedom=N - 1)


def test_areas_have_about_the_intervals_of_patients():
    labels, said = np.arange(N) % 2, np.random.default_rng(2).normal(size=N) + np.arange(N) % 2
    found = Jackknifed.of([auc_statistic(labels, said, np.arange(N), N)], N)
    [area] = found.areas(N // 2, N // 2, N)
    assert isinstance(area, AreaSpread)
    assert area.interval(0.95) == pytest.approx(auc_interval(labels, said, confidence=0.95)[1:], abs=0.04)
    folded = [Jackknifed.of([auc_statistic(labels, labels, np.arange(N), N)], N, folds=k) for k in (1, 5)]
    alone, wider = (one.areas(N // 2, N // 2, N)[0].interval(0.95)[0] for one in folded)
    assert wider < alone - 0.05, "a perfect area is no less sure for the folds"


def test_what_is_not_defined_has_no_interval():
    one_class = Jackknifed.of([auc_statistic(np.ones(4, int), np.arange(4.0), np.arange(4), 4)], 4)
    assert (one_class.areas(4, 0, 4), one_class.bounded(4, 4, 0.0), one_class.correlation) == (None, None, 0.0)
    constant = Jackknifed.of([mean_statistic(np.ones((4, 1)), np.arange(4), 4)] * 2, 4)
    assert constant.correlation == 0
    assert constant.bounded(0, 4, 0.0) is None


def test_what_has_no_error_has_no_width():
    assert Exact(0.5).interval(0.99) == (0.5, 0.5)
