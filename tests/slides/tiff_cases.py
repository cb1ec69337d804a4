"""The files that every reader of TIFF slides is held to: what the native reader has to accept, and what it must not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

from tiff_factory import CMYK, LEVEL_0, MINISBLACK, PALETTE, RGB, SUBSAMPLINGS, YCBCR, Case

VENDORS = ("aperio", "generic-tiff", "philips")
BY_2_AND_4 = (LEVEL_0, (350, 260), (175, 130))
BY_2_AND_16 = (LEVEL_0, (350, 260), (44, 32))  # 16.08: whole positions are few
LOSSLESS = ("none", "lzw", "deflate", "deflate-old", "zstd")
OPENSLIDES: tuple[int, ...] = ()  # no level is read natively


def jpeg_cases() -> Iterator[Case]:
    """Colours and tables by vendor; markers and component ids, right, wrong and contradicting: the tag alone counts."""
    colours = [(YCBCR, name) for name in SUBSAMPLINGS] + [(RGB, "4:4:4"), (RGB, "4:2:0")]
    for (photometric, subsampling), tables, vendor in product(colours, (False, True), VENDORS):
        colour = f"{'ycbcr' if photometric == YCBCR else 'rgb'}-{subsampling}{'-tables' if tables else ''}"
        case = Case(f"jpeg-{vendor}-{colour}", "jpeg", vendor, tables=tables)
        yield replace(case, photometric=photometric, subsampling=subsampling)
    markers = ((), ("jfif",), ("adobe-0",), ("adobe-1",), ("jfif", "adobe-0"), ("exif", "adobe-1"))
    for photometric, names, ids, tables in product(
        (YCBCR, RGB), markers, (b"\1\2\3", b"\0\1\2", b"RGB"), (False, True)
    ):
        if (photometric, names, ids) == (YCBCR, (), b"\1\2\3") or (tables and ids == b"\0\1\2"):
            continue
        name = (
            f"jpeg-photometric-{photometric}-{'-'.join(names) or 'bare'}-ids-{ids.hex()}{'-tables' if tables else ''}"
        )
        subsampling = "4:2:0" if photometric == YCBCR else "4:4:4"
        yield Case(name, photometric=photometric, markers=names, ids=ids, tables=tables, subsampling=subsampling)
    for name, subsampling in product(("progressive", "restart"), ("4:4:4", "4:2:2", "4:2:0")):
        case = Case(f"jpeg-{name}-{subsampling}", photometric=YCBCR, subsampling=subsampling)
        yield replace(case, progressive=True) if name == "progressive" else replace(case, restart_rows=1)
    yield Case("jpeg-restart-tables", photometric=YCBCR, subsampling="4:2:0", restart_rows=3, tables=True)


def jpeg2000_cases() -> Iterator[Case]:
    """Only Aperio's compressions; whose colours the compression says, not the photometric tag."""
    for codec, reversible, mct in product(("jp2k-ycbcr", "jp2k-rgb"), (True, False), (True, False)):
        name = f"{codec}-{'reversible' if reversible else 'irreversible'}{'-mct' if mct else ''}"
        yield Case(name, codec, "aperio", reversible=reversible, mct=mct)
    for codec in ("jp2k-ycbcr", "jp2k-rgb"):
        yield Case(f"{codec}-photometric-6", codec, "aperio", photometric=YCBCR)
    for subsampling, reversible in product(("4:2:2", "4:2:0"), (True, False)):
        # OpenSlide repeats the colour samples; no library at hand gives them unconverted.
        name = f"jp2k-ycbcr-{subsampling}-{'reversible' if reversible else 'irreversible'}"
        yield Case(name, "jp2k-ycbcr", "aperio", subsampling=subsampling, reversible=reversible, native=OPENSLIDES)


def lossless_cases() -> Iterator[Case]:
    for codec, vendor, predictor in product(LOSSLESS, VENDORS, (1, 2)):
        if codec != "none" or predictor == 1:
            name = f"{codec}-{vendor}{'-predictor' if predictor == 2 else ''}"
            yield Case(name, codec, vendor, predictor=predictor)


def container_cases() -> Iterator[Case]:
    """TIFF and BigTIFF in both byte orders, native tiles of every shape."""
    kinds = [
        Case("ycbcr", photometric=YCBCR, subsampling="4:2:0", tables=True),
        Case("rgb"),
        Case("lzw", "lzw", predictor=2),
        Case("deflate", "deflate"),
        Case("zstd", "zstd", predictor=2),
        Case("none", "none"),
        Case("jp2k-rgb", "jp2k-rgb", "aperio", mct=True),
        Case("jp2k-ycbcr", "jp2k-ycbcr", "aperio", reversible=True),
    ]
    shapes = ((240, 240), (128, 96), (512, 512), (1024, 16))
    for case, order, big in product(kinds, ("<", ">"), (False, True)):
        for tile in shapes if (order, big) == ("<", False) else shapes[:2]:
            end = "le" if order == "<" else "be"
            name = f"{'bigtiff' if big else 'tiff'}-{end}-{tile[0]}x{tile[1]}-{case.name}"
            # OpenSlide 4.0.1 does not read unpacked native tiles whose size is no multiple of 1 KiB.
            reads = case.codec != "none" or 3 * tile[0] * tile[1] % 1024 == 0
            opens = big or order == "<"  # nor does it open classic TIFF of this byte order, tifffile's neither
            yield replace(case, name=name, order=order, big=big, tile=tile, openslide_reads=reads, opens=opens)


def level_cases() -> Iterator[Case]:
    jpeg = Case("", photometric=YCBCR, subsampling="4:2:0", tables=True)
    kinds = [*product((jpeg, Case("", "lzw", predictor=2)), VENDORS), (Case("", "jp2k-rgb"), "aperio")]
    for (case, vendor), levels in product(kinds, (BY_2_AND_4, BY_2_AND_16)):
        name = f"levels-{case.codec}-{vendor}-{levels[-1][0]}"
        # Philips' pages say more than the level has: what it has is OpenSlide's own knowledge.
        native = (0,) if vendor == "philips" else None
        yield replace(case, name=name, vendor=vendor, tile=(128, 96), levels=levels, thumbnail=True, native=native)
    yield Case("levels-unsorted", "lzw", levels=(LEVEL_0, (175, 130), (350, 260)))
    yield Case("levels-unsorted-aperio", "lzw", "aperio", levels=(LEVEL_0, (175, 130), (350, 260)), opens=False)
    yield Case("levels-equal", "lzw", levels=(LEVEL_0, (350, 260), (350, 260)), native=(0,))
    yield Case("pages-in-whole-tiles", "lzw", pages_in_whole_tiles=True)


def sparse_cases() -> Iterator[Case]:
    """Missing native tiles are white; above level 0 Aperio's are painted from the finer level, also where the tile
    itself is there."""
    packings = (("jpeg", YCBCR), ("lzw", RGB), ("none", RGB))
    for (codec, photometric), vendor, level in product(packings, VENDORS, (0, 1, 2)):
        native = {"aperio": (0, 1) if level == 2 else (0,), "generic-tiff": None, "philips": (0,)}[vendor]
        yield Case(
            f"missing-at-{level}-{codec}-{vendor}",
            codec,
            vendor,
            tile=(128, 96),
            levels=BY_2_AND_4,
            photometric=photometric,
            missing={level: (1,)},
            native=native,
        )
    yield Case("missing-first", tile=(128, 96), missing={0: (0, 1, 2, 8)})
    yield Case("missing-jp2k", "jp2k-rgb", "aperio", tile=(128, 96), missing={0: (3,)})
    yield Case("missing-all-but-two", "lzw", tile=(240, 240), missing={0: tuple(range(1, 8))})
    for codec in ("jpeg", "lzw"):
        yield Case(f"shared-{codec}", codec, tile=(128, 96), shared={0: (1, 7, 35)})


def refused_cases() -> Iterator[Case]:
    """What is left to OpenSlide: its reading depends on more than the pixels of a native tile."""
    for vendor in VENDORS:
        lzw = Case("", "lzw", vendor, native=OPENSLIDES)
        yield replace(lzw, name=f"gray-{vendor}", samples=1, photometric=MINISBLACK)
        yield replace(lzw, name=f"gray-jpeg-{vendor}", codec="jpeg", samples=1, photometric=MINISBLACK)
        yield replace(lzw, name=f"white-is-zero-{vendor}", samples=1, photometric=0)
        yield replace(lzw, name=f"palette-{vendor}", samples=1, photometric=PALETTE)
        yield replace(lzw, name=f"cmyk-{vendor}", samples=4, photometric=CMYK)
        for extra in (None, 0, 1, 2):
            yield replace(lzw, name=f"four-samples-{extra}-{vendor}", samples=4, extra_sample=extra)
        yield replace(lzw, name=f"planes-{vendor}", planar=2)
        yield replace(lzw, name=f"16-bit-{vendor}", bits=16)
        yield replace(lzw, name=f"ycbcr-lzw-{vendor}", photometric=YCBCR)
        for codec in ("none", "lzw", "jpeg"):
            yield replace(lzw, name=f"bit-order-{codec}-{vendor}", codec=codec, fill_order=2)
        yield replace(lzw, name=f"strips-{vendor}", stripped=True, opens=False)
    for vendor in ("generic-tiff", "philips"):
        for codec in ("jp2k-ycbcr", "jp2k-rgb"):
            yield Case(f"{codec}-{vendor}", codec, vendor, opens=False)


CASES: tuple[Case, ...] = (
    *jpeg_cases(),
    *jpeg2000_cases(),
    *lossless_cases(),
    *container_cases(),
    *level_cases(),
    *sparse_cases(),
    *refused_cases(),
)
