"""The tiles of slides as JPEG: the file's own where its grid is the pyramid's, else decoded, reduced and encoded."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np

from hypoxia_hpc.errors import SlideError
from hypoxia_hpc.records import Pyramid, UInt8Array
from hypoxia_hpc.slides.web_tiles import encoded_jpeg
from hypoxia_hpc.tiling.plan import resolve_mpp
from hypoxia_hpc.tiling.windows import Window
from hypoxia_hpc.viewer.open_slides import OpenSlides, ViewedSlide
from hypoxia_hpc.viewer.pyramid import DeepZoom, Place, is_own_tile, level_below, window_of

# Of encoded tiles, which browsers keep too; native tiles are left to the file cache of the system.
MOST_KEPT_BYTES = 24 * 2**20
THUMBNAIL_PX = 200


class KeptBytes:
    """The results that were used last, ``most_bytes`` of them."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, Place], bytes] = OrderedDict()
        self.nbytes = 0

    def get(self, name: tuple[str, Place]) -> bytes | None:
        with self._lock:
            if name in self._kept:
                self._kept.move_to_end(name)
            return self._kept.get(name)

    def put(self, name: tuple[str, Place], data: bytes) -> None:
        with self._lock:
            if name in self._kept:
                return
            self._kept[name] = data
            self.nbytes += len(data)
            while self.nbytes > self._most_bytes:
                self.nbytes -= len(self._kept.popitem(last=False)[1])


@dataclass(frozen=True, slots=True)
class Described:
    """A slide's pyramid; ``mpp`` in µm per pixel of level 0, None where the file does not say it."""

    zoom: DeepZoom
    mpp: float | None


class TileMaker:
    """Tiles and thumbnails of slides, by key. Several threads may ask at the same time. Everything raises KeyError for
    a key that is not among the slides, and SlideError or OSError for a slide that cannot be read."""

    def __init__(self, slides: OpenSlides) -> None:
        self._slides = slides
        self.kept = KeptBytes(MOST_KEPT_BYTES)

    def describe(self, key: str) -> Described:
        """A slide of which no pixel decodes cannot be read, though its header opens."""
        with self._slides.borrowed(key) as viewed:
            viewed.refuse_unreadable()
            return Described(viewed.zoom, _mpp(viewed.slide.pyramid))

    def tile(self, key: str, place: Place) -> bytes | None:
        """A JPEG file; None where the pyramid has no such tile."""
        with self._slides.borrowed(key) as viewed:
            if not viewed.zoom.has(place):
                return None
            data = _own_tile(viewed, place) or self.kept.get((key, place))
            if data is None:
                data = encoded_jpeg(_pixels(viewed, place))
                self.kept.put((key, place), data)
            return data

    def thumbnail(self, key: str) -> bytes:
        """The whole slide as a JPEG file, its longer side THUMBNAIL_PX."""
        from PIL import Image

        with self._slides.borrowed(key) as viewed:
            image = Image.fromarray(viewed.overview())
        image.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
        return encoded_jpeg(np.ascontiguousarray(image))


def _mpp(pyramid: Pyramid) -> float | None:
    try:
        return resolve_mpp(pyramid, None, None)[0]
    except SlideError:
        return None


def _own_tile(viewed: ViewedSlide, place: Place) -> bytes | None:
    if not viewed.zoom.has(place):
        return None
    sizes = viewed.slide.pyramid.level_sizes
    level = level_below(viewed.zoom, place.level, sizes)
    if not is_own_tile(viewed.zoom, place, sizes[level]):
        return None
    return viewed.slide.own_jpeg(level, place.column, place.row, viewed.zoom.tile_px)


def _pixels(viewed: ViewedSlide, place: Place) -> UInt8Array:
    """Of a tile, uint8 RGB (h, w, 3)."""
    window = window_of(viewed.zoom, place, viewed.slide.pyramid.level_sizes)
    if window is None:
        return _of_overview(viewed, place)
    with viewed.reading(window.level):
        pixels = viewed.slide.read_window(_unreduced(window))
    return _reduced(pixels, window.size_px)


def _unreduced(window: Window) -> Window:
    return Window(window.level, window.left, window.top, window.width, window.height, (window.width, window.height))


def _reduced(
    pixels: UInt8Array, size_px: tuple[int, int], box: tuple[float, float, float, float] | None = None
) -> UInt8Array:
    """The mean over the area of each pixel."""
    from PIL import Image

    if box is None and pixels.shape[1::-1] == size_px:
        return pixels
    image = Image.fromarray(pixels).resize(size_px, Image.Resampling.BOX, box)
    return np.ascontiguousarray(image)


def _of_overview(viewed: ViewedSlide, place: Place) -> UInt8Array:
    overview, zoom = viewed.overview(), viewed.zoom
    downsample = zoom.size[0] / viewed.slide.pyramid.level_sizes[viewed.coarsest][0]
    step = zoom.factor(place.level) / (downsample * viewed.overview_factor)
    left, top = (zoom.tile_px * at * step for at in place[1:])
    size_px = zoom.size_of_tile(place)
    # The overview ends within the last pixels of a row and column: they are repeated.
    width, height = (
        min(side, max(1, math.floor((limit - start) / step)))
        for side, start, limit in zip(size_px, (left, top), overview.shape[1::-1], strict=True)
    )
    right, lower = min(overview.shape[1], left + width * step), min(overview.shape[0], top + height * step)
    found = _reduced(overview, (width, height), (left, top, right, lower))
    return np.pad(found, ((0, size_px[1] - height), (0, size_px[0] - width), (0, 0)), mode="edge")
