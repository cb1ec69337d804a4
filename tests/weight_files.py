"""Weight files as others write them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from hypoxia_hpc.config import ExtractTable
from hypoxia_hpc.networks.backbones.loading import as_numpy


def write_legacy_h5(path: Path, network: Any) -> None:
    """The layout of the no-top files that Keras publishes: a group per layer, names in attributes."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [layer.name.encode() for layer in network.layers]
        for layer in network.layers:
            group = file.create_group(layer.name)
            group.attrs["weight_names"] = [weight.path.encode() for weight in layer.weights]
            for weight in layer.weights:
                group[weight.path] = as_numpy(weight)


def table_for(path: Path, name: str = "vgg16") -> ExtractTable:
    """[extract] with the weights of this file."""
    return ExtractTable(backbone=name, weights=str(path), weights_sha256=hashlib.sha256(path.read_bytes()).hexdigest())


def random_table(name: str, **settings: Any) -> ExtractTable:
    return ExtractTable(backbone=name, weights="random", **settings)


def some_tiles(n: int, px: int) -> np.ndarray:
    """uint8 (n, px, px, 3) of noise, the same for the same arguments."""
    return np.random.default_rng(0).integers(0, 256, (n, px, px, 3), dtype=np.uint8)
