"""An interval of the demo, computed anew by slow code from tiles.parquet, split.csv and patients.csv."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import naive
import numpy as np
import pandas as pd
import pytest

from hypoxia_hpc.analysis.auc_intervals import auc_interval

DemoOf = Callable[..., Path]
N = 30  # the demo of the tests beside this one


@pytest.mark.parametrize("head", ["funnel", "attention"])
def test_the_area_of_test_tiles_and_its_interval_are_over_patients(demo_of: DemoOf, head: str) -> None:
    run = demo_of(1, patients=N) / "run"
    sets = pd.read_csv(run / "split.csv").set_index("patient_id")["set"]
    labels = pd.read_csv(run / "patients.csv").set_index("patient_id")["label"]
    tiles = pd.read_parquet(run / "predictions" / "tiles.parquet")
    tiles = tiles[(tiles["model"] == head) & (tiles["patient_id"].map(sets.to_dict()) == "test")]
    owners = tiles["patient_id"].astype(str)
    rows = list(zip(owners, owners.map(labels), tiles["probability"], strict=True))
    found = json.loads((run / "metrics.json").read_text())["models"][head]["test"]["tile"]["roc_auc"]
    assert (len(rows), len(set(owners))) == (found["n"], (sets == "test").sum())
    values, said = (np.array([row[column] for row in rows]) for column in (1, 2))
    assert found["value"] == pytest.approx(naive.area(values, said), abs=1e-9)
    expected = auc_interval(values, said, confidence=0.95, units=owners.to_numpy())
    assert (found["low"], found["high"]) == pytest.approx(expected[1:], abs=1e-9)
    alone = auc_interval(values, said, confidence=0.95)
    assert alone.high - alone.low < 0.9 * (found["high"] - found["low"]), "rows would not show"
