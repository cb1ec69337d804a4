"""Decide and cut the tiles of a slide from the blocks that a reader decodes.

A block is a native tile of the file, or a square of a region. Blocks (240 px, say) do not line up with the tiles of the
plan (299 px). Every block is decoded once. While it is in the cache, its background pixels are counted in each tile
that it touches, and only a tile that is kept is assembled: the slide as a whole is never copied. With ``screen``, a
tile that the blocks read so far prove to be background needs no further blocks, and the block that can prove most is
read first.

Threads share a slide by columns: each cuts a strip of its own from top to bottom, and tiles come out in reading order.
What lies across the border of two strips is decoded for both.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hypoxia_hpc.errors import SlideError
from hypoxia_hpc.records import Int64Array, Paint, UInt8Array
from hypoxia_hpc.tiling.kernels import assembly, blocks, state
from hypoxia_hpc.tiling.kernels.buffers import BUFFERS
from hypoxia_hpc.tiling.kernels.planes import PACKED
from hypoxia_hpc.tiling.kernels.state import CutRule, Layout

# Decoded blocks that all strips of a slide hold together, for the rows that the next band needs, too. With more a
# worker comes nearer to its 600 MB; with less fewer strips are cut at once, and blocks between two bands are decoded
# again.
POOL_BYTES = 192 * 2**20
# The blocks of one tile must fit, also where they are large. Beyond this a worker would exceed its 600 MB.
MOST_POOL_BYTES = 320 * 2**20
# Least width of a strip, in tiles or blocks: a narrower one decodes more than 6 % of its blocks a second time, for its
# neighbours.
LEAST_STRIP = 16


class UnreadableBlockError(Exception):
    """A block that cannot be decoded."""


@dataclass(frozen=True, slots=True)
class BlockGrid:
    """Blocks of equal size, row by row from (left, top) on, in pixels of the plane of the tiles. The first tile begins
    at (0, 0), so left and top are 0 or below."""

    left: int
    top: int
    width: int
    height: int
    columns: int
    rows: int


class BlockSource(Protocol):
    """A reader of blocks."""

    @property
    def grid(self) -> BlockGrid:
        """Where the blocks lie."""

    def read(self, number: int, out: UInt8Array) -> int:
        """Decode a block into ``out``, uint8 (height, width, 4), C-contiguous, and return the form of its
        pixels: PACKED, with a fourth byte that means nothing, or one of the planes of :mod:`planes`.

        Raises UnreadableBlockError, SlideError."""


@dataclass(frozen=True, slots=True)
class TileGrid:
    """Squares of ``side`` pixels, row by row from (0, 0) on, each to become a tile of ``tile_px``, <= side."""

    side: int
    tile_px: int
    columns: int
    rows: int


@dataclass(slots=True)
class Cut:
    """What is decided of the tiles: ``states`` uint8 (n,) of KEPT, BACKGROUND, UNREADABLE, MASKED; ``background_px``
    int64 (n,), exact where kept, else what was counted until the decision; how many blocks were read; and the
    unreadable blocks by number, with the reason of each. ``thread_seconds``: of all threads, from the first row to the
    last; those of them in which one waited for another are ``waited_seconds``, too. ``setup_seconds``: before the first
    row; in a new process kernels are loaded in them."""

    states: UInt8Array
    background_px: Int64Array
    blocks_read: int = 0
    unreadable: dict[int, str] = field(default_factory=dict)
    thread_seconds: float = 0.0
    waited_seconds: float = 0.0
    setup_seconds: float = 0.0

    @property
    def kept(self) -> NDArray[np.bool_]:
        kept: NDArray[np.bool_] = self.states == state.KEPT
        return kept


def n_strips(of_blocks: BlockGrid, grid: TileGrid, threads: int) -> int:
    """Into how many strips of columns a slide is best divided for ``threads`` threads, 1 or more."""
    layout = _layout(of_blocks, grid)
    widest = max(grid.side, of_blocks.width)
    fitting = POOL_BYTES // (2 * layout.reserve * _block_nbytes(layout) + _square_nbytes(layout))
    return max(1, min(threads, grid.columns * grid.side // (LEAST_STRIP * widest), fitting))


def strips_of(grid: TileGrid, n: int) -> list[slice]:
    """The columns of tiles of each of ``n`` strips."""
    borders = [grid.columns * number // n for number in range(n + 1)]
    return [slice(*between) for between in itertools.pairwise(borders)]


def cut_tiles(
    sources: Sequence[BlockSource],
    grid: TileGrid,
    rule: CutRule,
    selected: NDArray[np.bool_],
    new_tile: Callable[[], UInt8Array],
    tick: Callable[[int], None] = lambda tiles: None,
    paint: Paint | None = None,
) -> Cut:
    """Decide every tile of a grid, and put the pixels of the kept ones, in reading order, where ``new_tile`` says.

    Args:
        sources: where the blocks come from. Several sources of the same blocks, as many as :func:`n_strips` returns,
            are read by as many threads, each for the columns of :func:`strips_of`; some blocks by two of them.
        grid: the tiles; wholly covered by the sources' blocks.
        rule: what is background.
        selected: bool (n,); a tile that is not selected is MASKED, and no block is read for it.
        new_tile: called once for each kept tile, gives uint8 (tile_px, tile_px, 3), C-contiguous, to be filled.
        tick: called now and then with the number of tiles decided since the last call.
        paint: changes a kept tile in place, once it is decided and filled, in the thread that cuts it.

    Raises:
        SlideError: ``native-tile-too-large`` where the blocks of one tile exceed the memory, and what sources raise.
    """
    began = time.perf_counter()
    states = np.where(selected, state.UNDECIDED, state.MASKED).astype(np.uint8).reshape(grid.rows, grid.columns)
    strips = [
        _Strip(source, grid, rule, columns, states[:, columns], POOL_BYTES // len(sources), paint)
        for source, columns in zip(sources, strips_of(grid, len(sources)), strict=True)
    ]
    setup_seconds = time.perf_counter() - began
    _cut_in_strips(strips, grid, new_tile, tick)
    return replace(_joined(strips), setup_seconds=setup_seconds)


def _cut_in_strips(
    strips: Sequence[_Strip], grid: TileGrid, new_tile: Callable[[], UInt8Array], tick: Callable[[int], None]
) -> None:
    began = time.perf_counter()
    helpers = [_Helper(strip) for strip in strips[1:]] if grid.rows else []
    try:
        for row in range(grid.rows):
            strips[0].cut_row(new_tile)
            for helper in helpers:
                helper.hand_over(new_tile, last=row == grid.rows - 1)
            tick(grid.columns)
    finally:
        for helper in helpers:
            helper.close()
        for strip in strips:
            strip.close()
        strips[0].cut.thread_seconds = time.perf_counter() - began


def _joined(strips: Sequence[_Strip]) -> Cut:
    cuts = [strip.cut for strip in strips]
    return Cut(
        np.concatenate([strip.cut.states.reshape(strip.shape) for strip in strips], axis=1).ravel(),
        np.concatenate([strip.cut.background_px.reshape(strip.shape) for strip in strips], axis=1).ravel(),
        blocks_read=sum(cut.blocks_read for cut in cuts),
        unreadable=dict(sorted(item for cut in cuts for item in cut.unreadable.items())),
        thread_seconds=sum(cut.thread_seconds for cut in cuts),
        waited_seconds=sum(cut.waited_seconds for cut in cuts),
    )


def read_tiles(source: BlockSource, grid: TileGrid, selected: NDArray[np.bool_]) -> Iterator[UInt8Array]:
    """The pixels of the selected tiles, background too: for each row that has any, uint8 (k, tile_px, tile_px, 3).

    Raises:
        SlideError: ``unreadable`` where one does not decode, and as :func:`cut_tiles`.
    """
    cutter = _Cutter(source, source.grid, grid, CutRule(255, most_background=grid.tile_px**2, screen=False), POOL_BYTES)
    cut = Cut(
        np.where(selected, state.UNDECIDED, state.MASKED).astype(np.uint8), np.zeros(len(selected), dtype=np.int64)
    )
    try:
        for row, in_row in enumerate(selected.reshape(grid.rows, grid.columns).sum(1)):
            pixels = np.empty((in_row, grid.tile_px, grid.tile_px, 3), dtype=np.uint8)
            places = iter(pixels)
            # Also for a row without selected tiles: the blocks that the row before kept for it have to be released.
            cutter.cut_row(row, cut, places.__next__)
            if next(places, None) is not None:
                raise SlideError(
                    "unreadable",
                    f"tiles of row {row} do not decode any more: {'; '.join(cut.unreadable.values())}",
                    remedy="fetch the file again, or leave it out",
                )
            if in_row:
                yield pixels
    finally:
        cutter.close()


class _Strip:
    """Columns of tiles that are cut from top to bottom."""

    def __init__(
        self,
        source: BlockSource,
        grid: TileGrid,
        rule: CutRule,
        columns: slice,
        states: UInt8Array,
        pool_bytes: int,
        paint: Paint | None,
    ) -> None:
        self.shape = states.shape
        self.grid = replace(grid, columns=states.shape[1])
        self.cut = Cut(states.flatten(), np.zeros(states.size, dtype=np.int64))
        of_blocks = replace(source.grid, left=source.grid.left - columns.start * grid.side)
        self._cutter = _Cutter(source, of_blocks, self.grid, rule, pool_bytes, paint)
        self._row = 0

    def cut_row(self, new_tile: Callable[[], UInt8Array]) -> int:
        """Cut the next row; how many of its tiles are kept."""
        self._cutter.cut_row(self._row, self.cut, new_tile)
        self._row += 1
        return int(self.cut.kept.reshape(self.shape)[self._row - 1].sum())

    def close(self) -> None:
        """Release the memory; the strip cuts no more tiles."""
        self._cutter.close()


class _Helper:
    """A thread that cuts a strip, and holds the kept tiles of a row until their turn comes in reading order."""

    def __init__(self, strip: _Strip) -> None:
        self._strip = strip
        self._thread = ThreadPoolExecutor(1, "strip")
        shape = (strip.grid.columns, strip.grid.tile_px, strip.grid.tile_px, 3)
        self._memory = BUFFERS.acquire(math.prod(shape))
        self._slots = self._memory[: math.prod(shape)].reshape(shape)
        self._row = self._thread.submit(self._cut_row)

    def hand_over(self, new_tile: Callable[[], UInt8Array], *, last: bool) -> None:
        """Put the kept tiles of the next row where ``new_tile`` says, and start on the row after, unless this is the
        last one."""
        began = time.perf_counter()
        n_kept = self._row.result()
        self._strip.cut.waited_seconds += time.perf_counter() - began
        for tile in self._slots[:n_kept]:
            new_tile()[:] = tile
        if not last:
            self._row = self._thread.submit(self._cut_row)

    def close(self) -> None:
        """End the thread, also in the middle of its work."""
        self._thread.shutdown(cancel_futures=True)
        BUFFERS.release(self._memory)

    def _cut_row(self) -> int:
        began = time.perf_counter()
        n_kept = self._strip.cut_row(iter(self._slots).__next__)
        self._strip.cut.thread_seconds += time.perf_counter() - began
        return n_kept


class _Cutter:
    def __init__(
        self,
        source: BlockSource,
        of_blocks: BlockGrid,
        grid: TileGrid,
        rule: CutRule,
        pool_bytes: int,
        paint: Paint | None = None,
    ) -> None:
        self._source = source
        self._paint = paint
        self._grid = grid
        layout = _layout(of_blocks, grid)
        self._block_columns = layout.block_columns
        self._averaging = grid.side != grid.tile_px
        self._rgb_shape = (grid.tile_px, 3 * grid.tile_px)
        shape = (_slots(layout, pool_bytes), layout.block_height, layout.block_width, 4)
        self._memory = BUFFERS.acquire(state.nbytes_for_blocks(shape))
        pool = state.room_for_blocks(shape, self._memory)
        self._arrays = state.arrays_of(layout, rule, pool, counting=not self._averaging)
        self._slots = list(pool)
        if self._averaging:
            self._square = np.empty((grid.side, grid.side), dtype=np.uint32)
            self._reduced = np.empty((grid.tile_px, grid.tile_px), dtype=np.uint32)

    def close(self) -> None:
        """Release the memory of the blocks."""
        BUFFERS.release(self._memory)

    def cut_row(self, row: int, cut: Cut, new_tile: Callable[[], UInt8Array]) -> None:
        columns, arrays = self._grid.columns, self._arrays
        tiles = slice(row * columns, (row + 1) * columns)
        counts, states = arrays.of_tiles[state.TILE_AT.counts], arrays.of_tiles[state.TILE_AT.states]
        states[0] = cut.states[tiles]
        states[1] = cut.states[tiles.stop : tiles.stop + columns] if row + 1 < self._grid.rows else state.MASKED
        blocks.begin_band(*arrays, row)
        advance, read, numbers, slots = blocks.advance, self._source.read, arrays.numbers, self._slots
        slot_at = state.NUMBER_AT.slot
        form = PACKED
        request = advance(*arrays, row, -1, form)
        while request != blocks.BAND_DONE:
            if request >= 0:
                cut.blocks_read += 1
                out = slots[numbers.item(slot_at)]
                try:
                    form = read(request, out)
                except UnreadableBlockError as error:
                    out[:] = 0  # black: never background, so that counts stay lower bounds
                    form = PACKED
                    arrays.of_blocks[state.BLOCK_AT.bad][divmod(request, self._block_columns)] = 1
                    cut.unreadable[request] = str(error)
            elif request == blocks.ASSEMBLE:
                self._assemble(row, new_tile)
            else:
                raise RuntimeError(f"no slot of the pool is free in row {row}")  # a bug: better than a wrong tile
            request = advance(*arrays, row, request, form)
        cut.states[tiles] = states[0]
        cut.background_px[tiles] = counts[0]

    def _assemble(self, row: int, new_tile: Callable[[], UInt8Array]) -> None:
        arrays, rgb_shape = self._arrays, self._rgb_shape
        if not self._averaging:
            tile = new_tile()
            assembly.assemble_tile(*arrays, row, tile.reshape(rgb_shape))
        elif assembly.average_tile(*arrays, row, self._square, self._reduced):
            tile = new_tile()
            assembly.unpack_tile(self._reduced, 0, tile.reshape(rgb_shape))
        else:
            return
        if self._paint is not None:
            self._paint(tile)


def _layout(of_blocks: BlockGrid, grid: TileGrid) -> Layout:
    touched = [
        min(n, (grid.side - 2) // size + 2)
        for n, size in ((of_blocks.columns, of_blocks.width), (of_blocks.rows, of_blocks.height))
    ]
    return Layout(
        side=grid.side,
        columns=grid.columns,
        rows=grid.rows,
        left=of_blocks.left,
        top=of_blocks.top,
        block_width=of_blocks.width,
        block_height=of_blocks.height,
        block_columns=of_blocks.columns,
        block_rows=of_blocks.rows,
        reserve=touched[0] * touched[1],
    )


def _block_nbytes(layout: Layout) -> int:
    return 4 * layout.block_width * layout.block_height


def _square_nbytes(layout: Layout) -> int:
    return 4 * layout.side**2


def _slots(layout: Layout, pool_bytes: int) -> int:
    """Blocks held at once: those of one tile and, as far as ``pool_bytes`` go, the rows that the next band needs."""
    if _square_nbytes(layout) > MOST_POOL_BYTES // 2:
        raise SlideError(
            "tile-too-large",
            f"a tile is {layout.side} px wide on the level that is read: more than {MOST_POOL_BYTES >> 21} MiB",
            remedy="choose a smaller [tile] tile_px, or a finer [tile] mpp",
        )
    if layout.reserve * _block_nbytes(layout) + _square_nbytes(layout) > MOST_POOL_BYTES:
        raise SlideError(
            "native-tile-too-large",
            f"one tile of {layout.side} px touches {layout.reserve} native tiles of {layout.block_width} x "
            f"{layout.block_height} px: more than {MOST_POOL_BYTES >> 20} MiB",
            remedy="convert the slide to native tiles of 256 or 512 px (vips tiffsave --tile), or leave it out",
        )
    rows_shared = -(-layout.side // layout.block_height) + 1
    columns_touched = min(layout.block_columns, layout.columns * layout.side // layout.block_width + 2)
    most_useful = rows_shared * columns_touched + layout.reserve
    return max(layout.reserve, min(most_useful, pool_bytes // _block_nbytes(layout)))
