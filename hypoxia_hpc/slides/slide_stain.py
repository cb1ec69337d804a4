"""The stain of a slide, fitted on a sample of the tiles that the background rule keeps, and what changes its tiles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hypoxia_hpc.config import TileTable
from hypoxia_hpc.errors import InputError, SlideError
from hypoxia_hpc.records import Float64Array, Int64Array, Json, Paint, UInt8Array
from hypoxia_hpc.slides.image_files import read_image
from hypoxia_hpc.slides.opening import OpenedSlide
from hypoxia_hpc.slides.planning import SlidePlan
from hypoxia_hpc.tiling.cutting import cut_tiles
from hypoxia_hpc.tiling.kernels.packed import most_background_px
from hypoxia_hpc.tiling.kernels.stain import glass_pixels
from hypoxia_hpc.tiling.kernels.state import CutRule
from hypoxia_hpc.tiling.stain.density import LEAST_GLASS, USUAL_LIGHT
from hypoxia_hpc.tiling.stain.methods import METHODS, target_of

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
    """Kept tiles, uint8 (tile_px, tile_px, 3) each, and how often each channel has each level in glass, int64 (3, 256),
    among ``n_px`` pixels that were looked at."""

    tiles: list[UInt8Array]
    glass: Int64Array
    n_px: int = 0

    def white(self) -> Float64Array:
        """The light of the glass, float64 (3,): the median of each channel, the usual one where there is hardly any."""
        n_glass = self.glass[0].sum()
        if n_glass < max(1, LEAST_GLASS * self.n_px):
            return np.full(3, USUAL_LIGHT)
        median: Int64Array = (2 * self.glass.cumsum(axis=1) >= n_glass).argmax(axis=1)
        return median.astype(np.float64)


def slide_stain(
    opened: OpenedSlide, planned: SlidePlan, selected: NDArray[np.bool_], table: TileTable, slide_id: str
) -> SlideStain:
    """Fit the stain of a slide by the method of [tile.stain], on tiles among the selected ones, bool (n,).

    Raises:
        SlideError: ``no-stain`` where the fit is not trusted and such slides are quarantined; what sources raise.
        InputError: the reference cannot be read, or its fit is not trusted.
    """
    method, target = METHODS[table.stain.method], stain_target(table)
    sample = sample_tissue(opened, planned, selected, table)
    pixels = np.concatenate(sample.tiles) if sample.tiles else np.empty((0, 1, 3), np.uint8)
    fit = method.fit(pixels, sample.white(), table.white)
    if fit.found is None and table.stain.untrusted == "quarantine":
        raise SlideError(
            "no-stain",
            f"{slide_id} has no stain that can be trusted: {fit.why_not}",
            remedy='look at the slide; [tile.stain] untrusted = "keep" takes it with its colours as they are',
        )
    record = {"tiles": len(sample.tiles), "found": _numbers(fit.found), "given": _numbers(target)}
    if fit.found is None:
        return SlideStain(None, record | {"why_not": fit.why_not})
    return SlideStain(method.paint(fit.found, target, table.white), record)


def stain_target(table: TileTable) -> Any:
    """What the slides of a run get: the fit of [tile.stain]'s reference, or the published dyes. Raises InputError as
    ``read_image`` does, and where the fit of the reference is not trusted."""
    return _target(table.stain.method, table.stain.reference, table.white)


@cache
def _target(method: str, reference: str | None, glass: int) -> Any:
    try:
        return target_of(method, None if reference is None else read_image(Path(reference)), glass)
    except (InputError, OSError) as error:
        remedy = "name an image of tissue stained by haematoxylin and eosin, without ink"
        raise InputError(f"[tile.stain] reference = {reference}: {error}", remedy=remedy) from error


def sample_tissue(opened: OpenedSlide, planned: SlidePlan, selected: NDArray[np.bool_], table: TileTable) -> Sample:
    """Tiles that the background rule keeps, of tiles drawn in rounds, until there are enough or all were drawn. Tiles
    that do not decode are left out."""
    sample, wanted = Sample([], np.zeros((3, 256), dtype=np.int64)), max(1, SAMPLE_PX // table.tile_px**2)
    for drawn in _rounds(np.flatnonzero(selected), wanted):
        chosen = np.zeros_like(selected)
        chosen[drawn] = True
        for tile in _read(opened, planned, chosen, table):
            _look_at(tile, sample, table)
        if len(sample.tiles) >= wanted // 2:
            break
    del sample.tiles[wanted:]
    return sample


def _rounds(numbers: Int64Array, first: int) -> Iterator[Int64Array]:
    """All numbers, shuffled: ``first`` of them, then twice as many each time."""
    shuffled, size = np.random.default_rng(SEED).permutation(numbers), first
    while len(shuffled):
        yield shuffled[:size]
        shuffled, size = shuffled[size:], 2 * size


def _read(opened: OpenedSlide, planned: SlidePlan, chosen: NDArray[np.bool_], table: TileTable) -> Iterator[UInt8Array]:
    """All chosen tiles that decode, background too, in reading order."""
    tiles: list[UInt8Array] = []

    def new_tile() -> UInt8Array:
        tiles.append(np.empty((table.tile_px, table.tile_px, 3), dtype=np.uint8))
        return tiles[-1]

    [source] = opened.sources(planned.plan, planned.reading, chosen)
    cut_tiles([source], planned.reading.tiles, CutRule(255, table.tile_px**2, screen=False), chosen, new_tile)
    return iter(tiles)


def _look_at(tile: UInt8Array, sample: Sample, table: TileTable) -> None:
    bare = glass_pixels(tile.reshape(-1, 3), table.white)
    sample.glass += [np.bincount(channel, minlength=256) for channel in bare.T]
    sample.n_px += table.tile_px**2
    if len(bare) <= most_background_px(table.tile_px, table.max_background):
        sample.tiles.append(tile)


def _numbers(found: Any) -> Mapping[str, Any] | None:
    """The arrays of a fit as lists."""
    return None if found is None else {name: values.tolist() for name, values in asdict(found).items()}
