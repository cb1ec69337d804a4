"""Shares that sum to one, as columns that a model can be fitted on: one share always follows from the others."""

from __future__ import annotations

from typing import Literal

import numpy as np

from hypoxia_hpc.records import AnyArray, Float64Array

Composition = Literal["reference", "log-ratio"]


def commonest(shares: AnyArray) -> int:
    """The place of the column with the largest mean: what others are held against."""
    return int(np.asarray(shares).mean(axis=0).argmax())


def without_zeros(shares: AnyArray, n_tiles: AnyArray) -> Float64Array:
    """``shares`` (n, k) with half a tile for each share of 0, the others smaller by as much in proportion, so that they
    still sum to 1 (Martín-Fernández, Barceló-Vidal and Pawlowsky-Glahn 2003, Mathematical Geology 35:253).
    ``n_tiles`` (n,): of how many tiles the shares are."""
    shares = np.asarray(shares, dtype=np.float64)
    half = 0.5 / np.maximum(np.asarray(n_tiles, dtype=np.float64), 1)[:, None]
    is_zero = shares <= 0
    # A patient of a tile or two in many clusters: the halves may not take up all.
    half = np.minimum(half, 0.5 / shares.shape[1])
    filled = np.where(is_zero, half, 0).sum(axis=1, keepdims=True)
    replaced: Float64Array = np.where(is_zero, half, shares * (1 - filled))
    return replaced


def as_columns(shares: AnyArray, n_tiles: AnyArray, kind: Composition, reference: int) -> Float64Array:
    """(n, k - 1): the shares of all but the ``reference``.

    ``"reference"``: as they are: a coefficient then says what a tile more in this cluster, and one less in the
    reference, does. ``"log-ratio"``: log(share / share of the reference), zeros first replaced as `without_zeros` says:
    what twice as many tiles of this cluster for each of the reference do.
    """
    others = [place for place in range(np.shape(shares)[1]) if place != reference]
    if kind == "reference":
        kept: Float64Array = np.asarray(shares, dtype=np.float64)[:, others]
        return kept
    logs = np.log(without_zeros(shares, n_tiles))
    ratios: Float64Array = logs[:, others] - logs[:, [reference]]
    return ratios
