"""Which tiles are kept under other settings, from counts on a coarse image of the slide: an estimate of the tiling
rule, which counts on the final tiles. Where a tile store has the exact count, that decides."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hypoxia_hpc.records import Float32Array, Int64Array, TilePlan, UInt8Array
from hypoxia_hpc.tiling.kernels.packed import most_background_of

# In place of an exact count: there is none; or the tile was dropped by the store's own settings.
UNKNOWN, DROPPED = -1, -2


class TileSettings(NamedTuple):
    """What decides about a tile: ``white`` 1..255, ``max_background`` and ``min_tissue`` 0..1, and whether the mask of
    tissue counts."""

    white: int
    max_background: float
    with_tissue: bool
    min_tissue: float


@dataclass(frozen=True, slots=True)
class ExactCounts:
    """What a tile store says of each tile, under the settings ``made_with``: ``background_px`` int64 (n,), of
    ``tile_px``² pixels where the tile was kept, else UNKNOWN or DROPPED."""

    made_with: TileSettings
    tile_px: int
    background_px: Int64Array


@dataclass(frozen=True, slots=True)
class CoarseCounts:
    """Of tiles on a coarse image. ``columns_px`` int64 (columns + 1,) and ``rows_px``: borders of the tiles' grid in
    pixels of the image, of ``size_px`` (width, height). ``numbers`` int64 (n,): the tiles that regions leave, row by
    row. ``light_px`` int64 (n, k): pixels of each that are as light as each of ``whites`` or lighter. ``tissue``
    float32 (n,): share of each that the mask of tissue covers."""

    size_px: tuple[int, int]
    columns_px: Int64Array
    rows_px: Int64Array
    numbers: Int64Array
    whites: tuple[int, ...]
    light_px: Int64Array
    tissue: Float32Array

    @property
    def n_px(self) -> Int64Array:
        """Pixels of each tile, int64 (n,)."""
        row, column = np.divmod(self.numbers, len(self.columns_px) - 1)
        pixels: Int64Array = np.diff(self.rows_px)[row] * np.diff(self.columns_px)[column]
        return pixels


def grid_borders(plan: TilePlan, l0_per_px: float, size_px: tuple[int, int]) -> tuple[Int64Array, Int64Array]:
    """Borders of columns and of rows of a plan's tiles on an image whose pixels are ``l0_per_px`` wide: a pixel is of
    the tile that its middle lies in."""
    xs, ys = plan.xy_l0[: plan.columns, 0], plan.xy_l0[:: plan.columns, 1]
    found = []
    for begins, most in ((xs, size_px[0]), (ys, size_px[1])):
        borders = np.append(begins, begins[-1] + plan.side_l0) / l0_per_px
        found.append(np.clip(np.ceil(borders - 0.5).astype(np.int64), 0, most))
    return found[0], found[1]


def light_counts(rgb: UInt8Array, columns_px: Int64Array, rows_px: Int64Array, whites: Sequence[int]) -> Int64Array:
    """Pixels of each tile whose gray is each of ``whites``, rising, or more: int64 (rows · columns, k). ``rgb``: uint8
    (h, w, 3 or more). Gray is that of the tiling rule."""
    n_columns, n_bins = len(columns_px) - 1, len(whites) + 1
    bin_of = np.searchsorted(np.asarray(whites), np.arange(256), side="right")
    column_of = np.repeat(np.arange(n_columns) * n_bins, np.diff(columns_px))
    counts = np.zeros((len(rows_px) - 1, n_columns * n_bins), dtype=np.int64)
    for row, (top, bottom) in enumerate(itertools.pairwise(rows_px.tolist())):
        band = rgb[top:bottom, columns_px[0] : columns_px[-1]].astype(np.uint32)
        gray = (19595 * band[..., 0] + 38470 * band[..., 1] + 7471 * band[..., 2] + 32768) >> 16
        counts[row] = np.bincount((bin_of[gray] + column_of).ravel(), minlength=n_columns * n_bins)
    of_bins = counts.reshape(-1, n_bins)
    at_least: Int64Array = of_bins[:, ::-1].cumsum(axis=1)[:, ::-1][:, 1:]
    return at_least


def redecided(
    counts: CoarseCounts, settings: TileSettings, exact: ExactCounts | None = None
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Whether each tile is kept, bool (n,), and whether that is exact, bool (n,). ``settings.white`` is one of
    ``counts.whites``.

    A tile is kept where at most floor(max_background · pixels) of its pixels are light, and the mask of tissue covers
    at least ``min_tissue`` of it, where it counts.
    """
    n_px = counts.n_px
    light = counts.light_px[:, counts.whites.index(settings.white)]
    kept = light <= _most(n_px, settings.max_background)
    is_exact = np.zeros(len(kept), dtype=bool)
    if exact is not None and exact.made_with.white == settings.white:
        known = exact.background_px >= 0
        most = most_background_of(exact.tile_px**2, settings.max_background)
        kept = np.where(known, exact.background_px <= most, kept)
        dropped = (exact.background_px == DROPPED) & (settings.max_background <= exact.made_with.max_background)
        kept, is_exact = kept & ~dropped, known | dropped
    if settings.with_tissue:
        in_tissue = counts.tissue >= np.float32(settings.min_tissue)
        kept, is_exact = kept & in_tissue, is_exact | ~in_tissue
    return kept, is_exact


def _most(n_px: Int64Array, max_background: float) -> Int64Array:
    sizes, inverse = np.unique(n_px, return_inverse=True)
    most = np.array([most_background_of(int(size), max_background) for size in sizes], dtype=np.int64)
    found: Int64Array = most[inverse]
    return found


def exact_counts(
    counts: CoarseCounts, made_with: TileSettings, tile_px: int, kept: Int64Array, background: Float32Array
) -> ExactCounts:
    """From a store: ``kept`` int64 (m,) numbers of its tiles and their ``background`` float32 (m,) in 0..1. A tile that
    was masked was never counted."""
    found = np.full(len(counts.numbers), DROPPED, dtype=np.int64)
    if made_with.with_tissue:
        found[counts.tissue < np.float32(made_with.min_tissue)] = UNKNOWN
    of_number = {int(number): place for place, number in enumerate(counts.numbers)}
    places = [of_number[int(number)] for number in kept]
    found[places] = np.rint(background.astype(np.float64) * tile_px**2).astype(np.int64)
    return ExactCounts(made_with, tile_px, found)
