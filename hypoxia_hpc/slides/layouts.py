"""Which pages of a TIFF file are the slide, and whether OpenSlide may read it, the native reader must, or nobody can.

Decided from all pages. OpenSlide takes the first page and those that are marked as reduced, and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from hypoxia_hpc.errors import SlideError, some
from hypoxia_hpc.records import Pyramid
from hypoxia_hpc.slides import decoders, plain
from hypoxia_hpc.slides.metadata import OmeImage, images_behind, mpp_of, other_mpp_of, read_ome, read_qpi
from hypoxia_hpc.slides.openslide_reader import ONLY_COLOUR
from hypoxia_hpc.slides.plain import PlainPage
from hypoxia_hpc.slides.sources import refuse_large
from hypoxia_hpc.slides.tiff import FilePage, TiffPage

# Compressions that OpenSlide 4.0 reads in a TIFF of no vendor.
OPENSLIDES = plain.LOSSLESS | {decoders.JPEG, plain.PACKBITS}
# A smaller page is no region of its own: labels, macro images and thumbnails have less than a percent of the pixels.
LEAST_REGION = 1 / 64
# Sides of a level may be rounded either way, and some writers round the factor.
SIDE_SLACK_PX = 2
OTHER_SHAPE = 1.25
# A worker stays below 600 MB: it held 690 with 380 MiB of them for a flat image.
MOST_FLAT_BYTES = 256 * 2**20
VENDOR = "tiff"
CONVERT = "convert it: vips tiffsave IN OUT.tif --tile --pyramid --compression jpeg --Q 90 (or Bio-Formats' bfconvert)"
SCALE = "scale its values to 0..255, and write them with 8 bits a sample"
STACK = "write each of them as a file of its own (tiffsplit, bfconvert -series), or leave it out"
ODD = "fetch the file again; where another program shows it, write it from there as a tiled TIFF in RGB of 8 bit"


@dataclass(frozen=True, slots=True)
class Layout:
    """A slide whose header is read here: one page for each level of ``pyramid``."""

    pyramid: Pyramid
    levels: tuple[PlainPage | TiffPage, ...]


@dataclass(frozen=True, slots=True)
class Image:
    """The pages of one image: for each level one page, or three of one colour each, by falling size. ``others``: how
    many images of full resolution the file has beside it, none of them larger."""

    levels: tuple[tuple[FilePage, ...], ...]
    ome: OmeImage | None
    number: int
    others: int = 0

    @property
    def main(self) -> FilePage:
        return self.levels[0][0]


def find_image(pages: Sequence[FilePage]) -> Image:
    """The image that the file is about, the largest where it has several of different sizes. Raises SlideError
    ``several-images``, ``not-rgb``, ``not-supported``."""
    images = read_ome(pages[0].description) if pages else []
    tops = [page for page in pages if page.parent < 0 and not page.is_reduced]
    named = [_ome_of(page, images) for page in tops]
    tops = [page for page, ome in zip(tops, named, strict=True) if not _is_side_image(page, ome)]
    if not tops:
        raise SlideError("not-supported", "not supported: no page is a whole image", remedy=ODD)
    main = max(tops, key=_area)
    ome = _ome_of(main, images)
    if ome is not None and ome.elsewhere:
        raise SlideError(
            "not-supported", "not supported: an OME-TIFF whose planes lie in several files", remedy=CONVERT
        )
    if sum(page.size == main.size for page in tops) == 1:
        _refuse_stack(main)
    planes = _planes(tops, main, ome)
    others = _other_regions(tops, main)
    if max(map(_area, pages)) > _area(main):
        raise SlideError("not-supported", "not supported: its largest page is said to be a smaller copy", remedy=ODD)
    colours = [_levels_below(pages, page, [*planes, *others] if others else []) for page in planes]
    smaller = [level for level in zip(*colours, strict=False) if len({page.size for page in level}) == 1]
    return Image((planes, *smaller), ome, pages.index(main), len(others))


def _refuse_stack(main: FilePage) -> None:
    """Raises SlideError ``several-images`` where a page says that others follow it without pages of their own, as
    ImageJ and tifffile write a large stack."""
    page = main.page
    if (n := images_behind(main.description, page.width, page.height, page.samples)) > 1:
        raise SlideError(
            "several-images",
            f"{n} images of {page.width} x {page.height} px in one page: regions, focal planes or times",
            remedy=STACK,
        )


def _area(page: FilePage) -> int:
    return page.page.width * page.page.height


def _ome_of(page: FilePage, images: Sequence[OmeImage]) -> OmeImage | None:
    return next((image for image in images if image.size == page.size), None)


def _planes(tops: Sequence[FilePage], main: FilePage, ome: OmeImage | None) -> tuple[FilePage, ...]:
    """The pages of full size: one, or those of red, green and blue."""
    same = [page for page in tops if page.size == main.size]
    _refuse_colours(main, len(same), ome)
    if len(same) == 1:
        return (main,)
    if main.page.samples == 1 and ome is not None and len(same) == 3 and ome.sections == 1 and ome.rgb_planes:
        first = min(ome.planes)
        return tuple(same[plane - first] for plane in ome.rgb_planes if 0 <= plane - first < 3)
    raise SlideError(
        "several-images",
        f"{len(same)} pages of {main.size[0]} x {main.size[1]} px: regions, focal planes or times",
        remedy=STACK,
    )


def _refuse_colours(main: FilePage, n_same: int, ome: OmeImage | None) -> None:
    """Raises SlideError ``not-rgb`` for channels that are no colours."""
    page, channels = main.page, 1 if ome is None else len(ome.planes)
    is_gray = page.photometric in (plain.WHITE_IS_ZERO, plain.BLACK_IS_ZERO)
    is_rgb_by_planes = ome is not None and bool(ome.rgb_planes) and n_same == 3
    several = page.samples > 2 or ((n_same > 1 or channels > 1) and page.samples == 1 and not is_rgb_by_planes)
    if page.samples > 4 or (is_gray and several):
        names = ", ".join(ome.channels[:5]) if ome is not None else ""
        found = page.samples if page.samples > 2 else max(n_same, channels)
        raise SlideError(
            "not-rgb",
            f"{found} channels that are not red, green and blue{f' ({names})' if names.strip(', ') else ''}",
            remedy=ONLY_COLOUR,
        )


def _is_side_image(page: FilePage, ome: OmeImage | None) -> bool:
    qpi = read_qpi(page.description)
    return (ome is not None and ome.is_side_image) or (qpi is not None and qpi.is_side_image)


def _other_regions(tops: Sequence[FilePage], main: FilePage) -> list[FilePage]:
    """Other pages that are images as large as a region is. Raises SlideError ``several-images`` where they are of
    another kind than the largest: then nothing says which is the slide."""
    others = [page for page in tops if page.size != main.size and page.is_tiled >= main.is_tiled]
    regions = [page for page in others if _area(page) >= LEAST_REGION * _area(main) and not _is_reduction(page, main)]
    if any(_kind(page) != _kind(main) for page in regions):
        sizes = ", ".join(f"{width} x {height}" for width, height in (page.size for page in (main, *regions[:4])))
        raise SlideError(
            "several-images",
            f"{1 + len(regions)} images of different kinds in one file ({sizes} px)",
            remedy=STACK,
        )
    return regions


def _is_reduction(page: FilePage, main: FilePage) -> bool:
    """Whether a page has the shape of another one, made smaller."""
    if page.page.width >= main.page.width:
        return False
    factor = main.page.width / page.page.width
    return abs(main.page.height / factor - page.page.height) <= SIDE_SLACK_PX


def _levels_below(pages: Sequence[FilePage], top: FilePage, regions: Sequence[FilePage]) -> list[FilePage]:
    """The smaller levels of a page, by falling size, each size once: its SubIFDs and the pages behind it that are
    marked as reduced; where there are several ``regions``, those that :func:`_own_levels` gives it."""
    number = next(index for index, page in enumerate(pages) if page is top)
    behind = _own_levels(pages, number, regions) if regions else range(number + 1, len(pages))
    found = [
        page
        for index, page in enumerate(pages)
        if page.is_tiled >= top.is_tiled
        and (page.parent == number or (page.parent < 0 and page.is_reduced and index in behind))
        and _is_reduction(page, top)
        and _kind(page) == _kind(top)
    ]
    return [page for size, page in sorted({page.size: page for page in reversed(found)}.items(), reverse=True)]


def _own_levels(pages: Sequence[FilePage], number: int, regions: Sequence[FilePage]) -> range:
    """Where in the chain the reduced pages of one region lie: between it and the next one, if each region is followed
    by some. Else nothing says whose they are, and shapes that differ by little do not tell."""
    starts = [index for index, page in enumerate(pages) if any(page is region for region in regions)]
    spans = [range(start + 1, end) for start, end in pairwise([*starts, len(pages)])]
    have_own = all(any(pages[index].is_reduced and pages[index].parent < 0 for index in span) for span in spans)
    return next(span for span in spans if span.start == number + 1) if have_own else range(0)


def _kind(page: FilePage) -> tuple[int, tuple[int, ...], int]:
    return page.page.samples, page.page.bits, page.page.photometric if page.page.samples < 3 else 2


def is_openslides(image: Image, pages: Sequence[FilePage]) -> bool:
    """Whether OpenSlide shows this image, all its levels, and the right pixels, in a file that it calls generic."""
    main = image.main
    in_chain = all(page.parent < 0 for level in image.levels for page in level)
    is_first = pages[0] is main and main.is_tiled and len(image.levels[0]) == 1
    if image.others or read_qpi(main.description):
        return False  # OpenSlide says nothing of them
    if not (is_first and in_chain and main.page.compression in OPENSLIDES) or misread_by_openslide(main):
        return False
    if any(page.is_tiled and page.is_reduced and _has_other_shape(page, main) for page in pages if page.parent < 0):
        return False  # OpenSlide takes every reduced page for a level
    if mpp_of(main, image.ome) != mpp_of(main, None):  # OpenSlide reads no OME-XML
        return False
    return not (_is_odd_unpacked(main.page) and decoders.refusal(main.page))


def _has_other_shape(page: FilePage, main: FilePage) -> bool:
    """Whether a page is so much wider or higher than another one made smaller that no rounding explains it."""
    factor = main.page.width / page.page.width
    expected = main.page.height / factor
    ratio = max(expected / page.page.height, page.page.height / expected)
    return ratio > OTHER_SHAPE and abs(expected - page.page.height) > page.page.tile_height


def _is_odd_unpacked(page: TiffPage) -> bool:
    """Unpacked native tiles whose size is no multiple of 1 KiB: OpenSlide 4.0.1 says that their byte count is wrong."""
    samples = page.samples if page.planar == 1 else 1
    nbytes = page.tile_width * page.tile_height * samples * -(-page.bits[0] // 8)
    return page.compression == decoders.NONE and nbytes % 1024 > 0


def misread_by_openslide(found: FilePage) -> bool:
    """Layouts whose pixels OpenSlide 4.0 gets wrong: gray of 16 bit and gray with transparency at the last native
    column; a fourth sample that is not said to be transparency taken for it; samples with a sign, or floats, taken for
    unsigned ones; an orientation, by which it turns each native tile and leaves it in its place."""
    page = found.page
    if set(page.sample_formats) - {1} or page.orientation != 1:
        return True
    if page.photometric in (plain.WHITE_IS_ZERO, plain.BLACK_IS_ZERO):
        return page.samples == 2 or page.bits[0] == 16
    unsaid = not found.extra or found.extra[0] not in (plain.ASSOCIATED, plain.UNASSOCIATED)
    return page.photometric == plain.RGB and page.samples == 4 and unsaid


def own_layout(image: Image, bits_used: int) -> Layout:
    """The image as the native reader reads it; smaller levels that it does not read are left out. Raises SlideError
    ``not-supported``."""
    main = image.main
    why = _refusal(image.levels[0])
    if why:
        remedy = CONVERT if plain.is_known(main.page) else ODD
        has_floats = 3 in main.page.sample_formats  # vips would cut values of 0 to 1 to 0 and 1
        raise SlideError("not-supported", f"not supported: {why}", remedy=SCALE if has_floats else remedy)
    levels = [level for level in image.levels if not _refusal(level)]
    (mpp_x, mpp_y), qpi = mpp_of(main, image.ome), read_qpi(main.description)
    width, height = main.size
    sizes = tuple(level[0].size for level in levels)
    pyramid = Pyramid(
        level_sizes=sizes,
        downsamples=tuple((width / w + height / h) / 2 for w, h in sizes),
        mpp_x=mpp_x,
        mpp_y=mpp_y,
        objective_power=None if qpi is None else qpi.objective_power,
        vendor=VENDOR,
        images=1 + image.others,
        other_mpp=other_mpp_of(main, image.ome),
    )
    return Layout(pyramid, tuple(level_page(level, bits_used) for level in levels))


def level_page(level: Sequence[FilePage], bits_used: int) -> PlainPage | TiffPage:
    """How a level is read: by the fast reader where it accepts it."""
    first = level[0]
    if len(level) == 1 and first.is_tiled and not decoders.refusal(first.page):
        return first.page
    parts = plain.parts_of(first.page) if len(level) == 1 else tuple(page.page for page in level)
    return plain.plain_page(first, parts, bits_used)


def _refusal(level: Sequence[FilePage]) -> str:
    """Why a level is not read here; empty where it is. Raises SlideError ``native-tile-too-large``."""
    page = level[0]
    why = next((why for why in map(plain.refusal, level) if why), "")
    if why:
        kind = "tiled" if page.is_tiled else "stripped"
        return f"{kind}, {some(page.page.samples, 'sample')} of {page.page.bits[0]} bit: {why}"
    if len({(part.is_tiled, part.page.tile_width, part.page.tile_height, part.page.bits) for part in level}) > 1:
        return "red, green and blue in pages of different layouts"
    strip_bytes = plain.decoded_nbytes(page.page, len(level))
    if page.is_tiled:
        refuse_large(page.page.tile_width, page.page.tile_height, strip_bytes)
    elif 4 * _area(page) + 2 * strip_bytes > MOST_FLAT_BYTES:
        needed = (4 * _area(page) + 2 * strip_bytes) >> 20
        return f"a flat image that needs {needed:,} MiB, the most is {MOST_FLAT_BYTES >> 20}"
    return ""


def bits_said(image: Image) -> int:
    """How many bits of a sample the file says are used; 0 where samples have 16 and it says nothing."""
    stored = image.main.page.bits[0]
    if stored != 16:
        return stored
    if image.ome is not None and image.ome.bits:
        return min(16, image.ome.bits)
    return min(16, image.main.most_value.bit_length())
