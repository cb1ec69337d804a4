"""Numba kernels over blocks: the rectangles that a reader decodes whole, which lie across the tiles as they please.

Pixels are packed as in :mod:`kernels`, uint32 with R in the lowest byte, or in planes as in :mod:`planes`: each block
has a form of its own. A *band* is one row of tiles. All of them run without the GIL.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hypoxia_hpc.records import Int64Array, UInt8Array
from hypoxia_hpc.tiling.kernels.compiling import kernel
from hypoxia_hpc.tiling.kernels.pixels import U32, PackedArray, average_square, count_background, count_columns
from hypoxia_hpc.tiling.kernels.planes import PACKED, LumaRule, count_planes, luma_rule, nbytes_of_rows, unpack_run
from hypoxia_hpc.tiling.kernels.vectors import PIXELS, pack_pixels, prefetch

Int32Array = NDArray[np.int32]

# What becomes of a tile.
UNDECIDED, KEPT, BACKGROUND, UNREADABLE, MASKED = 0, 1, 2, 3, 4
# What ``advance`` asks for, beside the number of a block to read.
ASSEMBLE, BAND_DONE, NO_ROOM = -1, -2, -3
# Slots of the mutable numbers in ``Band.numbers``.
COLUMN, N_FREE, N_CARRIED, N_RETAINED, RELEASED, SLOT, FREE = 0, 1, 2, 3, 4, 5, 6
# Where ``Arrays.plan`` says whether blocks are counted.
COUNTING = 13
# How far ahead pixels are fetched while a tile is assembled: 2 to 16 lines are alike.
LINES_AHEAD = 4


class Layout(NamedTuple):
    """Where tiles and blocks lie, in one plane of pixels: all int. Tiles begin at (0, 0); blocks at ``left``, ``top``,
    which are 0 or below. ``reserve`` is the most blocks that one tile touches."""

    side: int
    columns: int
    rows: int
    left: int
    top: int
    block_width: int
    block_height: int
    block_columns: int
    block_rows: int
    reserve: int


class CutRule(NamedTuple):
    """``white``: gray level from which a pixel is background. ``most_background``: pixels of a kept tile. ``screen``:
    leave out blocks that cannot change a decision."""

    white: int
    most_background: int
    screen: bool


class Band(NamedTuple):
    """The mutable state of a row of tiles and, at index 1, of the row below it.

    ``pool`` uint32 (slots, h, w): the decoded blocks. Per block, int32 (block rows, block columns): ``slots``, where it
    lies in the pool, or -1; ``counted``, the last row of tiles for which its pixels are counted, -1 at first; ``bad``,
    1 where it did not decode; ``carried``, 1 where it was kept from the row before; ``forms``, how its pixels lie, as
    :mod:`planes` names it. Per tile, int64 (2, columns):
    ``counts`` of background pixels, ``states``. ``numbers`` int64: the slots named above, then the stack ``free`` of
    slots of the pool, then scratch memory for rows of chroma.
    """

    pool: PackedArray
    slots: Int32Array
    counted: Int32Array
    bad: Int32Array
    carried: Int32Array
    forms: Int32Array
    counts: Int64Array
    states: Int64Array
    numbers: Int64Array
    free: Int64Array


class Arrays(NamedTuple):
    """Layout, rule and band as they cross from Python: five arrays cost 0.5 µs a call, the same as three named tuples
    2.6, and there is a call for every block. ``plan`` int64: layout, rule, whether blocks are counted when they are
    read (not so where tiles are averaged from larger squares, so that only whole ones can be decided), and what luma
    says."""

    plan: Int64Array
    pool: PackedArray
    of_blocks: Int32Array
    of_tiles: Int64Array
    numbers: Int64Array


def nbytes_for_blocks(shape: tuple[int, ...]) -> int:
    """Bytes of memory in which :func:`room_for_blocks` finds room for uint8 of a shape."""
    return math.prod(shape) + 64


def room_for_blocks(shape: tuple[int, ...], memory: UInt8Array | None = None) -> UInt8Array:
    """Uninitialised uint8 of a shape, beginning 8 bytes behind a multiple of 32, in ``memory`` or in fresh memory.

    Where rows begin at multiples of 32 bytes libjpeg-turbo writes past the cache, from where they are read next: a tile
    of 240 px takes 130 or 242 µs to decode then (Zen 4), else 117.
    """
    if memory is None:
        memory = np.empty(nbytes_for_blocks(shape), dtype=np.uint8)
    start = -memory.ctypes.data % 32 + 8
    return memory[start : start + math.prod(shape)].reshape(shape)


def arrays_of(layout: Layout, rule: CutRule, pool: UInt8Array, *, counting: bool) -> Arrays:
    """The state before the first row of tiles, with ``pool``, uint8 (n, block height, block width, 4), for n blocks."""
    n_slots, scratch = len(pool), nbytes_of_rows(layout.block_width)
    of_blocks = np.full((5, layout.block_rows, layout.block_columns), -1, dtype=np.int32)
    of_blocks[2:] = 0
    return Arrays(
        plan=np.array([*layout, *rule, counting, *luma_rule(rule.white)], dtype=np.int64),
        pool=pool.view("<u4")[..., 0],
        of_blocks=of_blocks,
        of_tiles=np.zeros((2, 2, layout.columns), dtype=np.int64),
        numbers=np.array(
            [0, n_slots, 0, 0, 0, 0, *range(n_slots - 1, -1, -1), *[0] * -(-scratch // 8)], dtype=np.int64
        ),
    )


@kernel()
def _unpacked(
    plan: Int64Array, pool: PackedArray, of_blocks: Int32Array, of_tiles: Int64Array, numbers: Int64Array
) -> tuple[Layout, CutRule, LumaRule, Band]:
    layout = Layout(plan[0], plan[1], plan[2], plan[3], plan[4], plan[5], plan[6], plan[7], plan[8], plan[9])
    rule = CutRule(plan[10], plan[11], plan[12] != 0)
    band = Band(
        pool,
        of_blocks[0],
        of_blocks[1],
        of_blocks[2],
        of_blocks[3],
        of_blocks[4],
        of_tiles[0],
        of_tiles[1],
        numbers,
        numbers[FREE : FREE + len(pool)],
    )
    return layout, rule, LumaRule(plan[14], plan[15], plan[16]), band


@kernel()
def _columns_of(layout: Layout, column: int) -> tuple[int, int]:
    """First and last block column that a tile of this column touches."""
    left = column * layout.side - layout.left
    return left // layout.block_width, (left + layout.side - 1) // layout.block_width


@kernel()
def _rows_of(layout: Layout, row: int) -> tuple[int, int]:
    """First and last block row that the tiles of this row touch."""
    top = row * layout.side - layout.top
    return top // layout.block_height, (top + layout.side - 1) // layout.block_height


@kernel()
def _overlap(start: int, length: int, other: int, other_length: int) -> tuple[int, int]:
    return max(start, other), min(start + length, other + other_length)


@kernel()
def _touched_by(layout: Layout, block_column: int) -> tuple[int, int]:
    """First column of tiles that a block of this column touches, and the one behind the last."""
    left = layout.left + block_column * layout.block_width
    return max(0, left // layout.side), min(layout.columns, -(-(left + layout.block_width) // layout.side))


@kernel()
def _first_open(rule: CutRule, band: Band, at: int, column: int, stop: int) -> int:
    """The first column from ``column`` on whose tile is undecided and, as far as is counted, may be kept; else
    ``stop``."""
    while column < stop and (band.states[at, column] != UNDECIDED or band.counts[at, column] > rule.most_background):
        column += 1
    return column


@kernel()
def _count_columns(
    layout: Layout,
    rule: CutRule,
    luma: LumaRule,
    band: Band,
    block_row: int,
    block_column: int,
    y0: int,
    y1: int,
    light: PackedArray,
) -> None:
    """Background pixels in each column of rows ``y0`` to ``y1`` of a block, into uint32 (block width,)."""
    slot, form = band.slots[block_row, block_column], band.forms[block_row, block_column]
    width, height = layout.block_width, layout.block_height
    if form == PACKED:
        count_columns(band.pool[slot, y0:y1], rule.white, light)
    else:
        block = _block_at(layout, band, slot)
        count_planes(block, form, width, height, y0, y1, rule.white, luma, _rows_at(band), light)


@kernel()
def _block_at(layout: Layout, band: Band, slot: int) -> int:
    """The address of a block in the pool."""
    return int(band.pool.ctypes.data) + 4 * slot * layout.block_width * layout.block_height


@kernel()
def _rows_at(band: Band) -> int:
    """The address of scratch memory for rows of chroma, behind the slots of the pool."""
    return int(band.free.ctypes.data) + 8 * len(band.free)


@kernel()
def _count_block(
    layout: Layout, rule: CutRule, luma: LumaRule, band: Band, row: int, block_row: int, block_column: int
) -> None:
    """Add a block's background pixels to the undecided tiles that it touches in this band and in the next, as far as
    they are not counted yet. A tile that has too many already needs no exact count."""
    left = layout.left + block_column * layout.block_width
    top = layout.top + block_row * layout.block_height
    first, stop = _touched_by(layout, block_column)
    light = np.empty(layout.block_width, dtype=np.uint32)
    for at in range(2):
        y0, y1 = _overlap(top, layout.block_height, (row + at) * layout.side, layout.side)
        if band.counted[block_row, block_column] >= row + at or y0 >= y1:
            continue
        column = _first_open(rule, band, at, first, stop)
        if column < stop:
            _count_columns(layout, rule, luma, band, block_row, block_column, y0 - top, y1 - top, light)
        while column < stop:
            x0, x1 = _overlap(left, layout.block_width, column * layout.side, layout.side)
            for x in range(x0 - left, x1 - left):
                band.counts[at, column] += light[x]
            column = _first_open(rule, band, at, column + 1, stop)
    band.counted[block_row, block_column] = row + 1


@kernel()
def _worth(layout: Layout, rule: CutRule, band: Band, row: int, column: int, block_row: int, block_column: int) -> int:
    """How much a block may tell: of how many undecided tiles it could, all white, prove that they are background; among
    equals, how much of this tile it covers."""
    left = layout.left + block_column * layout.block_width
    top = layout.top + block_row * layout.block_height
    proofs = 0
    for at in range(2):
        y0, y1 = _overlap(top, layout.block_height, (row + at) * layout.side, layout.side)
        for other in range(column, min(layout.columns, -(-(left + layout.block_width) // layout.side))):
            x0, x1 = _overlap(left, layout.block_width, other * layout.side, layout.side)
            counted = band.counts[at, other]
            undecided = band.states[at, other] == UNDECIDED and counted <= rule.most_background
            if undecided and y1 > y0 and counted + (y1 - y0) * (x1 - x0) > rule.most_background:
                proofs += 1
    x0, x1 = _overlap(left, layout.block_width, column * layout.side, layout.side)
    y0, y1 = _overlap(top, layout.block_height, row * layout.side, layout.side)
    return int(proofs * (layout.side * layout.side + 1) + (y1 - y0) * (x1 - x0))


@kernel()
def _next_block(layout: Layout, rule: CutRule, band: Band, row: int, column: int) -> int:
    """Number of the block to read next for a tile, -1 when all are there, or were once: a tile that is proven to be
    background needs none of them again."""
    block_rows, block_columns = _rows_of(layout, row), _columns_of(layout, column)
    proven = band.counts[0, column] > rule.most_background
    best, most = -1, -1
    for block_row in range(block_rows[0], block_rows[1] + 1):
        for block_column in range(block_columns[0], block_columns[1] + 1):
            read_before = proven and band.counted[block_row, block_column] >= row
            if band.slots[block_row, block_column] < 0 and not read_before:
                number = block_row * layout.block_columns + block_column
                if not rule.screen:
                    return number
                worth = _worth(layout, rule, band, row, column, block_row, block_column)
                if worth > most:
                    best, most = number, worth
    return best


@kernel()
def _touches_bad(layout: Layout, band: Band, row: int, column: int) -> bool:
    block_rows, block_columns = _rows_of(layout, row), _columns_of(layout, column)
    for block_row in range(block_rows[0], block_rows[1] + 1):
        for block_column in range(block_columns[0], block_columns[1] + 1):
            if band.bad[block_row, block_column]:
                return True
    return False


@kernel()
def _needed_below(layout: Layout, rule: CutRule, band: Band, row: int, block_row: int, block_column: int) -> bool:
    """Whether the next band, or one below it, may want a block's pixels again. On a slide with much background this
    halves what is held, and so leaves the caches to the rest."""
    if layout.top + (block_row + 1) * layout.block_height > (row + 2) * layout.side:
        return True
    first, stop = _touched_by(layout, block_column)
    return bool(_first_open(rule, band, 1, first, stop) < stop)


@kernel()
def _release(layout: Layout, rule: CutRule, band: Band, row: int, stop: int) -> None:
    """Give back the slots of block columns before ``stop``; those that the next band needs stay while there is room."""
    numbers = band.numbers
    block_rows = _rows_of(layout, row)
    next_first = _rows_of(layout, row + 1)[0] if row + 1 < layout.rows else layout.block_rows
    for block_column in range(numbers[RELEASED], stop):
        for block_row in range(block_rows[0], block_rows[1] + 1):
            slot = band.slots[block_row, block_column]
            if slot < 0:
                continue
            numbers[N_CARRIED] -= band.carried[block_row, block_column]
            band.carried[block_row, block_column] = 0
            room = numbers[N_CARRIED] + numbers[N_RETAINED] + layout.reserve < len(band.free)
            if block_row >= next_first and room and _needed_below(layout, rule, band, row, block_row, block_column):
                numbers[N_RETAINED] += 1
                band.carried[block_row, block_column] = 1
            else:
                band.slots[block_row, block_column] = -1
                band.free[numbers[N_FREE]] = slot
                numbers[N_FREE] += 1
    numbers[RELEASED] = max(numbers[RELEASED], stop)


@kernel()
def begin_band(
    plan: Int64Array,
    pool: PackedArray,
    of_blocks: Int32Array,
    of_tiles: Int64Array,
    numbers: Int64Array,
    row: int,
) -> None:
    """Start a row of tiles, whose states are set: what was counted for it so far moves up, and the blocks carried over
    are counted for the row below it (which matters where they are higher than a tile)."""
    layout, rule, luma, band = _unpacked(plan, pool, of_blocks, of_tiles, numbers)
    numbers[COLUMN] = numbers[RELEASED] = 0
    numbers[N_CARRIED], numbers[N_RETAINED] = numbers[N_RETAINED], 0
    band.counts[0] = band.counts[1]
    band.counts[1] = 0
    block_rows = _rows_of(layout, row)
    if plan[COUNTING] and numbers[N_CARRIED]:
        for block_row in range(block_rows[0], block_rows[1] + 1):
            for block_column in range(layout.block_columns):
                if band.slots[block_row, block_column] >= 0:
                    _count_block(layout, rule, luma, band, row, block_row, block_column)


@kernel()
def _take_slot(layout: Layout, band: Band, number: int) -> None:
    numbers = band.numbers
    numbers[N_FREE] -= 1
    numbers[SLOT] = band.free[numbers[N_FREE]]
    band.slots[number // layout.block_columns, number % layout.block_columns] = numbers[SLOT]


@kernel()
def advance(
    plan: Int64Array,
    pool: PackedArray,
    of_blocks: Int32Array,
    of_tiles: Int64Array,
    numbers: Int64Array,
    row: int,
    read: int,
    form: int,
) -> int:
    """Go on through a band: count the block ``read`` just now (-1: none), whose pixels lie in ``form``, decide tiles
    from left to right, and return the number of the block that is needed next (to be read into SLOT of the pool),
    ASSEMBLE (the tile at COLUMN has all its blocks and is, as far as is known, kept), BAND_DONE, or NO_ROOM, which
    cannot be."""
    layout, rule, luma, band = _unpacked(plan, pool, of_blocks, of_tiles, numbers)
    if read >= 0:
        block_row, block_column = read // layout.block_columns, read % layout.block_columns
        band.forms[block_row, block_column] = form
        if plan[COUNTING]:
            _count_block(layout, rule, luma, band, row, block_row, block_column)
    while band.numbers[COLUMN] < layout.columns:
        column = int(band.numbers[COLUMN])
        _release(layout, rule, band, row, _columns_of(layout, column)[0])
        if band.states[0, column] == UNDECIDED:
            if rule.screen and band.counts[0, column] > rule.most_background:
                band.states[0, column] = BACKGROUND
            else:
                number = _next_block(layout, rule, band, row, column)
                if number >= 0:
                    if band.numbers[N_FREE] == 0:
                        return NO_ROOM
                    _take_slot(layout, band, number)
                    return int(number)
                if band.counts[0, column] > rule.most_background:
                    band.states[0, column] = BACKGROUND
                elif plan[COUNTING] and _touches_bad(layout, band, row, column):
                    band.states[0, column] = UNREADABLE
                else:
                    return ASSEMBLE
        band.numbers[COLUMN] += 1
    _release(layout, rule, band, row, layout.block_columns)
    return BAND_DONE


@kernel()
def _copy_run(source: PackedArray, start: int, target: UInt8Array, to: int, n: int) -> None:
    """Unpack ``n`` pixels of ``source``, uint32, from ``start`` on, into ``target``, uint8, from ``to`` on."""
    x = 0
    while x + PIXELS <= n:
        pack_pixels(source, start + x, target, to + 3 * x)
        x += PIXELS
    if x < n and n >= PIXELS:
        pack_pixels(source, start + n - PIXELS, target, to + 3 * (n - PIXELS))  # some of them once more
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
    """Copy the tile at COLUMN out of its blocks into uint8 (side, 3 · side), say that it is kept, and go on to the
    next.

    Row by row across the blocks beside each other, some rows ahead of which are fetched: those from the band above have
    left the caches, and their narrow pieces are what the processor does not guess (299 px tiles, 240 px blocks, one
    Zen 4 core: 23 µs a tile; block by block 26, without prefetch and shuffle 32).
    """
    layout, _, _, band = _unpacked(plan, pool, of_blocks, of_tiles, numbers)
    pixels, rgb, target = pool.reshape(-1), tile.reshape(-1), int(tile.ctypes.data)
    width, height = layout.block_width, layout.block_height
    pieces, n_across = _pieces(layout, band, row)
    ahead = LINES_AHEAD * width
    rows = _rows_at(band)
    for first in range(0, len(pieces), n_across):
        for line in range(pieces[first, 5]):
            for number in range(first, first + n_across):
                piece = pieces[number]
                slot, x, y, n, form = piece[0], piece[2], piece[1] + line, piece[6], piece[7]
                to = 3 * ((piece[3] + line) * layout.side + piece[4])
                if form == PACKED:
                    start = (slot * height + y) * width + x
                    for i in range(0, n, PIXELS):
                        prefetch(pixels, start + ahead + i)
                    _copy_run(pixels, start, rgb, to, n)
                else:
                    block = _block_at(layout, band, slot)
                    unpack_run(block, form, width, height, x, y, n, rows, False, target + to)
    band.states[0, band.numbers[COLUMN]] = KEPT
    band.numbers[COLUMN] += 1


@kernel()
def _pieces(layout: Layout, band: Band, row: int) -> tuple[Int64Array, int]:
    """Where the tile at COLUMN lies in its blocks, int64 (n, 8): slot of the pool, y, x in the block, y, x in the tile,
    height, width, form; row by row, and how many make a row."""
    column = band.numbers[COLUMN]
    block_rows, block_columns = _rows_of(layout, row), _columns_of(layout, column)
    n_across = block_columns[1] - block_columns[0] + 1
    pieces = np.empty(((block_rows[1] - block_rows[0] + 1) * n_across, 8), dtype=np.int64)
    for number in range(len(pieces)):
        block_row, block_column = block_rows[0] + number // n_across, block_columns[0] + number % n_across
        top = layout.top + block_row * layout.block_height
        left = layout.left + block_column * layout.block_width
        y0, y1 = _overlap(top, layout.block_height, row * layout.side, layout.side)
        x0, x1 = _overlap(left, layout.block_width, column * layout.side, layout.side)
        piece = pieces[number]
        piece[0] = band.slots[block_row, block_column]
        piece[1], piece[2] = y0 - top, x0 - left
        piece[3], piece[4] = y0 - row * layout.side, x0 - column * layout.side
        piece[5], piece[6] = y1 - y0, x1 - x0
        piece[7] = band.forms[block_row, block_column]
    return pieces, n_across


@kernel()
def _copy_piece(layout: Layout, band: Band, piece: Int64Array, square: PackedArray) -> None:
    """Copy what a block has of a tile, as :func:`_pieces` says it, to the tile's packed pixels."""
    slot, y, x, tile_y, tile_x = piece[0], piece[1], piece[2], piece[3], piece[4]
    n_rows, n, form = piece[5], piece[6], piece[7]
    if form == PACKED:
        square[tile_y : tile_y + n_rows, tile_x : tile_x + n] = band.pool[slot, y : y + n_rows, x : x + n]
        return
    width, height, block, rows = layout.block_width, layout.block_height, _block_at(layout, band, slot), _rows_at(band)
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
    """Average the square at COLUMN, gathered in ``square`` uint32 (side, side), to ``reduced`` uint32 (px, px), decide
    whether it is kept, say so, and go on to the next. A block that did not decode is black, so that the count is a
    lower bound."""
    layout, rule, _, band = _unpacked(plan, pool, of_blocks, of_tiles, numbers)
    column = band.numbers[COLUMN]
    for piece in _pieces(layout, band, row)[0]:
        _copy_piece(layout, band, piece, square)
    average_square(square, 0, reduced)
    band.counts[0, column] = count_background(reduced, 0, reduced.shape[1], rule.white)
    if band.counts[0, column] > rule.most_background:
        band.states[0, column] = BACKGROUND
    elif _touches_bad(layout, band, row, column):
        band.states[0, column] = UNREADABLE
    else:
        band.states[0, column] = KEPT
    band.numbers[COLUMN] += 1
    return bool(band.states[0, column] == KEPT)


@kernel()
def unpack_tile(packed: PackedArray, tile: UInt8Array) -> None:
    """Unpack uint32 (px, px) into uint8 (px, 3 · px)."""
    _copy_run(packed.reshape(-1), 0, tile.reshape(-1), 0, packed.size)
