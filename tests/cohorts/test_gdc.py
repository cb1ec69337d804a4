"""Manifests, sample sheets and metadata of GDC, as its portal writes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hypoxia_hpc.cohorts.gdc import GdcFile, files_of_json
from hypoxia_hpc.cohorts.manifests import Candidate, read_manifest
from hypoxia_hpc.errors import InputError

MD5 = "72b10ac65f6a230e7603574cb4ff05e0"
OLD = "File ID\tFile Name\tData Category\tData Type\tProject ID\tCase ID\tSample ID\tSample Type"
NEW = f"{OLD[: -len('Sample Type')]}Tissue Type\tTumor Descriptor\tSpecimen Type\tPreservation Method"


def nowhere(_: Path) -> None:
    return None


def written(tmp_path: Path, name: str, text: str) -> Path:
    (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path / name


def of(path: Path) -> list[Candidate]:
    return list(read_manifest(path, nowhere).candidates)


def test_a_manifest_has_sizes_and_md5(tmp_path: Path) -> None:
    path = written(tmp_path, "m.txt", f"id\tfilename\tmd5\tsize\tstate\nu1\ta.svs\t{MD5.upper()}\t5\treleased\n")
    (only,) = of(path)
    assert (only.path, only.nbytes_named, only.md5) == (tmp_path / "u1/a.svs", 5, MD5)
    path = written(tmp_path, "m.txt", "id\tfilename\tmd5\tsize\nu1\ta.svs\tx\t5\nu2\tb.svs\t\tmany\n")
    with pytest.raises(InputError) as caught:
        of(path)
    assert caught.value.offending == (
        "line 3: size 'many' is not a number of bytes",
        "line 2: md5 'x' is not 32 digits 0-9 and a-f",
    )


def test_a_sample_sheet_says_patient_sample_and_project(tmp_path: Path) -> None:
    rows = [
        "u1\ta.svs\tBio\tSlide Image\tTCGA-COAD\tTCGA-A6-2671\tTCGA-A6-2671-01A\tPrimary Tumor",
        "u2\tb.svs\tBio\tSlide Image\tTCGA-READ\ttcga-af-2687, TCGA-AF-2687\tTCGA-AF-2687-11A\tSolid Tissue Normal",
        "u3\tc.svs\tBio\tSlide Image\tCPTAC-3\tC3L-00001\tC3L-00001-21\tSolid Tissue Normal",
        "u4\td.svs\tBio\tSlide Image\tCPTAC-3\tC3L-00002\tC3L-00002-01\tPrimary Tumor",
    ]
    found = of(written(tmp_path, "sheet.tsv", "\n".join([OLD, *rows])))
    assert [(each.patient_id, each.sample, each.preparation, each.tumour_type) for each in found] == [
        ("TCGA-A6-2671", "tumour", "", "COAD"),
        ("TCGA-AF-2687", "normal", "", "READ"),
        ("C3L-00001", "normal", "", ""),
        ("C3L-00002", "tumour", "", ""),
    ]
    assert read_manifest(tmp_path / "sheet.tsv", nowhere).unused == ()


def test_a_sheet_of_today_says_how_a_slide_was_kept(tmp_path: Path) -> None:
    rows = [
        "u1\ta.svs\tBio\tSlide Image\tCPTAC-3\tC3L-00001\tC3L-00001-01\tTumor\tPrimary\tSolid Tissue\tOCT",
        "u2\tb.svs\tBio\tSlide Image\tCPTAC-3\tC3L-00002\tC3L-00002-01\tNormal\tNot Applicable\tSolid Tissue\tFFPE",
    ]
    found = of(written(tmp_path, "sheet.tsv", "\n".join([NEW, *rows])))
    assert [(each.sample, each.preparation) for each in found] == [("tumour", "frozen"), ("normal", "diagnostic")]


def test_a_file_of_two_patients_is_refused(tmp_path: Path) -> None:
    row = "u1\ta.svs\tx\ty\tTCGA-COAD\tTCGA-A6-2671, TCGA-A6-2672\t\t"
    with pytest.raises(InputError) as caught:
        of(written(tmp_path, "sheet.tsv", f"{OLD}\n{row}\n"))
    assert caught.value.offending == ("line 2: a.svs is of TCGA-A6-2671, TCGA-A6-2672",)


def metadata(**changes: Any) -> list[dict[str, Any]]:
    slide = {"entity_submitter_id": "TCGA-A6-2671-11A-01-TS1", "entity_type": "slide", "case_id": "c1"}
    entry = {
        "file_id": "u1",
        "file_name": "a.svs",
        "md5sum": MD5,
        "file_size": 9,
        "associated_entities": [slide],
        "cases": [{"project": {"project_id": "TCGA-COAD"}, "submitter_id": "TCGA-A6-2671"}],
    }
    return [{**entry, **changes}]


def test_metadata_in_json(tmp_path: Path) -> None:
    path = written(tmp_path, "metadata.cart.json", json.dumps(metadata()))
    assert files_of_json(path) == [GdcFile("u1", "a.svs", 9, MD5, "TCGA-A6-2671", "normal", "", "COAD")]
    assert of(path)[0].path == tmp_path / "u1" / "a.svs"
    samples = [{"sample_type": "Primary Tumor", "preservation_method": "FFPE"}]
    plain = metadata(associated_entities=[{"case_id": "c9"}], cases=[{"submitter_id": "C3L-1", "samples": samples}])
    (only,) = files_of_json(written(tmp_path, "metadata.cart.json", json.dumps(plain)))
    assert (only.patient_id, only.sample, only.preparation, only.tumour_type) == ("C3L-1", "tumour", "diagnostic", "")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "no JSON"),
        ('{"a": 1}', "is no list of files"),
        (json.dumps(metadata(file_name="../x")), "no plain names"),
        (json.dumps(metadata(file_id=None)), "no plain names"),
        (json.dumps(metadata(md5sum="1")), "md5 that are none"),
    ],
)
def test_metadata_that_is_none(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        of(written(tmp_path, "metadata.json", text))
