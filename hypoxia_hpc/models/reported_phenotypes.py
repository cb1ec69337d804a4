"""RUN/phenotypes/ as the report shows it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

import pandas as pd

from hypoxia_hpc.analysis.embedding import UMAP
from hypoxia_hpc.analysis.phenotypes import varied_slides
from hypoxia_hpc.cohorts.slide_table import is_slide_id
from hypoxia_hpc.cohorts.textfiles import unguard
from hypoxia_hpc.models.phenotypes import (
    AXES,
    PATIENTS_FILE,
    PICTURED_TILES,
    PICTURES,
    SAMPLE_FILE,
    SLIDES_FILE,
    TILES_FILE,
    read_facts,
)
from hypoxia_hpc.models.prediction_tables import reading_predictions, tiles_of_slides
from hypoxia_hpc.outcomes.named import NamedClasses
from hypoxia_hpc.reading import UnfitFileError, read_plain
from hypoxia_hpc.records import Json, Label
from hypoxia_hpc.reports.data import PhenotypesShown, RisksShown, SlideMap
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.runs.prognosis import RISKS_FILE
from hypoxia_hpc.stores.attributes import read_tile_attributes

MOST_PICTURE_BYTES = 10_000_000
MOST_MAPS = 4
STAGE = "phenotypes"


def phenotypes_of(run: RunDir, survival: Json, labels: Mapping[str, Label | None]) -> PhenotypesShown | None:
    """``survival``: the content of survival.json, which has the risks; ``labels``: of patients. None where there are
    no phenotypes, or they are damaged, or of another run's clusters. Raises NotReadyError, MachineError for tables that
    cannot be read."""
    facts = read_facts(run)
    if facts is None:
        return None
    with reading_predictions(run.phenotypes / PATIENTS_FILE) as opened:
        patients = pd.read_csv(opened, dtype={"patient_id": str})
    with reading_predictions(run.phenotypes / SAMPLE_FILE) as opened:
        sample = pd.read_csv(opened, nrows=PICTURED_TILES)
    risks = _risks(run, survival)
    picture: Literal["pca", "umap"] = "umap" if AXES[UMAP][0] in sample else "pca"
    return PhenotypesShown(
        facts,
        tuple(unguard(name) for name in patients["patient_id"]),
        patients.filter(regex=r"^cluster_\d+$").to_numpy(dtype="float64"),
        tuple(_picture(run.phenotypes / PICTURES / f"{number:04d}.jpg") for number in range(facts["clusters"])),
        sample[list(AXES[picture])].to_numpy(dtype="float64"),
        sample["cluster"].to_numpy(dtype="int64"),
        risks,
        tuple(_maps(run, _groups(run, risks, labels))),
        picture,
    )


def _groups(run: RunDir, risks: RisksShown | None, labels: Mapping[str, Label | None]) -> dict[str, str]:
    """Of each patient of whom it is known: lower or higher risk, without risks the class."""
    outcome = run.outcome()
    if risks is not None:
        return {name: f"{'higher' if one > risks.cut else 'lower'} risk" for name, one in risks.by_patient.items()}
    if not isinstance(outcome, NamedClasses):
        return {}
    return {name: outcome.shown(label) for name, label in labels.items() if label is not None}


def _maps(run: RunDir, groups: Mapping[str, str]) -> Iterator[SlideMap]:
    """Of a few slides, those whose tile stores are there."""
    if not (run.phenotypes / TILES_FILE).exists():
        return
    with reading_predictions(run.phenotypes / SLIDES_FILE, STAGE) as opened:
        slides = pd.read_csv(opened, dtype={"slide_id": str, "patient_id": str})
        shares = slides.filter(regex=r"^cluster_\d+$").to_numpy(dtype="float64")
        slide_ids, owners = ([unguard(one) for one in slides[name]] for name in ("slide_id", "patient_id"))
    chosen = [place for place in varied_slides(shares, owners, groups, MOST_MAPS) if is_slide_id(slide_ids[place])]
    tiles = tiles_of_slides(run.phenotypes / TILES_FILE, [slide_ids[place] for place in chosen], STAGE)
    for place in chosen:
        made = read_tile_attributes(run.tiles(slide_ids[place]))
        of_slide = tiles[tiles["slide_id"] == slide_ids[place]]
        if made is not None and (made.plan.side_l0 or 0) >= 1 and len(of_slide):
            yield SlideMap(
                slide_ids[place],
                groups.get(owners[place], ""),
                of_slide[["x_l0", "y_l0"]].to_numpy(dtype="int64"),
                of_slide["cluster"].to_numpy(dtype="int64"),
                float(made.plan.side_l0 or 0),
                made.slide.mpp,
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
