"""What lies where on a coarse image of a slide: tissue, folds, pens, black borders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from hypoxia_hpc.records import AnyArray, Float32Array, UInt8Array
from hypoxia_hpc.tiling.stain.density import density_table
from hypoxia_hpc.tiling.stain.stains import RUIFROK
from hypoxia_hpc.tiling.tissue import SPECK_UM2, Mask, Seen, look, tissue_of, without_specks

# Folds are dark and saturated: saturation minus brightness is high there (Kothari et al. 2013, J Pathol Inform 4:22).
# How high depends on the stain, so it is taken against the median of the slide's tissue, in 255ths. Lymphocytes and
# blood are dark and saturated, too: the former without more eosin, the latter without more that absorbs red. A fold has
# twice as much of both: FOLD_TIMES the median, and FOLD_MORE above it, at least.
FOLD_ABOVE, FOLD_TIMES, FOLD_MORE, FOLD_MEAN_UM = 40, 1.5, 0.05, 40.0
FEWEST_GLASS = 0.001
USUAL_GLASS = (240.0, 240.0, 240.0)
MOST_OF_MEDIAN = 100_000
# Labels of the pixels.
GLASS, TISSUE, FOLD, GREEN_PEN, BLUE_PEN, RED_PEN, BLACK_PEN, BORDER, PADDING = range(9)
PENS = {"green": GREEN_PEN, "blue": BLUE_PEN, "red": RED_PEN, "black": BLACK_PEN}


@dataclass(frozen=True, eq=False)
class Marked:
    """``labels`` uint8 (h, w): GLASS, TISSUE, FOLD (in tissue), a pen, BORDER or PADDING. ``saturation`` uint8 (h, w)
    in 255ths, ``dyes`` float32 (n, 2): haematoxylin and eosin (optical density, natural logarithm) of the n pixels of
    tissue, row by row."""

    labels: UInt8Array
    saturation: UInt8Array
    dyes: Float32Array

    @property
    def tissue(self) -> Mask:
        """Tissue, folds too."""
        tissue: Mask = (self.labels == TISSUE) | (self.labels == FOLD)
        return tissue


def find_marks(rgb: UInt8Array, um_per_px: float) -> Marked:
    """Label each pixel of uint8 (h, w, 3), at 4 to 16 µm per pixel.

    Ink is what the mask of tissue leaves out as ink: by hue and saturation. Black that reaches the edge of the image is
    a border, other black a black pen. A part smaller than 0.1 mm x 0.1 mm is neither.
    """
    seen = look(rgb, um_per_px)
    tissue = tissue_of(seen, "otsu", um_per_px)
    labels = np.full(rgb.shape[:2], GLASS, dtype=np.uint8)
    labels[seen.padding] = PADDING
    labels[seen.black] = BLACK_PEN
    labels[_at_edge(seen.black)] = BORDER
    _label_pens(seen, labels)
    labels[tissue] = TISSUE
    densities = _densities(seen, tissue)
    dyes: Float32Array = np.maximum(densities @ np.linalg.pinv(RUIFROK).T.astype(np.float32), 0)
    labels[_folds(seen, tissue, (densities[:, 0], dyes[:, 1]), um_per_px)] = FOLD
    return Marked(labels, seen.saturation, dyes)


def _at_edge(black: Mask) -> Mask:
    """The parts that reach the edge of the image."""
    parts, n_parts = ndimage.label(black)
    reaches = np.zeros(n_parts + 1, dtype=bool)
    for edge in (parts[0], parts[-1], parts[:, 0], parts[:, -1]):
        reaches[edge] = True
    reaches[0] = False
    found: Mask = reaches[parts]
    return found


def _label_pens(seen: Seen, labels: UInt8Array) -> None:
    """Each part of the ink is of one pen, by the strongest colour of most of its pixels: its rim is mixed with what is
    below."""
    parts, n_parts = ndimage.label(seen.ink)
    inside = parts[seen.ink]
    counts = np.bincount(inside * 3 + seen.smooth[seen.ink].argmax(axis=1), minlength=3 * (n_parts + 1))
    pen_of = np.array([RED_PEN, GREEN_PEN, BLUE_PEN], dtype=np.uint8)[counts.reshape(-1, 3).argmax(axis=1)]
    labels[seen.ink] = pen_of[inside]


def _densities(seen: Seen, tissue: Mask) -> Float32Array:
    """Optical density of the tissue in red, green and blue, float32 (n, 3)."""
    bare = seen.smooth[~tissue & ~seen.foreign]
    has_glass = len(bare) > FEWEST_GLASS * tissue.size
    light = [typical(bare[:, channel]) for channel in range(3)] if has_glass else USUAL_GLASS
    table, pixels = density_table(np.array(light)).astype(np.float32), seen.smooth[tissue]
    densities: Float32Array = np.stack([table[:, one][pixels[:, one]] for one in range(3)], axis=1)
    return densities


def _folds(seen: Seen, tissue: Mask, stain: Sequence[Float32Array], um_per_px: float) -> Mask:
    """``stain`` float32 (n,) each: what has to be more where tissue lies twice, as `FOLD_TIMES` says."""
    if not tissue.any():
        return tissue
    darkness = seen.saturation[tissue].astype(np.float32) - seen.smooth.max(axis=2)[tissue]
    side_px = round(FOLD_MEAN_UM / um_per_px)
    share = ndimage.uniform_filter(tissue.astype(np.float32), side_px, mode="constant")[tissue]
    is_fold = _means(darkness, share, tissue, side_px) >= typical(darkness) + FOLD_ABOVE
    for one in stain:
        usual, around = typical(one), _means(one, share, tissue, side_px)
        is_fold &= (around >= FOLD_TIMES * usual) & (around >= usual + FOLD_MORE)
    found = np.zeros_like(tissue)
    found[tissue] = is_fold
    found = without_specks(found, SPECK_UM2 / um_per_px**2)
    if found.any() and side_px > 1:  # at its border the means have taken in what lies beside it
        found = ndimage.binary_dilation(found, iterations=side_px // 2, mask=tissue)
    return found


def _means(values: Float32Array, share: Float32Array, tissue: Mask, side_px: int) -> Float32Array:
    """Of each pixel of the tissue the mean over the tissue in a square around it, of which that is the ``share``,
    float32 (n,) of (n,): between nuclei a fold is paler."""
    plane = np.zeros(tissue.shape, dtype=np.float32)
    plane[tissue] = values
    means: Float32Array = ndimage.uniform_filter(plane, side_px, mode="constant")[tissue] / share
    return means


def typical(values: AnyArray) -> float:
    """The median of one value or more, (n,); of very many of every k-th, which are MOST_OF_MEDIAN at least."""
    return float(np.median(values[:: max(1, len(values) // MOST_OF_MEDIAN)]))
