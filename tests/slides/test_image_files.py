"""Images in files of their own are read as a viewer shows them, or refused by name."""

from __future__ import annotations

import io
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from image_folders import tissue
from numpy.typing import NDArray
from PIL import Image

from hypoxia_hpc.errors import InputError, SlideError
from hypoxia_hpc.slides.image_files import decoded_image, image_header, quiet, read_image, read_pixels

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 8, 3), dtype=np.uint8)
DEEP = np.random.default_rng(1).integers(0, 2**16, (5, 8, 3), dtype=np.uint16)


def shown(image: Image.Image, kind: str = "PNG", **options: object) -> NDArray[np.uint8]:
    return decoded(saved(image, kind, **options))


def decoded(data: bytes) -> NDArray[np.uint8]:
    with quiet():
        return decoded_image(data)[..., :3]


def saved(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def as_tiff(pixels: NDArray[np.generic], **options: object) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, **options)
    return file.getvalue()


@pytest.mark.parametrize("name", ["a.png", "a.tiff"])
def test_pixels_are_those_that_were_written(tmp_path: Path, name: str) -> None:
    Image.fromarray(PIXELS).save(tmp_path / name)
    assert np.array_equal(read_image(tmp_path / name), PIXELS)
    assert np.array_equal(read_pixels(tmp_path / name)[..., :3], PIXELS)
    header = image_header(tmp_path / name)
    assert (header.width, header.height, header.nbytes) == (8, 5, (tmp_path / name).stat().st_size)


def test_palettes_transparency_and_turns_are_resolved(tmp_path: Path) -> None:
    clear = Image.fromarray(np.dstack([PIXELS, np.zeros((5, 8), np.uint8)]))
    clear.save(tmp_path / "clear.png")
    assert (read_image(tmp_path / "clear.png") == 255).all()
    flat = Image.new("RGB", (8, 5), (10, 200, 30))
    flat.convert("P", palette=Image.Palette.ADAPTIVE).save(tmp_path / "palette.png")
    assert np.array_equal(read_image(tmp_path / "palette.png"), np.asarray(flat))
    exif = Image.Exif()
    exif[0x0112] = 6  # Orientation: turn by 90 degrees to the right
    Image.fromarray(PIXELS).save(tmp_path / "turned.png", exif=exif)
    assert np.array_equal(read_image(tmp_path / "turned.png"), np.rot90(PIXELS, -1))


@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("turned", [1, 6])
@pytest.mark.parametrize("is_progressive", [False, True])
def test_pixels_of_a_jpeg_are_those_of_pillow(subsampling: int, turned: int, is_progressive: bool) -> None:
    exif, file = Image.Exif(), io.BytesIO()
    exif[0x0112] = turned
    options = {"quality": 80, "subsampling": subsampling, "progressive": is_progressive, "exif": exif}
    Image.fromarray(tissue(3, 33, 50)).save(file, "JPEG", **options)
    expected = np.asarray(Image.open(file).convert("RGB"))
    found = decoded_image(file.getvalue())[..., :3]
    assert np.array_equal(found, np.rot90(expected, -1) if turned == 6 else expected)
    with pytest.raises(SlideError, match="do not decode"):
        decoded_image(file.getvalue()[:-200])


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG"])
def test_gray_is_three_times_the_same(kind: str) -> None:
    flat = Image.new("L", (8, 5), 77)
    assert (shown(flat, kind) == 77).all()
    assert (shown(flat.convert("1"), "PNG") == shown(flat.convert("1").convert("L"), "PNG")).all()


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("how", [{}, {"compression": "zlib", "predictor": True}])
def test_of_16_bits_the_upper_8_count(order: str, how: dict[str, object]) -> None:
    for pixels, kind in ((DEEP, "rgb"), (DEEP[..., 0], "minisblack")):
        expected = (pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)) >> 8
        assert np.array_equal(decoded(as_tiff(pixels, photometric=kind, byteorder=order, **how)), expected)
    assert np.array_equal(decoded(imagecodecs.png_encode(DEEP)), DEEP >> 8)
    assert np.array_equal(decoded(imagecodecs.png_encode(DEEP[..., 0].copy()))[..., 1], DEEP[..., 0] >> 8)


def test_gray_whose_zero_is_white_is_turned_round() -> None:
    for pixels, expected in ((DEEP[..., 0], 255 - (DEEP[..., 0] >> 8)), (PIXELS[..., 0], 255 - PIXELS[..., 0])):
        assert np.array_equal(decoded(as_tiff(pixels, photometric="miniswhite"))[..., 0], expected)


CMYK = Image.new("CMYK", (8, 5))
REFUSED = {
    "cut off": (saved(Image.fromarray(PIXELS).resize((640, 400)), "JPEG")[:-2000], "unreadable"),
    "cut off PNG": (saved(Image.fromarray(PIXELS))[:-40], "unreadable"),
    "text": (b"no image", "not-an-image"),
    "nothing": (b"", "not-an-image"),
    "GIF": (saved(Image.fromarray(PIXELS), "GIF"), "not-an-image"),
    "CMYK": (saved(CMYK, "JPEG"), "not-supported"),
    "floating point": (as_tiff(PIXELS[..., 0].astype(np.float32)), "not-supported"),
    "deep planes": (
        as_tiff(np.moveaxis(DEEP, -1, 0), photometric="rgb", planarconfig="separate"),
        "not-supported",
    ),
    "stack": (as_tiff(np.stack([PIXELS, PIXELS]), photometric="rgb"), "several-images"),
    "scans": (saved(Image.fromarray(PIXELS), "JPEG") + 101 * b"\xff\xda", "unreadable"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_shown_is_refused_with_a_reason(name: str, tmp_path: Path) -> None:
    data, reason = REFUSED[name]
    (tmp_path / name).write_bytes(data)
    with quiet(), pytest.raises(SlideError) as caught:
        read_pixels(tmp_path / name)
    assert caught.value.reason == reason
    assert str(tmp_path / name) in caught.value.problem
    assert caught.value.remedy


def test_a_file_that_is_not_there_or_no_file_is_refused(tmp_path: Path) -> None:
    for path, reason in ((tmp_path / "none.png", "missing-file"), (tmp_path, "not-an-image")):
        for read in (read_pixels, image_header):
            with pytest.raises(SlideError) as caught:
                read(path)
            assert caught.value.reason == reason


def test_a_bomb_is_refused_by_its_header() -> None:
    """40,000 x 40,000 pixels of one colour are a megabyte, and 6 GB when they are decoded."""
    header = saved(Image.fromarray(PIXELS))
    bomb = bytearray(header)
    bomb[16:24] = (40_000).to_bytes(4, "big") * 2
    bomb[29:33] = imagecodecs.zlib_crc32(bytes(bomb[12:29])).to_bytes(4, "big")
    with quiet(), pytest.raises(SlideError) as caught:
        decoded_image(bytes(bomb))
    assert caught.value.reason == "image-too-large"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
def test_damaged_images_give_pixels_or_a_reason(kind: str) -> None:
    whole = np.frombuffer(saved(Image.fromarray(PIXELS).resize((32, 20)), kind), dtype=np.uint8)
    rng = np.random.default_rng(2)
    for _ in range(150):
        bad = whole.copy()
        bad[rng.integers(0, len(bad), 4)] = rng.integers(0, 256, 4)
        try:
            assert decoded(bad.tobytes()).dtype == np.uint8
        except SlideError as error:
            assert error.reason


def test_what_is_no_image_in_colour_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "cut.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "cut.png").read_bytes()[:-40])
    Image.fromarray(PIXELS[..., 0].astype(np.uint16) * 200).save(tmp_path / "deep.png")
    Image.fromarray(PIXELS).save(tmp_path / "large.png")
    for name, said in (("deep.png", "I;16"), ("cut.png", "no image that can be read"), ("none.png", "none.png")):
        with pytest.raises((InputError, FileNotFoundError), match=said):
            read_image(tmp_path / name)
    monkeypatch.setattr("hypoxia_hpc.slides.image_files.MOST_IMAGE_PX", 30)
    with pytest.raises(InputError, match="8 x 5 pixels, at most 30"):
        read_image(tmp_path / "large.png")
