"""The mean colour of a slide's tiles, and whether it can be that of haematoxylin and eosin in bright field."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from hypoxia_hpc.records import Int64Array, UInt8Array

MOST_TILES = 64

# Mean colours of 99 real H&E images (150 to 600 px; tumour, stroma, lymphocytes, debris, mucosa, fat, empty glass; two
# collections and three reference images): luminance 43 (packed lymphocytes) to 243; green at most 0.9 above the mean of
# red and blue, and at least 11 below it where the luminance is under 220; blue at most 21 above red.
DARKEST = 35.0
MOST_GREEN = 6.0
LEAST_COLOUR, AS_LIGHT_AS_GLASS = 3.0, 220.0
MOST_BLUE = 50.0


class SlideColour(NamedTuple):
    """Of a slide: mean red, green and blue of its tiles, 0..255, NaN where no pixel could be read; and ``background``,
    the mean share of background pixels of its kept tiles, 0..1."""

    red: float
    green: float
    blue: float
    background: float


def evenly_spaced(n: int, most: int = MOST_TILES) -> Int64Array:
    """At most ``most`` of the places 0..n-1, rising, each the middle of an equal share of them."""
    k = min(n, most)
    return (np.arange(k, dtype=np.int64) * 2 + 1) * n // (2 * k) if k else np.zeros(0, dtype=np.int64)


def mean_colour(tiles: Iterable[UInt8Array]) -> tuple[float, float, float]:
    """Mean red, green, blue over all pixels of tiles uint8 (k, height, width, 3); NaN without any."""
    sums, n = np.zeros(3, dtype=np.int64), 0
    for pixels in tiles:
        # Whole lines first: three columns at a time would take 20 times as long.
        lines = pixels.reshape(-1, pixels.shape[-2] * 3).sum(axis=0, dtype=np.uint32)
        sums += lines.reshape(-1, 3).sum(axis=0, dtype=np.int64)
        n += pixels.size // 3
    red, green, blue = (sums / n).tolist() if n else (np.nan, np.nan, np.nan)
    return red, green, blue


def no_h_and_e(colour: SlideColour) -> str:
    """Why a slide of this mean colour is not stained with haematoxylin and eosin, or not seen in bright field, in a few
    words with the values; empty where it may be, and where its colour is not known."""
    red, green, blue = colour[:3]
    light = 0.299 * red + 0.587 * green + 0.114 * blue
    purple = (red + blue) / 2 - green
    rgb = f"mean red {red:.0f}, green {green:.0f}, blue {blue:.0f}"
    if light < DARKEST:
        return f"dark, as fluorescence is ({rgb}; the mean luminance is below {DARKEST:g})"
    if purple < -MOST_GREEN:
        return f"green ({rgb}; green is more than {MOST_GREEN:g} above the mean of the others)"
    if blue - red > MOST_BLUE:
        return f"blue ({rgb}; blue is more than {MOST_BLUE:g} above red)"
    if purple < LEAST_COLOUR and light < AS_LIGHT_AS_GLASS:
        return f"without colour ({rgb}; green is not {LEAST_COLOUR:g} below the mean of the others)"
    return ""
