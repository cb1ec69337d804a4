"""Cox's proportional hazards model (Cox 1972): how a hazard changes with what is known of a patient.

Columns are centred and divided by their standard deviation before they are fitted, so that columns of any unit, and a
ridge, mean the same; what is returned is per unit of the columns as they are given.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from scipy.special import chdtrc, ndtr, ndtri

from hypoxia_hpc.records import AnyArray, Float64Array, Int64Array

Ties = Literal["efron", "breslow"]
MOST_STEPS = 60
# Of a coefficient per standard deviation: one step of Newton's below it changes no digit that is shown.
CONVERGED = 1e-9
# A hazard that is exp(15), three million times, higher per standard deviation is none that data can show: the
# likelihood grows for ever, and Newton's steps go on until they are stopped.
SEPARATED = 15.0
# Of a column by itself, in one step, per standard deviation: where nearly nothing is known Newton goes out of bounds.
MOST_MOVE = 3.0


class NoFitError(ValueError):
    """A model that these patients do not determine; the message is a sentence without a full stop."""


@dataclass(frozen=True, slots=True)
class CoxFit:
    """A fitted model of k columns.

    ``coefficients`` (k,): log hazard ratio per unit of each column; ``covariance`` (k, k) of them, the inverse of the
    observed information, with the penalty of a ridge in it. ``means``, ``spreads`` (k,): of each column, the standard
    deviation by n - 1. ``log_likelihood``: partial, without penalty, and ``null_log_likelihood`` of coefficients of 0.
    """

    coefficients: Float64Array
    covariance: Float64Array
    means: Float64Array
    spreads: Float64Array
    log_likelihood: float
    null_log_likelihood: float
    n: int
    n_events: int
    ties: Ties = "efron"
    ridge: float = 0.0

    @property
    def errors(self) -> Float64Array:
        """Standard errors of the coefficients, (k,)."""
        errors: Float64Array = np.sqrt(np.diag(self.covariance))
        return errors

    @property
    def p_values(self) -> Float64Array:
        """Wald's, two-sided, (k,)."""
        return two_sided(self.coefficients / self.errors)

    @property
    def likelihood_ratio_p(self) -> float:
        """Of all columns together; meant for models without a ridge."""
        gained = 2 * (self.log_likelihood - self.null_log_likelihood)
        return float(chdtrc(len(self.coefficients), max(gained, 0.0)))

    def bounds(self, confidence: float) -> tuple[Float64Array, Float64Array]:
        """Low and high of each coefficient per unit, (k,) each, as Wald's intervals."""
        half = float(ndtri((1 + confidence) / 2)) * self.errors
        return self.coefficients - half, self.coefficients + half

    def risk(self, values: AnyArray) -> Float64Array:
        """Log hazard of each row of ``values`` (n, k) above that of a patient with the means."""
        risk: Float64Array = (np.asarray(values, dtype=np.float64) - self.means) @ self.coefficients
        return risk


class Steps(NamedTuple):
    """Patients by falling time, those of equal time together as one of G steps.

    ``order`` (n,): their rows. ``step`` (n,): the step of each. ``starts``, ``ends`` (G,): its first and its last
    patient. ``dead`` (n,): with the event. ``of_event`` (E,): the step of each event; ``tied`` (E,): the share of the
    events of its step that come before it, which Efron takes out of those at risk; 0 by Breslow.
    """

    order: Int64Array
    step: Int64Array
    starts: Int64Array
    ends: Int64Array
    dead: AnyArray
    of_event: Int64Array
    tied: Float64Array


class Sums(NamedTuple):
    """At each event (E,), (E, k): the logarithm of the hazards at risk, and the mean of the columns among them; at each
    step (G,): what its events add to the information of those at risk, and take off for those that die."""

    log_at_risk: Float64Array
    mean: Float64Array
    added: Float64Array
    taken: Float64Array


def steps_of(time: AnyArray, event: AnyArray, ties: Ties = "efron") -> Steps:
    """``time`` and ``event`` (1 or 0), (n,) each."""
    order = np.argsort(-np.asarray(time, dtype=np.float64), kind="stable")
    times, dead = np.asarray(time, dtype=np.float64)[order], np.asarray(event)[order] == 1
    begins = np.concatenate([[True], times[1:] != times[:-1]])[: len(times)]
    starts = np.flatnonzero(begins)
    step = np.cumsum(begins) - 1
    of_event = step[dead]
    counts = np.bincount(of_event, minlength=len(starts))
    before = np.arange(len(of_event)) - np.concatenate([[0], np.cumsum(counts)])[of_event]
    tied = before / counts[of_event] if ties == "efron" else np.zeros(len(of_event))
    return Steps(order, step, starts, np.append(starts[1:], len(times)) - 1, dead, of_event, tied)


def fit_cox(time: AnyArray, event: AnyArray, values: AnyArray, *, ties: Ties = "efron", ridge: float = 0.0) -> CoxFit:
    """Fit by Newton's method on the partial likelihood; ties by Efron (1977) or Breslow (1974).

    ``time`` (n,) 0 or more, ``event`` (n,) 1 or 0, ``values`` float (n, k) without gaps. ``ridge``: the penalty
    ``ridge / 2`` times the sum of squares of the coefficients per standard deviation is taken off the log likelihood.

    Raises NoFitError: no event, a column without spread, columns of which one follows from the others, hazards that
    separate those with the event from those without, no convergence.
    """
    values = np.asarray(values, dtype=np.float64)
    steps = steps_of(time, event, ties)
    n_events = len(steps.of_event)
    if n_events == 0:
        raise NoFitError("no patient had the event")
    means, spreads = values.mean(axis=0), values.std(axis=0, ddof=1) if len(values) > 1 else np.zeros(values.shape[1])
    if not (spreads > 0).all():
        raise NoFitError(f"a column has the same value for all {len(values)} patients")
    scaled = ((values - means) / spreads)[steps.order]
    found, information, likelihoods = _climb(scaled, steps, ridge)
    covariance = np.linalg.inv(information) / np.outer(spreads, spreads)
    return CoxFit(
        found / spreads, covariance, means, spreads, likelihoods[1], likelihoods[0], len(values), n_events, ties, ridge
    )


def _climb(scaled: Float64Array, steps: Steps, ridge: float) -> tuple[Float64Array, Float64Array, tuple[float, float]]:
    """Coefficients per standard deviation, their information, and the log likelihood before and after."""
    at = np.zeros(scaled.shape[1])
    likelihood, score, information = _derivatives(scaled, steps, at)
    null, penalised = likelihood, likelihood
    penalty = ridge * np.eye(len(at))
    for _ in range(MOST_STEPS):
        move = _newton(score - ridge * at, information + penalty)
        for _ in range(30):
            likelihood, score, information = _derivatives(scaled, steps, at + move)
            reached = likelihood - ridge / 2 * float(((at + move) ** 2).sum())
            if np.isfinite(reached) and reached >= penalised - 1e-9 * abs(penalised):
                break
            move = move / 2
        if not np.isfinite(reached):
            raise NoFitError("hazards become too large or too small for numbers to hold")
        at, penalised = at + move, reached
        if np.abs(at).max(initial=0.0) > SEPARATED:
            raise NoFitError("the columns separate those with the event from those without: the hazard grows for ever")
        if np.abs(move).max(initial=0.0) < CONVERGED:
            return at, information + penalty, (null, likelihood)
    raise NoFitError(f"the fit does not converge in {MOST_STEPS} steps")


def _newton(score: Float64Array, information: Float64Array) -> Float64Array:
    """Raises NoFitError where the information is singular to what floats can hold."""
    if np.linalg.cond(information) > 1e13:
        raise NoFitError("the columns do not differ enough: one of them follows from the others")
    step: Float64Array = np.linalg.solve(information, score).astype(np.float64)
    return step


def _derivatives(scaled: Float64Array, steps: Steps, at: Float64Array) -> tuple[float, Float64Array, Float64Array]:
    """Log likelihood, score (k,) and information (k, k)."""
    hazard_log = scaled @ at
    hazard = np.exp(hazard_log - hazard_log.max())
    # Hazards may be too small for floats: the likelihood is no number then, and the step is halved.
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return _derivatives_at(hazard_log, hazard, scaled, steps)


def _derivatives_at(
    hazard_log: Float64Array, hazard: Float64Array, scaled: Float64Array, steps: Steps
) -> tuple[float, Float64Array, Float64Array]:
    sums = sums_at_events(hazard, scaled, steps)
    dead = scaled[steps.dead]
    likelihood = float((hazard_log[steps.dead] - hazard_log.max() - sums.log_at_risk).sum())
    # Row by row instead of at every event: each patient counts in all steps at which it is at risk.
    until_own_time = np.cumsum(sums.added[::-1])[::-1]
    each = hazard * (until_own_time[steps.step] - steps.dead * sums.taken[steps.step])
    information = (scaled * each[:, None]).T @ scaled - sums.mean.T @ sums.mean
    return likelihood, (dead - sums.mean).sum(axis=0), information


def sums_at_events(hazard: Float64Array, scaled: Float64Array, steps: Steps) -> Sums:
    """``hazard`` (n,) and columns ``scaled`` (n, k) of patients in the order of ``steps``."""
    weighed = np.column_stack([hazard, scaled * hazard[:, None]])
    at_risk = np.cumsum(weighed, axis=0)[steps.ends]
    dying = np.add.reduceat(weighed * steps.dead[:, None], steps.starts, axis=0)
    sums = at_risk[steps.of_event] - steps.tied[:, None] * dying[steps.of_event]
    inverse = 1 / sums[:, 0]
    n_steps = len(steps.starts)
    return Sums(
        np.log(sums[:, 0]),
        sums[:, 1:] * inverse[:, None],
        np.bincount(steps.of_event, inverse, n_steps).astype(np.float64),
        np.bincount(steps.of_event, steps.tied * inverse, n_steps).astype(np.float64),
    )


class Univariate(NamedTuple):
    """Of each column by itself, (k,): coefficient per unit, its standard error, and Wald's p; NaN where it has none
    (no spread, separation)."""

    coefficients: Float64Array
    errors: Float64Array
    p_values: Float64Array


def fit_each(time: AnyArray, event: AnyArray, values: AnyArray, *, ties: Ties = "efron") -> Univariate:
    """A Cox model of each column of ``values`` (n, k) by itself, all at once: a screen of 50 columns takes as long as
    one. Numbers as those of `fit_cox`."""
    values = np.asarray(values, dtype=np.float64)
    steps = steps_of(time, event, ties)
    spreads = values.std(axis=0, ddof=1) if len(values) > 1 else np.zeros(values.shape[1])
    usable = spreads > 0
    if not len(steps.of_event) or not usable.any():
        nothing = np.full(values.shape[1], np.nan)
        return Univariate(nothing, nothing, nothing)
    scaled = ((values[:, usable] - values[:, usable].mean(axis=0)) / spreads[usable])[steps.order]
    at, information = _climb_each(scaled, steps)
    coefficients, errors = np.full(values.shape[1], np.nan), np.full(values.shape[1], np.nan)
    coefficients[usable], errors[usable] = at / spreads[usable], 1 / np.sqrt(information) / spreads[usable]
    return Univariate(coefficients, errors, two_sided(coefficients / errors))


def _climb_each(scaled: Float64Array, steps: Steps) -> tuple[Float64Array, Float64Array]:
    """Coefficients per standard deviation and information of each column, (k,); NaN where it does not end."""
    at = np.zeros(scaled.shape[1])
    likelihood, score, information = _derivatives_of_each(scaled, steps, at)
    moving = np.ones(len(at), dtype=bool)
    for _ in range(MOST_STEPS):
        with np.errstate(divide="ignore", invalid="ignore"):
            move = np.clip(np.nan_to_num(np.where(moving, score / information, 0.0)), -MOST_MOVE, MOST_MOVE)
        tried, score, information, likelihood = _no_further_than_up(scaled, steps, at, move, likelihood)
        moving = (np.abs(tried - at) >= CONVERGED) & (np.abs(tried) <= SEPARATED)
        at = tried
        if not moving.any():
            break
    ended = ~moving & (np.abs(at) <= SEPARATED) & (information > 0)
    return np.where(ended, at, np.nan), np.where(ended, information, np.nan)


def _no_further_than_up(
    scaled: Float64Array, steps: Steps, at: Float64Array, move: Float64Array, before: Float64Array
) -> tuple[Float64Array, Float64Array, Float64Array, Float64Array]:
    """Where each column gets to, its moves halved until its likelihood does not fall; score, information and
    likelihood there."""
    for _ in range(30):
        likelihood, score, information = _derivatives_of_each(scaled, steps, at + move)
        fallen = ~(likelihood >= before - 1e-9 * np.abs(before))
        if not fallen.any():
            break
        move = np.where(fallen, move / 2, move)
    return at + move, score, information, likelihood


def _derivatives_of_each(
    scaled: Float64Array, steps: Steps, at: Float64Array
) -> tuple[Float64Array, Float64Array, Float64Array]:
    """Log likelihood, score and information of each column by itself, (k,) each."""
    hazard_log = scaled * at
    hazard_log -= hazard_log.max(axis=0)
    hazard = np.exp(hazard_log)
    zeroth, first, second = (_at_events(hazard * scaled**power, steps) for power in range(3))
    # Hazards may be too small for floats: NaN then, and the step is halved.
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = first / zeroth
        likelihood = hazard_log[steps.dead].sum(axis=0) - np.log(zeroth).sum(axis=0)
        return likelihood, (scaled[steps.dead] - mean).sum(axis=0), (second / zeroth - mean**2).sum(axis=0)


def _at_events(weighed: Float64Array, steps: Steps) -> Float64Array:
    """(E, k): sums over those at risk at each event."""
    at_risk = np.cumsum(weighed, axis=0)[steps.ends]
    dying = np.add.reduceat(weighed * steps.dead[:, None], steps.starts, axis=0)
    sums: Float64Array = at_risk[steps.of_event] - steps.tied[:, None] * dying[steps.of_event]
    return sums


def baseline_hazard(fit: CoxFit, time: AnyArray, event: AnyArray, values: AnyArray) -> Iterator[tuple[float, float]]:
    """Time and cumulative hazard, from then on, of a patient with the means of the columns: at each time with an event,
    rising. The patients are those of the fit."""
    steps = steps_of(time, event, fit.ties)
    risk = fit.risk(values)[steps.order]
    highest = float(risk.max())
    sums = sums_at_events(np.exp(risk - highest), np.zeros((len(risk), 0)), steps)
    times = np.asarray(time, dtype=np.float64)[steps.order][steps.starts][::-1]
    hazards = np.cumsum(sums.added[::-1]) * np.exp(-highest)
    with_event = np.bincount(steps.of_event, minlength=len(times))[::-1] > 0
    yield from zip(times[with_event].tolist(), hazards[with_event].tolist(), strict=True)


def two_sided(z: AnyArray) -> Float64Array:
    """p of a standard normal that is as far from 0 as ``z``."""
    p: Float64Array = 2 * ndtr(-np.abs(z))
    return p
