"""JPEG 2000 codestreams whose image area does not begin at the corner of the reference grid (ISO 15444-1, B.2)."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiff_cases import Case
from tiff_factory import encode, write_case

from hypoxia_hpc.slides.decoders import codec_of, codestream_refusal, is_safe_codestream
from hypoxia_hpc.slides.tiff import read_tiled_pages

CASE = Case("origin", codec="jp2k-rgb", reversible=True)
# Precincts and code blocks are counted from the corner of the grid: an origin that is a multiple of this parts none.
FAR = 1 << 20
SIDE = 256


def tile() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)


def moved(stream: bytes, far: int, image: int, tiles: int) -> bytes:
    """Xsiz, Ysiz moved by ``far``; the origins of the image and of the codestream's tiles."""
    numbers = list(struct.unpack(">8I", stream[8:40]))
    numbers = [numbers[0] + far, numbers[1] + far, image, image, *numbers[4:6], tiles, tiles]
    return stream[:8] + struct.pack(">8I", *numbers) + stream[40:]


def test_an_image_that_begins_elsewhere_is_decoded_natively_and_kept_from_openslide(tmp_path: Path) -> None:
    stream = encode(CASE, tile())
    far = moved(stream, FAR, FAR, FAR)
    assert codestream_refusal(stream, SIDE, SIDE) == codestream_refusal(far, SIDE, SIDE) == ""
    assert is_safe_codestream(stream, SIDE, SIDE)
    assert not any(is_safe_codestream(moved(stream, *of), SIDE, SIDE) for of in ((FAR, FAR, 0), (0, 0, FAR)))
    page = replace(read_tiled_pages(write_case(CASE, tmp_path))[0], tile_width=SIDE, tile_height=SIDE)
    codec, out = codec_of(page), np.zeros((SIDE, SIDE, 4), dtype=np.uint8)
    for data in (stream, far):
        codec.decode(codec.prepare(data, 0, len(data)), out)
        np.testing.assert_array_equal(out[..., :3], tile())
        out[:] = 0


@pytest.mark.parametrize("origin", [1, 16, 255])
def test_an_image_that_is_smaller_than_the_native_tile_by_its_origin_is_refused(origin: int) -> None:
    small = moved(encode(CASE, tile()), 0, origin, origin)
    side = SIDE - origin
    assert codestream_refusal(small, SIDE, SIDE) == (
        f"a JPEG 2000 codestream of {side} x {side} px for a native tile of {SIDE} x {SIDE}"
    )
    assert not is_safe_codestream(small, SIDE, SIDE)
