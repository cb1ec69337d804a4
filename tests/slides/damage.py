"""Damaged slides: whatever a disk, a network or a bad program makes of a good TIFF; seeded, so that it can be repeated.

Each kind of damage takes the bytes of a good file and gives named damaged ones; ``damaged_files`` is all of them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from tiff_factory import TYPES, YCBCR, Case, write_case

SIZES = ((330, 250), (165, 125))
BASES = (
    Case("jpeg-aperio", "jpeg", "aperio", photometric=YCBCR, subsampling="4:2:0", tables=True, thumbnail=True),
    Case("jpeg-rgb-big", big=True),
    Case("jpeg-progressive", photometric=YCBCR, subsampling="4:2:0", progressive=True),
    Case("jpeg-philips", vendor="philips", photometric=YCBCR, subsampling="4:2:2"),
    Case("jp2k-rgb", "jp2k-rgb", "aperio", mct=True),
    Case("jp2k-ycbcr-4:2:2", "jp2k-ycbcr", "aperio", subsampling="4:2:2", reversible=True),
    Case("lzw", "lzw", predictor=2),
    Case("deflate-big-be", "deflate", big=True, order=">"),
    Case("zstd", "zstd", predictor=2),
    Case("none", "none"),
    Case("gray", "lzw", samples=1, photometric=1),
    Case("planes", "deflate", "aperio", planar=2),
)


def damaged_files(seed: int) -> Iterator[tuple[str, bytes]]:
    """Names, suffix and all, and contents: some 1,400, the same for the same seed."""
    with TemporaryDirectory() as folder:
        for index, case in enumerate(BASES):
            path = write_case(replace(case, tile=(128, 96), levels=SIZES), Path(folder))
            good = path.read_bytes()
            random = np.random.default_rng([seed, index])
            for kind in (truncated(good, random), flipped(good, random), edited(good, random), rechained(good)):
                for name, data in kind:
                    yield f"{path.stem}-{name}{path.suffix}", data


# --- where things are in a good file -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Entry:
    """A tag of a directory: offsets in the file of its entry and of its values."""

    page: int
    tag: int
    kind: int
    count: int
    entry: int
    values: int


@dataclass(frozen=True)
class Layout:
    """Byte order and widths of a file, its tags, and where the offsets of its directories and they themselves are."""

    order: str
    big: bool
    entries: tuple[Entry, ...]
    links: tuple[int, ...]
    directories: tuple[int, ...]

    @property
    def offset(self) -> str:
        return self.order + ("Q" if self.big else "I")


def layout_of(data: bytes) -> Layout:
    """Raises struct.error for a file that is not good."""
    order, big = ("<" if data[:2] == b"II" else ">"), data[2:4] in (b"+\0", b"\0+")
    offset, n_code, n_bytes, entry_bytes = ("Q", "Q", 8, 20) if big else ("I", "H", 2, 12)
    width = struct.calcsize(offset)
    nbytes = dict(TYPES.values())
    entries, links, directories = [], [8 if big else 4], []
    while start := struct.unpack_from(order + offset, data, links[-1])[0]:
        directories.append(start)
        n = struct.unpack_from(order + n_code, data, start)[0]
        for place in range(start + n_bytes, start + n_bytes + n * entry_bytes, entry_bytes):
            tag, kind, count = struct.unpack_from(f"{order}HH{offset}", data, place)
            field = place + 4 + width
            values = struct.unpack_from(order + offset, data, field)[0] if count * nbytes[kind] > width else field
            entries.append(Entry(len(directories) - 1, tag, kind, count, place, values))
        links.append(start + n_bytes + n * entry_bytes)
    return Layout(order, big, tuple(entries), tuple(links), tuple(directories))


# --- kinds of damage ---------------------------------------------------------------------------------------------


def truncated(good: bytes, random: np.random.Generator) -> Iterator[tuple[str, bytes]]:
    """Cut short: in the header, before and in every directory, and anywhere."""
    layout = layout_of(good)
    structural = [0, 1, 4, 8, 15, *layout.directories, *(place + 7 for place in layout.directories), len(good) - 1]
    anywhere = random.integers(16, len(good), 6).tolist()
    for length in sorted({*structural, *anywhere}):
        yield f"cut-at-{length}", good[:length]
    hole = int(random.integers(16, len(good) // 2))
    yield f"zeros-from-{hole}", good[:hole] + bytes(len(good) - hole)


def flipped(good: bytes, random: np.random.Generator) -> Iterator[tuple[str, bytes]]:
    """One to eight flipped bits: in the header, the directories, the values of their tags, the native tiles."""
    layout = layout_of(good)
    tags = [np.arange(entry.values, min(entry.values + 4 * entry.count, len(good))) for entry in layout.entries]
    places = {
        "header": np.arange(16),
        "directories": np.concatenate([np.arange(start, start + 200) for start in layout.directories]),
        "tags": np.concatenate(tags),
        "anywhere": np.arange(16, len(good)),
    }
    for name, where in places.items():
        for number in range({"header": 3, "directories": 8, "tags": 5, "anywhere": 6}[name]):
            data = bytearray(good)
            for place in random.choice(where[where < len(good)], int(random.integers(1, 9))):
                data[place] ^= 1 << int(random.integers(8))
            yield f"flipped-{name}-{number}", bytes(data)


# Tag: values that lie. Sizes are such as fit into 32 bits.
LIES: dict[int, tuple[int, ...]] = {
    256: (0, 1, 100_000, 2**31, 2**32 - 1),
    257: (0, 1, 2**31 - 1, 2**32 - 1),
    258: (0, 1, 16, 65535),
    259: (1, 5, 7, 8, 34712, 33005, 50000, 65535),
    262: (0, 3, 5, 6, 32803, 65535),
    277: (0, 1, 4, 65535),
    284: (0, 2, 9),
    317: (2, 3, 65535),
    322: (0, 1, 17, 65_536, 2**31, 2**32 - 1),
    323: (0, 1, 30_000, 2**31, 2**32 - 1),
}
OFFSETS, COUNTS, TABLES = 324, 325, 347


def edited(good: bytes, random: np.random.Generator) -> Iterator[tuple[str, bytes]]:
    """Tags that lie, some of each; of level 0 or of the level above."""
    layout = layout_of(good)
    for entry in layout.entries:
        for lie in random.permutation(LIES.get(entry.tag, ()))[:2].tolist():
            code = {3: "H", 4: "I", 16: "Q"}[entry.kind]
            yield (
                f"page-{entry.page}-tag-{entry.tag}-is-{lie}",
                with_value(good, layout.order + code, entry.values, lie),
            )
        if entry.tag in (OFFSETS, COUNTS, TABLES):
            yield from _edited_array(good, layout, entry, random)
    for number in range(4):
        entry = layout.entries[int(random.integers(len(layout.entries)))]
        yield f"type-{number}", with_value(good, layout.order + "H", entry.entry + 2, int(random.integers(0, 20)))
        entry = layout.entries[int(random.integers(len(layout.entries)))]
        yield f"tag-{number}", with_value(good, layout.order + "H", entry.entry, int(random.integers(254, 350)))


def _edited_array(
    good: bytes, layout: Layout, entry: Entry, random: np.random.Generator
) -> Iterator[tuple[str, bytes]]:
    name = f"page-{entry.page}-{ {OFFSETS: 'offsets', COUNTS: 'byte-counts', TABLES: 'tables'}[entry.tag] }"
    counts = (0, 1, 2**31, 2**32 - 1)
    n = int(random.choice(counts))
    yield f"{name}-{n}-of-them", with_value(good, layout.offset, entry.entry + 4, n)
    width = struct.calcsize(layout.offset)
    yield f"{name}-elsewhere", with_value(good, layout.offset, entry.entry + 4 + width, 2**32 - 8)
    if entry.tag == TABLES:
        yield f"{name}-cut", with_value(good, layout.offset, entry.entry + 4, entry.count // 2)
        return
    for value in (1, len(good) - 3, 2**31, 2**32 - 1):
        data = good
        for index in range(0, entry.count, int(random.integers(1, 4))):
            data = with_value(data, layout.offset, entry.values + index * width, value)
        yield f"{name}-{value}", data


def with_value(data: bytes, code: str, place: int, value: int) -> bytes:
    """The bytes with a number, of a type as in struct, written at a place."""
    changed = bytearray(data)
    struct.pack_into(code, changed, place, value % 2 ** (8 * struct.calcsize(code)))
    return bytes(changed)


def rechained(good: bytes) -> Iterator[tuple[str, bytes]]:
    """Directories that follow each other in loops, lie elsewhere, have too many entries; levels that lie."""
    layout = layout_of(good)
    first, last = layout.directories[0], layout.links[-1]
    for name, target in {"first": first, "itself": layout.directories[-1], "end": len(good), "far": 2**32 - 2}.items():
        yield f"chain-to-{name}", with_value(good, layout.offset, last, target)
    yield "chain-into-a-tile", with_value(good, layout.offset, last, 64)
    yield "chain-from-the-header-to-far", with_value(good, layout.offset, layout.links[0], 2**32 - 2)
    n_code = layout.order + ("Q" if layout.big else "H")
    for n in (0, 1, 65535):
        yield f"directory-of-{n}", with_value(good, n_code, layout.directories[-1], n)
    of_level_1 = {entry.tag: entry.values for entry in layout.entries if entry.page == len(layout.directories) - 1}
    lies = {"as-level-0": SIZES[0], "larger": (900, 700), "one-px": (1, 1), "narrow": (SIZES[1][0], 1)}
    for name, (width, height) in lies.items():
        data = with_value(good, layout.order + "I", of_level_1[256], width)
        yield f"level-1-{name}", with_value(data, layout.order + "I", of_level_1[257], height)
