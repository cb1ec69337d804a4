"""An open slide: its header, and the reader that suits a plan.

OpenSlide reads headers; the native reader takes over where the file's native tiles can be decoded directly. TIFF files
that OpenSlide does not open, or of which it would show too little or the wrong pixels, are the native reader's alone
(:mod:`hypoxia_hpc.slides.judging`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hypoxia_hpc.errors import SlideError
from hypoxia_hpc.records import Pyramid, TilePlan, UInt8Array
from hypoxia_hpc.slides.averaging import MOST_REDUCED, averaged
from hypoxia_hpc.slides.claims import refuse_absurd
from hypoxia_hpc.slides.contradictions import contradiction
from hypoxia_hpc.slides.decoders import JPEG
from hypoxia_hpc.slides.dicom_images import refuse_contradictions
from hypoxia_hpc.slides.fingerprint import require_plain_file
from hypoxia_hpc.slides.judging import judge
from hypoxia_hpc.slides.layouts import Layout
from hypoxia_hpc.slides.openslide_reader import (
    CACHE_BYTES,
    ReopenedSlide,
    native_tile_size,
    open_slide,
    read_pyramid,
    read_thumbnail,
    slide_errors,
)
from hypoxia_hpc.slides.plain import PlainPage
from hypoxia_hpc.slides.sources import (
    MOST_PX_A_READ,
    NATIVE_VENDORS,
    WHITE,
    OpenSlideSource,
    Reading,
    choose_reading,
    find_page,
    native_source,
    read_native_page,
    refuse_large,
    unsafe_codestreams,
)
from hypoxia_hpc.slides.tiff import TiffError, TiffPage, read_tiled_pages
from hypoxia_hpc.slides.web_tiles import whole_jpeg
from hypoxia_hpc.slides.windows import averaged_window, read_native_window
from hypoxia_hpc.tiling.cutting import BlockSource, UnreadableBlockError, n_strips, strips_of
from hypoxia_hpc.tiling.kernels.packed import composite_on_white
from hypoxia_hpc.tiling.plan import round_half_up
from hypoxia_hpc.tiling.touched_blocks import blocks_under
from hypoxia_hpc.tiling.windows import Window

if TYPE_CHECKING:
    from openslide import OpenSlide


# The most pixels of a level after the first step of averaging: 64 Mpx are 256 MB.
MOST_SEEN_PX = 64_000_000
MOST_SEEN_FACTOR = 32


@contextmanager
def opened_slide(path: Path, cache_bytes: int = CACHE_BYTES) -> Iterator[OpenedSlide]:
    """A slide's header and its readers, closed afterwards. ``cache_bytes``: of decoded native tiles that OpenSlide
    keeps. Raises what :func:`open_slide` raises."""
    require_plain_file(path)
    refuse_absurd(path)
    with suppress(OSError):  # who opens it says what is wrong
        refuse_contradictions(path)
    judged = judge(path)
    layout, openslides = judged.layout, open_slide(path, is_settled=judged.is_settled, cache_bytes=cache_bytes)
    with nullcontext() if layout else openslides as handle, path.open("rb") as file:
        slide = OpenedSlide(path, handle, file.fileno(), layout, cache_bytes)
        try:
            yield slide
        finally:
            slide.close()


class OpenedSlide:
    """Made by :func:`opened_slide`. ``pyramid`` is what the header says."""

    def __init__(
        self, path: Path, handle: OpenSlide | None, descriptor: int, layout: Layout | None, cache_bytes: int
    ) -> None:
        self._path = path
        self._openslide = None if handle is None else (handle, ReopenedSlide(path, handle, cache_bytes))
        self._descriptor = descriptor
        self._layout = layout
        self.pyramid: Pyramid = layout.pyramid if layout else read_pyramid(self._handle)
        self._page_by_level: dict[int, TiffPage | None] = {}

    @property
    def _handle(self) -> OpenSlide:
        return self._of_openslide()[0]

    @property
    def _reopened(self) -> ReopenedSlide:
        return self._of_openslide()[1]

    def _of_openslide(self) -> tuple[OpenSlide, ReopenedSlide]:
        if self._openslide is None:
            raise SlideError("unreadable", f"{self._path} has no level that OpenSlide reads", remedy="report this")
        return self._openslide

    def find_page(self, level: int) -> TiffPage | str:
        """The page of a level that is read natively, else the reason why not. Raises SlideError
        ``native-tile-too-large``."""
        return self._layout.levels[level] if self._layout else find_page(self._pages, self.pyramid, level)

    @cached_property
    def _pages(self) -> list[TiffPage] | str:
        if self.pyramid.vendor not in NATIVE_VENDORS:
            return f"vendor {self.pyramid.vendor}"
        try:
            found = read_tiled_pages(self._path)
            return next(filter(None, map(contradiction, found)), "") or found
        except TiffError as error:
            return str(error)

    def reading(self, plan: TilePlan, reduce: str) -> Reading:
        """How a plan is read. Raises SlideError ``native-tile-too-large``."""
        reading = choose_reading(self.find_page(plan.level), plan, reduce)
        if reading.page is None:
            self._refuse_unsuitable(plan.level)
        return reading

    def beyond_end(self, level: int) -> tuple[int, int]:
        """How many native tiles (or strips) of a level lie beyond the end of the file, and how many it has; none of
        none where the header does not say it."""
        if self._layout:
            page = self._layout.levels[level]
            pages = page.parts if isinstance(page, PlainPage) else (page,)
        else:
            tiled = [] if isinstance(self._pages, str) else self._pages
            pages = tuple(page for page in tiled if (page.width, page.height) == self.pyramid.level_sizes[level])
        size = os.fstat(self._descriptor).st_size
        beyond = sum(int(np.count_nonzero(page.offsets + page.counts > size)) for page in pages)
        return beyond, sum(len(page.offsets) for page in pages)

    def _refuse_unsuitable(self, level: int) -> None:
        """Raises SlideError for a level that OpenSlide must not be given: its native tiles are too large for memory, or
        would make a native library read beyond its buffers."""
        width, height = native_tile_size(self._handle, level)
        refuse_large(width, height, 3 * width * height)
        for page in [] if isinstance(self._pages, str) else self._pages:
            same = (page.width, page.height) == self.pyramid.level_sizes[level]
            unsafe = unsafe_codestreams(self._descriptor, page) if same else 0
            if unsafe:
                raise SlideError(
                    "unreadable",
                    f"{self._path}: {unsafe:,} native tiles hold JPEG 2000 that is not of their size",
                    remedy="fetch the file again, or leave it out",
                )

    def sources(
        self, plan: TilePlan, reading: Reading, selected: NDArray[np.bool_], threads: int = 1
    ) -> list[BlockSource]:
        """Readers of the blocks under a plan's selected tiles, bool (n,): one for each strip, and as many strips as
        threads can share the slide, ``threads`` at most. OpenSlide gets one, since an error ends its handle for all.
        """
        if reading.page is None:
            return [OpenSlideSource(self._reopened, plan, reading)]
        page, factor, by_decoder = reading.page, reading.factor, reading.by_decoder
        grid, tiles = reading.blocks, reading.tiles
        found: list[BlockSource] = []
        for columns in strips_of(tiles, n_strips(grid, tiles, threads)):
            in_strip = np.zeros((tiles.rows, tiles.columns), dtype=bool)
            in_strip[:, columns] = selected.reshape(in_strip.shape)[:, columns]
            under = blocks_under(grid, tiles, in_strip.ravel())
            found.append(
                native_source(self._descriptor, page, grid, under, factor, by_decoder=by_decoder, keep_planes=True)
            )
        return found

    def check_readable(self) -> None:
        """Read one pixel: a slide may open and yet not read. Raises SlideError ``unreadable``."""
        if self._layout:
            self.read_window(Window(0, 0, 0, 1, 1, (1, 1)))
            return
        try:
            self._reopened.read_region((0, 0), 0, (1, 1))
        except UnreadableBlockError as error:
            raise SlideError(
                "unreadable", f"{self._path}: {error}", remedy="fetch the file again, or leave it out"
            ) from None

    def try_tile(self, plan: TilePlan, reading: Reading, number: int) -> str:
        """Why the pixel in the middle of a tile of a plan does not decode; empty where it does."""
        half = plan.side_level // 2
        x, y = (int(corner) + half for corner in plan.xy_level[number])
        try:
            if reading.page is not None:
                read_native_window(self._descriptor, reading.page, x, y, np.empty((1, 1, 4), dtype=np.uint8))
            else:
                x_l0, y_l0 = round_half_up(np.array([x, y]) * plan.downsample).tolist()
                self._reopened.read_region((x_l0, y_l0), plan.level, (1, 1))
        except UnreadableBlockError as error:
            return str(error)
        return ""

    def read_level(self, level: int, factor: int) -> tuple[UInt8Array, int]:
        """All of a level, averaged by ``factor``, a power of two up to 32 (what the kernel cannot do at once in two
        steps, each rounded), uint8 (height, width, 4), whose fourth byte means nothing; a remainder of the division is
        left out. And how many pieces of it were not readable: they are black.

        Raises SlideError ``native-tile-too-large``.
        """
        page = self.find_page(level)
        width, height = self.pyramid.level_sizes[level]
        first = min(factor, MOST_REDUCED)
        if not isinstance(page, TiffPage) or page.tile_width % first or page.tile_height % first:
            return self._read_strips(level, factor)
        if width * height > MOST_SEEN_PX * first**2:
            return self._read_strips(level, factor)
        image = np.zeros((height // first, width // first, 4), dtype=np.uint8)
        unreadable = read_native_page(self._descriptor, page, first, image)
        return averaged(image, factor // first), unreadable

    def _read_strips(self, level: int, factor: int) -> tuple[UInt8Array, int]:
        """The same through OpenSlide, some rows at a time."""
        self._refuse_unsuitable(level)
        width, height = (side // factor for side in self.pyramid.level_sizes[level])
        image = np.zeros((height, width, 4), dtype=np.uint8)
        rows, unreadable = max(1, MOST_PX_A_READ // max(1, width * factor**2)), 0
        for top in range(0, height, rows):
            out = image[top : top + rows]
            y_l0 = round(top * factor * self.pyramid.downsamples[level])
            try:
                pixels = self._reopened.read_region((0, y_l0), level, (width * factor, len(out) * factor))
            except UnreadableBlockError:
                unreadable += 1
                continue
            composite_on_white(pixels)
            out[:] = averaged(pixels, factor)
        return image, unreadable

    def read_window(self, window: Window) -> UInt8Array:
        """The pixels of a window, uint8 RGB of its ``size_px``; what lies outside the slide is white.

        Raises SlideError ``unreadable``, ``native-tile-too-large``.
        """
        width, height = self.pyramid.level_sizes[window.level]
        left, top = max(0, window.left), max(0, window.top)
        right, bottom = min(width, window.left + window.width), min(height, window.top + window.height)
        pixels = np.full((window.height, window.width, 4), WHITE, dtype=np.uint8)
        inside = pixels[top - window.top : bottom - window.top, left - window.left : right - window.left]
        try:
            self._read_into(window.level, left, top, inside)
        except UnreadableBlockError as error:
            raise SlideError(
                "unreadable",
                f"{self._path}: level {window.level}, from ({left}, {top}) to ({right}, {bottom}): {error}",
                remedy="fetch the file again",
            ) from None
        return averaged_window(pixels, window)

    def jpeg_tile_size(self) -> tuple[int, int] | None:
        """Width and height in pixels of level 0's native tiles where they are JPEG that is read natively, else None."""
        page = self._page_of(0)
        is_own = page is not None and not isinstance(page, PlainPage) and page.compression == JPEG
        return (page.tile_width, page.tile_height) if is_own and page else None

    def is_native(self, level: int) -> bool:
        """Whether a level is read without OpenSlide, which several threads may do at the same time."""
        return self._page_of(level) is not None

    def own_jpeg(self, level: int, column: int, row: int, side: int) -> bytes | None:
        """A native tile as a JPEG file (:func:`whole_jpeg`), undecoded; None also where native tiles are no squares of
        ``side`` pixels."""
        page = self._page_of(level)
        if page is None or isinstance(page, PlainPage) or (page.tile_width, page.tile_height) != (side, side):
            return None
        return whole_jpeg(self._descriptor, page, row * page.columns + column)

    def _read_into(self, level: int, left: int, top: int, out: UInt8Array) -> None:
        """Fill ``out``, uint8 (h, w, 4), with what lies from (left, top) on, all of it on the level."""
        page = self._page_of(level)
        if page is not None:
            read_native_window(self._descriptor, page, left, top, out)
            return
        rows = max(1, MOST_PX_A_READ // out.shape[1])
        for start in range(0, len(out), rows):
            strip = out[start : start + rows]
            xy_l0 = round_half_up(np.array([left, top + start]) * self.pyramid.downsamples[level]).tolist()
            pixels = self._reopened.read_region((xy_l0[0], xy_l0[1]), level, (strip.shape[1], strip.shape[0]))
            composite_on_white(pixels)
            strip[:] = pixels

    def _page_of(self, level: int) -> TiffPage | None:
        """The page of a level that is read natively; decided once, because it may take a look at every native tile."""
        if level not in self._page_by_level:
            page = self.find_page(level)
            if not isinstance(page, TiffPage):
                self._refuse_unsuitable(level)
            self._page_by_level[level] = page if isinstance(page, TiffPage) else None
        return self._page_by_level[level]

    def read_thumbnail(self, largest_px: int) -> UInt8Array:
        """The whole slide, uint8 (height, width, 3), its longer side at most ``largest_px``. Raises SlideError."""
        if self._layout:
            return self._native_thumbnail(largest_px)
        for level in range(len(self.pyramid.level_sizes)):
            self._refuse_unsuitable(level)
        with slide_errors(self._path):
            return read_thumbnail(self._handle, largest_px)

    def _native_thumbnail(self, largest_px: int) -> UInt8Array:
        from PIL import Image

        sizes = self.pyramid.level_sizes
        level = max((number for number, size in enumerate(sizes) if max(size) >= largest_px), default=0)
        factor = 1
        while factor < MOST_SEEN_FACTOR and max(sizes[level]) >= 2 * factor * largest_px:
            factor *= 2
        image = Image.fromarray(self.read_level(level, factor)[0][..., :3])
        image.thumbnail((largest_px, largest_px))
        return np.asarray(image)

    def close(self) -> None:
        """Close the handles that were opened a second time."""
        if self._openslide:
            self._reopened.close()
