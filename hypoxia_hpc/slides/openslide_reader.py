"""Read slides with OpenSlide: the header as a ``Pyramid``, regions of pixels, a thumbnail.

The contract: a reader only obeys a plan. Every fault of the file becomes a ``SlideError`` with a reason.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hypoxia_hpc.errors import SlideError, missing_file, some
from hypoxia_hpc.records import Json, Pyramid, UInt8Array
from hypoxia_hpc.slides.dicom import SLIDE_KIND, kind_of
from hypoxia_hpc.slides.dicom_images import codings_of, refusal
from hypoxia_hpc.slides.guard import require_openable
from hypoxia_hpc.slides.tiff import beyond_end
from hypoxia_hpc.tiling.cutting import UnreadableBlockError

if TYPE_CHECKING:
    from openslide import OpenSlide

# Decoded native tiles that neighbouring bands share stay in OpenSlide's cache (its own default is 32 MiB, less than
# one row of native tiles of a large slide).
CACHE_BYTES = 128 * 2**20
# A handle takes some 10 ms to open; a slide with more damaged places than this is not worth more time.
MOST_REOPENED = 200
# First bytes of files that people have beside their slides, and that nothing here reads.
IMAGE, ARCHIVE, OTHER = (
    "leave it out, or write it as a tiled TIFF (vips tiffsave IN OUT.tif --tile --pyramid)",
    "unpack it, and give the files in it",
    "leave it out",
)
SIGNATURES = {
    b"\xff\xd8\xff": ("a JPEG image", IMAGE),
    b"\x89PNG": ("a PNG image", IMAGE),
    b"\x00\x00\x00\x0cjP  ": ("a JPEG 2000 image", IMAGE),
    b"\xff\x4f\xff\x51": ("a JPEG 2000 codestream", IMAGE),
    b"%PDF": ("a PDF document", OTHER),
    b"PK\x03\x04": ("a ZIP archive", ARCHIVE),
    b"\x1f\x8b": ("a gzip archive", ARCHIVE),
    b"\x89HDF": ("an HDF5 file", OTHER),
    b"BM": ("a BMP image", IMAGE),
    b"GIF8": ("a GIF image", IMAGE),
}
WEB_PAGES = (b"<html", b"<!doctype html")
ONLY_COLOUR = "only brightfield slides in colour are read: leave it out, or write it as RGB"
WRITE_AGAIN = "write it as RGB of 8 bit, as DICOM in JPEG or as TIFF (Bio-Formats' bfconvert), or leave it out"


def openslide_versions() -> Json:
    """Versions of the library and of its binding. Raises ImportError or OSError where it cannot be loaded."""
    import openslide

    return {"openslide": openslide.__library_version__, "openslide-python": openslide.__version__}


@contextmanager
def open_slide(path: Path, *, is_settled: bool = False, cache_bytes: int = CACHE_BYTES) -> Iterator[OpenSlide]:
    """An OpenSlide handle, closed afterwards. Where it is not settled what the header asks for, the file is opened on
    trial first, in another process. ``cache_bytes``: of decoded native tiles that OpenSlide keeps.

    Raises:
        SlideError: ``missing-file``, ``no-permission``, ``not-a-slide``, ``not-supported``, ``not-rgb``,
            ``unsafe-to-open``; ``unreadable`` when the file breaks while it is read (the handle is dead from then on).
        MachineError: there can be no other process.
    """
    import openslide

    try:
        _require_file(path)
        if not is_settled:
            require_openable(path)
        slide = openslide.OpenSlide(str(path))
    except PermissionError as error:
        raise SlideError("no-permission", f"{path}: {error.strerror}", remedy="chmod it for this user") from None
    except OSError as error:
        raise SlideError("unreadable", f"{path}: {error.strerror}", remedy="check the file system") from None
    except openslide.OpenSlideUnsupportedFormatError:
        refuse_other_kinds(path)
        raise SlideError(
            "not-a-slide",
            f"{path}: no format that OpenSlide knows",
            remedy="check that it was downloaded whole (size, md5), or leave it out",
        ) from None
    except openslide.OpenSlideError as error:
        refuse_other_pixels(path)
        beyond, of = beyond_end(path)
        problem = f"the file ends before {beyond:,} of its {some(of, 'native tile')}" if beyond else str(error)
        raise SlideError("not-a-slide", f"{path}: {problem}", remedy="fetch the file again, or leave it out") from None
    try:
        with slide_errors(path):
            slide.set_cache(openslide.OpenSlideCache(cache_bytes))
            yield slide
    finally:
        slide.close()


def _require_file(path: Path) -> None:
    """Raises SlideError ``missing-file`` or ``not-a-slide``, and OSError where it cannot be opened."""
    if not path.exists():
        raise missing_file(path)
    if not path.is_file():  # opening a pipe would wait for ever
        raise SlideError("not-a-slide", f"{path} is no plain file", remedy="mend its path in slides.csv")
    path.open("rb").close()


def refuse_other_kinds(path: Path) -> None:
    """Raises SlideError ``not-supported`` for a file that is no broken slide, but something else, and ``not-a-slide``
    for an empty one."""
    with path.open("rb") as file:
        start = file.read(32)
    if not start:
        raise SlideError("not-a-slide", f"{path} is empty", remedy="fetch the file again, or leave it out")
    if start.lstrip().lower().startswith(WEB_PAGES):
        problem = f"{path} is a web page, as servers send one in place of a file"
        raise SlideError("not-a-slide", problem, remedy="fetch the file again, signed in where the server asks for it")
    kind, remedy = next((known for begin, known in SIGNATURES.items() if start.startswith(begin)), ("", OTHER))
    if not kind and (of_dicom := kind_of(path)) not in ("", SLIDE_KIND):
        kind = f"a DICOM file of another kind ({of_dicom})"
    if kind:
        raise SlideError("not-supported", f"{path}: not supported: {kind}", remedy=remedy)


def refuse_other_pixels(path: Path) -> None:
    """Raises SlideError for a sound DICOM slide whose pixels OpenSlide does not read: ``not-rgb``, ``not-supported``,
    this one also for a label or an overview without which it would read the slide."""
    found = [(each, *refusal(coding)) for each, coding in codings_of(path)]
    volumes = [(reason, why) for each, reason, why in found if each.is_volume]
    if kind_of(path) == f"{SLIDE_KIND}, deflated":
        volumes.append(("not-supported", "all of the file deflated"))
    for reason, why in volumes:
        if reason == "not-rgb":
            raise SlideError(reason, f"{path}: a DICOM slide in {why}", remedy=ONLY_COLOUR)
        if reason:
            raise SlideError(reason, f"{path}: not supported: DICOM with {why}", remedy=WRITE_AGAIN)
    for each, reason, why in found:
        if reason:
            problem = f"{path}: not supported: a label or overview of the slide, {each.path.name}, with {why}"
            raise SlideError("not-supported", problem, remedy=f"move {each.path.name} out of the folder")


@contextmanager
def slide_errors(path: Path) -> Iterator[None]:
    """What OpenSlide raises while a slide is read, as SlideError ``unreadable``."""
    import openslide

    try:
        yield
    except openslide.OpenSlideError as error:
        raise SlideError("unreadable", f"{path}: {error}", remedy="fetch the file again, or leave it out") from None


def read_pyramid(slide: OpenSlide) -> Pyramid:
    """What the header says; a number that is not positive and finite counts as missing."""
    import openslide

    properties = slide.properties
    return Pyramid(
        level_sizes=tuple(slide.level_dimensions),
        downsamples=tuple(slide.level_downsamples),
        mpp_x=_positive(properties, openslide.PROPERTY_NAME_MPP_X),
        mpp_y=_positive(properties, openslide.PROPERTY_NAME_MPP_Y),
        objective_power=_positive(properties, openslide.PROPERTY_NAME_OBJECTIVE_POWER),
        bounds_l0=_bounds(properties),
        vendor=properties.get(openslide.PROPERTY_NAME_VENDOR, ""),
    )


def _number(properties: Mapping[str, str], name: str) -> float | None:
    try:
        value = float(properties[name])
    except (KeyError, ValueError):
        return None
    return value if math.isfinite(value) else None


def _positive(properties: Mapping[str, str], name: str) -> float | None:
    value = _number(properties, name)
    return value if value is not None and value > 0 else None


def _bounds(properties: Mapping[str, str]) -> tuple[int, int, int, int] | None:
    import openslide

    x, y = (_number(properties, name) for name in (openslide.PROPERTY_NAME_BOUNDS_X, openslide.PROPERTY_NAME_BOUNDS_Y))
    width = _positive(properties, openslide.PROPERTY_NAME_BOUNDS_WIDTH)
    height = _positive(properties, openslide.PROPERTY_NAME_BOUNDS_HEIGHT)
    if x is None or y is None or width is None or height is None:
        return None
    return int(x), int(y), int(width), int(height)


class ReopenedSlide:
    """An OpenSlide handle that is opened again after an error, because a handle fails for ever after its first one."""

    def __init__(self, path: Path, slide: OpenSlide, cache_bytes: int = CACHE_BYTES) -> None:
        self._path = path
        self._cache_bytes = cache_bytes
        self._slide = slide
        self._reopened = 0

    def read_region(self, xy_l0: tuple[int, int], level: int, size: tuple[int, int]) -> UInt8Array:
        """Pixels, uint8 (height, width, 4), straight alpha, C-contiguous and writable.

        Raises:
            UnreadableBlockError: nothing there decodes; also when the slide has failed so often that it is given up.
        """
        import openslide

        if self._reopened >= MOST_REOPENED:
            raise UnreadableBlockError(f"given up after {MOST_REOPENED} errors")
        try:
            return np.array(self._slide.read_region(xy_l0, level, size))
        except openslide.OpenSlideError as error:
            fresh = openslide.OpenSlide(str(self._path))  # if opening fails, the old handle can still be closed
            fresh.set_cache(openslide.OpenSlideCache(self._cache_bytes))
            self.close()
            self._slide = fresh
            self._reopened += 1
            raise UnreadableBlockError(str(error)) from None

    def close(self) -> None:
        """Close the handle that was opened here; the first one is closed where it was opened."""
        if self._reopened:
            self._slide.close()


def native_tile_size(slide: OpenSlide, level: int) -> tuple[int, int]:
    """Width and height of a level's native tiles in its own pixels, (0, 0) where the format does not say."""
    names = (f"openslide.level[{level}].tile-width", f"openslide.level[{level}].tile-height")
    width, height = (slide.properties.get(name, "") for name in names)
    return (int(width), int(height)) if width.isdecimal() and height.isdecimal() else (0, 0)


def read_thumbnail(slide: OpenSlide, largest_px: int) -> UInt8Array:
    """The whole slide, uint8 (height, width, 3), its longer side at most ``largest_px``."""
    return np.asarray(slide.get_thumbnail((largest_px, largest_px)).convert("RGB"))
