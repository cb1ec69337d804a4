"""Windows of levels against OpenSlide, pixel by pixel: across native tiles, over all borders, on every kind of file."""

from __future__ import annotations

from operator import attrgetter
from pathlib import Path

import numpy as np
import openslide
import pytest
from numpy.typing import NDArray
from PIL import Image
from tiff_cases import CASES, level_cases
from tiff_factory import Case, write_case

from hypoxia_hpc.errors import SlideError
from hypoxia_hpc.slides import sources
from hypoxia_hpc.slides.opening import OpenedSlide, opened_slide
from hypoxia_hpc.slides.tiff import read_tiled_pages
from hypoxia_hpc.tiling.windows import Window

Pixels = NDArray[np.uint8]
# Decoders are tested level by level in test_native_reader: here one case for each, and all that say where pixels lie.
ONE_OF_EACH = {(case.codec, case.vendor): case for case in CASES if case.opens and case.samples == 3}
PLACES = [case for case in CASES if case.name.startswith(("missing-at", "missing-all")) and case.codec != "none"]
READ = [
    case
    for case in {one.name: one for one in (*level_cases(), *PLACES, *ONE_OF_EACH.values())}.values()
    if case.opens and case.openslide_reads
]


def shown(path: Path, window: Window, downsample: int) -> Pixels:
    """A window as OpenSlide alone shows it, on white, uint8 RGB."""
    left, top = max(0, window.left), max(0, window.top)
    size = (window.width + window.left - left, window.height + window.top - top)
    with openslide.OpenSlide(path) as slide:
        rgba = slide.read_region((left * downsample, top * downsample), window.level, size)
    whole = Image.new("RGBA", (window.width, window.height), "white")
    whole.paste(Image.alpha_composite(Image.new("RGBA", size, "white"), rgba), (left - window.left, top - window.top))
    return np.asarray(whole.convert("RGB"))


def as_stored(level: int, left: int, top: int, width: int, height: int) -> Window:
    return Window(level, left, top, width, height, (width, height))


def windows_of(opened: OpenedSlide, level: int) -> tuple[Window, ...]:
    width, height = opened.pyramid.level_sizes[level]
    return (
        as_stored(level, -7, -5, width + 20, height + 20),
        as_stored(level, width // 5, height // 3, width // 2, height // 2),
        as_stored(level, width - 1, height - 1, 9, 9),
        as_stored(level, -9, -9, 10, 10),
    )


@pytest.mark.parametrize("case", READ, ids=attrgetter("name"))
def test_windows_equal_openslide_on_every_level(case: Case, tmp_path: Path) -> None:
    path = write_case(case, tmp_path)
    compared = 0
    with opened_slide(path) as opened:
        for level, downsample in enumerate(opened.pyramid.downsamples):
            if downsample != int(downsample):  # OpenSlide interpolates
                continue
            for window in windows_of(opened, level):
                expected = shown(path, window, int(downsample))
                np.testing.assert_array_equal(opened.read_window(window), expected, err_msg=str(window))
                compared += 1
    assert compared >= 4


def test_only_native_tiles_below_a_window_are_decoded(real_slide: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []

    class Counting(sources.NativeSource):
        def read(self, number: int, out: Pixels) -> int:
            read.append(number)
            return super().read(number, out)

    monkeypatch.setattr(sources, "NativeSource", Counting)
    with opened_slide(real_slide) as opened:
        opened.read_window(as_stored(0, 240, 480, 240, 240))  # native tiles are 240 px wide, ten to a row
        opened.read_window(as_stored(0, 470, 470, 20, 20))
    assert read == [21, 11, 12, 21, 22]


def test_a_damaged_place_is_an_error_and_the_rest_is_read(real_slide: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.svs"
    page = read_tiled_pages(real_slide)[0]
    data = bytearray(real_slide.read_bytes())
    data[page.offsets[0] : page.offsets[0] + page.counts[0]] = bytes(int(page.counts[0]))
    damaged.write_bytes(data)
    rest = as_stored(0, 480, 0, 50, 50)
    with opened_slide(damaged) as opened:
        with pytest.raises(SlideError, match=r"level 0, from \(200, 0\) to \(250, 50\)") as caught:
            opened.read_window(as_stored(0, 200, 0, 50, 50))
        assert caught.value.reason == "unreadable"
        assert np.array_equal(opened.read_window(rest), shown(real_slide, rest, 1))


def test_large_windows_of_openslide_are_read_in_strips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [case] = [case for case in READ if case.name == "levels-lzw-philips-175"]
    path = write_case(case, tmp_path)
    monkeypatch.setattr("hypoxia_hpc.slides.opening.MOST_PX_A_READ", 20_000)
    with opened_slide(path) as opened:
        window = as_stored(1, -3, 5, 340, 230)
        assert opened._page_of(1) is None
        assert np.array_equal(opened.read_window(window), shown(path, window, 2))
