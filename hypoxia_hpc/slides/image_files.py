"""Images in files of their own (PNG, JPEG, TIFF): read whole, within limits, as red, green and blue."""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from PIL import ExifTags, Image, ImageOps
from simplejpeg import decode_jpeg

from hypoxia_hpc.errors import InputError, SlideError
from hypoxia_hpc.reading import open_plain, read_plain
from hypoxia_hpc.records import UInt8Array
from hypoxia_hpc.slides.decoders import MOST_SCANS, START_OF_SCAN
from hypoxia_hpc.slides.fingerprint import slide_errors
from hypoxia_hpc.tiling.kernels.packed import composite_on_white
from hypoxia_hpc.tiling.slice_views import Directions

MOST_IMAGE_BYTES = 2**30
MOST_IMAGE_PX = 100_000_000
FORMATS = ("PNG", "JPEG", "TIFF")
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff"})
# Pillow's names of images that become 8 bits of red, green and blue, or of gray, in one way alone.
COLOURS, GRAYS = ("RGB", "RGBA", "P", "PA"), ("1", "L", "LA")
DEEP_GRAYS = ("I;16", "I;16L", "I;16B", "I;16N")
MODES = (*COLOURS, *GRAYS, *DEEP_GRAYS)
# Of gray slices, which are scaled: 32 bits and floating point, too.
GRAY_MODES = (*MODES, "I", "F")
# By position: fast and inexact DCT, fast and inexact upsampling, least height, least width, least reduction.
ACCURATE = (False, False, 0, 0, 1)
BITS, PHOTOMETRIC, PLANAR = 258, 262, 284
# What Pillow raises for files that are damaged.
ROTTEN = (
    *(OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RuntimeError),
    *(EOFError, struct.error, Image.DecompressionBombError),
)
REMEDY = "write it as PNG, JPEG or TIFF with 8 bits for each of red, green and blue"


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """What the first bytes of an image say: its format, its sides in pixels before it is turned as its EXIF says, and
    the bytes of its file; of a slice also how it lies and whose it is, where its file says that."""

    format: str
    width: int
    height: int
    nbytes: int
    directions: Directions = ()
    patient: str = ""


@contextmanager
def quiet() -> Iterator[None]:
    """Without the warnings of Pillow: of damaged tags that are not used, and of sizes that are within the limit here.
    It changes what all threads of the process show, so it goes around them."""
    with warnings.catch_warnings():
        for kind in (UserWarning, Image.DecompressionBombWarning):
            warnings.simplefilter("ignore", kind)
        yield


def image_header(path: Path, modes: Sequence[str] = MODES) -> ImageHeader:
    """Read the header of an image. Raises SlideError as :func:`decoded_image` does, and ``missing-file``,
    ``no-permission``; what only its pixels tell is not known yet. ``modes``: Pillow's names of pixels that are read."""
    with image_errors(path), open_plain(path, MOST_IMAGE_BYTES) as file, opened_image(file, modes) as image:
        return ImageHeader(str(image.format), *image.size, path.stat().st_size)


def read_pixels(path: Path) -> UInt8Array:
    """The pixels of an image as :func:`decoded_image` has them. Raises as that, ``missing-file``, ``no-permission``."""
    with image_errors(path):
        return decoded_image(read_plain(path, MOST_IMAGE_BYTES))


def decoded_image(data: bytes) -> UInt8Array:
    """uint8 (height, width, 4), turned as its EXIF says: red, green, blue, and a byte that means nothing. Gray is three
    times the same, of 16 bits the upper 8 count, what is transparent stands on white.

    Raises:
        SlideError: ``not-an-image``, ``unreadable`` (its pixels do not decode), ``image-too-large`` (more than 100
            million pixels), ``not-supported`` (CMYK, floating point), ``several-images``.
    """
    with opened_image(io.BytesIO(data)) as image:
        if image.format == "JPEG" and data.count(START_OF_SCAN) > MOST_SCANS:
            raise SlideError("unreadable", f"a JPEG of more than {MOST_SCANS} scans", remedy=REMEDY)
        try:
            pixels = _jpeg_as_it_lies(data, image)
            if pixels is not None:
                return pixels
            ImageOps.exif_transpose(image, in_place=True)
            return _pixels(image, TiffTags.of(image))
        except ROTTEN as error:
            problem = f"its pixels do not decode: {error}"
            raise SlideError("unreadable", problem, remedy="fetch the file again, or leave it out") from None


def _jpeg_as_it_lies(data: bytes, image: Image.Image) -> UInt8Array | None:
    """The same pixels without Pillow's copies of them; None where it is no JPEG in colour that is sound and is shown as
    it lies in the file."""
    if image.format != "JPEG" or image.mode != "RGB" or image.getexif().get(ExifTags.Base.Orientation, 1) != 1:
        return None
    pixels = np.empty((image.height, image.width, 4), dtype=np.uint8)
    try:
        return np.asarray(decode_jpeg(data, "RGBX", *ACCURATE, pixels))
    except ValueError:  # Pillow says what is wrong, or passes over it
        return None


@dataclass(frozen=True, slots=True)
class TiffTags:
    """What Pillow leaves to its caller of gray with more than 8 bits; of other formats, what they always have."""

    bits: int = 16
    is_white_zero: bool = False
    is_planar: bool = False

    @classmethod
    def of(cls, image: Image.Image) -> TiffTags:
        tags = getattr(image, "tag_v2", {})
        bits = max(tags.get(BITS, (16,)))
        return cls(bits, tags.get(PHOTOMETRIC) == 0, tags.get(PLANAR) == 2)


def _pixels(image: Image.Image, tags: TiffTags) -> UInt8Array:
    width, height = image.size
    if image.mode in DEEP_GRAYS:
        gray = (np.asarray(image).astype(np.uint16) >> (tags.bits - 8)).astype(np.uint8)
        return np.repeat((255 - gray if tags.is_white_zero else gray)[..., None], 4, axis=2)
    clear = image.has_transparency_data
    wanted = "RGBA" if clear else "RGB"
    raw = (image if image.mode == wanted else image.convert(wanted)).tobytes("raw", "RGBA" if clear else "RGBX")
    pixels = np.frombuffer(bytearray(raw), dtype=np.uint8).reshape(height, width, 4)
    if clear:
        composite_on_white(pixels)
    return pixels


@contextmanager
def opened_image(file: IO[bytes], modes: Sequence[str] = MODES) -> Iterator[Image.Image]:
    """An image whose header is sound and whose pixels are of one of these modes, not decoded yet. Raises SlideError."""
    try:
        image = Image.open(file, formats=FORMATS)
    except Image.DecompressionBombError:
        raise _too_large(f"far more than the {MOST_IMAGE_PX:,} pixels that are read at once") from None
    except ROTTEN:
        raise SlideError("not-an-image", "no PNG, JPEG or TIFF image", remedy=REMEDY) from None
    with image:
        try:
            _require_fit(image, modes)
        except ROTTEN as error:
            raise SlideError("not-an-image", f"its header cannot be read: {error}", remedy=REMEDY) from None
        yield image


def _require_fit(image: Image.Image, modes: Sequence[str]) -> None:
    width, height = image.size
    if width * height > MOST_IMAGE_PX:
        raise _too_large(f"{width:,} x {height:,} pixels, at most {MOST_IMAGE_PX:,} are read at once")
    if image.mode not in modes:
        raise SlideError(
            "not-supported", f"neither gray nor red, green and blue (Pillow's mode {image.mode})", remedy=REMEDY
        )
    tags = TiffTags.of(image)
    if image.mode in COLOURS and tags.bits > 8 and tags.is_planar:
        problem = "16 bits, red, green and blue in planes of their own"
        raise SlideError("not-supported", problem, remedy=REMEDY)
    if image.format == "TIFF" and _has_another(image):
        raise SlideError("several-images", "several images of one size in the file", remedy="write each to a file")


def _too_large(problem: str) -> SlideError:
    return SlideError("image-too-large", problem, remedy="cut it into parts, or take it as a slide (--slides)")


def _has_another(image: Image.Image) -> bool:
    """Whether the second page of a TIFF is as large as its first, so that nothing says which is meant."""
    first = image.size
    try:
        image.seek(1)
    except EOFError:
        return False
    second = image.size
    image.seek(0)
    return first == second


@contextmanager
def image_errors(path: Path) -> Iterator[None]:
    """Errors of the file system as SlideErrors, and the path before what is wrong with the image."""
    try:
        with slide_errors(path):
            yield
    except SlideError as error:
        told = error.problem if str(path) in error.problem else f"{path}: {error.problem}"
        remedy = error.remedy.replace("slides.csv", "images.csv")
        reason = "not-an-image" if error.reason == "not-a-slide" else error.reason  # a folder, a pipe
        raise SlideError(reason, told, remedy=remedy) from None


def read_image(path: Path) -> UInt8Array:
    """uint8 (height, width, 3) of an image in colour, as :func:`decoded_image` has it. Raises InputError for what is no
    such image, has more than 100 million pixels, is gray, or has more than 8 bits a channel."""
    try:
        data = read_plain(path, MOST_IMAGE_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{path} does not exist", remedy="check the path") from None
    try:
        with quiet():
            with opened_image(io.BytesIO(data)) as image:
                _require_colours(path, image.mode)
            return np.ascontiguousarray(decoded_image(data)[..., :3])
    except SlideError as error:
        raise InputError(f"{path} is no image that can be read: {error.problem}", remedy=error.remedy) from error


def _require_colours(path: Path, mode: str) -> None:
    if mode not in COLOURS:
        raise InputError(
            f"{path} has no 8 bits for each of red, green and blue (Pillow's mode {mode})",
            remedy="write it in colour, with 8 bits a channel",
        )
