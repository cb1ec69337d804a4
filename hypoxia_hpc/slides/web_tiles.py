"""JPEG files for a browser: a slide's native tiles as they are where every browser shows them rightly, pixels encoded
where not."""

from __future__ import annotations

import os

from hypoxia_hpc.records import UInt8Array
from hypoxia_hpc.slides import decoders
from hypoxia_hpc.slides.decoders import NativeTileError
from hypoxia_hpc.slides.tiff import TiffPage
from hypoxia_hpc.tiling.kernels.planes import PACKED

QUALITY = 85


def whole_jpeg(descriptor: int, page: TiffPage, number: int) -> bytes | None:
    """Native tile ``number`` as a JPEG file of its own: with the tables that all of a page share, and a marker of the
    colours that the TIFF says. The pixels are not touched. None where it is missing, damaged or no JPEG of the plain
    kind that all decoders read alike."""
    start, count = int(page.offsets[number]), int(page.counts[number])
    if page.compression != decoders.JPEG or not 0 < count <= 2 * decoders.decoded_nbytes(page):
        return None
    try:
        data = os.pread(descriptor, count, start)
        prepared = decoders.codec_of(page).prepare(data, 0, count)
    except (OSError, NativeTileError):
        return None
    return bytes(prepared.data) if len(data) == count and prepared.form != PACKED else None


def encoded_jpeg(pixels: UInt8Array) -> bytes:
    """Pixels, uint8 RGB (h, w, 3), C-contiguous, as a JPEG file."""
    import simplejpeg

    return bytes(simplejpeg.encode_jpeg(pixels, QUALITY, "RGB", "420"))
