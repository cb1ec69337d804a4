"""Gray slices of a series get one scale, which what is zero does not move."""

from __future__ import annotations

import numpy as np
import pytest
from naive import gray_of_series

from hypoxia_hpc.config import parse_config
from hypoxia_hpc.config.series import SeriesTable
from hypoxia_hpc.errors import InputError
from hypoxia_hpc.tiling.gray_series import Scale, as_colour, content_of, scaled, series_scale

KINDS = {"uint8": 200, "uint16": 60_000, "int16": 3_000, "float32": 3.5}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("low", "high"), [(1.0, 99.0), (0.0, 100.0), (20.0, 75.5)])
def test_a_scale_is_that_of_its_slow_twin(kind: str, low: float, high: float) -> None:
    random = np.random.default_rng(1)
    slices = [(random.random((5, 6)) * KINDS[kind] * (random.random((5, 6)) < 0.7)).astype(kind) for _ in range(3)]
    table = SeriesTable(scale="percentiles", low_percentile=low, high_percentile=high)
    scale = series_scale(slices, table)
    made = [scaled(one, scale) for one in slices]
    expected = gray_of_series([one.ravel().tolist() for one in slices], low, high)
    off = [np.abs(one.ravel().astype(int) - other) for one, other in zip(made, expected, strict=True)]
    assert np.max(off) <= (1 if kind == "float32" else 0)
    assert np.concatenate(off).sum() <= 1, "a half in floating point"
    assert all(one.dtype == np.uint8 and one.shape == (5, 6) for one in made)


def test_zeros_move_no_scale_and_equal_tissue_stays_equal() -> None:
    tissue = np.arange(1, 101, dtype=np.uint16).reshape(10, 10) * 40
    table = SeriesTable(scale="percentiles", low_percentile=0.0, high_percentile=100.0)
    assert series_scale([tissue], table) == series_scale([tissue, np.zeros((90, 90), np.uint16)], table)
    brighter = np.full((2, 2), 8_000, dtype=np.uint16)
    scale = series_scale([tissue, brighter], table)
    assert scale == Scale(40.0, 8000.0)
    assert scaled(tissue, scale).max() < 128


def test_a_series_of_one_value_or_of_nothing() -> None:
    table = SeriesTable(scale="percentiles")
    one = np.array([[0, 7], [7, 0]], dtype=np.uint8)
    assert scaled(one, series_scale([one], table)).tolist() == [[0, 255], [255, 0]]
    nothing = np.zeros((2, 2), dtype=np.float32)
    assert series_scale([nothing], table) == Scale(0.0, 0.0)
    assert not scaled(nothing, Scale(0.0, 0.0)).any()


def test_content_is_what_is_above_a_share_of_the_scale() -> None:
    gray = np.array([[0, 25, 26, 255]], dtype=np.uint8)
    assert content_of(gray, SeriesTable()) == 0.5
    assert content_of(gray, SeriesTable(content_level=1.0)) == 0.0
    assert as_colour(gray).shape == (1, 4, 4)


@pytest.mark.parametrize(
    "raw",
    [
        {"source": {"kind": "folders"}, "tile": {"series": {"low_percentile": 99.0}}},
        {"source": {"kind": "slides"}, "tile": {"series": {"scale": "percentiles"}}},
        {
            "source": {"kind": "folders"},
            "tile": {"series": {"scale": "percentiles"}, "stain": {"method": "macenko"}},
        },
        {"source": {"kind": "folders", "image_mode": ["T1w", "T1w"]}},
    ],
)
def test_settings_that_contradict_themselves_are_refused(raw: dict[str, object]) -> None:
    with pytest.raises(InputError, match=r"low_percentile|\[tile.series\] is for |T1w twice"):
        parse_config(raw, source="run.toml")
