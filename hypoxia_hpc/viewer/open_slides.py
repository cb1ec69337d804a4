"""The slides that are open: few at a time, whichever were looked at last."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

import numpy as np

from hypoxia_hpc.errors import SlideError
from hypoxia_hpc.records import UInt8Array
from hypoxia_hpc.slides.opening import OpenedSlide, opened_slide
from hypoxia_hpc.tiling.windows import Window
from hypoxia_hpc.viewer.pyramid import DeepZoom, deep_zoom_of, overview_factor

MOST_OPEN = 6
# Of each slide that OpenSlide reads.
CACHE_BYTES = 16 * 2**20
# Longer side of the picture that the coarsest levels are cut from: 3 MB.
OVERVIEW_PX = 1024
# What is read for it at a time, about, along each side.
BLOCK_PX = 2048
WHITE = 255


@dataclass(eq=False)
class ViewedSlide:
    """An open slide. Several threads may use it at the same time."""

    slide: OpenedSlide
    zoom: DeepZoom
    stack: ExitStack
    users: int = 0
    _one_at_a_time: threading.Lock = field(default_factory=threading.Lock)
    _overview: UInt8Array | None = None

    @property
    def coarsest(self) -> int:
        """The number of the slide's level with the fewest pixels."""
        sizes = self.slide.pyramid.level_sizes
        return min(range(len(sizes)), key=lambda number: max(sizes[number]))

    @property
    def overview_factor(self) -> int:
        """Pixels of the coarsest level to one of the overview, along each side."""
        return overview_factor(self.slide.pyramid.level_sizes[self.coarsest], OVERVIEW_PX)

    def reading(self, level: int) -> AbstractContextManager[object]:
        """Held while pixels of a level are read: a handle of OpenSlide is for one thread at a time."""
        return nullcontext() if self.slide.is_native(level) else self._one_at_a_time

    def refuse_unreadable(self) -> None:
        """A slide may open and yet not read: where its first pixel does not decode, all of it is tried. Raises
        SlideError where none of it decodes."""
        try:
            with self._one_at_a_time:
                self.slide.check_readable()
        except SlideError:
            self.overview()

    def overview(self) -> UInt8Array:
        """The whole slide, uint8 RGB (h, w, 3), made once; white where it cannot be read. Raises SlideError where none
        of it can."""
        with self._one_at_a_time:
            if self._overview is None:
                self._overview = self._made_overview()
            return self._overview

    def _made_overview(self) -> UInt8Array:
        """Block by block, for a slide with one level is as large as can be."""
        from PIL import Image

        level, factor = self.coarsest, self.overview_factor
        width, height = self.slide.pyramid.level_sizes[level]
        made = np.full((max(1, height // factor), max(1, width // factor), 3), WHITE, dtype=np.uint8)
        own = math.lcm(self.zoom.tile_px, factor)
        side = own * max(1, BLOCK_PX // own)
        blocks = [*product(range(0, width, side), range(0, height, side))]
        errors: list[SlideError] = []
        for left, top in blocks:
            size = min(side, width - left), min(side, height - top)
            try:
                pixels = Image.fromarray(self.slide.read_window(Window(level, left, top, *size, size)))
            except SlideError as error:
                errors.append(error)
                continue
            target = made[top // factor : (top + side) // factor, left // factor : (left + side) // factor]
            target[:] = np.asarray(pixels.reduce(factor))[: target.shape[0], : target.shape[1]]
        if len(errors) == len(blocks):
            raise errors[0]
        return made


class OpenSlides:
    """Slides by their key, opened when they are asked for; at most MOST_OPEN stay open that are not in use."""

    def __init__(self, paths: Mapping[str, Path]) -> None:
        self._paths = paths
        self._lock = threading.Lock()
        self._open: OrderedDict[str, ViewedSlide] = OrderedDict()

    @contextmanager
    def borrowed(self, key: str) -> Iterator[ViewedSlide]:
        """The open slide of a key. Raises KeyError for one that is not among them; what `opened_slide` raises."""
        with self._lock:
            viewed = self._open.get(key) or self._opened(key)
            self._open.move_to_end(key)
            viewed.users += 1
        try:
            yield viewed
        finally:
            with self._lock:
                viewed.users -= 1
                self._close_beyond(MOST_OPEN)

    def _opened(self, key: str) -> ViewedSlide:
        with ExitStack() as stack:
            slide = stack.enter_context(opened_slide(self._paths[key], CACHE_BYTES))
            zoom = deep_zoom_of(slide.pyramid.size_l0, slide.jpeg_tile_size())
            viewed = self._open[key] = ViewedSlide(slide, zoom, stack.pop_all())
        return viewed

    def _close_beyond(self, most: int) -> None:
        idle = [key for key, viewed in self._open.items() if not viewed.users]
        for key in idle[: max(0, len(self._open) - most)]:
            self._open.pop(key).stack.close()

    def close(self) -> None:
        """Close those that are not in use."""
        with self._lock:
            self._close_beyond(0)
