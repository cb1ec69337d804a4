"""Headers whose numbers contradict each other: the native tiles have no known place, and the slide is refused."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from hypoxia_hpc.config import TileTable
from hypoxia_hpc.errors import SlideError
from hypoxia_hpc.monitoring.doctor import _slide
from hypoxia_hpc.records import Slide
from hypoxia_hpc.slides.contradictions import contradiction
from hypoxia_hpc.slides.opening import opened_slide
from hypoxia_hpc.slides.tiff import read_file_pages

SIDE = 256
RGB = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
PLANES = np.ascontiguousarray(np.moveaxis(RGB, 2, 0))
GRAY_16 = RGB[..., 0].astype(np.uint16) * 257
TILES, STRIPS = {"tile": (64, 64)}, {"rowsperstrip": 32}
SEPARATE = {**TILES, "planarconfig": "separate"}


def write(path: Path, pixels: NDArray[Any] = RGB, **options: Any) -> Path:
    photometric = "rgb" if pixels.ndim == 3 else "minisblack"
    tifffile.imwrite(path, pixels, **{"photometric": photometric, "metadata": None, **options})
    return path


def edit(path: Path, page: int = 0, **tags: Any) -> None:
    with tifffile.TiffFile(path, mode="r+") as file:
        for name, value in tags.items():
            file.pages[page].tags[name].overwrite(value)


def refused(path: Path) -> SlideError:
    """By the reader and by `doctor`, with a remedy."""
    with pytest.raises(SlideError) as caught, opened_slide(path):
        pass
    check = _slide(TileTable(), Slide("a", path, "p", 1))
    assert (check.verdict, check.reason, check.detail) == ("bad", caught.value.reason, caught.value.problem)
    assert caught.value.reason == "inconsistent-header"
    assert "write it anew" in caught.value.remedy
    return caught.value


@pytest.mark.parametrize("compression", [None, "zlib", "jpeg"])
@pytest.mark.parametrize(
    ("pixels", "options", "tags", "said"),
    [
        (RGB, TILES, {"ImageWidth": 180}, "makes 12 native tiles, and the file lists 16"),
        (RGB, TILES, {"ImageLength": 300}, "makes 20 native tiles, and the file lists 16"),
        (RGB, TILES, {"TileLength": 32}, "256 x 256 px in native tiles of 64 x 32 px: that makes 32 native tiles"),
        (RGB, TILES, {"TileWidth": 0}, "in native tiles of 0 x 64 px"),
        (RGB, TILES, {"TileByteCounts": [9] * 12}, "a list of 16 offsets with one of 12 byte counts"),
        (RGB, TILES, {"PlanarConfiguration": 2}, "in 3 planes: that makes 48 native tiles, and the file lists 16"),
        (PLANES, SEPARATE, {"ImageWidth": 180}, "in 3 planes: that makes 36 native tiles, and the file lists 48"),
        (PLANES, SEPARATE, {"PlanarConfiguration": 1}, "makes 16 native tiles, and the file lists 48"),
        (RGB, STRIPS, {"ImageLength": 180}, "in strips of 256 x 32 px: that makes 6 strips, and the file lists 8"),
        (RGB, STRIPS, {"RowsPerStrip": 64}, "makes 4 strips, and the file lists 8"),
    ],
)  # fmt: skip
def test_numbers_of_native_tiles_have_to_agree(
    compression: str | None, pixels: NDArray[Any], options: dict[str, Any], tags: dict[str, Any], said: str,
    tmp_path: Path,
) -> None:  # fmt: skip
    """Tiles would lie at wrong places, and each be sound."""
    path = write(tmp_path / "a.tif", pixels, compression=compression, **options)
    with opened_slide(path):
        pass
    edit(path, **tags)
    assert said in refused(path).problem


@pytest.mark.parametrize(
    ("pixels", "options", "tags", "said"),
    [
        (GRAY_16, TILES, {"TileWidth": 48, "ImageWidth": 190}, "48 x 64 px, not compressed: that makes 6,144 bytes"),
        (RGB, STRIPS, {"ImageWidth": 180}, "strips of 180 x 32 px, not compressed: that makes 17,280 bytes for each"),
        (RGB, TILES, {"TileLength": 60, "ImageLength": 240}, "and the file lists 12,288"),
    ],
)
def test_bytes_of_a_native_tile_have_to_agree(
    pixels: NDArray[Any], options: dict[str, Any], tags: dict[str, Any], said: str, tmp_path: Path
) -> None:
    """As many native tiles as before, and each shown aslant."""
    path = write(tmp_path / "a.tif", pixels, **options)
    edit(path, **tags)
    assert said in refused(path).problem


@pytest.mark.parametrize(
    ("compression", "pixels"),
    [("lzw", RGB), ("zlib", RGB), ("zstd", RGB), *((each, GRAY_16) for each in ("lzw", "zlib", "zstd", "lzma"))],
)
def test_a_native_tile_that_is_larger_when_it_is_unpacked_does_not_decode(
    compression: str, pixels: NDArray[Any], tmp_path: Path
) -> None:
    path = write(tmp_path / "a.tif", pixels, compression=compression, **TILES)
    with opened_slide(path) as opened:
        assert opened.read_level(0, 1)[1] == 0
    edit(path, TileWidth=48, ImageWidth=190)
    with opened_slide(path) as opened:
        assert opened.read_level(0, 1)[1] == 16  # else each would be shown aslant


@pytest.mark.parametrize("place", ["chain", "SubIFD"])
def test_a_smaller_level_has_to_agree_too(place: str, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    options: dict[str, Any] = {"photometric": "rgb", "metadata": None, **TILES}
    with tifffile.TiffWriter(path) as file:
        file.write(RGB, subifds=1 if place == "SubIFD" else 0, **options)
        file.write(np.ascontiguousarray(RGB[::2, ::2]), subfiletype=1, **options)
    with tifffile.TiffFile(path, mode="r+") as file:
        small = file.pages[0].pages[0] if place == "SubIFD" else file.pages[1]
        small.tags["ImageWidth"].overwrite(60)
    assert "60 x 128 px" in refused(path).problem


def test_a_label_in_strips_may_be_as_it_is(tmp_path: Path) -> None:
    """It is not shown."""
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as file:
        for pixels, options in ((RGB, TILES), (RGB[:40, :64], {"rowsperstrip": 8})):
            file.write(pixels, photometric="rgb", metadata=None, **options)
    edit(path, page=1, ImageLength=20)
    with opened_slide(path) as opened:
        np.testing.assert_array_equal(opened.read_level(0, 1)[0][..., :3], RGB)


def next_directory(path: Path, page: int) -> tuple[int, int]:
    """Where the directory of a page begins in a classic TIFF, and where the offset of the next one stands."""
    data = path.read_bytes()
    place = 4
    for _ in range(page + 1):
        (start,) = struct.unpack_from("<I", data, place)
        place = start + 2 + 12 * struct.unpack_from("<H", data, start)[0]
    return start, place


@pytest.mark.parametrize(("last", "leads_to"), [(0, 0), (1, 0), (1, 1), (2, 1)])
@pytest.mark.parametrize("storage", [TILES, STRIPS], ids=["tiles", "strips"])
def test_pages_that_lead_back_are_said(last: int, leads_to: int, storage: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as file:
        for page in range(last + 1):
            small = np.ascontiguousarray(RGB[:: 2**page, :: 2**page])
            file.write(small, photometric="rgb", metadata=None, subfiletype=int(page > 0), **storage)
    data = bytearray(path.read_bytes())
    struct.pack_into("<I", data, next_directory(path, last)[1], next_directory(path, leads_to)[0])
    path.write_bytes(data)
    assert f"its pages are a loop: page {last + 1} leads back" in refused(path).problem


@pytest.mark.parametrize("options", [TILES, STRIPS, {"rowsperstrip": 100}, {}], ids=str)
@pytest.mark.parametrize("padding", [-100, 0, 4, 150])
def test_padding_and_missing_bytes_are_no_contradiction(options: dict[str, Any], padding: int, tmp_path: Path) -> None:
    """Byte counts that are rounded up, or one that is too small."""
    path = write(tmp_path / "a.tif", **options)
    (found,) = read_file_pages(path)
    assert contradiction(replace(found.page, counts=found.page.counts + padding)) == ""
