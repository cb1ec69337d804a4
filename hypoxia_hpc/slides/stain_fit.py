"""The stain of a slide, or of a patient's images, fitted on a sample of kept tiles, and what changes its tiles."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hypoxia_hpc.config import TileTable
from hypoxia_hpc.errors import SlideError
from hypoxia_hpc.records import Float64Array, Int64Array, Json, Paint, UInt8Array
from hypoxia_hpc.slides.stain_reference import numbers_of, stain_target
from hypoxia_hpc.tiling.kernels.packed import most_background_of
from hypoxia_hpc.tiling.kernels.stain import glass_pixels
from hypoxia_hpc.tiling.stain.density import LEAST_GLASS, USUAL_LIGHT
from hypoxia_hpc.tiling.stain.methods import METHODS
from hypoxia_hpc.tiling.stain.stains import Fit

# Of kept tiles that a fit goes by: 44 tiles of 299 px.
SAMPLE_PX = 4_000_000
SEED = 0


@dataclass(frozen=True, slots=True)
class SlideStain:
    """``paint`` changes a tile in place; None where the fit is not trusted. ``record``: what was found and what the
    tiles were given, for the store."""

    paint: Paint | None
    record: Json


@dataclass(slots=True)
class Sample:
    """Kept tiles, uint8 (height, width, 3) each, and how often each channel has each level in glass, int64 (3, 256),
    among ``n_px`` pixels that were looked at."""

    tiles: list[UInt8Array] = field(default_factory=list)
    glass: Int64Array = field(default_factory=lambda: np.zeros((3, 256), dtype=np.int64))
    n_px: int = 0

    def add(self, tile: UInt8Array, table: TileTable) -> None:
        """Look at the glass of a tile, uint8 (height, width, 3), and take it where the background rule keeps it."""
        n_px, bare = tile.shape[0] * tile.shape[1], glass_pixels(tile.reshape(-1, 3), table.white)
        self.glass += [np.bincount(channel, minlength=256) for channel in bare.T]
        self.n_px += n_px
        if len(bare) <= most_background_of(n_px, table.max_background):
            self.tiles.append(tile)

    def white(self) -> Float64Array:
        """The light of the glass, float64 (3,): the median of each channel, the usual one where there is hardly any."""
        n_glass = self.glass[0].sum()
        if n_glass < max(1, LEAST_GLASS * self.n_px):
            return np.full(3, USUAL_LIGHT)
        median: Int64Array = (2 * self.glass.cumsum(axis=1) >= n_glass).argmax(axis=1)
        return median.astype(np.float64)


def n_sampled(table: TileTable) -> int:
    """How many tiles a fit goes by, where there are as many."""
    return max(1, SAMPLE_PX // table.tile_px**2)


def fit_of(sample: Sample, method: str, glass: int) -> Fit[Any]:
    """The stain of a sample by a method of ``METHODS``; ``glass``: the gray level from which a pixel is background."""
    pixels = np.concatenate([tile.reshape(-1, 3) for tile in sample.tiles] or [np.empty((0, 3), np.uint8)])
    return METHODS[method].fit(pixels, sample.white(), glass)


def fitted_stain(sample: Sample, table: TileTable, slide_id: str) -> SlideStain:
    """The stain of a sample by the method of [tile.stain], and what gives it that of the reference.

    Raises:
        SlideError: ``no-stain`` where the fit is not trusted and such slides are quarantined.
        InputError: the reference cannot be read, or its fit is not trusted.
    """
    method, target = METHODS[table.stain.method], stain_target(table)
    fit = fit_of(sample, table.stain.method, table.white)
    if fit.found is None and table.stain.untrusted == "quarantine":
        raise SlideError(
            "no-stain",
            f"{slide_id} has no stain that can be trusted: {fit.why_not}",
            remedy='look at it; [tile.stain] untrusted = "keep" takes it with its colours as they are',
        )
    record = {"tiles": len(sample.tiles), "found": numbers_of(fit.found), "given": numbers_of(target)}
    if fit.found is None:
        return SlideStain(None, record | {"why_not": fit.why_not})
    return SlideStain(method.paint(fit.found, target, table.white), record)
