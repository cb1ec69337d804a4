"""Writes pixels as a pyramidal, JPEG-tiled TIFF in the layout of Aperio's SVS, which OpenSlide opens as such.

Pillow encodes the JPEGs; the TIFF around them is some fourteen tags a page (TIFF 6.0, 1992, sections 2, 15, 21 and 22),
written here, because tifffile needs imagecodecs even to store JPEGs that are already encoded.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from hypoxia_hpc.records import UInt8Array

NATIVE_PX = 240
LOWER_DOWNSAMPLE = 4
THUMBNAIL_DOWNSAMPLE = 8
LIBRARY = "Aperio Image Library v11.2.1 \r\n"

Tags = dict[int, tuple[str, tuple[int, ...] | bytes]]  # number: (type, values)
# Types as in struct, "s" for text, "B" for bytes without a meaning of their own, "r" for fractions: two numbers each.
TYPE_CODES = {"s": 2, "H": 3, "I": 4, "r": 5, "B": 7}
JPEG, YCBCR, CONTIGUOUS = 7, 6, 1
# Chroma at half the resolution in both directions.
YCBCR_JPEG: Tags = {259: ("H", (JPEG,)), 262: ("H", (YCBCR,)), 530: ("H", (2, 2))}


def write_svs(path: Path, pixels: UInt8Array, mpp: float, quality: int = 80) -> None:
    """Write uint8 RGB (h, w, 3) as level 0 with ``mpp`` µm/px, a thumbnail, and a level at a quarter of the size.

    Tiles are 240 px, JPEG of ``quality`` 1..100 with 4:2:0 colour. The bytes depend on the arguments and on the JPEG
    library alone. Appears whole or not at all: written beside the target, then renamed. Raises OSError.
    """
    size = _size(pixels)
    kind = f"({NATIVE_PX}x{NATIVE_PX}) JPEG/RGB Q={quality}"
    details = f"|AppMag = {10 / mpp:g}|MPP = {mpp:.4f}"
    thumbnail, lower = shrink(pixels, THUMBNAIL_DOWNSAMPLE), shrink(pixels, LOWER_DOWNSAMPLE)
    partial = path.with_name(f".tmp-{path.name}")
    with partial.open("wb") as file:
        link = write_header(file)
        link = _write_tiled(file, link, pixels, quality, f"{LIBRARY}{size} [0,0 {size}] {kind}{details}")
        link = _write_stripped(file, link, thumbnail, quality, f"{LIBRARY}{size} -> {_size(thumbnail)} - {details}")
        _write_tiled(file, link, lower, quality, f"{LIBRARY}{size} [0,0 {size}] -> {_size(lower)} {kind}{details}")
    partial.replace(path)


def shrink(pixels: UInt8Array, factor: int) -> UInt8Array:
    """Average over squares of ``factor`` pixels, round half up; a remainder at the right and lower edge is left out."""
    height, width = (side // factor for side in pixels.shape[:2])
    rows = (
        pixels[: height * factor, : width * factor].reshape(height, factor, width * factor, 3).sum(1, dtype=np.uint32)
    )
    sums = rows.reshape(height, width, factor, 3).sum(2, dtype=np.uint32)
    means: UInt8Array = ((sums + factor * factor // 2) // (factor * factor)).astype(np.uint8)
    return means


def _size(pixels: UInt8Array) -> str:
    return f"{pixels.shape[1]}x{pixels.shape[0]}"


def _write_tiled(file: BinaryIO, link: int, pixels: UInt8Array, quality: int, description: str) -> int:
    offsets, counts = write_blocks(file, jpeg_tiles(pixels, quality))
    layout = tiled_layout(offsets, counts) | YCBCR_JPEG
    return write_page(file, link, (pixels.shape[1], pixels.shape[0]), description, layout)


def _write_stripped(file: BinaryIO, link: int, pixels: UInt8Array, quality: int, description: str) -> int:
    offsets, counts = write_blocks(file, iter([_jpeg(pixels, quality)]))
    layout: Tags = {273: ("I", offsets), 278: ("I", (pixels.shape[0],)), 279: ("I", counts), **YCBCR_JPEG}
    return write_page(file, link, (pixels.shape[1], pixels.shape[0]), description, layout)


def jpeg_tiles(pixels: UInt8Array, quality: int) -> Iterator[bytes]:
    """Native tiles row by row; those on the right and lower edge are filled up with the last pixels (no ringing)."""
    height, width = pixels.shape[:2]
    padded = np.pad(pixels, ((0, -height % NATIVE_PX), (0, -width % NATIVE_PX), (0, 0)), mode="edge")
    for top in range(0, height, NATIVE_PX):
        for left in range(0, width, NATIVE_PX):
            yield _jpeg(padded[top : top + NATIVE_PX, left : left + NATIVE_PX], quality)


def _jpeg(pixels: UInt8Array, quality: int) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality, subsampling="4:2:0")
    return buffer.getvalue()


# --- TIFF: little endian, offsets of 32 bits. ``link`` is where the offset of the next page belongs. ---


def write_header(file: BinaryIO) -> int:
    """Begin a TIFF file; returns the first ``link``."""
    file.write(struct.pack("<2sHI", b"II", 42, 0))
    return 4


def write_blocks(file: BinaryIO, blocks: Iterator[bytes]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Write the native tiles or strips of a page; returns their offsets and byte counts."""
    places = [(file.tell(), file.write(block)) for block in blocks]
    return tuple(offset for offset, _ in places), tuple(count for _, count in places)


def tiled_layout(offsets: tuple[int, ...], counts: tuple[int, ...]) -> Tags:
    """Tags with the places of the native tiles, row by row."""
    return {322: ("I", (NATIVE_PX,)), 323: ("I", (NATIVE_PX,)), 324: ("I", offsets), 325: ("I", counts)}


def write_page(file: BinaryIO, link: int, size: tuple[int, int], description: str, layout: Tags) -> int:
    """Write the directory of a page of ``size`` (width, height) whose blocks are in the file already, and return the
    next ``link``. ``layout``: where the blocks lie and how they are packed; wins over the tags of 8 bit RGB."""
    width, height = size
    tags: Tags = {
        254: ("I", (0,)),
        256: ("I", (width,)),
        257: ("I", (height,)),
        258: ("H", (8, 8, 8)),
        270: ("s", description.encode("ascii") + b"\0"),
        277: ("H", (3,)),
        284: ("H", (CONTIGUOUS,)),
        **layout,
    }
    entries = b"".join(_write_entry(file, number, *tags[number]) for number in sorted(tags))
    start = _write_aligned(file, struct.pack("<H", len(tags)) + entries + bytes(4))
    file.seek(link)
    file.write(struct.pack("<I", start))
    file.seek(0, io.SEEK_END)
    return start + 2 + len(entries)


def _write_entry(file: BinaryIO, number: int, kind: str, values: tuple[int, ...] | bytes) -> bytes:
    """The 12 bytes of a tag; what does not fit into its last four is written to the file first."""
    packed = f"<{len(values)}{'I' if kind == 'r' else kind}"
    content = values if isinstance(values, bytes) else struct.pack(packed, *values)
    if len(content) > 4:
        content = struct.pack("<I", _write_aligned(file, content))
    return struct.pack("<HHI4s", number, TYPE_CODES[kind], len(values) // (2 if kind == "r" else 1), content)


def _write_aligned(file: BinaryIO, content: bytes) -> int:
    """Write at the next even offset, and return it."""
    file.write(bytes(file.tell() % 2))
    start = file.tell()
    file.write(content)
    return start
