"""Runs with follow-up and phenotypes that are there already, drawn at random: what tests of survival share."""

from __future__ import annotations

import csv
import threading
from pathlib import Path

import numpy as np
import pandas as pd

from hypoxia_hpc.progress import NoProgress
from hypoxia_hpc.records import Json
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.stages.survival import survival

SETTINGS = 'of = "phenotypes"\nbootstrap = 20\n'


def cohort(n: int, seed: int, *, hazards: tuple[float, float] = (9.0, -9.0)) -> tuple[pd.DataFrame, pd.DataFrame]:
    """patients.csv, and shares of five clusters, of which the first two change the hazard and the last is nearly
    empty. Clusters are of 200 tiles."""
    generator = np.random.default_rng(seed)
    draws = generator.dirichlet([2, 2, 4, 1, 0.003], n)
    shares = np.array([generator.multinomial(200, each) for each in draws]) / 200
    risk = shares[:, 0] * hazards[0] + shares[:, 1] * hazards[1]
    dies, leaves = 20 * generator.exponential(np.exp(-risk), n), 30 * generator.exponential(1.5, n) + 1
    names = [f"P{number:03d}" for number in range(n)]
    patients = pd.DataFrame(
        {
            "patient_id": names,
            "label": np.arange(n) % 2,
            "time": np.round(np.minimum(dies, leaves) + 0.1, 2),
            "event": (dies <= leaves).astype(int),
            "stage": generator.choice(["I", "II", "III"], n),
            "arm": generator.choice(["drug", "none"], n),
            "age": generator.integers(40, 80, n),
        }
    )
    clusters = {f"cluster_{number}": shares[:, number] for number in range(5)}
    return patients, pd.DataFrame({"patient_id": names, "n_tiles": 200, **clusters})


def make_run(root: Path, patients: pd.DataFrame, shares: pd.DataFrame | None, settings: str = SETTINGS) -> RunDir:
    (root / "phenotypes").mkdir(parents=True, exist_ok=True)
    (root / "run.toml").write_text(f"[train]\nsplit = [0.5, 0.2, 0.3]\n[survival]\n{settings}", encoding="utf-8")
    rows = [(f"S{name}", f"{name}.svs", name, 1) for name in patients["patient_id"]]
    with (root / "slides.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("slide_id", "path", "patient_id", "cost"), *rows])
    patients.to_csv(root / "patients.csv", index=False)
    if shares is not None:
        shares.to_csv(root / "phenotypes" / "patients.csv", index=False)
    return RunDir(root)


def done(run: RunDir, model_run: RunDir | None = None) -> Json:
    return survival(run, model_run=model_run, progress=NoProgress(), stop=threading.Event()).content
