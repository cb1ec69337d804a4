"""Every case of the table finds a wrong answer: a fault is put into the code that it times, and its check fails."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hypoxia_hpc.analysis import metrics
from hypoxia_hpc.bench import slides
from hypoxia_hpc.bench.case import Case, Place, WrongAnswerError
from hypoxia_hpc.bench.cases import (
    decoding,
    feeding,
    heads,
    kernels,
    native_tiles,
    networks,
    readers,
    stages,
    stain,
    stores,
)
from hypoxia_hpc.bench.cases.registry import CASES
from hypoxia_hpc.bench.gpu_decoders import NvImageCodec
from hypoxia_hpc.config import TileTable
from hypoxia_hpc.models import extraction
from hypoxia_hpc.networks.heads.logistic import Objective
from hypoxia_hpc.stores.tiles import TileWriter

Real = Callable[..., Any]


@dataclass(frozen=True)
class Fault:
    """``wrong`` does what the function ``name`` of ``owner`` does, which it is given first, and a little else."""

    owner: object
    name: str
    wrong: Callable[..., Any]


def other_limit(real: Real, band: Any, left: int, width: int, white: int) -> Any:
    """Background from one gray level higher."""
    return real(band, left, width, white + 1)


def one_bit(real: Real, *arguments: Any) -> None:
    """One bit of the array that is written."""
    real(*arguments)
    arguments[-1][3, 2] ^= 1


def four_levels(real: Real, *arguments: Any) -> None:
    """One colour of one pixel off by four gray levels; one level may be rounding."""
    real(*arguments)
    arguments[-1][70, 1] ^= 4


def one_pixel_off(real: Real, path: Path, table: TileTable, new_tile: Callable[[], np.ndarray]) -> Any:
    """Every tile shifted by one pixel."""
    tiles: list[np.ndarray] = []

    def shifted() -> np.ndarray:
        if tiles:
            tiles[-1][:] = np.roll(tiles[-1], 1, axis=1)
        tiles.append(new_tile())
        return tiles[-1]

    return real(path, table, shifted)


def four_levels_of_each(real: Real, path: Path) -> Iterator[np.ndarray]:
    """One colour of one pixel of each native tile off by four gray levels."""
    for pixels in real(path):
        pixels[7, 9, 1] ^= 4
        yield pixels


def colours_of_one_tile(real: Real, *arguments: Any) -> list[np.ndarray]:
    """RGB of the last tile taken for YCbCr, as a decoder may do it that does not read Adobe's marker."""
    pixels: list[np.ndarray] = real(*arguments)
    height, width = pixels[-1].shape[:2]
    pixels[-1] = np.asarray(Image.frombytes("YCbCr", (width, height), pixels[-1].tobytes()).convert("RGB"))
    return pixels


def one_bit_of_the_last_tile(real: Real, writer: TileWriter, *arguments: Any) -> Any:
    """One bit of the last tile of a store."""
    writer._pixels._buffer[(writer._pixels.n_tiles - 1) % writer._pixels._buffer_rows][4, 5, 1] ^= 1
    return real(writer, *arguments)


def one_bit_of_a_tile(real: Real, tiles: Any, start: int, stop: int) -> Any:
    """One bit of the first tile of a slice."""
    pixels = real(tiles, start, stop).copy()
    pixels[0, 4, 5, 1] ^= 1
    return pixels


def one_bit_of_what_is_fed(real: Real, tiles: Any, start: int, stop: int, out: np.ndarray) -> int:
    """One bit of the last tile of a batch."""
    rows: int = real(tiles, start, stop, out)
    out[stop - start - 1, 4, 5, 1] ^= 1
    return rows


def one_unit_in_the_last_place(real: Real, path: Path, values: np.ndarray, *arguments: Any) -> Any:
    """One feature of float16 off by as little as float16 can say."""
    written = values.copy()
    written[-1, -1] = np.nextafter(written[-1, -1], np.float16(9))
    return real(path, written, *arguments)


def other_order(real: Real, *arguments: Any) -> Any:
    """The features of two tiles exchanged."""
    found = real(*arguments)
    found.values[[0, 1]] = found.values[[1, 0]]
    return found


def one_slope(real: Real, objective: Objective, at: np.ndarray) -> tuple[float, np.ndarray]:
    """One number of the gradient off by a millionth."""
    loss, gradient = real(objective, at)
    gradient[7] += 1e-6
    return loss, gradient


def one_resample_less(real: Real, value: float, resampled: np.ndarray, *arguments: Any) -> Any:
    """The interval without the largest of the resamples."""
    return real(value, np.sort(resampled)[:-1], *arguments)


FAULTS: Mapping[str, Fault] = {
    "background": Fault(kernels, "count_background", other_limit),
    "halving": Fault(kernels, "reduce_block", one_bit),
    "averaging": Fault(kernels, "average_square", one_bit),
    "stain": Fault(stain, "recolour", four_levels),
    "jpeg": Fault(readers, "deliver", one_pixel_off),
    "jpeg-screened": Fault(readers, "deliver", one_pixel_off),
    "jpeg-real": Fault(readers, "deliver", one_pixel_off),
    "jpeg-40x": Fault(readers, "deliver", one_pixel_off),
    "jpeg2000": Fault(readers, "deliver", one_pixel_off),
    "native-tiles": Fault(native_tiles, "decoded", four_levels_of_each),
    "gpu-decoding": Fault(NvImageCodec, "pixels", colours_of_one_tile),
    "gpu-decoding-ycbcr": Fault(NvImageCodec, "pixels", colours_of_one_tile),
    "tile-store": Fault(TileWriter, "commit", one_bit_of_the_last_tile),
    "tile-store-read": Fault(stores, "read_pixels", one_bit_of_a_tile),
    "feature-store": Fault(stores, "write_features", one_unit_in_the_last_place),
    "feeding": Fault(extraction, "read_pixels_into", one_bit_of_what_is_fed),
    "feeding-slide": Fault(extraction.SlidePixels, "read_into", one_bit_of_what_is_fed),
    "inception_v3": Fault(extraction, "features_of", other_order),
    "inception_v3-slides": Fault(extraction, "features_of", other_order),
    "resnet50": Fault(extraction, "features_of", other_order),
    "resnet50-slides": Fault(extraction, "features_of", other_order),
    "vgg16": Fault(extraction, "features_of", other_order),
    "vgg16-slides": Fault(extraction, "features_of", other_order),
    "vit": Fault(extraction, "features_of", other_order),
    "vit-slides": Fault(extraction, "features_of", other_order),
    "logistic": Fault(Objective, "__call__", one_slope),
    "bootstrap": Fault(metrics, "_interval", one_resample_less),
    "tile": Fault(TileWriter, "commit", one_bit_of_the_last_tile),
}
# A check goes over less than is timed, and over as many kinds of it.
WIDTH_PX, HEIGHT_PX = 2_400, 1_440


# One block, kept for these tests alone.
BLOCKS = functools.cache(slides.tissue_blocks.__wrapped__)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Less work for the cases whose work takes seconds."""
    known = slides.recipes(quick=True)
    low = {name: replace(recipe, height_px=HEIGHT_PX) for name, recipe in known.items()}
    monkeypatch.setattr(slides, "WIDTH_PX", WIDTH_PX)
    monkeypatch.setattr(slides, "TISSUE_BLOCKS", 1)
    monkeypatch.setattr(slides, "tissue_blocks", BLOCKS)
    for module in (readers, decoding, stages, feeding):
        monkeypatch.setattr(module, "recipes", lambda *, quick: low)
    monkeypatch.setattr(networks, "CPU_BATCH", 2)
    monkeypatch.setattr(heads, "ROWS", 2 * heads.STORE_ROWS)
    monkeypatch.setattr(feeding, "TILES_A_SLIDE", 50)
    monkeypatch.setattr(stores, "TILES", 64)
    monkeypatch.setattr(kernels, "TILES_IN_BAND", 2)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    yield Place(scratch, tmp_path / "slides")


def test_every_case_has_a_fault() -> None:
    assert list(FAULTS) == [case.name for case in CASES], "a new case needs a fault that its check finds"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_check_passes_and_finds_the_fault(
    case: Case, place: Place, small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if missing := case.missing():
        pytest.skip(missing)
    fault = FAULTS[case.name]
    real = getattr(fault.owner, fault.name)
    with case.prepare(place) as prepared:
        prepared.work()
        prepared.tidy()
        assert prepared.check()
        assert prepared.amount > 0 and prepared.bounds
        monkeypatch.setattr(fault.owner, fault.name, lambda *arguments: fault.wrong(real, *arguments))
        with pytest.raises(WrongAnswerError) as found:
            prepared.check()
    assert "report this as a bug" in found.value.remedy
