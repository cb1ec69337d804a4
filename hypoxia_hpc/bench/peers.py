"""How others deliver the kept tiles of a slide, each as its users write it, on one core.

Every peer gets the plan, decides by the same rule (Pillow's ``convert("L")`` is the rule's luma) and copies what it
keeps to where ``new_tile`` says. hs2p and tiatoolbox would choose tiles by a mask of tissue of their own; here they
read the tiles of the plan, each in its own way, and the rule decides.
"""

from __future__ import annotations

import importlib.util
import logging
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hypoxia_hpc.records import TilePlan, UInt8Array
from hypoxia_hpc.tiling.kernels.packed import most_background_px

WHITE, MAX_BACKGROUND = 220, 0.25
CUCIM_BATCH = 64
CUCIM_CACHE_MIB = 256
FASTSLIDE_CACHE_BYTES = 256 * 2**20

NewTile = Callable[[], UInt8Array]
Deliver = Callable[[Path, TilePlan, NewTile], NDArray[np.bool_]]


@dataclass(frozen=True, slots=True)
class Package:
    """Another package: its ``name``, the ``module`` that it has, and how to ``install`` it."""

    name: str
    module: str
    install: str

    @property
    def missing(self) -> str:
        """What to install; empty where it is installed."""
        return "" if importlib.util.find_spec(self.module) else f"not installed: pip install {self.install}"


@dataclass(frozen=True, slots=True)
class Peer(Package):
    """``deliver(path, plan, new_tile)`` returns bool (n,), which tiles it kept."""

    deliver: Deliver


def is_kept(image: Image.Image) -> bool:
    background = sum(image.convert("L").histogram()[WHITE:])
    return background <= most_background_px(image.width, MAX_BACKGROUND)


def keep(tiles: Iterable[UInt8Array], plan: TilePlan, new_tile: NewTile) -> NDArray[np.bool_]:
    """Decide tiles, uint8 (px, px, 3) each, that come in the order of the plan, and copy those that are kept."""
    kept = np.zeros(plan.n_tiles, dtype=bool)
    for index, pixels in enumerate(tiles):
        if is_kept(Image.fromarray(pixels)):
            kept[index] = True
            new_tile()[:] = pixels
    return kept


def deepzoom(path: Path, plan: TilePlan, new_tile: NewTile) -> NDArray[np.bool_]:
    """The reference study's loop: OpenSlide's DeepZoom generator, tile by tile."""
    import openslide
    from openslide.deepzoom import DeepZoomGenerator

    kept = np.zeros((plan.rows, plan.columns), dtype=bool)
    with openslide.OpenSlide(path) as slide:
        zoom = DeepZoomGenerator(slide, tile_size=plan.tile_px, overlap=0, limit_bounds=False)
        level = zoom.level_count - 1 - round(math.log2(plan.scale))
        for row, column in np.ndindex(kept.shape):
            tile = zoom.get_tile(level, (column, row))
            if is_kept(tile):
                kept[row, column] = True
                new_tile()[:] = np.asarray(tile)
    return kept.ravel()


def openslide_tiles(path: Path, plan: TilePlan, new_tile: NewTile) -> NDArray[np.bool_]:
    """OpenSlide, a read_region for each tile; larger squares reduced by Pillow's exact averaging."""
    import openslide

    kept = np.zeros(plan.n_tiles, dtype=bool)
    size, factor = (plan.side_level, plan.side_level), plan.side_level // plan.tile_px
    with openslide.OpenSlide(path) as slide:
        for index, (x, y) in enumerate(plan.xy_l0.tolist()):
            tile = slide.read_region((x, y), plan.level, size).convert("RGB").reduce(factor)
            if is_kept(tile):
                kept[index] = True
                new_tile()[:] = np.asarray(tile)
    return kept


def tiffslide_tiles(path: Path, plan: TilePlan, new_tile: NewTile) -> NDArray[np.bool_]:
    """tiffslide, a read_region for each tile."""
    from tiffslide import TiffSlide

    size = (plan.side_level, plan.side_level)
    with TiffSlide(path) as slide:
        tiles = (slide.read_region((x, y), plan.level, size, as_array=True) for x, y in plan.xy_l0.tolist())
        return keep(tiles, plan, new_tile)


def cucim_tiles(path: Path, plan: TilePlan, new_tile: NewTile) -> NDArray[np.bool_]:
    """cuCIM on the CPU, in batches, one worker thread, its cache on: the fastest way that was found."""
    from cucim import CuImage

    CuImage.cache("per_process", memory_capacity=CUCIM_CACHE_MIB)
    batches = CuImage(str(path)).read_region(
        location=plan.xy_l0.tolist(),
        size=(plan.side_level, plan.side_level),
        level=plan.level,
        batch_size=CUCIM_BATCH,
        num_workers=1,
    )
    tiles = (tile for batch in batches for tile in np.asarray(batch).reshape(-1, plan.side_level, plan.side_level, 3))
    return keep(tiles, plan, new_tile)


def fastslide_tiles(path: Path, plan: TilePlan, new_tile: NewTile) -> NDArray[np.bool_]:
    """fastslide, a read_region for each tile, with a cache of decoded native tiles; its positions are the level's."""
    from fastslide import FastSlide

    size = (plan.side_level, plan.side_level)
    with FastSlide.from_file_path(path, cache=FASTSLIDE_CACHE_BYTES) as slide:
        tiles = (slide.read_region((x, y), plan.level, size).numpy() for x, y in plan.xy_level.tolist())
        return keep(tiles, plan, new_tile)


def hs2p_tiles(path: Path, plan: TilePlan, new_tile: NewTile) -> NDArray[np.bool_]:
    """hs2p over OpenSlide: squares of 8 x 8, 4 x 4 and 2 x 2 tiles in one read each, in an order of its own."""
    from hs2p.wsi.reader import open_slide
    from hs2p.wsi.streaming import iter_tile_records_from_reader

    with open_slide(path, backend="openslide") as slide:
        records = iter_tile_records_from_reader(slide, result=_hs2p_result(plan, slide.level_downsamples))
        found = {one.tile_index: one.tile_arr for one in records if is_kept(Image.fromarray(one.tile_arr))}
    kept = np.zeros(plan.n_tiles, dtype=bool)
    for index in sorted(found):
        kept[index] = True
        new_tile()[:] = found[index]
    return kept


def _hs2p_result(plan: TilePlan, downsamples: list[tuple[float, float]]) -> SimpleNamespace:
    """What hs2p's reader asks of the result of its own tiling."""
    side_l0 = round(plan.side_level * downsamples[plan.level][0])
    x_l0, y_l0 = plan.xy_l0.T
    return SimpleNamespace(
        x=x_l0,
        y=y_l0,
        read_level=plan.level,
        read_tile_size_px=plan.side_level,
        tile_size_lv0=side_l0,
        step_px_lv0=side_l0,
        overlap=0.0,
        level_downsamples=downsamples,
    )


def tiatoolbox_tiles(path: Path, plan: TilePlan, new_tile: NewTile) -> NDArray[np.bool_]:
    """tiatoolbox's SlidingWindowPatchExtractor, at the level of the plan, without a mask."""
    with logging_as_before():
        from tiatoolbox.tools.patchextraction import SlidingWindowPatchExtractor

    side = plan.side_level
    tiles = SlidingWindowPatchExtractor(path, side, resolution=plan.level, units="level", within_bound=True)
    return keep(tiles, plan, new_tile)


@contextmanager
def logging_as_before() -> Iterator[None]:
    """tiatoolbox logs all that any package says, and warnings, to stdout from its import on."""
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    try:
        yield
    finally:
        logging.captureWarnings(capture=False)
        root.setLevel(level)
        root.handlers[:] = handlers


def microtome_native_tiles(path: Path) -> UInt8Array:
    """microtome, which reads native tiles and no other regions: those of level 0 in one thread, uint8 (n, h, w, 3)."""
    import microtome

    pixels: UInt8Array = microtome.open(str(path)).read_batch(0, threads=1)
    return pixels


DEEPZOOM = Peer("DeepZoom loop", "openslide", "openslide-python openslide-bin", deepzoom)
OPENSLIDE = Peer("OpenSlide, tile by tile", "openslide", "openslide-python openslide-bin", openslide_tiles)
TIFFSLIDE = Peer("tiffslide", "tiffslide", "tiffslide", tiffslide_tiles)
CUCIM = Peer("cuCIM, batch", "cucim", "cucim-cu12", cucim_tiles)
FASTSLIDE = Peer("fastslide, cache", "fastslide", "fastslide", fastslide_tiles)
HS2P = Peer("hs2p", "hs2p", "'hs2p[openslide]'", hs2p_tiles)
TIATOOLBOX = Peer("tiatoolbox", "tiatoolbox", "tiatoolbox", tiatoolbox_tiles)
MICROTOME = Package("microtome", "microtome", "microtome-wsi")
PEERS = (DEEPZOOM, OPENSLIDE, TIFFSLIDE, CUCIM, FASTSLIDE, HS2P, TIATOOLBOX)
