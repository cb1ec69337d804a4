"""Synthetic slides: OpenSlide opens them as Aperio's, and the classes differ in texture and in nothing else."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import openslide
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from scipy import ndimage

from hypoxia_hpc.synthetic.slides import (
    STAIN_SD,
    SyntheticSlide,
    render_slide,
    slide_file_name,
    synthetic_cohort,
    write_synthetic_slide,
)
from hypoxia_hpc.synthetic.svs import shrink, write_svs

SPEC = SyntheticSlide(seed=3, difference=0.4, hypoxic=True)
SMALL = replace(SPEC, size_px=(700, 620))


@pytest.fixture(scope="module")
def svs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("slides") / slide_file_name("TCGA-ZZ-0001")
    write_synthetic_slide(path, SPEC)
    return path


def background(pixels: np.ndarray) -> np.ndarray:
    """Share of background of each whole 299 px tile, by Pillow's gray; float64 (rows, columns)."""
    rows, columns = (side // 299 for side in pixels.shape[:2])
    gray = np.asarray(Image.fromarray(pixels).convert("L"))[: rows * 299, : columns * 299]
    return (gray >= 220).reshape(rows, 299, columns, 299).mean((1, 3))


# --- the file ----------------------------------------------------------------------------------------------------


def test_openslide_opens_it_as_an_aperio_slide(svs: Path) -> None:
    with openslide.OpenSlide(svs) as slide:
        assert slide.properties["openslide.vendor"] == "aperio"
        assert slide.properties["openslide.mpp-x"] == slide.properties["openslide.mpp-y"] == "0.5"
        assert slide.properties["openslide.objective-power"] == "20"
        assert slide.properties["openslide.level[0].tile-width"] == "240"
        assert slide.level_dimensions == ((1860, 1840), (465, 460))
        assert slide.level_downsamples == (1.0, 4.0)
        assert slide.associated_images["thumbnail"].size == (232, 230)


def test_every_level_and_the_thumbnail_show_what_was_rendered(svs: Path) -> None:
    rendered = render_slide(SPEC)
    with openslide.OpenSlide(svs) as slide:
        shown = [
            (np.asarray(slide.read_region((0, 0), 0, slide.dimensions)), rendered),
            (np.asarray(slide.read_region((0, 0), 1, slide.level_dimensions[1])), shrink(rendered, 4)),
            (np.asarray(slide.associated_images["thumbnail"]), shrink(rendered, 8)),
        ]
    for rgba, expected in shown:
        error = rgba[..., :3].astype(float) - expected
        assert (rgba[..., 3] == 255).all()
        assert np.abs(error.mean((0, 1))).max() < 1
        assert np.sqrt((error**2).mean()) < 8


def test_pages_are_tiled_jpeg_with_a_stripped_thumbnail_between(svs: Path) -> None:
    with tifffile.TiffFile(svs) as file:
        assert [page.is_tiled for page in file.pages] == [True, False, True]
        assert {page.compression.name for page in file.pages} == {"JPEG"}
        assert {page.tags["YCbCrSubSampling"].value for page in file.pages} == {(2, 2)}
        assert all(page.description.startswith("Aperio Image Library") for page in file.pages)


def test_no_codec_library_is_needed_to_write_it(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['imagecodecs'] = None; from pathlib import Path;"
        "from hypoxia_hpc.synthetic.slides import SyntheticSlide, write_synthetic_slide;"
        f"write_synthetic_slide(Path({str(tmp_path / 'a.svs')!r}), SyntheticSlide(3, 0.4, True, (700, 620)))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    write_synthetic_slide(tmp_path / "b.svs", SMALL)
    assert (tmp_path / "a.svs").read_bytes() == (tmp_path / "b.svs").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.svs", "b.svs"]


def test_header_follows_the_resolution(tmp_path: Path) -> None:
    write_synthetic_slide(tmp_path / "a.svs", replace(SMALL, mpp=0.25))
    with openslide.OpenSlide(tmp_path / "a.svs") as slide:
        assert float(slide.properties["openslide.mpp-x"]) == 0.25
        assert slide.properties["openslide.objective-power"] == "40"


@settings(max_examples=20)
@given(width=st.integers(16, 600), height=st.integers(16, 600), seed=st.integers(0, 99))
def test_any_size_comes_back_from_its_edge_tiles(
    width: int, height: int, seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("edges") / "a.svs"
    coarse = np.random.default_rng(seed).integers(60, 200, (height // 16 + 1, width // 16 + 1, 3)).astype(np.uint8)
    pixels = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))
    write_svs(path, pixels, 0.5, quality=95)
    with openslide.OpenSlide(path) as slide:
        assert slide.dimensions == (width, height)
        shown = np.asarray(slide.read_region((0, 0), 0, (width, height)))[..., :3]
    assert np.abs(shown.astype(int) - pixels).mean() < 4


@given(
    pixels=hnp.arrays(np.uint8, st.tuples(st.integers(1, 20), st.integers(1, 20), st.just(3))),
    factor=st.integers(1, 9),
)
def test_shrinking_is_the_mean_rounded_half_up(pixels: np.ndarray, factor: int) -> None:
    height, width = pixels.shape[0] // factor, pixels.shape[1] // factor
    small = shrink(pixels, factor)
    assert small.shape == (height, width, 3)
    for y in range(height):
        for x in range(width):
            square = pixels[y * factor : (y + 1) * factor, x * factor : (x + 1) * factor]
            assert (small[y, x] == np.floor(square.mean((0, 1), dtype=np.float64) + 0.5 + 1e-9)).all()


# --- what it shows -----------------------------------------------------------------------------------------------


def test_seed_decides_the_pixels() -> None:
    assert np.array_equal(render_slide(SMALL), render_slide(SMALL))
    assert not np.array_equal(render_slide(SMALL), render_slide(replace(SMALL, seed=4)))


def test_without_difference_the_class_changes_nothing() -> None:
    one, other = (replace(SMALL, difference=0.0, hypoxic=hypoxic) for hypoxic in (True, False))
    assert np.array_equal(render_slide(one), render_slide(other))


def test_class_changes_texture_and_neither_colour_nor_tissue() -> None:
    for seed in range(2):
        pixels = [render_slide(replace(SPEC, seed=seed, hypoxic=hypoxic)) for hypoxic in (True, False)]
        kept = [background(each) <= 0.25 for each in pixels]
        assert np.array_equal(*kept)
        assert np.abs(background(pixels[0])[kept[0]].mean() - background(pixels[1])[kept[0]].mean()) < 0.01
        tissue = np.abs(pixels[0].astype(int) - pixels[1]).max(2) > 0
        tissue = ndimage.binary_fill_holes(ndimage.binary_closing(tissue, iterations=3))
        assert np.abs(pixels[0][tissue].mean(0) - pixels[1][tissue].mean(0)).max() < 0.5
        assert np.abs(dark_count(pixels[0]) / dark_count(pixels[1]) - np.exp(-2 * SPEC.difference)) < 0.12


def dark_count(pixels: np.ndarray) -> int:
    """Number of nuclei: connected dark spots of the red channel."""
    red = ndimage.gaussian_filter(pixels[..., 0].astype(np.float32), 1.5)
    labelled, n = ndimage.label(red < red[red < 225].mean() - 30)
    return int((np.bincount(labelled.ravel())[1:] > 20).sum()) if n else 0


def test_some_ten_to_fourteen_tiles_are_kept_and_the_rest_is_background() -> None:
    kept = [(background(render_slide(slide)) <= 0.25).sum() for _, _, slide in synthetic_cohort(5, seed=1)]
    assert 10 <= min(kept) <= max(kept) <= 15


def test_glass_is_background_throughout() -> None:
    pixels = render_slide(SMALL)
    corners = np.concatenate([pixels[:40, :40], pixels[-40:, -40:]])
    assert np.asarray(Image.fromarray(corners).convert("L")).min() >= 220
    assert corners.std() > 1


# --- the cohort --------------------------------------------------------------------------------------------------


@given(n=st.integers(2, 80), seed=st.integers(0, 2**32))
def test_half_of_the_cohort_is_hypoxic(n: int, seed: int) -> None:
    cohort = synthetic_cohort(n, 0.3, seed)
    labels = [hypoxic for _, hypoxic, _ in cohort]
    assert sum(labels) == n // 2
    assert [slide.hypoxic for _, _, slide in cohort] == labels
    assert len({slide.seed for _, _, slide in cohort}) == len({patient for patient, _, _ in cohort}) == n
    assert cohort == synthetic_cohort(n, 0.3, seed)


def test_cohorts_of_other_seeds_are_others() -> None:
    first, second = synthetic_cohort(seed=1), synthetic_cohort(seed=2)
    assert not {slide.seed for _, _, slide in first} & {slide.seed for _, _, slide in second}
    assert [label for _, label, _ in first] != [label for _, label, _ in second]
    assert first[0][0] == "TCGA-ZZ-0001"
    assert slide_file_name(first[0][0]) == "TCGA-ZZ-0001-01Z-00-DX1.svs"


def test_patients_differ_in_stain() -> None:
    means = [render_slide(replace(SMALL, seed=seed))[250:370, 300:400].mean((0, 1)) for seed in range(12)]
    assert STAIN_SD / 3 < np.std(means, axis=0).min() < STAIN_SD * 3
