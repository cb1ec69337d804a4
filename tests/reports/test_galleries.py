"""Galleries on the page: pictures beside it, each tile's place, what is missing said in words."""

from __future__ import annotations

import re

import numpy as np
from report_data import page_of

from hypoxia_hpc.reports.data import ReportData, SlideOutline
from hypoxia_hpc.reports.galleries import gallery_page, slide_map


def section(page: str) -> str:
    found = re.search(r'<section id="galleries">.*?</section>', page, re.DOTALL)
    assert found is not None
    return found[0]


def test_a_tile_has_its_picture_its_place_and_what_is_said_of_it(
    full_report: ReportData, full_files: dict[str, bytes]
) -> None:
    html = section(full_files["index.html"].decode())
    assert 'src="galleries/0001.jpg"' in html
    assert full_files["galleries/0001.jpg"].startswith(b"\xff\xd8")
    assert "By model tanh, of 24 test patients." in html and "A note." in html
    for words in ("hypoxic 0.99", "truly normoxic, called hypoxic", "x 900, y 600"):
        assert words in html
    assert html.count('class="place-mark"') == 1, "only where the store says where it lies"


def test_what_cannot_be_read_is_said_and_names_are_text(full_files: dict[str, bytes]) -> None:
    html = section(full_files["index.html"].decode())
    assert "no picture" in html and "galleries/0002.jpg" not in full_files
    assert "(slide-gone): 1 (&lt;b&gt;S2&lt;/b&gt;)" in html and "<b>S2" not in html


def test_no_section_without_galleries(empty_report: ReportData) -> None:
    assert 'id="galleries"' not in page_of(empty_report)


def test_the_map_of_a_slide_has_its_tiles_and_the_mark_in_proportion() -> None:
    """A slide of 480 by 240 pixels is 48 by 24 cells: its two tiles of 100 pixels cover ten cells each way."""
    outline = SlideOutline((480, 240), np.array([[0, 0], [100, 100]], dtype=np.int64), 100.0)
    drawn = slide_map(outline, 100, 100)
    assert 'viewBox="-2 -2 52.0 28.0"' in drawn
    assert drawn.count("M0 ") == 10 and drawn.count("M10 ") == 10 and drawn.count("h10v1h-10z") == 20
    assert '<rect class="place-mark" x="10.0" y="10.0" width="10.0" height="10.0">' in drawn


def test_a_tile_smaller_than_a_cell_is_drawn_and_its_mark_is_seen() -> None:
    outline = SlideOutline((100_000, 50_000), np.array([[99_990, 49_990]], dtype=np.int64), 10.0)
    drawn = slide_map(outline, 99_990, 49_990)
    assert 'd="M47 23h1v1h-1z"' in drawn
    assert 'width="3.0" height="3.0"' in drawn


def test_a_page_of_its_own_has_all_in_it_and_names_are_text(full_report: ReportData) -> None:
    assert full_report.galleries is not None
    page = gallery_page("<i>run</i>", [full_report.galleries])
    assert page.count('src="data:image/jpeg;base64,') == 1 and 'src="galleries' not in page
    assert "<i>run" not in page and "<b>S2" not in page and "&lt;b&gt;S2&lt;/b&gt;" in page
    assert "<script" not in page and "24 test patients" in page
