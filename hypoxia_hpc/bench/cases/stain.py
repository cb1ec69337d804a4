"""Stain normalisation of one tile: one core, a tile of the package's real slide."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np

from hypoxia_hpc.bench.case import Case, Place, Prepared, require
from hypoxia_hpc.bench.slides import REAL_SLIDE
from hypoxia_hpc.machine.compiling import kernel
from hypoxia_hpc.records import UInt8Array
from hypoxia_hpc.slides.openslide_reader import open_slide
from hypoxia_hpc.tiling.kernels.stain import recolour
from hypoxia_hpc.tiling.stain.macenko import fit_macenko
from hypoxia_hpc.tiling.stain.published import REFERENCE, WHITE
from hypoxia_hpc.tiling.stain.recolouring import colours
from hypoxia_hpc.tiling.stain.stains import Stains

CORNER, TILE_PX, GLASS = (897, 2392), 299, 220  # 11 % glass
MOST_GRAY_LEVELS = 1


@kernel()
def copy_bytes(pixels: UInt8Array, out: UInt8Array) -> None:
    """The bound: read and write the same memory, a byte at a time as the kernel has to."""
    for i in range(pixels.shape[0]):
        for c in range(3):
            out[i, c] = pixels[i, c] ^ 1


def tile() -> UInt8Array:
    """A tile with some glass, uint8 (299, 299, 3)."""
    with open_slide(REAL_SLIDE) as slide:
        return np.array(slide.read_region(CORNER, 0, (TILE_PX, TILE_PX)).convert("RGB"))


def numpy_recoloured(rgb: UInt8Array, source: Stains, target: Stains) -> UInt8Array:
    """Every pixel's concentrations by least squares, scaled, in the target's dyes and light; glass stays as it was."""
    pixels = rgb.reshape(-1, 3)
    densities = -np.log(np.maximum(pixels, 1) / source.white)
    concentrations = np.linalg.lstsq(source.directions, densities.T, rcond=None)[0]
    scaled = concentrations * (target.strongest / source.strongest)[:, None]
    light = target.white[:, None] * np.exp(-target.directions @ scaled)
    luma = (pixels.astype(np.int64) @ np.array([19595, 38470, 7471]) + 32768) // 2**16
    new = np.clip(np.rint(light.T), 0, 255).astype(np.uint8)
    return np.where((luma >= GLASS)[:, None], pixels, new)


@contextmanager
def application(_: Place) -> Iterator[Prepared]:
    rgb = tile()
    source = fit_macenko(rgb, WHITE, GLASS).found
    require(source is not None, "no stains are found on a tile of the package's own slide")
    assert source is not None  # noqa: S101 - just asked
    new, pixels, out = colours(source, REFERENCE), rgb.reshape(-1, 3), np.empty((TILE_PX**2, 3), np.uint8)

    def work() -> None:
        recolour(pixels, new.fields, new.colours, GLASS, out)

    def check() -> str:
        out.fill(0)
        work()
        apart = int(np.abs(out.astype(int) - numpy_recoloured(rgb, source, REFERENCE)).max())
        require(apart <= MOST_GRAY_LEVELS, f"new colours are {apart} gray levels from those of least squares in NumPy")
        return f"at most {apart} gray level from least squares in NumPy"

    yield Prepared(1, work, {"reading and writing": partial(copy_bytes, pixels, out)}, check)


CASES = (
    Case(
        "stain", "stain", "give a tile the colours of a reference", "tiles", "reading and writing its bytes",
        application, is_steady=True,
    ),
)  # fmt: skip
