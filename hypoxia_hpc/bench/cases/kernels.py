"""Kernels that go over every pixel, against reading the same memory once. One core, out of every cache."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np

from hypoxia_hpc.bench.case import Case, Place, Prepared, require
from hypoxia_hpc.machine.compiling import kernel
from hypoxia_hpc.records import UInt8Array
from hypoxia_hpc.tiling.kernels.packed import PackedArray, average_square, count_background
from hypoxia_hpc.tiling.kernels.reduce import reduce_block

WHITE, TILE_PX = 220, 299
TILES_IN_BAND = 200  # 71 MB: larger than any cache
BLOCK_PX, CHECKED_PX = 4096, 512
AVERAGED_PX = 1196  # four pixels of a 299 px tile, a side


@kernel()
def read_memory(band: PackedArray) -> np.uint32:
    """The bound: touch every pixel, do nothing with it."""
    total = np.uint32(0)
    for y in range(band.shape[0]):
        row = band[y]
        for x in range(row.shape[0]):
            total = np.uint32(total + row[x])
    return total


def numpy_count(rgba: UInt8Array, white: int) -> int:
    """Pixels of uint8 (h, w, 4) that are background: the tiling rule in NumPy."""
    red, green, blue = (rgba[..., channel].astype(np.int32) for channel in range(3))
    luma = (19595 * red + 38470 * green + 7471 * blue + 32768) >> 16
    return int(np.count_nonzero(luma >= white))


def light_pixels(height: int, width: int) -> UInt8Array:
    """Opaque pixels around the limit of background, uint8 (height, width, 4)."""
    pixels = np.random.default_rng(0).integers(150, 256, (height, width, 4), dtype=np.uint8)
    pixels[..., 3] = 255
    return pixels


def packed_of(pixels: UInt8Array) -> PackedArray:
    """The same memory, a number a pixel."""
    packed: PackedArray = pixels.view("<u4")[..., 0]
    return packed


@contextmanager
def background(_: Place) -> Iterator[Prepared]:
    pixels = light_pixels(TILE_PX, TILE_PX * TILES_IN_BAND)
    band = packed_of(pixels)

    def check() -> str:
        found, expected = count_background(band, 0, TILE_PX, WHITE), numpy_count(pixels[:, :TILE_PX], WHITE)
        require(found == expected, f"the background kernel counts {found} pixels, NumPy {expected}")
        return "the same count as NumPy"

    work = partial(count_background, band, 0, band.shape[1], WHITE)
    yield Prepared(band.size / 1e6, work, {"reading the memory": partial(read_memory, band)}, check)


def numpy_averages(pixels: UInt8Array, factor: int) -> UInt8Array:
    """Squares of ``factor`` pixels averaged, halves rounded up, uint8 (h, w, 4) to (h / factor, w / factor, 4)."""
    height, width = (side // factor for side in pixels.shape[:2])
    sums = pixels.reshape(height, factor, width, factor, 4).sum(axis=(1, 3), dtype=np.int64)
    averages: UInt8Array = ((sums + factor**2 // 2) // factor**2).astype(np.uint8)
    return averages


@contextmanager
def halving(_: Place) -> Iterator[Prepared]:
    pixels = light_pixels(BLOCK_PX, BLOCK_PX)
    block, out = packed_of(pixels), np.empty((BLOCK_PX // 2, BLOCK_PX // 2), dtype=np.uint32)

    def check() -> str:
        out.fill(0)
        reduce_block(block, 2, out)
        half = CHECKED_PX // 2
        expected = numpy_averages(pixels[:CHECKED_PX, :CHECKED_PX], 2)
        same = np.array_equal(out[:half, :half], packed_of(expected))
        require(same, "halved pixels differ from NumPy's averages")
        return "the same pixels as NumPy's averages"

    work = partial(reduce_block, block, 2, out)
    yield Prepared(block.size / 1e6, work, {"reading the memory": partial(read_memory, block)}, check)


@contextmanager
def averaging(_: Place) -> Iterator[Prepared]:
    pixels = light_pixels(AVERAGED_PX, AVERAGED_PX * 12)
    band, tile = packed_of(pixels), np.empty((TILE_PX, TILE_PX), dtype=np.uint32)
    lefts = range(0, band.shape[1], AVERAGED_PX)

    def check() -> str:
        tile.fill(0)
        average_square(band, 0, tile)
        same = np.array_equal(tile, packed_of(numpy_averages(pixels[:, :AVERAGED_PX], AVERAGED_PX // TILE_PX)))
        require(same, "averaged squares differ from NumPy's averages")
        return "the same pixels as NumPy's averages"

    def work() -> None:
        for left in lefts:
            average_square(band, left, tile)

    yield Prepared(band.size / 1e6, work, {"reading the memory": partial(read_memory, band)}, check)


CASES = (
    Case(
        "background", "kernels", "count pixels as light as glass", "Mpx", "reading the memory", background,
        is_steady=True,
    ),
    Case("halving", "kernels", "average squares of 2 x 2 pixels", "Mpx", "reading the memory", halving, is_steady=True),
    Case(
        "averaging", "kernels", "average squares of any size into a tile", "Mpx", "reading the memory", averaging,
        is_steady=True,
    ),
)  # fmt: skip
