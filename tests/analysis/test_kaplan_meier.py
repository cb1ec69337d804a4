"""The curve is that of lifelines."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypoxia_hpc.analysis.kaplan_meier import kaplan_meier


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
