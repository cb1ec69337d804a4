"""Our own tiling, as benchmarks call it: in memory, and into a store as a worker of ``hypoxia-hpc tile`` does."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hypoxia_hpc.config import TileTable
from hypoxia_hpc.machine.cores import usable_cores
from hypoxia_hpc.records import Slide, TilePlan, TileWork, UInt8Array
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.slides.masks import tile_masks
from hypoxia_hpc.slides.opening import opened_slide
from hypoxia_hpc.stages.tile import TileStage
from hypoxia_hpc.tiling.cutting import cut_tiles
from hypoxia_hpc.tiling.kernels.packed import most_background_px
from hypoxia_hpc.tiling.kernels.state import CutRule
from hypoxia_hpc.tiling.plan import plan_tiles

RING_TILES = 8  # one chunk of the store
KEY = "0" * 64

NewTile = Callable[[], UInt8Array]


@dataclass(frozen=True, slots=True)
class Delivered:
    """``kept`` bool (n,), the reader that served, and how many native tiles it decoded."""

    kept: NDArray[np.bool_]
    reader: str
    blocks_read: int


def deliver(path: Path, table: TileTable, new_tile: NewTile, mpp: float | None = None) -> Delivered:
    """Decide every tile of a slide, and put those that are kept, one after the other, where ``new_tile`` says. ``mpp``
    is what a manifest would say."""
    with opened_slide(path) as opened:
        plan = plan_tiles(opened.pyramid, table, mpp)
        reading = opened.reading(plan, table.reduce)
        masks = tile_masks(opened, plan, table, np.ones(plan.n_tiles, dtype=bool))
        rule = CutRule(table.white, most_background_px(table.tile_px, table.max_background), table.screen != "off")
        selected = masks.selected & ~masks.screened_background
        cut = cut_tiles(opened.sources(plan, reading, selected), reading.tiles, rule, selected, new_tile)
    return Delivered(cut.kept, reading.reader, cut.blocks_read)


def plan_of(path: Path, table: TileTable) -> TilePlan:
    with opened_slide(path) as opened:
        return plan_tiles(opened.pyramid, table, None)


def into_store(path: Path, table: TileTable, folder: Path) -> TileWork:
    """Tile a slide into FOLDER/tiles/<name>.zarr, as a worker that has all cores does; what the receipt would say."""
    slide = Slide(slide_id=path.stem, path=path, patient_id="P", cost=1)
    work = TileStage(RunDir(folder), table, usable_cores())
    work.target(slide).parent.mkdir(parents=True, exist_ok=True)
    return work.make(slide, KEY, lambda tiles: None)


def store_of(path: Path, folder: Path) -> Path:
    return RunDir(folder).tiles(path.stem)


def ring(tile_px: int) -> NewTile:
    """Places for tiles, in turn, without end: kept tiles are delivered and forgotten."""
    places = itertools.cycle(np.ones((RING_TILES, tile_px, tile_px, 3), dtype=np.uint8))  # not zeros: mapped
    return lambda: next(places)


class Collected:
    """Places for tiles that are kept: ``tiles``."""

    def __init__(self, tile_px: int) -> None:
        self.tile_px = tile_px
        self.tiles: list[UInt8Array] = []

    def __call__(self) -> UInt8Array:
        self.tiles.append(np.empty((self.tile_px, self.tile_px, 3), dtype=np.uint8))
        return self.tiles[-1]
