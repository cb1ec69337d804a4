"""Phenotypes on the page: rows, remarks, pictures and figures; and read from a run, where they are sound."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
from report_data import make_full_report, page_of

from hypoxia_hpc.models.phenotypes import composition_digest
from hypoxia_hpc.models.reported_phenotypes import phenotypes_of
from hypoxia_hpc.reports.data import PhenotypesShown
from hypoxia_hpc.reports.page import report_files
from hypoxia_hpc.reports.phenotypes import cluster_rows, phenotype_figures
from hypoxia_hpc.runs.directory import RunDir

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


def test_patients_are_sorted_by_their_largest_cluster_and_the_table_has_their_names() -> None:
    composition, components = phenotype_figures(shown())
    assert [row[0] for row in composition.rows] == ["P2", "P1"]
    assert composition.columns == ("patient_id", "cluster_0", "cluster_1", "cluster_2")
    assert len(components.rows) == 12


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
    assert phenotypes_of(run) is None
    run.phenotypes.mkdir()
    for name, text in (
        ("patients.csv", "patient_id,n_tiles,cluster_0,cluster_1,cluster_2\n007,10,0.5,0.5,0.0\n"),
        ("slides.csv", "slide_id,patient_id,n_tiles,cluster_0,cluster_1,cluster_2\nS,007,10,0.5,0.5,0.0\n"),
        ("sample.csv", "slide_id,x_l0,y_l0,cluster,component_1,component_2\nS,0,0,1,0.5,-0.5\n"),
    ):
        (run.phenotypes / name).write_text(text)
    facts = {**FACTS, "tables": composition_digest(run.phenotypes)}
    (run.phenotypes / "phenotypes.json").write_text(json.dumps(facts))
    found = phenotypes_of(run)
    assert found is not None
    assert found.patient_ids == ("007",)
    assert found.shares.tolist() == [[0.5, 0.5, 0.0]]
    assert found.pictures == (None, None, None)
    (run.phenotypes / "patients.csv").write_text("patient_id\n")
    assert phenotypes_of(run) is None
