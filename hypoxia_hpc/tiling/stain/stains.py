"""Two dyes on a slide: what each absorbs, how strong they are, and the light of the bare glass.

Beer and Lambert: a pixel is ``white · exp(-directions @ concentrations)``, channel by channel; its optical density is
``-ln(pixel / white)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from hypoxia_hpc.records import Float64Array

# Ruifrok and Johnston 2001, Table 1: optical density of haematoxylin and of eosin in red, green and blue, of length 1.
RUIFROK = np.array([[0.650, 0.072], [0.704, 0.990], [0.286, 0.105]])
# How far a fitted dye may point away from haematoxylin or eosin, degrees.
MOST_DEGREES = 45.0
# Two directions that are closer than this cannot be separated: concentrations are multiplied by 1/sin of the angle.
LEAST_DEGREES_APART = 5.0


@dataclass(frozen=True, slots=True)
class Stains:
    """The dyes of an image.

    Args:
        directions: float64 (3, 2), columns haematoxylin and eosin: optical density in red, green, blue, of length 1.
        strongest: float64 (2,), the 99th percentile of each concentration, natural logarithm.
        white: float64 (3,), the light of the bare glass in red, green, blue, 0 to 255.
    """

    directions: Float64Array
    strongest: Float64Array
    white: Float64Array


Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Fit(Generic[Found]):
    """What a fit has found, or None and the reason why it is not trusted."""

    found: Found | None
    why_not: str


def angle_degrees(one: Float64Array, other: Float64Array) -> float:
    """Between two vectors, 0 to 180."""
    cosine = one @ other / (np.linalg.norm(one) * np.linalg.norm(other))
    return float(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))


def trusted(stains: Stains) -> Fit[Stains]:
    """The fit, unless something speaks against it: its dyes lie over 45 degrees from those of H&E, cannot be separated,
    or one of them is not there."""
    reason = _why_not(stains)
    return Fit(None, reason) if reason else Fit(stains, "")


def _why_not(stains: Stains) -> str:
    for number, name in enumerate(("haematoxylin", "eosin")):
        away = angle_degrees(stains.directions[:, number], RUIFROK[:, number])
        if away > MOST_DEGREES:
            return f"what was found for {name} lies {away:.0f} degrees from {name}, at most {MOST_DEGREES:.0f} count"
        if stains.strongest[number] <= 0:
            return f"there is no {name}"
    apart = angle_degrees(stains.directions[:, 0], stains.directions[:, 1])
    if apart < LEAST_DEGREES_APART:
        return f"its two dyes lie {apart:.1f} degrees apart, at least {LEAST_DEGREES_APART:.0f} are needed"
    return ""


def median_stains(found: Sequence[Stains]) -> Stains:
    """The median of each number of several, the directions of length 1 again."""
    directions, strongest, white = (
        np.median([getattr(one, name) for one in found], axis=0) for name in ("directions", "strongest", "white")
    )
    return Stains(ordered(directions), strongest, white)


def ordered(directions: Float64Array) -> Float64Array:
    """Directions of two dyes, float64 (3, 2), each of length 1 and absorbing, haematoxylin first: it takes the larger
    part of the red light."""
    turned: Float64Array = directions * np.where(directions.sum(axis=0) < 0, -1.0, 1.0)
    turned /= np.linalg.norm(turned, axis=0)
    return turned if turned[0, 0] >= turned[0, 1] else turned[:, ::-1]
