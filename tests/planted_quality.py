"""Synthetic slides of H&E with one fault each: a blurred half, a pen, a black border, a fold."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from hypoxia_hpc.synthetic.svs import write_svs

Pixels = NDArray[np.uint8]
MPP = 1.0
HEIGHT, WIDTH = 1024, 1536
GLASS = 243
TISSUE = np.s_[128:896, 256:1280]
# Optical densities of eosin and of nuclei.
EOSIN, NUCLEI = np.array([0.04, 0.36, 0.12]), np.array([0.55, 0.62, 0.28])


def clean_slide(seed: int = 0) -> Pixels:
    """uint8 (1024, 1536, 3) at 1 µm/px: glass, and a rectangle of tissue with nuclei of some 8 µm."""
    rng = np.random.default_rng(seed)
    shape = (TISSUE[0].stop - TISSUE[0].start, TISSUE[1].stop - TISSUE[1].start)
    grain = gaussian_filter(rng.standard_normal(shape, dtype=np.float32), 2.5)
    fibres = 1 + 0.8 * gaussian_filter(rng.standard_normal(shape, dtype=np.float32), 1)
    nuclei = gaussian_filter((grain > 1.3 * grain.std()).astype(np.float32), 0.7)
    density = np.zeros((HEIGHT, WIDTH, 3), dtype=np.float32)
    density[TISSUE] = fibres[..., None] * EOSIN + nuclei[..., None] * NUCLEI
    light = GLASS * np.exp(-density) + rng.normal(0, 1, (HEIGHT, WIDTH, 1))
    return np.clip(np.rint(light), 0, 255).astype(np.uint8)


def blurred(pixels: Pixels) -> Pixels:
    """The right half out of focus."""
    pixels = pixels.copy()
    pixels[:, WIDTH // 2 :] = gaussian_filter(pixels[:, WIDTH // 2 :], (3, 3, 0))
    return pixels


def with_pen(pixels: Pixels) -> Pixels:
    """A green line beside and on the tissue."""
    pixels = pixels.copy()
    pixels[200:320, 100:900] = (25, 120, 75)
    return pixels


def with_border(pixels: Pixels) -> Pixels:
    """Black at two edges, as where a scan ends beyond the slide."""
    pixels = pixels.copy()
    pixels[:, :110] = pixels[-100:] = 12
    return pixels


def with_fold(pixels: Pixels) -> Pixels:
    """A strip in which tissue lies twice: twice the optical density."""
    pixels = pixels.copy()
    strip = np.s_[300:440, 320:1200]
    twice = GLASS * (pixels[strip].astype(np.float64) / GLASS) ** 2
    pixels[strip] = np.rint(twice).astype(np.uint8)
    return pixels


FAULTS: dict[str, Callable[[Pixels], Pixels]] = {
    "clean": lambda pixels: pixels,
    "blurred": blurred,
    "pen": with_pen,
    "border": with_border,
    "folds": with_fold,
}


def write_faults(folder: Path) -> None:
    """A slide of each, ``blurred.svs`` and so on."""
    pixels = clean_slide()
    for name, fault in FAULTS.items():
        write_svs(folder / f"{name}.svs", fault(pixels), MPP)
