"""The native reader against OpenSlide: every level of every case, pixel by pixel, and who reads which."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from operator import attrgetter
from pathlib import Path

import numpy as np
import openslide
import pytest
import zarr
from numpy.typing import NDArray
from PIL import Image
from tiff_cases import CASES, container_cases, level_cases, sparse_cases
from tiff_factory import MPP, Case, level_pixels, write_case

from hypoxia_hpc.config import TileTable
from hypoxia_hpc.errors import SlideError
from hypoxia_hpc.records import Slide
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.slides.opening import opened_slide
from hypoxia_hpc.slides.sources import find_page
from hypoxia_hpc.slides.tiff import TiffPage, read_tiled_pages
from hypoxia_hpc.stages.tile import TileStage

Pixels = NDArray[np.uint8]
OPENING = [case for case in CASES if case.opens]


def whole_level(path: Path, level: int) -> Pixels:
    """A level as OpenSlide alone shows it, on white, uint8 RGB; from (0, 0), which is whole on any level."""
    with openslide.OpenSlide(path) as slide:
        rgba = slide.read_region((0, 0), level, slide.level_dimensions[level])
    return np.asarray(Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB"))


def truth(case: Case, path: Path, level: int) -> Pixels:
    """What OpenSlide shows; what was written, where this OpenSlide does not read what others do."""
    return whole_level(path, level) if case.openslide_reads else level_pixels(case.levels[level], level)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Case], Path]:
    """The file of a case, written once: half of what a test of it takes, and none changes it."""
    folder, paths = tmp_path_factory.mktemp("cases"), dict[str, Path]()

    def path_of(case: Case) -> Path:
        if case.name not in paths:
            paths[case.name] = write_case(case, folder)
        return paths[case.name]

    return path_of


def test_the_cases_have_names_of_their_own() -> None:
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", OPENING, ids=attrgetter("name"))
def test_every_level_equals_openslide(case: Case, written: Callable[[Case], Path]) -> None:
    path = written(case)
    with openslide.OpenSlide(path) as slide:
        assert slide.properties["openslide.vendor"] == case.vendor
        assert slide.level_count == len(case.levels)
    with opened_slide(path) as opened:
        for level in range(len(case.levels)):
            if case.samples == 4:
                continue  # partial alpha is composited: tests/tiling
            if not case.openslide_reads:
                with pytest.raises(openslide.OpenSlideError):
                    whole_level(path, level)
            image, unreadable = opened.read_level(level, 1)
            assert unreadable == 0
            np.testing.assert_array_equal(image[..., :3], truth(case, path, level), err_msg=f"level {level}")


@pytest.mark.parametrize("name", ["CMU-1-Small-Region.svs", "CMU-1-small.tiff", "yb10kx5k.zstd.tiff"])
def test_real_slides_are_read_natively_and_equal_openslide(shared_slide: Callable[[str], Path], name: str) -> None:
    path = shared_slide(name)
    pages = read_tiled_pages(path)
    with opened_slide(path) as opened:
        for level in range(len(opened.pyramid.level_sizes)):
            assert isinstance(find_page(pages, opened.pyramid, level), TiffPage)
            image, unreadable = opened.read_level(level, 1)
            assert unreadable == 0
            assert np.array_equal(image[..., :3], whole_level(path, level)), f"level {level}"


@pytest.mark.parametrize("case", OPENING, ids=attrgetter("name"))
def test_who_reads_which_level(case: Case, written: Callable[[Case], Path]) -> None:
    """What is native stays native, what is not stays OpenSlide's: neither set can change unseen."""
    path = written(case)
    pages = read_tiled_pages(path)
    with opened_slide(path) as opened:
        pyramid = opened.pyramid
    found = {level: find_page(pages, pyramid, level) for level in range(len(case.levels))}
    assert tuple(level for level, page in found.items() if isinstance(page, TiffPage)) == case.native_levels
    assert all(found[level] for level in found), "a reason is missing"


PLACED = [case for case in (*container_cases(), *level_cases(), *sparse_cases()) if case.opens]


@pytest.mark.parametrize("case", PLACED, ids=attrgetter("name"))
def test_tiles_lie_where_the_plan_says(case: Case, written: Callable[[Case], Path], tmp_path: Path) -> None:
    """Through the whole stage, every level read for its own resolution: the store's tiles are the level's squares."""
    path = written(case)
    for level, (width, _) in enumerate(sorted(case.levels, reverse=True)[:2]):
        table = TileTable(tile_px=48, mpp=MPP * case.levels[0][0] / width, max_background=1.0, screen="off")
        work, slide = TileStage(RunDir(tmp_path / str(level)), table), Slide("a", path, "p", 1)
        made = work.make(slide, work.key(slide), lambda n: None)
        assert made.reader.startswith("native" if level in case.native_levels else "openslide")
        store = zarr.open_group(work.target(slide), mode="r")
        assert store.attrs["plan"]["level"] == level
        shown, side = truth(case, path, level), 48
        places = [(y, x) for y in range(0, len(shown) - 47, 48) for x in range(0, shown.shape[1] - 47, 48)]
        expected = np.array([shown[y : y + side, x : x + side] for y, x in places])
        np.testing.assert_array_equal(store["pixels"][:], expected, err_msg=f"level {level}")


REFUSED = ("strips-philips", "levels-unsorted-aperio", "jp2k-ycbcr-philips", "jp2k-rgb-philips")


@pytest.mark.parametrize("case", [case for case in CASES if not case.opens], ids=attrgetter("name"))
def test_what_openslide_does_not_open_is_read_natively_or_refused(case: Case, tmp_path: Path) -> None:
    """Other byte orders, strips, JPEG 2000 without a vendor: the pixels of a twin that OpenSlide opens. A vendor's file
    that OpenSlide refuses is refused."""
    path = write_case(case, tmp_path)
    with pytest.raises(openslide.OpenSlideError):
        openslide.OpenSlide(path)
    if case.name in REFUSED:
        with pytest.raises(SlideError) as caught, opened_slide(path):
            pass
        assert caught.value.reason == "not-a-slide"
        return
    vendor = "aperio" if case.codec.startswith("jp2k") else "generic-tiff"
    twin = write_case(replace(case, name="twin", order="<", vendor=vendor, stripped=False), tmp_path)
    with opened_slide(path) as opened, opened_slide(twin) as other:
        assert opened.pyramid.level_sizes == case.levels
        assert (opened.pyramid.vendor, other.pyramid.vendor) == ("tiff", vendor)
        np.testing.assert_array_equal(opened.read_level(0, 1)[0][..., :3], other.read_level(0, 1)[0][..., :3])
