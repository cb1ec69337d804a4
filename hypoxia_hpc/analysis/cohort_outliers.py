"""Slides that stand out of their cohort by a measure: robust z scores, by the median and the median deviation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

# Iglewicz and Hoaglin 1993: more than 3.5 robust deviations from the median is an outlier.
MOST_DEVIATIONS = 3.5
DEVIATION_OF_MAD = 1.4826  # of normal values, the standard deviation by the median absolute deviation
# With fewer slides the median deviation says little.
FEWEST_SLIDES = 8


@dataclass(frozen=True, slots=True)
class MeasureRule:
    """``side``: which values may be outliers, "high", "low" or "both". ``least``: no deviation counts as smaller than
    this, for a measure that is the same on nearly all slides has none. ``most``: a value above it stands out in any
    cohort, None where there is no such limit."""

    side: Literal["high", "low", "both"]
    least: float
    most: float | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """A value that stands out: ``z`` robust deviations from the median of the cohort, None where it is above the limit
    of any cohort and the cohort is too small, or does not deviate."""

    measure: str
    value: float
    z: float | None


def robust_z(values: Sequence[float | None], rule: MeasureRule) -> list[float | None]:
    """(value - median) / max(1.4826 · MAD, least) of each; None where there is no value, and of all where fewer than
    FEWEST_SLIDES have one."""
    known = np.array([value for value in values if value is not None], dtype=np.float64)
    if len(known) < FEWEST_SLIDES:
        return [None] * len(values)
    median = float(np.median(known))
    deviation = max(DEVIATION_OF_MAD * float(np.median(np.abs(known - median))), rule.least)
    return [None if value is None else (value - median) / deviation for value in values]


def findings(
    table: Mapping[str, Sequence[float | None]], rules: Mapping[str, MeasureRule]
) -> tuple[tuple[Finding, ...], ...]:
    """What stands out of each slide, the furthest first. ``table``: of each measure a value for each slide, finite."""
    n = len(next(iter(table.values()), ()))
    found: list[list[Finding]] = [[] for _ in range(n)]
    for name, values in table.items():
        rule = rules[name]
        for place, (value, z) in enumerate(zip(values, robust_z(values, rule), strict=True)):
            if value is None:
                continue
            is_far = z is not None and _is_far(z, rule.side)
            if is_far or (rule.most is not None and value > rule.most):
                found[place].append(Finding(name, value, z if is_far else None))
    return tuple(tuple(sorted(one, key=_how_far, reverse=True)) for one in found)


def _is_far(z: float, side: str) -> bool:
    return (side != "low" and z > MOST_DEVIATIONS) or (side != "high" and z < -MOST_DEVIATIONS)


def _how_far(finding: Finding) -> float:
    return math.inf if finding.z is None else abs(finding.z)
