"""Images in files of their own (PNG, JPEG, TIFF): read whole, within limits, as red, green and blue."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np

from hypoxia_hpc.errors import InputError
from hypoxia_hpc.reading import read_plain
from hypoxia_hpc.records import UInt8Array

MOST_IMAGE_BYTES = 2**30
MOST_IMAGE_PX = 100_000_000
FORMATS = ("PNG", "JPEG", "TIFF")


def read_image(path: Path) -> UInt8Array:
    """uint8 (height, width, 3), turned as its EXIF says; what is transparent stands on white. Raises InputError for
    what is no such image, has more than 100 million pixels, is gray, or has more than 8 bits a channel."""
    from PIL import Image, ImageOps

    data = read_plain(path, MOST_IMAGE_BYTES)
    try:
        with warnings.catch_warnings(), Image.open(io.BytesIO(data), formats=FORMATS) as image:
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit below is the one that counts
            _require_colours(path, image.size, image.mode)
            image.load()
            turned = ImageOps.exif_transpose(image).convert("RGBA")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        remedy = "write it as PNG, JPEG or TIFF with 8 bits for each of red, green and blue"
        raise InputError(f"{path} is no image that can be read: {error}", remedy=remedy) from error
    on_white = Image.new("RGBA", turned.size, "white")
    on_white.alpha_composite(turned)
    return np.array(on_white.convert("RGB"))


def _require_colours(path: Path, size: tuple[int, int], mode: str) -> None:
    if size[0] * size[1] > MOST_IMAGE_PX:
        raise InputError(
            f"{path} has {size[0]:,} x {size[1]:,} pixels, at most {MOST_IMAGE_PX:,} are read at once",
            remedy="cut out a part of it",
        )
    if mode not in ("RGB", "RGBA", "P"):
        raise InputError(
            f"{path} has no 8 bits for each of red, green and blue (Pillow's mode {mode})",
            remedy="write it in colour, with 8 bits a channel",
        )
