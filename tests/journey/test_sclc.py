"""The sclc study with contrastive training from pixels, from init to the report."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pandas as pd
import pytest
from sclc_runs import make_tiny, write_follow_up

Hypoxia = Callable[..., CompletedProcess[str]]


@pytest.mark.long
def test_from_init_to_the_report(untouched: Path, tmp_path: Path, hypoxia: Hypoxia) -> None:
    cohort, run = untouched.parent, tmp_path / "run"
    write_follow_up(cohort / "patients.csv", tmp_path / "patients.csv")
    options = ("--study", "sclc", "--slides", cohort / "slides", "--patients", tmp_path / "patients.csv")
    made = hypoxia("init", run, *options)
    assert made.returncode == 0, made.stderr
    make_tiny(run)
    done = subprocess.run(
        [sys.executable, "-m", "hypoxia_hpc", "run", run], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    facts, found = (
        json.loads((run / name).read_text()) for name in ("phenotypes/phenotypes.json", "survival/survival.json")
    )
    assert (facts["clustering"], facts["clusters"]) == ("contrastive_network", 3)
    assert list(found["made_by"]["models"]) == ["contrastive_network"]
    assert sum(each["patients"] for each in found["endpoints"]["time"]["sets"].values()) == len(
        pd.read_csv(run / "phenotypes" / "patients.csv")
    )
    page = (run / "report" / "index.html").read_text()
    assert "contrastive_network" in page and "Kaplan" in page
    stages = json.loads(hypoxia("status", run, "--json").stdout)["stages"]
    assert all(one["todo"] == 0 for one in stages), stages
