"""The share of patients without the event, by time (Kaplan and Meier 1958)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hypoxia_hpc.records import Float64Array


def kaplan_meier(time: NDArray[np.floating], event: NDArray[np.integer]) -> tuple[Float64Array, Float64Array]:
    """Steps of the curve: times (m,), from 0 over every time with an event to the last follow-up, and the share without
    the event from then on, in 0..1. ``time`` of the event (``event`` 1) or of the end of the follow-up (0), both (n,);
    at equal times those who leave count as still there."""
    steps = np.unique(time[event == 1])
    there = (time[None, :] >= steps[:, None]).sum(axis=1)
    had = ((time[None, :] == steps[:, None]) & (event == 1)).sum(axis=1)
    shares = np.concatenate([[1.0], np.cumprod(1 - had / there)])
    last = float(time.max(initial=0.0))
    return np.concatenate([[0.0], steps, [last]]), np.append(shares, shares[-1])
