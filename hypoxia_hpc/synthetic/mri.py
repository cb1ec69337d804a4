"""Synthetic MRI of brains with a tumour, for the demo and for tests: four series of slices for each patient, in folders
as the study of MGMT has them, gray of 16 bits.

The rim of a tumour is brighter where the promoter is methylated, by a known amount that differs between series; nothing
else differs. What makes it hard is there as well: every patient has a head, folds and a scanner of its own, which all
images of the patient show, so that an image says whose it is; a series lies in any of three planes and has a brightness
of its own; its first and last slices are empty.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from hypoxia_hpc.records import Float32Array, UInt8Array

UInt16Array = NDArray[np.uint16]


class Contrast(NamedTuple):
    """How bright each tissue is in a series, 0..1, in the order of the numbers below; ``share`` of the planted
    difference that it shows."""

    outside: float
    gray: float
    white: float
    fluid: float
    core: float
    rim: float
    share: float


GRAY, WHITE, FLUID, CORE, RIM = range(1, 6)
SERIES = {
    "FLAIR": Contrast(0.0, 0.50, 0.42, 0.12, 0.45, 0.60, 0.5),
    "T1w": Contrast(0.0, 0.42, 0.58, 0.18, 0.26, 0.36, 0.0),
    "T1wCE": Contrast(0.0, 0.42, 0.58, 0.18, 0.26, 0.62, 1.0),
    "T2w": Contrast(0.0, 0.44, 0.34, 0.85, 0.60, 0.55, 0.5),
}
SIDE_PX = 64
RADII = (0.80, 0.92, 0.72)  # of the head, down, to the front and across, in halves of the side
PLANE_SHARES = (0.6, 0.2, 0.2)  # axial, coronal, sagittal: sliced across the first, second and third axis
N_SLICES = 10
GAIN = 40_000.0  # gray levels of 16 bits for a brightness of 1, with a gain of 1
NOISE_SD = 0.02
SHADE_SD, SHADE_PX = 0.2, 5.0  # how uneven a scanner's light is, and over what distance
# Test AUC of 24 patients by attention, EfficientNet-Lite0 with ImageNet weights, seed 1: 0.88 of all series, 0.96 of
# T1wCE, 0.92 of FLAIR, 0.56 of T2w, 0.32 of T1w, which shows nothing of it.
DEFAULT_DIFFERENCE = 0.6


@dataclass(frozen=True, slots=True)
class SyntheticBrain:
    """What the images of a patient are made from. ``difference``: natural logarithm of the ratio of the rim's
    brightness (methylated / other) in the series that shows all of it; ``n_slices`` of each series."""

    patient_id: str
    seed: int
    methylated: bool
    difference: float
    n_slices: int = N_SLICES


def mri_cohort(
    n_patients: int, difference: float = DEFAULT_DIFFERENCE, seed: int = 0, *, n_slices: int = N_SLICES
) -> list[SyntheticBrain]:
    """Patients with ids of five digits, half of them methylated, in random order; equal arguments give equal ones."""
    methylated = np.arange(n_patients) % 2 == 1
    rng = np.random.default_rng([seed, n_patients])
    rng.shuffle(methylated)
    seeds = rng.integers(2**63, size=n_patients)
    return [
        SyntheticBrain(f"{number:05d}", int(own), bool(label), difference, n_slices)
        for number, (label, own) in enumerate(zip(methylated, seeds, strict=True), start=1)
    ]


def write_brain(folder: Path, brain: SyntheticBrain) -> None:
    """Write ``folder/SERIES/Image-1.png`` and on, of each series; the pixels depend on ``brain`` alone. Raises
    OSError."""
    for series, slices in render_brain(brain).items():
        (folder / series).mkdir(parents=True)
        for number, pixels in enumerate(slices, start=1):
            Image.fromarray(pixels).save(folder / series / f"Image-{number}.png")


def render_brain(brain: SyntheticBrain) -> dict[str, UInt16Array]:
    """The slices of each series, uint16 (n_slices, SIDE_PX, SIDE_PX), from one end of the volume to the other."""
    rng = np.random.default_rng(brain.seed)
    tissue, grain = _anatomy(rng)
    curve = float(rng.uniform(-0.5, 0.5))  # of the scanner: how far the middle of the scale is raised
    blur = float(rng.uniform(0.4, 1.1))
    shade = _shade(rng)
    step = brain.difference / 2 if brain.methylated else -brain.difference / 2
    return {
        name: _slices(rng, tissue, grain, _levels(contrast, step, curve), blur, shade, brain.n_slices)
        for name, contrast in SERIES.items()
    }


def _levels(contrast: Contrast, step: float, curve: float) -> Float32Array:
    """The brightness of each tissue, float32 (6,): the only place where the class enters."""
    levels = np.array(contrast[:-1])
    levels[RIM] *= math.exp(step * contrast.share)
    raised: Float32Array = (levels + curve * levels * (1 - levels)).astype(np.float32)
    return raised


def _anatomy(rng: np.random.Generator) -> tuple[UInt8Array, Float32Array]:
    """The tissue of each voxel, uint8 (SIDE_PX, SIDE_PX, SIDE_PX), and the patient's own grain, of mean 0 and
    variance 1."""
    axis = np.linspace(-1, 1, SIDE_PX, dtype=np.float32)
    places = np.meshgrid(axis, axis, axis, indexing="ij", sparse=True)
    radii = np.array(RADII) * rng.uniform(0.93, 1.07, 3)
    depth = sum((place / radius) ** 2 for place, radius in zip(places, radii.tolist(), strict=True))
    grain = _field(rng, float(rng.uniform(0.8, 2.4)))
    folds = _field(rng, float(rng.uniform(1.6, 3.2)))
    tissue = np.where(depth + 0.16 * folds < 0.6, WHITE, GRAY)
    tissue[4 * depth + 0.15 * folds < 0.35] = FLUID
    away = _distance(rng, places, radii)
    size = float(rng.uniform(0.24, 0.30))
    tissue[away < 1.5 * size] = RIM
    tissue[away < size] = CORE
    tissue[depth >= 1] = 0
    return tissue.astype(np.uint8), grain


def _distance(rng: np.random.Generator, places: Sequence[Float32Array], radii: NDArray[np.float64]) -> Float32Array:
    """Of each voxel from the middle of the tumour, which lies halfway out in any direction."""
    direction = rng.normal(size=3)
    middle = 0.5 * radii * direction / math.sqrt(float(direction @ direction))
    squares = sum((place - at) ** 2 for place, at in zip(places, middle.tolist(), strict=True))
    away: Float32Array = np.sqrt(squares)
    return away


def _shade(rng: np.random.Generator) -> Float32Array:
    """What the coils of the patient's scanner make of even light, float32 (SIDE_PX, SIDE_PX), in all of its images."""
    noise = gaussian_filter(rng.standard_normal((SIDE_PX, SIDE_PX), dtype=np.float32), SHADE_PX, mode="wrap")
    shade: Float32Array = np.maximum(1 + np.float32(SHADE_SD) * noise / noise.std(), 0.2)
    return shade


def _field(rng: np.random.Generator, sigma: float) -> Float32Array:
    noise = gaussian_filter(rng.standard_normal((SIDE_PX,) * 3, dtype=np.float32), sigma, mode="wrap")
    field: Float32Array = noise / noise.std()
    return field


def _slices(
    rng: np.random.Generator,
    tissue: UInt8Array,
    grain: Float32Array,
    levels: Float32Array,
    blur: float,
    shade: Float32Array,
    n_slices: int,
) -> UInt16Array:
    plane = int(rng.choice(3, p=PLANE_SHARES))
    gain = GAIN * float(rng.uniform(0.7, 1.3))
    places = np.linspace(0, SIDE_PX - 1, n_slices).round().astype(np.int64)
    own = np.take(tissue, places, axis=plane).swapaxes(0, plane)
    own_grain = np.take(grain, places, axis=plane).swapaxes(0, plane)
    light = levels[own] * (1 + np.float32(0.08) * own_grain) * shade
    light = gaussian_filter(light, (0, blur, blur), truncate=3)
    light += NOISE_SD * rng.standard_normal(light.shape, dtype=np.float32)
    light[own == 0] = 0  # as where the skull was taken away
    pixels: UInt16Array = np.clip(gain * light + 0.5, 0, 65535).astype(np.uint16)
    return pixels
