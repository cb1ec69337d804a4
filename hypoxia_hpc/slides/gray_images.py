"""Gray slices in image files (PNG, JPEG, TIFF): read whole, with all their bits."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from hypoxia_hpc.errors import SlideError, some
from hypoxia_hpc.reading import read_plain
from hypoxia_hpc.slides.image_files import (
    DEEP_GRAYS,
    GRAY_MODES,
    MOST_IMAGE_BYTES,
    ROTTEN,
    TiffTags,
    decoded_image,
    image_errors,
    opened_image,
)

SAMPLE_FORMAT = 339
UNSIGNED, SIGNED = 1, 2
REMEDY = "write it as PNG or TIFF in gray, of 8 or 16 bits or float32"
NOT_FINITE = "not-finite"


def read_gray(path: Path) -> NDArray[Any]:
    """The pixels of a gray slice as :func:`decoded_gray` has them. Raises as that, ``missing-file``,
    ``no-permission``."""
    with image_errors(path):
        return decoded_gray(read_plain(path, MOST_IMAGE_BYTES))


def decoded_gray(data: bytes) -> NDArray[Any]:
    """(height, width) of uint8, uint16, int32 or float32, turned as its EXIF says, with all bits that the file has.

    Raises:
        SlideError: as `decoded_image`, of which float and 32 bits are taken here; ``not-supported`` for pixels of which
            red, green and blue differ; ``not-finite``.
    """
    with opened_image(io.BytesIO(data), GRAY_MODES) as image:
        tags = TiffTags.of(image)
        _require_plain_numbers(image, tags)
        if image.mode not in (*DEEP_GRAYS, "I", "F"):
            return _gray_of(decoded_image(data))
        try:
            image.load()
            pixels = np.asarray(ImageOps.exif_transpose(image))
        except ROTTEN as error:
            problem = f"its pixels do not decode: {error}"
            raise SlideError("unreadable", problem, remedy="fetch the file again, or leave it out") from None
    if image.mode in DEEP_GRAYS:
        whole = pixels.astype(np.uint16)
        return (2**tags.bits - 1 - whole).astype(np.uint16) if tags.is_white_zero else whole
    require_finite(pixels)
    return pixels


def require_finite(pixels: NDArray[Any]) -> None:
    """Raises SlideError for pixels that are NaN or infinite, with their number."""
    n_odd = pixels.size - int(np.count_nonzero(np.isfinite(pixels)))
    if n_odd:
        are = "is" if n_odd == 1 else "are"
        problem = f"{n_odd:,} of {some(pixels.size, 'pixel')} {are} NaN, infinite or beyond the range of float32"
        raise SlideError(NOT_FINITE, problem, remedy="write it anew with a number in each, or leave it out")


def _gray_of(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    gray = pixels[..., 0]
    if not (np.array_equal(gray, pixels[..., 1]) and np.array_equal(gray, pixels[..., 2])):
        problem = "a slice of a series in colour: red, green and blue differ"
        raise SlideError("not-supported", problem, remedy=REMEDY)
    return np.ascontiguousarray(gray)


def _require_plain_numbers(image: Image.Image, tags: TiffTags) -> None:
    """Pillow shows 8 bits of a TIFF as unsigned and 32 as signed, whatever they are."""
    if image.format != "TIFF":
        return
    is_signed = max(getattr(image, "tag_v2", {}).get(SAMPLE_FORMAT, (UNSIGNED,))) == SIGNED
    problems = {
        "signed numbers of 8 bits": image.mode == "L" and is_signed,
        "unsigned numbers of 32 bits": image.mode == "I" and tags.bits == 32 and not is_signed,
        "32 bits, of which zero is white": image.mode in ("I", "F") and tags.is_white_zero,
    }
    for problem, is_so in problems.items():
        if is_so:
            raise SlideError("not-supported", problem, remedy=REMEDY)
