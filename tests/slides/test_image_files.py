"""Images in files of their own are read as a viewer shows them, or refused by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hypoxia_hpc.errors import InputError
from hypoxia_hpc.slides.image_files import read_image

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 8, 3), dtype=np.uint8)


@pytest.mark.parametrize("name", ["a.png", "a.tiff"])
def test_pixels_are_those_that_were_written(tmp_path: Path, name: str) -> None:
    Image.fromarray(PIXELS).save(tmp_path / name)
    assert np.array_equal(read_image(tmp_path / name), PIXELS)


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
