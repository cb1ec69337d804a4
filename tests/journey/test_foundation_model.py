"""A foundation model by name, from init to the report, as users run it."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from fault_runs import change_setting, make_cohort

from hypoxia_hpc.networks.runtime import backend_name
from hypoxia_hpc.stores.features import open_features

NEEDED = importlib.util.find_spec("timm") is not None and backend_name() == "torch"
pytestmark = [pytest.mark.long, pytest.mark.skipif(not NEEDED, reason="needs timm, and Keras on PyTorch")]


def test_from_init_to_the_report(tmp_path: Path) -> None:
    run = make_cohort(tmp_path, n_slides=16)
    for table, entry, value in (
        ("extract", "name", '"kaiko"'),
        ("extract", "backbone", '"kaiko-s16"'),
        ("train", "heads", '["logistic"]'),
    ):
        change_setting(run, table, entry, value)
    done = subprocess.run(
        [sys.executable, "-m", "hypoxia_hpc", "run", run], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    store = next((run / "features" / "kaiko").iterdir())
    assert open_features(store).values.shape[1] == 384
    assert json.loads((run / "metrics.json").read_text())["models"]["logistic"]["test"]["patient"]["roc_auc"]
    assert set(pd.read_csv(run / "predictions" / "patients.csv")["model"]) == {"logistic"}
    page = (run / "report" / "index.html").read_text()
    assert "kaiko-s16 was trained for tiles of 256 px at 0.5" in done.stderr + page
    assert "kaiko-s16" in page and "Random initialisation" in page
