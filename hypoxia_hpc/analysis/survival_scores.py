"""How good predictions of survival are at a time: the area under the ROC curve of those with the event by then against
those still without, and the Brier score; those whose follow-up ended before are stood in for by the others, weighed by
the inverse of the share not censored (IPCW)."""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata

from hypoxia_hpc.analysis.kaplan_meier import Curve, curve_of
from hypoxia_hpc.records import AnyArray, Float64Array


def censoring_curve(time: AnyArray, event: AnyArray) -> Curve:
    """The share of patients not censored, by time: the Kaplan-Meier curve of the censoring. At equal times events come
    first: those who had one are not at risk of being censored then."""
    time = np.asarray(time, dtype=np.float64)
    # Half a step later than any event of the same time; between two times there is room for it.
    different, place = np.unique(time, return_inverse=True)
    curve = curve_of(2 * place + (np.asarray(event) == 0), np.asarray(event) == 0, 0.95)
    return curve._replace(times=different[(curve.times.astype(np.int64) - 1) // 2])


def _before(curve: Curve, at: AnyArray) -> Float64Array:
    """The share of a curve just before each time."""
    shares: Float64Array = np.concatenate([[1.0], curve.shares])[np.searchsorted(curve.times, at, side="left")]
    return shares


def area_at(time: AnyArray, event: AnyArray, risk: AnyArray, at: float) -> float:
    """The area under the cumulative-dynamic ROC curve at the time ``at``, in 0..1 (Uno et al. 2007): of pairs of a
    patient with the event by then and one still without, the share in which the first has the higher ``risk``, ties
    half; each event counts 1 / (share not censored just before it). ``time``, ``event``, ``risk``: (n,). NaN without
    either kind, or where no patient is followed for longer."""
    time, had = np.asarray(time, dtype=np.float64), np.asarray(event) == 1
    is_case, is_control = had & (time <= at), time > at
    if not is_case.any() or not is_control.any():
        return float("nan")
    weights = 1 / _before(censoring_curve(time, event), time[is_case])
    both = rankdata(np.concatenate([np.asarray(risk)[is_case], np.asarray(risk)[is_control]]))[: is_case.sum()]
    above = both - rankdata(np.asarray(risk)[is_case])  # controls with a lower risk, and half of those with the same
    return float((weights * above).sum() / (weights.sum() * is_control.sum()))


def brier_scores(time: AnyArray, event: AnyArray, shares: AnyArray, times: AnyArray) -> Float64Array:
    """The Brier score at each of ``times`` (m,) (Graf et al. 1999), 0 where predictions are all right, 1/4 for 1/2
    throughout: the mean square of what was predicted less what came. ``shares`` (n, m): each patient's predicted
    probability to be without the event at each time. Those censored by then count as 0, those with the event 1 / G just
    before it, the others 1 / G at the time, G being the share not censored. NaN where that is 0."""
    time, had, times = np.asarray(time, dtype=np.float64), np.asarray(event) == 1, np.asarray(times, dtype=np.float64)
    censoring = censoring_curve(time, event)
    left = np.append(1.0, censoring.shares)[np.searchsorted(censoring.times, times, side="right")]
    before = _before(censoring, time)
    is_there = time[:, None] > times
    of_case = np.where(had & (before > 0), 1 / np.where(before > 0, before, 1), 0.0)
    weights = np.where(is_there, 1 / np.where(left > 0, left, np.nan), of_case[:, None])
    scores: Float64Array = (weights * (np.asarray(shares) - is_there) ** 2).mean(axis=0)
    return np.where(left > 0, scores, np.nan)


def integrated_brier(time: AnyArray, event: AnyArray, shares: AnyArray, times: AnyArray) -> float:
    """The mean of the Brier score over ``times`` (m,), rising, by the trapezoidal rule. ``shares`` as of
    `brier_scores`. NaN where it is at one of them, or with fewer than two."""
    if len(times) < 2:
        return float("nan")
    return float(np.trapezoid(brier_scores(time, event, shares, times), times) / (times[-1] - times[0]))
