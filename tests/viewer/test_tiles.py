"""Tiles of slides as JPEG: native ones untouched, all others the slide's pixels at their place."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import openslide
import pytest
import tifffile
from PIL import Image

from hypoxia_hpc.errors import SlideError
from hypoxia_hpc.slides.opening import opened_slide
from hypoxia_hpc.viewer import open_slides
from hypoxia_hpc.viewer.open_slides import OpenSlides
from hypoxia_hpc.viewer.pyramid import Place
from hypoxia_hpc.viewer.tiles import THUMBNAIL_PX, KeptBytes, TileMaker
from viewer.viewed_runs import undecodable


def decoded(data: bytes | None) -> np.ndarray:
    assert data is not None
    with Image.open(io.BytesIO(data)) as image:
        assert image.format == "JPEG"
        return np.asarray(image.convert("RGB"))


@pytest.fixture
def maker(real_slide: Path) -> Iterator[TileMaker]:
    with closing(OpenSlides({"real": real_slide})) as slides:
        yield TileMaker(slides)


def test_native_tiles_are_sent_as_they_are(real_slide: Path, maker: TileMaker) -> None:
    zoom = maker.describe("real").zoom
    assert (zoom.size, zoom.tile_px) == ((2220, 2967), 240)
    with tifffile.TiffFile(real_slide) as file:
        offset, count = file.pages[0].dataoffsets[10 * 2 + 3], file.pages[0].databytecounts[10 * 2 + 3]
    held = real_slide.read_bytes()[offset : offset + count]
    sent = maker.tile("real", Place(zoom.last, 3, 2))
    assert maker.kept.nbytes == 0
    scan = held[held.index(b"\xff\xda") :]
    assert sent is not None and sent.endswith(scan), "not a bit of the pixels is changed"
    with opened_slide(real_slide) as slide, openslide.OpenSlide(real_slide) as truth:
        expected = np.asarray(truth.read_region((720, 480), 0, (240, 240)).convert("RGB"))
        assert np.abs(decoded(sent).astype(int) - expected).max() <= 1
        assert slide.own_jpeg(0, 3, 2, 256) is None, "tiles of another size are not"
    cut = maker.tile("real", Place(zoom.last, 9, 12))
    assert decoded(cut).shape == (87, 60, 3) and cut is not None and maker.kept.nbytes == len(cut)


@pytest.mark.parametrize("name", ["CMU-1-Small-Region.svs", "CMU-1-small.tiff"])
def test_every_level_is_the_slide_reduced(name: str, real_slide: Path, shared_slide: Callable[[str], Path]) -> None:
    path = real_slide if real_slide.name == name else shared_slide(name)
    with openslide.OpenSlide(path) as slide:
        whole = slide.read_region((0, 0), 0, slide.dimensions).convert("RGB")
    with closing(OpenSlides({"one": path})) as slides:
        maker = TileMaker(slides)
        zoom = maker.describe("one").zoom
        assert zoom.size == whole.size
        for level in range(zoom.last - 4, zoom.last + 1):
            factor, last = zoom.factor(level), zoom.places(level)[-1]
            reduced = np.asarray(whole.reduce(factor)).astype(int)
            for place in {Place(level, last.column // 2, last.row // 2), last}:
                found = decoded(maker.tile("one", place)).astype(int)
                top, left = place.row * zoom.tile_px, place.column * zoom.tile_px
                expected = reduced[top:, left:][: zoom.tile_px, : zoom.tile_px]
                assert found.shape == expected.shape
                assert np.abs(found - expected).mean() < 8, place


def test_the_first_and_what_is_not_there(maker: TileMaker, tmp_path: Path) -> None:
    assert decoded(maker.tile("real", Place(0, 0, 0))).shape == (1, 1, 3)
    assert maker.tile("real", Place(40, 0, 0)) is None and maker.tile("real", Place(12, 50, 0)) is None
    with pytest.raises(KeyError):
        maker.tile("other", Place(0, 0, 0))
    moved = TileMaker(OpenSlides({"moved": tmp_path / "moved.svs"}))
    with pytest.raises(SlideError, match=r"moved\.svs"):
        moved.describe("moved")


def test_a_slide_that_opens_and_does_not_decode_says_why(real_slide: Path, tmp_path: Path) -> None:
    path = undecodable(real_slide, tmp_path / "damaged.svs")
    with closing(OpenSlides({"damaged": path})) as slides:
        maker = TileMaker(slides)
        for asked in (maker.describe, maker.thumbnail):
            with pytest.raises(SlideError, match=r"damaged\.svs"):
                asked("damaged")
    with tifffile.TiffFile(real_slide) as file:
        offset, count = file.pages[0].dataoffsets[0], file.pages[0].databytecounts[0]
    part = bytearray(real_slide.read_bytes())
    part[offset : offset + count] = bytes(count)
    path.write_bytes(part)
    with closing(OpenSlides({"damaged": path})) as slides:
        assert TileMaker(slides).describe("damaged").zoom.size == (2220, 2967), "the rest of it is shown"


def test_the_thumbnail(maker: TileMaker) -> None:
    assert max(decoded(maker.thumbnail("real")).shape) == THUMBNAIL_PX


def test_few_slides_stay_open(real_slide: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_slides, "MOST_OPEN", 2)
    slides = OpenSlides(dict.fromkeys("abcde", real_slide))
    with slides.borrowed("a") as first:
        for key in "bcde":
            with slides.borrowed(key):
                pass
        with slides.borrowed("a") as again:
            assert again is first, "one in use stays open"
    assert len(slides._open) == 2
    closed = {key for key in "abcde" if key not in slides._open}
    assert len(closed) == 3
    with slides.borrowed(min(closed)) as again:
        assert again.overview().shape[2] == 3
    slides.close()
    assert not slides._open


def test_what_is_kept_is_bounded() -> None:
    kept, names = KeptBytes(100), [("a", Place(number, 0, 0)) for number in range(9)]
    for name in names:
        kept.put(name, b"x" * 30)
        kept.get(names[0])
    assert [name for name in names if kept.get(name)] == [names[0], *names[7:]], "what was asked for last stays"
    assert kept.nbytes == 90
    kept.put(("b", Place(0, 0, 0)), b"x" * 101)
    assert kept.nbytes == 0 and kept.get(names[8]) is None
