"""Slides as large as scanners make them, in files of a few megabytes: their tile offsets point again and again at a few
hundred encoded native tiles."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np

from hypoxia_hpc.bench.slides import (
    EDITION,
    GLASS_CELL_PX,
    TISSUE_CELL_PX,
    Recipe,
    bands,
    cells,
    codec_tags,
    description,
    glass_patches,
    native_tiles,
    tissue_blocks,
    whole_file,
    write_thumbnail,
)
from hypoxia_hpc.records import Int64Array, UInt8Array
from hypoxia_hpc.synthetic import svs
from hypoxia_hpc.synthetic.svs import NATIVE_PX

LARGE_PX = 100_000
LARGE_PLANAR_HEIGHT_PX = 6_000
PLANAR_TAGS: svs.Tags = {259: ("H", (8,)), 262: ("H", (2,)), 284: ("H", (2,))}  # deflate, colours apart


def made_large(folder: Path, *, codec: str, height_px: int) -> Path:
    """A slide 100,000 px wide whose tile offsets point again and again at a few hundred encoded native tiles: tissue
    over the whole width in every thirteenth group of sixteen native rows, glass elsewhere.

    codec: "jpeg", or "planar": deflate with the colours in planes of their own, which OpenSlide alone reads.
    """
    path = folder / f"{codec}-{LARGE_PX}x{height_px}-e{EDITION}.svs"
    if not path.exists():
        with whole_file(path) as file:
            _write_large(file, codec, height_px)
    return path


def _write_large(file: BinaryIO, codec: str, height_px: int) -> None:
    recipe, size, rng = Recipe(codec, height_px), (LARGE_PX, height_px), np.random.default_rng(0)
    link = svs.write_header(file)
    sources = ((tissue_blocks(0.5), TISSUE_CELL_PX), (glass_patches(), GLASS_CELL_PX))
    pools = np.stack([_write_pool(file, next(bands(cells(rng, *source))), codec) for source in sources])
    tags = PLANAR_TAGS if codec == "planar" else codec_tags(codec)
    for downsample in (1, 4, 16):
        width, height = LARGE_PX // downsample, height_px // downsample
        offsets, counts = _draw_places(rng, pools, (width, height), downsample)
        said = description(size, (width, height) if downsample > 1 else None, recipe)
        link = svs.write_page(file, link, (width, height), said, svs.tiled_layout(offsets, counts) | tags)
        if downsample == 1:
            link = write_thumbnail(file, link, size, glass_patches()[0], recipe)


def _write_pool(file: BinaryIO, band: UInt8Array, codec: str) -> Int64Array:
    """Encode the native tiles of a band; offset and byte count of each, int64 (n, planes, 2)."""
    if codec == "planar":
        squares = np.split(band, band.shape[1] // NATIVE_PX, axis=1)
        encoded = [zlib.compress(square[..., plane].tobytes()) for square in squares for plane in range(3)]
    else:
        encoded = list(native_tiles(band, codec))
    places = np.array(svs.write_blocks(file, iter(encoded)), dtype=np.int64)
    return places.T.reshape(band.shape[1] // NATIVE_PX, -1, 2)


def _draw_places(
    rng: np.random.Generator, pools: Int64Array, size_level: tuple[int, int], downsample: int
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Offsets and byte counts for every native tile of a level, tissue where the middle of its row lies on tissue."""
    columns, rows = (-(-side // NATIVE_PX) for side in size_level)
    middle_l0 = (np.arange(rows) + 0.5) * NATIVE_PX * downsample
    is_glass = (middle_l0 // (16 * NATIVE_PX) % 13 != 1).astype(int)
    drawn = pools[is_glass[:, None], rng.integers(pools.shape[1], size=(rows, columns))]
    places = drawn.transpose(2, 0, 1, 3).reshape(-1, 2)
    return tuple(places[:, 0].tolist()), tuple(places[:, 1].tolist())
