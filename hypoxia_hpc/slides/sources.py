"""Readers of blocks: the file's own native tiles, or OpenSlide, both as :class:`BlockSource` in the plane of the tiles.

The choice is a pure function of the header, and the store records it. Both readers give the same pixels: those of the
decoded level, on white.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hypoxia_hpc.errors import SlideError
from hypoxia_hpc.records import Pyramid, TilePlan, UInt8Array
from hypoxia_hpc.slides import decoders, plain
from hypoxia_hpc.slides.averaging import average_into
from hypoxia_hpc.slides.decoders import NativeTileError, Prepared
from hypoxia_hpc.slides.openslide_reader import ReopenedSlide
from hypoxia_hpc.slides.plain import PlainPage, PlainSource
from hypoxia_hpc.slides.tiff import TiffPage
from hypoxia_hpc.tiling.cutting import BlockGrid, BlockSource, TileGrid, UnreadableBlockError
from hypoxia_hpc.tiling.kernels.packed import composite_on_white
from hypoxia_hpc.tiling.kernels.planes import PACKED
from hypoxia_hpc.tiling.kernels.state import room_for_blocks

# Those vendors whose levels are plain pages of one TIFF file, without overlaps or shifts.
NATIVE_VENDORS = ("aperio", "generic-tiff", "philips")
MOST_DECODED_BYTES = 64 * 2**20
# Native tiles of a row mostly lie one behind the other in the file. About twenty are read at a time, which is cheaper
# than one by one, above all over a network, although some may not be needed. Of tiny ones at most some thousand are
# read at a time: looking further along the row costs more than it saves.
WINDOW_BYTES = 256 * 2**10
MOST_AT_ONCE = 1024
# One read_region call: 4 Mpx are 16 MiB as RGBA.
MOST_PX_A_READ = 4 * 2**20
WHITE = 255


@dataclass(frozen=True, slots=True)
class Reading:
    """How a plan is read, decided from the header alone.

    ``reader`` is ``native-<compression>`` or ``openslide``, ``why`` the reason where it is not native. ``factor`` is
    how much every block is reduced when it is read, by the decoder itself where ``by_decoder``; where it is 1 though
    the plan's squares are larger than a tile, each square is averaged.
    """

    reader: str
    why: str
    page: TiffPage | None
    factor: int
    by_decoder: bool
    tiles: TileGrid
    blocks: BlockGrid

    @property
    def reduced_by(self) -> str:
        """What reduced the pixels: nothing, exact averaging, or the decoder."""
        if self.tiles.side == self.tiles.tile_px and self.factor == 1:
            return "none"
        return "decoder" if self.by_decoder else "area"


def choose_reading(page: TiffPage | str, plan: TilePlan, reduce: str) -> Reading:
    """Which reader reads the plan's level, and in which blocks. ``page``: the level's, or why it has none."""
    return _native_reading(page, plan, reduce) if isinstance(page, TiffPage) else _openslide_reading(page, plan)


def find_page(pages: Sequence[TiffPage] | str, pyramid: Pyramid, level: int) -> TiffPage | str:
    """The page of a level if it can be read natively, else the reason why not. Raises SlideError
    ``native-tile-too-large``."""
    if isinstance(pages, str):
        return pages
    matching = [page for page in pages if (page.width, page.height) == pyramid.level_sizes[level]]
    if len(matching) != 1:
        return f"{len(matching)} tiled pages have the size of level {level}"
    page = matching[0]
    refusal = decoders.refusal(page) or _missing_below(pages, pyramid, level)
    if not refusal:
        refuse_large(page.tile_width, page.tile_height, decoders.decoded_nbytes(page))
    return refusal or page


def _missing_below(pages: Sequence[TiffPage], pyramid: Pyramid, level: int) -> str:
    """OpenSlide fills what is missing on an Aperio level from the next finer level, and so on upwards. So a level is
    read natively only where neither it nor any finer level lacks a native tile, level 0 excepted."""
    if pyramid.vendor != "aperio" or level == 0:
        return ""
    finer = pyramid.level_sizes[: level + 1]
    missing = any(np.any(page.counts == 0) for page in pages if (page.width, page.height) in finer)
    return f"native tiles are missing at or below level {level}" if missing else ""


def refuse_large(width: int, height: int, nbytes: int) -> None:
    """Raises SlideError ``native-tile-too-large`` for native tiles that take more than 64 MiB to decode."""
    if nbytes > MOST_DECODED_BYTES:
        raise SlideError(
            "native-tile-too-large",
            f"native tiles of {width} x {height} px take {nbytes >> 20} MiB to decode, "
            f"the most is {MOST_DECODED_BYTES >> 20}",
            remedy="convert the slide to native tiles of 256 or 512 px (vips tiffsave --tile), or leave it out",
        )


def _origin(plan: TilePlan) -> tuple[int, int]:
    return (int(plan.xy_level[0, 0]), int(plan.xy_level[0, 1])) if plan.n_tiles else (0, 0)


def _whole_factor(plan: TilePlan) -> int:
    """How much blocks may be reduced when they are read: 2, 4 or 8; 1 where tiles are not a whole part of squares."""
    factor, rest = divmod(plan.side_level, plan.tile_px)
    return factor if factor in (2, 4, 8) and not rest else 1


def _native_reading(page: TiffPage, plan: TilePlan, reduce: str) -> Reading:
    x, y = _origin(plan)
    factor = _whole_factor(plan)
    if any(number % factor for number in (x, y, page.tile_width, page.tile_height)):
        factor = 1
    return Reading(
        reader=f"native-{plain.NAMES[page.compression]}",
        why="",
        page=page,
        factor=factor,
        by_decoder=reduce == "decoder"
        and factor > 1
        and page.compression in decoders.REDUCING
        and not isinstance(page, PlainPage),
        tiles=TileGrid(plan.side_level // factor, plan.tile_px, plan.columns, plan.rows),
        blocks=BlockGrid(
            -x // factor, -y // factor, page.tile_width // factor, page.tile_height // factor, page.columns, page.rows
        ),
    )


def _openslide_reading(why: str, plan: TilePlan) -> Reading:
    factor = _whole_factor(plan)
    squares = plan.side_level // factor
    return Reading(
        reader="openslide",
        why=why,
        page=None,
        factor=factor,
        by_decoder=False,
        tiles=TileGrid(squares, plan.tile_px, plan.columns, plan.rows),
        blocks=BlockGrid(0, 0, squares, squares, plan.columns, plan.rows),
    )


def native_source(
    descriptor: int,
    page: TiffPage,
    grid: BlockGrid,
    selected: NDArray[np.bool_],
    factor: int = 1,
    *,
    by_decoder: bool = False,
    keep_planes: bool = False,
) -> BlockSource:
    """The reader of a page's native tiles; the arguments are those of :class:`NativeSource`."""
    if isinstance(page, PlainPage):
        return PlainSource(descriptor, page, grid, factor)
    return NativeSource(descriptor, page, grid, selected, factor, by_decoder=by_decoder, keep_planes=keep_planes)


class NativeSource:
    """Native tiles of one page, decoded from the file itself: to packed pixels, with ``keep_planes`` also to planes.
    Those that are not ``selected``, bool (n,), are not read ahead. ``read_seconds``: of reading the file so far."""

    def __init__(
        self,
        descriptor: int,
        page: TiffPage,
        grid: BlockGrid,
        selected: NDArray[np.bool_],
        factor: int = 1,
        *,
        by_decoder: bool = False,
        keep_planes: bool = False,
    ) -> None:
        self._descriptor = descriptor
        self._size = os.fstat(descriptor).st_size
        self._offsets, self._counts = page.offsets, page.counts
        self._selected, self._to_come = selected, selected.copy()
        reduced_by = factor if by_decoder else 1
        self._prepare, decode = decoders.codec_of(page, reduced_by, keep_planes=keep_planes and factor == 1)
        self._decode = decode if factor == reduced_by else _then_averaged(decode, page, factor)
        self._columns = page.columns
        self._most_bytes = 2 * decoders.decoded_nbytes(page) + 65536
        self._expected_row = -1
        self._windows: dict[int, dict[int, Prepared]] = {}
        self.grid = grid
        self.read_seconds = 0.0

    def read(self, number: int, out: UInt8Array) -> int:
        """Decode native tile ``number``, and say in which form; a missing one is white. Raises UnreadableBlockError,
        SlideError."""
        try:
            window = self._windows.get(number // self._columns)
            native_tile = (window.pop(number, None) if window else None) or self._read_ahead(number)
            if native_tile is not None:
                return self._decode(native_tile, out)
        except NativeTileError as error:
            raise UnreadableBlockError(str(error)) from None
        out[:] = WHITE
        return PACKED

    def _read_ahead(self, number: int) -> Prepared | None:
        """A native tile's bytes, prepared; None where it is missing. The selected ones that follow it in its row are
        read with it and kept for their turn; a damaged one raises its error then. When a native tile is read for the
        first time, those that were read before are left out; when it is read again, they are needed again as well.
        """
        row = number // self._columns
        if row > self._expected_row:
            self._expect(row)
        rest = slice(number, min((row + 1) * self._columns, number + MOST_AT_ONCE))
        ahead = self._to_come if self._to_come[number] else self._selected
        starts, counts = self._offsets[rest].tolist(), self._counts[rest].tolist()
        if counts[0] == 0:
            return None
        if counts[0] > self._most_bytes or starts[0] + counts[0] > self._size:
            raise UnreadableBlockError(f"{counts[0]} bytes at {starts[0]} of a file of {self._size} bytes")
        n = _read_at_once(starts, counts, ahead[rest].tolist(), self._most_bytes)
        data = self._pread(starts[0], min(starts[n - 1] + counts[n - 1], self._size))
        if len(data) < counts[0]:
            raise UnreadableBlockError(f"the file ends within {counts[0]} bytes at {starts[0]}")
        self._to_come[number : number + n] = False
        prepare, start = self._prepare, 0
        first = prepare(data, 0, counts[0])
        if counts[0] > WINDOW_BYTES:  # a large one is read alone, and not kept
            return first
        window = self._windows[row] = self._left_over(row)
        with suppress(NativeTileError):
            for i in range(1, n):
                start += counts[i - 1]
                if start + counts[i] > len(data):
                    break
                window[number + i] = prepare(data, start, start + counts[i])
        return first

    def _left_over(self, row: int) -> dict[int, Prepared]:
        """What is still kept of a row, without the bytes that were read with it; nothing if that is much."""
        window = self._windows.get(row, {})
        if sum(len(native_tile.data) for native_tile in window.values()) > WINDOW_BYTES:
            return {}
        return {number: Prepared(bytes(data), form) for number, (data, form) in window.items()}

    def _pread(self, start: int, stop: int) -> bytes:
        began = time.perf_counter()
        try:
            return os.pread(self._descriptor, stop - start, start)
        except OSError as error:
            raise UnreadableBlockError(f"{stop - start} bytes at {start}: {error.strerror}") from None
        finally:
            self.read_seconds += time.perf_counter() - began

    def _expect(self, row: int) -> None:
        """Announce to the operating system that the selected native tiles of this row and the next are needed soon, so
        that the disk works during decoding."""
        self._expected_row = row + 1
        self._windows = {kept: window for kept, window in self._windows.items() if kept >= row - 3}
        rows = slice(row * self._columns, (row + 2) * self._columns)
        selected = self._selected[rows] & (self._counts[rows] > 0)
        if not selected.any():
            return
        starts, counts = self._offsets[rows][selected], self._counts[rows][selected]
        start, stop = int(starts.min()), int((starts + counts).max())
        if 0 < stop - start <= 2 * int(counts.sum()):
            os.posix_fadvise(self._descriptor, start, stop - start, os.POSIX_FADV_WILLNEED)


def _then_averaged(
    decode: Callable[[Prepared, UInt8Array], int], page: TiffPage, factor: int
) -> Callable[[Prepared, UInt8Array], int]:
    whole = room_for_blocks((page.tile_height, page.tile_width, 4))

    def decode_and_average(native_tile: Prepared, out: UInt8Array) -> int:
        form = decode(native_tile, whole)
        average_into(whole, factor, out)
        return form

    return decode_and_average


def _read_at_once(starts: Sequence[int], counts: Sequence[int], selected: Sequence[bool], most_bytes: int) -> int:
    """How many native tiles of a row, the first of these and those that lie right behind it, are read in one go: up to
    the next one that is missing or not selected."""
    stop, n = starts[0] + counts[0], 1
    while n < len(starts) and starts[n] == stop <= starts[0] + WINDOW_BYTES:
        if not (selected[n] and 0 < counts[n] <= most_bytes):
            break
        stop += counts[n]
        n += 1
    return n


def read_native_page(descriptor: int, page: TiffPage, factor: int, image: UInt8Array) -> int:
    """Decode a whole page, averaged by ``factor``, into ``image``, uint8 (height, width, 4); returns how many native
    tiles did not decode."""
    width, height = page.tile_width // factor, page.tile_height // factor
    grid, selected = (
        BlockGrid(0, 0, width, height, page.columns, page.rows),
        np.ones(page.columns * page.rows, dtype=bool),
    )
    source = native_source(descriptor, page, grid, selected, factor)
    block = room_for_blocks((height, width, 4))
    unreadable = 0
    for number in range(page.columns * page.rows):
        y, x = (number // page.columns) * height, (number % page.columns) * width
        target = image[y : y + height, x : x + width]
        try:
            source.read(number, block)
            target[:] = block[: target.shape[0], : target.shape[1]]
        except UnreadableBlockError:
            unreadable += 1
    return unreadable


def unsafe_codestreams(descriptor: int, page: TiffPage) -> int:
    """How many native tiles of a JPEG 2000 page OpenSlide must not be given."""
    if page.compression not in decoders.JPEG2000:
        return 0
    heads = (
        os.pread(descriptor, decoders.CODESTREAM_HEAD_BYTES, int(offset))
        for offset, count in zip(page.offsets, page.counts, strict=True)
        if count
    )
    return sum(not decoders.is_safe_codestream(head, page.tile_width, page.tile_height) for head in heads)


class OpenSlideSource:
    """The plan's squares, read with OpenSlide, several of a row at a time."""

    def __init__(self, slide: ReopenedSlide, plan: TilePlan, reading: Reading) -> None:
        self._slide = slide
        self._plan = plan
        self._factor = reading.factor
        # Where OpenSlide interpolates, every square is read from its own corner: a check of one tile agrees.
        self._most = 1 if plan.interpolated else max(1, MOST_PX_A_READ // plan.side_level**2)
        self._run = range(0)
        self._pixels = np.empty((0, 0, 4), dtype=np.uint8)
        self.grid = reading.blocks

    def read(self, number: int, out: UInt8Array) -> int:
        """Read a square. Raises UnreadableBlockError, SlideError."""
        if number not in self._run:
            end_of_row = (number // self.grid.columns + 1) * self.grid.columns
            self._read_run(range(number, min(number + self._most, end_of_row)))
        side = self._plan.side_level
        left = (number - self._run.start) * side
        average_into(self._pixels[:, left : left + side], self._factor, out)
        return PACKED

    def _read_run(self, run: range) -> None:
        """Read a run of squares; where that fails, its first one alone, so that it is known which one is damaged."""
        side = self._plan.side_level
        x_l0, y_l0 = (int(value) for value in self._plan.xy_l0[run.start])
        self._run = range(0)
        try:
            pixels = self._slide.read_region((x_l0, y_l0), self._plan.level, (len(run) * side, side))
        except UnreadableBlockError:
            if len(run) == 1:
                raise
            self._most = 1
            self._read_run(run[:1])
            return
        composite_on_white(pixels)
        self._pixels, self._run = pixels, run
