"""The median follow-up is that of lifelines, events and censoring changed about."""

from __future__ import annotations

import lifelines
import numpy as np
import pytest

from hypoxia_hpc.analysis.follow_up import median_follow_up


@pytest.mark.parametrize("seed", range(8))
def test_it_is_the_median_of_the_reversed_kaplan_meier_estimate(seed: int) -> None:
    random = np.random.default_rng(seed)
    # Every time is one of an event or of a censoring: on ties of both, lifelines lets neither come first.
    time = random.permutation(np.arange(1, 41)).repeat(2)[:61] / 2
    event = (random.random(40) < 0.4)[(time * 2).astype(int) - 1].astype(int)
    expected = lifelines.KaplanMeierFitter().fit(time, event == 0).median_survival_time_
    assert median_follow_up(time.tolist(), event.tolist()) == (None if np.isinf(expected) else expected)


@pytest.mark.parametrize(
    ("times", "events", "median"),
    [
        ([1, 2, 3], [0, 0, 0], 2.0),
        ([1, 2, 3, 4], [1, 1, 0, 0], 3.0),
        ([1, 2, 3], [1, 1, 1], None),
        ([5], [0], 5.0),
        ([], [], None),
        # The one with the event at 2 is not at risk of being censored then: 1 of 2, not 1 of 3.
        ([2, 2, 3], [1, 0, 0], 2.0),
    ],
)
def test_by_hand(times: list[float], events: list[int], median: float | None) -> None:
    assert median_follow_up(times, events) == median
