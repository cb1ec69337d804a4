"""The demo's cohort down the whole path twice: features in float32, and in bfloat16."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from figures import Figure, Report

from hypoxia_hpc.bench.rounds import usable_cores
from hypoxia_hpc.progress import NoProgress
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.stages.demo import demo_config, write_demo_cohort
from hypoxia_hpc.stages.init import init

SEED, PATIENTS = 1, 60


def precision_figures(folder: Path, report: Report) -> list[Figure]:
    """The patient AUC of every model, with bfloat16 within the interval of float32 and the other way round."""
    slides, patients = write_demo_cohort(
        folder,
        n_patients=PATIENTS,
        difference=None,
        seed=SEED,
        trained=False,
        workers=len(usable_cores()),
        progress=NoProgress(),
        stop=threading.Event(),
    )
    found: dict[str, dict[str, Any]] = {}
    for precision in ("float32", "bfloat16"):
        run = folder / precision
        _prepare(run, slides, patients, precision, folder / "float32")
        subprocess.run([sys.executable, "-m", "hypoxia_hpc", "run", run], check=True)  # noqa: S603
        metrics = json.loads((run / "metrics.json").read_text())["models"]
        found[precision] = {name: sets["test"]["patient"]["roc_auc"] for name, sets in metrics.items()}
    return [_figure(model, found["float32"][model], one, report) for model, one in found["bfloat16"].items()]


def _prepare(run: Path, slides: Path, patients: Path, precision: str, tiled: Path) -> None:
    if (run / "run.toml").exists():
        return
    init(
        RunDir(run),
        demo_config(SEED, trained=False),
        slides,
        patients=patients,
        progress=NoProgress(),
        stop=threading.Event(),
    )
    text = (run / "run.toml").read_text()
    (run / "run.toml").write_text(re.sub(r'(?m)^precision = "\w+"', f'precision = "{precision}"', text, count=1))
    if (tiled / "tiles").is_dir() and tiled != run:
        for part in ("tiles", "receipts/tile"):
            shutil.copytree(tiled / part, run / part)


def _figure(model: str, one: dict[str, Any], other: dict[str, Any], report: Report) -> Figure:
    told = [f"{auc['value']:.3f} ({auc['low']:.3f}-{auc['high']:.3f})" for auc in (one, other)]
    report.say(f"demo, {model}: patient AUC {told[0]} in float32, {told[1]} in bfloat16")
    within = one["low"] <= other["value"] <= one["high"] and other["low"] <= one["value"] <= other["high"]
    return Figure(f"demo, {model}: patient AUC of each precision within the other's interval", float(within), "", 1)
