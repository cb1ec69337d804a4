"""Native tiles that OpenSlide does not read, or reads wrong: gray, 16 bit, one colour a plane, strips, more codecs.

A block is decoded to samples first, one array a plane, and then to RGB on white. What the fast decoders of
:mod:`hypoxia_hpc.slides.decoders` accept goes through them.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hypoxia_hpc.errors import some
from hypoxia_hpc.records import UInt8Array
from hypoxia_hpc.slides import decoders
from hypoxia_hpc.slides.averaging import average_into
from hypoxia_hpc.slides.decoders import NativeTileError
from hypoxia_hpc.slides.tiff import FilePage, TiffPage
from hypoxia_hpc.tiling.cutting import BlockGrid, UnreadableBlockError
from hypoxia_hpc.tiling.kernels.packed import composite_on_white
from hypoxia_hpc.tiling.kernels.planes import PACKED

PACKBITS, JPEG2000, LZMA, WEBP, JPEGXL = 32773, 34712, 34925, 50001, 50002
NAMES = {**decoders.NAMES, PACKBITS: "packbits", JPEG2000: "jpeg2000", LZMA: "lzma", WEBP: "webp", JPEGXL: "jpegxl"}
LOSSLESS = frozenset({decoders.NONE, decoders.LZW, decoders.DEFLATE, decoders.OLD_DEFLATE, decoders.ZSTD})
# Those whose codestreams hold samples of any depth, and say it themselves.
DEEP = frozenset({JPEG2000, JPEGXL, *decoders.JPEG2000})
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, YCBCR = 0, 1, 2, 6
PHOTOMETRICS = {3: "palette", 5: "CMYK", YCBCR: "YCbCr", 8: "CIELab", 9: "ICCLab"}
# Compressions that libtiff or other programs read, and nothing here: fax, old JPEG, NeXT, ThunderScan, logarithms of
# SGI, LERC; PNG and JPEG XR.
OF_LIBTIFF = frozenset({2, 3, 4, 6, 32766, 32771, 32809, 34676, 34677, 34887, 22610, 34933, 34934})
ASSOCIATED, UNASSOCIATED = 1, 2
# libjxl holds four floating-point numbers.
BYTES_A_PIXEL = {**decoders.BYTES_A_PIXEL, JPEG2000: 12, JPEGXL: 16}
WHITE = 255
# Blocks of a flat image, which is decoded as a whole.
FLAT_BLOCK_PX = 512
# Rounding to 8 bits takes 12 bytes a sample on the way.
PX_AT_ONCE = 2**20

Samples = NDArray[Any]


@dataclass(frozen=True, slots=True)
class PlainPage(TiffPage):
    """A level that is read here. ``parts`` are pages of one or more samples that lie over each other: one, or one a
    colour. ``alpha`` is the meaning of the last sample where it is transparency, else 0; ``bits_used`` how many of a
    sample's bits there are, ``order`` the byte order of samples; ``flat`` is set where the level is decoded as a
    whole."""

    parts: tuple[TiffPage, ...]
    alpha: int
    bits_used: int
    order: str
    flat: FlatImage | None


def refusal(found: FilePage) -> str:
    """Why a page is not read here; empty where it is."""
    page = found.page
    if page.compression not in NAMES:
        return f"compression {page.compression}"
    if page.orientation != 1 or page.fill_order != 1:
        return "its orientation or bit order"
    if page.planar not in (1, 2):
        return f"planar configuration {page.planar}"
    if page.predictor not in (1, 2) or (page.predictor == 2 and page.compression not in LOSSLESS):
        return f"predictor {page.predictor}"
    return _colour_refusal(page) or _depth_refusal(page) or _codec_refusal(page, found.is_tiled)


def is_known(page: TiffPage) -> bool:
    """Whether other programs may read a page that is not read here: its header has no number that is none of TIFF's,
    as a damaged one has."""
    colours = {WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, *PHOTOMETRICS}
    return page.compression in {*NAMES, *OF_LIBTIFF} and page.photometric in colours and page.planar in (1, 2)


def _colour_refusal(page: TiffPage) -> str:
    samples = {WHITE_IS_ZERO: (1, 2), BLACK_IS_ZERO: (1, 2), RGB: (3, 4), YCBCR: (3,)}.get(page.photometric, ())
    kind = PHOTOMETRICS.get(page.photometric, f"photometric interpretation {page.photometric}")
    if page.photometric == YCBCR and (page.planar != 1 or page.compression not in decoders.PHOTOMETRICS):
        return "YCbCr without JPEG"
    if not samples:
        return kind
    return "" if page.samples in samples else f"{some(page.samples, 'sample')} a pixel"


def _depth_refusal(page: TiffPage) -> str:
    bits = set(page.bits)
    if len(bits) > 1:
        return f"samples of different sizes ({', '.join(map(str, page.bits))} bits)"
    if set(page.sample_formats) - {1}:
        return "samples that are not unsigned whole numbers"
    allowed = range(8, 17) if page.compression in DEEP else (8, 16)
    return "" if page.bits[0] in allowed else f"{some(page.bits[0], 'bit')} a sample"


def _codec_refusal(page: TiffPage, is_tiled: bool) -> str:
    fast = decoders.refusal(page)
    if page.compression == decoders.JPEG and page.samples != 1 and page.planar == 1 and fast:
        return f"JPEG of {fast}"
    if page.compression == decoders.JPEG and page.bits[0] != 8:
        return "JPEG of 12 bits"
    if page.compression in (JPEG2000, *decoders.JPEG2000) and page.photometric == YCBCR and fast:
        return "YCbCr in JPEG 2000"
    if page.compression == decoders.JPEG2000_YCBCR and (fast or not is_tiled):
        return "YCbCr in JPEG 2000"
    if page.compression == WEBP and (page.samples not in (3, 4) or page.bits[0] != 8 or page.planar != 1):
        return f"WebP of {page.samples} samples"
    return ""


def parts_of(page: TiffPage) -> tuple[TiffPage, ...]:
    """A page as parts: itself, or one for each of its planes."""
    if page.planar == 1 or page.samples == 1:
        return (replace(page, planar=1),)
    n = page.columns * page.rows
    return tuple(
        replace(
            page,
            samples=1,
            planar=1,
            bits=page.bits[:1],
            sample_formats=page.sample_formats[:1],
            extra_samples=0,
            photometric=BLACK_IS_ZERO,
            offsets=page.offsets[plane * n : (plane + 1) * n],
            counts=page.counts[plane * n : (plane + 1) * n],
        )
        for plane in range(page.samples)
    )


def plain_page(found: FilePage, parts: tuple[TiffPage, ...], bits_used: int) -> PlainPage:
    """A level made of ``parts``, which :func:`refusal` accepts."""
    alpha = found.extra[0] if found.extra and found.page.samples in (2, 4) else 0
    own = {field.name: getattr(found.page, field.name) for field in fields(TiffPage)}
    page = PlainPage(**own, parts=parts, alpha=alpha, bits_used=bits_used, order=found.order, flat=None)
    if found.is_tiled:
        return page
    return replace(page, tile_width=FLAT_BLOCK_PX, tile_height=FLAT_BLOCK_PX, flat=FlatImage(page))


def decoded_nbytes(page: TiffPage, n_parts: int = 1) -> int:
    """Bytes that one native tile takes while it is decoded and turned to RGB."""
    samples = n_parts * page.samples * (1 if max(page.bits) == 8 else 2)
    return page.tile_width * page.tile_height * max(samples, BYTES_A_PIXEL.get(page.compression, 3))


class PlainSource:
    """Blocks of a :class:`PlainPage`, decoded one by one, averaged by ``factor``."""

    def __init__(self, descriptor: int, page: PlainPage, grid: BlockGrid, factor: int) -> None:
        self._descriptor = descriptor
        self._page = page
        self._factor = factor
        self._whole = np.empty((page.tile_height, page.tile_width, 4), dtype=np.uint8)
        self._decoders = [_decoder(part, part.tile_height, page.order) for part in page.parts]
        self.grid = grid

    def read(self, number: int, out: UInt8Array) -> int:
        """Decode block ``number``; a missing one is white. Raises UnreadableBlockError."""
        whole = self._whole if self._factor > 1 else out
        try:
            self._fill(number, whole)
        except NativeTileError as error:
            raise UnreadableBlockError(str(error)) from None
        if whole is not out:
            average_into(whole, self._factor, out)
        return PACKED

    def _fill(self, number: int, out: UInt8Array) -> None:
        if self._page.flat is not None:
            row, column = divmod(number, self._page.columns)
            y, x = row * self._page.tile_height, column * self._page.tile_width
            seen = self._page.flat.pixels(self._descriptor)[y : y + out.shape[0], x : x + out.shape[1]]
            out[:] = WHITE
            out[: seen.shape[0], : seen.shape[1]] = seen
            return
        _fill_block(self._descriptor, self._page, number, self._decoders, out)


class FlatImage:
    """A stripped level, decoded as a whole when it is first needed and kept. Threads may share it."""

    def __init__(self, page: PlainPage) -> None:
        self._page = page
        self._lock = threading.Lock()
        self._pixels: UInt8Array | None = None
        self._damage = ""

    def pixels(self, descriptor: int) -> UInt8Array:
        """The level, uint8 (height, width, 4), whose fourth byte means nothing. Raises NativeTileError."""
        with self._lock:
            if self._pixels is None and not self._damage:
                try:
                    self._pixels = self._decoded(descriptor)
                except NativeTileError as error:
                    self._damage = str(error)
            if self._pixels is None:
                raise NativeTileError(self._damage)
            return self._pixels

    def _decoded(self, descriptor: int) -> UInt8Array:
        page = self._page
        image = np.empty((page.height, page.width, 4), dtype=np.uint8)
        for number, top in enumerate(range(0, page.height, page.tile_height)):
            rows = image[top : top + page.tile_height]
            decoders_of_rows = [_decoder(part, len(rows), page.order) for part in page.parts]
            _fill_block(descriptor, page, number, decoders_of_rows, rows)
        return image


def _fill_block(
    descriptor: int, page: PlainPage, number: int, decode: Sequence[Callable[[bytes], Samples]], out: UInt8Array
) -> None:
    """A native tile as RGB in ``out``, uint8 (h, w, 4); white where it is missing. Raises NativeTileError."""
    parts = [read_block(descriptor, part, number) for part in page.parts]
    if any(parts):
        to_rgb(_joined([read(data) for read, data in zip(decode, parts, strict=True)]), page, out)
    else:
        out[:] = WHITE


def read_block(descriptor: int, page: TiffPage, number: int) -> bytes:
    """The bytes of a native tile, none where it is missing. Raises NativeTileError."""
    start, count = int(page.offsets[number]), int(page.counts[number])
    if count > 2 * decoded_nbytes(page) + 65536:
        raise NativeTileError(f"{count:,} bytes for a native tile of {page.tile_width} x {page.tile_height} px")
    try:
        data = os.pread(descriptor, count, start)
    except OSError as error:
        raise NativeTileError(f"{count:,} bytes at {start}: {error.strerror}") from None
    if len(data) < count:
        raise NativeTileError(f"the file ends within {count:,} bytes at {start}")
    return data


def read_samples(descriptor: int, page: PlainPage, number: int) -> Samples:
    """The samples of a native tile as the file has them, (height, width, samples). Raises NativeTileError."""
    height = page.parts[0].tile_height
    if page.flat is not None:
        height = min(height, page.height - number * height)
    decoded = [_decoder(part, height, page.order)(read_block(descriptor, part, number)) for part in page.parts]
    return _joined(decoded)


def _joined(planes: list[Samples]) -> Samples:
    return planes[0] if len(planes) == 1 else np.concatenate(planes, axis=2)


def _decoder(page: TiffPage, height: int, order: str) -> Callable[[bytes], Samples]:
    """What turns a native tile's bytes into samples, (height, tile width, samples), 8 or 16 bit."""
    sized = replace(page, tile_height=height)
    shape = (height, page.tile_width, page.samples)
    if not decoders.refusal(sized):
        codec = decoders.codec_of(sized)

        def fast(data: bytes) -> Samples:
            out = np.empty((*shape[:2], 4), dtype=np.uint8)
            codec.decode(codec.prepare(data, 0, len(data)), out)
            return out[..., :3]

        return fast
    read = _image(page, shape) if page.compression in (*DEEP, WEBP, decoders.JPEG) else _unpacked(page, shape, order)

    def decode(data: bytes) -> Samples:
        try:
            return read(data)
        except (RuntimeError, ValueError, OSError) as error:  # imagecodecs' errors are RuntimeErrors
            raise NativeTileError(str(error)) from None

    return decode


def _image(page: TiffPage, shape: tuple[int, int, int]) -> Callable[[bytes], Samples]:
    """Codecs whose data say their own size: it is checked by imagecodecs against ``out`` before anything is decoded."""
    import imagecodecs

    dtype = np.dtype(np.uint8 if page.bits[0] == 8 else np.uint16)
    flat_shape = shape[:2] if shape[2] == 1 else shape
    decode: dict[int, Callable[..., Any]] = {
        decoders.JPEG: imagecodecs.jpeg8_decode,
        WEBP: imagecodecs.webp_decode,
        JPEGXL: imagecodecs.jpegxl_decode,
        JPEG2000: imagecodecs.jpeg2k_decode,
        decoders.JPEG2000_RGB: imagecodecs.jpeg2k_decode,
    }
    tables: dict[str, Any] = {"tables": page.jpeg_tables} if page.jpeg_tables else {}

    def read(data: bytes) -> Samples:
        if page.compression == decoders.JPEG and data.count(decoders.START_OF_SCAN) > decoders.MOST_SCANS:
            raise ValueError(f"a JPEG of more than {decoders.MOST_SCANS} scans")
        out = np.empty(flat_shape, dtype)
        decode[page.compression](data, out=out, **tables)
        return out.reshape(shape)

    return read


def _unpacked(page: TiffPage, shape: tuple[int, int, int], order: str) -> Callable[[bytes], Samples]:
    import imagecodecs

    dtype = np.dtype(np.uint8 if page.bits[0] == 8 else np.dtype(f"{order}u2"))
    row = shape[1] * shape[2] * dtype.itemsize
    nbytes, room = shape[0] * row, (max(shape[0], page.tile_height) + 1) * row
    unpack: Callable[[bytes], bytes | bytearray | memoryview] = {
        decoders.NONE: lambda data: data,
        decoders.LZW: lambda data: imagecodecs.lzw_decode(data, out=room),
        decoders.DEFLATE: lambda data: imagecodecs.zlib_decode(data, out=nbytes),
        decoders.OLD_DEFLATE: lambda data: imagecodecs.zlib_decode(data, out=nbytes),
        decoders.ZSTD: lambda data: imagecodecs.zstd_decode(data, out=nbytes),
        PACKBITS: lambda data: imagecodecs.packbits_decode(data, out=nbytes),
        LZMA: lambda data: imagecodecs.lzma_decode(data, out=room),
    }[page.compression]

    def read(data: bytes) -> Samples:
        values = unpack(data)
        if not nbytes <= len(values) < room:  # the last strip may be a whole one; a row more shows another size
            raise ValueError(f"{len(values):,} bytes for {nbytes:,}")
        samples = np.frombuffer(values, dtype, count=nbytes // dtype.itemsize).reshape(shape)
        samples = samples.astype(dtype.newbyteorder("="), copy=False)
        if page.predictor == 2:
            samples = np.asarray(imagecodecs.delta_decode(samples, axis=1))
        return samples

    return read


def to_rgb(samples: Samples, page: PlainPage, out: UInt8Array) -> None:
    """Samples (h, w, n) as RGB on white in ``out``, uint8 (h, w, 4). More than 8 bits are rounded to 8 as libtiff does
    it for 16; what lies above the bits that are used is white."""
    step = max(1, PX_AT_ONCE // max(1, samples.shape[1]))
    for top in range(0, len(samples), step):
        _rows_to_rgb(samples[top : top + step], page, out[top : top + step])


def _rows_to_rgb(samples: Samples, page: PlainPage, out: UInt8Array) -> None:
    values = _as_bytes(samples, page.bits_used)
    n_colours = 3 if samples.shape[2] >= 3 else 1
    colours = values[..., :n_colours]
    out[..., :3] = WHITE - colours if page.photometric == WHITE_IS_ZERO else colours
    out[..., 3] = WHITE
    if page.alpha == UNASSOCIATED:
        out[..., 3] = values[..., n_colours]
        composite_on_white(out)
    elif page.alpha == ASSOCIATED:
        glass = WHITE - values[..., n_colours, None]
        out[..., :3] = np.minimum(out[..., :3], WHITE - glass) + glass


def _as_bytes(samples: Samples, bits_used: int) -> UInt8Array:
    if bits_used <= 8 and samples.dtype == np.uint8:
        return samples
    most = (1 << bits_used) - 1
    wide = np.minimum(samples, most).astype(np.uint32)
    return ((wide * WHITE + most // 2) // most).astype(np.uint8)
