"""How others deliver the kept tiles of a slide, each as its users write it, on one core.

Every peer gets the plan, decides by the same rule (Pillow's ``convert("L")`` is the rule's luma) and copies what it
keeps to where ``new_tile`` says.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hypoxia_hpc.records import TilePlan, UInt8Array
from hypoxia_hpc.tiling.kernels.packed import most_background_px

WHITE, MAX_BACKGROUND = 220, 0.25
CUCIM_BATCH = 64
CUCIM_CACHE_MIB = 256

NewTile = Callable[[], UInt8Array]
Deliver = Callable[[Path, TilePlan, NewTile], NDArray[np.bool_]]


@dataclass(frozen=True, slots=True)
class Peer:
    """``deliver(path, plan, new_tile)`` returns bool (n,), which tiles it kept; ``module`` and ``install`` say what it
    needs."""

    name: str
    deliver: Deliver
    module: str
    install: str

    @property
    def missing(self) -> str:
        """What to install; empty where it is installed."""
        return "" if importlib.util.find_spec(self.module) else f"not installed: pip install {self.install}"


def is_kept(image: Image.Image) -> bool:
    background = sum(image.convert("L").histogram()[WHITE:])
    return background <= most_background_px(image.width, MAX_BACKGROUND)


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

    kept = np.zeros(plan.n_tiles, dtype=bool)
    size = (plan.side_level, plan.side_level)
    with TiffSlide(path) as slide:
        for index, (x, y) in enumerate(plan.xy_l0.tolist()):
            pixels = slide.read_region((x, y), plan.level, size, as_array=True)
            if is_kept(Image.fromarray(pixels)):
                kept[index] = True
                new_tile()[:] = pixels
    return kept


def cucim_tiles(path: Path, plan: TilePlan, new_tile: NewTile) -> NDArray[np.bool_]:
    """cuCIM on the CPU, in batches, one worker thread, its cache on: the fastest way that was found."""
    from cucim import CuImage

    CuImage.cache("per_process", memory_capacity=CUCIM_CACHE_MIB)
    kept = np.zeros(plan.n_tiles, dtype=bool)
    batches = CuImage(str(path)).read_region(
        location=plan.xy_l0.tolist(),
        size=(plan.side_level, plan.side_level),
        level=plan.level,
        batch_size=CUCIM_BATCH,
        num_workers=1,
    )
    tiles = (tile for batch in batches for tile in np.asarray(batch).reshape(-1, plan.side_level, plan.side_level, 3))
    for index, pixels in enumerate(tiles):
        if is_kept(Image.fromarray(pixels)):
            kept[index] = True
            new_tile()[:] = pixels
    return kept


DEEPZOOM = Peer("DeepZoom loop", deepzoom, "openslide", "openslide-python openslide-bin")
OPENSLIDE = Peer("OpenSlide, tile by tile", openslide_tiles, "openslide", "openslide-python openslide-bin")
TIFFSLIDE = Peer("tiffslide", tiffslide_tiles, "tiffslide", "tiffslide")
CUCIM = Peer("cuCIM, batch", cucim_tiles, "cucim", "cucim-cu12")
PEERS = (DEEPZOOM, OPENSLIDE, TIFFSLIDE, CUCIM)
