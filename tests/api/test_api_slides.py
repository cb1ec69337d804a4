"""Open slides: what the header says, and regions that are those of OpenSlide and of tiles, pixel by pixel."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import naive
import numpy as np
import openslide
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

import hypoxia_hpc as hx
from hypoxia_hpc.synthetic.svs import write_svs

Pixels = NDArray[np.uint8]


def shown(path: Path, xy_l0: tuple[int, int], level: int, size: tuple[int, int]) -> Pixels:
    """A region as OpenSlide alone shows it, on white, uint8 RGB."""
    with openslide.OpenSlide(path) as slide:
        rgba = slide.read_region(xy_l0, level, size)
    return np.asarray(Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB"))


@pytest.fixture(scope="module")
def pyramid(real_slide: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """700 x 520 px of 0.5 µm, and a level at a quarter of it."""
    path = tmp_path_factory.mktemp("pyramid") / "pyramid.svs"
    write_svs(path, shown(real_slide, (700, 900), 0, (700, 520)), 0.5)
    return path


# --- the header --------------------------------------------------------------------------------------------------


def test_a_real_slide_says_what_it_is(real_slide: Path) -> None:
    with hx.open_slide(real_slide) as slide:
        assert (slide.size, slide.mpp, slide.mpp_source, slide.vendor) == ((2220, 2967), 0.499, "slide", "aperio")
        assert slide.levels == (hx.Level((2220, 2967), 1.0, 0.499),)
        assert repr(slide) == "<Slide CMU-1-Small-Region.svs: 2220 x 2967 px, 0.499 µm/px (from slide), 1 level>"


def test_every_level_has_its_resolution(pyramid: Path) -> None:
    with hx.open_slide(str(pyramid)) as slide:
        assert slide.levels == (hx.Level((700, 520), 1.0, 0.5), hx.Level((175, 130), 4.0, 2.0))


def test_what_the_caller_says_of_the_resolution_goes_first(pyramid: Path) -> None:
    with hx.open_slide(pyramid, mpp=0.25) as slide:
        assert (slide.mpp, slide.mpp_source) == (0.25, "manifest")
        assert slide.read_region((0, 0), 10, mpp=0.5).shape == (10, 10, 3)


def test_a_slide_that_does_not_say_has_none(tmp_path: Path) -> None:
    path = tmp_path / "plain.tiff"
    tifffile.imwrite(path, np.full((256, 256, 3), 9, np.uint8), tile=(128, 128), photometric="rgb")
    with hx.open_slide(path) as slide:
        assert (slide.mpp, slide.mpp_source, slide.levels[0].mpp) == (None, None, None)
        assert "mpp unknown" in repr(slide)
        assert "mpp unknown" in slide._repr_html_()
        assert (slide.read_region((0, 0), 8) == 9).all()
        with pytest.raises(hx.SlideError, match="no objective power") as caught:
            slide.read_region((0, 0), 8, mpp=1.0)
    assert caught.value.reason == "no-mpp"
    assert "open_slide(path, mpp=" in caught.value.remedy


def test_a_notebook_shows_the_header_and_a_picture(real_slide: Path, tmp_path: Path) -> None:
    odd = tmp_path / "<b>&.svs"
    odd.symlink_to(real_slide)
    with hx.open_slide(odd) as slide:
        page = slide._repr_html_()
        assert "2220 x 2967 px" in page
        assert "&lt;b&gt;&amp;.svs" in page
        assert "<b>" not in page
        assert page.count('src="data:image/jpeg;base64,') == 1 and len(page) < 300_000
    assert "<img" not in slide._repr_html_() and "The slide is closed" in slide._repr_html_()


def test_a_thumbnail_is_the_whole_slide(real_slide: Path) -> None:
    with hx.open_slide(real_slide) as slide, openslide.OpenSlide(real_slide) as truth:
        found = slide.thumbnail(100)
        assert found.shape == (100, 75, 3)
        assert np.array_equal(found, np.asarray(truth.get_thumbnail((100, 100)).convert("RGB")))


# --- regions -----------------------------------------------------------------------------------------------------


def test_without_mpp_it_is_level_0(real_slide: Path) -> None:
    with hx.open_slide(real_slide) as slide:
        found = slide.read_region((1000, 2000), (300, 200))
    assert np.array_equal(found, shown(real_slide, (1000, 2000), 0, (300, 200)))


@pytest.mark.parametrize(("mpp", "level", "source"), [(0.7, 0, (56, 84)), (1.0, 0, (80, 120)), (2.6, 1, (52, 78))])
def test_between_levels_pixels_are_exact_means(pyramid: Path, mpp: float, level: int, source: tuple[int, int]) -> None:
    """Also where the slide has the pixels of 1.0 µm at no level: they are means of two by two."""
    with hx.open_slide(pyramid) as slide:
        found = slide.read_region((32, 48), (40, 60), mpp=mpp)
    stored = shown(pyramid, (32, 48), level, source)
    np.testing.assert_array_equal(found, naive.averaged_rectangle(stored, 60, 40))


@pytest.mark.parametrize(("mpp", "level"), [(0.5, 0), (0.505, 0), (1.98, 1), (2.03, 1)])
def test_what_is_close_to_a_level_is_that_level(pyramid: Path, mpp: float, level: int) -> None:
    with hx.open_slide(pyramid) as slide:
        found = slide.read_region((40, 80), (50, 30), mpp=mpp)
    assert np.array_equal(found, shown(pyramid, (40, 80), level, (50, 30)))


def test_what_lies_outside_is_white(pyramid: Path) -> None:
    with hx.open_slide(pyramid) as slide:
        found = slide.read_region((-20, 500), (60, 40))
    assert np.array_equal(found[:20, 20:], shown(pyramid, (0, 500), 0, (40, 20)))
    assert (found[20:] == 255).all()
    assert (found[:, :20] == 255).all()


@pytest.mark.parametrize("settings", [{"mpp": 0.5}, {"mpp": 1.0}, {"mpp": 0.83}, {"mpp": 4.0}])
def test_a_tile_is_the_region_where_it_lies(pyramid: Path, settings: dict[str, float]) -> None:
    with hx.open_slide(pyramid) as slide:
        tiles = hx.tile(slide, tile_px=31, max_background=1.0, **settings)
        for (x, y), pixels in zip(tiles.xy_l0, tiles.pixels[:], strict=True):
            np.testing.assert_array_equal(slide.read_region((x, y), 31, mpp=settings["mpp"]), pixels)


# --- bad input ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((2220, 0), 10), r"from \(2220, 0\) on lies outside the slide, which has 2220 x 2967 px"),
        (((0, -10), 10), "lies outside the slide"),
        (((0.5, 0), 10), "xy_l0 = 0.5: must be a whole number"),
        ((7, 10), "xy_l0 = 7: must be two whole numbers"),
        (((0, 0), (10, 10, 3)), "must be two whole numbers"),
        (((0, 0), (0, 10)), r"size_px = \(0, 10\): must be 1 or more"),
        (((0, 0), 2.5), "size_px = 2.5: must be a whole number"),
        (((0, 0), 10, 0.48), "mpp = 0.48: the slide has 0.499 µm/px"),
        (((0, 0), 10, -1.0), "mpp = -1.0: the slide has 0.499 µm/px"),
        (((0, 0), 10, float("nan")), "mpp = nan: the slide has 0.499 µm/px"),
        (((0, 0), 10001), r"reads 10001 x 10001 px of level 0: more than 100,000,000"),
        (((0, 0), 2600, 2.0), r"reads 10400 x 10400 px of level 0"),
    ],
)
def test_a_region_that_cannot_be(real_slide: Path, arguments: tuple[object, ...], message: str) -> None:
    with hx.open_slide(real_slide) as slide, pytest.raises(hx.InputError, match=message) as caught:
        slide.read_region(*arguments)  # type: ignore[arg-type]
    assert caught.value.remedy


def test_whole_numbers_may_be_those_of_numpy(real_slide: Path) -> None:
    with hx.open_slide(real_slide) as slide:
        found = slide.read_region(np.array([5, 6]), np.int64(7))  # type: ignore[arg-type]
        assert np.array_equal(found, slide.read_region((5, 6), (7, 7)))


@pytest.mark.parametrize("mpp", [0, -1, 0.009, 20.1, float("nan")])
def test_a_resolution_that_cannot_be(real_slide: Path, mpp: float) -> None:
    with pytest.raises(hx.InputError, match=r"must be 0\.01 to 20 µm"):
        hx.open_slide(real_slide, mpp=mpp)


@pytest.mark.parametrize("px", [0, 10_001])
def test_a_thumbnail_that_cannot_be(real_slide: Path, px: int) -> None:
    with hx.open_slide(real_slide) as slide, pytest.raises(hx.InputError, match="must be from 1 to 10,000"):
        slide.thumbnail(px)


@pytest.mark.parametrize(
    ("name", "reason", "remedy"),
    [
        ("none.svs", "missing-file", "check the path: it has to name the file of a slide"),
        ("x" * 300, "missing-file", "check the path: it has to name the file of a slide"),
        ("a\0b.svs", "missing-file", "check the path: it has to name the file of a slide"),
        (".", "not-a-slide", "check the path: it has to name the file of a slide"),
        ("text.svs", "not-a-slide", "check that it was downloaded whole"),
    ],
)
def test_files_that_are_no_slides(tmp_path: Path, name: str, reason: str, remedy: str) -> None:
    (tmp_path / "text.svs").write_text("no slide")
    for ask in (hx.open_slide, hx.tile):
        with pytest.raises(hx.SlideError) as caught:
            ask(tmp_path / name)
        assert caught.value.reason == reason
        assert caught.value.remedy.startswith(remedy)


def test_home_is_filled_in(real_slide: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(real_slide.parent))
    with hx.open_slide(f"~/{real_slide.name}") as slide:
        assert slide.path == real_slide
    with pytest.raises(hx.InputError, match=r"open_slide names '~no-user/x\.svs', and ~no-user is no user's home"):
        hx.open_slide("~no-user/x.svs")


@pytest.mark.parametrize("kept", ["slide.itself = slide", "hx.kept = slide", "os.kept = slide"])
def test_a_slide_that_is_left_open_is_closed_at_exit_in_silence(real_slide: Path, kept: str) -> None:
    """Also where it lives longer than the modules that close it need."""
    code = (
        f"import os, sys, hypoxia_hpc as hx; slide = hx.open_slide(sys.argv[1]); slide.read_region((0, 0), 9); {kept}"
    )
    done = subprocess.run([sys.executable, "-c", code, real_slide], capture_output=True, text=True, check=True)
    assert done.stderr == ""


def test_a_slide_that_nothing_refers_to_is_closed(real_slide: Path) -> None:
    before = {*Path("/proc/self/fd").iterdir()}
    slide = hx.open_slide(real_slide)
    assert {*Path("/proc/self/fd").iterdir()} > before
    del slide
    assert {*Path("/proc/self/fd").iterdir()} <= before


def test_a_closed_slide_says_so(real_slide: Path) -> None:
    slide = hx.open_slide(real_slide)
    slide.close()
    slide.close()
    assert slide.size == (2220, 2967)
    for read in (lambda: slide.thumbnail(9), lambda: slide.read_region((0, 0), 9), lambda: hx.tile(slide)):
        with pytest.raises(hx.InputError, match="is closed"):
            read()
