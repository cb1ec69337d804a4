"""The measures of a slide's quality, as numbers for a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hypoxia_hpc.tiling.quality.blur import LEAST_SHARPNESS
from hypoxia_hpc.tiling.quality.marks import BORDER, FOLD, PADDING, PENS, Marked, typical


@dataclass(frozen=True, slots=True)
class Quality:
    """Shares are 0..1: ``tissue``, ``pen`` and ``border`` of the scanned area, ``folds`` of the tissue, ``blurred`` of
    the ``squares`` of tissue that were looked at. ``tissue_mm2``: area. ``pen_colour``: the most common one, "" without
    a pen. ``sharpness``: the median of the squares. ``saturation`` 0..1, ``haematoxylin`` and ``eosin`` (optical
    density, natural logarithm) are medians of the tissue. ``um_per_px``: of the image that was looked at. None: there
    is no tissue, or no square to look at."""

    tissue: float
    tissue_mm2: float
    blurred: float | None
    sharpness: float | None
    squares: int
    pen: float
    pen_colour: str
    folds: float | None
    border: float
    saturation: float | None
    haematoxylin: float | None
    eosin: float | None
    um_per_px: float


def quality_of(marked: Marked, um_per_px: float, squares: Sequence[float]) -> Quality:
    """From what was found on the coarse image and the sharpness of squares of tissue."""
    counts = np.bincount(marked.labels.ravel(), minlength=PADDING + 1)
    scanned = max(1, marked.labels.size - int(counts[PADDING]))
    tissue = marked.tissue
    n_tissue, of_pens = int(tissue.sum()), {colour: int(counts[label]) for colour, label in PENS.items()}
    n_pen = sum(of_pens.values())
    dyes = (typical(marked.dyes[:, 0]), typical(marked.dyes[:, 1])) if n_tissue else (None, None)
    return Quality(
        tissue=n_tissue / scanned,
        tissue_mm2=n_tissue * um_per_px**2 / 1e6,
        blurred=sum(one < LEAST_SHARPNESS for one in squares) / len(squares) if squares else None,
        sharpness=float(np.median(squares)) if squares else None,
        squares=len(squares),
        pen=n_pen / scanned,
        pen_colour=max(of_pens, key=lambda colour: of_pens[colour]) if n_pen else "",
        folds=int(counts[FOLD]) / n_tissue if n_tissue else None,
        border=int(counts[BORDER]) / scanned,
        saturation=typical(marked.saturation[tissue]) / 255 if n_tissue else None,
        haematoxylin=dyes[0],
        eosin=dyes[1],
        um_per_px=um_per_px,
    )
