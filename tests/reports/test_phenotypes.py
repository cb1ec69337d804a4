"""Phenotypes on the page: rows, remarks, pictures and figures; and read from a run, where they are sound."""

from __future__ import annotations

import base64
import dataclasses
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from report_data import make_full_report, page_of

from hypoxia_hpc.config import preset, render_config
from hypoxia_hpc.errors import NotReadyError
from hypoxia_hpc.models.phenotypes import composition_digest
from hypoxia_hpc.models.reported_phenotypes import phenotypes_of
from hypoxia_hpc.records import UInt8Array
from hypoxia_hpc.reports.composition import patient_order
from hypoxia_hpc.reports.data import PhenotypesShown, ReportData, RisksShown
from hypoxia_hpc.reports.page import report_files
from hypoxia_hpc.reports.phenotypes import cluster_rows, phenotype_figures
from hypoxia_hpc.reports.plots import Blocks, composition_plot
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.stores.tiles import new_tile_store

FACTS: dict[str, Any] = {
    "clusters": 3,
    "clustering": "contrastive",
    "sizes": [60, 39, 1],
    "near_empty": [2],
    "one_hospital": {"1": "<b>A7</b>"},
    "stability": {"rand": {"seed 1": 0.91, "fold 1": 0.4}, "overlaps": [0.9, 0.5, None]},
    "enrichment": [
        {"column": "site", "cluster": 1, "highest": "A7", "p_value": 0.001, "corrected": 0.006},
        {"column": "label", "cluster": 0, "highest": "x", "p_value": 0.1, "corrected": 0.3},
    ],
    "score": -0.25,
}


def shown() -> PhenotypesShown:
    rng = np.random.default_rng(0)
    return PhenotypesShown(
        FACTS, ("P1", "P2"), np.array([[0.2, 0.8, 0], [0.9, 0.1, 0]]), (b"\xff\xd8", None, None),
        rng.normal(size=(12, 2)), np.arange(12) % 3,
    )  # fmt: skip


def test_each_cluster_has_a_row_with_what_to_be_careful_with() -> None:
    rows = cluster_rows(shown())
    assert [row.n_tiles for row in rows] == [60, 39, 1]
    assert [row.overlap for row in rows] == [0.9, 0.5, None]
    assert rows[0].remarks == ()
    assert rows[1].remarks == ("one hospital: <b>A7</b>", "more in site A7 (corrected p 0.006)")
    assert rows[2].remarks == ("near-empty",)
    assert [row.picture for row in rows] == ["phenotypes/0000.jpg", "", ""]


def test_a_picture_by_umap_says_so() -> None:
    _, plane = phenotype_figures(of(dataclasses.replace(shown(), picture="umap")))
    assert plane.title == "Training tiles by UMAP"
    assert plane.columns == ("cluster", "umap_1", "umap_2")
    assert ">UMAP 1<" in plane.drawn.document


def of(phenotypes: PhenotypesShown) -> ReportData:
    return dataclasses.replace(make_full_report(), phenotypes=phenotypes)


def test_columns_of_the_composition_go_by_risk_and_those_without_one_are_behind() -> None:
    risks = RisksShown("os_months", {"P2": -0.5, "P1": 1.5}, 0.25)
    several = dataclasses.replace(shown(), patient_ids=("P0", "P1", "P2"), shares=np.eye(3), risks=risks)
    composition, components = phenotype_figures(of(several))
    assert composition.columns == ("patient_id", "group", "risk", "cluster_0", "cluster_1", "cluster_2")
    assert composition.rows == (
        ("P2", "lower risk", -0.5, 0.0, 0.0, 1.0),
        ("P1", "higher risk", 1.5, 0.0, 1.0, 0.0),
        ("P0", "no risk", "", 1.0, 0.0, 0.0),
    )
    assert "by their risk (os_months), the lowest on the left, those without one on the right." in composition.note
    assert "3 patients (columns) in 3 clusters (rows)" in composition.note
    assert "share of a patient's tiles" in composition.drawn.document and ">risk<" in composition.drawn.document
    assert len(components.rows) == 12


def test_without_risks_they_go_by_label_or_by_name() -> None:
    by_label = patient_order(("P1", "P2", "P0", "P3"), None, {"P1": "normoxic", "P2": "hypoxic", "P0": "normoxic"})
    assert by_label.places == (1, 2, 0, 3)
    assert by_label.blocks == (("hypoxic", 1), ("normoxic", 2), ("no label", 1))
    assert by_label.by == "by label, as no survival stage gave them a risk"
    elsewhere = RisksShown("os", {"P9": 1.0}, 0.0)
    for risks in (None, elsewhere):
        by_name = patient_order(("P2", "P1"), risks, {"P1": ""})
        assert (by_name.places, by_name.blocks, by_name.risks) == ((1, 0), (("", 2),), ())
        assert by_name.by == "by name, as neither risk nor label is known"


def images_of(document: str) -> list[UInt8Array]:
    """The pictures in a plot, RGBA."""
    found = re.findall(r"data:image/png;base64,([^\"]+)", document)
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(one))).convert("RGBA")) for one in found]


def test_every_share_of_hundreds_of_patients_is_a_cell_of_its_own() -> None:
    rng = np.random.default_rng(1)
    shares = rng.dirichlet(np.ones(6), 400).T
    drawn = composition_plot("composition", "patient", shares, Blocks((("", 400),), np.zeros(0)))
    cells = next(one for one in images_of(drawn.document) if one.shape[:2] == shares.shape)
    opaque = cells[..., 3] / 255
    assert np.abs(opaque - shares / shares.max()).max() < 0.01
    assert len(drawn.document) < 60_000


def test_the_section_says_how_far_to_trust_clusters_and_escapes_what_comes_from_tables() -> None:
    data = dataclasses.replace(make_full_report(), phenotypes=shown())
    files = report_files(data)
    assert files["phenotypes/0000.jpg"] == b"\xff\xd8"
    assert {"figures/composition.svg", "figures/components.csv"} <= files.keys()
    page = page_of(data)
    assert 'id="phenotypes"' in page
    assert "adjusted Rand index of 0.40 to 0.91" in page
    assert "the hospital at least as much as the tumour" in page
    assert "one hospital: &lt;b&gt;A7&lt;/b&gt;" in page
    assert 'id="phenotypes"' not in page_of(make_full_report())


def test_a_run_shows_its_phenotypes_unless_the_tables_beside_them_are_others(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    run.config_file.write_text(render_config(preset("hypoxia")))
    assert phenotypes_of(run, {}, {}) is None
    run.phenotypes.mkdir()
    for name, text in (
        ("patients.csv", "patient_id,n_tiles,cluster_0,cluster_1,cluster_2\n007,10,0.5,0.5,0.0\n"),
        ("slides.csv", "slide_id,patient_id,n_tiles,cluster_0,cluster_1,cluster_2\nS,007,10,0.5,0.5,0.0\n"),
        ("sample.csv", "slide_id,x_l0,y_l0,cluster,component_1,component_2\nS,0,0,1,0.5,-0.5\n"),
    ):
        (run.phenotypes / name).write_text(text)
    facts = {**FACTS, "tables": composition_digest(run.phenotypes)}
    (run.phenotypes / "phenotypes.json").write_text(json.dumps(facts))
    found = phenotypes_of(run, {}, {})
    assert found is not None
    assert found.patient_ids == ("007",)
    assert found.shares.tolist() == [[0.5, 0.5, 0.0]]
    assert found.pictures == (None, None, None)
    assert found.maps == (), "nothing says where tiles lie"
    tiles = pd.DataFrame({"slide_id": ["S", "S", "T"], "x_l0": [0, 448, 0], "y_l0": 0, "cluster": [0, 1, 2]})
    tiles.to_parquet(run.phenotypes / "tiles.parquet")
    with new_tile_store(run.tiles("S"), 8) as store:
        store.new_tile()[:] = 0
        plan, slide = {"side_l0": 448.0}, {"mpp": 0.25}
        store.commit(np.zeros((1, 2), np.int64), np.zeros(1, np.float32), {"key": "k", "plan": plan, "slide": slide})
    found = phenotypes_of(run, {}, {"007": 1})
    assert found is not None
    (on_slide,) = found.maps
    assert (on_slide.slide_id, on_slide.group, on_slide.side_l0, on_slide.mpp) == ("S", "hypoxic", 448.0, 0.25)
    assert (on_slide.xy_l0.tolist(), on_slide.clusters.tolist()) == ([[0, 0], [448, 0]], [0, 1])
    (run.phenotypes / "tiles.parquet").write_bytes(b"PAR1")
    with pytest.raises(NotReadyError, match=r"tiles.parquet is damaged.*"):
        phenotypes_of(run, {}, {})
    tiles.to_parquet(run.phenotypes / "tiles.parquet")
    run.survival.mkdir()
    (run.survival / "patients.csv").write_text(
        "endpoint,patient_id,set,risk,group\ndfs,007,test,9.5,high\nos,007,test,0.5,high\n"
    )
    endpoints = {"dfs": {"signature": None}, "os": {"signature": {"cut": 0.25}}}
    found = phenotypes_of(run, {"endpoints": endpoints, "settings": {"times": ["dfs", "os"]}}, {})
    assert found is not None and found.risks == RisksShown("os", {"007": 0.5}, 0.25)
    (run.phenotypes / "patients.csv").write_text("patient_id\n")
    assert phenotypes_of(run, {}, {}) is None
