"""Which columns a Cox model can be fitted on: decided before the fit, and what is left out is named with its reason."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from hypoxia_hpc.analysis.cox import Ties, Univariate, fit_each
from hypoxia_hpc.records import AnyArray, Float64Array

# A column of which no more than this is left, of its length, beside those before it follows from them.
DEPENDENT = 1e-6


NO_FIT = "has no fit by itself: it separates those with the event from those without"
NO_EVENT = "has no fit by itself: no patient had the event"


class Screened(NamedTuple):
    """``kept``: places of the columns that are fitted together, rising. ``dropped``: by place, why one is not.
    ``alone``: each column fitted by itself, NaN where it cannot be."""

    kept: tuple[int, ...]
    dropped: dict[int, str]
    alone: Univariate


def carriers(values: AnyArray) -> Float64Array:
    """(k,): the number of patients that carry the spread of each column of ``values`` (n, k): (Σd²)² / Σd⁴ with d the
    distance from the mean. A third of n for a normal column, n where half of the patients have 0 and half 1, one where
    a single patient differs from the others; 0 without spread."""
    away = np.asarray(values, dtype=np.float64) - np.mean(values, axis=0)
    largest = np.abs(away).max(axis=0, initial=0.0)
    # Of a constant column the mean may be off by the last bit.
    flat = largest <= 1e-12 * np.abs(values).max(axis=0, initial=0.0)
    away = away / np.where(flat, 1.0, largest)
    number: Float64Array = np.where(flat, 0.0, (away**2).sum(axis=0) ** 2 / np.maximum((away**4).sum(axis=0), 1e-300))
    return number


def screen(
    time: AnyArray,
    event: AnyArray,
    values: AnyArray,
    names: Sequence[str],
    *,
    least_carriers: float,
    events_per_column: float,
    most_p: float,
    always: int = 0,
    ties: Ties = "efron",
) -> Screened:
    """Decide which columns of ``values`` (n, k), named ``names``, are fitted together.

    Left out, in this order: those without spread, or whose spread comes from fewer than ``least_carriers`` patients
    (`carriers`); those that have no fit by themselves; those whose p by themselves is above ``most_p`` (1: none); of
    the rest all but those of the smallest p that the number of events allows, one for every ``events_per_column``
    events; those that follow from the ones before. The first ``always`` columns, those adjusted for, are not judged
    by p, and take their part of the number that the events allow.
    """
    alone = fit_each(time, event, values, ties=ties)
    numbers, dropped = carriers(values), {}
    for place, number in enumerate(numbers):
        if number == 0:
            dropped[place] = f"has the same value for all {len(values)} patients"
        elif number < least_carriers:
            dropped[place] = (
                f"its spread comes from about {max(int(number), 1)} of {len(values)} patients; {least_carriers:g} "
                "are needed"
            )
        elif not np.isfinite(alone.p_values[place]):
            dropped[place] = NO_FIT if np.any(np.asarray(event) == 1) else NO_EVENT
        elif place >= always and alone.p_values[place] > most_p:
            dropped[place] = f"p = {alone.p_values[place]:.3g} by itself, above {most_p:g}"
    left = [place for place in range(len(names)) if place not in dropped]
    dropped |= _too_many(left, alone.p_values, int((np.asarray(event) == 1).sum()), events_per_column, always)
    left = [place for place in left if place not in dropped]
    dropped |= dependent(values, left, names)
    return Screened(tuple(place for place in left if place not in dropped), dropped, alone)


def _too_many(
    left: Sequence[int], p_values: Float64Array, n_events: int, events_per_column: float, always: int
) -> dict[int, str]:
    adjusted = [place for place in left if place < always]
    rest = sorted((place for place in left if place >= always), key=lambda place: (p_values[place], place))
    most = max(int(n_events / events_per_column), 1)
    room = max(most - len(adjusted), 1)
    why = f"{n_events} events allow {most} columns, one for every {events_per_column:g}; others have a smaller p"
    return dict.fromkeys(rest[room:], why)


def dependent(values: AnyArray, places: Sequence[int], names: Sequence[str]) -> dict[int, str]:
    """Of the columns of ``values`` (n, k) at ``places``, those that are a sum of multiples of the ones before them and
    a constant, by place, with a reason."""
    found: dict[int, str] = {}
    base, used = np.zeros((len(values), 0)), list[int]()
    for place in places:
        away = np.asarray(values[:, place], dtype=np.float64)
        away = away - away.mean()
        left = away - base @ (base.T @ away)
        left = left - base @ (base.T @ left)
        if np.linalg.norm(left) <= DEPENDENT * np.linalg.norm(away):
            found[place] = f"follows from {', '.join(names[one] for one in used)}"
            continue
        base = np.column_stack([base, left / np.linalg.norm(left)])
        used.append(place)
    return found
