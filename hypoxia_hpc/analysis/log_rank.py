"""Do groups of patients have the event at the same rate? The log-rank test (Mantel 1966)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import chdtrc

from hypoxia_hpc.records import AnyArray


class LogRank(NamedTuple):
    """``statistic`` is chi-square with ``freedom`` degrees of freedom where all groups have the same hazard; NaN, as is
    ``p``, where there are not two groups with patients, or no event."""

    statistic: float
    freedom: int
    p: float


def log_rank(time: AnyArray, event: AnyArray, groups: Sequence[object] | AnyArray) -> LogRank:
    """``time``, ``event`` (1 or 0) and the group of each patient, (n,) each; groups are compared with each other, not
    with a trend."""
    time, event = np.asarray(time, dtype=np.float64), np.asarray(event) == 1
    member = np.equal.outer(np.unique(np.asarray(groups)), np.asarray(groups)).T.astype(np.float64)
    order = np.argsort(-time, kind="stable")
    steps, starts = np.unique(-time[order], return_index=True)
    at_risk = np.cumsum(member[order], axis=0)[np.append(starts[1:], len(time)) - 1] if len(steps) else member[:0]
    died = np.add.reduceat(member[order] * event[order][:, None], starts, axis=0) if len(steps) else member[:0]
    everyone, deaths = at_risk.sum(axis=1), died.sum(axis=1)
    expected = at_risk * (deaths / np.maximum(everyone, 1))[:, None]
    factor = deaths * (everyone - deaths) / np.maximum(everyone - 1, 1) / np.maximum(everyone, 1) ** 2
    covariance = np.diag((factor * everyone) @ at_risk) - (at_risk * factor[:, None]).T @ at_risk
    # Groups of which none was at risk beside another at an event say nothing.
    informative = np.flatnonzero(np.diag(covariance) > 0)
    if len(informative) < 2:
        return LogRank(np.nan, max(len(informative) - 1, 0), np.nan)
    kept = informative[:-1]
    apart = (died - expected).sum(axis=0)[kept]
    statistic = float(apart @ np.linalg.solve(covariance[np.ix_(kept, kept)], apart))
    return LogRank(statistic, len(kept), float(chdtrc(len(kept), statistic)))
