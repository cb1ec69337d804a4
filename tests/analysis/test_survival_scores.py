"""Areas and Brier scores under censoring, against pairs one by one, R's curves of the censoring, and by hand."""

from __future__ import annotations

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.test_cox import lung
from hypoxia_hpc.analysis.cox import baseline_hazard, fit_cox
from hypoxia_hpc.analysis.survival_scores import area_at, brier_scores, integrated_brier

PATIENTS = st.tuples(st.integers(1, 6), st.integers(0, 1), st.integers(0, 4))
# With the censoring curve of R's survfit (events first where times are equal) and the definitions of Uno 2007 and Graf
# 1999, of coxph(Surv(time, status) ~ age + sex + ph.ecog, lung) and its predicted curves.
FROM_R = {
    100: (0.658905978263, 0.109501600935),
    365: (0.647397660015, 0.225596309313),
    500: (0.643141461618, 0.198182954472),
    700: (0.685008335884, 0.115696232943),
}


def brier_at(time, event, shares, at):
    return brier_scores(time, event, np.asarray(shares)[:, None], [at])[0]


def test_numbers_of_r():
    time, event, values = lung()
    fit = fit_cox(time, event, values)
    times, hazards = map(np.array, zip(*baseline_hazard(fit, time, event, values), strict=True))
    risk = fit.risk(values)
    for at, expected in FROM_R.items():
        shares = np.exp(-hazards[np.searchsorted(times, at, side="right") - 1] * np.exp(risk))
        assert (area_at(time, event, risk, at), brier_at(time, event, shares, at)) == pytest.approx(expected, abs=1e-9)


@settings(max_examples=60)
@given(st.lists(PATIENTS, min_size=1, max_size=14), st.integers(1, 6))
def test_equal_the_slow_twins(rows, at):
    time, event, score = (list(column) for column in zip(*rows, strict=True))
    found = area_at(np.array(time), np.array(event), np.array(score), at)
    assert found == pytest.approx(naive.area_at(time, event, score, at), nan_ok=True, abs=1e-12)
    shares = [1 - each / 5 for each in score]
    found = brier_at(np.array(time), np.array(event), np.array(shares), at)
    assert found == pytest.approx(naive.brier_at(time, event, shares, at), nan_ok=True, abs=1e-12)


def test_without_censoring_they_are_plain():
    time, event = np.array([1.0, 2, 3, 4]), np.ones(4)
    assert area_at(time, event, -time, 2) == 1
    assert area_at(time, event, np.zeros(4), 2) == 0.5
    assert brier_at(time, event, (time > 2).astype(float), 2) == 0
    assert brier_at(time, event, np.full(4, 0.5), 2) == 0.25


def test_integrated_is_the_mean_over_time():
    time, event = np.array([1.0, 2, 3, 4, 5]), np.ones(5)
    assert integrated_brier(time, event, np.full((5, 3), 0.5), np.array([1, 2, 4])) == pytest.approx(0.25)
    assert np.isnan(integrated_brier(time, event, np.full((5, 1), 0.5), np.array([1])))
