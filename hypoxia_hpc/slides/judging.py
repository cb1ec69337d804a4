"""Who reads a file, decided before it is opened as a slide: OpenSlide, the native reader alone, or nobody."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hypoxia_hpc.errors import SlideError
from hypoxia_hpc.slides import plain
from hypoxia_hpc.slides.contradictions import WRITE_ANEW, contradiction
from hypoxia_hpc.slides.decoders import NativeTileError
from hypoxia_hpc.slides.layouts import (
    CONVERT,
    Image,
    Layout,
    bits_said,
    find_image,
    is_openslides,
    misread_by_openslide,
    own_layout,
)
from hypoxia_hpc.slides.sources import NATIVE_VENDORS
from hypoxia_hpc.slides.tiff import FilePage, LoopError, TiffError, read_file_pages

GENERIC = "generic-tiff"
# A TIFF file with the label and an overview; the slide itself is in .ets files in the folder beside it.
SLIDE_BESIDE = ".vsi"
DEEP_BITS = 16
# Glass is white: a slide whose samples really have 16 bits has values above a quarter of the range.
DIM = 1 << 14
MOST_LOOKED_AT = 16


@dataclass(frozen=True, slots=True)
class Judgement:
    """``layout``: how the native reader alone reads a file; None where OpenSlide decides about it. ``is_settled``: its
    header asks for no more memory and time than are known, so that OpenSlide may open it."""

    layout: Layout | None = None
    is_settled: bool = False


def judge(path: Path) -> Judgement:
    """Who reads this file. TIFF files of Aperio, Philips and no vendor are settled where all pages could be read here:
    a native tile for each place of a page (one without bytes counts), and nothing outside of the file. Of other
    vendors' files an XML or a JPEG says what memory OpenSlide takes.

    Raises:
        SlideError: ``several-images``, ``not-rgb``, ``not-supported``, ``inconsistent-header``; the message begins with
            the path.
    """
    if not path.is_file():
        return Judgement()
    try:
        pages = read_file_pages(path)
        return _judged(path, pages) if pages else Judgement()
    except LoopError as error:
        raise SlideError("inconsistent-header", f"{path}: {error}", remedy=WRITE_ANEW) from None
    except (TiffError, OSError):
        return Judgement()
    except SlideError as error:
        raise SlideError(error.reason, f"{path}: {error.problem}", remedy=error.remedy) from None


def _judged(path: Path, pages: list[FilePage]) -> Judgement:
    import openslide

    _refuse_contradictions([page for page in pages if page.is_tiled])
    vendor = openslide.OpenSlide.detect_format(str(path))
    is_sound = all(page.is_inside and not contradiction(page.page) for page in pages)
    settled = Judgement(is_settled=vendor in NATIVE_VENDORS and is_sound)
    if vendor not in (None, GENERIC):
        _refuse_misread(pages, vendor)
        return settled
    if path.suffix.lower() == SLIDE_BESIDE:
        raise SlideError("not-supported", "not supported: Olympus VSI, whose slide lies in a folder", remedy=CONVERT)
    image = find_image(pages)
    _refuse_contradictions([page for level in image.levels for page in level])
    bits = _bits_used(path, image)
    if vendor == GENERIC and bits in (8, DEEP_BITS) and is_openslides(image, pages):
        return settled
    return Judgement(own_layout(image, bits), is_settled=True)


def _refuse_contradictions(pages: Iterable[FilePage]) -> None:
    """Of pages that are shown: a label or a macro image in strips may be as it is."""
    for found in pages:
        problem = contradiction(found.page, "native tile" if found.is_tiled else "strip")
        if problem:
            raise SlideError("inconsistent-header", f"the header contradicts itself: {problem}", remedy=WRITE_ANEW)


def _refuse_misread(pages: list[FilePage], vendor: str) -> None:
    """Raises SlideError for gray that OpenSlide reads wrong, in a vendor's file, and for an orientation."""
    turned = next((page.page for page in pages if page.is_tiled and page.page.orientation != 1), None)
    if turned is not None:
        problem = f"not supported: a slide of {vendor} with the orientation {turned.orientation} instead of 1"
        raise SlideError("not-supported", problem, remedy=CONVERT)
    wrong = [page for page in pages if page.is_tiled and page.page.samples < 3 and misread_by_openslide(page)]
    if wrong:
        page = wrong[0].page
        kind = "gray with transparency" if page.samples == 2 else "gray"
        raise SlideError("not-rgb", f"a slide of {vendor} in {kind} of {page.bits[0]} bit", remedy=CONVERT)


def _bits_used(path: Path, image: Image) -> int:
    """How many bits of a sample are used. Raises SlideError where the file does not say it and they are not 16."""
    said = bits_said(image)
    if said or any(plain.refusal(page) for page in image.levels[-1]):
        return said or DEEP_BITS
    most = _most_value(path, image)
    if most >= DIM:
        return DEEP_BITS
    raise SlideError(
        "not-supported",
        f"not supported: samples of 16 bit with values up to {most:,}, and nothing says how many bits are used",
        remedy="write it with 8 bits a sample, or say the bits (OME's SignificantBits, or TIFF's MaxSampleValue)",
    )


def _most_value(path: Path, image: Image) -> int:
    """The highest value of a sample in native tiles spread over the smallest level, ``DIM`` where none decodes: who
    reads them says so."""
    level = image.levels[-1]
    parts = plain.parts_of(level[0].page) if len(level) == 1 else tuple(page.page for page in level)
    page = plain.plain_page(level[0], parts, DEEP_BITS)
    present = np.flatnonzero(parts[0].counts)
    chosen = present[:: max(1, -(-len(present) // MOST_LOOKED_AT))]
    with path.open("rb") as file:
        return max(
            (value for number in chosen.tolist() for value in _highest(file.fileno(), page, number)), default=DIM
        )


def _highest(descriptor: int, page: plain.PlainPage, number: int) -> list[int]:
    try:
        return [int(plain.read_samples(descriptor, page, number).max())]
    except NativeTileError:
        return []
