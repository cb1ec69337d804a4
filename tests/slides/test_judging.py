"""More in a file than OpenSlide shows: which pages are the slide, and what is refused with the reason that is true."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import openslide
import pytest
import tifffile
from numpy.typing import NDArray
from tiff_factory import Case, write_case

from hypoxia_hpc.config import TileTable
from hypoxia_hpc.errors import SlideError
from hypoxia_hpc.monitoring.doctor import _slide
from hypoxia_hpc.records import Slide
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.slides.costs import read_header
from hypoxia_hpc.slides.judging import Judgement, judge
from hypoxia_hpc.slides.layouts import MOST_FLAT_BYTES
from hypoxia_hpc.slides.opening import opened_slide
from hypoxia_hpc.stages.tile import TileStage
from hypoxia_hpc.stores.attributes import read_tile_attributes
from hypoxia_hpc.tiling.remarks import LARGEST, TWO_MPP

Samples = NDArray[Any]
TILE = (64, 64)


def picture(height: int = 256, width: int = 320, samples: int = 3) -> Samples:
    y, x = np.mgrid[:height, :width]
    values = np.stack([(x + (n + 1) * y) % 200 for n in range(samples)], axis=2).astype(np.uint8)
    return values if samples > 1 else values[..., 0]


def write(path: Path, *pages: tuple[Samples, dict[str, Any]], **options: Any) -> Path:
    with tifffile.TiffWriter(path, **options) as file:
        for samples, page in pages:
            file.write(samples, **{"tile": TILE, "metadata": None, **page})
    return path


def shown(path: Path, level: int = 0) -> Samples:
    with opened_slide(path) as opened:
        image, unreadable = opened.read_level(level, 1)
    assert unreadable == 0
    return image[..., :3]


def refused(path: Path) -> SlideError:
    with pytest.raises(SlideError) as caught, opened_slide(path):
        pass
    assert str(path) in caught.value.problem
    assert caught.value.remedy
    assert "downloaded whole" not in caught.value.remedy
    return caught.value


# --- several pages -----------------------------------------------------------------------------------------------

RED_GREEN_BLUE = {"axes": "CYX", "Channel": {"Name": ["Red", "Green", "Blue"]}}


def ome(path: Path, samples: Samples, metadata: dict[str, Any], subifds: int = 0) -> Path:
    with tifffile.TiffWriter(path, ome=True) as file:
        options: dict[str, Any] = {"tile": TILE, "photometric": "minisblack"}
        file.write(samples, metadata=metadata, subifds=subifds, **options)
        if subifds:
            file.write(np.ascontiguousarray(samples[:, ::2, ::2]), subfiletype=1, **options)
    return path


@pytest.mark.parametrize("subifds", [0, 1])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_pages_of_one_colour_are_put_together_by_their_names(
    order: tuple[int, ...], subifds: int, tmp_path: Path
) -> None:
    pixels = picture()
    metadata = {**RED_GREEN_BLUE, "Channel": {"Name": [["Red", "Green", "Blue"][n] for n in order]}}
    path = ome(tmp_path / "a.ome.tif", np.ascontiguousarray(np.moveaxis(pixels, 2, 0)[list(order)]), metadata, subifds)
    np.testing.assert_array_equal(shown(path), pixels)
    if subifds:
        np.testing.assert_array_equal(shown(path, 1), pixels[::2, ::2])


@pytest.mark.parametrize("names", [["DAPI", "CD3", "CD8"], ["DAPI", "FITC"], ["Red", "Green", "Blue", "Cy5"]])
def test_fluorescence_is_no_slide_in_colour(names: list[str], tmp_path: Path) -> None:
    planes = np.ascontiguousarray(np.moveaxis(picture(samples=len(names)), 2, 0))
    error = refused(ome(tmp_path / "a.ome.tif", planes, {"axes": "CYX", "Channel": {"Name": names}}))
    assert error.reason == "not-rgb"
    assert f"{len(names)} channels" in error.problem
    assert names[0].lower() in error.problem


@pytest.mark.parametrize("n", [2, 3, 5])
def test_gray_pages_of_one_size_are_channels(n: int, tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", *[(picture(samples=1), {"photometric": "minisblack"})] * n)
    assert refused(path).reason == "not-rgb"


def test_one_gray_page_stays_a_gray_slide(tmp_path: Path) -> None:
    gray = picture(samples=1)
    path = write(tmp_path / "a.tif", (gray, {"photometric": "minisblack"}))
    np.testing.assert_array_equal(shown(path), np.dstack([gray] * 3))


def test_a_second_page_of_the_same_size_is_refused(tmp_path: Path) -> None:
    """It may be a region, a focal plane or a time."""
    path = write(tmp_path / "a.tif", (picture(), {}), (picture(), {}))
    assert refused(path).reason == "several-images"


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("subifds", [0, 1])
def test_of_several_regions_the_largest_is_read_and_said(place: int, subifds: int, tmp_path: Path) -> None:
    pixels, reduced = picture(512, 640), {"subfiletype": 1}
    regions = [picture(192, 128), picture(100, 300)]
    regions.insert(place, pixels)
    pages = []
    for region in regions:
        pages += [(region, {"subifds": subifds}), (np.ascontiguousarray(region[::2, ::2]), reduced)]
    path = write(tmp_path / "a.tif", *pages)
    np.testing.assert_array_equal(shown(path), pixels)
    np.testing.assert_array_equal(shown(path, 1), pixels[::2, ::2])
    with opened_slide(path) as opened:
        assert opened.pyramid.images == 3
        assert opened.pyramid.level_sizes == ((640, 512), (320, 256))


@pytest.mark.parametrize("place", [0, 1])
def test_a_level_that_may_be_of_another_region_is_none(place: int, tmp_path: Path) -> None:
    """Both have a shape that fits either region within two pixels."""
    pixels, other, reduced = picture(512, 640), picture(504, 636), {"subfiletype": 1}
    regions = [pixels, other] if place == 0 else [other, pixels]
    small = [(np.ascontiguousarray(one[::16, ::16]), reduced) for one in regions]
    path = write(tmp_path / "a.tif", *((one, {}) for one in regions), *small)
    np.testing.assert_array_equal(shown(path), pixels)
    with opened_slide(path) as opened:
        assert opened.pyramid.level_sizes == ((640, 512),)


@pytest.mark.parametrize("largest", ["rgb", "minisblack"])
def test_images_of_different_kinds_are_refused(largest: str, tmp_path: Path) -> None:
    """A mask, or a channel of fluorescence, beside a slide in colour: nothing says which is meant."""
    gray, rgb = {"photometric": "minisblack"}, {"photometric": "rgb"}
    sizes = [(256, 320), (192, 128)]
    first, second = sizes if largest == "rgb" else sizes[::-1]
    path = write(tmp_path / "a.tif", (picture(*first), rgb), (picture(*second, samples=1), gray))
    error = refused(path)
    assert (error.reason, "different kinds" in error.problem) == ("several-images", True)


def test_the_store_and_tile_say_that_it_is_the_largest(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.tif", (picture(), {"resolution": (20_000, 20_000), "resolutionunit": 3}), (picture(192, 128), {})
    )
    table = TileTable(tile_px=48, max_background=1.0)
    stage, slide = TileStage(RunDir(tmp_path / "run"), table), Slide("a", path, "p", 1)
    made = stage.make(slide, stage.key(slide), lambda n: None)
    held = read_tile_attributes(stage.target(slide))
    assert held is not None
    assert (held.slide.images, held.slide.remarks, made.remarks) == (2, (LARGEST,), (LARGEST,))


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize(
    "small", [{"photometric": "rgb"}, {"photometric": "rgb", "tile": None, "rowsperstrip": 16}], ids=["tiled", "strips"]
)
def test_a_thumbnail_is_not_the_slide(first: bool, small: dict[str, Any], tmp_path: Path) -> None:
    pixels = picture()
    pages = [(np.ascontiguousarray(pixels[::4, ::4]), small), (pixels, {})]
    path = write(tmp_path / "a.tif", *(pages if first else reversed(pages)))
    np.testing.assert_array_equal(shown(path), pixels)


def test_a_macro_image_that_is_marked_as_reduced_is_no_level(tmp_path: Path) -> None:
    """OpenSlide takes it for one, and a coarse level decides about tissue."""
    pixels, reduced = picture(512, 512), {"subfiletype": 1}
    half = (np.ascontiguousarray(pixels[::2, ::2]), reduced)
    path = write(tmp_path / "a.tif", (pixels, {}), half, (picture(64, 240), reduced))
    with openslide.OpenSlide(path) as slide:
        assert slide.level_count == 3
    with opened_slide(path) as opened:
        assert opened.pyramid.level_sizes == ((512, 512), (256, 256))
    np.testing.assert_array_equal(shown(path, 1), pixels[::2, ::2])


def test_the_overview_of_a_slide_that_lies_elsewhere_is_not_the_slide(tmp_path: Path) -> None:
    assert refused(write(tmp_path / "a.vsi", (picture(), {"tile": None}))).reason == "not-supported"
    small = picture()
    path = write(tmp_path / "b.tif", (small, {"subifds": 1}), (picture(512, 640), {"subfiletype": 1}))
    assert refused(path).reason == "not-supported"


def test_side_images_are_told_by_their_names(tmp_path: Path) -> None:
    pixels = picture()
    path = tmp_path / "a.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as file:
        file.write(pixels, tile=TILE, photometric="rgb", metadata={"axes": "YXS", "Name": "slide"})
        file.write(picture(128, 128), tile=TILE, photometric="rgb", metadata={"axes": "YXS", "Name": "macro image"})
    np.testing.assert_array_equal(shown(path), pixels)


def test_pages_of_one_colour_have_to_have_one_layout(tmp_path: Path) -> None:
    names = "".join(f'<Channel Name="{name}"/>' for name in ("Red", "Green", "Blue"))
    xml = f'<OME><Image><Pixels SizeX="320" SizeY="256" SizeC="3">{names}</Pixels></Image></OME>'
    gray = {"photometric": "minisblack"}
    pages = [(picture(samples=1), {**gray, "tile": (side, side)}) for side in (64, 64, 128)]
    pages[0][1]["description"] = xml
    error = refused(write(tmp_path / "a.ome.tif", *pages))
    assert (error.reason, "different layouts" in error.problem) == ("not-supported", True)


def test_a_damaged_strip_makes_a_flat_image_unreadable(tmp_path: Path) -> None:
    options = {"tile": None, "rowsperstrip": 32, "compression": "zlib", "photometric": "rgb"}
    path = write(tmp_path / "a.tif", (picture(), options))
    with tifffile.TiffFile(path) as file:
        start = file.pages[0].dataoffsets[3]
    data = bytearray(path.read_bytes())
    data[start : start + 40] = bytes(40)
    path.write_bytes(data)
    with opened_slide(path) as opened:
        with pytest.raises(SlideError) as caught:
            opened.check_readable()
        assert caught.value.reason == "unreadable"
        assert opened.read_level(0, 1)[1] == 1  # it is one block of 512 px


# --- samples -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_bits_that_are_not_used_are_said_or_the_file_is_refused(bits: int, tmp_path: Path) -> None:
    """Read as 16 bits they would be up to 64 times too dark."""
    most = 2**bits - 1
    pixels = (picture().astype(np.uint32) * most // 255).astype(np.uint16)
    error = refused(write(tmp_path / "a.tif", (pixels, {"photometric": "rgb"})))
    assert error.reason == "not-supported"
    assert f"{pixels.max():,}" in error.problem
    said = [(281, "H", 3, (most,) * 3, True)]
    path = write(tmp_path / "b.tif", (pixels, {"photometric": "rgb", "extratags": said}))
    np.testing.assert_allclose(shown(path), pixels * (255 / most), atol=0.51)


def test_real_16_bits_are_read_as_before(tmp_path: Path) -> None:
    pixels = picture().astype(np.uint16) * 300
    path = write(tmp_path / "a.tif", (pixels, {"photometric": "rgb"}))
    with openslide.OpenSlide(path) as slide:
        expected = np.asarray(slide.read_region((0, 0), 0, slide.dimensions).convert("RGB"))
    np.testing.assert_array_equal(shown(path), expected)


@pytest.mark.parametrize("alpha", [0, 255, 100])
def test_a_fourth_sample_is_transparency_where_the_file_says_so(alpha: int, tmp_path: Path) -> None:
    pixels = np.dstack([picture(), np.full((256, 320), alpha, np.uint8)])
    unsaid = write(tmp_path / "a.tif", (pixels, {"photometric": "rgb", "extrasamples": [0]}))
    np.testing.assert_array_equal(shown(unsaid), pixels[..., :3])
    said = write(tmp_path / "b.tif", (pixels, {"photometric": "rgb", "extrasamples": ["unassalpha"]}))
    white = (pixels[..., :3].astype(int) * alpha + 255 * (255 - alpha)) / 255
    np.testing.assert_allclose(shown(said), white, atol=2)


@pytest.mark.parametrize("samples", [5, 7])
def test_more_samples_than_colours_are_refused(samples: int, tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.tif", (picture(samples=samples), {"photometric": "minisblack", "planarconfig": "contig"})
    )
    error = refused(path)
    assert (error.reason, f"{samples} channels" in error.problem) == ("not-rgb", True)


def test_what_is_not_supported_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", (picture().astype(np.float32), {"photometric": "rgb", "tile": None}))
    error = refused(path)
    assert error.reason == "not-supported"
    for word in ("stripped", "3 samples", "32 bit"):
        assert word in error.problem
    assert "scale its values to 0..255" in error.remedy  # a converter would cut them


@pytest.mark.parametrize("orientation", [2, 3, 6])
@pytest.mark.parametrize("vendor", ["generic-tiff", "aperio", "philips"])
@pytest.mark.parametrize("codec", ["lzw", "jpeg"])
def test_an_orientation_is_refused(orientation: int, vendor: str, codec: str, tmp_path: Path) -> None:
    """OpenSlide turns each native tile and leaves it in its place."""
    error = refused(write_case(Case("a", codec, vendor, orientation=orientation), tmp_path))
    assert error.reason == "not-supported"
    assert "orientation" in error.problem and "vips tiffsave" in error.remedy


def test_a_stack_in_one_page_is_refused(tmp_path: Path) -> None:
    stack = np.stack([picture(), picture() // 2, picture() // 3])
    kept = {"photometric": "rgb", "tile": TILE, "metadata": None}
    tifffile.imwrite(tmp_path / "a.tif", stack, photometric="rgb", truncate=True)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert len(file.pages) == 1
    tifffile.imwrite(tmp_path / "b.tif", picture(), description="ImageJ=1.54f\nimages=3\nslices=3\n", **kept)
    for name in ("a.tif", "b.tif"):
        error = refused(tmp_path / name)
        assert (error.reason, "3 images of 320 x 256 px in one page" in error.problem) == ("several-images", True)
    tifffile.imwrite(tmp_path / "c.tif", picture(), description="ImageJ=1.54f\nimages=1\n", **kept)
    tifffile.imwrite(tmp_path / "d.tif", picture(), **{**kept, "metadata": {"axes": "YXS"}})
    assert shown(tmp_path / "c.tif").shape == shown(tmp_path / "d.tif").shape == (256, 320, 3)


def test_a_flat_image_that_is_too_large_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    side = int((MOST_FLAT_BYTES // 4) ** 0.5) + 64
    with tifffile.TiffWriter(path) as file:
        file.write(
            (b"" for _ in range(-(-side // 64))),
            shape=(side, side, 3),
            dtype=np.uint8,
            photometric="rgb",
            rowsperstrip=64,
            compression="zlib",
            metadata=None,
        )
    assert "the most is 256" in refused(path).problem


@pytest.mark.parametrize(
    ("start", "remedy"),
    [(b"\x89PNG\r\n\x1a\n", "vips"), (b"\xff\xd8\xff\xe0", "vips"), (b"%PDF-1.7", "leave"), (b"PK\x03\x04", "unpack")],
)
def test_files_of_other_kinds_are_named(start: bytes, remedy: str, tmp_path: Path) -> None:
    path = tmp_path / "a.svs"
    path.write_bytes(start + bytes(4000))
    error = refused(path)
    assert error.reason == "not-supported"
    assert remedy in error.remedy
    assert ("vips" in error.remedy) == (remedy == "vips")


@pytest.mark.parametrize("start", [b"<html>", b"\n<!DOCTYPE html>", b"<HTML lang='en'>"])
def test_a_web_page_in_place_of_a_slide_is_named(start: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.svs"
    path.write_bytes(start + b"<title>404</title>")
    error = refused(path)
    assert (error.reason, "web page" in error.problem, "fetch" in error.remedy) == ("not-a-slide", True, True)


def test_a_file_that_is_cut_says_how_many_native_tiles_it_lacks(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", (picture(), {"compression": "zlib"}))
    with tifffile.TiffFile(path) as file:
        ends = file.pages[0].dataoffsets
    path.write_bytes(path.read_bytes()[: ends[12] + 9])
    error = refused(path)
    assert (error.reason, "ends before 8 of its 20 native tiles" in error.problem) == ("not-a-slide", True)


@pytest.mark.parametrize(
    ("tag", "value", "by_vips"),
    [("Compression", 35335, False), ("PlanarConfiguration", 7, False), ("Compression", 32809, True),
     ("Compression", 34933, True), ("Compression", 34934, True),
     ("NewSubfileType", 1, False)],
)  # fmt: skip
def test_conversion_is_advised_where_another_program_may_read_it(
    tag: str, value: int, by_vips: bool, tmp_path: Path
) -> None:
    """A number that is none of TIFF's comes from damage."""
    path = write(tmp_path / "a.tif", (picture(), {"photometric": "rgb", "extratags": [(254, 4, 1, 0, True)]}))
    edit_tag(path, tag, [value])
    assert ("vips" in refused(path).remedy) == by_vips


# --- resolution, and the whole way -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "unit", "mpp"),
    [(0.5, "µm", 0.5), (500.0, "nm", 0.5), (0.0005, "mm", 0.5), (5000.0, "Å", 0.5), (2.0, "pixel", None)],
)
def test_the_size_of_a_pixel_has_a_unit(size: float, unit: str, mpp: float | None, tmp_path: Path) -> None:
    pixels = picture()
    path = tmp_path / "a.ome.tif"
    sizes = {f"PhysicalSize{axis}": size for axis in "XY"} | {f"PhysicalSize{axis}Unit": unit for axis in "XY"}
    with tifffile.TiffWriter(path, ome=True) as file:
        file.write(pixels, tile=TILE, photometric="rgb", subifds=1, metadata={"axes": "YXS", **sizes})
        file.write(np.ascontiguousarray(pixels[::2, ::2]), tile=TILE, photometric="rgb", subfiletype=1)
    with opened_slide(path) as opened:
        assert opened.pyramid.mpp_x == (None if mpp is None else pytest.approx(mpp))
        assert opened.pyramid.level_sizes == ((320, 256), (160, 128))


def test_the_size_of_a_pixel_counts_also_where_openslide_reads_the_pixels(tmp_path: Path) -> None:
    pixels, path = picture(), tmp_path / "a.ome.tif"
    sizes = {f"PhysicalSize{axis}": 0.25 for axis in "XY"}
    with tifffile.TiffWriter(path, ome=True) as file:
        file.write(pixels, tile=TILE, photometric="rgb", metadata={"axes": "YXS", **sizes})
    with opened_slide(path) as opened:
        assert (opened.pyramid.mpp_x, opened.pyramid.mpp_y, opened.pyramid.other_mpp) == (0.25, 0.25, None)
    np.testing.assert_array_equal(shown(path), pixels)


@pytest.mark.parametrize(("tags", "other"), [(20_000, 0.5), (40_000, None), (0, None)])
def test_tags_of_resolution_beside_an_ome_xml_are_known(tags: int, other: float | None, tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    options: dict[str, Any] = {"resolution": (tags, tags), "resolutionunit": 3} if tags else {}
    metadata = {"axes": "YXS", **{f"PhysicalSize{axis}": 0.25 for axis in "XY"}}
    with tifffile.TiffWriter(path, ome=True) as file:
        file.write(picture(), tile=TILE, photometric="rgb", metadata=metadata, **options)
    table = TileTable(tile_px=48, mpp=0.5, max_background=1.0)
    with opened_slide(path) as opened:
        assert (opened.pyramid.mpp_x, opened.pyramid.other_mpp) == (0.25, other and pytest.approx(other))
    said = () if other is None else (TWO_MPP,)
    assert read_header(path, table).remarks == said
    stage, slide = TileStage(RunDir(tmp_path / "run"), table), Slide("a", path, "p", 1)
    made = stage.make(slide, stage.key(slide), lambda n: None)
    held = read_tile_attributes(stage.target(slide))
    assert held is not None
    assert (made.remarks, held.slide.remarks) == (said, said)
    check = _slide(table, slide)
    assert (check.verdict, "in another place 0.5" in check.detail) == (("note", True) if other else ("ok", False))


def qpi(kind: str, mpp: str = "0.4987", objective: str = "20x") -> str:
    """PerkinElmer's description of a page. It claims to be UTF-16, and is not."""
    return (
        f'<?xml version="1.0" encoding="utf-16"?>\r\n<PerkinElmer-QPI-ImageDescription><ImageType>{kind}</ImageType>'
        f"<Objective>{objective}</Objective><ScanProfile><root><PixelSizeMicrons>{mpp}</PixelSizeMicrons></root>"
        "</ScanProfile></PerkinElmer-QPI-ImageDescription>"
    )


@pytest.mark.parametrize(
    ("resolution", "mpp"), [((20_064, 20_064), 0.4984), (None, 0.4987)], ids=["tags in cm", "XML alone"]
)
def test_a_qptiff_of_perkinelmer(resolution: tuple[int, int] | None, mpp: float, tmp_path: Path) -> None:
    """Full resolution, thumbnail, levels, overview and label, in its order."""
    pixels, reduced = picture(512, 512), {"subfiletype": 1}
    of_tags = {} if resolution is None else {"resolution": resolution, "resolutionunit": 3}
    path = write(
        tmp_path / "a.qptiff",
        (pixels, {"description": qpi("FullResolution"), **of_tags}),
        (picture(100, 120), {"description": qpi("Thumbnail"), "tile": None}),
        (np.ascontiguousarray(pixels[::2, ::2]), {"description": qpi("ReducedResolution"), **reduced}),
        (picture(300, 200), {"description": qpi("Overview")}),
        (picture(150, 150), {"description": qpi("Label")}),
    )
    np.testing.assert_array_equal(shown(path, 1), pixels[::2, ::2])
    with opened_slide(path) as opened:
        pyramid = opened.pyramid
    assert pyramid.level_sizes == ((512, 512), (256, 256))
    assert (pyramid.mpp_x, pyramid.mpp_y) == (pytest.approx(mpp, rel=1e-3), pytest.approx(mpp, rel=1e-3))
    assert (pyramid.objective_power, pyramid.images) == (20.0, 1)
    assert pyramid.other_mpp == (pytest.approx(0.4987) if resolution else None)


@pytest.mark.parametrize("name", ["flat.tif", "big-endian.btf", "ome.ome.tif", "akoya.qptiff"])
def test_tiles_come_out_of_formats_that_openslide_does_not_read(name: str, tmp_path: Path) -> None:
    pixels, path = picture(), tmp_path / name
    options: dict[str, Any] = {"resolution": (20_000, 20_000), "resolutionunit": 3, "photometric": "rgb"}
    if name != "ome.ome.tif":
        options["tile"] = TILE if name == "akoya.qptiff" else None
    write(path, (pixels, options), byteorder="<" if name == "flat.tif" else ">")
    table = TileTable(tile_px=48, mpp=0.5, max_background=1.0, screen="off", pixels="store")
    stage, slide = TileStage(RunDir(tmp_path / "run"), table), Slide("a", path, "p", 1)
    made = stage.make(slide, stage.key(slide), lambda n: None)
    assert made.reader == "native-none"
    with opened_slide(path) as opened:
        opened.check_readable()
        assert opened.read_thumbnail(80).shape == (64, 80, 3)


# --- what is settled -----------------------------------------------------------------------------------------------


def edit_tag(path: Path, name: str, values: list[int]) -> None:
    with tifffile.TiffFile(path, mode="r+") as file:
        file.pages[0].tags[name].overwrite(values)


def stray_tag(path: Path) -> None:
    """A tag whose value lies a gigabyte behind the end."""
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        entry = file.pages[0].tags["XResolution"].offset
    data[entry + 8 : entry + 12] = (2**30).to_bytes(4, "little")
    path.write_bytes(data)


def test_a_header_that_was_read_here_is_settled(tmp_path: Path, real_slide: Path) -> None:
    assert judge(real_slide).is_settled
    plain = write(tmp_path / "a.tif", (picture(), {}))
    assert judge(plain) == Judgement(None, is_settled=True)
    assert judge(write(tmp_path / "b.tif", (picture(), {}), byteorder=">")).is_settled


def test_native_tiles_without_bytes_are_settled_and_those_outside_of_the_file_are_not(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", (picture(), {}))
    counts = [64 * 64 * 3] * 20
    edit_tag(path, "TileByteCounts", [0, *counts[1:]])
    assert judge(path).is_settled
    edit_tag(path, "TileByteCounts", [*counts[1:], 65_535])
    assert judge(path) == Judgement(None, is_settled=False)


def test_a_tag_outside_of_the_file_is_not_settled(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", (picture(), {"resolution": (20_000, 20_000)}))
    assert judge(path).is_settled
    stray_tag(path)
    assert not judge(path).is_settled


def test_more_native_tiles_than_the_tables_have_are_refused(tmp_path: Path) -> None:
    """A file of 70 KB that claims a million of them."""
    path = write(tmp_path / "a.tif", (picture(), {}))
    for name in ("ImageWidth", "ImageLength"):
        edit_tag(path, name, [64_000])
    assert refused(path).reason == "inconsistent-header"


def test_what_is_no_tiff_is_not_settled(tmp_path: Path) -> None:
    (tmp_path / "a.czi").write_bytes(b"ZISRAWFILE".ljust(2000, b"\0"))
    for name in ("a.czi", "none", "."):
        assert judge(tmp_path / name) == Judgement(None, is_settled=False)
