"""The tiled pages of a TIFF or BigTIFF file: where each native tile lies and how it is packed.

Only what the native reader needs is read, every number is checked against the file's size before anything is allocated,
and the chain of directories cannot loop. (TIFF 6.0, 1992, sections 2, 8, 14, 15; BigTIFF as libtiff defines it.)
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hypoxia_hpc.records import Int64Array

MOST_PAGES = 1024
MOST_ENTRIES = 4096
# Of all pages together.
MOST_NATIVE_TILES = 4_000_000
MOST_TABLES_BYTES = 64 * 2**10
# Of a tag that is neither a table nor a list of native tiles: the tag of bits, for example, has one value a sample.
MOST_VALUES = 16
FIRST_BYTES = 64

# Tag numbers.
WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER, ORIENTATION, SAMPLES = 256, 257, 258, 259, 262, 266, 274, 277
PLANAR, PREDICTOR, TILE_WIDTH, TILE_HEIGHT, OFFSETS, COUNTS, EXTRA = 284, 317, 322, 323, 324, 325, 338
SAMPLE_FORMAT, JPEG_TABLES, SUBSAMPLING = 339, 347, 530

TYPES = {1: "u1", 3: "u2", 4: "u4", 7: "u1", 13: "u4", 16: "u8", 18: "u8"}  # the unsigned types, and bytes
DEFAULTS = {
    BITS: 1,
    COMPRESSION: 1,
    PHOTOMETRIC: -1,
    FILL_ORDER: 1,
    ORIENTATION: 1,
    SAMPLES: 1,
    PLANAR: 1,
    PREDICTOR: 1,
}
# Fields of a page that are one number each, and their tags.
NUMBERS = {
    "width": WIDTH,
    "height": HEIGHT,
    "tile_width": TILE_WIDTH,
    "tile_height": TILE_HEIGHT,
    "compression": COMPRESSION,
    "photometric": PHOTOMETRIC,
    "samples": SAMPLES,
    "planar": PLANAR,
    "predictor": PREDICTOR,
    "orientation": ORIENTATION,
    "fill_order": FILL_ORDER,
}


class TiffError(ValueError):
    """The file is no TIFF, or its directories are inconsistent."""


@dataclass(frozen=True, slots=True)
class TiffPage:
    """One tiled page. ``offsets`` and ``counts`` (bytes) are int64 (native tiles,), row by row; a count of 0 is a
    missing tile. ``bits`` and ``sample_formats`` have one entry a sample. ``first_bytes``: the first 64 bytes (fewer at
    the end of the file) of the first native tile that is not missing."""

    width: int
    height: int
    tile_width: int
    tile_height: int
    compression: int
    photometric: int
    samples: int
    bits: tuple[int, ...]
    sample_formats: tuple[int, ...]
    extra_samples: int
    planar: int
    predictor: int
    orientation: int
    fill_order: int
    subsampling: tuple[int, ...]
    jpeg_tables: bytes
    offsets: Int64Array
    counts: Int64Array
    first_bytes: bytes

    @property
    def columns(self) -> int:
        return -(-self.width // self.tile_width)

    @property
    def rows(self) -> int:
        return -(-self.height // self.tile_height)


@dataclass(frozen=True, slots=True)
class _Layout:
    """What differs between TIFF and BigTIFF, and the byte order."""

    order: str
    offset: str
    count: str

    def number(self, code: str, raw: bytes) -> int:
        return int(np.frombuffer(raw, self.order + code, count=1)[0])


def read_tiled_pages(path: Path) -> list[TiffPage]:
    """Every tiled page of the file, in the file's order. Raises TiffError, OSError."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        return _Parser(file.fileno(), size).pages()


class _Parser:
    def __init__(self, descriptor: int, size: int) -> None:
        self._descriptor = descriptor
        self._size = size
        self._tiles_left = MOST_NATIVE_TILES

    def pages(self) -> list[TiffPage]:
        layout, position = self._header()
        pages: list[TiffPage] = []
        seen: set[int] = set()
        while position:
            if position in seen or len(seen) >= MOST_PAGES:
                raise TiffError(f"the chain of directories loops, or has more than {MOST_PAGES}")
            seen.add(position)
            entries, position = self._directory(layout, position)
            if {TILE_WIDTH, TILE_HEIGHT, OFFSETS, COUNTS} <= entries.keys():
                pages.append(self._page(layout, entries))
        return pages

    def _read(self, offset: int, length: int) -> bytes:
        if offset < 0 or length < 0 or offset + length > self._size:
            raise TiffError(f"{length} bytes at {offset} lie outside the file of {self._size} bytes")
        data = os.pread(self._descriptor, length, offset)
        if len(data) != length:
            raise TiffError(f"the file ends before {length} bytes at {offset}")
        return data

    def _header(self) -> tuple[_Layout, int]:
        start = self._read(0, 8)
        order = {b"II": "<", b"MM": ">"}.get(start[:2])
        if order is None:
            raise TiffError("no TIFF byte order mark")
        version = struct.unpack(order + "H", start[2:4])[0]
        if version == 42:
            return _Layout(order, "u4", "u2"), struct.unpack(order + "I", start[4:8])[0]
        if version == 43 and struct.unpack(order + "HH", start[4:8]) == (8, 0):
            return _Layout(order, "u8", "u8"), struct.unpack(order + "Q", self._read(8, 8))[0]
        raise TiffError(f"TIFF version {version} is neither 42 nor 43")

    def _directory(self, layout: _Layout, position: int) -> tuple[dict[int, tuple[int, int, bytes]], int]:
        """Entries by tag: type, count and the raw value field; and the next directory's offset."""
        count_bytes, offset_bytes = int(layout.count[1]), int(layout.offset[1])
        n = layout.number(layout.count, self._read(position, count_bytes))
        if n > MOST_ENTRIES:
            raise TiffError(f"a directory with {n} entries")
        entry_bytes = 4 + 2 * offset_bytes
        raw = self._read(position + count_bytes, n * entry_bytes + offset_bytes)
        entries = {}
        for start in range(0, n * entry_bytes, entry_bytes):
            tag, kind = struct.unpack(layout.order + "HH", raw[start : start + 4])
            count = layout.number(layout.offset, raw[start + 4 : start + 4 + offset_bytes])
            entries[tag] = (kind, count, raw[start + 4 + offset_bytes : start + entry_bytes])
        return entries, layout.number(layout.offset, raw[-offset_bytes:])

    def _values(self, layout: _Layout, entry: tuple[int, int, bytes], most: int) -> Int64Array:
        kind, count, field = entry
        if kind not in TYPES or count > most:
            raise TiffError(f"a tag of type {kind} with {count} values")
        dtype = np.dtype(layout.order + TYPES[kind])
        nbytes = count * dtype.itemsize
        raw = field[:nbytes] if nbytes <= len(field) else self._read(layout.number(layout.offset, field), nbytes)
        values = np.frombuffer(raw, dtype)
        if dtype.itemsize == 8 and np.any(values > np.uint64(2**62)):
            raise TiffError("an offset beyond any file")
        return values.astype(np.int64)

    def _page(self, layout: _Layout, entries: dict[int, tuple[int, int, bytes]]) -> TiffPage:
        offsets = self._values(layout, entries[OFFSETS], self._tiles_left)
        counts = self._values(layout, entries[COUNTS], self._tiles_left)
        self._tiles_left -= len(offsets)
        tables = self._values(layout, entries[JPEG_TABLES], MOST_TABLES_BYTES) if JPEG_TABLES in entries else ()
        page = TiffPage(
            **{field: self._number(layout, entries, tag) for field, tag in NUMBERS.items()},
            bits=self._numbers(layout, entries, BITS),
            sample_formats=self._numbers(layout, entries, SAMPLE_FORMAT),
            extra_samples=len(self._numbers(layout, entries, EXTRA)),
            subsampling=self._numbers(layout, entries, SUBSAMPLING),
            jpeg_tables=bytes(np.asarray(tables, dtype=np.uint8)),
            offsets=offsets,
            counts=counts,
            first_bytes=self._first_bytes(offsets, counts),
        )
        _check_page(page)
        return page

    def _numbers(self, layout: _Layout, entries: dict[int, tuple[int, int, bytes]], tag: int) -> tuple[int, ...]:
        if tag not in entries:
            return (DEFAULTS[tag],) if tag in DEFAULTS else ()
        return tuple(int(value) for value in self._values(layout, entries[tag], MOST_VALUES))

    def _number(self, layout: _Layout, entries: dict[int, tuple[int, int, bytes]], tag: int) -> int:
        values = self._numbers(layout, entries, tag)
        if not values:
            raise TiffError(f"tag {tag} is missing")
        return values[0]

    def _first_bytes(self, offsets: Int64Array, counts: Int64Array) -> bytes:
        present = np.flatnonzero(counts[: len(offsets)])
        return os.pread(self._descriptor, FIRST_BYTES, int(offsets[present[0]])) if len(present) else b""


def _check_page(page: TiffPage) -> None:
    if min(page.width, page.height, page.tile_width, page.tile_height) < 1:
        raise TiffError("a page or a tile without size")
    n = page.columns * page.rows * (page.samples if page.planar == 2 else 1)
    if len(page.offsets) != n or len(page.counts) != n:
        raise TiffError(f"{len(page.offsets)} offsets and {len(page.counts)} byte counts for {n} native tiles")
