"""The share of patients without the event, by time (Kaplan and Meier 1958)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from hypoxia_hpc.records import AnyArray, Float64Array, Int64Array


class Curve(NamedTuple):
    """At each time with an event, rising, (m,) each: the share without the event from then on, in 0..1, low and high of
    its interval (NaN where the share is 0), and how many patients were still followed just before."""

    times: Float64Array
    shares: Float64Array
    low: Float64Array
    high: Float64Array
    at_risk: Int64Array


def kaplan_meier(time: NDArray[np.floating], event: NDArray[np.integer]) -> tuple[Float64Array, Float64Array]:
    """Steps of the curve: times (m,), from 0 over every time with an event to the last follow-up, and the share without
    the event from then on, in 0..1. ``time`` of the event (``event`` 1) or of the end of the follow-up (0), both (n,);
    at equal times those who leave count as still there."""
    curve = curve_of(time, event, 0.95)
    last = float(time.max(initial=0.0))
    shares = np.concatenate([[1.0], curve.shares])
    return np.concatenate([[0.0], curve.times, [last]]), np.append(shares, shares[-1])


def curve_of(time: AnyArray, event: AnyArray, confidence: float) -> Curve:
    """The curve with intervals by Greenwood's variance of log(-log(share)), which stay within 0 and 1 (R's
    ``conf.type = "log-log"``). ``time``, ``event`` (1 or 0): (n,)."""
    time, event = np.asarray(time, dtype=np.float64), np.asarray(event)
    steps = np.unique(time[event == 1])
    rising = np.sort(time)
    there = len(time) - np.searchsorted(rising, steps, side="left")
    had = np.bincount(np.searchsorted(steps, time[event == 1]), minlength=len(steps))
    shares: Float64Array = np.cumprod(1 - had / there).astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.sqrt(np.cumsum(had / (there * (there - had)))) / -np.log(shares)
        half = np.exp(float(ndtri((1 + confidence) / 2)) * error)
        low, high = shares**half, shares ** (1 / half)
    known = shares > 0
    return Curve(steps, shares, np.where(known, low, np.nan), np.where(known, high, np.nan), there.astype(np.int64))


def followed_at(time: AnyArray, at: AnyArray) -> Int64Array:
    """How many patients are still followed at each time ``at`` (m,): those whose ``time`` (n,) is that or later."""
    rising = np.sort(np.asarray(time, dtype=np.float64))
    numbers: Int64Array = len(rising) - np.searchsorted(rising, np.asarray(at, dtype=np.float64), side="left")
    return numbers


def median_time(times: Float64Array, shares: Float64Array) -> float | None:
    """The first time at which no more than half are without the event; None where that is not reached."""
    reached = np.flatnonzero(shares <= 0.5)
    return float(times[reached[0]]) if len(reached) else None


def share_at(curve: Curve, at: AnyArray) -> Float64Array:
    """The share without the event at each time ``at`` (m,): 1 before the first event."""
    place = np.searchsorted(curve.times, np.asarray(at, dtype=np.float64), side="right")
    shares: Float64Array = np.concatenate([[1.0], curve.shares])[place]
    return shares
