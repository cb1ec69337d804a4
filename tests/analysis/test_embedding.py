"""UMAP of tiles: like ones are near each other, a seed repeats it, and a library that is missing is said at once."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from hypoxia_hpc.analysis import embedding
from hypoxia_hpc.analysis.embedding import require_umap, umap_places
from hypoxia_hpc.config import preset
from hypoxia_hpc.errors import InputError
from hypoxia_hpc.records import Float64Array
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.stages.init import init


def test_a_missing_library_is_said_before_anything_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding, "find_spec", lambda name: None)
    require_umap("pca")
    with pytest.raises(InputError, match="umap-learn, which is not installed") as caught:
        init(RunDir(tmp_path / "run"), preset("hypoxia", {"phenotypes": {"picture": "umap"}}), tmp_path)
    assert "pip install 'hypoxia-hpc[umap]'" in caught.value.remedy
    assert not (tmp_path / "run").exists()


def test_it_is_asked_with_a_seed_and_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []

    class Umap:
        def __init__(self, **settings: Any) -> None:
            asked.append(settings)

        def fit_transform(self, values: Float64Array) -> Any:
            return values[:, :2].astype(np.float32)

    module = ModuleType("umap")
    monkeypatch.setattr(module, "UMAP", Umap, raising=False)
    monkeypatch.setitem(sys.modules, "umap", module)
    values = np.arange(40.0).reshape(10, 4)
    places = umap_places(values, 7)
    assert places.dtype == np.float64 and places.tolist() == values[:, :2].tolist()
    assert asked == [{"n_neighbors": 9, "init": "pca", "random_state": 7, "n_jobs": 1}]
    assert umap_places(values[:7], 7).tolist() == np.zeros((7, 2)).tolist() and len(asked) == 1


@pytest.mark.long
def test_like_tiles_are_near_each_other_and_the_same_seed_gives_the_same_bytes() -> None:
    groups = np.arange(300) % 3
    values = np.random.default_rng(1).normal(size=(300, 32)) + 6 * np.eye(3, 32)[groups]
    places = umap_places(values, 7)
    assert places.tobytes() == umap_places(values, 7).tobytes()
    middles = np.array([places[groups == one].mean(axis=0) for one in range(3)])
    nearest = ((places[:, None] - middles) ** 2).sum(axis=2).argmin(axis=1)
    assert (nearest == groups).mean() > 0.95
