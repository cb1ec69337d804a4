"""The curve is that of lifelines."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypoxia_hpc.analysis.kaplan_meier import curve_of, followed_at, kaplan_meier, median_time, share_at


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 1)), min_size=1, max_size=30))
def test_the_shares_of_lifelines(rows: list[tuple[int, int]]) -> None:
    lifelines = pytest.importorskip("lifelines")
    time, event = np.array([row[0] for row in rows], dtype=float), np.array([row[1] for row in rows])
    times, shares = kaplan_meier(time, event)
    fitted = lifelines.KaplanMeierFitter().fit(time, event)
    last = [shares[np.flatnonzero(times <= at)[-1]] for at in range(9)]
    expected = fitted.survival_function_at_times(np.minimum(range(9), time.max())).to_numpy()
    np.testing.assert_allclose(last, expected, atol=1e-12)


def test_by_hand() -> None:
    times, shares = kaplan_meier(np.array([1.0, 2.0, 2.0, 4.0]), np.array([1, 1, 0, 0]))
    np.testing.assert_allclose(times, [0, 1, 2, 4])
    np.testing.assert_allclose(shares, [1, 0.75, 0.5, 0.5])


def test_intervals_numbers_at_risk_and_medians_of_r() -> None:
    """R 4.2.2, ``survfit(Surv(time, status) ~ 1, lung, conf.type = "log-log")``."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own imports
        from lifelines.datasets import load_lung
    frame = load_lung()
    curve, at = curve_of(frame["time"], frame["status"], 0.95), [100, 365, 700]
    places = np.searchsorted(curve.times, at, side="right") - 1
    np.testing.assert_allclose(share_at(curve, at), [0.863968967645, 0.409241624460, 0.142391505655], atol=1e-9)
    np.testing.assert_allclose(curve.low[places], [0.812222319754, 0.338714269088, 0.089373801688], atol=1e-9)
    np.testing.assert_allclose(curve.high[places], [0.902310180515, 0.478380767647, 0.207370310114], atol=1e-9)
    assert followed_at(frame["time"], at).tolist() == [196, 65, 16]
    assert [median_time(curve.times, one) for one in (curve.low, curve.shares, curve.high)] == [284, 310, 361]


def test_where_all_had_the_event_there_is_no_interval_at_the_end() -> None:
    curve = curve_of(np.array([1.0, 2.0]), np.array([1, 1]), 0.95)
    assert np.isnan([curve.low[1], curve.high[1]]).all() and 0 < curve.low[0] < 0.5 < curve.high[0] < 1
    assert median_time(np.array([1.0, 2.0]), np.array([0.9, 0.6])) is None
    assert len(curve_of(np.array([1.0]), np.array([0]), 0.95).times) == 0
