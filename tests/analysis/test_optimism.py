"""Optimism: nothing to correct where nothing was fitted; what was found in noise is taken off."""

from __future__ import annotations

import numpy as np
import pytest

from hypoxia_hpc.analysis.concordance import concordance_statistic
from hypoxia_hpc.analysis.cox import fit_cox
from hypoxia_hpc.analysis.optimism import corrected, dealt_folds, draws
from hypoxia_hpc.analysis.rows import point


def test_what_was_found_in_noise_is_taken_off():
    generator = np.random.default_rng(0)
    time, event, values = (
        generator.exponential(size=120),
        generator.integers(0, 2, 120),
        generator.normal(size=(120, 8)),
    )

    def measure(drawn, everyone):
        fit = fit_cox(time[drawn], event[drawn], values[drawn])
        return tuple(
            point(concordance_statistic(time[on], event[on], fit.risk(values[on]), np.arange(120)), 120)[:1]
            for on in (drawn, everyone)
        )

    found = corrected(measure, event, 60, 1)
    assert found.apparent[0] > 0.57
    assert abs(found.corrected[0] - 0.5) < 0.05 < found.optimism[0]


def test_what_was_not_fitted_has_no_optimism_and_failures_do_not_count():
    tries = iter(range(1000))

    def measure(drawn, everyone):
        value = np.array([0.7, np.nan if next(tries) % 2 else 0.5])
        return value, value

    found = corrected(measure, np.array([1, 0, 0, 1]), 10, 0)
    assert (found.optimism[0], found.corrected[0], found.n_resamples) == (0, pytest.approx(0.7), 5)


def test_draws_hold_an_event_and_are_the_same_again():
    event = np.array([0] * 9 + [1])
    drawn = list(draws(event, 20, 3))
    assert len(drawn) == 20 and all(event[one].any() for one in drawn)
    assert all((one == other).all() for one, other in zip(drawn, draws(event, 20, 3), strict=True))
    assert list(draws(np.zeros(4), 5, 0)) == []


def test_folds_share_the_events():
    event = np.array([1] * 11 + [0] * 22)
    folds = dealt_folds(event, 5, 0)
    assert sorted(np.bincount(folds[event == 1])) == [2, 2, 2, 2, 3]
    assert sorted(np.bincount(folds)) == [6, 6, 7, 7, 7]
