"""The examples of docs/plug-ins.md are what they say: a head that trains and predicts, a study, a network, a stage."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pages import DOCS, blocks
from stores_of_rows import cohort

from hypoxia_hpc.config.studies.study import Study
from hypoxia_hpc.networks.backbones.registry import Network
from hypoxia_hpc.networks.data.rows import first_rows
from hypoxia_hpc.networks.heads.head import Head
from hypoxia_hpc.outcomes.registry import BINARY
from hypoxia_hpc.runs.stages import STAGES, why_unfit


@pytest.fixture(scope="module")
def names() -> dict[str, Any]:
    made: dict[str, Any] = {"__name__": "my_package"}
    for code in blocks(DOCS / "plug-ins.md", "python"):
        exec(compile(code, "plug-ins.md", "exec"), made)  # noqa: S102 - our own page
    return made


def test_every_example_makes_what_its_entry_point_names(names: dict[str, Any]) -> None:
    assert isinstance(names["NETWORK"], Network)
    assert isinstance(names["NEAREST_MEAN"], Head)
    assert isinstance(names["SMALL_TILES"], Study)
    assert why_unfit("census", names["CENSUS"], STAGES) == ""


def test_the_head_of_the_page_learns(names: dict[str, Any], tmp_path: Path) -> None:
    head = names["NEAREST_MEAN"]
    data = cohort(tmp_path, [60] * 12, 16)
    trained = head.train(
        head.table(), data, seed=0, checkpoints=None, on_epoch=lambda logs: None, stop=threading.Event()
    )
    predict = head.predictor(head.table(), trained.arrays, data.feature_length, BINARY)
    means = {label: [] for label in (0, 1)}  # type: dict[int, list[float]]
    for store in data.valid:
        probabilities = predict(first_rows(store, 60))
        assert probabilities.dtype == np.float64
        assert ((probabilities >= 0) & (probabilities <= 1)).all()
        means[store.label].append(float(probabilities.mean()))
    assert min(means[1]) > max(means[0])
