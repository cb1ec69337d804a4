"""Gray slices in files keep all their bits; what is no gray, or no number, is refused with the reason."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from hypoxia_hpc.errors import SlideError
from hypoxia_hpc.slides.gray_images import decoded_gray

RAMP = np.arange(12).reshape(3, 4)


def png(pixels: NDArray[Any], kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def tiff(pixels: NDArray[Any], **options: Any) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, **options)
    return file.getvalue()


WHOLE = {
    "8 bit": (png((RAMP * 20).astype(np.uint8)), RAMP * 20),
    "16 bit": (png((RAMP * 5_000).astype(np.uint16)), RAMP * 5_000),
    "gray as colour": (png(np.repeat((RAMP * 20).astype(np.uint8)[..., None], 3, axis=2)), RAMP * 20),
    "16 bit in a TIFF": (tiff((RAMP * 5_000).astype(np.uint16)), RAMP * 5_000),
    "16 bit, white is zero": (tiff((RAMP * 5_000).astype(np.uint16), photometric="miniswhite"), 65_535 - RAMP * 5_000),
    "signed": (tiff((RAMP - 5).astype(np.int16)), RAMP - 5),
    "floating point": (tiff((RAMP / 8).astype(np.float32)), RAMP / 8),
}


@pytest.mark.parametrize("name", WHOLE)
def test_all_bits_are_kept(name: str) -> None:
    data, expected = WHOLE[name]
    assert np.array_equal(decoded_gray(data), expected)


REFUSED = {
    "colour": (png((np.arange(36).reshape(3, 4, 3) * 7).astype(np.uint8)), "not-supported"),
    "NaN": (tiff(np.array([[0.5, np.nan], [np.inf, 1.0]], dtype=np.float32)), "not-finite"),
    "unsigned of 32 bits": (tiff(RAMP.astype(np.uint32)), "not-supported"),
    "signed of 8 bits": (tiff(RAMP.astype(np.int8)), "not-supported"),
    "white is zero": (tiff(RAMP.astype(np.float32), photometric="miniswhite"), "not-supported"),
    "cut off": (tiff(np.ones((64, 64), dtype=np.float32))[:4_000], "unreadable"),
    "text": (b"no image", "not-an-image"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_gray_slice_is_refused(name: str) -> None:
    data, reason = REFUSED[name]
    with pytest.raises(SlideError) as caught:
        decoded_gray(data)
    assert caught.value.reason == reason
    assert caught.value.remedy
    if name == "NaN":
        assert "2 of 4 pixels are NaN" in caught.value.problem
