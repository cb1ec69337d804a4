"""Feature stores for tests of what trains on them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hypoxia_hpc.networks.data.rows import LabelledStore, TrainingData
from hypoxia_hpc.records import Label
from hypoxia_hpc.stores.features import write_features

SPEC = {"spec": {"backbone": "vgg16", "precision": "float32"}, "tile_spec": {"tile_px": 299}}


def store(folder: Path, name: str, values: np.ndarray, label: Label, **attributes: Any) -> LabelledStore:
    """A store of these rows, of a patient of its own."""
    path = folder / f"{name}.zarr"
    write_features(path, values, np.zeros((len(values), 2), np.int64), {"key": name, **SPEC, **attributes})
    return LabelledStore(path, len(values), label, f"patient-{name}")


def cohort(folder: Path, counts: Sequence[int], length: int, *, difference: float = 1.5, seed: int = 0) -> TrainingData:
    """Stores of ``counts`` tiles, labels by turns, the last third for validation; features lie about 5, one of four
    moves by ``difference`` with the label."""
    random = np.random.default_rng(seed)
    stores = []
    for number, n in enumerate(counts):
        values = random.normal(5, 1, (n, length))
        values[:, ::4] += difference * (number % 2)
        stores.append(store(folder, f"s{number}", values.astype(np.float16), number % 2))
    n_train = len(stores) - len(stores) // 3
    return TrainingData(tuple(stores[:n_train]), tuple(stores[n_train:]), length)
