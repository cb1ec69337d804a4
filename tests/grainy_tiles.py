"""Tiles with a planted difference that a small network learns in seconds."""

import numpy as np

COLOUR = np.array([150, 100, 140])


def grainy_tiles(seed: int, label: int, n: int, px: int) -> np.ndarray:
    """Tiles uint8 (n, px, px, 3) of noise around one colour, fine-grained in class 1, coarse in class 0."""
    grain = 1 if label else 3
    noise = np.random.default_rng(seed).normal(scale=40, size=(n, px // grain, px // grain, 1))
    tiles = noise.repeat(grain, axis=1).repeat(grain, axis=2) + COLOUR
    return np.clip(tiles, 0, 255).astype(np.uint8)
