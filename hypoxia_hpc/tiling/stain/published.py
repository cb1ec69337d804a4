"""The published normalisation, to the number: the whole image with its glass, white 240, and a fixed reference.

Macenko et al. 2009 in the form in which it is passed on (MATLAB by M. Macenko and J. Molin, Python by G. Chang,
github.com/schaugf/HEnorm_python). For comparison with what others made; the suite's own rule fits tissue alone.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from hypoxia_hpc.records import UInt8Array
from hypoxia_hpc.tiling.stain.density import NO_GLASS, as_pixels, density_table, stained
from hypoxia_hpc.tiling.stain.macenko import LEAST_PIXELS, outermost_directions, strongest_concentrations
from hypoxia_hpc.tiling.stain.recolouring import Colours, mixing, new_light, recoloured
from hypoxia_hpc.tiling.stain.stains import Fit, Stains

WHITE = np.full(3, 240.0)
ADDED = 1  # to each gray level, so that black has a logarithm
REFERENCE = Stains(
    directions=np.array([[0.5626, 0.2159], [0.7201, 0.8012], [0.4062, 0.5581]]),
    strongest=np.array([1.9705, 1.0308]),
    white=WHITE,
)


def fit_published(rgb: UInt8Array) -> Fit[Stains]:
    """The dyes of uint8 (..., 3); whatever they are, they are trusted."""
    densities = density_table(WHITE, ADDED)
    tissue = stained(rgb, densities, NO_GLASS)
    if len(tissue.pixels) < LEAST_PIXELS:
        return Fit(None, f"it has {len(tissue.pixels)} stained pixels, at least {LEAST_PIXELS} are needed")
    directions = outermost_directions(tissue, densities)
    return Fit(Stains(directions, strongest_concentrations(as_pixels(rgb), densities, directions), WHITE), "")


def published(rgb: UInt8Array, source: Stains, alone: Literal["haematoxylin", "eosin"] | None = None) -> UInt8Array:
    """uint8 (..., 3), whose dyes are ``source``, in the reference's colours, with both dyes or one of them. Gray levels
    are cut off, not rounded, and what is lighter than 255 becomes 254; the numbers are within one gray level of double
    precision."""
    matrix = mixing(source, REFERENCE)
    if alone is not None:
        dye = ("haematoxylin", "eosin").index(alone)
        scaled = np.linalg.pinv(source.directions)[dye] * REFERENCE.strongest[dye] / source.strongest[dye]
        matrix = np.outer(REFERENCE.directions[:, dye], scaled)
    new = new_light(matrix, density_table(WHITE, ADDED), WHITE)
    table = np.where(new.light > 255, 254, new.light).astype(np.uint8)
    return recoloured(rgb, Colours(new.fields, table), NO_GLASS)
