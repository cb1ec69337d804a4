"""Tiles through a network in batches of one fixed shape, so that there is one trace and every row is computed alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from hypoxia_hpc.networks.runtime import gpu_names
from hypoxia_hpc.records import Float32Array, Json, UInt8Array

if TYPE_CHECKING:
    import keras


def features_of(
    model: keras.Model,
    read: Callable[[int, int], UInt8Array],
    n: int,
    *,
    batch_size: int,
    tick: Callable[[int], None],
) -> Float32Array:
    """Features of ``n`` tiles, float32 (n, d).

    ``read(start, stop)`` gives pixels uint8 (stop - start, px, px, 3). The last batch is padded with black tiles, whose
    features are dropped. ``tick`` is told the tiles of every batch.
    """
    px = model.input_shape[1]
    batch = np.zeros((batch_size, px, px, 3), dtype=np.uint8)
    parts = []
    for start in range(0, n, batch_size):
        stop = min(start + batch_size, n)
        batch[: stop - start] = read(start, stop)
        batch[stop - start :] = 0
        parts.append(np.asarray(model.predict_on_batch(batch), dtype=np.float32)[: stop - start])
        tick(stop - start)
    return np.concatenate(parts)


def compute_record() -> Json:
    """What the bits of features depend on beside their inputs: backend, its version, device, precision.

    Not the threads: float32 features of all three backbones were equal with 1, 2, 4 and 16. Those of training matter.
    """
    import keras

    backend = keras.backend.backend()
    record: Json = {
        "backend": backend,
        "keras": keras.__version__,
        "precision": "float32",
        "xla": False,
    }
    if backend == "tensorflow":
        import tensorflow as tf

        record["tensorflow"] = tf.__version__
        record["device"] = next(iter(gpu_names()), "cpu")
    return record
