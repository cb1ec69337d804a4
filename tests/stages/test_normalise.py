"""``normalise`` on files: what it writes, what it shows, what it refuses."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from dyed import GLASS, OTHER, SLIDE, dyed
from PIL import Image

from hypoxia_hpc.cli.text.normalise import normalised_text
from hypoxia_hpc.errors import InputError
from hypoxia_hpc.slides.opening import opened_slide
from hypoxia_hpc.stages.normalise import normalise_file
from hypoxia_hpc.synthetic.svs import shrink, write_svs
from hypoxia_hpc.tiling.stain.macenko import fit_macenko
from hypoxia_hpc.tiling.stain.stains import Stains, angle_degrees
from hypoxia_hpc.tiling.windows import Window

Hypoxia = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    Image.fromarray(dyed(SLIDE)).save(folder / "one.png")
    Image.fromarray(dyed(OTHER)).save(folder / "other.tiff")
    Image.new("RGB", (60, 60), "white").save(folder / "glass.png")
    Image.new("L", (60, 60), 100).save(folder / "gray.png")
    (folder / "text.png").write_text("no image")
    return folder


@pytest.mark.parametrize(("method", "most_left"), [("macenko", 0.2), ("vahadane", 0.2), ("reinhard", 0.5)])
def test_two_renderings_of_one_tissue_come_together(
    images: Path, tmp_path: Path, method: str, most_left: float
) -> None:
    """Of the difference of their mean colours a fifth is left at most; light and dark stay where they are. Reinhard's
    makes the moments of the tissue alike, the pale stroma among the glass stays."""
    out = tmp_path / "out.png"
    made = normalise_file(images / "one.png", out, method, images / "other.tiff", GLASS)
    assert np.array_equal(np.asarray(Image.open(out)), made.image)
    assert ("L*" if method == "reinhard" else "image, haematoxylin") in "\n".join(
        normalised_text(made.source, made.target)
    )
    before, after, there = dyed(SLIDE), made.image, dyed(OTHER)
    rows = slice(len(before) // 5 + 1, None)  # below the glass
    here, now, target = (one[rows].reshape(-1, 3).astype(float) for one in (before, after, there))
    assert np.linalg.norm(now.mean(0) - target.mean(0)) <= most_left * np.linalg.norm(here.mean(0) - target.mean(0))
    assert np.corrcoef(here.mean(1), now.mean(1))[0, 1] > 0.95
    if isinstance(made.target, Stains):
        again = fit_macenko(made.image, made.target.white, GLASS)
        assert again.found is not None
        assert angle_degrees(again.found.directions[:, 0], OTHER.directions[:, 0]) < 6


def test_the_command_shows_what_was_fitted_and_writes_no_second_time(
    hypoxia: Hypoxia, images: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.png"
    done = hypoxia("normalise", images / "one.png", out, "--to", images / "other.tiff")
    assert done.returncode == 0, done.stderr
    assert "image, haematoxylin" in done.stdout and "reference, eosin" in done.stdout and str(out) in done.stdout
    again = hypoxia("normalise", images / "one.png", out)
    assert again.returncode == 2 and "is there already" in again.stderr


@pytest.mark.parametrize(
    ("name", "method", "reference", "said"),
    [
        ("glass.png", "macenko", None, "0 stained pixels"),
        (
            "one.png",
            "macenko",
            "glass.png",
            "the reference has no stain that others could be given: it has 0 stained pixels",
        ),
        ("gray.png", "vahadane", None, "mode L"),
        ("text.png", "published", None, "no image that can be read"),
        ("one.png", "reinhard", None, "--to"),
        ("one.png", "published", "other.tiff", "leave out --to"),
    ],
)
def test_what_cannot_be_normalised_is_said_and_nothing_written(
    images: Path, tmp_path: Path, name: str, method: str, reference: str | None, said: str
) -> None:
    out = tmp_path / "out.png"
    with pytest.raises(InputError, match=said):
        normalise_file(images / name, out, method, images / reference if reference else None, GLASS)
    assert not out.exists()


def test_output_is_png(images: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.png"):
        normalise_file(images / "one.png", tmp_path / "out.jpg", "macenko", None, GLASS)


def test_an_image_that_is_not_there_is_no_bug(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nope\.png does not exist"):
        normalise_file(tmp_path / "nope.png", tmp_path / "out.png", "macenko", None, 220)


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of 1,300 x 1,400 px at 0.5 µm: 5 x 5 whole tiles of 240 px, and a rest."""
    path = tmp_path_factory.mktemp("slide") / "slide.svs"
    grains = dyed(SLIDE, side=140, seed=1)[:, :130]  # of 10 x 10 px, which JPEG leaves as they are
    pixels = grains.repeat(10, axis=0).repeat(10, axis=1)
    write_svs(path, pixels, 0.5, quality=95)
    return path


def test_a_slide_gets_the_stain_of_the_reference_as_a_pyramid(
    hypoxia: Hypoxia, slide: Path, images: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.tif"
    done = hypoxia("normalise", slide, out, "--to", images / "other.tiff")
    assert done.returncode == 0, done.stderr
    assert "image, haematoxylin" in done.stdout and "1,200 x 1,200 px" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["out.tif"]
    with opened_slide(slide) as before, opened_slide(out) as after:
        assert after.pyramid.level_sizes == ((1200, 1200), (300, 300), (75, 75))
        assert after.pyramid.mpp_x == pytest.approx(0.5, rel=1e-3)
        there = before.read_window(Window(0, 0, 480, 480, 480, (480, 480)))
        here = after.read_window(Window(0, 0, 480, 480, 480, (480, 480)))
        small = after.read_window(Window(1, 0, 120, 120, 120, (120, 120)))
    target = dyed(OTHER)[30:].reshape(-1, 3).mean(0)
    far, near = (np.linalg.norm(one.reshape(-1, 3).mean(0) - target) for one in (there, here))
    assert near < 0.3 * far
    assert np.abs(shrink(here, 4).mean(2) - small.mean(2)).mean() < 3


@pytest.mark.parametrize(
    ("name", "method", "arguments", "said"),
    [
        ("slide", "published", ("out.tif",), "whole images alone"),
        ("one.png", "macenko", ("out.tif",), "a PNG image"),
        ("text.png", "macenko", ("out.png",), "name the output OUT.tif"),
        ("slide", "macenko", ("out.png", "--mpp", "1"), "--mpp is of slides"),
    ],
)
def test_what_is_no_slide_or_no_output_of_one_is_said(
    hypoxia: Hypoxia,
    slide: Path,
    images: Path,
    tmp_path: Path,
    name: str,
    method: str,
    arguments: tuple[str, ...],
    said: str,
) -> None:
    out, *options = arguments
    image = slide if name == "slide" else images / name
    done = hypoxia("normalise", image, tmp_path / out, "--method", method, *options)
    assert (done.returncode, said in done.stderr) == (2, True), done.stderr
    assert not list(tmp_path.iterdir())
