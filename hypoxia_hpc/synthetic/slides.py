"""Synthetic slides with a known, tunable difference between hypoxic and other tumours, for the demo and for tests.

The difference is one of texture alone. Nuclei lie on a jittered lattice; in hypoxic slides lattice *and* nuclei are
larger by the factor exp(difference). Magnifying a random pattern does not change the distribution of single pixels, so
mean colour and background fraction carry no signal. Differences by chance are removed: the tissue is shifted to a mean
colour that is drawn for each patient, from the same distribution in both classes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from hypoxia_hpc.records import Float32Array, Float64Array, Int64Array, UInt8Array
from hypoxia_hpc.synthetic.fields import (
    BACKGROUND_GRAY,
    EOSIN,
    HAEMATOXYLIN,
    RADIUS_PER_SPACING,
    SENSOR_SD,
    background,
    clouds,
    fibres,
    nuclei,
    to_uint8,
)
from hypoxia_hpc.synthetic.svs import write_svs

AnyFloats = NDArray[np.floating[Any]]

# Test AUC of patients (randomly initialised InceptionV3, logistic regression, 24 patients to train on, 24 to test on,
# seeds 1 to 5): 0.99 to 1.00 at 0.35 (lowest bound 0.96), 0.95 to 1.00 at 0.25 (lowest bound 0.83), chance at 0.
DEFAULT_DIFFERENCE = 0.3

SPACING_PX = 20.0  # mean distance of nuclei at 0.5 µm/px: 10 µm
SPACING_SD = 0.05  # natural logarithm of a patient's own spacing, standard deviation
TISSUE_SHARE = 0.41  # of the slide's area
TISSUE_RGB = np.array([196.0, 140.0, 176.0])
STAIN_SD = 7.0  # gray levels between patients, each channel
GAP_PX = 30  # size of the holes in the tissue


@dataclass(frozen=True, slots=True)
class SyntheticSlide:
    """What a synthetic slide is made from. ``difference`` is the natural logarithm of the ratio of nuclear spacing
    (hypoxic / other; 0: none), ``size_px`` (width, height), ``mpp`` µm per pixel as written into the header."""

    seed: int
    difference: float
    hypoxic: bool
    size_px: tuple[int, int] = (1860, 1840)
    mpp: float = 0.5


def synthetic_cohort(
    n_patients: int = 60, difference: float = DEFAULT_DIFFERENCE, seed: int = 0
) -> list[tuple[str, bool, SyntheticSlide]]:
    """(patient_id, hypoxic, slide) for each patient; half of them hypoxic, in random order, ids TCGA-ZZ-0001 and on."""
    hypoxic = np.arange(n_patients) % 2 == 1
    rng = np.random.default_rng([seed, n_patients])
    rng.shuffle(hypoxic)
    seeds = rng.integers(2**63, size=n_patients)
    return [
        (f"TCGA-ZZ-{number:04d}", bool(label), SyntheticSlide(int(own), difference, bool(label)))
        for number, (label, own) in enumerate(zip(hypoxic, seeds, strict=True), start=1)
    ]


def slide_file_name(patient_id: str) -> str:
    """The file name of a patient's diagnostic slide, in GDC's form."""
    return f"{patient_id}-01Z-00-DX1.svs"


def write_synthetic_slide(path: Path, slide: SyntheticSlide) -> None:
    """Write the slide as a pyramidal Aperio-style SVS file. The bytes depend on ``slide`` alone. Raises OSError."""
    write_svs(path, render_slide(slide), slide.mpp)


def render_slide(slide: SyntheticSlide) -> UInt8Array:
    """Level 0 of the slide: uint8 RGB (height, width, 3)."""
    rng = np.random.default_rng(slide.seed)
    width, height = slide.size_px
    tissue = _tissue_mask(rng, height, width)
    rows, columns = np.flatnonzero(tissue.any(1)), np.flatnonzero(tissue.any(0))
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    pixels = background(rng, height, width)
    pixels[box] = np.where(tissue[box][..., None], _tissue(rng, slide, tissue[box]), pixels[box])
    return pixels


def _tissue_mask(rng: np.random.Generator, height: int, width: int) -> NDArray[np.bool_]:
    """One blob of always the same share of the slide, with a wavy outline of its own; bool (h, w)."""
    orders = np.arange(2, 8)
    waves = rng.normal(scale=0.16 / orders, size=len(orders))
    phases = rng.uniform(0, 2 * np.pi, len(orders))
    radius = np.sqrt(TISSUE_SHARE * height * width / np.pi / (1 + (waves**2).sum() / 2))
    x0, y0 = (side / 2 + rng.uniform(-0.02, 0.02) * side for side in (width, height))
    y, x = np.ogrid[:height, :width]
    outline = _outline(np.arange(4096) * (2 * np.pi / 4096), waves, orders, phases) * radius
    # In float64: the float32 form of AVX-512 rounds otherwise, and one slide of twelve had another pixel.
    angle = np.arctan2(y - y0, x - x0)
    index = (angle * (4096 / (2 * np.pi))).astype(np.int16) % 4096
    inside: NDArray[np.bool_] = (x - x0) ** 2 + (y - y0) ** 2 < outline.astype(np.float32)[index] ** 2
    return inside


def _outline(angle: AnyFloats, waves: AnyFloats, orders: Int64Array, phases: AnyFloats) -> AnyFloats:
    radius: AnyFloats = 1 + (waves * np.cos(angle[:, None] * orders + phases)).sum(1)
    return radius


def _tissue(rng: np.random.Generator, slide: SyntheticSlide, mask: NDArray[np.bool_]) -> UInt8Array:
    """Uint8 RGB (h, w, 3) whose mean over ``mask`` is the patient's own colour."""
    shape = mask.shape
    colour = TISSUE_RGB + rng.normal(scale=STAIN_SD, size=3)
    filled = 1 - np.clip((clouds(rng, shape, GAP_PX) - 1.7) * 4, 0, 1)
    density = _density(rng, shape, _spacing(rng, slide)) * filled[..., None]
    light = gaussian_filter(BACKGROUND_GRAY * np.exp(-density), (0.6, 0.6, 0), truncate=3)
    light += SENSOR_SD * rng.standard_normal((*shape, 1), dtype=np.float32)
    light += _shift(light, colour, filled, mask)
    return to_uint8(light)


def _spacing(rng: np.random.Generator, slide: SyntheticSlide) -> float:
    """The patient's own distance of nuclei in pixels: the only place where the class enters."""
    shift = slide.difference / 2 if slide.hypoxic else -slide.difference / 2
    return SPACING_PX * math.exp(rng.normal(scale=SPACING_SD) + shift)


def _density(rng: np.random.Generator, shape: tuple[int, ...], spacing: float) -> Float32Array:
    """Optical density of both stains, float32 (h, w, 3): nuclei in fibres."""
    chromatin = 1 + gaussian_filter(rng.standard_normal(shape, dtype=np.float32), 1.2)
    haematoxylin = 0.12 + 0.9 * chromatin * nuclei(rng, shape, spacing, RADIUS_PER_SPACING)
    eosin = np.maximum(0.42 + 0.12 * fibres(rng, shape) + 0.06 * clouds(rng, shape, 60), 0.05)
    density: Float32Array = haematoxylin[..., None] * HAEMATOXYLIN + eosin[..., None] * EOSIN
    return density


def _shift(light: Float32Array, colour: Float64Array, weight: Float32Array, mask: NDArray[np.bool_]) -> Float32Array:
    """What to add so that the mean over ``mask`` is ``colour``, spread by ``weight`` (none of it into the gaps)."""
    missing = (colour - light[mask].mean(0)) / weight[mask].mean()
    shift: Float32Array = weight[..., None] * missing.astype(np.float32)
    return shift
