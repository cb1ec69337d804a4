"""The slides of the benchmarks, made once and kept in a folder.

Aperio SVS files as scanners write them: 240 px native tiles with shared JPEG tables (or JPEG 2000), a thumbnail, levels
at a quarter and a sixteenth. Tissue is the suite's own texture, background the glass of a real slide with its noise and
JPEG residue; both are mosaics of patches at random places and flips, off the native grid (glass on the grid of JPEG's
16 px units, so that its residue stays what it is), so that no two native tiles are alike. Nothing needs more
than a few bands of the slide in memory.
"""

from __future__ import annotations

import functools
import io
import itertools
import math
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

import hypoxia_hpc.slides
from hypoxia_hpc.records import UInt8Array
from hypoxia_hpc.synthetic import svs
from hypoxia_hpc.synthetic.slides import SyntheticSlide, render_slide
from hypoxia_hpc.synthetic.svs import NATIVE_PX, shrink

EDITION = 2  # in the files' names: raise it when the same recipe makes other pixels
QUALITY = 80
# Encoders of scanners spend on contents, so glass packs better than tissue. OpenJPEG's own fixed quality does not do
# here: it shifts smooth tiles by 10 gray levels.
JPEG_2000_RATIO = {"tissue": 11, "glass": 60}
GLASS_SD = 8.0  # gray levels; less is glass
WIDTH_PX = 30_720
TISSUE_CELL_PX = 509  # prime: patches never lie on the native grid
GLASS_CELL_PX = 208
UNIT_PX = 16
TISSUE_BLOCKS = 6
RENDERED_PX = 2048  # of which the middle is tissue all over
BLOCK_PX = 768
BLOB_PX = 3600  # 1.8 mm at 20x
MASK_PX = 16
REAL_SLIDE = Path(hypoxia_hpc.slides.__file__).parent / "CMU-1-Small-Region.svs"

JPEG_TAGS = svs.YCBCR_JPEG
JPEG_2000_TAGS: svs.Tags = {259: ("H", (33005,)), 262: ("H", (2,))}


@dataclass(frozen=True, slots=True)
class Recipe:
    """One slide, WIDTH_PX wide, of ``mpp`` µm/px. ``codec``: "jpeg" or "jpeg2000"; ``tissue`` is the share of its area,
    0..1, ``glass`` where background comes from: "real" or "white"."""

    name: str
    height_px: int
    codec: str = "jpeg"
    mpp: float = 0.5
    tissue: float = 0.42  # 40 % of the output tiles are kept
    glass: str = "real"


def recipes(*, quick: bool) -> dict[str, Recipe]:
    """The slides by what they are for."""
    tall, low, slow = (1_920, 960, 720) if quick else (8_160, 2_400, 2_400)
    return {
        "jpeg-20x": Recipe("jpeg-20x", tall),
        "jpeg-20x-tissue": Recipe("jpeg-20x-tissue", low, tissue=1.0),
        "jpeg-20x-white": Recipe("jpeg-20x-white", low, glass="white"),
        "jpeg-40x": Recipe("jpeg-40x", tall, mpp=0.25),
        "jpeg2000-20x": Recipe("jpeg2000-20x", slow, "jpeg2000"),
        "jpeg2000-40x": Recipe("jpeg2000-40x", slow, "jpeg2000", mpp=0.25),
    }


def made(recipe: Recipe, folder: Path) -> Path:
    """The slide's file in the folder; written first if it is not there yet."""
    path = folder / f"{recipe.name}-{WIDTH_PX}x{recipe.height_px}-e{EDITION}.svs"
    if not path.exists():
        with whole_file(path) as file:
            _write_slide(file, recipe)
    return path


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Write a file that appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".tmp-{path.name}", delete=False) as file:
        try:
            yield file  # type: ignore[misc]
            Path(file.name).rename(path)
        except BaseException:
            Path(file.name).unlink()
            raise


# --- pixels ---


@functools.cache
def tissue_blocks(mpp: float) -> list[UInt8Array]:
    """Blocks of the suite's texture, uint8 (768, 768, 3), with nuclei of the size they have at ``mpp``."""
    difference = 2 * math.log(0.5 / mpp)
    size, cut = (RENDERED_PX, RENDERED_PX), (RENDERED_PX - BLOCK_PX) // 2
    rendered = (render_slide(SyntheticSlide(seed, difference, True, size, mpp)) for seed in range(TISSUE_BLOCKS))
    return [pixels[cut : cut + BLOCK_PX, cut : cut + BLOCK_PX] for pixels in rendered]


@functools.cache
def glass_patches() -> list[UInt8Array]:
    """Squares of the real slide, uint8 (208, 208, 3), with at most one pixel of a thousand darker than background."""
    from hypoxia_hpc.slides.openslide_reader import open_slide

    with open_slide(REAL_SLIDE) as slide:
        image = slide.read_region((0, 0), 0, slide.dimensions).convert("RGB")
    pixels, dark = np.asarray(image), np.asarray(image.convert("L")) < 220
    corners = itertools.product(*(range(0, side - GLASS_CELL_PX, UNIT_PX) for side in dark.shape))
    squares = (np.s_[y : y + GLASS_CELL_PX, x : x + GLASS_CELL_PX] for y, x in corners)
    return [pixels[square] for square in squares if dark[square].mean() < 1e-3]


def cells(rng: np.random.Generator, patches: list[UInt8Array], cell_px: int) -> Iterator[UInt8Array]:
    """Rows of cells cut from random patches at random places, turned and flipped; without end."""
    row = np.empty((cell_px, -(-WIDTH_PX // cell_px) * cell_px, 3), dtype=np.uint8)
    while True:
        for left in range(0, row.shape[1], cell_px):
            patch = patches[rng.integers(len(patches))]
            y, x = (rng.integers(side - cell_px + 1) for side in patch.shape[:2])
            cell = np.rot90(patch[y : y + cell_px, x : x + cell_px], int(rng.integers(4)))
            row[:, left : left + cell_px] = cell[::-1] if rng.integers(2) else cell
        yield row[:, :WIDTH_PX]


def bands(rows: Iterator[UInt8Array]) -> Iterator[UInt8Array]:
    """The same rows of pixels, NATIVE_PX at a time."""
    held = np.empty((0, WIDTH_PX, 3), dtype=np.uint8)
    for row in rows:
        held = np.concatenate([held, row])
        while len(held) >= NATIVE_PX:
            yield held[:NATIVE_PX]
            held = held[NATIVE_PX:]


def _mask(rng: np.random.Generator, recipe: Recipe) -> Image.Image:
    """Where tissue is: above 0 in a smooth field, one value for 16 x 16 px."""
    width, height = WIDTH_PX // MASK_PX, recipe.height_px // MASK_PX
    blob = BLOB_PX // MASK_PX
    coarse = rng.standard_normal((height // blob + 4, width // blob + 4), dtype=np.float32)
    field = Image.fromarray(coarse).resize((coarse.shape[1] * blob, coarse.shape[0] * blob), Image.Resampling.BICUBIC)
    values = np.asarray(field)[blob : blob + height, blob : blob + width]
    return Image.fromarray(values - np.quantile(values, 1 - recipe.tissue) + (recipe.tissue == 1) * 1e6)


def _slide_bands(recipe: Recipe) -> Iterator[UInt8Array]:
    """Level 0, uint8 (240, width, 3) at a time."""
    rng = np.random.default_rng([len(recipe.name), round(100 * recipe.tissue), round(100 * recipe.mpp)])
    mask = _mask(rng, recipe)
    tissue = bands(cells(rng, tissue_blocks(recipe.mpp), TISSUE_CELL_PX))
    white = [np.full((GLASS_CELL_PX, GLASS_CELL_PX, 3), 255, dtype=np.uint8)]
    glass = bands(cells(rng, white if recipe.glass == "white" else glass_patches(), GLASS_CELL_PX))
    for top in range(0, recipe.height_px, NATIVE_PX):
        box = (0, top / MASK_PX, WIDTH_PX / MASK_PX, (top + NATIVE_PX) / MASK_PX)
        inside = np.asarray(mask.resize((WIDTH_PX, NATIVE_PX), Image.Resampling.BILINEAR, box=box)) > 0
        yield np.where(inside[..., None], next(tissue), next(glass))


# --- codecs ---


def _encoded(pixels: UInt8Array, codec: str, **options: int) -> bytes:
    buffer = io.BytesIO()
    if codec == "jpeg":
        Image.fromarray(pixels).save(buffer, "JPEG", quality=QUALITY, subsampling="4:2:0", **options)
    else:
        ratio = JPEG_2000_RATIO["glass" if pixels.std() < GLASS_SD else "tissue"]
        how = {"no_jp2": True, "irreversible": True, "mct": 1, "quality_mode": "rates", "quality_layers": [ratio]}
        Image.fromarray(pixels).save(buffer, "JPEG2000", **how)
    return buffer.getvalue()


def native_tiles(pixels: UInt8Array, codec: str) -> Iterator[bytes]:
    """Native tiles row by row, JPEG without its tables; edges filled up with the last pixels."""
    height, width = pixels.shape[:2]
    padded = np.pad(pixels, ((0, -height % NATIVE_PX), (0, -width % NATIVE_PX), (0, 0)), mode="edge")
    for top, left in itertools.product(range(0, height, NATIVE_PX), range(0, width, NATIVE_PX)):
        yield _encoded(padded[top : top + NATIVE_PX, left : left + NATIVE_PX], codec, streamtype=2)


def codec_tags(codec: str) -> svs.Tags:
    if codec == "jpeg2000":
        return JPEG_2000_TAGS
    tables = _encoded(np.zeros((16, 16, 3), dtype=np.uint8), "jpeg", streamtype=1)
    return {**JPEG_TAGS, 347: ("B", tables)}


# --- files ---


def _write_slide(file: BinaryIO, recipe: Recipe) -> None:
    quarter, sixteenth = [], []

    def level_0() -> Iterator[bytes]:
        for band in _slide_bands(recipe):
            quarter.append(shrink(band, 4))
            sixteenth.append(shrink(band, 16))
            yield from native_tiles(band, recipe.codec)

    tags, size = codec_tags(recipe.codec), (WIDTH_PX, recipe.height_px)
    link = svs.write_header(file)
    layout = svs.tiled_layout(*svs.write_blocks(file, level_0()))
    link = svs.write_page(file, link, size, description(size, None, recipe), layout | tags)
    link = write_thumbnail(file, link, size, np.concatenate(sixteenth), recipe)
    for pixels in (np.concatenate(quarter), np.concatenate(sixteenth)):
        layout = svs.tiled_layout(*svs.write_blocks(file, native_tiles(pixels, recipe.codec)))
        size_level = (pixels.shape[1], pixels.shape[0])
        link = svs.write_page(file, link, size_level, description(size, size_level, recipe), layout | tags)


def write_thumbnail(file: BinaryIO, link: int, size: tuple[int, int], pixels: UInt8Array, recipe: Recipe) -> int:
    height, width = pixels.shape[:2]
    offsets, counts = svs.write_blocks(file, iter([_encoded(pixels, "jpeg")]))
    layout: svs.Tags = {273: ("I", offsets), 278: ("I", (height,)), 279: ("I", counts), **JPEG_TAGS}
    return svs.write_page(file, link, (width, height), description(size, (width, height), recipe), layout)


def description(size: tuple[int, int], size_level: tuple[int, int] | None, recipe: Recipe) -> str:
    whole = f"{size[0]}x{size[1]}"
    shrunk = f" -> {size_level[0]}x{size_level[1]}" if size_level else ""
    kind = "J2K/RGB" if recipe.codec == "jpeg2000" else "JPEG/RGB"
    details = f"|AppMag = {10 / recipe.mpp:g}|MPP = {recipe.mpp:.4f}"
    return f"{svs.LIBRARY}{whole} [0,0 {whole}]{shrunk} ({NATIVE_PX}x{NATIVE_PX}) {kind} Q={QUALITY}{details}"
