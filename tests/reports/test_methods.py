"""The paragraph of methods and the checklist say what the run knows, and leave the rest open."""

from __future__ import annotations

import dataclasses

import pytest
from report_data import make_report_of

from hypoxia_hpc.reports.data import ReportData
from hypoxia_hpc.reports.kinds.registry import KINDS
from hypoxia_hpc.reports.methods import TO_FILL_IN, TRIPOD_AI, checklist, flattened, methods_paragraph


def test_the_paragraph_has_the_numbers(full_report: ReportData) -> None:
    said = methods_paragraph(full_report, KINDS["binary"])
    for expected in (
        "63 whole-slide images of 61 patients were taken; 60 patients with a label (30 normoxic, 30 hypoxic).",
        "tiles of 299 x 299 pixels at 0.5 µm per pixel; tiles of which more than 25 % is background",
        "by the pooled output of inception_v3 with random weights.",
        "3 models were trained: tanh, funnel and logistic. tanh was chosen among 3 models by validation patients.",
        "training, validation and test sets (70 / 15 / 15 %), stratified by label.",
        "with 95 % intervals",
        "Baselines on the same patients: tumour type alone.",
        "Software: hypoxia_hpc 0.1.0, python 3.11.2",
    ):
        assert expected in said
    outside = tuple(dataclasses.replace(row, set_name="external") for row in full_report.predictions)
    for rows in ((), outside):
        data = dataclasses.replace(full_report, metrics={}, predictions=rows)
        assert methods_paragraph(data, KINDS["binary"]) == "" and checklist(data, KINDS["binary"]) == []


def test_cross_validation_whole_groups_and_a_given_split_are_said(full_report: ReportData) -> None:
    def said(n_folds: int = 0, **changes: object) -> str:
        settings = {**full_report.settings, "train": {**full_report.settings["train"], **changes}}
        metrics = {**full_report.metrics, "folds": {"tanh": {str(fold): {} for fold in range(n_folds)}}}
        return methods_paragraph(dataclasses.replace(full_report, settings=settings, metrics=metrics), KINDS["binary"])

    assert "in 5 folds, repeated 3 times, all patients of one site in one set." in said(
        15, folds=5, repeats=3, keep_together="site"
    )
    assert "intervals, over groups of patients of one site:" in said(keep_together="site")
    assert "as a given table says." in said(split_file="mine.csv")


@pytest.mark.parametrize(
    ("stain", "words"),
    [
        ({"method": "none"}, None),
        ({"method": "macenko", "reference": None}, "of Macenko, fitted on the tissue of each slide, to the published"),
        ({"method": "reinhard", "reference": "/a/b.png", "untrusted": "quarantine"}, "to one image; what had no stain"),
        ({"method": "vahadane", "reference": "/run/stain.json"}, "to the median of training slides; what had no stain"),
    ],
)
def test_the_stain_that_tiles_were_given_is_said(
    full_report: ReportData, stain: dict[str, str | None], words: str | None
) -> None:
    tile = {**full_report.settings["tile"], "stain": {"untrusted": "keep", **stain}}
    data = dataclasses.replace(full_report, settings={**full_report.settings, "tile": tile})
    said = methods_paragraph(data, KINDS["binary"])
    assert words in said if words else "stain" not in said


def test_slices_of_series_and_their_fusion_are_said(full_report: ReportData) -> None:
    tile = {
        **full_report.settings["tile"],
        "max_background": 1.0,
        "series": {"scale": "percentiles", "min_content": 0.01},
    }
    evaluate = {**full_report.settings["evaluate"], "fusion": "late"}
    settings = {**full_report.settings, "tile": tile, "evaluate": evaluate}
    metrics = {**full_report.metrics, "series": [{"model": "tanh", "series": "T2w", "value": 0.5, "n": 24}]}
    data = dataclasses.replace(full_report, settings=settings, metrics=metrics)
    said = methods_paragraph(data, KINDS["binary"])
    assert "one scale of gray, and slices with less than 1 % content were left out" in said
    assert "is background" not in said
    window = {**settings, "tile": {**tile, "series": {"scale": "window", "min_content": 0.01}}}
    said = methods_paragraph(dataclasses.replace(data, settings=window), KINDS["binary"])
    assert "each slice had the window of its file, and slices with less than 1 % content" in said
    pooled = next(one.answer for one in checklist(data, KINDS["binary"]) if one.number == "12g")
    assert pooled == "A patient's prediction is the mean of the logits of its series, of each the mean over its tiles."


@pytest.mark.parametrize(
    ("pooling", "words"),
    [
        ("mean", "is the mean over all tiles of"),
        ("median", "is the median over all tiles of"),
        ("top-k", "is the mean of the 7 largest predictions of all tiles of"),
        ("share-above", "is the share above 0.5 among all tiles of"),
    ],
)
def test_the_pooling_is_the_one_of_the_run(full_report: ReportData, pooling: str, words: str) -> None:
    evaluate = {**full_report.settings["evaluate"], "pooling": pooling, "pooling_k": 7, "pooling_threshold": 0.5}
    data = dataclasses.replace(full_report, settings={**full_report.settings, "evaluate": evaluate})
    assert any(words in item.answer for item in checklist(data, KINDS["binary"]))


@pytest.mark.parametrize("kind", KINDS)
def test_the_checklist_is_whole_and_honest_about_what_is_open(kind: str) -> None:
    data = make_report_of(kind)
    items = checklist(data, KINDS[data.outcome.kind])
    assert [item.number for item in items] == list(TRIPOD_AI) and len(items) == 52
    by_number = {item.number: item for item in items}
    assert by_number["17"].answer == TO_FILL_IN and by_number["17"].is_open
    assert not by_number["12a"].is_open and not by_number["8a"].is_open
    assert all(item.is_open == (item.answer == TO_FILL_IN) for item in items)


@pytest.mark.parametrize(
    ("modes", "words"), [((), "that the folder or table of images names"), (("T2w",), "series T2w")]
)
def test_eligibility_of_images_speaks_of_no_slides(full_report: ReportData, modes: tuple[str, ...], words: str) -> None:
    settings = {**full_report.settings, "source": {"kind": "folders", "image_mode": modes}}
    items = checklist(dataclasses.replace(full_report, settings=settings), KINDS["binary"])
    said = {one.number: one.answer for one in items}
    assert words in said["6b"]
    assert "slide" not in (said["6b"] + said["20a"] + said["12g"]).lower()


def test_settings_by_their_names() -> None:
    assert flattened({"a": {"b": 1, "c": {"d": [1, 2]}}, "e": None}) == {"a.b": "1", "a.c.d": "1, 2", "e": "None"}
