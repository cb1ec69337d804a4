"""Small tiled TIFF files of every kind that slides come in, and of kinds that only a fault or a rare program makes.

tifffile and libtiff write a part of these only (no JPEG with chosen markers beside shared tables, no JPEG 2000 with
subsampled colour, no missing tiles, no Philips), so the TIFF around the codestreams is written here (TIFF 6.0, 1992;
BigTIFF as libtiff defines it; shared JPEG tables: TIFF Technical Note 2, 1995). Pillow and imagecodecs make the
codestreams.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
Size = tuple[int, int]  # width, height
Tags = dict[int, tuple[str, tuple[int, ...] | bytes]]  # number: (type, values)

REAL_SLIDE = Path(__file__).parents[2] / "hypoxia_hpc" / "slides" / "CMU-1-Small-Region.svs"
COMPRESSIONS = {
    "none": 1,
    "lzw": 5,
    "jpeg": 7,
    "deflate": 8,
    "deflate-old": 32946,
    "zstd": 50000,
    "jp2k-ycbcr": 33003,
    "jp2k-rgb": 33005,
}
MINISBLACK, RGB, PALETTE, CMYK, YCBCR = 1, 2, 3, 5, 6
SUBSAMPLINGS: Mapping[str, Size] = {
    "4:4:4": (1, 1),
    "4:2:2": (2, 1),
    "4:2:0": (2, 2),
    "4:4:0": (1, 2),
    "4:1:1": (4, 1),
}
# With every native tile of the cases, the last row and the last column are partial.
LEVEL_0: Size = (700, 520)
MPP = 0.5


@dataclass(frozen=True)
class Case:
    """One file. ``levels`` are the sizes of its levels, ``missing`` and ``shared`` native tiles by level, counted row
    by row: those without bytes, and those whose bytes are those of tile 0.

    ``native`` are the levels that the native reader has to accept (None: all); the others are OpenSlide's. ``opens``:
    OpenSlide opens the file; ``openslide_reads``: and reads its pixels.
    """

    name: str
    codec: str = "jpeg"
    vendor: str = "generic-tiff"  # "aperio", "generic-tiff" or "philips"
    order: str = "<"
    big: bool = False
    tile: Size = (256, 256)
    levels: tuple[Size, ...] = (LEVEL_0,)
    photometric: int = RGB
    predictor: int = 1
    missing: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    shared: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    # JPEG, and what of it goes for JPEG 2000
    subsampling: str = "4:4:4"
    tables: bool = False
    markers: tuple[str, ...] = ()  # names of MARKERS
    ids: bytes = b"\1\2\3"
    progressive: bool = False
    restart_rows: int = 0
    # JPEG 2000
    reversible: bool = False
    mct: bool = False
    # What a page may be beside 8-bit RGB
    samples: int = 3
    extra_sample: int | None = None
    bits: int = 8
    planar: int = 1
    orientation: int = 1
    fill_order: int = 1
    stripped: bool = False
    thumbnail: bool = False
    pages_in_whole_tiles: bool = False  # pages say sizes rounded up to native tiles; so do Philips' above level 0
    native: tuple[int, ...] | None = None
    opens: bool = True
    openslide_reads: bool = True

    @property
    def native_levels(self) -> tuple[int, ...]:
        return tuple(range(len(self.levels))) if self.native is None else self.native


def write_case(case: Case, folder: Path) -> Path:
    """Write the file of a case: its name is the case's. The bytes depend on the case and the codec libraries alone."""
    path = folder / (case.name.replace(":", "") + (".svs" if case.vendor == "aperio" else ".tiff"))
    file = TiffBytes(case.order, case.big)
    for level in range(len(case.levels)):
        _write_level(file, case, level)
        if level == 0 and case.thumbnail:
            _write_thumbnail(file, case)
    path.write_bytes(file.data)
    return path


# --- pixels ------------------------------------------------------------------------------------------------------


@cache
def _real_pixels() -> Pixels:
    return np.asarray(tifffile.imread(REAL_SLIDE, key=0))


def level_pixels(size: Size, level: int) -> Pixels:
    """uint8 RGB (h, w, 3): real tissue and real empty glass, another part of the slide for every level; a white part of
    several native tiles; a part of random colours, and one of the corners of the colour cube."""
    width, height = size
    top, left = 900 + 40 * level, 300 + 60 * level
    pixels = _real_pixels()[top : top + height, left : left + width].copy()
    pixels[height // 2 :, : width // 2] = 255
    random = np.random.default_rng(level)
    block = pixels[height // 8 : height // 2, width // 2 : width // 2 + width // 3]
    block[:] = random.integers(0, 256, block.shape)
    block = pixels[-height // 4 :, -width // 4 :]
    block[:] = random.integers(0, 2, block.shape) * 255
    return pixels


def _cut(pixels: Pixels, tile: Size) -> list[Pixels]:
    """Native tiles row by row. Outside of the image they are black, so that none of it can be taken for background."""
    width, height = tile
    padded = np.pad(pixels, ((0, -len(pixels) % height), (0, -pixels.shape[1] % width), (0, 0)))
    return [
        padded[top : top + height, left : left + width]
        for top in range(0, len(padded), height)
        for left in range(0, padded.shape[1], width)
    ]


def _samples(case: Case, level: int) -> NDArray[Any]:
    """The level as the file stores it, (h, w, samples), uint8 or uint16."""
    pixels = level_pixels(case.levels[level], level)
    if case.codec == "jp2k-ycbcr":
        full_range = (pixels == 0) | (pixels == 255)  # the cube's corners stay corners: most of them are no colour
        pixels = np.where(
            full_range.all(2, keepdims=True), pixels, np.asarray(Image.fromarray(pixels).convert("YCbCr"))
        )
    if case.samples == 1:
        pixels = np.asarray(Image.fromarray(pixels).convert("L"))[..., None]
    elif case.samples == 4:
        pixels = np.dstack([pixels, 255 - pixels[..., :1] // 2])
    return pixels.astype(np.uint16) * 257 if case.bits == 16 else pixels


# --- native tiles ------------------------------------------------------------------------------------------------

DQT, DHT, SOS, FRAMES = 0xDB, 0xC4, 0xDA, (0xC0, 0xC1, 0xC2)
MARKERS = {
    "jfif": b"\xff\xe0\x00\x10JFIF\0\1\1\0\0\1\0\1\0\0",
    "adobe-0": b"\xff\xee\x00\x0eAdobe\0d\0\0\0\0\0",
    "adobe-1": b"\xff\xee\x00\x0eAdobe\0d\0\0\0\0\1",
    "exif": b"\xff\xe1\x00\x0cExif\0\0\0\0\0\0",
}


def encode(case: Case, tile: Pixels) -> bytes:
    """One native tile as the file stores it; a JPEG is whole here (``abbreviated`` takes its tables out)."""
    if case.codec == "jpeg":
        return _styled(_jpeg(case, tile), case)
    if case.codec.startswith("jp2k"):
        return _jpeg2000(case, tile)
    if case.predictor == 2:
        tile = np.diff(tile, axis=1, prepend=np.zeros_like(tile[:, :1]))
    return _packed(case.codec, tile.astype(f"{case.order}u{tile.itemsize}").tobytes(), case.fill_order)


def _packed(codec: str, data: bytes, fill_order: int) -> bytes:
    if codec == "lzw":
        packed = imagecodecs.lzw_encode(data)
    elif codec == "zstd":
        packed = imagecodecs.zstd_encode(data)
    else:
        packed = data if codec == "none" else zlib.compress(data)
    if fill_order == 2:
        packed = np.packbits(np.unpackbits(np.frombuffer(packed, np.uint8)), bitorder="little").tobytes()
    return bytes(packed)


def _jpeg(case: Case, tile: Pixels) -> bytes:
    """Pillow writes restart markers and progressive JPEGs, imagecodecs every subsampling."""
    if case.progressive or case.restart_rows:
        buffer = io.BytesIO()
        Image.fromarray(tile).save(
            buffer,
            "JPEG",
            quality=90,
            subsampling=case.subsampling,
            progressive=case.progressive,
            restart_marker_rows=case.restart_rows,
        )
        return buffer.getvalue()
    if case.samples != 3:
        return bytes(imagecodecs.jpeg8_encode(np.ascontiguousarray(tile[..., 0]), level=90))
    return bytes(
        imagecodecs.jpeg8_encode(
            tile,
            level=90,
            colorspace="RGB",
            outcolorspace="YCBCR" if case.photometric == YCBCR else "RGB",
            subsampling=SUBSAMPLINGS[case.subsampling],
        )
    )


def segments(stream: bytes) -> list[tuple[int, bytes]]:
    """A JPEG's (marker, segment with marker and length) between SOI and the entropy-coded data; the last one is SOS
    with all that follows it."""
    found: list[tuple[int, bytes]] = []
    start = 2
    while True:
        marker = stream[start + 1]
        if marker == SOS:
            return [*found, (marker, stream[start:])]
        stop = start + 2 + int.from_bytes(stream[start + 2 : start + 4], "big")
        found.append((marker, stream[start:stop]))
        start = stop


def _styled(stream: bytes, case: Case) -> bytes:
    """The same JPEG with the case's application markers and component ids."""
    parts = [part for marker, part in segments(stream) if not 0xE0 <= marker <= 0xEF]
    if case.samples == 3:
        frame = next(part for part in parts if part[1] in FRAMES)
        parts = [_with_ids(part, bytes.maketrans(frame[10::3], case.ids)) for part in parts]
    return b"\xff\xd8" + b"".join(MARKERS[name] for name in case.markers) + b"".join(parts)


def _with_ids(part: bytes, ids: bytes) -> bytes:
    """Component ids in the frame header, and in the header of the scan or, if progressive, of every scan."""
    renamed = bytearray(part)
    if part[1] in FRAMES:
        renamed[10::3] = renamed[10::3].translate(ids)
    start = 0 if part[1] == SOS else -1
    while start >= 0:
        of_components = slice(start + 5, start + 5 + 2 * part[start + 4], 2)
        renamed[of_components] = renamed[of_components].translate(ids)
        start = part.find(bytes([0xFF, SOS]), start + 2)
    return bytes(renamed)


def abbreviated(stream: bytes) -> tuple[bytes, bytes]:
    """A JPEG as (tables alone, image without them)."""
    parts = segments(stream)
    tables = b"".join(part for marker, part in parts if marker in (DQT, DHT))
    image = b"".join(part for marker, part in parts if marker not in (DQT, DHT))
    return b"\xff\xd8" + tables + b"\xff\xd9", b"\xff\xd8" + image


def _jpeg2000(case: Case, tile: Pixels) -> bytes:
    if case.subsampling == "4:4:4":
        return _codestream(tile, case)
    across, down = SUBSAMPLINGS[case.subsampling]
    colour = tile.reshape(len(tile) // down, down, -1, across, 3).mean((1, 3)).astype(np.uint8)
    planes = [tile[..., 0], colour[..., 1], colour[..., 2]]
    return _joined([_codestream(np.ascontiguousarray(plane), case) for plane in planes], (across, down))


def _codestream(pixels: Pixels, case: Case) -> bytes:
    return bytes(
        imagecodecs.jpeg2k_encode(
            pixels,
            level=0 if case.reversible else 45,
            codecformat="J2K",
            colorspace="UNSPECIFIED",
            reversible=case.reversible,
            mct=case.mct,
            resolutions=4,
            verbose=0,
        )
    )


def _joined(streams: list[bytes], subsampling: Size) -> bytes:
    """Three one-component codestreams as one whose second and third component are subsampled.

    No encoder at hand writes these. With one tile, one layer and one precinct a resolution, the packets of a component
    come in the same order in every progression, and in CPRL one component comes after the other: so the packets of the
    streams are put one after another (ISO 15444-1: A.5.1 SIZ, A.6.1 COD, A.4.2 SOT, B.12.1.5).
    """
    heads, bodies = zip(*(_head_and_packets(stream) for stream in streams), strict=True)
    head = bytearray(heads[0])
    siz = head.index(b"\xff\x51")
    cod = head.index(b"\xff\x52")
    head[cod + 5] = 4  # CPRL
    head[siz + 38 : siz + 40] = struct.pack(">H", 3)
    head[siz + 2 : siz + 4] = struct.pack(">H", 38 + 3 * 3)
    head[siz + 43 : siz + 43] = bytes([7, *subsampling]) * 2
    packets = b"".join(bodies)
    sot = struct.pack(">2sHHIBB", b"\xff\x90", 10, 0, 14 + len(packets), 0, 1)
    return bytes(head) + sot + b"\xff\x93" + packets + b"\xff\xd9"


def _head_and_packets(stream: bytes) -> tuple[bytes, bytes]:
    sot = stream.index(b"\xff\x90")
    return stream[:sot], stream[stream.index(b"\xff\x93", sot) + 2 : -2]


# --- pages -------------------------------------------------------------------------------------------------------

DESCRIPTION, SOFTWARE = 270, 305


def _write_level(file: TiffBytes, case: Case, level: int) -> None:
    pixels = _samples(case, level)
    if case.stripped:
        blocks = [encode(case, pixels)]
    else:
        planes = [pixels] if case.planar == 1 else [pixels[..., [index]] for index in range(case.samples)]
        blocks = [encode(case, tile) for plane in planes for tile in _cut(plane, case.tile)]
    tags = _page_tags(case, level)
    if case.codec == "jpeg" and case.tables:
        tags[347] = ("B", abbreviated(blocks[0])[0])
        blocks = [abbreviated(block)[1] for block in blocks]
    places = [
        (0, 0) if index in case.missing.get(level, ()) else (file.append(block), len(block))
        for index, block in enumerate(blocks)
    ]
    for index in case.shared.get(level, ()):
        places[index] = places[0]
    offsets, counts = (tuple(place[index] for place in places) for index in (0, 1))
    offset_type = "Q" if case.big else "I"
    if case.stripped:
        tags |= {273: (offset_type, offsets), 278: ("I", (len(pixels),)), 279: (offset_type, counts)}
    else:
        width, height = case.tile
        tags |= {322: ("I", (width,)), 323: ("I", (height,)), 324: (offset_type, offsets), 325: (offset_type, counts)}
    file.page(tags)


def _page_tags(case: Case, level: int) -> Tags:
    width, height = case.levels[level]
    if case.pages_in_whole_tiles or (case.vendor == "philips" and level > 0):
        width, height = width + -width % case.tile[0], height + -height % case.tile[1]
    tags: Tags = {
        254: ("I", (int(level > 0),)),
        256: ("I", (width,)),
        257: ("I", (height,)),
        258: ("H", (case.bits,) * case.samples),
        259: ("H", (COMPRESSIONS[case.codec],)),
        262: ("H", (case.photometric,)),
        277: ("H", (case.samples,)),
        284: ("H", (case.planar,)),
        **_description(case, level),
    }
    optional = {266: (case.fill_order, 1), 274: (case.orientation, 1), 317: (case.predictor, 1)}
    tags |= {number: ("H", (value,)) for number, (value, default) in optional.items() if value != default}
    if case.extra_sample is not None:
        tags[338] = ("H", (case.extra_sample,))
    if case.photometric == YCBCR:
        tags[530] = ("H", SUBSAMPLINGS[case.subsampling])
    if case.photometric == PALETTE:
        tags[320] = (
            "H",
            tuple(value * 257 for channel in (1, 3, 7) for value in (np.arange(256) * channel % 256).tolist()),
        )
    return tags


def _description(case: Case, level: int) -> Tags:
    """Who made the slide, and how large a pixel is."""
    if case.vendor == "aperio":
        width, height = case.levels[level]
        text = f"Aperio Image Library v11.2.1 \r\n{width}x{height} (256x256)|AppMag = 20|MPP = {MPP}"
        return {DESCRIPTION: ("s", text.encode() + b"\0")}
    if case.vendor == "philips" and level == 0:
        return {DESCRIPTION: ("s", _philips_xml(case).encode() + b"\0"), SOFTWARE: ("s", b"Philips DP v1.0\0")}
    if case.vendor == "philips":
        return {DESCRIPTION: ("s", f"level={level}\0".encode())}
    pixels_a_cm = int(10_000 / MPP)
    return {282: ("R", (pixels_a_cm, 1)), 283: ("R", (pixels_a_cm, 1)), 296: ("H", (3,))}


def _philips_xml(case: Case) -> str:
    spacings = [MPP / 1000 * round(case.levels[0][0] / width) for width, _ in case.levels]
    levels = "".join(
        '<DataObject ObjectType="PixelDataRepresentation">'
        f'<Attribute Name="DICOM_PIXEL_SPACING">"{spacing:.7f}" "{spacing:.7f}"</Attribute></DataObject>'
        for spacing in spacings
    )
    return (
        '<?xml version="1.0" encoding="UTF-8" ?><DataObject ObjectType="DPUfsImport">'
        '<Attribute Name="PIM_DP_SCANNED_IMAGES"><Array><DataObject ObjectType="DPScannedImage">'
        '<Attribute Name="PIM_DP_IMAGE_TYPE">WSI</Attribute>'
        f'<Attribute Name="DICOM_PIXEL_SPACING">"{spacings[0]:.7f}" "{spacings[0]:.7f}"</Attribute>'
        f'<Attribute Name="PIIM_PIXEL_DATA_REPRESENTATION_SEQUENCE"><Array>{levels}</Array></Attribute>'
        "</DataObject></Array></Attribute></DataObject>"
    )


def _write_thumbnail(file: TiffBytes, case: Case) -> None:
    pixels = _real_pixels()[::40, ::40]
    offset = file.append(pixels.tobytes())
    size = {256: ("I", (pixels.shape[1],)), 257: ("I", (len(pixels),)), 278: ("I", (len(pixels),))}
    colour = {258: ("H", (8, 8, 8)), 259: ("H", (1,)), 262: ("H", (RGB,)), 277: ("H", (3,)), 284: ("H", (1,))}
    file.page({**size, **colour, 273: ("I", (offset,)), 279: ("I", (pixels.size,)), **_description(case, 0)})


# --- TIFF --------------------------------------------------------------------------------------------------------

# Types by struct's letters; "s" is text, "R" a rational as two whole numbers.
TYPES = {"B": (7, 1), "s": (2, 1), "H": (3, 2), "I": (4, 4), "R": (5, 8), "i": (9, 4), "Q": (16, 8)}


class TiffBytes:
    """A TIFF or BigTIFF that grows in memory, page by page."""

    def __init__(self, order: str, big: bool) -> None:
        self.order, self.big = order, big
        mark = b"II" if order == "<" else b"MM"
        self.data = bytearray(
            mark + struct.pack(f"{order}HHHQ" if big else f"{order}HI", *((43, 8, 0, 0) if big else (42, 0)))
        )
        self._link = 8 if big else 4  # where the offset of the next page belongs

    def append(self, content: bytes) -> int:
        """Its offset, an even one."""
        self.data += bytes(len(self.data) % 2)
        start = len(self.data)
        self.data += content
        return start

    def page(self, tags: Tags) -> None:
        """One more directory, and the link to it."""
        entries = b"".join(self._entry(number, *tags[number]) for number in sorted(tags))
        number, offset = ("Q", "Q") if self.big else ("H", "I")
        head = struct.pack(self.order + number, len(tags)) + entries
        start = self.append(head + bytes(struct.calcsize(offset)))
        struct.pack_into(self.order + offset, self.data, self._link, start)
        self._link = start + len(head)

    def _entry(self, number: int, kind: str, values: tuple[int, ...] | bytes) -> bytes:
        code, nbytes = TYPES[kind]
        letter = "I" if kind == "R" else kind
        content = values if isinstance(values, bytes) else struct.pack(f"{self.order}{len(values)}{letter}", *values)
        room, offset = (8, "Q") if self.big else (4, "I")
        n = len(content) // nbytes
        if len(content) > room:
            content = struct.pack(self.order + offset, self.append(content))
        return struct.pack(f"{self.order}HH{offset}{room}s", number, code, n, content)
