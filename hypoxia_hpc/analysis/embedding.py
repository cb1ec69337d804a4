"""Tiles on a plane by UMAP, which keeps near what is near. Pure, but for the library, which is an extra of its own."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np

from hypoxia_hpc.errors import InputError
from hypoxia_hpc.records import Float64Array

UMAP = "umap"
NEIGHBOURS = 15  # as the library has it
FEWEST = 8  # of fewer tiles there is nothing to keep near


def require_umap(picture: str) -> None:
    """Raises InputError where [phenotypes] picture asks for a library that is not installed."""
    if picture == UMAP and find_spec("umap") is None:
        raise InputError(
            '[phenotypes] picture = "umap" goes by the Python package umap-learn, which is not installed here',
            remedy="pip install 'hypoxia-hpc[umap]', or set [phenotypes] picture = \"pca\" in run.toml",
        )


def umap_places(features: Float64Array, seed: int) -> Float64Array:
    """Places (n, 2) of tiles with standardised ``features`` (n, d); equal input and ``seed`` give equal places on one
    machine. Zeros where there are fewer than eight tiles."""
    if len(features) < FEWEST:
        return np.zeros((len(features), 2))
    import umap

    # One thread, without which a seed does not make it repeat. Begun at principal components, it needs no eigenvalues.
    made = umap.UMAP(n_neighbors=min(NEIGHBOURS, len(features) - 1), init="pca", random_state=seed, n_jobs=1)
    return np.asarray(made.fit_transform(features), dtype=np.float64)
