"""What no tiler can beat: the codec libraries, the store's encoder and the disk, each alone."""

from __future__ import annotations

import ctypes
import io
import itertools
import math
import os
from collections.abc import Callable, Iterator, Sequence
from copy import copy
from pathlib import Path

import numpy as np
from PIL import Image

from hypoxia_hpc.bench.case import require
from hypoxia_hpc.records import UInt8Array
from hypoxia_hpc.slides import turbojpeg
from hypoxia_hpc.slides.tiff import read_tiled_pages
from hypoxia_hpc.slides.turbojpeg import ACCURATE_DCT
from hypoxia_hpc.stores.codecs import CODECS
from hypoxia_hpc.stores.layout import tile_arrays

BUFFERS = 8
# libjpeg-turbo writes past the cache wherever a row begins at a multiple of 32 bytes. RGBX, one Zen 4 core, tiles/s:
# 5,590 where none does, 5,000 where all do, 2,680 where all do at odd multiples; RGB 5,530 against 4,190.
OFFSET_BYTES = 8
WRITE_BYTES = 2**21
JPEG, YCBCR = 7, 6  # of TIFF
RGBX = 2  # TurboJPEG's number
ADOBE = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00"  # followed by 0 for RGB, 1 for YCbCr


class NativeTiles:
    """The native tiles of level 0, as they lie in the file, in memory."""

    def __init__(self, path: Path) -> None:
        page, data = read_tiled_pages(path)[0], path.read_bytes()
        self.is_jpeg = page.compression == JPEG
        self.size_px = (page.tile_height, page.tile_width)
        self.is_ycbcr = page.photometric == YCBCR
        self.tables = page.jpeg_tables
        self.data = [data[at : at + n] for at, n in zip(page.offsets.tolist(), page.counts.tolist(), strict=True)]
        head = b"\xff\xd8" + ADOBE + (b"\1" if self.is_ycbcr else b"\0") + self.tables[2:-2]
        self.whole = [head + tile[2:] for tile in self.data]
        self._buffers = {channels: _buffers((BUFFERS, *self.size_px, channels)) for channels in (3, 4)}

    def of(self, numbers: Sequence[int]) -> NativeTiles:
        """Those of these numbers, with buffers of their own, so that another thread may decode them."""
        part = copy(self)
        part.data, part.whole = ([tiles[number] for number in numbers] for tiles in (self.data, self.whole))
        part._buffers = {channels: _buffers((BUFFERS, *self.size_px, channels)) for channels in (3, 4)}
        return part

    def pixels(self) -> list[UInt8Array]:
        """JPEG native tiles as libjpeg-turbo decodes them, uint8 (height, width, 3) each."""
        import simplejpeg

        return [simplejpeg.decode_jpeg(tile, "RGB") for tile in self.whole]

    def buffers(self, channels: int) -> Iterator[UInt8Array]:
        """Buffers for one native tile, in turn, without end."""
        return itertools.cycle(self._buffers[channels])

    def decoders(self) -> dict[str, Callable[[], None]]:
        """By library: decode every native tile into preallocated buffers and do nothing else."""
        if not self.is_jpeg:
            return {"imagecodecs (OpenJPEG)": self._imagecodecs_j2k, "Pillow (OpenJPEG)": self._pillow_j2k}
        return {
            "simplejpeg": lambda: self._simplejpeg("RGB", 3),
            "simplejpeg, RGBX": lambda: self._simplejpeg("RGBX", 4),
            **({"TurboJPEG, RGBX": self._turbojpeg} if turbojpeg.library() else {}),
            "imagecodecs": self._imagecodecs,
        }

    def _simplejpeg(self, colours: str, channels: int) -> None:
        import simplejpeg

        for tile, buffer in zip(self.whole, self.buffers(channels), strict=False):
            simplejpeg.decode_jpeg(tile, colours, buffer=buffer)

    def _turbojpeg(self) -> None:
        """TurboJPEG itself, one decoder for all."""
        library = ctypes.CDLL(turbojpeg.NAMES[0])
        library.tjInitDecompress.restype = ctypes.c_void_p
        library.tjDestroy.argtypes = (ctypes.c_void_p,)
        library.tjDecompress2.argtypes = (
            *(ctypes.c_void_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_void_p),
            *(ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_int),
        )
        decoder = library.tjInitDecompress()
        height, width = self.size_px
        places = itertools.cycle([buffer.ctypes.data for buffer in self._buffers[4]])
        for tile, place in zip(self.whole, places, strict=False):
            sizes = width, 4 * width, height
            failed = library.tjDecompress2(decoder, tile, len(tile), place, *sizes, RGBX, ACCURATE_DCT)
            require(not failed, "TurboJPEG does not decode a native tile, which its bound is made of")
        library.tjDestroy(decoder)

    def _imagecodecs(self) -> None:
        import imagecodecs

        colours = "YCBCR" if self.is_ycbcr else "RGB"
        for tile, buffer in zip(self.data, self.buffers(3), strict=False):
            imagecodecs.jpeg8_decode(
                tile, tables=self.tables or None, colorspace=colours, outcolorspace="RGB", out=buffer
            )

    def _imagecodecs_j2k(self) -> None:
        import imagecodecs

        for tile, buffer in zip(self.data, self.buffers(3), strict=False):
            imagecodecs.jpeg2k_decode(tile, numthreads=1, out=buffer)

    def _pillow_j2k(self) -> None:
        for tile in self.data:
            Image.open(io.BytesIO(tile), formats=["JPEG2000"]).load()


def _buffers(shape: tuple[int, ...]) -> UInt8Array:
    """Ones (zeros would not be in memory yet) that begin OFFSET_BYTES behind a multiple of 64."""
    n_bytes = math.prod(shape)
    memory = np.ones(n_bytes + 128, dtype=np.uint8)
    start = -memory.ctypes.data % 64 + OFFSET_BYTES
    return memory[start : start + n_bytes].reshape(shape)


def packed(tiles: UInt8Array, codec: str) -> int:
    """Pack tiles, uint8 (n, px, px, 3), as the store does, chunk by chunk; the bytes they take."""
    rows = 1 if CODECS[codec].tile_by_tile else tile_arrays({"spec": {"codec": codec}})["pixels"].most_rows
    return sum(len(CODECS[codec].pack(tiles[start : start + rows])) for start in range(0, len(tiles), rows))


def write_and_fsync(folder: Path, n_bytes: int) -> None:
    """Write as many bytes to a new file, fsync it, and delete it."""
    path, block = folder / "bytes", np.random.default_rng(0).bytes(WRITE_BYTES)
    with path.open("xb", buffering=0) as file:
        for start in range(0, n_bytes, WRITE_BYTES):
            file.write(block[: n_bytes - start])
        os.fsync(file.fileno())
    path.unlink()
