"""Heatmaps: every pixel is the mean of the tiles over it, and what is planted is seen at its place."""

from __future__ import annotations

import io

import naive
import numpy as np
import pytest
from PIL import Image

from hypoxia_hpc.reports import heatmaps
from hypoxia_hpc.reports.heatmaps import (
    CLEAR,
    COLOURS,
    STRIP_PX,
    Frame,
    Legend,
    Painted,
    Scale,
    classes_png,
    heatmap_png,
    painted,
    painted_classes,
    whole_slide,
)
from hypoxia_hpc.reports.plots import SERIES

CHANCE = Scale("probability of hypoxic, tanh", 0, 1, ("0", "1"))


@pytest.mark.parametrize(("step", "side"), [(300, 300.0), (150, 300.0), (300, 299.5), (700, 300.0)])
def test_a_pixel_is_the_mean_of_the_tiles_over_its_middle(
    step: int, side: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heatmaps, "MAP_PX", 61)
    rng = np.random.default_rng(step)
    xy = np.argwhere(rng.random((9, 12)) < 0.6)[:, ::-1] * step
    values = rng.random(len(xy))
    values[3] = np.nan
    size = (int(xy[:, 0].max() + side + 40), int(xy[:, 1].max() + side))
    picture = painted(xy, side, values, whole_slide(size))
    found = picture.spread(picture.values)
    expected = naive.painted(xy, side, values, size, 61)
    assert found == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize(("step", "side"), [(300, 300.0), (150, 300.0), (130, 299.5)])
def test_a_pixel_has_the_class_of_most_tiles_over_its_middle(
    step: int, side: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heatmaps, "MAP_PX", 47)
    rng = np.random.default_rng(step)
    xy = np.argwhere(rng.random((9, 12)) < 0.6)[:, ::-1] * step
    classes = rng.integers(0, 4, len(xy))
    size = (int(xy[:, 0].max() + side + 40), int(xy[:, 1].max() + side))
    picture = painted_classes(xy, side, classes, whole_slide(size))
    expected = naive.painted_classes(xy, side, classes, size, 47)
    assert np.array_equal(picture.spread(picture.values), expected, equal_nan=True)


def test_classes_have_the_colours_of_series_and_a_legend() -> None:
    values = np.array([[0.0, 3.0, np.nan]])
    picture = Painted(values, np.array([60]), np.array([100, 100, 500]))
    legend = Legend("phenotypes", ((1, "cluster 4"), (3, "cluster 0"), (0, "other clusters")))
    image = Image.open(io.BytesIO(classes_png(picture, legend, 10.0)))
    found, colours = np.asarray(image), np.asarray(image.convert("RGB"))
    assert (found[:60, 200:] == CLEAR).all()
    for column, series in ((0, 0), (100, 3)):
        expected = np.array(list(bytes.fromhex(SERIES[series][1:])))
        assert (colours[:60, column : column + 100] == expected).all()
    assert {0, 1, 3} <= set(found[60:].ravel().tolist()) and 2 not in found


def test_tiles_smaller_than_a_pixel_are_seen_and_none_leaves_the_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heatmaps, "MAP_PX", 32)
    xy = np.array([[5000, 3000], [99_990, 99_990]])
    picture = painted(xy, 10.0, np.array([0.5, 0.25]), whole_slide((100_000, 100_000)))
    found = picture.spread(picture.values)
    assert picture.size == (32, 32) and found[0, 1] == 0.5 and np.isfinite(found).sum() <= 2


def test_parts_of_a_slide_meet_without_a_seam() -> None:
    rng = np.random.default_rng(5)
    xy = np.argwhere(rng.random((9, 12)) < 0.6)[:, ::-1] * 130
    values, classes = rng.random(len(xy)), rng.integers(0, 3, len(xy))
    drawn = ((painted, values, naive.painted), (painted_classes, classes, naive.painted_classes))
    size = (int(xy[:, 0].max()) + 300, int(xy[:, 1].max()) + 300)
    map_px = max(size) // 20
    for paint, what, twin in drawn:
        expected = twin(xy, 299.5, what, size, map_px)
        for left, top in ((0, 0), (40, 0), (0, 40), (40, 40)):
            part = expected[top : top + 40, left : left + 40]
            frame = Frame(map_px / max(size), part.shape[::-1], (left, top))
            picture = paint(xy, 299.5, what, frame)
            assert picture.spread(picture.values) == pytest.approx(part, nan_ok=True)


def test_a_planted_region_is_at_its_place() -> None:
    """Intersection over union of what is shown as above 0.5 with what was planted."""
    x, y = np.meshgrid(np.arange(60), np.arange(40))
    xy = np.column_stack([x.ravel(), y.ravel()]) * 299
    middle = xy + 150
    hot = ((middle - [9000, 5000]) ** 2).sum(axis=1) < 3000**2
    noise = np.random.default_rng(0).normal(0, 0.1, len(xy))
    picture = painted(xy, 299.0, np.where(hot, 0.8, 0.2) + noise, whole_slide((60 * 299, 40 * 299)))
    found = picture.spread(picture.values)
    rows, columns = np.indices(found.shape)
    scale = 60 * 299 / found.shape[1]
    truth = ((columns + 0.5) * scale - 9000) ** 2 + ((rows + 0.5) * scale - 5000) ** 2 < 3000**2
    shown = found > 0.5
    assert (shown & truth).sum() / (shown | truth).sum() >= 0.8


def test_the_picture_is_clear_where_nothing_is_said_and_has_both_bars() -> None:
    values = np.array(
        [[np.nan, np.nan, np.nan], [np.nan, 1.0, np.nan], [np.nan, 0.0, np.nan], [np.nan, np.nan, np.nan]]
    )
    picture = Painted(values, np.array([50, 50, 50, 150]), np.array([200, 100, 400]))
    image = Image.open(io.BytesIO(heatmap_png(picture, CHANCE, 10.0)))
    assert image.mode == "P" and image.size == (700, 300 + STRIP_PX) and image.info["transparency"] == CLEAR
    found = np.asarray(image)
    assert (found[:300] == CLEAR).sum() == 300 * 700 - 2 * 50 * 100
    assert (found[50:100, 200:300] == COLOURS - 1).all() and (found[100:150, 200:300] == 0).all()
    strip = found[300:]
    assert set(range(COLOURS)) <= set(strip.ravel().tolist()), "the colour bar has every colour"
    colours = np.asarray(image.convert("RGB")).astype(float)[300 + 30, 16 : 16 + 250] @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(colours) >= -1).all(), "ever lighter"
    without = np.asarray(Image.open(io.BytesIO(heatmap_png(picture, CHANCE, None))))[300:]
    assert (without != strip).any() and (without[:, :400] == strip[:, :400]).all(), "no resolution, no scale bar"


def test_one_value_and_nothing_at_all() -> None:
    flat = Scale("risk", 2.0, 2.0, ("2", "2"))
    for values in (np.full((5, 5), 2.0), np.full((5, 5), np.nan)):
        picture = Painted(values, np.ones(5, dtype=np.int64), np.ones(5, dtype=np.int64))
        assert Image.open(io.BytesIO(heatmap_png(picture, flat, None))).size[1] == 5 + STRIP_PX
