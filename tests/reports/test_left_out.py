"""Images that are no tiles: a table beside the page, which the page links to."""

from __future__ import annotations

from dataclasses import replace

from hypoxia_hpc.reports.data import LeftOutImage, ReportData
from hypoxia_hpc.reports.page import PAGE, report_files

FILE = "figures/left_out_images.csv"


def test_each_image_that_is_left_out_is_in_a_file_beside_the_page(full_report: ReportData) -> None:
    left_out = (
        LeftOutImage("A", "A/1.png", "", "unreadable", "it ends, too soon"),
        LeftOutImage("B", "B/v.nii", "3", "near-empty", ""),
    )
    found = report_files(replace(full_report, left_out=left_out))
    assert found[FILE].decode().splitlines() == [
        "patient_id,path,slice,reason,problem",
        'A,A/1.png,,unreadable,"it ends, too soon"',
        "B,B/v.nii,3,near-empty,",
    ]
    assert f'href="{FILE}"' in found[PAGE].decode()


def test_where_none_is_left_out_the_page_has_no_such_file(full_files: dict[str, bytes]) -> None:
    assert FILE not in full_files
    assert FILE not in full_files[PAGE].decode()
