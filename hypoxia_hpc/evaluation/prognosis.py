"""What a risk is worth: curves of those above and below the cut, log-rank, hazard ratio, concordances, areas and Brier
scores at times; on discovery patients also what is left when optimism is taken off. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import chdtrc

from hypoxia_hpc.analysis.concordance import concordance_statistic
from hypoxia_hpc.analysis.cox import NoFitError, fit_cox
from hypoxia_hpc.analysis.follow_up import median_follow_up
from hypoxia_hpc.analysis.kaplan_meier import curve_of, followed_at, median_time
from hypoxia_hpc.analysis.log_rank import log_rank
from hypoxia_hpc.analysis.measures import survival_intervals
from hypoxia_hpc.analysis.optimism import corrected, dealt_folds
from hypoxia_hpc.analysis.rows import point
from hypoxia_hpc.analysis.survival_scores import area_at, brier_scores, integrated_brier
from hypoxia_hpc.evaluation.signature import (
    Followed,
    Rules,
    Signature,
    as_float,
    hazard_rows,
    make_signature,
    require_sound,
)
from hypoxia_hpc.records import AnyArray, Float64Array, Int64Array, Json

GROUPS = ("low", "high")
# Brier scores are integrated over this many times between the first and the last event.
N_BRIER_TIMES = 30


class Watch(NamedTuple):
    """When predictions are looked at: ``horizons`` (m,), and the ``times`` over which the Brier score is integrated."""

    horizons: tuple[float, ...]
    times: tuple[float, ...]


def watch_of(time: Float64Array, event: AnyArray, horizons: Sequence[float]) -> Watch:
    """By the events of discovery: their quartiles where no horizons are given, and the middle nine tenths of their
    range."""
    had = time[np.asarray(event) == 1]
    if not len(had):
        return Watch(tuple(horizons), ())
    quartiles = np.quantile(had, [0.25, 0.5, 0.75]).tolist()
    first, last = np.quantile(had, [0.05, 0.95])
    times = np.linspace(first, last, N_BRIER_TIMES) if last > first else np.array([])
    return Watch(tuple(horizons) or tuple(quartiles), tuple(times.tolist()))


def figures_of(patients: Followed, risk: Float64Array, signature: Signature, watch: Watch) -> dict[str, float]:
    """Harrell's and Uno's concordance, ``area_N`` and ``brier_N`` of horizon N, ``integrated_brier``; NaN where one is
    not defined."""
    time, event = patients.time, patients.event
    found = dict.fromkeys(("harrell", "uno"), np.nan)
    if len(time):
        statistic = concordance_statistic(time, event, risk, np.arange(len(time)))
        found = dict(zip(found, map(float, point(statistic, len(time))), strict=True))
    shares = signature.shares(risk, np.array(watch.horizons))
    scores = brier_scores(time, event, shares, np.array(watch.horizons))
    for number, at in enumerate(watch.horizons):
        beyond = at >= time.max(initial=0.0)
        found[f"area_{number}"] = np.nan if beyond else area_at(time, event, risk, at)
        found[f"brier_{number}"] = np.nan if beyond else float(scores[number])
    times = np.array([at for at in watch.times if at < time.max(initial=0.0)])
    found["integrated_brier"] = integrated_brier(time, event, signature.shares(risk, times), times)
    return found


def measured(patients: Followed, risk: Float64Array, signature: Signature, watch: Watch, confidence: float) -> Json:
    """All that is said of one set of patients, by their risks from a frozen signature."""
    figures: Json = {
        name: {"value": as_float(one)} for name, one in figures_of(patients, risk, signature, watch).items()
    }
    if len(risk) > 1:
        intervals = survival_intervals(patients.time, np.asarray(patients.event), risk, confidence=confidence)
        figures |= {name: {"value": one.value, "low": one.low, "high": one.high} for name, one in intervals.items()}
    return {
        **counts(patients),
        "figures": figures,
        "horizons": list(watch.horizons),
        "at_risk": at_risk(patients, risk > signature.cut),
        **split_by(patients, risk > signature.cut, confidence),
    }


def one_group(name: str, risk: Float64Array, cut: float, *, is_frozen: bool) -> str:
    """Why the patients of the set ``name`` are all on one side of the cut, as a sentence; empty where they are not.
    ``is_frozen``: the cut is that of other patients."""
    is_high = risk > cut
    if not len(risk) or 0 < int(is_high.sum()) < len(risk):
        return ""
    empty, side = ("lower", "above") if is_high.all() else ("higher", "at or below")
    said = f"{name}: no patient is in the group with {empty} risk, so there is nothing to compare"
    if is_frozen:
        return f"{said}: all risks are {side} the cut of discovery, {cut:.3g}"
    return (
        f"{said}: {int((risk == cut).sum())} of {len(risk)} have the same risk, {cut:.3g}, which is the cut, and only "
        "a risk above it is called higher; a smaller [survival] cut may part them"
    )


def counts(patients: Followed) -> Json:
    """Patients, events, and the median time that they were followed."""
    followed = median_follow_up(patients.time.tolist(), np.asarray(patients.event).tolist())
    return {"patients": len(patients.time), "events": int(np.sum(patients.event)), "median_follow_up": followed}


def split_by(patients: Followed, is_high: AnyArray, confidence: float) -> Json:
    """The groups below and above the cut: sizes, curves, log-rank and the hazard ratio of the high one."""
    test = log_rank(patients.time, patients.event, is_high)
    groups = {name: _group(patients.rows(is_high == (name == "high")), confidence) for name in GROUPS}
    return {
        "groups": groups,
        "log_rank": {"statistic": as_float(test.statistic), "p": as_float(test.p)},
        "ratio": _ratio(patients, is_high, confidence),
    }


def _group(patients: Followed, confidence: float) -> Json:
    curve = curve_of(patients.time, patients.event, confidence)
    return {
        **counts(patients),
        "median": median_time(curve.times, curve.shares),
        "last": float(patients.time.max(initial=0.0)),
        "curve": {
            name: [as_float(one) for one in column.tolist()] for name, column in zip(curve._fields, curve, strict=True)
        },
    }


def _ratio(patients: Followed, column: AnyArray, confidence: float) -> Json:
    """Hazard ratio for one more of a column (n,), as of the high group over the low one; or why there is none."""
    try:
        fit = fit_cox(patients.time, patients.event, np.asarray(column, dtype=np.float64)[:, None])
        require_sound(fit, ["the risk"], confidence)
    except NoFitError as error:
        return {"why": str(error)}
    ratio = np.exp([fit.coefficients[0], *(bound[0] for bound in fit.bounds(confidence))]).tolist()
    return {"value": ratio[0], "low": ratio[1], "high": ratio[2], "p": float(fit.p_values[0])}


def at_risk(patients: Followed, is_high: AnyArray) -> dict[str, list[float]]:
    """How many of each group are still followed at some round ``times``."""
    times = round_times(float(patients.time.max(initial=0.0)))
    groups = {name: followed_at(patients.time[is_high == (name == "high")], times).tolist() for name in GROUPS}
    return {"times": times.tolist(), **groups}


def round_times(last: float) -> Float64Array:
    """0 and up to seven multiples of 1, 2 or 5 times a power of ten, none beyond ``last``."""
    if last <= 0:
        return np.zeros(1)
    power = 10.0 ** np.floor(np.log10(last / 6))
    step = next(power * one for one in (1, 2, 5, 10, 20) if power * one * 7 >= last)
    times: Float64Array = np.arange(0, last + step * 1e-9, step)
    return times


def optimism_of(
    patients: Followed, names: Sequence[str], rules: Rules, watch: Watch, n_resamples: int, seed: int
) -> Json:
    """Of each figure of discovery: ``apparent``, ``optimism`` and ``corrected``, by the bootstrap that makes the whole
    signature anew, screen included; and in how many resamples there was one."""
    order = list(figures_of(patients, np.zeros(len(patients.time)), _NOTHING, watch))

    def measure(drawn: Int64Array, everyone: Int64Array) -> tuple[Float64Array, Float64Array]:
        own = patients.rows(drawn)
        made = make_signature(own, names, rules)
        if made.signature is None:
            return np.full(len(order), np.nan), np.full(len(order), np.nan)
        first, second = (
            np.array(list(figures_of(on, made.signature.risk(names, on.values), made.signature, watch).values()))
            for on in (own, patients.rows(everyone))
        )
        return first, second

    found = corrected(measure, patients.event, n_resamples, seed)
    columns = (found.apparent, found.optimism, found.corrected)
    figures = {
        name: dict(zip(("apparent", "optimism", "corrected"), map(as_float, numbers), strict=True))
        for name, *numbers in zip(order, *columns, strict=True)
    }
    return {"resamples": found.n_resamples, "asked": n_resamples, "figures": figures}


_NOTHING = Signature((), (), (), 0.0, (), ())


def cross_fitted(patients: Followed, names: Sequence[str], rules: Rules, n_folds: int, seed: int) -> Json:
    """The groups of discovery patients, each by a signature and a cut of the other folds; where there is no signature
    without a fold, its patients are left out (``without``)."""
    n_folds = min(n_folds, int(np.sum(patients.event)))
    if n_folds < 2:
        return {"why": "fewer than two events"}
    is_high = _held_out(patients, names, rules, dealt_folds(patients.event, n_folds, seed))
    known = is_high >= 0
    if not known.any():
        return {"why": "no signature without any of the folds"}
    split = split_by(patients.rows(known), is_high[known] == 1, rules.confidence)
    return {"folds": n_folds, "without": int((~known).sum()), **split}


def _held_out(patients: Followed, names: Sequence[str], rules: Rules, folds: Int64Array) -> Int64Array:
    """1 for the high group, 0 for the low one, -1 where the other folds make no signature."""
    is_high = np.full(len(folds), -1)
    for fold in range(int(folds.max()) + 1):
        signature = make_signature(patients.rows(folds != fold), names, rules).signature
        if signature is not None:
            is_high[folds == fold] = signature.risk(names, patients.values[folds == fold]) > signature.cut
    return is_high


def adjusted(patients: Followed, risk: Float64Array, others: Float64Array, names: Sequence[str], rules: Rules) -> Json:
    """A Cox model of the risk, per standard deviation, and the columns that are adjusted for."""
    values = np.column_stack([risk, others])
    try:
        fit = fit_cox(patients.time, patients.event, values, ties=rules.ties)
        require_sound(fit, ["risk", *names], rules.confidence)
    except NoFitError as error:
        return {"patients": len(risk), "why": str(error)}
    return {
        "patients": fit.n,
        "events": fit.n_events,
        "rows": hazard_rows(fit, ["risk", *names], rules.confidence),
    }


def interaction(
    patients: Followed, risk: Float64Array, treatment: Float64Array, names: Sequence[str], rules: Rules
) -> Json:
    """Does the risk mean the same in each arm? A likelihood-ratio test of the products of the risk with the columns
    ``treatment`` (n, k)."""
    scaled = (risk - risk.mean()) / (risk.std() or 1.0)
    base = np.column_stack([scaled, treatment])
    columns = ["risk", *names, *(f"risk x {name}" for name in names)]
    try:
        without = fit_cox(patients.time, patients.event, base, ties=rules.ties)
        products = np.column_stack([base, scaled[:, None] * treatment])
        fit = fit_cox(patients.time, patients.event, products, ties=rules.ties)
        require_sound(fit, columns, rules.confidence)
    except NoFitError as error:
        return {"patients": len(risk), "why": str(error)}
    p = float(chdtrc(len(names), max(2 * (fit.log_likelihood - without.log_likelihood), 0.0)))
    return {"patients": fit.n, "events": fit.n_events, "p": p, "rows": hazard_rows(fit, columns, rules.confidence)}


def of_subgroup(patients: Followed, risk: Float64Array, cut: float, spread: float, rules: Rules) -> Json:
    """The hazard ratio per ``spread`` of the risk among some patients, and the high over the low group's."""
    per_spread = _ratio(patients, risk / (spread or 1.0), rules.confidence)
    return {**counts(patients), "per_spread": per_spread, "groups": _ratio(patients, risk > cut, rules.confidence)}
