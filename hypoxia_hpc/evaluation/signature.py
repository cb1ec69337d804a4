"""A signature: columns, a Cox model of those that pass a screen, and a cut. Made on discovery patients alone, frozen
for all others. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import ndtri

from hypoxia_hpc.analysis.cox import CoxFit, NoFitError, Ties, baseline_hazard, fit_cox
from hypoxia_hpc.analysis.screening import Screened, screen
from hypoxia_hpc.records import AnyArray, Float64Array, Json

# A hazard ratio per standard deviation with a bound beyond this, or below its inverse, is none that a table can have.
MOST_RATIO = 1e3
MOST_BASELINE_TIMES = 100_000
# Of a row of a hazard table.
NUMBERS = ("coefficient", "error", "spread", "ratio", "low", "high", "p")


class Followed(NamedTuple):
    """Patients with a follow-up: ``time`` above 0, ``event`` 1 or 0, (n,); ``values`` float (n, k) without gaps."""

    time: Float64Array
    event: AnyArray
    values: Float64Array

    def rows(self, which: AnyArray) -> Followed:
        return Followed(self.time[which], self.event[which], self.values[which])


class Rules(NamedTuple):
    """How a signature is made: entries of [survival], and the coverage of intervals."""

    least_carriers: float
    events_per_column: float
    screen_p: float
    ridge: float
    ties: Ties
    cut: float
    confidence: float


@dataclass(frozen=True, slots=True)
class Signature:
    """``columns`` of the candidates that are used, by name, (k,) each: log hazard ratio per unit and mean of discovery.
    A patient whose risk is above ``cut`` is of the high group. ``times``, ``hazards`` (m,): cumulative hazard of a
    patient of risk 0, rising."""

    columns: tuple[str, ...]
    coefficients: tuple[float, ...]
    means: tuple[float, ...]
    cut: float
    times: tuple[float, ...]
    hazards: tuple[float, ...]

    def risk(self, names: Sequence[str], values: AnyArray) -> Float64Array:
        """Log hazard of each row of ``values`` (n, k), of columns ``names``, above that of the means of discovery."""
        places = [names.index(name) for name in self.columns]
        away = np.asarray(values, dtype=np.float64)[:, places] - np.array(self.means)
        risk: Float64Array = away @ np.array(self.coefficients)
        return risk

    def shares(self, risk: Float64Array, at: AnyArray) -> Float64Array:
        """Predicted probability (n, m) to be without the event at each time ``at`` (m,)."""
        hazards = np.concatenate([[0.0], self.hazards])[np.searchsorted(self.times, at, side="right")]
        shares: Float64Array = np.exp(-np.exp(np.minimum(risk, 700))[:, None] * hazards[None, :])
        return shares

    def as_json(self) -> Json:
        return {
            "columns": list(self.columns),
            "coefficients": list(self.coefficients),
            "means": list(self.means),
            "cut": self.cut,
            "baseline": {"times": list(self.times), "hazards": list(self.hazards)},
        }


def signature_of(document: Json) -> Signature:
    """From `Signature.as_json`. Raises KeyError, TypeError or ValueError where it is none."""
    baseline = document["baseline"]
    lists = (document["coefficients"], document["means"], baseline["times"], baseline["hazards"])
    coefficients, means, times, hazards = (tuple(float(one) for one in part) for part in lists)
    columns = tuple(str(name) for name in document["columns"])
    if not len(columns) == len(coefficients) == len(means) or len(times) != len(hazards):
        raise ValueError("a signature whose lists differ in length")
    if not columns or len(times) > MOST_BASELINE_TIMES or list(times) != sorted(times):
        raise ValueError("a signature without columns, or whose times do not rise")
    return Signature(columns, coefficients, means, float(document["cut"]), times, hazards)


class Made(NamedTuple):
    """``signature`` and its ``fit``, or None and ``why`` there is none; and what was screened."""

    signature: Signature | None
    fit: CoxFit | None
    screened: Screened
    why: str


def make_signature(patients: Followed, names: Sequence[str], rules: Rules) -> Made:
    """Screen the columns ``names``, fit those that pass, and cut at the quantile of the risk that the rules name."""
    found = screen(
        *patients,
        names,
        least_carriers=rules.least_carriers,
        events_per_column=rules.events_per_column,
        most_p=rules.screen_p,
        ties=rules.ties,
    )
    if not (np.asarray(patients.event) == 1).any():
        return Made(None, None, found, "no patient had the event")
    if not found.kept:
        return Made(None, None, found, "no column passes the screen")
    columns = [names[place] for place in found.kept]
    kept = patients._replace(values=patients.values[:, found.kept])
    try:
        fit = fit_cox(*kept, ties=rules.ties, ridge=rules.ridge)
        require_sound(fit, columns, rules.confidence)
    except NoFitError as error:
        return Made(None, None, found, str(error))
    return Made(_frozen(fit, kept, columns, rules.cut), fit, found, "")


def _frozen(fit: CoxFit, kept: Followed, columns: Sequence[str], cut: float) -> Signature:
    times, hazards = zip(*baseline_hazard(fit, *kept), strict=True)
    at = float(np.quantile(fit.risk(kept.values), cut))
    return Signature(tuple(columns), tuple(fit.coefficients.tolist()), tuple(fit.means.tolist()), at, times, hazards)


def require_sound(fit: CoxFit, names: Sequence[str], confidence: float) -> None:
    """Raises NoFitError where a hazard ratio per standard deviation has no bound, or one beyond 1,000 or 1/1,000."""
    bounds = np.array(fit.bounds(confidence)) * fit.spreads
    wild = ~np.isfinite(bounds).all(axis=0) | (np.abs(np.nan_to_num(bounds)).max(axis=0) > np.log(MOST_RATIO))
    if wild.any():
        culprits = [name for name, one in zip(names, wild, strict=True) if one]
        raise NoFitError(
            f"the interval of the hazard ratio of {', '.join(culprits)} goes beyond 1,000 for a standard deviation: "
            "too few events for this number of columns; a ridge, fewer columns, or more events_per_column help"
        )


def hazard_rows(fit: CoxFit, names: Sequence[str], confidence: float) -> list[Json]:
    """A row of a hazard table for each column of a fit."""
    low, high = fit.bounds(confidence)
    return [
        hazard_row(name, coefficient, error, (lower, upper), p, spread)
        for name, coefficient, error, lower, upper, p, spread in zip(
            names, fit.coefficients, fit.errors, low, high, fit.p_values, fit.spreads, strict=True
        )
    ]


def hazard_row(
    name: str, coefficient: float, error: float, bounds: tuple[float, float], p: float, spread: float
) -> Json:
    """Log hazard ratio per unit with its error, and hazard ratio per standard deviation with its interval; None
    throughout where there is no fit."""
    if not np.isfinite(coefficient) or not np.isfinite(error):
        return {"name": name, **dict.fromkeys(NUMBERS)}
    ratio, low, high = np.exp(np.clip(np.array([coefficient, *bounds]) * spread, -50, 50)).tolist()
    numbers = (float(coefficient), float(error), float(spread), ratio, low, high, float(p))
    return {"name": name, **dict(zip(NUMBERS, numbers, strict=True))}


def screen_rows(screened: Screened, patients: Followed, names: Sequence[str], confidence: float) -> list[Json]:
    """A row for each candidate by itself, with ``kept`` or ``why`` it is not, and p corrected for their number (``q``,
    Benjamini and Hochberg 1995)."""
    half = float(ndtri((1 + confidence) / 2))
    spreads = patients.values.std(axis=0, ddof=1) if len(patients.values) > 1 else np.zeros(len(names))
    corrected = _corrected(screened.alone.p_values)
    rows = []
    for place, name in enumerate(names):
        row = _row_alone(name, screened, place, half, float(spreads[place]))
        q = None if row["p"] is None else float(corrected[place])
        rows.append({**row, "q": q, "kept": place in screened.kept, "why": screened.dropped.get(place, "")})
    return rows


def _row_alone(name: str, screened: Screened, place: int, half: float, spread: float) -> Json:
    """Without numbers where an interval goes beyond `MOST_RATIO`: the column is nearly empty, and its numbers say
    nothing."""
    coefficient, error, p = (float(column[place]) for column in screened.alone)
    bounds = (coefficient - half * error, coefficient + half * error)
    is_sound = max(map(abs, bounds)) * spread <= np.log(MOST_RATIO)
    return hazard_row(name, coefficient if is_sound else np.nan, error, bounds, p, spread)


def _corrected(p_values: Float64Array) -> Float64Array:
    known = np.flatnonzero(~np.isnan(p_values))
    order = known[np.argsort(p_values[known])]
    scaled = p_values[order] * len(order) / np.arange(1, len(order) + 1)
    found = np.full(len(p_values), np.nan)
    found[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1)
    return found


def as_float(value: float) -> float | None:
    """None for what is not finite: JSON has no other word for it."""
    return float(value) if np.isfinite(value) else None


def plain(row: Mapping[str, float]) -> Json:
    """The same with None for what is not finite."""
    return {name: as_float(value) for name, value in row.items()}
