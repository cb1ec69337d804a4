"""What [tile] offers beside the rule itself, on slide files: masks, regions, screening, codecs, no pixels, damage."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import openslide
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from hypoxia_hpc.config import TileTable
from hypoxia_hpc.errors import SlideError
from hypoxia_hpc.records import Slide, Tiles
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.slides import opening
from hypoxia_hpc.slides.opening import opened_slide
from hypoxia_hpc.slides.reread import slide_pixels
from hypoxia_hpc.stages.tile import TileStage
from hypoxia_hpc.stores.integrity import content_of
from hypoxia_hpc.stores.tiles import open_tiles, read_pixels
from hypoxia_hpc.synthetic.slides import SyntheticSlide, render_slide
from hypoxia_hpc.synthetic.svs import shrink, write_svs
from hypoxia_hpc.tiling import cutting
from hypoxia_hpc.tiling.cutting import UnreadableBlockError
from hypoxia_hpc.tiling.plan import plan_tiles

Pixels = NDArray[np.uint8]


@pytest.fixture(scope="module")
def pyramid_slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A synthetic slide of 3,000 x 2,600 px with a level at a quarter of the size."""
    path = tmp_path_factory.mktemp("slides") / "a.svs"
    write_svs(path, render_slide(SyntheticSlide(3, 0.3, True, (3000, 2600))), 0.5)
    return path


def cut(path: Path, folder: Path, **options: Any) -> Tiles:
    work, slide = TileStage(RunDir(folder), TileTable(**options)), Slide("a", path, "p", 1)
    work.make(slide, work.key(slide), lambda tiles: None)
    return open_tiles(work.target(slide))


def pixels_of(tiles: Tiles) -> Pixels:
    return read_pixels(tiles, 0, len(tiles.xy))


def assert_same_tiles(one: Tiles, other: Tiles) -> None:
    np.testing.assert_array_equal(one.xy, other.xy)
    np.testing.assert_array_equal(one.background, other.background)
    np.testing.assert_array_equal(pixels_of(one), pixels_of(other))
    assert one.attributes["counts"] == other.attributes["counts"]


# --- screening, reduction, packing -------------------------------------------------------------------------------


@pytest.mark.parametrize("tile_px", [299, 100])
def test_screening_changes_nothing(pyramid_slide: Path, tmp_path: Path, tile_px: int) -> None:
    full, exact, fast = (cut(pyramid_slide, tmp_path / s, screen=s, tile_px=tile_px) for s in ("off", "exact", "fast"))
    assert 0 < len(full.xy) < full.attributes["counts"]["planned"]
    assert_same_tiles(full, exact)
    assert fast.attributes["plan"]["screen_level"] == 1
    assert_same_tiles(full, fast)


@pytest.mark.parametrize("screen", ["off", "exact"])
@pytest.mark.parametrize("options", [{"tile_px": 100}, {"tile_px": 100, "mpp": 1.0}, {"tile_px": 60, "mpp": 0.7}])
def test_threads_change_nothing(
    pyramid_slide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, screen: str, options: dict[str, Any]
) -> None:
    monkeypatch.setattr(cutting, "LEAST_STRIP", 2)
    stores = set()
    for threads in (1, 3):
        work = TileStage(RunDir(tmp_path / str(threads)), TileTable(screen=screen, **options), threads)
        slide = Slide("a", pyramid_slide, "p", 1)
        told = work.make(slide, work.key(slide), lambda tiles: None)
        assert told.threads == threads
        stores.add(content_of(work.target(slide)))
    assert len(stores) == 1


@pytest.mark.parametrize("max_background", [0.5, 0.8, 1.0])
def test_fast_screening_goes_by_the_limit(pyramid_slide: Path, tmp_path: Path, max_background: float) -> None:
    options = {"max_background": max_background}
    exact, fast = (cut(pyramid_slide, tmp_path / s, screen=s, **options) for s in ("exact", "fast"))
    np.testing.assert_array_equal(exact.xy, fast.xy)


def test_fast_screening_without_a_coarse_level_is_exact(real_slide: Path, tmp_path: Path) -> None:
    fast = cut(real_slide, tmp_path / "fast", screen="fast")
    assert fast.attributes["plan"]["screen_level"] is None
    assert_same_tiles(fast, cut(real_slide, tmp_path / "off", screen="off"))


def test_the_decoder_reduces_nearly_as_averaging_does(tmp_path: Path) -> None:
    path = tmp_path / "40x.svs"
    write_svs(path, render_slide(SyntheticSlide(4, 0.3, True, (2600, 2600))), 0.25)
    area, decoder = (cut(path, tmp_path / reduce, reduce=reduce) for reduce in ("area", "decoder"))
    assert (area.attributes["plan"]["reduced_by"], decoder.attributes["plan"]["reduced_by"]) == ("area", "decoder")
    np.testing.assert_array_equal(area.xy, decoder.xy)
    difference = pixels_of(area).astype(float) - pixels_of(decoder)
    assert 0 < np.abs(difference).mean() < 1.5
    assert not np.array_equal(pixels_of(area), pixels_of(decoder))


@pytest.mark.parametrize("reduce", ["area", "decoder"])
def test_blocks_that_do_not_line_up_are_averaged_tile_by_tile(tmp_path: Path, reduce: str) -> None:
    """1.5 times the target's resolution: no whole factor, so only exact averaging can do it."""
    path = tmp_path / "30x.svs"
    write_svs(path, render_slide(SyntheticSlide(5, 0.3, True, (1900, 1900))), 0.5 / 1.5)
    tiles = cut(path, tmp_path / "run", reduce=reduce)
    assert tiles.attributes["plan"]["reduced_by"] == "area"
    assert len(tiles.xy) > 0


@pytest.mark.parametrize("codec", ["lz4", "zstd"])
def test_lossless_codecs_keep_every_pixel(real_slide: Path, tmp_path: Path, codec: str) -> None:
    assert_same_tiles(cut(real_slide, tmp_path / codec, codec=codec), cut(real_slide, tmp_path / "none"))


def test_jpeg_changes_pixels_a_little(real_slide: Path, tmp_path: Path) -> None:
    jpeg, raw = cut(real_slide, tmp_path / "jpeg", codec="jpeg"), cut(real_slide, tmp_path / "raw")
    np.testing.assert_array_equal(jpeg.background, raw.background)
    difference = np.abs(pixels_of(jpeg).astype(int) - pixels_of(raw))
    assert 0 < difference.mean() < 4


# --- no pixels in the store --------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"mpp": 1.0, "reduce": "decoder"}, {"mpp": 0.7}])
def test_pixels_that_are_not_kept_are_read_from_the_slide_again(
    pyramid_slide: Path, tmp_path: Path, options: dict[str, Any]
) -> None:
    kept, bare = (
        cut(pyramid_slide, tmp_path / "kept", **options),
        cut(pyramid_slide, tmp_path / "bare", pixels="none", **options),
    )
    assert bare.pixels is None
    np.testing.assert_array_equal(bare.xy, kept.xy)
    expected, n = pixels_of(kept), len(kept.xy)
    with slide_pixels(pyramid_slide, TileTable(**options), None, bare.xy) as read:
        found = [read(start, min(start + 4, n)) for start in range(0, n, 4)]
    np.testing.assert_array_equal(np.concatenate(found), expected)


def test_a_slide_whose_plan_has_no_such_tile_is_refused(real_slide: Path) -> None:
    xy = np.array([[0, 0], [300, 0]])
    with (
        pytest.raises(SlideError, match="has no tile where its store says one is") as caught,
        slide_pixels(real_slide, TileTable(), None, xy),
    ):
        pass
    assert caught.value.reason == "slide-changed"


# --- masks and regions -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["otsu", "watershed"])
def test_a_tissue_mask_leaves_out_glass_before_it_is_decoded(pyramid_slide: Path, tmp_path: Path, method: str) -> None:
    without = cut(pyramid_slide, tmp_path / "without")
    masked = cut(pyramid_slide, tmp_path / "with", tissue=method, min_tissue=0.5)
    counts = masked.attributes["counts"]
    assert counts["masked"] > 0.3 * counts["planned"]
    assert {tuple(xy) for xy in masked.xy.tolist()} <= {tuple(xy) for xy in without.xy.tolist()}
    assert len(masked.xy) > 0.8 * len(without.xy)
    nothing = cut(pyramid_slide, tmp_path / "all", tissue=method, min_tissue=0.0)
    assert_same_tiles(nothing, without)


def qupath(path: Path, rings: list[list[tuple[float, float]]]) -> None:
    features = [
        {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [ring]}, "properties": {}} for ring in rings
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))


def test_regions_include_or_exclude(pyramid_slide: Path, tmp_path: Path) -> None:
    x0, y0, x1, y1 = 900, 600, 2200, 1900
    qupath(tmp_path / "a.geojson", [[(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)]])
    everywhere = cut(pyramid_slide, tmp_path / "none")
    shares = [
        max(0, min(x + 299, x1) - max(x, x0)) * max(0, min(y + 299, y1) - max(y, y0)) / 299**2
        for x, y in everywhere.xy.tolist()
    ]
    options = {"regions": str(tmp_path), "min_region": 0.75}
    inside = cut(pyramid_slide, tmp_path / "in", **options)
    outside = cut(pyramid_slide, tmp_path / "out", **options, regions_rule="exclude")
    every = everywhere.xy.tolist()
    assert inside.xy.tolist() == [xy for xy, share in zip(every, shares, strict=True) if share >= 0.75]
    assert outside.xy.tolist() == [xy for xy, share in zip(every, shares, strict=True) if 1 - share >= 0.75]
    assert len(inside.xy) and len(outside.xy)


def test_regions_enter_the_key_by_their_content(pyramid_slide: Path, tmp_path: Path) -> None:
    work, slide = TileStage(RunDir(tmp_path), TileTable(regions=str(tmp_path))), Slide("a", pyramid_slide, "p", 1)
    with pytest.raises(SlideError) as caught:
        work.key(slide)
    assert caught.value.reason == "no-regions"
    qupath(tmp_path / "a.geojson", [[(0, 0), (9, 0), (9, 9), (0, 0)]])
    first = work.key(slide)
    qupath(tmp_path / "a.geojson", [[(0, 0), (9, 0), (9, 8), (0, 0)]])
    assert work.key(slide) != first
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    qupath(elsewhere / "a.geojson", [[(0, 0), (9, 0), (9, 9), (0, 0)]])
    assert TileStage(RunDir(tmp_path), TileTable(regions=str(elsewhere))).key(slide) == first


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("factor", [1, 2, 4, 8, 16, 32])
def test_a_level_is_seen_at_any_power_of_two(
    pyramid_slide: Path, monkeypatch: pytest.MonkeyPatch, factor: int, native: bool
) -> None:
    """Native tiles of 240 px divide by 16, so 32 is reached in two steps."""
    with openslide.OpenSlide(pyramid_slide) as slide:
        whole = np.asarray(slide.read_region((0, 0), 0, slide.dimensions).convert("RGB"))
    expected = shrink(whole, factor) if factor < 32 else shrink(shrink(whole, 16), 2)
    with opened_slide(pyramid_slide) as opened:
        if not native:
            monkeypatch.setattr(opened, "_pages", "not asked")
        image, unreadable = opened.read_level(0, factor)
    assert unreadable == 0
    np.testing.assert_array_equal(image[..., :3], expected)


def test_a_large_slide_without_a_coarse_level_is_seen_in_bounded_memory(
    pyramid_slide: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Native tiles of 240 px do not divide by 32; were the level too large for a step between, OpenSlide reads it."""
    monkeypatch.setattr(opening, "MOST_SEEN_PX", 1000)
    monkeypatch.setattr(opening, "read_native_page", None)
    with opened_slide(pyramid_slide) as opened:
        image, _ = opened.read_level(0, 32)
    assert image.shape == (2600 // 32, 3000 // 32, 4)


def test_regions_that_hold_no_tile_are_named(pyramid_slide: Path, tmp_path: Path) -> None:
    qupath(tmp_path / "a.geojson", [[(0, 0), (9, 0), (9, 9), (0, 0)]])
    with pytest.raises(SlideError, match="all 80 tiles are masked") as caught:
        cut(pyramid_slide, tmp_path / "run", regions=str(tmp_path))
    assert "regions" in caught.value.remedy


def test_regions_beside_the_slide_are_said_as_that(pyramid_slide: Path, tmp_path: Path) -> None:
    qupath(tmp_path / "a.geojson", [[(90000, 0), (90009, 0), (90009, 9), (90000, 0)]])
    for rule in ("include", "exclude"):
        with pytest.raises(SlideError, match="every region lies beside the slide") as caught:
            cut(pyramid_slide, tmp_path / rule, regions=str(tmp_path), regions_rule=rule)
        assert caught.value.reason == "bad-regions"


@pytest.mark.parametrize("size", [60, 120, 239, 480])
def test_a_jpeg_of_another_size_is_unreadable_at_any_reduction(tmp_path: Path, size: int) -> None:
    """The decoder's own half of 480 px would be just as large as half of 240 should be."""
    good = render_slide(SyntheticSlide(6, 0.3, True, (1300, 1300)))
    path = tmp_path / "a.svs"
    write_svs(path, good, 0.25)
    with tifffile.TiffFile(path) as file:
        offset, nbytes = file.pages[0].dataoffsets[14], file.pages[0].databytecounts[14]
    data = bytearray(path.read_bytes())
    buffer = io.BytesIO()
    Image.new("RGB", (size, size), "purple").save(buffer, "JPEG", quality=20)
    data[offset : offset + nbytes] = buffer.getvalue().ljust(nbytes, b"\0")
    path.write_bytes(data)
    for reduce in ("area", "decoder"):
        with pytest.raises(SlideError, match=f"a JPEG of {size} x {size} px") as caught:
            cut(path, tmp_path / reduce, reduce=reduce, max_background=1.0)
        assert caught.value.reason == "unreadable"


def test_a_damaged_header_costs_no_other_native_tile(tmp_path: Path) -> None:
    """It has a segment that the others have not, so that what they begin with would be cut off in the wrong place."""
    path = tmp_path / "a.svs"
    write_svs(path, render_slide(SyntheticSlide(6, 0.3, True, (1300, 1300))), 0.5)
    with tifffile.TiffFile(path) as file:
        offset, nbytes = file.pages[0].dataoffsets[14], file.pages[0].databytecounts[14]
    data = bytearray(path.read_bytes())
    buffer = io.BytesIO()
    Image.new("RGB", (239, 239), "purple").save(buffer, "JPEG", quality=20)
    more = b"\xff\xd8\xff\xe1\x00\x20" + bytes(30) + buffer.getvalue()[2:]
    data[offset : offset + nbytes] = more.ljust(nbytes, b"\0")
    path.write_bytes(data)
    with opened_slide(path) as opened:
        plan = plan_tiles(opened.pyramid, TileTable(), None)
        [source] = opened.sources(plan, opened.reading(plan, "area"), np.ones(plan.n_tiles, dtype=bool))
        out, unreadable = np.empty((240, 240, 4), dtype=np.uint8), []
        for number in range(source.grid.columns * source.grid.rows):
            try:
                source.read(number, out)
            except UnreadableBlockError:
                unreadable.append(number)
    assert unreadable == [14]


# --- damage ------------------------------------------------------------------------------------------------------


def break_native_tiles(path: Path, target: Path, numbers: list[int]) -> Path:
    """A copy whose level 0 has zeros for these native tiles."""
    with tifffile.TiffFile(path) as file:
        page = file.pages[0]
        places = [(page.dataoffsets[number], page.databytecounts[number]) for number in numbers]
    data = bytearray(path.read_bytes())
    for offset, nbytes in places:
        data[offset : offset + nbytes] = bytes(nbytes)
    target.write_bytes(data)
    return target


@pytest.mark.parametrize("screen", ["off", "exact"])
def test_a_broken_native_tile_costs_the_tiles_that_need_it(pyramid_slide: Path, tmp_path: Path, screen: str) -> None:
    """Native tile (row 5, column 6) is in the tissue, (0, 0) on glass."""
    broken = break_native_tiles(pyramid_slide, tmp_path / "broken.svs", [5 * 13 + 6, 0])
    whole = cut(pyramid_slide, tmp_path / "whole", screen=screen)
    tiles = cut(broken, tmp_path / "run", screen=screen, max_unreadable=0.1)
    needs = [x < 7 * 240 and x + 299 > 6 * 240 and y < 6 * 240 and y + 299 > 5 * 240 for x, y in whole.xy.tolist()]
    assert sum(needs) == 2
    keep = ~np.array(needs)
    np.testing.assert_array_equal(tiles.xy, whole.xy[keep])
    np.testing.assert_array_equal(pixels_of(tiles), pixels_of(whole)[keep])
    counts, before = tiles.attributes["counts"], whole.attributes["counts"]
    assert counts == {**before, "kept": before["kept"] - sum(needs), "unreadable": sum(needs)}


def test_too_many_broken_tiles_quarantine_the_slide(pyramid_slide: Path, tmp_path: Path) -> None:
    broken = break_native_tiles(pyramid_slide, tmp_path / "broken.svs", [5 * 13 + 6])
    with pytest.raises(
        SlideError, match=r"2 of 80 tiles do not decode.*\(1196, 1196\).*native-jpeg\): no JPEG"
    ) as caught:
        cut(broken, tmp_path / "run")
    assert caught.value.reason == "unreadable"


def test_openslide_goes_on_after_a_broken_native_tile(pyramid_slide: Path, tmp_path: Path) -> None:
    """A palette image is read through OpenSlide, whose handle is dead after an error."""
    with tifffile.TiffFile(pyramid_slide) as file:
        rgb = file.pages[0].asarray()
    gray = np.asarray(Image.fromarray(rgb).convert("L"))
    path = tmp_path / "gray.tiff"
    tifffile.imwrite(path, gray, tile=(256, 256), photometric="minisblack", compression="zlib", metadata=None)
    whole = cut(path, tmp_path / "whole", default_mpp=0.5)
    assert whole.attributes["plan"]["reader"] == "openslide"
    assert whole.attributes["plan"]["why_not_native"]
    n_across = -(-gray.shape[1] // 256)
    broken = break_native_tiles(path, tmp_path / "broken.tiff", [5 * n_across + 5])
    tiles = cut(broken, tmp_path / "run", default_mpp=0.5, max_unreadable=0.2)
    needs = [x < 6 * 256 and x + 299 > 5 * 256 and y < 6 * 256 and y + 299 > 5 * 256 for x, y in whole.xy.tolist()]
    assert sum(needs) > 1
    np.testing.assert_array_equal(tiles.xy, whole.xy[~np.array(needs)])
    np.testing.assert_array_equal(pixels_of(tiles), pixels_of(whole)[~np.array(needs)])
    assert tiles.attributes["counts"]["unreadable"] == sum(needs)
