"""Stains by a sparse factorisation of the densities (Vahadane et al. 2016, "Structure-preserving color normalization
and sparse stain separation for histological images"): most pixels hold little of one of the two dyes."""

from __future__ import annotations

import numpy as np

from hypoxia_hpc.records import Float64Array, UInt8Array
from hypoxia_hpc.tiling.stain.density import density_table, stained
from hypoxia_hpc.tiling.stain.macenko import LEAST_PIXELS, strongest_concentrations
from hypoxia_hpc.tiling.stain.stains import Fit, Stains, ordered, trusted

SAMPLED = 10_000  # pixels that the factorisation sees
# What a unit of concentration costs beside half the squared error. It draws the dyes towards each other: planted ones
# (tests) are found within 3 degrees at 0.02, within 4.4 at the 0.1 of the paper.
SPARSITY = 0.02
ROUNDS, SETTLED = 200, 1e-5  # some 20 rounds on planted dyes, 60 on real images


def fit_vahadane(rgb: UInt8Array, white: Float64Array, glass: int) -> Fit[Stains]:
    """The dyes of the tissue in uint8 (..., 3), where the bare glass has the light ``white``, float64 (3,), and what
    has gray ``glass`` (1 to 256) or more is background. Every n-th pixel counts: equal pixels have equal dyes."""
    densities = density_table(white)
    pixels = stained(rgb, densities, glass).pixels
    if len(pixels) < LEAST_PIXELS:
        return Fit(None, f"it has {len(pixels)} stained pixels, at least {LEAST_PIXELS} are needed")
    sampled = pixels[:: -(-len(pixels) // SAMPLED)]
    directions = sparse_directions(np.stack([densities[sampled[:, c], c] for c in range(3)], axis=1))
    if directions is None:
        return Fit(None, "it has one dye alone")
    return trusted(Stains(directions, strongest_concentrations(pixels, densities, directions), white))


def sparse_directions(densities: Float64Array) -> Float64Array | None:
    """The two directions, float64 (3, 2), haematoxylin first, none of them negative, that together with sparse
    concentrations give densities float64 (n, 3) best; None where one of them is of no use. From a factorisation
    without sparsity, codes and directions take turns (``tests/naive.py`` has the codes by trying all cases)."""
    from sklearn.decomposition import NMF  # a second of start-up, for those alone who ask for it

    start = NMF(2, init="nndsvda", random_state=0, max_iter=ROUNDS, tol=1e-3).fit(densities).components_
    if not start.any(axis=1).all():
        return None
    directions = start / np.linalg.norm(start, axis=1, keepdims=True)
    for _ in range(ROUNDS):
        before = directions
        codes = sparse_codes(densities, directions, SPARSITY)
        if not codes.any(axis=0).all():
            return None
        directions = _fitted(densities, codes, before)
        if np.abs(directions - before).max() < SETTLED:
            break
    return ordered(directions.T)


def sparse_codes(densities: Float64Array, directions: Float64Array, sparsity: float) -> Float64Array:
    """For each density of float64 (n, 3) the two concentrations, float64 (n, 2), not negative, with the least half of
    the squared error plus ``sparsity`` times their sum, of directions float64 (2, 3) of length 1, not parallel."""
    alone = densities @ directions.T - sparsity
    shared = directions[0] @ directions[1]
    both = (alone - shared * alone[:, ::-1]) / (1 - shared**2)
    alone = np.maximum(alone, 0.0)
    first_alone, second_alone = (both[:, [other]] < 0 for other in (1, 0))
    codes: Float64Array = np.select([first_alone, second_alone], [alone * [1.0, 0.0], alone * [0.0, 1.0]], both)
    return codes


def _fitted(densities: Float64Array, codes: Float64Array, directions: Float64Array) -> Float64Array:
    """Directions, one after the other, with the least squared error, cut off at 0 and of length 1."""
    squares, products = codes.T @ codes, codes.T @ densities
    fitted = directions.copy()
    for dye in range(2):
        moved = fitted[dye] + (products[dye] - squares[dye] @ fitted) / squares[dye, dye]
        moved = np.maximum(moved, 0.0)
        fitted[dye] = moved / np.linalg.norm(moved) if moved.any() else fitted[dye]
    return fitted
