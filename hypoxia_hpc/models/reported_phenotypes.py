"""RUN/phenotypes/ as the report shows it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from hypoxia_hpc.cohorts.textfiles import unguard
from hypoxia_hpc.models.phenotypes import PATIENTS_FILE, PICTURED_TILES, PICTURES, SAMPLE_FILE, read_facts
from hypoxia_hpc.models.predictions import reading_predictions
from hypoxia_hpc.reading import UnfitFileError, read_plain
from hypoxia_hpc.records import Json
from hypoxia_hpc.reports.data import PhenotypesShown, RisksShown
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.runs.prognosis import RISKS_FILE

MOST_PICTURE_BYTES = 10_000_000


def phenotypes_of(run: RunDir, survival: Json) -> PhenotypesShown | None:
    """``survival``: the content of survival.json, which has their risks. None where there are none, or they are
    damaged, or of another run's clusters. Raises NotReadyError, MachineError for tables that cannot be read."""
    facts = read_facts(run)
    if facts is None:
        return None
    with reading_predictions(run.phenotypes / PATIENTS_FILE) as opened:
        patients = pd.read_csv(opened, dtype={"patient_id": str})
    with reading_predictions(run.phenotypes / SAMPLE_FILE) as opened:
        sample = pd.read_csv(opened, nrows=PICTURED_TILES)
    return PhenotypesShown(
        facts,
        tuple(unguard(name) for name in patients["patient_id"]),
        patients.filter(regex=r"^cluster_\d+$").to_numpy(dtype="float64"),
        tuple(_picture(run.phenotypes / PICTURES / f"{number:04d}.jpg") for number in range(facts["clusters"])),
        sample[["component_1", "component_2"]].to_numpy(dtype="float64"),
        sample["cluster"].to_numpy(dtype="int64"),
        _risks(run, survival),
    )


def _risks(run: RunDir, survival: Json) -> RisksShown | None:
    """Of the first endpoint with a signature, None without one."""
    signatures = {name: one["signature"] for name, one in survival.get("endpoints", {}).items() if one["signature"]}
    if not signatures:
        return None
    endpoint = next(name for name in survival["settings"]["times"] if name in signatures)
    with reading_predictions(run.survival / RISKS_FILE, "survival") as opened:
        table = pd.read_csv(opened, dtype={"endpoint": str, "patient_id": str}, keep_default_na=False)
        table = table[table["endpoint"].map(unguard) == endpoint]
        risks = dict(zip(table["patient_id"].map(unguard), table["risk"].astype("float64"), strict=True))
    return RisksShown(endpoint, risks, float(signatures[endpoint]["cut"]))


def _picture(file: Path) -> bytes | None:
    try:
        return read_plain(file, MOST_PICTURE_BYTES)
    except (FileNotFoundError, UnfitFileError):
        return None
