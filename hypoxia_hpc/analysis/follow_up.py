"""How long patients were followed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def median_follow_up(times: Sequence[float], events: Sequence[int]) -> float | None:
    """The median time that patients were, or would have been, followed: the Kaplan-Meier estimate with censoring as
    its event and the event as its censoring (Schemper and Smith 1996, Controlled Clinical Trials 17). In the unit of
    ``times``, (n,), each 0 or more; ``events`` 1 or 0, (n,). At equal times events come first. None where it is not
    reached, as where all had the event.
    """
    time, event = np.asarray(times, dtype=np.float64), np.asarray(events)
    share = 1.0
    for step in np.unique(time[event == 0]):
        n_censored = np.count_nonzero((time == step) & (event == 0))
        at_risk = np.count_nonzero(time > step) + n_censored
        share *= 1 - n_censored / at_risk
        if share <= 0.5:
            return float(step)
    return None
