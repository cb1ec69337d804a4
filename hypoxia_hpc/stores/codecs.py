"""How tiles are packed in a store: for each ``[tile] codec`` its Zarr v3 codecs and the library calls that obey them.

Decoding trusts no chunk: it fills a buffer of the size that the array's shape demands, and no chunk can make it larger.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np

from hypoxia_hpc.records import Json, UInt8Array

Packed = bytes | bytearray | memoryview
JPEG_QUALITY = 90
# Colour is the stain. 62 tiles of CMU-1-Small-Region.svs: PSNR 33.3 dB in 25 % of the bytes at 4:4:4 (a channel changes
# by 4.1 of 255 on average, by 48 at most), 29.8 dB in 19 % at 4:2:2, 29.0 dB in 17 % at 4:2:0.
JPEG_SUBSAMPLING = "444"
ZSTD_LEVEL = 1
LZ4_LEVEL = 1
_BYTES: Json = {"name": "bytes", "configuration": {"endian": "little"}}
_SOS, _SOS_NBYTES = b"\xff\xda", 14
_SPARE_NBYTES = 4096


@dataclass(frozen=True, slots=True, eq=False)
class PixelCodec:
    """One way to pack a chunk of tiles.

    ``documents`` are the Zarr codecs before the checksum. ``pack`` takes tiles, uint8 (k, px, px, 3) in C order, and
    may return their own memory; ``unpack`` fills such an array, or raises ValueError. ``tile_by_tile``: a chunk is one
    tile. ``fixed``: a chunk has as many bytes as its tiles.
    """

    documents: tuple[Json, ...]
    pack: Callable[[UInt8Array], Packed]
    unpack: Callable[[bytes, UInt8Array], None]
    tile_by_tile: bool = False
    fixed: bool = False

    def sizes(self, nbytes: int) -> tuple[int, int]:
        """Least and most bytes of a packed chunk that has ``nbytes`` unpacked."""
        # Incompressible tiles grow by 16 bytes (lz4), 0.4 % (zstd) or a header (jpeg; noise itself shrinks).
        return (nbytes, nbytes) if self.fixed else (1, nbytes + nbytes // 8 + _SPARE_NBYTES)


def _pack_none(tiles: UInt8Array) -> Packed:
    return _memory(tiles)


def _unpack_none(packed: bytes, tiles: UInt8Array) -> None:
    tiles.reshape(-1)[:] = np.frombuffer(packed, dtype=np.uint8)


def _pack_lz4(tiles: UInt8Array) -> Packed:
    import imagecodecs

    return imagecodecs.blosc_encode(
        _memory(tiles), level=LZ4_LEVEL, compressor="lz4", shuffle="noshuffle", typesize=1, numthreads=1
    )


def _unpack_lz4(packed: bytes, tiles: UInt8Array) -> None:
    import imagecodecs

    try:
        found = imagecodecs.blosc_decode(packed, numthreads=1, out=tiles.reshape(-1).data)
    except imagecodecs.BloscError as error:
        raise ValueError(f"a chunk is no lz4 of Blosc: {error}") from error
    _check_nbytes(len(found), tiles)


def _pack_zstd(tiles: UInt8Array) -> Packed:
    import imagecodecs

    return imagecodecs.zstd_encode(_memory(tiles), level=ZSTD_LEVEL)


def _unpack_zstd(packed: bytes, tiles: UInt8Array) -> None:
    import imagecodecs

    try:
        found = imagecodecs.zstd_decode(packed, out=tiles.reshape(-1).data)
    except imagecodecs.ZstdError as error:
        raise ValueError(f"a chunk is no zstd: {error}") from error
    _check_nbytes(len(found), tiles)


def _pack_jpeg(tiles: UInt8Array) -> Packed:
    import imagecodecs

    return imagecodecs.jpeg8_encode(tiles[0], level=JPEG_QUALITY, subsampling=JPEG_SUBSAMPLING)


def _unpack_jpeg(packed: bytes, tiles: UInt8Array) -> None:
    import imagecodecs

    # libjpeg allocates by the sizes in a header before they can be checked: only the header that we write is accepted.
    header = _jpeg_header(tiles.shape[1])
    if not packed.startswith(header):
        raise ValueError("a chunk has not the JPEG header of these tiles")
    try:
        imagecodecs.jpeg8_decode(packed, out=tiles[0])
    except imagecodecs.Jpeg8Error as error:
        raise ValueError(f"a chunk is no JPEG: {error}") from error


@functools.lru_cache(maxsize=8)
def _jpeg_header(tile_px: int) -> bytes:
    """The bytes that every packed tile of this side begins with, from the start of the image to that of its scan."""
    packed = bytes(_pack_jpeg(np.zeros((1, tile_px, tile_px, 3), dtype=np.uint8)))
    return packed[: packed.index(_SOS) + _SOS_NBYTES]


def _memory(tiles: UInt8Array) -> bytes:
    """Bytes of tiles without a copy. They are a memoryview, which imagecodecs takes and its annotations do not know."""
    return cast("bytes", tiles.reshape(-1).data)


def _check_nbytes(found: int, tiles: UInt8Array) -> None:
    if found != tiles.nbytes:
        raise ValueError(f"a chunk has {found} bytes unpacked, its tiles need {tiles.nbytes}")


_BLOSC = {"cname": "lz4", "clevel": LZ4_LEVEL, "shuffle": "noshuffle", "typesize": 1, "blocksize": 0}
_JPEG = {"level": JPEG_QUALITY, "subsampling": JPEG_SUBSAMPLING}
NONE = PixelCodec((_BYTES,), _pack_none, _unpack_none, fixed=True)
# benchmarks/stores.py, H&E tiles of 299 px, two free cores: KB a tile; tiles/s packed by one thread, written, read:
#   none  268.2           5,100  22,000
#   lz4   263.6   8,600   3,800  21,000
#   zstd  256.2   2,500   2,500   5,200    (levels 1 to 3 pack alike, 1 is the fastest)
#   jpeg   66.5   1,900   1,800   1,450
# Lossless codecs save 2 to 5 % and slow down writing or reading: the default is "none".
CODECS: Mapping[str, PixelCodec] = {
    "none": NONE,
    "lz4": PixelCodec((_BYTES, {"name": "blosc", "configuration": _BLOSC}), _pack_lz4, _unpack_lz4),
    "zstd": PixelCodec(
        (_BYTES, {"name": "zstd", "configuration": {"level": ZSTD_LEVEL, "checksum": False}}), _pack_zstd, _unpack_zstd
    ),
    # One tile a chunk: 8 x 8 blocks would mix tiles that lie one below the other. Its name and settings are those of
    # imagecodecs.zarr.Jpeg (imagecodecs 2026.5 and later, package imagecodecs-zarr), which other readers need.
    "jpeg": PixelCodec(
        ({"name": "imagecodecs_jpeg", "configuration": _JPEG},), _pack_jpeg, _unpack_jpeg, tile_by_tile=True
    ),
}
