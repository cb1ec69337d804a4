"""Tiles of one slide in memory, or of a store as they are asked for."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from hypoxia_hpc import records
from hypoxia_hpc.api.slides import Slide, open_slide
from hypoxia_hpc.cohorts.naming import slide_id_from_name
from hypoxia_hpc.config import TileTable, parse_config
from hypoxia_hpc.config.paths import with_paths
from hypoxia_hpc.errors import InputError, some
from hypoxia_hpc.machine.cores import usable_cores
from hypoxia_hpc.records import Float32Array, Int64Array, UInt8Array
from hypoxia_hpc.slides.slide_tiles import SlideTiles, cut_slide
from hypoxia_hpc.stores.tiles import read_pixels

OF_STORES = ("pixels", "codec")
OF_IMAGES = ("large_images", "small_images", "pad_value", "series")


class PixelRows(Protocol):
    """Pixels of n tiles: an array in memory, or those of a store, which are read when they are sliced."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, px, px, 3)."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: slice, /) -> UInt8Array:
        """Tiles ``[start:stop]``, uint8 (k, px, px, 3)."""


@dataclass(frozen=True, eq=False, repr=False)
class Tiles:
    """Tiles of one slide that are not background, in reading order (row by row).

    Attributes:
        slide_id: Name of the slide.
        pixels: uint8 (n, px, px, 3), RGB. Of :func:`tile` a NumPy array; of a run what reads its store: slice it
            (``pixels[:16]``), or take all of it with ``pixels[:]``. None where the store keeps no pixels.
        xy_l0: int64 (n, 2), top left corner of each tile in level 0 pixels.
        background: float32 (n,), share of background pixels, 0 to 1.
        side_l0: Side of a tile in level 0 pixels, not rounded.
    """

    slide_id: str
    pixels: PixelRows | None
    xy_l0: Int64Array
    background: Float32Array
    side_l0: float

    def __len__(self) -> int:
        return len(self.xy_l0)

    def __repr__(self) -> str:
        px = "no pixels" if self.pixels is None else f"{self.pixels.shape[1]} px"
        return f"<Tiles of {self.slide_id}: {some(len(self), 'tile')}, {px}, {self.side_l0:g} level 0 pixels wide>"


def tile(slide: Slide | str | PathLike[str], *, threads: int | None = None, **settings: Any) -> Tiles:
    """Cut a slide into tiles and leave out background, as ``hypoxia-hpc tile`` does. The pixels are the same.

    All tiles that are kept have to fit in memory: a tile of 299 px takes 268 kB, a large slide has 30,000 of them.

    Args:
        slide: An open slide, or the path of one.
        threads: Threads that decode, 1 or more. Default: one for each core. Their number changes no pixel.
        **settings: Entries of the [tile] table of run.toml: ``tile_px`` (299), ``mpp`` (0.5), ``max_background``
            (0.25), ``white`` (220), ``default_mpp``, ``reduce``, ``screen``, ``tissue``, ``min_tissue``, ``regions``,
            ``regions_rule``, ``region_classes``, ``regions_missing``, ``min_region``, ``max_unreadable`` and
            ``stain``, a dictionary of [tile.stain]. Not ``pixels`` and ``codec``, which say how a store keeps tiles,
            nor ``large_images``, ``small_images``, ``pad_value`` and ``series``, which are of images in folders.
            ``regions`` is a folder with a file <name of the slide>.geojson.

    Returns:
        The tiles that are kept, one or more.

    Raises:
        InputError: An entry that is not known, or outside its range.
        SlideError: The slide cannot be opened, planned (``no-mpp``, ``coarser-than-target``) or read, or has no tile
            with enough tissue (``no-tissue``); ``reason`` is the word that a run would quarantine it with.

    Example:
        >>> tiles = hx.tile("slide.svs", tile_px=224, mpp=1.0)
        >>> tiles.pixels.shape
        (112, 224, 224, 3)
    """
    table = tile_table(settings)
    with open_slide(slide) if not isinstance(slide, Slide) else nullcontext(slide) as opened:
        taken: list[UInt8Array] = []

        def new_tile() -> UInt8Array:
            taken.append(np.empty((table.tile_px, table.tile_px, 3), dtype=np.uint8))
            return taken[-1]

        cut = cut_slide(opened.reader(), _row(opened), table, new_tile, threads=_threads(threads))
        return _in_memory(_row(opened).slide_id, cut, taken)


def tile_table(settings: dict[str, Any]) -> TileTable:
    """The [tile] table with these settings. Raises InputError."""
    wrong = [name for name in OF_STORES if name in settings]
    if wrong:
        raise InputError(
            f"hx.tile does not take {', '.join(wrong)}, which say how a store keeps tiles", remedy="leave them out"
        )
    wrong = [name for name in OF_IMAGES if name in settings]
    if wrong:
        raise InputError(
            f"hx.tile does not take {', '.join(wrong)}, which are of images in folders", remedy="leave them out"
        )
    return with_paths(parse_config({"tile": settings}, source="hx.tile").tile, Path(), "hx.tile")


@dataclass(frozen=True, slots=True)
class StoredPixels:
    """Pixels of a store, read and compared with their checksums when they are sliced.

    Raises SlideError (damaged-store), MachineError."""

    tiles: records.Tiles

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, px, px, 3)."""
        shape: tuple[int, ...] = self.tiles.pixels.shape
        return shape

    def __len__(self) -> int:
        return len(self.tiles.pixels)

    def __getitem__(self, rows: slice) -> UInt8Array:
        start, stop, step = rows.indices(len(self))
        return read_pixels(self.tiles, start, max(start, stop))[::step]


def stored_tiles(tiles: records.Tiles) -> Tiles:
    """Tiles of a store that is open."""
    pixels = None if tiles.pixels is None else StoredPixels(tiles)
    return Tiles(tiles.slide_id, pixels, tiles.xy, tiles.background, float(tiles.attributes["plan"]["side_l0"]))


def _row(slide: Slide) -> records.Slide:
    """The slide as a row of slides.csv."""
    slide_id = slide_id_from_name(slide.path.name)
    return records.Slide(slide_id, Path(slide.path), slide_id, 0, mpp=slide.given_mpp)


def _threads(threads: int | None) -> int:
    if threads is not None and threads < 1:
        raise InputError(f"threads = {threads}: must be 1 or more", remedy="leave it out for one for each core")
    return threads or usable_cores()


def _in_memory(slide_id: str, cut: SlideTiles, taken: list[UInt8Array]) -> Tiles:
    """The tiles in one array; each is let go when it is copied, so that memory holds them once."""
    pixels = np.empty((len(taken), *taken[0].shape), dtype=np.uint8)
    while taken:
        pixels[len(taken) - 1] = taken[-1]
        taken.pop()
    return Tiles(slide_id, pixels, cut.xy_l0, cut.background, cut.plan.side_l0)
