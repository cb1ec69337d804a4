"""Native tiles to pixels, packed or in planes: which combinations of compression, colour and layout are read natively.

A combination is accepted only where the pixels equal OpenSlide's, bit by bit; ``tests/slides/test_native_reader.py``
holds every one of them to that. All others are left to OpenSlide.
"""

from __future__ import annotations

import ctypes
import importlib.metadata
import io
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from hypoxia_hpc.records import Json, UInt8Array
from hypoxia_hpc.slides import turbojpeg
from hypoxia_hpc.slides.tiff import TiffPage
from hypoxia_hpc.tiling.kernels import planes
from hypoxia_hpc.tiling.kernels.colour import pack_rgb, pack_ycbcr

NONE, LZW, JPEG, DEFLATE, OLD_DEFLATE, ZSTD, JPEG2000_YCBCR, JPEG2000_RGB = 1, 5, 7, 8, 32946, 50000, 33003, 33005
NAMES = {
    NONE: "none",
    LZW: "lzw",
    JPEG: "jpeg",
    DEFLATE: "deflate",
    OLD_DEFLATE: "deflate",
    ZSTD: "zstd",
    JPEG2000_YCBCR: "jpeg2000",
    JPEG2000_RGB: "jpeg2000",
}
RGB, YCBCR = 2, 6
PHOTOMETRICS = {JPEG: (RGB, YCBCR), JPEG2000_YCBCR: (RGB, YCBCR), JPEG2000_RGB: (RGB, YCBCR)}
JPEG2000 = frozenset({JPEG2000_YCBCR, JPEG2000_RGB})
# A progressive JPEG has about ten scans. Each takes a pass over the native tile, so that a small file with many scans
# could keep a decoder busy for minutes.
MOST_SCANS = 100
START_OF_SCAN = b"\xff\xda"
# Markers of a frame, SOF0 to SOF15 but for three that mean other things (ITU-T T.81, table B.1).
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# Markers without a length behind them: TEM and RST0 to RST7. And those that no header has, where there is one damaged:
# a stuffed zero, SOI, EOI.
STANDALONE = frozenset({0x01, *range(0xD0, 0xD8)})
NOT_IN_HEADER = frozenset({0x00, 0xD8, 0xD9})
# Markers of the headers whose native tiles are kept in planes: DQT, DHT, DRI, COM, SOF0 and SOF1. Any other marker
# could change the colours, or libjpeg could read it differently.
PLAIN_MARKERS = frozenset({0xDB, 0xC4, 0xDD, 0xFE, 0xC0, 0xC1})
SEQUENTIAL_FRAMES = frozenset({0xC0, 0xC1})
# How many bytes a decoder holds for one pixel: OpenJPEG keeps three components of 32 bits, the others three of 8.
BYTES_A_PIXEL = {JPEG2000_YCBCR: 12, JPEG2000_RGB: 12}
# Decoders that give 1/2, 1/4 or 1/8 of the resolution for less than the whole work.
REDUCING = JPEG2000 | {JPEG}

SOI = b"\xff\xd8"
END_OF_IMAGE = b"\xff\xd9"
CODESTREAM_HEAD_BYTES = 51
# Sampling factors of three components, and how they lie in planes; of others pixels are packed.
SAMPLINGS = {b"\x11\x11\x11": planes.YCBCR_444, b"\x21\x11\x11": planes.YCBCR_422, b"\x22\x11\x11": planes.YCBCR_420}
# Then rows of planes are whole groups of 8 samples, also where chroma is half as wide.
PLANES_PX = 16
MOST_PLANES_PX = 2**15  # the kernels number the samples of a row in 16 bits
APP14 = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00"  # followed by the colour transform: 0 RGB, 1 YCbCr


class NativeTileError(Exception):
    """A native tile that does not decode."""


class Prepared(NamedTuple):
    """A native tile's bytes, ready to be decoded, and the form that its pixels may have then."""

    data: bytes | memoryview
    form: int = planes.PACKED


class NativeCodec(NamedTuple):
    """How the native tiles of a page are decoded; both functions raise NativeTileError.

    ``prepare(data, start, stop)`` turns a native tile's bytes, a part of ``data``, into the argument of ``decode``. It
    is called for many native tiles in a row, because decoding empties the caches: between two decodings every line of
    Python takes at least twice as long. ``decode`` fills uint8 (height, width, 4), C-contiguous, and returns the form:
    PACKED or, with ``keep_planes``, another one of :mod:`hypoxia_hpc.tiling.kernels.planes`.
    """

    prepare: Callable[[bytes, int, int], Prepared]
    decode: Callable[[Prepared, UInt8Array], int]


def codec_versions() -> Json:
    """Versions of the libraries that decode and pack pixels."""
    return {name: importlib.metadata.version(name) for name in ("imagecodecs", "pillow", "simplejpeg")}


def refusal(page: TiffPage) -> str:
    """Why this page is not read natively; empty where it is."""
    if page.compression not in NAMES:
        return f"compression {page.compression}"
    return _layout_refusal(page) or _content_refusal(page)


def _content_refusal(page: TiffPage) -> str:
    if page.compression in JPEG2000:
        return codestream_refusal(page.first_bytes, page.tile_width, page.tile_height)
    try:
        _shared_tables(page.jpeg_tables)
    except NativeTileError:
        return "damaged JPEG tables"
    return ""


def _layout_refusal(page: TiffPage) -> str:
    if page.photometric not in PHOTOMETRICS.get(page.compression, (RGB,)):
        return f"photometric interpretation {page.photometric}"
    if page.samples != 3 or page.extra_samples or page.bits != (8, 8, 8) or set(page.sample_formats) - {1}:
        return f"{page.samples} samples of {page.bits} bits"
    if page.planar != 1 or page.orientation != 1 or page.fill_order != 1:
        return "its planes, orientation or bit order"
    if page.predictor != 1 and (page.predictor != 2 or page.compression not in (LZW, DEFLATE, OLD_DEFLATE, ZSTD)):
        return f"predictor {page.predictor}"
    return ""


def decoded_nbytes(page: TiffPage) -> int:
    """Bytes that one native tile of this page takes while it is decoded."""
    return page.tile_width * page.tile_height * BYTES_A_PIXEL.get(page.compression, 3)


def codec_of(page: TiffPage, reduce: int = 1, *, keep_planes: bool = False) -> NativeCodec:
    """How native tiles of an accepted page are decoded, at 1/``reduce`` of the resolution where ``reduce`` is above 1
    and the compression is in REDUCING. With ``keep_planes`` to pixels in planes, where the library for it is found."""
    if page.compression == JPEG:
        packing = _jpeg(page, reduce)
        library = turbojpeg.library() if keep_planes and reduce == 1 and _fits_planes(page) else None
        return NativeCodec(_jpeg_preparation(page), _jpeg_planes(library, packing) if library else packing)
    if page.compression in JPEG2000:
        pack = pack_ycbcr if page.compression == JPEG2000_YCBCR else pack_rgb
        return NativeCodec(_as_it_is, _packing(_jpeg2000(pack, reduce)))
    return NativeCodec(_as_it_is, _packing(_lossless(page)))


def _fits_planes(page: TiffPage) -> bool:
    sides = (page.tile_width, page.tile_height)
    return all(side % PLANES_PX == 0 and side <= MOST_PLANES_PX for side in sides)


def _packing(decode: Callable[[bytes | memoryview, UInt8Array], None]) -> Callable[[Prepared, UInt8Array], int]:
    def decode_packed(native_tile: Prepared, out: UInt8Array) -> int:
        decode(native_tile.data, out)
        return planes.PACKED

    return decode_packed


def _as_it_is(data: bytes, start: int, stop: int) -> Prepared:
    return Prepared(memoryview(data)[start:stop])


def _jpeg_preparation(page: TiffPage) -> Callable[[bytes, int, int], Prepared]:
    """libjpeg-turbo guesses the colour space of a JPEG from its markers, but TIFF states it in a tag. So these markers
    are left out, and one that agrees with the tag goes in front, with the tables that all native tiles share."""
    transform = b"\x01" if page.photometric == YCBCR else b"\x00"
    head = SOI + APP14 + transform + _shared_tables(page.jpeg_tables)
    # The header of an earlier native tile: most have the same one, which then need not be checked again.
    seen, skipped, form = b"", 0, planes.PACKED

    def prepare(data: bytes, start: int, stop: int) -> Prepared:
        nonlocal seen, skipped, form
        if not seen or not data.startswith(seen, start, stop):
            segments = start + _after_app_segments(data[start:stop])
            whole = head + data[segments:stop]
            in_header, form = _checked_header(whole, page)
            seen = data[start : segments + in_header - len(head)] if in_header else b""
            skipped = segments - start
            return Prepared(whole, form)
        return Prepared(b"".join((head, memoryview(data)[start + skipped : stop])), form)

    return prepare


def _jpeg_planes(
    library: ctypes.CDLL, packing: Callable[[Prepared, UInt8Array], int]
) -> Callable[[Prepared, UInt8Array], int]:
    """A JPEG of another form than those of planes, or one that decodes with a warning, is left to ``packing``."""
    keep_planes = turbojpeg.PlaneDecoder(library).decode

    def decode(native_tile: Prepared, out: UInt8Array) -> int:
        data, form = native_tile
        if form != planes.PACKED:
            whole = bytes(data)  # already bytes; the end marker may be missing, as it may for ``packing``
            if keep_planes(whole if whole.endswith(END_OF_IMAGE) else whole + END_OF_IMAGE, out):
                return form
        return packing(native_tile, out)

    return decode


def _jpeg(page: TiffPage, reduce: int) -> Callable[[Prepared, UInt8Array], int]:
    from simplejpeg import decode_jpeg

    shape = (page.tile_height // reduce, page.tile_width // reduce, 4)
    # By position: fast and inexact DCT, fast and inexact upsampling, least height, least width, least reduction.
    options = (False, False, *shape[:2], reduce) if reduce > 1 else (False, False, 0, 0, 1)

    def decode(native_tile: Prepared, out: UInt8Array) -> int:
        whole = native_tile.data
        try:
            pixels = decode_jpeg(whole, "RGBX", *options, out)  # a warning is an error, as in OpenSlide
        except ValueError:
            pixels = without_sound_end(bytes(whole), out)
        if pixels.shape != shape:
            raise NativeTileError(f"a JPEG of {pixels.shape[1]} x {pixels.shape[0]} px")
        return planes.PACKED

    def without_sound_end(whole: bytes, out: UInt8Array) -> UInt8Array:
        """OpenSlide stops at the last row, so the end marker may be missing, or come after stray bytes."""
        try:
            try:
                return np.asarray(decode_jpeg(whole + END_OF_IMAGE, "RGBX", *options, out))
            except ValueError as error:
                if "extraneous bytes before marker 0xd9" not in str(error):
                    raise
                pixels = decode_jpeg(whole + END_OF_IMAGE, "RGBX", *options, out, False)
                return np.asarray(pixels)
        except ValueError as error:
            raise NativeTileError(str(error)) from None

    return decode


def _checked_header(whole: bytes, page: TiffPage) -> tuple[int, int]:
    """Length in bytes of a JPEG's header, to the end of the header of its first scan, and the form that its pixels may
    be decoded to.

    The length is 0 where other JPEGs with the same header may have any number of scans, so that each has to be checked.
    The form is PACKED where markers other than plain ones follow ours, or there is more than one scan: some scans may
    be missing, and versions of libjpeg-turbo differ in what they then decode. Raises NativeTileError for another size
    than the native tile's, and for too many scans."""
    frame, is_plain, position = b"", True, len(SOI + APP14) + 1
    while whole[position : position + 2] != START_OF_SCAN:
        marker = whole[position + 1] if whole[position] == 0xFF else 0
        if marker in NOT_IN_HEADER:
            raise NativeTileError("a JPEG whose header is damaged")
        if marker in FRAMES:
            is_plain &= not frame
            frame = whole[position : position + 19]
        filling = marker == 0xFF  # before a marker there may be any number of these
        is_plain &= filling or marker in PLAIN_MARKERS
        if filling or marker in STANDALONE:
            position += 1 if filling else 2
        else:
            position += 2 + int.from_bytes(whole[position + 2 : position + 4], "big")
        if position + 5 > len(whole):
            raise NativeTileError("a JPEG that ends in its header")
    size = (int.from_bytes(frame[7:9], "big"), int.from_bytes(frame[5:7], "big"))
    if size != (page.tile_width, page.tile_height):
        raise NativeTileError(f"a JPEG of {size[0]} x {size[1]} px")
    if frame[1] in SEQUENTIAL_FRAMES and whole[position + 4] == 3:
        # All three colours in the first scan: libjpeg reads no further one.
        form = _form(frame, page.photometric) if is_plain else planes.PACKED
        return position + 2 + int.from_bytes(whole[position + 2 : position + 4], "big"), form
    if whole.count(START_OF_SCAN) > MOST_SCANS:
        raise NativeTileError(f"a JPEG of more than {MOST_SCANS} scans")
    return 0, planes.PACKED


def _form(frame: bytes, photometric: int) -> int:
    """The form of a JPEG's planes, from the header of its frame; PACKED where it is not decoded to planes."""
    if len(frame) < 19 or frame[4] != 8 or frame[9] != 3:
        return planes.PACKED
    form = SAMPLINGS.get(frame[11:18:3], planes.PACKED)
    if photometric == RGB:
        return planes.RGB if form == planes.YCBCR_444 else planes.PACKED
    return form


def _shared_tables(tables: bytes) -> bytes:
    """The segments of the JPEGTables tag, without its markers of start and end."""
    return tables[_after_app_segments(tables) : -2] if tables else b""


def _after_app_segments(data: bytes) -> int:
    """Where the first segment begins that is no APPn, behind the start-of-image marker."""
    if data[:2] != SOI:
        raise NativeTileError("no JPEG")
    position = 2
    while len(data) >= position + 4:
        if data[position] != 0xFF or not 0xE0 <= data[position + 1] <= 0xEF:
            return position
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    raise NativeTileError("a JPEG that ends in its header")


def _jpeg2000(
    pack: Callable[[UInt8Array, UInt8Array], None], reduce: int
) -> Callable[[bytes | memoryview, UInt8Array], None]:
    import imagecodecs

    def full(data: bytes | memoryview) -> UInt8Array:
        return np.asarray(imagecodecs.jpeg2k_decode(bytes(data), numthreads=1))

    read = full if reduce == 1 else lambda data: _reduced_jpeg2000(data, reduce)

    def decode(data: bytes | memoryview, out: UInt8Array) -> None:
        problem = codestream_refusal(data, out.shape[1] * reduce, out.shape[0] * reduce)
        if problem:  # checked before OpenJPEG allocates anything
            raise NativeTileError(problem)
        try:
            pixels = read(data)
        except (imagecodecs.Jpeg2kError, OSError, SyntaxError, ValueError) as error:
            raise NativeTileError(str(error)) from None
        if pixels.shape != (*out.shape[:2], 3) or pixels.dtype != np.uint8:
            raise NativeTileError(f"a JPEG 2000 image of shape {pixels.shape}, {pixels.dtype}")
        pack(pixels, out)

    return decode


def _reduced_jpeg2000(data: bytes | memoryview, reduce: int) -> UInt8Array:
    from PIL import Image

    with Image.open(io.BytesIO(data), formats=["JPEG2000"]) as image:
        setattr(image, "reduce", reduce.bit_length() - 1)  # noqa: B010 - an attribute here, a method in the base class
        return np.asarray(image)


def codestream_refusal(data: bytes | memoryview, width: int, height: int) -> str:
    """Why a raw JPEG 2000 codestream is not read here; empty where it is. Its size marker (ISO 15444-1, A.5.1) must say
    three unsigned components of 8 bits, none of them subsampled, and the native tile's size."""
    if data[:4] != b"\xff\x4f\xff\x51" or len(data) < CODESTREAM_HEAD_BYTES:
        return "no JPEG 2000 codestream"
    numbers = np.frombuffer(data, ">u4", 4, 8)
    size = (int(numbers[0]) - int(numbers[2]), int(numbers[1]) - int(numbers[3]))
    if size != (width, height):
        return f"a JPEG 2000 codestream of {size[0]} x {size[1]} px for a native tile of {width} x {height}"
    if data[40:51] != b"\x00\x03" + b"\x07\x01\x01" * 3:
        return "JPEG 2000 with subsampled colour or other components than three of 8 bits"
    return ""


def is_safe_codestream(data: bytes, width: int, height: int) -> bool:
    """Whether it is safe to let OpenSlide decode a JPEG 2000 codestream. OpenSlide takes the size of a component from
    the native tile and the subsampling; where the component is smaller, it reads beyond its end (4.0.1 ends with
    SIGSEGV)."""
    if data[:4] != b"\xff\x4f\xff\x51" or len(data) < CODESTREAM_HEAD_BYTES:
        return True  # OpenJPEG refuses it
    numbers = np.frombuffer(data, ">u4", 8, 8).tolist()
    sampling = data[41:51]
    return (
        numbers[:4] == [width, height, 0, 0]
        and numbers[6:] == [0, 0]
        and sampling[:1] == b"\x03"
        and all(step in (1, 2, 4) for at in (2, 5, 8) for step in sampling[at : at + 2])
    )


def _but_for_padding(values: bytes | bytearray | memoryview, nbytes: int, room: int) -> bytes | bytearray | memoryview:
    return values[:nbytes] if nbytes < len(values) < room else values


def _lossless(page: TiffPage) -> Callable[[bytes | memoryview, UInt8Array], None]:
    import imagecodecs

    shape = (page.tile_height, page.tile_width, 3)
    nbytes = page.tile_height * page.tile_width * 3
    room = nbytes + page.tile_width * 3  # LZW ends where there is no more room: a row more shows another size
    unpack: Callable[[bytes | memoryview], bytes | memoryview | bytearray] = {
        NONE: lambda data: data,
        LZW: lambda data: _but_for_padding(imagecodecs.lzw_decode(data, out=room), nbytes, room),
        DEFLATE: lambda data: imagecodecs.zlib_decode(data, out=nbytes),
        OLD_DEFLATE: lambda data: imagecodecs.zlib_decode(data, out=nbytes),
        ZSTD: lambda data: imagecodecs.zstd_decode(data, out=nbytes),
    }[page.compression]
    errors = (imagecodecs.LzwError, imagecodecs.ZlibError, imagecodecs.ZstdError, ValueError)

    def decode(data: bytes | memoryview, out: UInt8Array) -> None:
        try:
            values = unpack(data)
        except errors as error:
            raise NativeTileError(str(error)) from None
        if len(values) != nbytes:
            raise NativeTileError(f"{len(values)} bytes for {nbytes}")
        pixels = np.frombuffer(values, np.uint8).reshape(shape)
        pack_rgb(imagecodecs.delta_decode(pixels, axis=1) if page.predictor == 2 else pixels, out)

    return decode
