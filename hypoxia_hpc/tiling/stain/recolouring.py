"""New colours for an image: its concentrations, scaled to those of a reference, in the reference's dyes and light."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hypoxia_hpc.records import Float64Array, UInt8Array, UInt64Array
from hypoxia_hpc.tiling.kernels.stain import FIELD_BITS, TABLE_BITS, recolour
from hypoxia_hpc.tiling.stain.density import as_pixels, density_table, weighted_sums
from hypoxia_hpc.tiling.stain.stains import Stains

# Sums in the middle of each place of the table of colours.
MIDDLES = (np.arange(2**TABLE_BITS) + 0.5) * 2 ** (FIELD_BITS - TABLE_BITS)
MOST_LOGARITHM = 10.0  # of light, far beyond 255


@dataclass(frozen=True, slots=True)
class Colours:
    """What ``recolour`` reads: fields of a pixel's three sums, uint64 (256, 3), and their colours, uint8 (2**14,)."""

    fields: UInt64Array
    colours: UInt8Array


def colours(source: Stains, target: Stains) -> Colours:
    """Tables that turn pixels of ``source`` into those of ``target``; gray levels are the nearest, from 0 to 255."""
    new = new_light(mixing(source, target), density_table(source.white), target.white)
    return Colours(new.fields, np.clip(np.rint(new.light), 0, 255).astype(np.uint8))


def mixing(source: Stains, target: Stains) -> Float64Array:
    """The densities that one density becomes, float64 (3, 3): unmixed by the source's dyes, scaled so that the
    strongest concentrations are the target's, mixed by the target's dyes."""
    matrix: Float64Array = (
        target.directions @ np.diag(target.strongest / source.strongest) @ np.linalg.pinv(source.directions)
    )
    return matrix


@dataclass(frozen=True, slots=True)
class NewLight:
    """Fields of a pixel's three sums, uint64 (256, 3), and the light that each place of their table means, float64."""

    fields: UInt64Array
    light: Float64Array


def new_light(matrix: Float64Array, densities: Float64Array, white: Float64Array) -> NewLight:
    """``white · exp(-(matrix @ density))`` as tables, of densities float64 (256, 3)."""
    sums = weighted_sums(matrix, densities, -np.log(white))
    light = MIDDLES * -sums.step  # in place from here: larger arrays would come from new pages each time
    light -= sums.low
    np.minimum(light, MOST_LOGARITHM, out=light)
    return NewLight(sums.fields.astype(np.uint64), np.exp(light, out=light))


def recoloured(rgb: UInt8Array, new: Colours, glass: int) -> UInt8Array:
    """uint8 (..., 3) in new colours; what has gray ``glass`` (1 to 256) or more is background and stays as it was."""
    pixels = as_pixels(rgb)
    out = np.empty_like(pixels)
    recolour(pixels, new.fields, new.colours, glass, out)
    return out.reshape(rgb.shape)
