"""What clusterings of feature vectors share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hypoxia_hpc.errors import InputError
from hypoxia_hpc.records import Float32Array, Int64Array

if TYPE_CHECKING:
    import keras

PREDICT_ROWS = 256  # a fixed number, the last batch padded: one trace, and every row is computed alike
# Feature vectors float32 (n, d) -> number of the cluster of each, int64 (n,).
ClusterOf = Callable[[Float32Array], Int64Array]


def require_enough_tiles(name: str, clusters: int, n_tiles: int) -> None:
    """``name`` is that of the clustering in [train]. Raises InputError where there are fewer tiles than clusters."""
    if n_tiles < clusters:
        raise InputError(
            f"{n_tiles} training tiles make no {clusters} clusters",
            remedy=f"set [train.{name}] clusters to fewer than there are training tiles",
        )


def largest_first(clusters: Iterator[Int64Array], k: int) -> Int64Array:
    """The numbers of the ``k`` clusters in the order in which they are to be counted: by their tiles, the largest
    first, one without tiles last. ``clusters``: that of every training tile, part by part."""
    n_tiles = sum((np.bincount(some, minlength=k) for some in clusters), np.zeros(k, dtype=np.int64))
    return np.argsort(-n_tiles, kind="stable")


def padded_batches(values: NDArray[Any]) -> Iterator[tuple[NDArray[Any], int]]:
    """Rows (n, d) in batches of `PREDICT_ROWS`, and how many of each are none of the zeros behind the last."""
    for start in range(0, len(values), PREDICT_ROWS):
        part = values[start : start + PREDICT_ROWS]
        padded = np.zeros((PREDICT_ROWS, values.shape[1]), dtype=values.dtype)
        padded[: len(part)] = part
        yield padded, len(part)


def outputs_of_rows(model: keras.Model, values: NDArray[Any]) -> Float32Array:
    """What a network says of feature vectors of its own type (n, d), float32 (n, c)."""
    parts = [np.asarray(model.predict_on_batch(batch))[:n] for batch, n in padded_batches(values)]
    return np.concatenate(parts)
