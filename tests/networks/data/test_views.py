"""Views of tiles: twins that go pixel by pixel, nothing changed at strength 0, the same numbers for the same step."""

from __future__ import annotations

import math
from dataclasses import replace

import naive
import numpy as np
import pytest

from hypoxia_hpc.networks.data.augmentation import COLOUR, SYMMETRY
from hypoxia_hpc.networks.data.views import HUE, PLACE, VIEW_SHAPES, ViewStrengths, hue_turned, view_draws, view_of
from hypoxia_hpc.networks.runtime import start_keras

# Keras 3.15's own conversion of PyTorch's tensors to NumPy.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

N, PX = 6, 12
NONE = ViewStrengths(contrast=0, saturation=0, hue=0, crop=1, rotation=0)
FULL = ViewStrengths(contrast=1, saturation=1, hue=0.5, crop=0.2, rotation=180)


def tiles() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (N, PX, PX, 3)).astype(np.float32)


def viewed(pixels: np.ndarray, drawn: dict[str, np.ndarray]) -> np.ndarray:
    ops = start_keras().ops
    tensors = {name: ops.convert_to_tensor(array) for name, array in drawn.items()}
    return np.array(ops.convert_to_numpy(view_of(ops.convert_to_tensor(pixels), tensors)))


def drawn(strengths: ViewStrengths, step: int = 0, n: int = N) -> dict[str, np.ndarray]:
    return dict(view_draws(strengths, n, PX, 3, step, 0))


@pytest.mark.parametrize("strengths", [replace(NONE, crop=0.3), replace(NONE, rotation=180)])
def test_crops_and_turns_as_the_twin(strengths: ViewStrengths) -> None:
    numbers = {**drawn(strengths), SYMMETRY: np.zeros((N, 3), np.float32)}
    twin = [naive.placed(tile, place) for tile, place in zip(tiles(), numbers[PLACE], strict=True)]
    assert np.allclose(viewed(tiles(), numbers), twin, atol=0.05)
    assert np.abs(np.array(twin) - tiles()).mean() > 10


def test_turns_the_hue_as_the_twin_and_leaves_grays() -> None:
    ops = start_keras().ops
    angles = np.linspace(-3, 3, N, dtype=np.float32)[:, None]
    pixels = 100 + tiles() / 5  # so that nothing is cut off
    turned = ops.convert_to_numpy(hue_turned(ops.convert_to_tensor(pixels), ops.convert_to_tensor(angles)))
    twin = [naive.hue_turned(tile, float(angle)) for tile, angle in zip(pixels, angles[:, 0], strict=True)]
    assert np.allclose(turned, twin, atol=1e-3)
    third = np.full((1, 1), 2 * math.pi / 3, np.float32)
    two = np.array([[[[255, 0, 0], [90, 90, 90]]]], np.float32)
    found = ops.convert_to_numpy(hue_turned(ops.convert_to_tensor(two), ops.convert_to_tensor(third)))
    assert np.allclose(found[0, 0], [[0, 255, 0], [90, 90, 90]], atol=1e-3)


def test_strength_0_leaves_flips_alone_and_full_strength_stays_within_0_and_255() -> None:
    still = {**drawn(NONE), SYMMETRY: np.zeros((N, 3), np.float32)}
    assert np.allclose(viewed(tiles(), still), tiles(), atol=1e-3)
    for step in range(3):
        changed = viewed(tiles(), drawn(FULL, step))
        assert (changed.min(), changed.max()) >= (0, 0)
        assert changed.max() <= 255
        assert np.isfinite(changed).all()


def test_crops_lie_in_the_tile_and_keep_their_share_and_of_crops_and_turns_each_comes_as_often() -> None:
    places = drawn(replace(NONE, crop=0.5), n=500)[PLACE].astype(np.float64)
    width, left, height, top = places[:, 0], places[:, 2], places[:, 4], places[:, 5]
    assert (width * height).min() > 0.5 * 0.97
    assert (width * height).max() <= 1
    for start, share in ((left, width), (top, height)):
        first, last = start, start + share * (PX - 1)  # centres of the outer pixels
        assert (first >= -0.5 + share / 2 - 1e-5).all()
        assert (last <= PX - 0.5 - share / 2 + 1e-5).all()
    both = drawn(replace(NONE, crop=0.5, rotation=45), n=500)[PLACE]
    assert 0.4 < (both[:, 1] != 0).mean() < 0.6


def test_numbers_are_those_of_seed_step_and_view_alone_and_as_strong_as_asked() -> None:
    asked = ViewStrengths(contrast=0.25, saturation=0.3, hue=0.1, crop=0.5, rotation=45)
    first = view_draws(asked, 200, PX, 5, 7, 0)
    assert {name: values.shape[1:] for name, values in first.items()} == VIEW_SHAPES
    assert all(np.array_equal(first[name], view_draws(asked, 200, PX, 5, 7, 0)[name]) for name in first)
    for other in (view_draws(asked, 200, PX, *one) for one in ((6, 7, 0), (5, 8, 0), (5, 7, 1))):
        assert not any(np.array_equal(first[name], other[name]) for name in first)
    assert np.ptp(first[COLOUR], axis=0) == pytest.approx([0, 0.5, 0.6], rel=0.1)
    assert np.ptp(first[HUE]) == pytest.approx(2 * math.pi * 0.2, rel=0.1)
