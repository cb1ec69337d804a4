"""The page of a preview: its script decides as the tiling rule does, it is small, and names are text on it."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest
from browser import in_browser, probed

from hypoxia_hpc.reports.preview import (
    MOST_TILES,
    Preview,
    PreviewedSlide,
    picture_of,
    preview_page,
    whites_of,
)
from hypoxia_hpc.tiling.redeciding import CoarseCounts, ExactCounts, TileSettings, exact_counts, redecided

HOSTILE = "</script><img src=x onerror=alert(1)>\u202e"
OWN = TileSettings(222, 0.25, False, 0.5)


def counts_of(columns: int, rows: int, *, missing: int = 0, seed: int = 3) -> CoarseCounts:
    """Random counts of tiles of 5 to 6 pixels a side."""
    rng = np.random.default_rng(seed)
    columns_px, rows_px = (np.append(0, rng.integers(5, 7, side).cumsum()) for side in (columns, rows))
    numbers = np.sort(rng.permutation(columns * rows)[missing:])
    whites = whites_of(OWN.white)
    light = np.sort(rng.integers(0, 26, (len(numbers), len(whites))), axis=1)[:, ::-1]
    tissue = np.round(rng.random(len(numbers)), 1).astype(np.float32)
    return CoarseCounts((int(columns_px[-1]), int(rows_px[-1])), columns_px, rows_px, numbers, whites, light, tissue)


def exact_of(counts: CoarseCounts) -> ExactCounts:
    """A third of the tiles kept, as with a mask of tissue."""
    kept = counts.numbers[::3]
    background = np.linspace(0, 0.25, len(kept)).astype(np.float32)
    return exact_counts(counts, OWN._replace(with_tissue=True), 20, kept, background)


@pytest.fixture(scope="module")
def preview() -> Preview:
    picture = picture_of(np.full((90, 120, 3), 200, dtype=np.uint8))
    first, second = counts_of(12, 9), counts_of(7, 5, missing=6, seed=4)
    slides = (
        PreviewedSlide(HOSTILE, picture, first, 4.0, exact_of(first)),
        PreviewedSlide("second", picture, second, 4.0),
    )
    return Preview(HOSTILE, OWN, "otsu", 0.5, slides, ((HOSTILE, "no-mpp: it says nothing"),), of_run=True)


def settings_to_try(preview: Preview) -> list[TileSettings]:
    return [
        TileSettings(white, share, with_tissue, min_tissue)
        for white in (160, 220, OWN.white, 250)
        for share in (0.0, 0.04, 0.25, 0.279, 0.28, 0.5, 1.0)
        for with_tissue, min_tissue in ((False, 0.5), (True, 0.0), (True, 0.3), (True, 0.7), (True, 1.0))
    ]


PROBE = """
async function probe() {
  const found = { decided: TRIED.map(settings => slides.map(slide => {
    const { kept, sure } = decide(slide, data.whites, settings);
    return [Array.from(kept).join(""), Array.from(sure).join("")];
  })) };
  const cells = number => Array.from(at("slide-" + number).cells).map(cell => cell.textContent);
  found.first = cells(0); found.toml = [at("toml").textContent];
  await Promise.all([0, 1].map(number => at("picture-" + number).decode()));
  const painted = () => {
    const copy = document.createElement("canvas"), { width, height } = at("canvas-0");
    [copy.width, copy.height] = [width, height];
    copy.getContext("2d").drawImage(at("canvas-0"), 0, 0);
    const seen = copy.getContext("2d").getImageData(0, 0, width, height).data;
    return seen.filter((value, place) => place % 4 === 3 && value === 0).length / (width * height);
  };
  found.clear = [painted()];
  const put = (id, value) => { at(id).value = value; at(id).dispatchEvent(new Event("input")); };
  put("max-background", "1000"); found.all = cells(0); found.clear.push(painted());
  at("with-tissue").checked = true; put("min-tissue", "300");
  found.toml.push(at("toml").textContent);
  at("slide-1").querySelector("button").click();
  found.hidden = [at("view-0").hidden, at("view-1").hidden];
  at("reset").click(); found.toml.push(at("toml").textContent); found.again = cells(0);
  found.text = document.body.innerText;
  return found;
}
"""


@pytest.fixture(scope="module")
def found(preview: Preview, tmp_path_factory: pytest.TempPathFactory) -> Any:
    page = tmp_path_factory.mktemp("preview") / "index.html"
    page.write_text(preview_page(preview), encoding="utf-8")
    tried = [
        {
            "white": one.white,
            "maxBackground": round(1000 * one.max_background),
            "withTissue": one.with_tissue,
            "minTissue": round(1000 * one.min_tissue),
        }
        for one in settings_to_try(preview)
    ]
    return probed(page, [f"const TRIED = {json.dumps(tried)};{PROBE}"])


@in_browser
def test_the_script_decides_as_the_rule_does(preview: Preview, found: Any) -> None:
    for settings, decided in zip(settings_to_try(preview), found["decided"], strict=True):
        for slide, (kept, sure) in zip(preview.slides, decided, strict=True):
            expected = redecided(slide.counts, settings, slide.exact)
            assert (kept, sure) == tuple("".join(map(str, one.astype(int))) for one in expected), settings


@in_browser
def test_sliders_show_numbers_picture_and_lines(preview: Preview, found: Any) -> None:
    slide = preview.slides[0]
    kept, sure = redecided(slide.counts, OWN, slide.exact)
    share = f"{100 * kept.mean():.1f}".removesuffix(".0")
    assert found["first"][1:] == ["108", str(kept.sum()), f"{share} %", "0", str(sure.sum())]
    assert found["all"][2:5] == ["108", "100 %", f"+{108 - kept.sum()}"]
    assert found["clear"][0] < found["clear"][1] and found["clear"][1] > 0.3
    begins = '[tile]\nwhite = 222\nmax_background = 0.25\ntissue = "none"'
    assert found["toml"][0] == begins == found["toml"][2] and found["again"] == found["first"]
    assert found["toml"][1] == '[tile]\nwhite = 222\nmax_background = 1\ntissue = "otsu"\nmin_tissue = 0.3'
    assert found["hidden"] == [True, False]
    assert found["console"] == [] and found["narrow"] == {"width": 390, "wide": []}
    assert "</script><img src=x onerror=alert(1)>" in found["text"] and "\u202e" not in found["text"]


def test_a_page_of_the_most_tiles_stays_below_two_megabytes(preview: Preview) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (3000, 3000, 3), dtype=np.uint8)
    counts = counts_of(MOST_TILES // 200, 200)
    slide = dataclasses.replace(preview.slides[0], counts=counts, exact=exact_of(counts), picture=picture_of(noise))
    page = preview_page(dataclasses.replace(preview, slides=(slide,)))
    assert len(page.encode()) < 2_000_000


def test_the_page_asks_for_nothing_and_says_how_exact_it_is(preview: Preview) -> None:
    page = preview_page(preview)
    assert "default-src 'none'; img-src data:;" in page and "http" not in page.replace("http-equiv", "")
    exact, without = preview.slides[0], preview.slides[1]
    assert exact.exact is not None
    estimated = redecided(exact.counts, exact.exact.made_with)[0]
    same = int((estimated == redecided(exact.counts, exact.exact.made_with, exact.exact)[0]).sum())
    assert f"{same} of 108 tiles" in page and "so all counts are estimates" in page
    alone = preview_page(dataclasses.replace(preview, slides=(without,), left_out=(), of_run=False))
    assert "Not shown" not in alone and "In run.toml" not in alone


def test_whites_are_every_fifth_and_the_own_one() -> None:
    assert whites_of(220) == whites_of(200) == tuple(range(160, 251, 5))
    assert 37 in whites_of(37) and 223 in whites_of(223)
