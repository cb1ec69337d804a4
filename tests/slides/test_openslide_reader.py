"""From real slide files to tile stores: equal to what OpenSlide, Pillow and exact averaging say of the same places."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import naive
import numpy as np
import openslide
import pytest
import tifffile
import zarr
from numpy.typing import NDArray
from PIL import Image

from hypoxia_hpc.config import TileTable
from hypoxia_hpc.errors import SlideError
from hypoxia_hpc.records import Pyramid, Slide
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.slides import sources
from hypoxia_hpc.slides.opening import opened_slide
from hypoxia_hpc.slides.openslide_reader import open_slide, read_pyramid, read_thumbnail
from hypoxia_hpc.stages.tile import TileStage
from hypoxia_hpc.synthetic.svs import write_svs
from hypoxia_hpc.tiling.cutting import read_tiles
from hypoxia_hpc.tiling.plan import plan_tiles

Pixels = NDArray[np.uint8]
SharedSlide = Callable[[str], Path]


def cut(path: Path, folder: Path, table: TileTable, mpp: float | None = None) -> zarr.Group:
    """The tile store of a slide as the tile stage makes it, opened by plain Zarr."""
    work, slide = TileStage(RunDir(folder), table), Slide("a", path, "p", 1, mpp)
    ticks: list[int] = []
    made = work.make(slide, work.key(slide), ticks.append)
    store = zarr.open_group(work.target(slide), mode="r")
    assert sum(ticks) == made.counts.planned
    assert asdict(made.counts) == store.attrs["counts"]
    assert store.attrs["key"] == work.key(slide)
    return store


def shown(path: Path, x_l0: int, y_l0: int, level: int, width: int, height: int) -> Pixels:
    """uint8 RGB as OpenSlide alone shows it."""
    with openslide.OpenSlide(path) as slide:
        rgba = slide.read_region((x_l0, y_l0), level, (width, height))
    return np.asarray(Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB"))


def light_px(tile: Pixels) -> int:
    return int(np.count_nonzero(np.asarray(Image.fromarray(tile).convert("L")) >= 220))


def blotches(width: int, height: int, seed: int) -> Pixels:
    """Smooth random colours, a part of them lighter than the limit of background."""
    coarse = np.random.default_rng(seed).integers(120, 256, (height // 40 + 2, width // 40 + 2, 3)).astype(np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def write_tiff(path: Path, pixels: Pixels, missing: int | None = None) -> Path:
    """A generic tiled TIFF at 0.5 µm/px whose native tile of 256 px number ``missing`` is not in the file."""
    tifffile.imwrite(
        path,
        pixels,
        tile=(256, 256),
        photometric="rgb",
        resolution=(20000, 20000),
        resolutionunit="CENTIMETER",
        metadata=None,
    )
    if missing is not None:
        with tifffile.TiffFile(path, mode="r+") as file:
            tag = file.pages[0].tags["TileByteCounts"]
            tag.overwrite([0 if index == missing else nbytes for index, nbytes in enumerate(tag.value)])
    return path


# --- the real slide ----------------------------------------------------------------------------------------------


def test_the_real_slide_has_63_tiles_of_which_15_are_kept(real_slide: Path, tmp_path: Path) -> None:
    store = cut(real_slide, tmp_path, TileTable())
    assert store.attrs["counts"] == {"planned": 63, "kept": 15, "background": 48, "unreadable": 0, "masked": 0}
    assert store.attrs["slide"]["mpp"] == 0.499
    assert store.attrs["slide"]["mpp_source"] == "slide"
    assert store.attrs["plan"]["interpolated"] is False

    planned = [(x, y) for y in range(0, 2967 - 298, 299) for x in range(0, 2220 - 298, 299)]
    tiles = [shown(real_slide, x, y, 0, 299, 299) for x, y in planned]
    counts = [light_px(tile) for tile in tiles]
    kept = [index for index, count in enumerate(counts) if count <= math.floor(0.25 * 299**2)]
    assert len(planned) == 63
    assert store["xy"][:].tolist() == [list(planned[index]) for index in kept]
    np.testing.assert_array_equal(store["pixels"][:], np.array([tiles[index] for index in kept]))
    expected = np.array([counts[index] / 299**2 for index in kept]).astype(np.float32)
    assert store["background"].dtype == np.float32
    np.testing.assert_array_equal(store["background"][:], expected)


def test_no_label_no_macro_and_no_other_header_enters_the_store(real_slide: Path, tmp_path: Path) -> None:
    attributes = cut(real_slide, tmp_path, TileTable()).attrs.asdict()
    assert set(attributes["slide"]) == {
        "slide_id",
        "size_l0",
        "mpp",
        "mpp_source",
        "vendor",
        "objective_power",
        "fingerprint",
    }
    assert set(attributes) == {"slide", "spec", "plan", "counts", "key", "content", "software"}
    assert str(real_slide) not in str(attributes)


# --- other slides ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "mpp", "target", "level", "side"),
    [
        ("CMU-1-small.tiff", None, 3.2, 0, 64),
        ("CMU-1-small.tiff", None, 6.4, 1, 64),
        ("CMU-1-small.tiff", None, 9.6, 1, 96),  # 64 * 3.005 / 2, area-averaged
        ("CMU-1-small.tiff", None, 12.8, 2, 64),  # downsample 4.0134: OpenSlide would interpolate
        ("yb10kx5k.zstd.tiff", 0.5, 4.0, 3, 64),
        ("yb10kx5k.zstd.tiff", 0.5, 8.0, 4, 64),
    ],
)
def test_tiles_of_other_slides_are_their_level_reduced_exactly(
    shared_slide: SharedSlide, tmp_path: Path, name: str, mpp: float | None, target: float, level: int, side: int
) -> None:
    path = shared_slide(name)
    table = TileTable(tile_px=64, mpp=target, max_background=0.9)
    store = cut(path, tmp_path, table, mpp)
    plan = store.attrs["plan"]
    assert (plan["level"], plan["side_level"]) == (level, side)
    with open_slide(path) as slide:
        whole = plan_tiles(read_pyramid(slide), table, mpp)
    kept = 0
    decoded = tifffile.imread(path, level=level)
    for (x_l0, y_l0), (x, y) in zip(whole.xy_l0.tolist(), whole.xy_level.tolist(), strict=True):
        square = decoded[y : y + side, x : x + side]
        if not whole.interpolated:
            np.testing.assert_array_equal(square, shown(path, x_l0, y_l0, level, side, side))
        tile = square if side == 64 else naive.averaged(square, 64)
        if light_px(tile) > math.floor(0.9 * 64 * 64):
            continue
        np.testing.assert_array_equal(store["pixels"][kept], tile)
        np.testing.assert_array_equal(store["xy"][kept], [x_l0, y_l0])
        assert store["background"][kept] == np.float32(light_px(tile) / 64**2)
        kept += 1
    assert kept == store["xy"].shape[0] > 0


def test_a_slide_coarser_than_the_target_is_refused(shared_slide: SharedSlide, tmp_path: Path) -> None:
    with pytest.raises(SlideError, match=r"3\.19489 µm/px \(from slide\), the target is 0\.5") as caught:
        cut(shared_slide("CMU-1-small.tiff"), tmp_path, TileTable())
    assert caught.value.reason == "coarser-than-target"


def test_half_the_resolution_is_the_exact_mean_of_two_by_two(tmp_path: Path) -> None:
    path = tmp_path / "40x.svs"
    write_svs(path, blotches(1400, 1250, 1), 0.25)
    store = cut(path, tmp_path, TileTable())
    assert store.attrs["plan"] == {
        "reader": "native-jpeg",
        "why_not_native": "",
        "level": 0,
        "downsample": 1.0,
        "scale": 2.0,
        "side_level": 598,
        "side_l0": 598.0,
        "reduced_by": "area",
        "interpolated": False,
    }
    assert store["xy"][:].tolist() == [[0, 0], [598, 0], [0, 598], [598, 598]]
    for tile, (x, y) in zip(store["pixels"][:], store["xy"][:].tolist(), strict=True):
        square = shown(path, x, y, 0, 598, 598).astype(np.int64)
        np.testing.assert_array_equal(tile, (square.reshape(299, 2, 299, 2, 3).sum((1, 3)) + 2) // 4)


def test_a_quarter_of_the_resolution_is_read_from_the_stored_level(tmp_path: Path) -> None:
    path = tmp_path / "80x.svs"
    write_svs(path, blotches(1400, 1240, 2), 0.125)
    store = cut(path, tmp_path, TileTable(tile_px=128))
    assert (store.attrs["plan"]["level"], store.attrs["plan"]["side_level"]) == (1, 128)
    assert store["xy"][:].tolist() == [[0, 0], [512, 0], [0, 512], [512, 512]]
    for tile, (x, y) in zip(store["pixels"][:], store["xy"][:].tolist(), strict=True):
        np.testing.assert_array_equal(tile, shown(path, x, y, 1, 128, 128))


def test_what_a_slide_does_not_show_is_white(tmp_path: Path) -> None:
    """A native tile that is missing is transparent, of no colour: black, if alpha is not looked at."""
    pixels = np.random.default_rng(0).integers(0, 200, (512, 768, 3)).astype(np.uint8)
    path = write_tiff(tmp_path / "a.tiff", pixels, missing=1)
    table = TileTable(tile_px=128, max_background=0.0)
    store = cut(path, tmp_path, table)
    hole = {(x, y) for x in (256, 384) for y in (0, 128)}
    everywhere = [(x, y) for y in range(0, 512, 128) for x in range(0, 768, 128)]
    assert [tuple(xy) for xy in store["xy"][:].tolist()] == [place for place in everywhere if place not in hole]
    for tile, (x, y) in zip(store["pixels"][:], store["xy"][:].tolist(), strict=True):
        np.testing.assert_array_equal(tile, pixels[y : y + 128, x : x + 128])

    with_holes = cut(path, tmp_path / "all", TileTable(tile_px=128, max_background=1.0))
    assert with_holes["xy"].shape[0] == 24
    assert (with_holes["pixels"][2] == 255).all()
    assert with_holes["background"][2] == 1


# --- reading by the plan -----------------------------------------------------------------------------------------


def plane_of(path: Path, pages: object, most_px: int, monkeypatch: pytest.MonkeyPatch) -> Pixels:
    """All tiles of a slide, whoever reads them."""
    monkeypatch.setattr(sources, "MOST_PX_A_READ", most_px)
    with opened_slide(path) as slide:
        monkeypatch.setattr(slide, "_pages", pages or slide._pages)
        plan = plan_tiles(slide.pyramid, TileTable(), None)
        reading = slide.reading(plan, "area")
        assert reading.reader == ("openslide" if pages else "native-jpeg")
        selected = np.ones(plan.n_tiles, dtype=bool)
        return np.concatenate([*read_tiles(*slide.sources(plan, reading, selected), reading.tiles, selected)])


def test_both_readers_give_the_same_tiles_however_many_are_read_at_once(
    real_slide: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    native = plane_of(real_slide, None, 2**22, monkeypatch)
    assert native.shape == (63, 299, 299, 3)
    for most_px in (1, 3 * 299**2, 2**22):
        np.testing.assert_array_equal(plane_of(real_slide, "not asked", most_px, monkeypatch), native)


def test_header_of_the_real_slide(real_slide: Path) -> None:
    with open_slide(real_slide) as slide:
        found = read_pyramid(slide)
    assert found == Pyramid(((2220, 2967),), (1.0,), 0.499, 0.499, 20.0, None, "aperio")


@pytest.mark.parametrize("text", ["", "nan", "inf", "-0.5", "0", "0,5", "1e999", "half"])
def test_numbers_of_a_header_that_are_none_count_as_not_said(text: str) -> None:
    names = ("mpp-x", "mpp-y", "objective-power", "bounds-x", "bounds-y", "bounds-width", "bounds-height")
    slide = SimpleNamespace(
        properties={f"openslide.{name}": text for name in names},
        level_dimensions=((10, 10),),
        level_downsamples=(1.0,),
    )
    assert read_pyramid(slide) == Pyramid(((10, 10),), (1.0,))


def test_bounds_of_a_header() -> None:
    numbers = {"x": "0", "y": "12", "width": "300", "height": "200"}
    slide = SimpleNamespace(
        properties={f"openslide.bounds-{name}": text for name, text in numbers.items()},
        level_dimensions=((1000, 1000),),
        level_downsamples=(1.0,),
    )
    assert read_pyramid(slide).bounds_l0 == (0, 12, 300, 200)
    del slide.properties["openslide.bounds-height"]
    assert read_pyramid(slide).bounds_l0 is None


def test_thumbnail(real_slide: Path) -> None:
    with open_slide(real_slide) as slide:
        thumbnail = read_thumbnail(slide, 300)
    assert (thumbnail.shape, thumbnail.dtype) == ((300, 224, 3), np.uint8)


# --- slides that cannot be read ----------------------------------------------------------------------------------


def refused(path: Path, folder: Path) -> SlideError:
    with pytest.raises(SlideError) as caught:
        cut(path, folder, TileTable())
    assert str(path) in caught.value.problem
    assert caught.value.remedy
    assert not [*folder.rglob("*.zarr*")], "a slide that cannot be read left something behind"
    return caught.value


@pytest.mark.parametrize(("name", "reason"), [("broken.svs", "not-a-slide"), ("unreadable.svs", "unreadable")])
def test_broken_slides_have_a_reason(
    shared_slide: SharedSlide, real_slide: Path, tmp_path: Path, name: str, reason: str
) -> None:
    assert refused(shared_slide(name), tmp_path).reason == reason
    assert cut(real_slide, tmp_path, TileTable())["xy"].shape == (15, 2)  # the next slide is not harmed


def test_a_slide_that_breaks_in_the_middle_is_unreadable(tmp_path: Path) -> None:
    path = tmp_path / "a.svs"
    write_svs(path, blotches(1000, 1000, 3), 0.5)
    with tifffile.TiffFile(path) as file:
        offset, nbytes = file.pages[0].dataoffsets[12], file.pages[0].databytecounts[12]
    data = bytearray(path.read_bytes())
    data[offset : offset + nbytes] = bytes(nbytes)
    path.write_bytes(data)
    assert refused(path, tmp_path / "run").reason == "unreadable"


def test_a_truncated_slide_has_a_reason(real_slide: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.svs"
    path.write_bytes(real_slide.read_bytes()[:1_000_000])
    assert refused(path, tmp_path / "run").reason == "not-a-slide"


@pytest.mark.parametrize("content", [b"", b"no slide", b"II*\0", b"MM\0*"])
def test_a_file_that_is_no_slide_has_a_reason(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.svs"
    path.write_bytes(content)
    assert refused(path, tmp_path / "run").reason == "not-a-slide"


def test_a_missing_file_has_a_reason(tmp_path: Path) -> None:
    assert refused(tmp_path / "a.svs", tmp_path / "run").reason == "missing-file"
    with pytest.raises(SlideError, match="does not exist") as caught, open_slide(tmp_path / "a.svs"):
        pass
    assert caught.value.reason == "missing-file"


@pytest.mark.parametrize(("side", "why"), [(298, "no whole tile fits"), (700, "none of 4 tiles")])
def test_a_slide_without_tissue_has_a_reason(tmp_path: Path, side: int, why: str) -> None:
    path = write_tiff(tmp_path / "a.tiff", np.full((side, side, 3), 240, dtype=np.uint8))
    with pytest.raises(SlideError, match=why) as caught:
        cut(path, tmp_path, TileTable())
    assert caught.value.reason == "no-tissue"
    assert not [*tmp_path.rglob("*.zarr*")]
