"""Small files that ask for gigabytes or for hours, and headers that say nonsense: written to do harm, not damaged."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import imagecodecs
import numpy as np
from damage import SIZES, layout_of, with_value
from tiff_factory import (
    COMPRESSIONS,
    RGB,
    YCBCR,
    Case,
    Pixels,
    Tags,
    TiffBytes,
    abbreviated,
    encode,
    level_pixels,
    segments,
    write_case,
)

MIB = 2**20
SIDE = 512  # of the one native tile, where nothing else is said


def bombs() -> Iterator[tuple[str, bytes]]:
    """Names, suffix and all, and contents."""
    for kind in (lossless_bombs(), jpeg_bombs(), jpeg2000_bombs(), next_to_nothing(), descriptions()):
        for name, data in kind:
            yield f"{name}.tiff", data


def lossless_bombs() -> Iterator[tuple[str, bytes]]:
    """Native tiles that unpack to far more than they are, and pages that say so; by planes they are OpenSlide's."""
    zeros = bytes(64 * MIB)
    for name, compression, tile in (
        ("deflate", 8, _deflated_zeros(256)),
        ("deflate-of-4-gib", 8, _deflated_zeros(4096)),
        ("deflate-old", 32946, _deflated_zeros(1024)),
        ("zstd", 50000, bytes(imagecodecs.zstd_encode(zeros)) * 64),
        ("lzw", 5, bytes(imagecodecs.lzw_encode(zeros))),
    ):
        packing: Tags = {259: ("H", (compression,))}
        yield f"bomb-{name}", one_page([tile], packing)
        yield f"bomb-{name}-planes", one_page([tile], packing | {284: ("H", (2,)), **_slots([tile] * 3)})
        for side in (8192, 30_000):
            yield f"bomb-{name}-of-{side}", one_page([tile], packing | _square(side))


def _deflated_zeros(mib: int) -> bytes:
    """A zlib stream of this number of MiB of zeros; full flushes are what makes a block of it a repeatable piece."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(bytes(16 * MIB)) + packer.flush(zlib.Z_FULL_FLUSH)
    return b"\x78\xda" + block * (mib // 16)


def jpeg_bombs() -> Iterator[tuple[str, bytes]]:
    good = encode(Case(""), _tissue())
    gray = encode(Case("", samples=1), _tissue()[..., :1])
    as_gray: Tags = {258: ("H", (8,)), 262: ("H", (1,)), 277: ("H", (1,))}
    for side in (1, 511, 513, 65_500):
        yield f"jpeg-of-{side}", one_page([_resized_jpeg(good, side, side), good])
        yield f"jpeg-{side}-high", one_page([_resized_jpeg(good, SIDE, side), good])
        yield f"gray-jpeg-of-{side}", one_page([_resized_jpeg(gray, side, side), gray], as_gray)
    for side in (8192, 65_504):
        yield f"jpeg-of-{side}-as-it-says", one_page([_resized_jpeg(good, side, side)], _square(side))
        yield f"gray-jpeg-of-{side}-as-it-says", one_page([_resized_jpeg(gray, side, side)], as_gray | _square(side))
    yield "jpeg-without-end", one_page([good[:-2] + good[2:] * 8])
    yield "jpeg-tables-only", one_page([good], {347: ("B", b"\xff\xd8" * 100)})


def _resized_jpeg(stream: bytes, width: int, height: int) -> bytes:
    """The JPEG whose header says another size."""
    frame = next(part for marker, part in segments(stream) if marker == 0xC0)
    return stream.replace(frame, frame[:5] + struct.pack(">HH", height, width) + frame[9:])


def cut_off_jpegs() -> Iterator[tuple[str, bytes]]:
    """Shared tables and native tiles that are the first bytes of a JPEG, or none."""
    whole = encode(Case(""), _tissue())
    tables, image = abbreviated(whole)
    for start in (b"", b"\0" * 9, b"\xff", b"\xff\xd8", b"\xff\xd8\xff", b"\xff\xd8\xff\xe0", tables[:9], tables[:-2]):
        yield f"tables-{start[:9].hex()}-{len(start)}.tiff", one_page([image], {347: ("B", start)})
        yield f"tile-{start[:9].hex()}-{len(start)}.tiff", one_page([start, whole])


def jpeg_of_scans(n: int) -> bytes:
    """A slide of one progressive JPEG, all white, whose last scan comes ``n`` times: 16 bytes that cost a pass over all
    blocks, 2.6 ms at this size. libjpeg warns of them, and goes on."""
    side = 2048
    white = np.full((side, side, 3), 255, dtype=np.uint8)
    stream = encode(Case("", photometric=YCBCR, progressive=True), white)
    scan = stream[stream.rindex(b"\xff\xda") : -2]
    return one_page([stream[:-2] + scan * n + b"\xff\xd9"], {262: ("H", (YCBCR,)), **_square(side)})


def jpeg2000_bombs() -> Iterator[tuple[str, bytes]]:
    """Size markers that lie (ISO 15444-1, A.5.1: from byte 8 size, origin, tile size, tile origin, components)."""
    for codec in ("jp2k-rgb", "jp2k-ycbcr"):
        packing: Tags = {259: ("H", (COMPRESSIONS[codec],))}
        good = encode(Case("", codec), _tissue())
        for side in (1, 511, 65_000, 2**31 - 1):
            yield f"{codec}-of-{side}", one_page([_resized_jp2k(good, side), good], packing)
            yield f"{codec}-of-{side}-further-on", one_page([good, _resized_jp2k(good, side)], packing)
        for side in (4096, 65_008):
            yield f"{codec}-of-{side}-as-it-says", one_page([_resized_jp2k(good, side)], packing | _square(side))
        lies = {
            "of-16384-components": good[:40] + struct.pack(">H", 16384) + good[42:],
            "of-tiles-of-1": good[:24] + struct.pack(">II", 1, 1) + good[32:],
            "of-38-bits": good[:42] + b"\x25" + good[43:],
        }
        for name, stream in lies.items():
            yield f"{codec}-{name}", one_page([stream, good], packing)
            yield f"{codec}-{name}-further-on", one_page([good, stream], packing)


def jpeg2000_over_reads() -> Iterator[tuple[str, bytes]]:
    """Components that are smaller than OpenSlide 4.0.1 takes them for: it reads beyond their ends, which shows what
    lies behind them on the heap, or ends the process."""
    packing: Tags = {259: ("H", (COMPRESSIONS["jp2k-ycbcr"],))}
    for subsampling in ("4:4:4", "4:2:2"):
        good = encode(Case("", "jp2k-ycbcr", subsampling=subsampling), _tissue())
        shifted = good[:16] + struct.pack(">II", 200, 200) + good[24:]
        thinned = good[:43] + b"\xff\xff" + good[45:]
        for name, stream in (("origin-200", shifted), ("subsampled-255", thinned)):
            yield f"jp2k-{subsampling.replace(':', '')}-{name}.tiff", one_page([stream, good], packing)
            yield f"jp2k-{subsampling.replace(':', '')}-{name}-further-on.tiff", one_page([good, stream], packing)


def _resized_jp2k(stream: bytes, side: int) -> bytes:
    size = struct.pack(">II", side, side)
    return stream[:8] + size + stream[16:24] + size + stream[32:]


def next_to_nothing() -> Iterator[tuple[str, bytes]]:
    good = encode(Case(""), _tissue())
    yield "tiles-of-few-bytes", one_page([b"", b"\xff", b"\xff\xd8", b"\xff\xd8\xff\xd9", good[:20], good])
    yield "all-tiles-missing", one_page([b"", b""])
    yield "a-million-tiles", one_page([good], {256: ("I", (512_000,)), 257: ("I", (512_000,))})
    yield "header-alone", b"II*\0\x08\0\0\0"
    yield "empty", b""


# --- what the header says of the slide ---------------------------------------------------------------------------


def descriptions() -> Iterator[tuple[str, bytes]]:
    """Numbers that are none, too small or too large; texts without end; XML that grows, nests or reaches out."""
    good = encode(Case(""), _tissue())
    for mpp in ("nan", "inf", "-1", "0", "1e-300", "1e300", "0.000001", "0,5", "", "5" * 70_000):
        text = f"Aperio Image Library v11.2.1 \r\n|AppMag = 0|MPP = {mpp}\0".encode()
        yield f"mpp-{mpp[:9]}", one_page([good], {270: ("s", text)})
    yield "description-without-end", one_page([good], {270: ("s", b"Aperio " + b"|=" * 30_000)})
    yield "description-of-any-bytes", one_page([good], {270: ("s", b"Aperio \xff\xfe\x80|MPP = 0.5|\x1b[31m = 1\0")})
    with TemporaryDirectory() as folder:
        philips = write_case(Case("p", vendor="philips", tile=(128, 96), levels=SIZES), Path(folder)).read_bytes()
    start = philips.index(b"<?xml")
    xml = philips[start : philips.index(b"\0", start)]
    entities = b"".join(b'<!ENTITY e%d "%s">' % (n, b"&e%d;" % (n - 1) * 10) for n in range(1, 10))
    for name, text in {
        "entities": b'<!DOCTYPE d [<!ENTITY e0 "boom">' + entities + b"]><DataObject>&e9;</DataObject>",
        "nested": b"<DataObject>" * 20_000,
        "unclosed": xml[:-40],
        "external": xml.replace(b"?>", b'?><!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/hostname">]>', 1),
        "spacing-0": re.sub(rb'"[0-9.]+"', b'"0"', xml),
        "spacing-below-0": re.sub(rb'"[0-9.]+"', b'"-1"', xml),
    }.items():
        yield f"philips-{name}", _with_description(philips, text + b"\0")


def _with_description(data: bytes, text: bytes) -> bytes:
    layout = layout_of(data)
    entry = next(entry for entry in layout.entries if entry.tag == 270)
    with_count = with_value(data + text, layout.offset, entry.entry + 4, len(text))
    return with_value(with_count, layout.offset, entry.entry + 4 + struct.calcsize(layout.offset), len(data))


# --- the slide around them ---------------------------------------------------------------------------------------


def one_page(tiles: list[bytes], tags: Tags | None = None) -> bytes:
    """A slide of Aperio's of native tiles side by side, 8-bit RGB JPEG if ``tags`` say nothing else."""
    file = TiffBytes("<", False)
    offsets = tuple(file.append(tile) for tile in tiles)
    page: Tags = {
        254: ("I", (0,)),
        256: ("I", (SIDE * len(tiles),)),
        257: ("I", (SIDE,)),
        258: ("H", (8, 8, 8)),
        259: ("H", (COMPRESSIONS["jpeg"],)),
        262: ("H", (RGB,)),
        270: ("s", b"Aperio Image Library v11.2.1 \r\n|AppMag = 20|MPP = 0.5\0"),
        277: ("H", (3,)),
        284: ("H", (1,)),
        322: ("I", (SIDE,)),
        323: ("I", (SIDE,)),
        324: ("I", offsets),
        325: ("I", tuple(map(len, tiles))),
    }
    file.page(page | (tags or {}))
    return bytes(file.data)


def _square(side: int) -> Tags:
    """A page of one square native tile."""
    return {256: ("I", (side,)), 257: ("I", (side,)), 322: ("I", (side,)), 323: ("I", (side,))}


def _slots(tiles: list[bytes]) -> Tags:
    """Several native tiles whose bytes are the same, the first of the file."""
    return {324: ("I", (8,) * len(tiles)), 325: ("I", tuple(map(len, tiles)))}


def _tissue() -> Pixels:
    return np.tile(level_pixels((256, 256), 0), (SIDE // 256, SIDE // 256, 1))
