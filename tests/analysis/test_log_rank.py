"""The log-rank test against R 4.2.2 with survival 3.5-3 (``survdiff``)."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.test_cox import VETERAN, lung, rossi
from hypoxia_hpc.analysis.log_rank import log_rank


def test_two_and_more_groups_of_r():
    import pandas as pd

    time, event, values = rossi()
    found = log_rank(time, event, values[:, 0])
    assert (found.statistic, found.freedom) == (pytest.approx(3.83756957655, abs=1e-6), 1)
    assert found.p == pytest.approx(0.0501161174, abs=1e-8)
    frame = pd.read_csv(VETERAN)
    found = log_rank(frame["time"], frame["status"], frame["celltype"])
    assert (found.statistic, found.freedom) == (pytest.approx(25.4037003458, abs=1e-6), 3)
    time, event, values = lung()
    assert log_rank(time, event, values[:, 2]).statistic == pytest.approx(21.9621316825, abs=1e-6)


@pytest.mark.parametrize(
    ("event", "groups"), [([1, 1, 0], ["a"] * 3), ([0, 0, 0], ["a", "b", "a"]), ([1, 0, 0], ["b", "a", "a"])]
)
def test_nothing_to_compare(event, groups):
    """No other group, no event; and one event at which all are at risk says something."""
    found = log_rank([1.0, 2.0, 3.0], event, groups)
    assert np.isnan(found.p) == (len(set(groups)) == 1 or not any(event))


def test_a_group_without_a_patient_at_risk_at_an_event_does_not_count():
    """Their follow-up ends before the first event."""
    time, event = np.array([1.0, 1.0, 2.0, 3.0, 4.0, 5.0]), np.array([0, 0, 1, 1, 1, 0])
    with_them = log_rank(time, event, ["c", "c", "a", "b", "a", "b"])
    without = log_rank(time[2:], event[2:], ["a", "b", "a", "b"])
    assert with_them == pytest.approx(without)
