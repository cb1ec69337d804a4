"""A small picture of a slide on which folds, pens, borders and blurred squares are marked. Pure."""

from __future__ import annotations

import io

import numpy as np

from hypoxia_hpc.records import Float64Array, UInt8Array
from hypoxia_hpc.tiling.quality.blur import LEAST_SHARPNESS
from hypoxia_hpc.tiling.quality.marks import BORDER, FOLD, PENS, Marked

MAP_PX, COLOURS = 480, 128
# Of what is marked; the report's legend has the same. None of them is a colour of H&E.
FOLD_COLOUR, PEN_COLOUR, BORDER_COLOUR, BLUR_COLOUR = (255, 200, 0), (0, 200, 90), (0, 190, 220), (0, 60, 255)
# How much of the mark is mixed in, so that what is below can be judged.
MARK_SHARE = 0.65


def quality_png(
    image: UInt8Array, marked: Marked, xy_px: Float64Array, side_px: float, sharpness: Float64Array
) -> bytes:
    """PNG with a palette, the longer side at most MAP_PX. ``image`` uint8 (h, w, 3) as ``marked`` labels it; squares
    at ``xy_px`` float64 (n, 2), ``side_px`` wide, in its pixels, are framed where their ``sharpness`` is too low."""
    from PIL import Image, ImageDraw

    painted = image.astype(np.float32)
    for labels, colour in (((FOLD,), FOLD_COLOUR), (tuple(PENS.values()), PEN_COLOUR), ((BORDER,), BORDER_COLOUR)):
        where = np.isin(marked.labels, labels)
        painted[where] = (1 - MARK_SHARE) * painted[where] + MARK_SHARE * np.array(colour, dtype=np.float32)
    picture = Image.fromarray(np.rint(painted).astype(np.uint8))
    picture.thumbnail((MAP_PX, MAP_PX))
    scale, draw = picture.width / image.shape[1], ImageDraw.Draw(picture)
    for x, y in (xy_px[sharpness < LEAST_SHARPNESS] * scale).tolist():
        draw.rectangle((x, y, x + side_px * scale, y + side_px * scale), outline=BLUR_COLOUR, width=2)
    written = io.BytesIO()
    picture.quantize(COLOURS).save(written, "PNG")
    return written.getvalue()
