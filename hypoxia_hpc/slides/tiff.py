"""The tiled pages of a TIFF or BigTIFF file: where each native tile lies and how it is packed.

Only what the native reader needs is read, every number is checked against the file's size before anything is allocated,
and the chain of directories cannot loop. (TIFF 6.0, 1992, sections 2, 8, 14, 15; BigTIFF as libtiff defines it.)
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hypoxia_hpc.errors import some
from hypoxia_hpc.records import Int64Array

MOST_PAGES = 1024
MOST_ENTRIES = 4096
# Of all pages together.
MOST_NATIVE_TILES = 4_000_000
MOST_TABLES_BYTES = 64 * 2**10
# Of a tag that is neither a table nor a list of native tiles: the tag of bits, for example, has one value a sample.
MOST_VALUES = 256
FIRST_BYTES = 64
# An OME-XML names every plane and channel: those of whole-slide images stay below 1 MiB.
MOST_TEXT_BYTES = 8 * 2**20

# Tag numbers.
WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER, ORIENTATION, SAMPLES = 256, 257, 258, 259, 262, 266, 274, 277
PLANAR, PREDICTOR, TILE_WIDTH, TILE_HEIGHT, OFFSETS, COUNTS, EXTRA = 284, 317, 322, 323, 324, 325, 338
SAMPLE_FORMAT, JPEG_TABLES, SUBSAMPLING = 339, 347, 530
SUBFILE, DESCRIPTION, STRIP_OFFSETS, STRIP_ROWS, STRIP_COUNTS, MOST_SAMPLE = 254, 270, 273, 278, 279, 281
X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT, SUB_DIRECTORIES = 282, 283, 296, 330
TILED = frozenset({TILE_WIDTH, TILE_HEIGHT, OFFSETS, COUNTS})
STRIPPED = frozenset({WIDTH, HEIGHT, STRIP_OFFSETS, STRIP_COUNTS})
ASCII, RATIONAL = 2, 5
REDUCED, MASK = 1, 4  # bits of the tag of the subfile

# Type, number of values and the raw value field, by tag.
_Entries = dict[int, tuple[int, int, bytes]]

TYPES = {1: "u1", 3: "u2", 4: "u4", 7: "u1", 13: "u4", 16: "u8", 18: "u8"}  # the unsigned types, and bytes
# Of all types, those of numbers that are not read here too.
TYPE_BYTES = dict(enumerate((1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4), start=1)) | dict.fromkeys((16, 17, 18), 8)
DEFAULTS = {
    BITS: 1,
    COMPRESSION: 1,
    PHOTOMETRIC: -1,
    FILL_ORDER: 1,
    ORIENTATION: 1,
    SAMPLES: 1,
    PLANAR: 1,
    PREDICTOR: 1,
    SUBFILE: 0,
    MOST_SAMPLE: 0,
    RESOLUTION_UNIT: 2,
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


class LoopError(TiffError):
    """The chain of pages leads back to one of them."""


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
class FilePage:
    """A page, tiled or stripped (then each strip counts as a native tile), and what the file says of it. ``page`` may
    contradict itself (:mod:`hypoxia_hpc.slides.contradictions`). ``parent`` is the place in the list of the page whose
    SubIFD it is, else -1. ``extra`` are the meanings of samples beyond the colours, ``resolution`` is pixels per unit
    along x and y and the unit (2 inch, 3 cm), zeros where it is not said, ``most_value`` the highest value of a sample
    that the file announces, 0 for none, ``order`` the file's byte order, "<" or ">". ``is_inside``: the values of its
    tags and its native tiles lie in the file."""

    page: TiffPage
    is_tiled: bool
    is_reduced: bool
    parent: int
    extra: tuple[int, ...]
    resolution: tuple[float, float, int]
    most_value: int
    description: str
    order: str
    is_inside: bool

    @property
    def size(self) -> tuple[int, int]:
        return self.page.width, self.page.height


@dataclass(frozen=True, slots=True)
class _Layout:
    """What differs between TIFF and BigTIFF, and the byte order."""

    order: str
    offset: str
    count: str

    def number(self, code: str, raw: bytes) -> int:
        return int(np.frombuffer(raw, self.order + code, count=1)[0])


def read_tiled_pages(path: Path) -> list[TiffPage]:
    """Every tiled page of the file, in the file's order. They may contradict themselves, as a `FilePage` may. Raises
    TiffError, OSError."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        return _Parser(file.fileno(), size).pages()


def read_file_pages(path: Path) -> list[FilePage]:
    """Every page of the file with a size, tiled or stripped, masks left out: those of the chain in their order, each
    followed by its SubIFDs. Raises TiffError, OSError."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        return _Parser(file.fileno(), size).file_pages()


def beyond_end(path: Path) -> tuple[int, int]:
    """How many native tiles and strips of all pages lie beyond the end of the file, and how many there are; none of
    none where its pages cannot be read. Raises OSError."""
    try:
        pages = [found.page for found in read_file_pages(path) if len(found.page.offsets) == len(found.page.counts)]
    except TiffError:
        return 0, 0
    size = path.stat().st_size
    beyond = sum(int(np.count_nonzero(page.offsets + page.counts > size)) for page in pages)
    return beyond, sum(len(page.offsets) for page in pages)


def claimed_sizes(path: Path) -> list[tuple[int, int]]:
    """Width and height that the file claims for each page of its chain, as far as the chain can be followed; nothing
    for a file that is no TIFF. Offsets of native tiles are not looked at. Raises OSError."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        return list(_Parser(file.fileno(), size).claimed_sizes())


class _Parser:
    def __init__(self, descriptor: int, size: int) -> None:
        self._descriptor = descriptor
        self._size = size
        self._tiles_left = MOST_NATIVE_TILES

    def pages(self) -> list[TiffPage]:
        layout, position = self._header()
        return [self._page(layout, entries) for entries in self._chain(layout, position) if entries.keys() >= TILED]

    def claimed_sizes(self) -> Iterator[tuple[int, int]]:
        with suppress(TiffError):
            layout, position = self._header()
            for entries in self._chain(layout, position):
                if entries.keys() >= {WIDTH, HEIGHT}:
                    yield self._number(layout, entries, WIDTH), self._number(layout, entries, HEIGHT)

    def file_pages(self) -> list[FilePage]:
        layout, position = self._header()
        pages: list[FilePage] = []
        for entries in self._chain(layout, position):
            parent = len(pages)
            self._add_page(layout, entries, -1, pages)
            if len(pages) > parent and SUB_DIRECTORIES in entries:
                for start in self._values(layout, entries[SUB_DIRECTORIES], MOST_VALUES).tolist():
                    self._add_page(layout, self._directory(layout, start)[0], parent, pages)
        return pages

    def _add_page(self, layout: _Layout, entries: _Entries, parent: int, pages: list[FilePage]) -> None:
        is_tiled = entries.keys() >= TILED
        subfile = self._number(layout, entries, SUBFILE)
        if len(pages) >= MOST_PAGES:
            raise TiffError(f"more than {MOST_PAGES} pages")
        if not (is_tiled or entries.keys() >= STRIPPED) or subfile & MASK:
            return
        page = self._page(layout, entries if is_tiled else self._as_tiles(layout, entries))
        if not page.bits:
            raise TiffError("a page whose samples have no size")
        pages.append(
            FilePage(
                page=page,
                is_tiled=is_tiled,
                is_reduced=bool(subfile & REDUCED),
                parent=parent,
                extra=self._numbers(layout, entries, EXTRA),
                resolution=self._resolution(layout, entries),
                most_value=self._number(layout, entries, MOST_SAMPLE),
                description=self._text(layout, entries),
                order=layout.order,
                is_inside=self._is_inside(layout, entries, page),
            )
        )

    def _is_inside(self, layout: _Layout, entries: _Entries, page: TiffPage) -> bool:
        for kind, count, field in entries.values():
            nbytes = count * TYPE_BYTES.get(kind, 0)
            if nbytes > len(field) and layout.number(layout.offset, field) + nbytes > self._size:
                return False
        if len(page.offsets) != len(page.counts):
            return False
        return not np.any((page.counts > 0) & (page.offsets > self._size - page.counts))

    def _as_tiles(self, layout: _Layout, entries: _Entries) -> _Entries:
        """The entries of a stripped page as if its strips were tiles of its width."""
        height = entries[HEIGHT]
        whole = STRIP_ROWS not in entries or self._number(layout, entries, STRIP_ROWS) > self._number(
            layout, entries, HEIGHT
        )
        tile_height = height if whole else entries[STRIP_ROWS]
        places = {OFFSETS: entries[STRIP_OFFSETS], COUNTS: entries[STRIP_COUNTS]}
        return {**entries, TILE_WIDTH: entries[WIDTH], TILE_HEIGHT: tile_height, **places}

    def _text(self, layout: _Layout, entries: _Entries) -> str:
        kind, count, field = entries.get(DESCRIPTION, (0, 0, b""))
        if kind != ASCII or count > MOST_TEXT_BYTES:
            return ""
        raw = field[:count] if count <= len(field) else self._read(layout.number(layout.offset, field), count)
        return raw.split(b"\0", 1)[0].decode("utf-8", "replace")

    def _resolution(self, layout: _Layout, entries: _Entries) -> tuple[float, float, int]:
        x, y = (self._ratio(layout, entries, tag) for tag in (X_RESOLUTION, Y_RESOLUTION))
        return x, y, self._number(layout, entries, RESOLUTION_UNIT)

    def _ratio(self, layout: _Layout, entries: _Entries, tag: int) -> float:
        kind, count, field = entries.get(tag, (0, 0, b""))
        if kind != RATIONAL or count != 1:
            return 0.0
        raw = field if len(field) == 8 else self._read(layout.number(layout.offset, field), 8)
        over, under = struct.unpack(layout.order + "II", raw)
        return over / under if under else 0.0

    def _chain(self, layout: _Layout, position: int) -> Iterator[_Entries]:
        seen: set[int] = set()
        while position:
            if position in seen:
                raise LoopError(f"its pages are a loop: page {len(seen)} leads back to an earlier one or to itself")
            if len(seen) >= MOST_PAGES:
                raise TiffError(f"more than {MOST_PAGES} pages")
            seen.add(position)
            entries, position = self._directory(layout, position)
            yield entries

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

    def _directory(self, layout: _Layout, position: int) -> tuple[_Entries, int]:
        """Entries by tag: type, count and the raw value field; and the next directory's offset."""
        count_bytes, offset_bytes = int(layout.count[1]), int(layout.offset[1])
        n = layout.number(layout.count, self._read(position, count_bytes))
        if n > MOST_ENTRIES:
            raise TiffError(f"a directory with {some(n, 'entry')}")
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
            raise TiffError(f"a tag of type {kind} with {some(count, 'value')}")
        dtype = np.dtype(layout.order + TYPES[kind])
        nbytes = count * dtype.itemsize
        raw = field[:nbytes] if nbytes <= len(field) else self._read(layout.number(layout.offset, field), nbytes)
        values = np.frombuffer(raw, dtype)
        if dtype.itemsize == 8 and np.any(values > np.uint64(2**62)):
            raise TiffError("an offset beyond any file")
        return values.astype(np.int64)

    def _page(self, layout: _Layout, entries: _Entries) -> TiffPage:
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
        if min(page.width, page.height) < 1:
            raise TiffError("a page without size")
        return page

    def _numbers(self, layout: _Layout, entries: _Entries, tag: int) -> tuple[int, ...]:
        if tag not in entries:
            return (DEFAULTS[tag],) if tag in DEFAULTS else ()
        return tuple(int(value) for value in self._values(layout, entries[tag], MOST_VALUES))

    def _number(self, layout: _Layout, entries: _Entries, tag: int) -> int:
        values = self._numbers(layout, entries, tag)
        if not values:
            raise TiffError(f"tag {tag} is missing")
        return values[0]

    def _first_bytes(self, offsets: Int64Array, counts: Int64Array) -> bytes:
        present = np.flatnonzero(counts[: len(offsets)])
        return os.pread(self._descriptor, FIRST_BYTES, int(offsets[present[0]])) if len(present) else b""
