"""An open slide: its header, and whichever reader is right for a plan.

OpenSlide reads every header and is what decides that a file is a slide; the native reader comes in where the file's own
tiles can be decoded directly.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hypoxia_hpc.errors import SlideError
from hypoxia_hpc.records import Pyramid, TilePlan, UInt8Array
from hypoxia_hpc.slides.openslide_reader import ReopenedSlide, native_tile_size, open_slide, read_pyramid
from hypoxia_hpc.slides.sources import (
    MOST_PX_A_READ,
    MOST_REDUCED,
    NATIVE_VENDORS,
    NativeSource,
    OpenSlideSource,
    Reading,
    average_into,
    choose_reading,
    find_page,
    read_native_page,
    refuse_large,
    unsafe_codestreams,
)
from hypoxia_hpc.slides.tiff import TiffError, TiffPage, read_tiled_pages
from hypoxia_hpc.tiling.cutting import BlockSource, UnreadableBlockError
from hypoxia_hpc.tiling.kernels import composite_on_white

if TYPE_CHECKING:
    from openslide import OpenSlide


@contextmanager
def opened_slide(path: Path) -> Iterator[OpenedSlide]:
    """A slide's header and its readers, closed afterwards. Raises what :func:`open_slide` raises."""
    with open_slide(path) as handle, path.open("rb") as file:
        slide = OpenedSlide(path, handle, file.fileno())
        try:
            yield slide
        finally:
            slide.close()


class OpenedSlide:
    """Made by :func:`opened_slide`. ``pyramid`` is what the header says."""

    def __init__(self, path: Path, handle: OpenSlide, descriptor: int) -> None:
        self._path = path
        self._handle = handle
        self._reopened = ReopenedSlide(path, handle)
        self._descriptor = descriptor
        self.pyramid: Pyramid = read_pyramid(handle)

    @cached_property
    def _pages(self) -> list[TiffPage] | str:
        if self.pyramid.vendor not in NATIVE_VENDORS:
            return f"vendor {self.pyramid.vendor}"
        try:
            return read_tiled_pages(self._path)
        except TiffError as error:
            return str(error)

    def reading(self, plan: TilePlan, reduce: str) -> Reading:
        """How a plan is read. Raises SlideError ``native-tile-too-large``."""
        reading = choose_reading(self._pages, self.pyramid, plan, reduce)
        if reading.page is None:
            width, height = native_tile_size(self._handle, plan.level)
            refuse_large(width, height, 3 * width * height)
            self._refuse_unsafe(self.pyramid.level_sizes[plan.level])
        return reading

    def _refuse_unsafe(self, size: tuple[int, int]) -> None:
        """A native library that is given this could crash."""
        pages = [] if isinstance(self._pages, str) else self._pages
        for page in pages:
            unsafe = unsafe_codestreams(self._descriptor, page) if (page.width, page.height) == size else 0
            if unsafe:
                raise SlideError(
                    "unreadable",
                    f"{self._path}: {unsafe:,} native tiles hold JPEG 2000 that is not of their size",
                    remedy="fetch the file again, or leave it out",
                )

    def source(self, plan: TilePlan, reading: Reading) -> BlockSource:
        """The reader of a plan's blocks."""
        if reading.page is None:
            return OpenSlideSource(self._reopened, plan, reading)
        return NativeSource(
            self._descriptor, reading.page, reading.blocks, reading.factor, by_decoder=reading.by_decoder
        )

    def check_readable(self) -> None:
        """Read one pixel: a slide may open and yet not read. Raises SlideError ``unreadable``."""
        try:
            self._reopened.read_region((0, 0), 0, (1, 1))
        except UnreadableBlockError as error:
            raise SlideError(
                "unreadable", f"{self._path}: {error}", remedy="fetch the file again, or leave it out"
            ) from None

    def read_level(self, level: int, factor: int) -> tuple[UInt8Array, int]:
        """All of a level, averaged by ``factor``, a power of two up to 32 (what the kernel cannot do at once in two
        steps, each rounded), uint8 (height, width, 4), whose fourth byte means nothing; a remainder of the division is
        left out. And how many pieces of it were not readable: they are black.

        Raises SlideError ``native-tile-too-large``.
        """
        page = find_page(self._pages, self.pyramid, level)
        first = min(factor, MOST_REDUCED)
        if isinstance(page, TiffPage):
            first = math.gcd(first, page.tile_width, page.tile_height)
        if factor > first:
            fine, unreadable = self.read_level(level, first)
            image = np.zeros((*(side // (factor // first) for side in fine.shape[:2]), 4), dtype=np.uint8)
            average_into(fine, factor // first, image)
            return image, unreadable
        width, height = (side // factor for side in self.pyramid.level_sizes[level])
        image = np.zeros((height, width, 4), dtype=np.uint8)
        if isinstance(page, TiffPage):
            return image, read_native_page(self._descriptor, page, factor, image)
        rows, unreadable = max(1, MOST_PX_A_READ // (width * factor**2)), 0
        for top in range(0, height, rows):
            out = image[top : top + rows]
            y_l0 = round(top * factor * self.pyramid.downsamples[level])
            try:
                pixels = self._reopened.read_region((0, y_l0), level, (width * factor, len(out) * factor))
            except UnreadableBlockError:
                unreadable += 1
                continue
            composite_on_white(pixels)
            average_into(pixels, factor, out)
        return image, unreadable

    def close(self) -> None:
        """Close what was opened again."""
        self._reopened.close()
