"""An open slide: what its header says, a thumbnail, and the pixels of any region at any resolution."""

from __future__ import annotations

import io
import operator
import os
import weakref
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np

from hypoxia_hpc.api.notebook import facts, or_words, picture, words
from hypoxia_hpc.api.viewing import View, view
from hypoxia_hpc.config.paths import expanded
from hypoxia_hpc.config.tile import COARSEST_MPP, FINEST_MPP
from hypoxia_hpc.errors import InputError, SlideError, some
from hypoxia_hpc.records import Pyramid, UInt8Array
from hypoxia_hpc.slides.opening import OpenedSlide, opened_slide
from hypoxia_hpc.tiling.plan import FINEST_SCALE, MppSource, resolve_mpp, sane_mpp
from hypoxia_hpc.tiling.windows import plan_window

SHOWN_PX, JPEG_QUALITY = 320, 85  # of the thumbnail in a notebook


class Level(NamedTuple):
    """A stored level of a slide.

    Attributes:
        size: (width, height) in pixels of this level.
        downsample: Level 0 pixels per pixel of this level, 1.0 for level 0. Not always a whole number.
        mpp: Micrometres per pixel of this level, or None where the slide's resolution is not known.
    """

    size: tuple[int, int]
    downsample: float
    mpp: float | None


def open_slide(path: str | PathLike[str], *, mpp: float | None = None) -> Slide:
    """Open a whole-slide image.

    Args:
        path: A file of any format that OpenSlide reads (SVS, NDPI, MRXS, SCN, tiled TIFF, DICOM, and others).
        mpp: Micrometres per level 0 pixel, 0.01 to 20, in place of what the file says.

    Returns:
        A slide. Close it, or use it as a context manager.

    Raises:
        SlideError: ``missing-file``, ``no-permission``, ``not-a-slide``, ``unreadable``.
        InputError: ``mpp`` is outside its range, or ``path`` begins with a ``~name`` that is no user's.

    Example:
        >>> with hx.open_slide("slide.svs") as slide:
        ...     pixels = slide.read_region((1000, 2000), 256, mpp=0.5)
    """
    return Slide(path, mpp=mpp)


class Slide:
    """An open slide, made by :func:`open_slide`.

    Regions are read as tiles are: native tiles of the file are decoded directly where that gives the right pixels, and
    OpenSlide reads the rest. A slide is for one thread at a time; open it once in each thread.

    Attributes:
        path: The file.
        mpp: Micrometres per level 0 pixel, or None where neither the file nor the caller says.
        mpp_source: Where that comes from: "manifest" (given to :func:`open_slide`), "slide" (the header),
            "objective-power" (10 / magnification), or None.
        given_mpp: What the caller gave, or None.
    """

    def __init__(self, path: str | PathLike[str], *, mpp: float | None = None) -> None:
        if mpp is not None and sane_mpp(mpp) is None:
            raise InputError(
                f"mpp = {mpp!r}: must be {FINEST_MPP:g} to {COARSEST_MPP:g} µm per pixel", remedy="a 20x slide has 0.5"
            )
        self.path = expanded(path, "open_slide")
        self.given_mpp = mpp
        stack = ExitStack()
        with _remedies_of_paths(self.path):
            self._opened: OpenedSlide | None = stack.enter_context(opened_slide(self.path))
        self._close = weakref.finalize(self, stack.close)  # at exit it runs before modules are taken apart
        self._pyramid: Pyramid = self._opened.pyramid
        self.mpp, self.mpp_source = _known_mpp(self._pyramid, mpp)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of level 0 in pixels."""
        return self._pyramid.size_l0

    @property
    def levels(self) -> tuple[Level, ...]:
        """The stored levels, level 0 (the largest) first."""
        pyramid = self._pyramid
        return tuple(
            Level(size, downsample, None if self.mpp is None else self.mpp * downsample)
            for size, downsample in zip(pyramid.level_sizes, pyramid.downsamples, strict=True)
        )

    @property
    def vendor(self) -> str:
        """The scanner's maker as OpenSlide names it ("aperio", "hamamatsu", "generic-tiff"), "" where unknown."""
        return self._pyramid.vendor

    def thumbnail(self, px: int = 512) -> UInt8Array:
        """The whole slide, its longer side at most ``px`` pixels, 1 to 10,000.

        Returns:
            uint8 (height, width, 3), RGB.

        Raises:
            SlideError: ``unreadable``, ``native-tile-too-large``.
            InputError: ``px`` is outside its range, or the slide is closed.

        Example:
            >>> slide.thumbnail(64).shape
            (64, 48, 3)
        """
        side = _whole(px, "px")
        if not 1 <= side <= 10_000:
            raise InputError(f"px = {px}: must be from 1 to 10,000", remedy="for more use read_region")
        return self.reader().read_thumbnail(side)

    def read_region(
        self, xy_l0: tuple[int, int], size_px: int | tuple[int, int], mpp: float | None = None
    ) -> UInt8Array:
        """The pixels of a region.

        Level and scale are chosen as for tiles. Where ``mpp`` is within 2 % of a stored level, or of 2, 4 or 8 times
        one, it is taken as that. At a stored level the pixels are as they are stored; in between, each pixel is the
        exact mean over its area on the nearest finer level, halves rounded up. The region begins at the pixel of the
        level that is nearest to ``xy_l0``. What lies outside the slide is white, and so are transparent pixels.

        Args:
            xy_l0: (x, y) of the top left corner in level 0 pixels. It may lie outside the slide.
            size_px: (width, height) of the result in pixels, or one number for a square; 1 or more.
            mpp: Micrometres per pixel of the result. Default: level 0 as it is.

        Returns:
            uint8 (height, width, 3), RGB.

        Raises:
            InputError: The region lies outside the slide as a whole, it reads more than 100 million pixels, ``mpp`` is
                finer than the slide, a number is not whole, or the slide is closed.
            SlideError: ``unreadable`` where a part of the file does not decode, ``native-tile-too-large``; and where
                ``mpp`` is given, ``no-mpp``, ``anisotropic-mpp`` or ``absurd-mpp`` where the slide's own is not known.

        Example:
            >>> slide.read_region((0, 0), (200, 100), mpp=1.0).shape
            (100, 200, 3)
        """
        x, y = _pair(xy_l0, "xy_l0")
        width, height = (_whole(size_px, "size_px"),) * 2 if np.ndim(size_px) == 0 else _pair(size_px, "size_px")
        if width < 1 or height < 1:
            raise InputError(f"size_px = {size_px}: must be 1 or more", remedy="give (width, height) in pixels")
        window = plan_window(self._pyramid, (x, y), (width, height), self._scale(mpp))
        return self.reader().read_window(window)

    def _scale(self, mpp: float | None) -> float:
        """Level 0 pixels per pixel at this resolution."""
        if mpp is None:
            return 1.0
        of_slide = self._require_mpp()
        if not mpp >= FINEST_SCALE * of_slide:
            raise InputError(
                f"mpp = {mpp!r}: the slide has {of_slide:g} µm/px (from {self.mpp_source}): "
                "enlarging would invent detail",
                remedy=f"ask for {of_slide:g} or more",
            )
        return mpp / of_slide

    def _require_mpp(self) -> float:
        try:
            return resolve_mpp(self._pyramid, self.given_mpp, None)[0]
        except SlideError as error:
            remedy = f"say what it is: open_slide(path, mpp=...), {FINEST_MPP:g} to {COARSEST_MPP:g}"
            raise SlideError(error.reason, f"{self.path}: {error.problem}", remedy=remedy) from None

    def view(self, **options: Any) -> View:
        """This slide in a cell of a notebook. ``options`` and errors are those of :func:`hypoxia_hpc.view`."""
        return view(self.path, **options)

    def reader(self) -> OpenedSlide:
        """What reads the file, for :func:`hypoxia_hpc.tile`. Raises InputError where the slide is closed."""
        if self._opened is None:
            raise InputError(f"{self.path} is closed", remedy="open it again with open_slide")
        return self._opened

    def close(self) -> None:
        """Close the file. To close it twice does no harm."""
        self._opened = None
        self._close()

    def __enter__(self) -> Slide:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        width, height = self.size
        return (
            f"<Slide {self.path.name}: {width} x {height} px, {_resolution(self)}, {some(len(self.levels), 'level')}>"
        )

    def _repr_html_(self) -> str:
        """What a notebook shows: the header as a table, and a thumbnail while the slide is open."""
        rows = [("file", self.path.name), ("size", f"{self.size[0]} x {self.size[1]} px"), ("mpp", _resolution(self))]
        rows += [
            ("vendor", self.vendor),
            ("levels", " · ".join(f"{one.size[0]} x {one.size[1]}" for one in self.levels)),
        ]
        if self._opened is None:
            return facts(rows) + words("The slide is closed: no thumbnail.")
        return facts(rows) + or_words(lambda: picture(_jpeg(self.thumbnail(SHOWN_PX)), "jpeg", "thumbnail"))


@contextmanager
def _remedies_of_paths(path: Path) -> Iterator[None]:
    """In a run, a path that names no file is mended in slides.csv; here it is what the caller gave."""
    try:
        yield
    except SlideError as error:
        is_file = os.path.isfile(path)  # noqa: PTH113 - Path's raises where a name is too long
        names_no_file = error.reason in ("missing-file", "not-a-slide") and not is_file
        remedy = "check the path: it has to name the file of a slide" if names_no_file else error.remedy
        raise SlideError(error.reason, error.problem, remedy=remedy) from None


def _known_mpp(pyramid: Pyramid, given: float | None) -> tuple[float | None, MppSource | None]:
    try:
        return resolve_mpp(pyramid, given, None)
    except SlideError:
        return None, None


def _resolution(slide: Slide) -> str:
    return "mpp unknown" if slide.mpp is None else f"{slide.mpp:g} µm/px (from {slide.mpp_source})"


def _jpeg(pixels: UInt8Array) -> bytes:
    from PIL import Image

    encoded = io.BytesIO()
    Image.fromarray(pixels).save(encoded, "JPEG", quality=JPEG_QUALITY)
    return encoded.getvalue()


def _pair(values: Any, name: str) -> tuple[int, int]:
    try:
        first, second = values
    except (TypeError, ValueError):
        raise InputError(f"{name} = {values!r}: must be two whole numbers", remedy="give a pair, (x, y)") from None
    return _whole(first, name), _whole(second, name)


def _whole(value: Any, name: str) -> int:
    try:
        return operator.index(value)
    except TypeError:
        raise InputError(f"{name} = {value!r}: must be a whole number", remedy="round it first") from None
