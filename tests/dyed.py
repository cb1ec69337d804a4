"""Images of tissue whose dyes are known, for tests of stain normalisation."""

from __future__ import annotations

from typing import Any

import numpy as np

from hypoxia_hpc.tiling.stain.stains import Stains

GLASS = 220  # gray of the tiling rule's background
WHITE = np.array([243.0, 240.0, 244.0])
SLIDE = Stains(np.array([[0.62, 0.12], [0.70, 0.98], [0.35, 0.16]]), np.array([2.2, 1.4]), WHITE)
OTHER = Stains(np.array([[0.52, 0.22], [0.74, 0.90], [0.43, 0.38]]), np.array([1.5, 1.0]), np.full(3, 235.0))


def dyed(
    stains: Stains = SLIDE, side: int = 120, seed: int = 0, glass: float = 0.2, share_of_nuclei: float = 0.3
) -> Any:
    """Nuclei and stroma, uint8 (side, side, 3): ``share_of_nuclei`` of the pixels hold haematoxylin, the others eosin,
    and a little of the other; the concentrations' 99th percentiles are those of ``stains``. The upper part of it is
    bare glass."""
    rng = np.random.default_rng(seed)
    n = side * side
    nuclei = rng.random(n) < share_of_nuclei
    weak = rng.gamma(1, 0.05, (2, n))
    strong = 0.15 + rng.gamma((6.0, 4.0), 0.15, (n, 2)).T
    concentrations = np.where([nuclei, ~nuclei], strong, weak)
    concentrations[:, : int(glass * n)] = 0.0
    in_tissue = concentrations[:, int(glass * n) :]
    concentrations *= (stains.strongest / np.percentile(in_tissue, 99, axis=1))[:, None]
    directions = stains.directions / np.linalg.norm(stains.directions, axis=0)
    light = stains.white * np.exp(-(directions @ concentrations)).T + rng.normal(0, 1.0, (n, 3))
    return np.clip(np.rint(light), 0, 255).astype(np.uint8).reshape(side, side, 3)
