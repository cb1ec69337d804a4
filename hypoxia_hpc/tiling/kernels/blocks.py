"""Numba kernels that decide tiles from the blocks that a reader decodes, which do not line up with the tiles.

Pixels are packed as in :mod:`pixels`, uint32 with R in the lowest byte, or in planes as in :mod:`planes`: each block
has a form of its own. All kernels run without the GIL.
"""

from __future__ import annotations

import numpy as np

from hypoxia_hpc.machine.compiling import kernel
from hypoxia_hpc.records import Int64Array
from hypoxia_hpc.tiling.kernels.packed import PackedArray, count_columns
from hypoxia_hpc.tiling.kernels.planes import PACKED, LumaRule, count_planes
from hypoxia_hpc.tiling.kernels.state import (
    BACKGROUND,
    COUNTING_AT,
    NUMBER_AT,
    UNDECIDED,
    UNREADABLE,
    Band,
    CutRule,
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

# What ``advance`` asks for, beside the number of a block to read.
ASSEMBLE, BAND_DONE, NO_ROOM = -1, -2, -3
# What ``_decide`` returns for a tile that needs nothing more.
DECIDED = -4


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
        block = block_at(layout, band, slot)
        count_planes(block, form, width, height, y0, y1, rule.white, luma, rows_at(band), light)


@kernel()
def _count_block(
    layout: Layout, rule: CutRule, luma: LumaRule, band: Band, row: int, block_row: int, block_column: int
) -> None:
    """Add a block's background pixels to the undecided tiles that it touches in this band and in the next, as far as
    they are not counted yet. A tile that already has too many needs no exact count."""
    left = layout.left + block_column * layout.block_width
    top = layout.top + block_row * layout.block_height
    first, stop = _touched_by(layout, block_column)
    light = np.empty(layout.block_width, dtype=np.uint32)
    for at in range(2):
        y0, y1 = overlap(top, layout.block_height, (row + at) * layout.side, layout.side)
        if band.counted[block_row, block_column] >= row + at or y0 >= y1:
            continue
        column = _first_open(rule, band, at, first, stop)
        if column < stop:
            _count_columns(layout, rule, luma, band, block_row, block_column, y0 - top, y1 - top, light)
        while column < stop:
            x0, x1 = overlap(left, layout.block_width, column * layout.side, layout.side)
            for x in range(x0 - left, x1 - left):
                band.counts[at, column] += light[x]
            column = _first_open(rule, band, at, column + 1, stop)
    band.counted[block_row, block_column] = row + 1


@kernel()
def _worth(layout: Layout, rule: CutRule, band: Band, row: int, column: int, block_row: int, block_column: int) -> int:
    """How useful it is to read a block: the number of undecided tiles that it proves to be background if it is all
    white; among equals, how much of this tile it covers."""
    left = layout.left + block_column * layout.block_width
    top = layout.top + block_row * layout.block_height
    proofs = 0
    for at in range(2):
        y0, y1 = overlap(top, layout.block_height, (row + at) * layout.side, layout.side)
        for other in range(column, min(layout.columns, -(-(left + layout.block_width) // layout.side))):
            x0, x1 = overlap(left, layout.block_width, other * layout.side, layout.side)
            counted = band.counts[at, other]
            undecided = band.states[at, other] == UNDECIDED and counted <= rule.most_background
            if undecided and y1 > y0 and counted + (y1 - y0) * (x1 - x0) > rule.most_background:
                proofs += 1
    x0, x1 = overlap(left, layout.block_width, column * layout.side, layout.side)
    y0, y1 = overlap(top, layout.block_height, row * layout.side, layout.side)
    return int(proofs * (layout.side * layout.side + 1) + (y1 - y0) * (x1 - x0))


@kernel()
def _next_block(layout: Layout, rule: CutRule, band: Band, row: int, column: int) -> int:
    """Number of the block to read next for a tile; -1 when all of them are in the pool, or have been: a tile that is
    proven to be background needs no block a second time."""
    block_rows, block_columns = rows_of(layout, row), columns_of(layout, column)
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
def _needed_below(layout: Layout, rule: CutRule, band: Band, row: int, block_row: int, block_column: int) -> bool:
    """Whether the next band, or one below it, may need a block's pixels again. On a slide with much background this
    halves the blocks that are held, so that more of the others stay in the caches."""
    if layout.top + (block_row + 1) * layout.block_height > (row + 2) * layout.side:
        return True
    first, stop = _touched_by(layout, block_column)
    return bool(_first_open(rule, band, 1, first, stop) < stop)


@kernel()
def _release(layout: Layout, rule: CutRule, band: Band, row: int, stop: int) -> None:
    """Give back the slots of block columns before ``stop``; those that the next band needs stay while there is room."""
    numbers = band.numbers
    block_rows = rows_of(layout, row)
    next_first = rows_of(layout, row + 1)[0] if row + 1 < layout.rows else layout.block_rows
    for block_column in range(numbers[NUMBER_AT.released], stop):
        for block_row in range(block_rows[0], block_rows[1] + 1):
            slot = band.slots[block_row, block_column]
            if slot < 0:
                continue
            numbers[NUMBER_AT.n_carried] -= band.carried[block_row, block_column]
            band.carried[block_row, block_column] = 0
            room = numbers[NUMBER_AT.n_carried] + numbers[NUMBER_AT.n_retained] + layout.reserve < len(band.free)
            if block_row >= next_first and room and _needed_below(layout, rule, band, row, block_row, block_column):
                numbers[NUMBER_AT.n_retained] += 1
                band.carried[block_row, block_column] = 1
            else:
                band.slots[block_row, block_column] = -1
                band.free[numbers[NUMBER_AT.n_free]] = slot
                numbers[NUMBER_AT.n_free] += 1
    numbers[NUMBER_AT.released] = max(numbers[NUMBER_AT.released], stop)


@kernel()
def begin_band(
    plan: Int64Array,
    pool: PackedArray,
    of_blocks: Int32Array,
    of_tiles: Int64Array,
    numbers: Int64Array,
    row: int,
) -> None:
    """Start a row of tiles, whose states are set: the counts that it has so far move up, and the blocks kept from the
    row before are counted for the row below (which matters where they are higher than a tile)."""
    layout, rule, luma, band = by_name(plan, pool, of_blocks, of_tiles, numbers)
    numbers[NUMBER_AT.column] = numbers[NUMBER_AT.released] = 0
    numbers[NUMBER_AT.n_carried], numbers[NUMBER_AT.n_retained] = numbers[NUMBER_AT.n_retained], 0
    band.counts[0] = band.counts[1]
    band.counts[1] = 0
    block_rows = rows_of(layout, row)
    if plan[COUNTING_AT] and numbers[NUMBER_AT.n_carried]:
        for block_row in range(block_rows[0], block_rows[1] + 1):
            for block_column in range(layout.block_columns):
                if band.slots[block_row, block_column] >= 0:
                    _count_block(layout, rule, luma, band, row, block_row, block_column)


@kernel(inline="always")
def _take_slot(layout: Layout, band: Band, number: int) -> int:
    """Give a block a slot of the pool: the number of the block, or NO_ROOM where no slot is free."""
    numbers = band.numbers
    if numbers[NUMBER_AT.n_free] == 0:
        return NO_ROOM
    numbers[NUMBER_AT.n_free] -= 1
    numbers[NUMBER_AT.slot] = band.free[numbers[NUMBER_AT.n_free]]
    band.slots[number // layout.block_columns, number % layout.block_columns] = numbers[NUMBER_AT.slot]
    return number


@kernel(inline="always")
def _decide(layout: Layout, rule: CutRule, band: Band, row: int, column: int, counting: int) -> int:
    """Decide an undecided tile, and return DECIDED; else the number of the block that it needs next, NO_ROOM where the
    pool has no slot for it, or ASSEMBLE."""
    is_background = band.counts[0, column] > rule.most_background
    number = -1 if rule.screen and is_background else _next_block(layout, rule, band, row, column)
    if number >= 0:
        return int(_take_slot(layout, band, number))
    if is_background:
        band.states[0, column] = BACKGROUND
    elif counting and touches_bad(layout, band, row, column):
        band.states[0, column] = UNREADABLE
    else:
        return ASSEMBLE
    return DECIDED


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
    """Go on through a band: count the block that was just ``read`` (-1: none), whose pixels lie in ``form``, and decide
    tiles from left to right.

    Returns the number of the block that is needed next, to be read into the pool at ``slot`` of the numbers; ASSEMBLE
    where the tile at ``column`` has all its blocks and is, as far as is known, kept; BAND_DONE; or NO_ROOM, which only
    a bug can cause.
    """
    layout, rule, luma, band = by_name(plan, pool, of_blocks, of_tiles, numbers)
    if read >= 0:
        block_row, block_column = read // layout.block_columns, read % layout.block_columns
        band.forms[block_row, block_column] = form
        if plan[COUNTING_AT]:
            _count_block(layout, rule, luma, band, row, block_row, block_column)
    while band.numbers[NUMBER_AT.column] < layout.columns:
        column = int(band.numbers[NUMBER_AT.column])
        _release(layout, rule, band, row, columns_of(layout, column)[0])
        if band.states[0, column] == UNDECIDED:
            request = _decide(layout, rule, band, row, column, plan[COUNTING_AT])
            if request != DECIDED:
                return int(request)
        band.numbers[NUMBER_AT.column] += 1
    _release(layout, rule, band, row, layout.block_columns)
    return BAND_DONE
