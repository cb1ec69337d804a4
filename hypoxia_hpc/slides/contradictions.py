"""Headers of TIFF pages whose numbers contradict each other. Pure.

Which of the numbers is wrong nothing says: native tiles would be shown at wrong places, and look like a sound slide.
"""

from __future__ import annotations

import numpy as np

from hypoxia_hpc.errors import some
from hypoxia_hpc.slides.tiff import TiffPage

WRITE_ANEW = "fetch the file again; if it is the same again, write it anew from the original, or leave it out"
PLANES, UNPACKED = 2, 1  # of the tags of the planes and of the compression


def contradiction(page: TiffPage, unit: str = "native tile") -> str:
    """Where the size of a page, that of its native tiles and its lists of them contradict each other: what does; else
    empty. ``unit``: what the page calls its native tiles, in the singular."""
    size = f"{page.width:,} x {page.height:,} px in {unit}s of {page.tile_width:,} x {page.tile_height:,} px"
    if min(page.tile_width, page.tile_height) < 1:
        return size
    planes = page.samples if page.planar == PLANES else 1
    n_due, offsets, counts = page.columns * page.rows * planes, len(page.offsets), len(page.counts)
    if offsets != counts:
        return f"{size}, and a list of {some(offsets, 'offset')} with one of {some(counts, 'byte count')}"
    if counts != n_due:
        in_planes = f", in {planes} planes" if planes > 1 else ""
        return f"{size}{in_planes}: that makes {some(n_due, unit)}, and the file lists {counts:,}"
    return _raw_contradiction(page, unit)


def _raw_contradiction(page: TiffPage, unit: str) -> str:
    """Whether native tiles that are not compressed are larger than their size says, most of them by a row or more."""
    present = page.counts[page.counts > 0]
    if page.compression != UNPACKED or not len(present) or not page.bits:
        return ""
    of_pixel = sum(page.bits) if len(page.bits) == page.samples else page.bits[0] * page.samples
    row = -(-page.tile_width * (page.bits[0] if page.planar == PLANES else of_pixel) // 8)
    due, listed = page.tile_height * row, int(np.sort(present)[len(present) // 2])
    if listed < due + row:
        return ""
    size = f"{page.tile_width:,} x {page.tile_height:,} px"
    return f"{unit}s of {size}, not compressed: that makes {due:,} bytes for each, and the file lists {listed:,}"
