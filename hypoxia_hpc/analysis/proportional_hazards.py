"""Do hazard ratios stay the same over time? The test of Grambsch and Therneau (1994) as a score test, as R has it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import chdtrc

from hypoxia_hpc.analysis.cox import CoxFit, Steps, steps_of, sums_at_events
from hypoxia_hpc.analysis.kaplan_meier import curve_of
from hypoxia_hpc.records import AnyArray, Float64Array


class Constancy(NamedTuple):
    """Of each column by itself, and of all together: chi-square and p; a small p speaks against hazard ratios that stay
    the same. ``slopes`` (k,): the sign says whether the log hazard ratio rises or falls with time."""

    statistics: Float64Array
    p_values: Float64Array
    slopes: Float64Array
    together: float
    together_p: float


def constancy(fit: CoxFit, time: AnyArray, event: AnyArray, values: AnyArray) -> Constancy:
    """The score test for a coefficient that changes with the Kaplan-Meier share at an event (R's ``cox.zph`` with its
    default ``transform = "km"``), of the patients of the fit. Schoenfeld's residuals, each column's value less its mean
    among those at risk, are weighed by that share. Meant for fits without a ridge."""
    steps = steps_of(time, event, fit.ties)
    scaled = ((np.asarray(values, dtype=np.float64) - fit.means) / fit.spreads)[steps.order]
    hazard_log = scaled @ (fit.coefficients * fit.spreads)
    hazard = np.exp(hazard_log - hazard_log.max())
    mean = sums_at_events(hazard, scaled, steps).mean
    spread = _spread_at_events(hazard, scaled, mean, steps)
    shares = _shares_before(np.asarray(time, dtype=np.float64), event, steps)
    shares = shares - shares.mean()
    residuals = scaled[steps.dead] - mean
    score = shares @ residuals
    crossed = np.einsum("e,eij->ij", shares, spread)
    whole = np.einsum("e,eij->ij", shares**2, spread) - crossed @ np.linalg.solve(spread.sum(axis=0), crossed)
    statistics = score**2 / np.diag(whole)
    together = float(score @ np.linalg.solve(whole, score))
    return Constancy(
        statistics, chdtrc(1, statistics), score / np.diag(whole), together, float(chdtrc(len(score), together))
    )


def _spread_at_events(hazard: Float64Array, scaled: Float64Array, mean: Float64Array, steps: Steps) -> Float64Array:
    """(E, k, k): the covariance of the columns among those at risk at each event."""
    squares = np.einsum("ni,nj->nij", scaled, scaled).reshape(len(scaled), -1)
    second = sums_at_events(hazard, squares, steps).mean
    k = scaled.shape[1]
    spread: Float64Array = second.reshape(-1, k, k) - np.einsum("ei,ej->eij", mean, mean)
    return spread


def _shares_before(time: Float64Array, event: AnyArray, steps: Steps) -> Float64Array:
    """(E,): 1 less the Kaplan-Meier share just before the time of each event."""
    curve = curve_of(time, event, 0.95)
    place = np.searchsorted(curve.times, time[steps.order][steps.dead], side="left")
    had: Float64Array = 1 - np.append(1.0, curve.shares)[place]
    return had
