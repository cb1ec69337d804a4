"""Decoded pixels to packed ones, against the arithmetic written out."""

from __future__ import annotations

import naive
import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from hypoxia_hpc.tiling.kernels.colour import pack_rgb, pack_ycbcr

BYTE = st.integers(0, 255)


@given(st.lists(st.tuples(BYTE, BYTE, BYTE), min_size=6, max_size=6))
@example([(0, 0, 0), (0, 255, 255), (255, 0, 255), (255, 255, 0), (128, 128, 128), (255, 255, 255)])
def test_ycbcr_is_the_matrix_of_jfif_rounded_as_for_jpeg_2000(colours: list[tuple[int, int, int]]) -> None:
    pixels, out = np.array(colours, dtype=np.uint8).reshape(2, 3, 3), np.zeros((2, 3, 4), dtype=np.uint8)
    pack_ycbcr(pixels, out)
    assert out[..., :3].reshape(-1, 3).tolist() == [list(naive.jpeg2000_rgb(*colour)) for colour in colours]


def test_rgb_stays_as_it_is() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 4, 3), dtype=np.uint8)
    out = np.zeros((5, 4, 4), dtype=np.uint8)
    pack_rgb(pixels, out)
    np.testing.assert_array_equal(out[..., :3], pixels)
