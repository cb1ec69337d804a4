"""Augmentation: twins that go tile by tile, nothing changed at strength 0, 0..255, the same for the same step."""

from __future__ import annotations

import dataclasses

import naive
import numpy as np
import pytest
from PIL import Image

from hypoxia_hpc.networks.data import augmentation
from hypoxia_hpc.networks.data.augmentation import (
    COLOUR,
    CUTOUT,
    STAIN,
    STAINS,
    SYMMETRY,
    Strengths,
    augment,
    draws,
    resize,
)
from hypoxia_hpc.networks.runtime import start_keras

# Keras 3.15's own conversion of PyTorch's tensors to NumPy.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

N, PX = 16, 20
FULL = Strengths(flips=True, colour=1.0, stain=1.0, cutout=0.9)


def augmented(pixels: np.ndarray, drawn: dict[str, np.ndarray]) -> np.ndarray:
    ops = start_keras().ops
    tensors = {name: ops.convert_to_tensor(array) for name, array in drawn.items()}
    return np.array(ops.convert_to_numpy(augment(ops.convert_to_tensor(pixels), tensors)))


@pytest.fixture(scope="module")
def stained() -> np.ndarray:
    """Tiles of haematoxylin and eosin in all concentrations, uint8 (N, PX, PX, 3)."""
    concentrations = np.random.default_rng(0).uniform(0, 0.8, (N, PX, PX, 2))
    return np.clip(np.rint(255 * 10 ** -(concentrations @ STAINS)), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def noise() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (N, PX, PX, 3), dtype=np.uint8)


def test_mirrors_and_turns_as_the_twin(noise: np.ndarray) -> None:
    pixels = noise.astype(np.float32)
    drawn = draws(Strengths(flips=True, colour=0, stain=0), N, seed=3, step=0)
    twin = [naive.turned(tile, symmetry) for tile, symmetry in zip(pixels, drawn[SYMMETRY], strict=True)]
    assert np.array_equal(augmented(pixels, drawn), twin)


def test_the_eight_symmetries_are_the_flips_and_quarter_turns(noise: np.ndarray) -> None:
    every = np.array([[index >> bit & 1 for bit in range(3)] for index in range(8)], dtype=np.float32)
    tile = noise[0].astype(np.float32)
    made = {result.tobytes() for result in augmented(np.repeat(tile[None], 8, axis=0), {SYMMETRY: every})}
    turns = [np.rot90(tile, k) for k in range(4)]
    assert made == {np.ascontiguousarray(one).tobytes() for one in (*turns, *(np.fliplr(turn) for turn in turns))}


def test_restains_as_the_twin(stained: np.ndarray) -> None:
    pixels = stained.astype(np.float32)
    drawn = draws(Strengths(flips=False, colour=0, stain=0.4), N, seed=3, step=0)
    twin = [naive.restained(tile, stain) for tile, stain in zip(pixels, drawn[STAIN], strict=True)]
    assert np.allclose(augmented(pixels, drawn), twin, atol=0.01)
    assert not np.allclose(pixels, twin, atol=5)


def test_more_haematoxylin_is_more_of_its_own_colour() -> None:
    """Published vectors: light through haematoxylin of optical density 1 is 255 · 10^-0.65, 10^-0.70, 10^-0.29."""
    white = np.full((1, 2, 2, 3), 255, dtype=np.float32)
    drawn = {STAIN: np.array([[[1, 1], [1, 0]]], dtype=np.float32)}
    assert augmented(white, drawn)[0, 0, 0] == pytest.approx([57.09, 50.88, 130.78], abs=0.01)


def test_recolours_as_pillow(stained: np.ndarray) -> None:
    drawn = draws(Strengths(flips=False, colour=0.5, stain=0), N, seed=3, step=0)
    twin = np.array([naive.recoloured(tile, colour) for tile, colour in zip(stained, drawn[COLOUR], strict=True)])
    difference = np.abs(augmented(stained.astype(np.float32), drawn) - twin)
    assert difference.max() < 4  # Pillow cuts off what is behind the point, after each of the three
    assert np.abs(twin - stained.astype(np.float32)).mean() > 10


def test_light_is_brightness_and_contrast_alone(stained: np.ndarray) -> None:
    """The same numbers as of colour, without its third."""
    light = draws(Strengths(flips=False, colour=0, stain=0, light=0.5), N, seed=3, step=0)
    colour = draws(Strengths(flips=False, colour=0.5, stain=0), N, seed=3, step=0)
    assert list(light) == [COLOUR]
    assert np.array_equal(light[COLOUR][:, :2], colour[COLOUR][:, :2]) and (light[COLOUR][:, 2] == 1).all()
    ratios = augmented(stained.astype(np.float32), {COLOUR: np.array([[0.5, 1, 1]] * N, np.float32)}) / stained
    assert np.allclose(ratios, 0.5, atol=1e-4)


def test_cuts_out_as_the_twin(noise: np.ndarray) -> None:
    """Squares in the middle and over the edges; a third of the side is a ninth of the area where none of it is lost."""
    pixels = noise.astype(np.float32)
    drawn = draws(Strengths(flips=False, colour=0, stain=0, cutout=0.3), N, seed=3, step=0)
    assert list(drawn) == [CUTOUT]
    drawn[CUTOUT][:3] = [[0.2, 0.3, 0.5, 0.6], [-0.2, -0.2, 0.1, 0.1], [0.9, 0.5, 1.2, 0.8]]
    twin = np.array([naive.cut_out(tile, square) for tile, square in zip(pixels, drawn[CUTOUT], strict=True)])
    found = augmented(pixels, drawn)
    assert np.allclose(found, twin, atol=1e-3)
    changed = (found != pixels).any(axis=-1).sum(axis=(1, 2))
    assert changed[:3].tolist() == [36, 4, 12]
    assert changed.min() > 0 and changed.max() <= 36


def test_cutout_leaves_the_other_numbers_as_they_are() -> None:
    """A run without it has the tiles that it had before there was one."""
    strengths = Strengths(flips=True, colour=0.2, stain=0.05)
    with_it = draws(dataclasses.replace(strengths, cutout=0.3), N, seed=5, step=7)
    squares = with_it.pop(CUTOUT)
    without = draws(strengths, N, seed=5, step=7)
    assert with_it.keys() == without.keys() and all(np.array_equal(with_it[name], without[name]) for name in without)
    centres = (squares[:, :2] + squares[:, 2:]) / 2
    assert np.allclose(squares[:, 2:] - squares[:, :2], 0.3) and centres.min() >= 0 and centres.max() < 1


@pytest.mark.parametrize(("tile_px", "input_px"), [(299, 224), (75, 32), (20, 33), (64, 16)])
def test_resizes_as_pillow(tile_px: int, input_px: int) -> None:
    tiles = np.random.default_rng(0).integers(0, 256, (2, tile_px, tile_px, 3), dtype=np.uint8)
    bilinear = Image.Resampling.BILINEAR
    twin = np.array([np.asarray(Image.fromarray(tile).resize((input_px, input_px), bilinear)) for tile in tiles])
    resized = start_keras().ops.convert_to_numpy(resize(tiles, tile_px, input_px))
    assert resized.shape == (2, input_px, input_px, 3)
    assert np.abs(resized - twin).max() < 1.01  # Pillow rounds between its two passes and after


def test_the_same_size_and_strength_0_change_nothing(noise: np.ndarray) -> None:
    pixels = noise.astype(np.float32)
    assert np.array_equal(start_keras().ops.convert_to_numpy(resize(noise, PX, PX)), pixels)
    assert draws(Strengths(flips=False, colour=0, stain=0), N, seed=0, step=0) == {}
    least = draws(Strengths(flips=False, colour=1e-9, stain=1e-9, cutout=1e-9), N, seed=0, step=0)
    assert np.allclose(augmented(pixels, least), pixels, atol=1e-4)


def test_stays_within_0_and_255_at_full_strength(stained: np.ndarray, noise: np.ndarray) -> None:
    for tiles in (stained, noise, np.zeros_like(noise), np.full_like(noise, 255)):
        for step in range(8):
            changed = augmented(tiles.astype(np.float32), draws(FULL, N, seed=0, step=step))
            assert np.isfinite(changed).all()
            assert changed.min() >= 0
            assert changed.max() <= 255


def test_numbers_are_those_of_seed_and_step_alone() -> None:
    first, again = draws(FULL, N, seed=5, step=7), draws(FULL, N, seed=5, step=7)
    assert all(np.array_equal(first[name], again[name]) for name in augmentation.SHAPES)
    others = [draws(FULL, N, seed=5, step=8), draws(FULL, N, seed=6, step=7)]
    assert not any(np.array_equal(first[name], other[name]) for name in augmentation.SHAPES for other in others)
    flips_alone = draws(Strengths(flips=True, colour=0, stain=0), N, seed=5, step=7)
    assert np.array_equal(flips_alone[SYMMETRY], first[SYMMETRY])


def test_numbers_are_spread_over_their_ranges() -> None:
    drawn = draws(Strengths(flips=True, colour=0.2, stain=0.05, cutout=0.3), 4000, seed=0, step=0)
    assert {name: array.shape[1:] for name, array in drawn.items()} == dict(augmentation.SHAPES)
    codes = drawn[SYMMETRY] @ [1, 2, 4]
    assert np.bincount(codes.astype(int)).min() > 400
    for low, high, numbers in (
        (0.8, 1.2, drawn[COLOUR]),
        (0.95, 1.05, drawn[STAIN][:, 0]),
        (-0.05, 0.05, drawn[STAIN][:, 1]),
        (-0.15, 0.85, drawn[CUTOUT][:, :2]),
    ):
        assert np.allclose(numbers.min(axis=0), low, atol=(high - low) / 100)
        assert np.allclose(numbers.max(axis=0), high, atol=(high - low) / 100)
        assert np.allclose(numbers.mean(axis=0), (low + high) / 2, atol=(high - low) / 20)
