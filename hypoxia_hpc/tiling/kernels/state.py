"""The state of cutting: where tiles and blocks lie, what is counted of each, and how it crosses into the kernels.

A *block* is a rectangle that a reader decodes as a whole: a native tile of the file, or a square of a region. Blocks do
not line up with the tiles. A *band* is one row of tiles.

Arrays cross from Python into the kernels, named fields are read inside them. Where a field lies in its array follows
from its name: each ``..._AT`` below holds the position of every field. Numba takes a named tuple of a module as a
constant, so that this costs nothing.
"""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hypoxia_hpc.machine.compiling import kernel
from hypoxia_hpc.records import Int64Array, UInt8Array
from hypoxia_hpc.tiling.kernels.packed import PackedArray
from hypoxia_hpc.tiling.kernels.planes import LumaRule, luma_rule, nbytes_of_rows

Int32Array = NDArray[np.int32]

# The state of a tile.
UNDECIDED, KEPT, BACKGROUND, UNREADABLE, MASKED = 0, 1, 2, 3, 4


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


class BlockState(NamedTuple):
    """What is known of each block: one int32 (block rows, block columns) a field.

    ``slots``: where it lies in the pool, or -1. ``counted``: the last row of tiles for which its pixels are counted, -1
    at first. ``bad``: 1 where it did not decode. ``carried``: 1 where it is kept from the row before. ``forms``: how
    its pixels lie, as :mod:`planes` names it.
    """

    slots: int
    counted: int
    bad: int
    carried: int
    forms: int


class TileState(NamedTuple):
    """What is known of each tile of the band and of the row below it: one int64 (2, columns) a field.

    ``counts``: its background pixels counted so far. ``states``: UNDECIDED, KEPT, BACKGROUND, UNREADABLE or MASKED.
    """

    counts: int
    states: int


class Numbers(NamedTuple):
    """The single numbers that change, all int.

    ``column``: of the tile that is decided next. ``n_free``: slots of the pool that hold no block. ``n_carried``:
    blocks kept from the row before. ``n_retained``: blocks kept for the row below. ``released``: block columns before
    this one are given back. ``slot``: where in the pool the next block is to be read.
    """

    column: int
    n_free: int
    n_carried: int
    n_retained: int
    released: int
    slot: int


# Positions in ``Arrays.plan``, one field behind the other.
_next_position = itertools.count()
LAYOUT_AT = Layout._make(next(_next_position) for _ in Layout._fields)
RULE_AT = CutRule._make(next(_next_position) for _ in CutRule._fields)
COUNTING_AT = next(_next_position)
LUMA_AT = LumaRule._make(next(_next_position) for _ in LumaRule._fields)
# Positions in ``Arrays.of_blocks``, ``.of_tiles`` and ``.numbers``. Behind the numbers comes the stack of free slots.
BLOCK_AT = BlockState(*range(len(BlockState._fields)))
TILE_AT = TileState(*range(len(TileState._fields)))
NUMBER_AT = Numbers(*range(len(Numbers._fields)))
FREE_AT = len(NUMBER_AT)


class Band(NamedTuple):
    """The changing state of a row of tiles and of the row below it, by name, as the kernels read it.

    ``pool`` uint32 (slots, h, w): the decoded blocks. The fields of BlockState, int32 (block rows, block columns), and
    those of TileState, int64 (2, columns), with the row below at index 1. ``numbers`` int64: those of Numbers, then
    the stack ``free`` of slots of the pool, then scratch memory for rows of chroma.
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
    """Layout, rule and band as they cross from Python. There is a call for every block, and five arrays cost 0.5 µs a
    call where three named tuples of the same content cost 2.6.

    ``plan`` int64: Layout, CutRule, whether blocks are counted when they are read, LumaRule. Blocks are not counted
    where tiles are averaged from larger squares: only whole squares can be decided.
    ``pool`` as in Band. ``of_blocks`` int32 (5, block rows, block columns): BlockState. ``of_tiles`` int64 (2, 2,
    columns): TileState. ``numbers`` as in Band.
    """

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
    of_blocks = np.zeros((len(BLOCK_AT), layout.block_rows, layout.block_columns), dtype=np.int32)
    of_blocks[BLOCK_AT.slots] = of_blocks[BLOCK_AT.counted] = -1
    numbers = np.zeros(FREE_AT + n_slots + -(-scratch // 8), dtype=np.int64)
    numbers[NUMBER_AT.n_free] = n_slots
    numbers[FREE_AT : FREE_AT + n_slots] = np.arange(n_slots)[::-1]
    return Arrays(
        plan=np.array([*layout, *rule, counting, *luma_rule(rule.white)], dtype=np.int64),
        pool=pool.view("<u4")[..., 0],
        of_blocks=of_blocks,
        of_tiles=np.zeros((len(TILE_AT), 2, layout.columns), dtype=np.int64),
        numbers=numbers,
    )


# Inlined: handing the named tuples back by value costs 0.3 µs a call.
@kernel(inline="always")
def by_name(
    plan: Int64Array, pool: PackedArray, of_blocks: Int32Array, of_tiles: Int64Array, numbers: Int64Array
) -> tuple[Layout, CutRule, LumaRule, Band]:
    """The fields of :class:`Arrays` by name. Views only: what changes in the band changes in the arrays."""
    layout = Layout(
        side=plan[LAYOUT_AT.side],
        columns=plan[LAYOUT_AT.columns],
        rows=plan[LAYOUT_AT.rows],
        left=plan[LAYOUT_AT.left],
        top=plan[LAYOUT_AT.top],
        block_width=plan[LAYOUT_AT.block_width],
        block_height=plan[LAYOUT_AT.block_height],
        block_columns=plan[LAYOUT_AT.block_columns],
        block_rows=plan[LAYOUT_AT.block_rows],
        reserve=plan[LAYOUT_AT.reserve],
    )
    rule = CutRule(plan[RULE_AT.white], plan[RULE_AT.most_background], plan[RULE_AT.screen] != 0)
    luma = LumaRule(plan[LUMA_AT.maybe], plan[LUMA_AT.surely], plan[LUMA_AT.spread])
    return layout, rule, luma, _band(pool, of_blocks, of_tiles, numbers)


@kernel(inline="always")
def _band(pool: PackedArray, of_blocks: Int32Array, of_tiles: Int64Array, numbers: Int64Array) -> Band:
    return Band(
        pool=pool,
        slots=of_blocks[BLOCK_AT.slots],
        counted=of_blocks[BLOCK_AT.counted],
        bad=of_blocks[BLOCK_AT.bad],
        carried=of_blocks[BLOCK_AT.carried],
        forms=of_blocks[BLOCK_AT.forms],
        counts=of_tiles[TILE_AT.counts],
        states=of_tiles[TILE_AT.states],
        numbers=numbers,
        free=numbers[FREE_AT : FREE_AT + len(pool)],
    )


@kernel()
def columns_of(layout: Layout, column: int) -> tuple[int, int]:
    """First and last block column that a tile of this column touches."""
    left = column * layout.side - layout.left
    return left // layout.block_width, (left + layout.side - 1) // layout.block_width


@kernel()
def rows_of(layout: Layout, row: int) -> tuple[int, int]:
    """First and last block row that the tiles of this row touch."""
    top = row * layout.side - layout.top
    return top // layout.block_height, (top + layout.side - 1) // layout.block_height


@kernel()
def overlap(start: int, length: int, other: int, other_length: int) -> tuple[int, int]:
    """Where two lengths of one axis overlap: start, and stop, which is at or before it where they do not."""
    return max(start, other), min(start + length, other + other_length)


@kernel()
def block_at(layout: Layout, band: Band, slot: int) -> int:
    """The address of a block in the pool."""
    return int(band.pool.ctypes.data) + 4 * slot * layout.block_width * layout.block_height


@kernel()
def rows_at(band: Band) -> int:
    """The address of scratch memory for rows of chroma, behind the slots of the pool."""
    return int(band.free.ctypes.data) + 8 * len(band.free)


@kernel()
def touches_bad(layout: Layout, band: Band, row: int, column: int) -> bool:
    """Whether a tile lies on a block that did not decode."""
    block_rows, block_columns = rows_of(layout, row), columns_of(layout, column)
    for block_row in range(block_rows[0], block_rows[1] + 1):
        for block_column in range(block_columns[0], block_columns[1] + 1):
            if band.bad[block_row, block_column]:
                return True
    return False
