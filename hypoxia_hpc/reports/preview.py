"""A page on which other settings of [tile] decide again, in the browser, which tiles of a slide are kept."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from hypoxia_hpc.records import AnyArray, Float32Array, Json, UInt8Array
from hypoxia_hpc.reports import text
from hypoxia_hpc.reports.rendering import code, digest, environment
from hypoxia_hpc.tiling.redeciding import CoarseCounts, ExactCounts, TileSettings, redecided

PICTURE_PX, JPEG_QUALITY = 900, 80
# Gray levels that can be chosen: background of real slides begins between 200 and 240.
FIRST_WHITE, LAST_WHITE, WHITE_STEP = 160, 250, 5
# A page of 2 MB has room for this many tiles, and for this many bytes of their counts of light pixels.
MOST_TILES, MOST_LIGHT_BYTES = 60_000, 600_000
STEPS = (WHITE_STEP, 2 * WHITE_STEP, 3 * WHITE_STEP, 6 * WHITE_STEP)
THOUSANDTHS = (np.arange(1001) / 1000).astype(np.float32)


@dataclass(frozen=True, eq=False)
class PreviewedSlide:
    """``picture``: the whole slide as JPEG. ``counted_um``: side of the pixels that were counted. ``exact``: what the
    run's tile store says, None without one."""

    name: str
    picture: bytes
    counts: CoarseCounts
    counted_um: float
    exact: ExactCounts | None = None


@dataclass(frozen=True, eq=False)
class Preview:
    """What the page shows: ``settings`` to begin with, the method of the ``mask`` of tissue, slides, and those that
    could not be shown, with the reason. ``of_run``: a change of [tile] makes its tiles again."""

    title: str
    settings: TileSettings
    mask: str
    mpp: float
    slides: tuple[PreviewedSlide, ...]
    left_out: tuple[tuple[str, str], ...]
    of_run: bool


def whites_of(white: int) -> tuple[int, ...]:
    """The gray levels that are counted: every fifth, and ``white`` itself."""
    return tuple(sorted({*range(FIRST_WHITE, LAST_WHITE + 1, WHITE_STEP), white}))


def picture_of(image: UInt8Array) -> bytes:
    """JPEG of an image uint8 (h, w, 3), its longer side at most PICTURE_PX."""
    from PIL import Image

    picture = Image.fromarray(image)
    picture.thumbnail((PICTURE_PX, PICTURE_PX))
    encoded = io.BytesIO()
    picture.save(encoded, "JPEG", quality=JPEG_QUALITY)
    return encoded.getvalue()


def preview_page(preview: Preview) -> str:
    """The page, below 2 MB, as HTML that needs nothing beside it and asks for nothing from elsewhere."""
    whites = _shown_whites(preview)
    css, script = code("page.css") + code("preview.css"), code("preview.js")
    data = {
        "own": _settings_json(preview.settings),
        "mask": preview.mask,
        "whites": whites,
        "slides": [_slide_json(one, whites) for one in preview.slides],
    }
    return (
        environment()
        .get_template("preview.html")
        .render(
            preview=preview,
            pictures=[base64.b64encode(one.picture).decode() for one in preview.slides],
            agreements=[agreement(one) for one in preview.slides],
            # "<" would end the element that holds it.
            data=json.dumps(data, separators=(",", ":")).replace("<", "\\u003c"),
            css=css,
            script=script,
            css_hash=digest(css),
            script_hash=digest(script),
        )
    )


def agreement(slide: PreviewedSlide) -> str:
    """How many tiles the estimate alone decides as tiling did, as a sentence; "" without a tile store."""
    if slide.exact is None:
        return ""
    made_with = slide.exact.made_with
    estimated, _ = redecided(slide.counts, made_with)
    decided, _ = redecided(slide.counts, made_with, slide.exact)
    same, n = int((estimated == decided).sum()), len(decided)
    return (
        f"From its counts alone, {same:,} of {n:,} tiles ({same / n:.1%}) come out as tile decided them with the "
        "settings of this run."
    )


def _shown_whites(preview: Preview) -> list[int]:
    """As many gray levels as there is room for, the one of the settings among them."""
    n, own = sum(len(one.counts.numbers) for one in preview.slides), preview.settings.white
    for step in STEPS:
        shown = [white for white in whites_of(own) if white == own or (white - FIRST_WHITE) % step == 0]
        if 2 * n * len(shown) <= MOST_LIGHT_BYTES:
            break
    return shown


def _settings_json(settings: TileSettings) -> Json:
    """Shares in thousandths."""
    return {
        "white": settings.white,
        "maxBackground": _thousandths(settings.max_background),
        "withTissue": settings.with_tissue,
        "minTissue": _thousandths(settings.min_tissue),
    }


def _thousandths(share: float) -> float:
    found = Fraction(str(share)) * 1000
    return int(found) if found.denominator == 1 else float(found)


def _slide_json(slide: PreviewedSlide, whites: Sequence[int]) -> Json:
    counts, exact = slide.counts, slide.exact
    columns = [counts.whites.index(white) for white in whites]
    n = (len(counts.columns_px) - 1) * (len(counts.rows_px) - 1)
    return {
        "name": text.one_line(slide.name),
        "size": list(counts.size_px),
        "columns": counts.columns_px.tolist(),
        "rows": counts.rows_px.tolist(),
        "numbers": None if len(counts.numbers) == n else _packed(counts.numbers, np.uint32),
        # By gray level, then by tile.
        "light": _packed(counts.light_px[:, columns].T, np.uint16 if counts.light_px.max() < 2**16 else np.uint32),
        "tissue": _packed(_tissue_thousandths(counts.tissue), np.uint16),
        "exact": None
        if exact is None
        else {
            "white": exact.made_with.white,
            "maxBackground": _thousandths(exact.made_with.max_background),
            "tilePx": exact.tile_px,
            "px": _packed(exact.background_px, np.int32),
        },
    }


def _tissue_thousandths(shares: Float32Array) -> AnyArray:
    """The largest number of thousandths that each share reaches, as the tiling rule compares them, in float32."""
    return np.searchsorted(THOUSANDTHS, shares, side="right") - 1


def _packed(values: AnyArray, dtype: type[Any]) -> Json:
    kind = np.dtype(dtype).newbyteorder("<")
    return {"kind": kind.name, "base64": base64.b64encode(values.astype(kind).tobytes()).decode()}
