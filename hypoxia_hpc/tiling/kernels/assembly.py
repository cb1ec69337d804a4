"""Numba kernels that put a kept tile together from the blocks on which it lies. All of them run without the GIL."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hypoxia_hpc.machine.compiling import kernel
from hypoxia_hpc.records import Int64Array, UInt8Array
from hypoxia_hpc.tiling.kernels.packed import U32, PackedArray, average_square, count_background
from hypoxia_hpc.tiling.kernels.planes import PACKED, unpack_run
from hypoxia_hpc.tiling.kernels.state import (
    BACKGROUND,
    KEPT,
    NUMBER_AT,
    UNREADABLE,
    Band,
    Int32Array,
    Layout,
    block_at,
    by_name,
    columns_of,
    overlap,
    rows_at,
    rows_of,
    touches_bad,
)
from hypoxia_hpc.tiling.kernels.vectors import PIXELS, pack_pixels, prefetch

# How far ahead pixels are fetched while a tile is assembled: 2 to 16 lines are alike.
LINES_AHEAD = 4


class Piece(NamedTuple):
    """The part of a tile that lies in one block, all int: ``slot`` of the pool, ``y``, ``x`` in the block, ``tile_y``,
    ``tile_x`` in the tile, ``height``, ``width``, ``form`` of the block's pixels."""

    slot: int
    y: int
    x: int
    tile_y: int
    tile_x: int
    height: int
    width: int
    form: int


# Positions in a row of the pieces.
PIECE_AT = Piece(*range(len(Piece._fields)))


@kernel()
def _pieces(layout: Layout, band: Band, row: int) -> tuple[Int64Array, int]:
    """Where the tile at ``column`` of the numbers lies in its blocks: int64 (n, 8), a Piece in each row, row by row of
    blocks; and how many make a row of blocks."""
    column = band.numbers[NUMBER_AT.column]
    block_rows, block_columns = rows_of(layout, row), columns_of(layout, column)
    n_across = block_columns[1] - block_columns[0] + 1
    pieces = np.empty(((block_rows[1] - block_rows[0] + 1) * n_across, len(PIECE_AT)), dtype=np.int64)
    for number in range(len(pieces)):
        block_row, block_column = block_rows[0] + number // n_across, block_columns[0] + number % n_across
        top = layout.top + block_row * layout.block_height
        left = layout.left + block_column * layout.block_width
        y0, y1 = overlap(top, layout.block_height, row * layout.side, layout.side)
        x0, x1 = overlap(left, layout.block_width, column * layout.side, layout.side)
        piece = pieces[number]
        piece[PIECE_AT.slot] = band.slots[block_row, block_column]
        piece[PIECE_AT.form] = band.forms[block_row, block_column]
        piece[PIECE_AT.y], piece[PIECE_AT.x] = y0 - top, x0 - left
        piece[PIECE_AT.tile_y], piece[PIECE_AT.tile_x] = y0 - row * layout.side, x0 - column * layout.side
        piece[PIECE_AT.height], piece[PIECE_AT.width] = y1 - y0, x1 - x0
    return pieces, n_across


@kernel()
def _copy_run(source: PackedArray, start: int, target: UInt8Array, to: int, n: int) -> None:
    """Unpack ``n`` pixels of ``source``, uint32, from ``start`` on, into ``target``, uint8, from ``to`` on."""
    x = 0
    while x + PIXELS <= n:
        pack_pixels(source, start + x, target, to + 3 * x)
        x += PIXELS
    if x < n and n >= PIXELS:
        pack_pixels(source, start + n - PIXELS, target, to + 3 * (n - PIXELS))  # some pixels a second time
        return
    while x < n:
        pixel = source[start + x]
        target[to + 3 * x] = np.uint8(pixel)
        target[to + 3 * x + 1] = np.uint8(pixel >> U32(8))
        target[to + 3 * x + 2] = np.uint8(pixel >> U32(16))
        x += 1


@kernel()
def assemble_tile(
    plan: Int64Array,
    pool: PackedArray,
    of_blocks: Int32Array,
    of_tiles: Int64Array,
    numbers: Int64Array,
    row: int,
    tile: UInt8Array,
) -> None:
    """Copy the tile at ``column`` of the numbers out of its blocks into uint8 (side, 3 · side), mark it as kept, and go
    on to the next tile.

    The copy goes row by row across all blocks that lie side by side, and fetches some rows ahead: blocks from the band
    above have left the caches, and the processor does not foresee such narrow pieces (299 px tiles, 240 px blocks, one
    Zen 4 core: 23 µs a tile; block by block 26, without prefetch and shuffle 32).
    """
    layout, _, _, band = by_name(plan, pool, of_blocks, of_tiles, numbers)
    pixels, rgb, target = pool.reshape(-1), tile.reshape(-1), int(tile.ctypes.data)
    width, height = layout.block_width, layout.block_height
    pieces, n_across = _pieces(layout, band, row)
    ahead = LINES_AHEAD * width
    rows = rows_at(band)
    for first in range(0, len(pieces), n_across):
        for line in range(pieces[first, PIECE_AT.height]):
            for number in range(first, first + n_across):
                piece = pieces[number]
                slot, form, n = piece[PIECE_AT.slot], piece[PIECE_AT.form], piece[PIECE_AT.width]
                y, x = piece[PIECE_AT.y] + line, piece[PIECE_AT.x]
                to = 3 * ((piece[PIECE_AT.tile_y] + line) * layout.side + piece[PIECE_AT.tile_x])
                if form == PACKED:
                    start = (slot * height + y) * width + x
                    for i in range(0, n, PIXELS):
                        prefetch(pixels, start + ahead + i)
                    _copy_run(pixels, start, rgb, to, n)
                else:
                    block = block_at(layout, band, slot)
                    unpack_run(block, form, width, height, x, y, n, rows, False, target + to)
    band.states[0, band.numbers[NUMBER_AT.column]] = KEPT
    band.numbers[NUMBER_AT.column] += 1


@kernel()
def _copy_piece(layout: Layout, band: Band, piece: Int64Array, square: PackedArray) -> None:
    """Copy what a block has of a tile, as :func:`_pieces` says it, to the tile's packed pixels."""
    slot, form, y, x = piece[PIECE_AT.slot], piece[PIECE_AT.form], piece[PIECE_AT.y], piece[PIECE_AT.x]
    tile_y, tile_x = piece[PIECE_AT.tile_y], piece[PIECE_AT.tile_x]
    n_rows, n = piece[PIECE_AT.height], piece[PIECE_AT.width]
    if form == PACKED:
        square[tile_y : tile_y + n_rows, tile_x : tile_x + n] = band.pool[slot, y : y + n_rows, x : x + n]
        return
    width, height, block, rows = layout.block_width, layout.block_height, block_at(layout, band, slot), rows_at(band)
    for line in range(n_rows):
        target = int(square.ctypes.data) + 4 * ((tile_y + line) * square.shape[1] + tile_x)
        unpack_run(block, form, width, height, x, y + line, n, rows, True, target)


@kernel()
def average_tile(
    plan: Int64Array,
    pool: PackedArray,
    of_blocks: Int32Array,
    of_tiles: Int64Array,
    numbers: Int64Array,
    row: int,
    square: PackedArray,
    reduced: PackedArray,
) -> bool:
    """Gather the square at ``column`` of the numbers in ``square``, uint32 (side, side), average it to ``reduced``,
    uint32 (px, px), decide the tile, and go on to the next. Returns whether the tile is kept. A block that did not
    decode is black, so that the count is a lower bound."""
    layout, rule, _, band = by_name(plan, pool, of_blocks, of_tiles, numbers)
    column = band.numbers[NUMBER_AT.column]
    for piece in _pieces(layout, band, row)[0]:
        _copy_piece(layout, band, piece, square)
    average_square(square, 0, reduced)
    band.counts[0, column] = count_background(reduced, 0, reduced.shape[1], rule.white)
    if band.counts[0, column] > rule.most_background:
        band.states[0, column] = BACKGROUND
    elif touches_bad(layout, band, row, column):
        band.states[0, column] = UNREADABLE
    else:
        band.states[0, column] = KEPT
    band.numbers[NUMBER_AT.column] += 1
    return bool(band.states[0, column] == KEPT)


@kernel()
def unpack_tile(band: PackedArray, left: int, tile: UInt8Array) -> None:
    """Unpack the square at column ``left`` of a C-contiguous band, uint32 (px, width), into uint8 (px, 3 · px)."""
    pixels, rgb = band.reshape(-1), tile.reshape(-1)
    for y in range(band.shape[0]):
        _copy_run(pixels, y * band.shape[1] + left, rgb, y * tile.shape[1], band.shape[0])
