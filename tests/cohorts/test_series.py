"""Rows that name files of one DICOM series are one slide, or an error that names what they contradict each other in."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from pathlib import Path

import pytest

from hypoxia_hpc.cohorts.manifests import Candidate
from hypoxia_hpc.cohorts.series import SERIES_ELSEWHERE, each_series_once, merged_rows
from hypoxia_hpc.errors import InputError

FIRST = Candidate(Path("/d/S/1.dcm"), 90, series="1.2", named_by=Path("/d/S/1.dcm"))


def row(name: str, **said: object) -> Candidate:
    """A row of the manifest that names this file."""
    return replace(FIRST, named_by=FIRST.path.with_name(name), **said)


def test_rows_of_a_series_are_one_with_what_any_says() -> None:
    rows = [
        row("1.dcm", md5="b" * 32),
        row("2.dcm", md5="a" * 32, patient_id="P", mpp=0.5),
        row("3.dcm", patient_id="P", site="X"),
    ]
    for order in permutations(rows):
        (merged,) = merged_rows(order)
        assert merged == replace(FIRST, patient_id="P", mpp=0.5, site="X", md5=f"{'a' * 32} {'b' * 32}", rows=3)


def test_a_folder_names_the_slide_that_its_files_name_too() -> None:
    for rows in permutations([row("1.dcm"), replace(FIRST, named_by=Path("/d/S")), row("2.dcm")]):
        assert merged_rows(rows)[0].named_by == Path("/d/S")


def test_other_rows_stay_as_they_are_and_where_they_are() -> None:
    others = [Candidate(Path("/d/a.svs"), 1), Candidate(Path("/d/a.svs"), 1), replace(FIRST, path=Path("/e/1.dcm"))]
    assert merged_rows([others[0], FIRST, others[1], FIRST, others[2]]) == [
        others[0], replace(FIRST, rows=2), others[1], others[2]
    ]  # fmt: skip


def test_a_file_of_another_size_than_the_manifest_says_is_not_lost() -> None:
    sizes = [row("1.dcm", nbytes_named=90), row("2.dcm", nbytes_named=95), row("3.dcm", nbytes_named=None)]
    assert {merged_rows(order)[0].nbytes_named for order in permutations(sizes)} == {95}
    assert merged_rows([sizes[0], sizes[0]])[0].nbytes_named == 90


def test_contradictions_are_all_named() -> None:
    rows = [
        row("1.dcm", patient_id="P", slide_id="a", label="1"),
        row("2", patient_id="Q", slide_id="a", label="0"),
        row("3.dcm", patient_id="R"),
    ]
    with pytest.raises(InputError, match="contradict each other") as caught:
        merged_rows(rows)
    assert caught.value.offending == (
        "/d/S, series 1.2: patient_id P (1.dcm) and Q (2) and R (3.dcm)",
        "/d/S, series 1.2: label 1 (1.dcm) and 0 (2)",
    )


def test_of_copies_in_several_folders_the_largest_is_taken() -> None:
    copies = [
        replace(FIRST, path=Path(f"/{folder}/1.dcm"), nbytes=nbytes)
        for folder, nbytes in {"a": 5, "b": 9, "c": 9}.items()
    ]
    found = each_series_once([*copies, Candidate(Path("/x.svs"), 1)])
    assert [each.left_out for each in found] == [SERIES_ELSEWHERE, "", SERIES_ELSEWHERE, ""]
