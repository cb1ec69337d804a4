"""The report's table of quality: the worst first, in words; and what is marked on a picture of a slide."""

from __future__ import annotations

import dataclasses
import io

import numpy as np
from PIL import Image

from hypoxia_hpc.analysis.cohort_outliers import Finding
from hypoxia_hpc.reports.data import ReportData
from hypoxia_hpc.reports.page import report_files
from hypoxia_hpc.reports.quality import QualityRow, quality_pictures, quality_table, rule_of, said_of
from hypoxia_hpc.reports.quality_maps import BLUR_COLOUR, FOLD_COLOUR, quality_png
from hypoxia_hpc.tiling.quality.marks import FOLD, TISSUE, Marked
from hypoxia_hpc.tiling.quality.measures import Quality

SOUND = Quality(0.5, 80.0, 0.0, 0.9, 64, 0.0, "", 0.0, 0.0, 0.3, 0.4, 0.3, 8.0)
PNG = b"\x89PNG\r\n..."
HOSTILE = '<img src=x onerror="alert(1)">'
ROWS = (
    QualityRow("a-sound", SOUND),
    QualityRow("b-pale", SOUND, findings=(Finding("eosin", 0.1, -5.0), Finding("saturation", 0.1, -4.0)), picture=PNG),
    QualityRow("c-inked", dataclasses.replace(SOUND, pen_colour="blue"), findings=(Finding("pen", 0.2, None),)),
    QualityRow("d-far", SOUND, findings=(Finding("haematoxylin", 2.0, 9.0),), picture=PNG),
    QualityRow("e-gone", None, reason=HOSTILE),
)


def test_the_worst_stand_first_and_are_said_in_words() -> None:
    table = quality_table(ROWS)
    assert table is not None and quality_table(()) is None
    found = [(row.cells[0].text, row.cells[1].text) for row in table.rows]
    assert found == [
        ("e-gone", f"not measured: {HOSTILE}"),
        ("b-pale", "little eosin, little saturation"),
        ("d-far", "much haematoxylin"),
        ("c-inked", "blue pen"),
        ("a-sound", "–"),  # noqa: RUF001 - a dash, as typeset
    ]
    gone = QualityRow("f", SOUND, "missing-file", (Finding("pen", 0.2, None),))
    assert said_of(gone) == "pen, measured before: missing-file"
    assert table.tagged("out") == 4 and table.filters == (("out", "standing out"),)
    assert said_of(QualityRow("x", SOUND, findings=(Finding("tissue_mm2", 1.0, -4.0),))) == "small area of tissue"


def test_pictures_are_of_slides_that_stand_out() -> None:
    assert [(name, row.slide_id) for name, row in quality_pictures(ROWS, 9)] == [
        ("quality/0001.png", "b-pale"),
        ("quality/0002.png", "d-far"),
    ]
    assert len(quality_pictures(ROWS, 1)) == 1 and quality_pictures(ROWS, 0) == []


def test_the_rule_is_that_of_the_number_of_slides() -> None:
    assert "Fewer than 8 slides" in rule_of(ROWS) and "robust deviations" not in rule_of(ROWS)
    assert "3.5 robust deviations" in rule_of(ROWS[:1] * 8)


def test_the_page_has_the_section_where_quality_was_measured(empty_report: ReportData) -> None:
    files = report_files(dataclasses.replace(empty_report, quality=ROWS, max_thumbnails=1))
    page = files["index.html"].decode()
    assert files["quality/0001.png"] == PNG and "quality/0002.png" not in files
    assert page.count('<section id="quality">') == 1 and 'src="quality/0001.png"' in page
    assert HOSTILE not in page and "not measured: &lt;img" in page
    assert files["figures/quality.csv"].decode().splitlines()[0].startswith("slide,stands out by,tissue")
    assert '<section id="quality">' not in report_files(empty_report)["index.html"].decode()


def test_a_picture_marks_folds_and_frames_blurred_squares() -> None:
    image = np.full((100, 600, 3), 200, dtype=np.uint8)
    labels = np.full((100, 600), TISSUE, dtype=np.uint8)
    labels[:, 500:] = FOLD
    marked = Marked(labels, labels, np.zeros((0, 2)))
    png = quality_png(image, marked, np.array([[10.0, 10.0], [200.0, 10.0]]), 60.0, np.array([0.01, 0.9]))
    found = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)
    assert found.shape == (80, 480, 3)
    assert abs(found[40, 450] - (0.35 * 200 + 0.65 * np.array(FOLD_COLOUR))).max() < 8
    is_blue = (abs(found - np.array(BLUR_COLOUR)) < 8).all(axis=2)
    assert is_blue[8, 8:56].all() and not is_blue[:, 100:].any() and not is_blue[30, 30]
