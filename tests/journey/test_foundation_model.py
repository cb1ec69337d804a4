"""A foundation model by name, from init to the report, as users run it: PyTorch is chosen by itself."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from fault_runs import change_setting, make_cohort

from hypoxia_hpc.stores.attributes import read_feature_attributes
from hypoxia_hpc.stores.features import open_features

NEEDED = all(importlib.util.find_spec(name) is not None for name in ("timm", "torch"))
pytestmark = [pytest.mark.long, pytest.mark.skipif(not NEEDED, reason="needs timm and PyTorch (make test-backends)")]


def test_from_init_to_the_report(tmp_path: Path) -> None:
    run = make_cohort(tmp_path, n_slides=8)
    for table, entry, value in (
        ("tile", "tile_px", "64"),
        ("extract", "name", '"kaiko"'),
        ("extract", "backbone", '"kaiko-s16"'),
        ("train", "heads", '["logistic", "attention"]'),
    ):
        change_setting(run, table, entry, value)
    done = hypoxia("run", run)
    assert done.returncode == 0, done.stderr[-3000:]
    stores = [*(run / "features" / "kaiko").iterdir()]
    assert {open_features(store).values.shape[1] for store in stores} == {384}
    assert {backend_of_features(store) for store in stores} == {"torch"}
    trained = [json.loads(file.read_text()) for file in (run / "models").glob("*/model.json")]
    assert {one["compute"]["backend"] for one in trained} == {"torch"}
    measured = json.loads((run / "metrics.json").read_text())["models"]
    assert {name for name, sets in measured.items() if sets["test"]["patient"]["roc_auc"]} >= {"logistic", "attention"}
    assert {"logistic", "attention"} <= set(pd.read_csv(run / "predictions" / "patients.csv")["model"])
    page = (run / "report" / "index.html").read_text()
    assert "kaiko-s16 was trained for tiles of 256 px at 0.5" in done.stderr + page
    assert "kaiko-s16" in page and "Random initialisation" in page
    assert 'backend of all stages: PyTorch, for [extract] backbone = "kaiko-s16"' in hypoxia("status", run).stdout


def hypoxia(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """The command in a Python of its own, where nothing says what Keras is to run on."""
    alone = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    command = [sys.executable, "-m", "hypoxia_hpc", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=alone)


def backend_of_features(store: Path) -> str:
    attributes = read_feature_attributes(store)
    assert attributes is not None
    return attributes.compute.backend
