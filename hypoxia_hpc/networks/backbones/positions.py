"""Positions of patches in a file that was made for tiles of another side: resized to the grid of the network."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from hypoxia_hpc.networks.backbones.hub_keys import OUTSIDE, POSITIONS, Shape
from hypoxia_hpc.records import Float32Array

NAMES = (POSITIONS, OUTSIDE[POSITIONS])


def with_grid_of(path: Path, shapes: Mapping[str, Shape]) -> dict[str, Shape]:
    """``shapes`` of tensors, that of positions as the safetensors file has it, where that is of another square grid of
    patches: (1, tokens before the patches + side * side, length)."""
    from safetensors import safe_open

    found = dict(shapes)
    with safe_open(path, framework="numpy") as file:
        for name in {*NAMES} & {*shapes} & {*file.keys()}:
            there = tuple(file.get_slice(name).get_shape())
            if _is_of_another_grid(there, shapes[name]):
                found[name] = there
    return found


def _is_of_another_grid(there: Shape, wanted: Shape) -> bool:
    return len(there) == 3 and there[::2] == wanted[::2] and _n_before(there[1]) == _n_before(wanted[1]) is not None


def _n_before(n: int) -> int | None:
    """Tokens before a square grid of patches: none, or the class token; None where neither leaves a square."""
    return next((before for before in (0, 1) if n > before and math.isqrt(n - before) ** 2 == n - before), None)


def on_grid(
    tensors: Mapping[str, Float32Array], shapes: Mapping[str, Shape], *, antialias: bool
) -> dict[str, Float32Array]:
    """The tensors, positions resized by bicubic interpolation to the grid that ``shapes`` have."""
    found = dict(tensors)
    if POSITIONS in shapes and tensors[POSITIONS].shape != shapes[POSITIONS]:
        found[POSITIONS] = _resized(tensors[POSITIONS], shapes[POSITIONS][1], antialias)
    return found


def _resized(positions: Float32Array, n: int, antialias: bool) -> Float32Array:
    import torch

    before = _n_before(n) or 0
    first, patches = positions[:, :before], positions[:, before:]
    old, new = math.isqrt(patches.shape[1]), math.isqrt(n - before)
    grid = torch.from_numpy(patches.reshape(1, old, old, -1)).permute(0, 3, 1, 2)
    resized = torch.nn.functional.interpolate(grid, (new, new), mode="bicubic", antialias=antialias)
    return np.concatenate([first, resized.permute(0, 2, 3, 1).reshape(1, new * new, -1).numpy()], axis=1)
