"""The matrix of TIFF layouts: what tifffile writes of it, and what a reader of slides has to make of each cell."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import cache
from itertools import combinations, product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tifffile
from numpy.typing import NDArray

Samples = NDArray[Any]

TILE = (32, 48)
STRIP_ROWS = 16
MAX_SAMPLE_VALUE = 281
LOSSY = frozenset({"jpeg", "jpeg2000", "webp", "jpegxl"})
PREDICTED = ("lzw", "deflate", "zstd")
COLOURS = ("gray", "white-is-zero", "gray-alpha", "rgb", "rgb-planes", "rgba", "rgb-unsaid", "five")
AXES: dict[str, tuple[str, ...]] = {
    "order": ("<", ">"),
    "size": ("classic", "big"),
    "storage": ("tiled", "stripped"),
    "colour": COLOURS,
    "bits": ("8", "16", "12", "12-unsaid"),
    "codec": (
        *("none", "lzw", "deflate", "zstd", "packbits", "lzma"),
        *(f"{name}-predictor" for name in PREDICTED),
        *sorted(LOSSY),
    ),
    "edges": ("whole", "partial"),
    "pages": ("one", "levels", "subifds", "two-regions", "two-of-one-size", "thumbnail-first"),
}


class Cell(NamedTuple):
    order: str
    size: str
    storage: str
    colour: str
    bits: str
    codec: str
    edges: str
    pages: str

    @property
    def name(self) -> str:
        return "-".join(self).replace("<", "little").replace(">", "large")

    @property
    def is_lossy(self) -> bool:
        return self.codec in LOSSY

    @property
    def depth(self) -> int:
        return int(self.bits.partition("-")[0])

    @property
    def n_samples(self) -> int:
        return {"gray": 1, "white-is-zero": 1, "gray-alpha": 2, "rgba": 4, "rgb-unsaid": 4, "five": 5}.get(
            self.colour, 3
        )


def whole_matrix() -> Iterator[Cell]:
    return (Cell(*values) for values in product(*AXES.values()))


@cache
def every_pair(seed: int) -> tuple[Cell, ...]:
    """Few cells that can be written and hold every pair of values of two axes that one of them can hold: greedy, from a
    shuffled matrix."""
    cells = [cell for cell in whole_matrix() if is_written(cell)]
    random.Random(seed).shuffle(cells)
    seen: set[tuple[int, str, int, str]] = set()
    chosen = []
    for cell in cells:
        pairs = {(a, cell[a], b, cell[b]) for a, b in combinations(range(len(cell)), 2)}
        if pairs - seen:
            seen |= pairs
            chosen.append(cell)
    return tuple(chosen)


def is_written(cell: Cell) -> bool:
    """Whether tifffile writes such a file: not every codec has every kind of sample."""
    if cell.codec == "jpeg":
        return cell.bits == "8" and cell.colour in ("gray", "rgb")
    if cell.codec == "webp":
        return cell.bits == "8" and cell.colour in ("rgb", "rgba", "rgb-unsaid")
    if cell.codec in ("jpeg2000", "jpegxl"):
        if cell.order == ">" and cell.depth > 8:  # it gives the codec its bytes the wrong way round, or fails
            return False
        return cell.colour in ("gray", "rgb")
    return True


def pixels(cell: Cell) -> Samples:
    """Smooth samples with a white border, so that lossy codecs change little, (height, width, samples)."""
    height, width = (64, 96) if cell.edges == "whole" else (71, 101)
    y, x = np.mgrid[:height, :width]
    waves = [(x * (n + 1) + y * (3 - n % 3)) % 180 for n in range(cell.n_samples)]
    planes = [40 + 190 * np.abs(wave - 90) / 90 for wave in waves]
    values = np.stack(planes, axis=2) / 255
    values[:, -12:] = values[:4] = 1.0
    if cell.colour == "white-is-zero":
        values = 1 - values
    return np.round(values * (2**cell.depth - 1)).astype(np.uint8 if cell.depth == 8 else np.uint16)


def as_rgb(cell: Cell, samples: Samples) -> NDArray[np.uint8]:
    """What a cell's samples mean: RGB on white, 8 bit."""
    most = 2**cell.depth - 1
    values = np.floor(samples.astype(np.float64) * 255 / most + 0.5)
    colours = values[..., :1].repeat(3, axis=2) if cell.n_samples < 3 else values[..., :3]
    if cell.colour == "white-is-zero":
        colours = 255 - colours
    if cell.colour in ("gray-alpha", "rgba"):
        alpha = values[..., -1:]
        colours = (colours * alpha + 255 * (255 - alpha) + 127) // 255
    return colours.astype(np.uint8)


def write(cell: Cell, path: Path) -> list[Samples]:
    """Write a cell's file, and give the samples of the levels that a reader should find."""
    main = pixels(cell)
    half = np.ascontiguousarray(main[::2, ::2])
    with tifffile.TiffWriter(path, bigtiff=cell.size == "big", byteorder=cell.order) as file:
        if cell.pages == "thumbnail-first":
            _write(file, cell, np.ascontiguousarray(main[::3, ::3]))
        _write(file, cell, main, subifds=int(cell.pages == "subifds"))
        if cell.pages in ("levels", "subifds"):
            _write(file, cell, half, subfiletype=1)
        if cell.pages == "two-regions":
            _write(file, cell, np.ascontiguousarray(main[:48, :48]))
        if cell.pages == "two-of-one-size":
            _write(file, cell, np.ascontiguousarray(main[::-1]))
    return [main, half] if cell.pages in ("levels", "subifds") else [main]


def _write(file: tifffile.TiffWriter, cell: Cell, samples: Samples, **options: Any) -> None:
    if cell.colour == "rgb-planes":
        samples = np.ascontiguousarray(np.moveaxis(samples, 2, 0))
        options["planarconfig"] = "separate"
    elif samples.shape[2] == 1:
        samples = samples[..., 0]
    extra = {"gray-alpha": ["unassalpha"], "rgba": ["unassalpha"], "rgb-unsaid": [0], "five": [0, 0]}.get(cell.colour)
    if extra:
        options["extrasamples"] = extra
    if cell.bits in ("16", "12"):
        options["extratags"] = [(MAX_SAMPLE_VALUE, "H", cell.n_samples, (2**cell.depth - 1,) * cell.n_samples, True)]
    codec, _, predictor = cell.codec.partition("-")
    photometric = {"white-is-zero": "miniswhite", "gray": "minisblack", "gray-alpha": "minisblack"}
    file.write(
        samples,
        photometric=photometric.get(cell.colour, "rgb"),
        compression=None if codec == "none" else {"deflate": "adobe_deflate"}.get(codec, codec),
        compressionargs={"level": 95} if codec in ("jpeg", "webp") else None,
        predictor=bool(predictor),
        metadata=None,
        **({"tile": TILE} if cell.storage == "tiled" else {"rowsperstrip": STRIP_ROWS}),
        **options,
    )


def refusal(cell: Cell) -> str:
    """The reason for which a cell has to be refused; empty where its pixels have to be right."""
    if cell.colour == "five":
        return "not-rgb"
    if cell.pages == "two-of-one-size":
        return "not-rgb" if cell.n_samples == 1 else "several-images"
    return "not-supported" if cell.bits == "12-unsaid" else ""
