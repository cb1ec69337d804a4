"""What stores and models say of themselves, as the page shows it."""

from __future__ import annotations

import dataclasses
import re

import pytest
from report_data import page_of

from hypoxia_hpc.reports.data import Curves, FeatureCompute, ReportData
from hypoxia_hpc.reports.figures import training_figures
from hypoxia_hpc.reports.shown_models import feature_compute, search_of

KERAS = {"backend": "tensorflow", "engine": "keras", "compiler": "none", "batch_size": 16, "device": "cpu"}


@pytest.fixture(scope="session")
def plain(full_report: ReportData) -> ReportData:
    """Without what takes long to draw."""
    return dataclasses.replace(full_report, predictions=(), slides=(), histories=())


def text_of(html: str, section: str) -> str:
    """What a section of the page says."""
    body = html.partition(f'<section id="{section}">')[2].partition("</section>")[0]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body))


def test_ways_of_computing_are_counted_by_what_is_shown_of_them() -> None:
    openvino = {**KERAS, "engine": "openvino", "compiler": "openvino"}
    other_processor = {**KERAS, "processor": "another", "keras": "3.99"}
    found = feature_compute([openvino, KERAS, other_processor, {}, {"no": "record"}, KERAS])
    assert [way.n_slides for way in found] == [3, 2, 1]
    assert found[0].compute == {name: str(value) for name, value in KERAS.items()}
    assert found[1].compute == {}
    assert found[2].compute["engine"] == "openvino"
    assert feature_compute([]) == ()


def test_the_page_says_how_features_were_computed_and_that_it_was_in_two_ways(plain: ReportData) -> None:
    said = text_of(page_of(plain), "provenance")
    assert "Computed in 2 ways." in said
    assert "delete features/inception_v3 ," in said
    assert "40 slides backend tensorflow , engine keras , device NVIDIA A100" in said
    assert "21 slides backend tensorflow , engine openvino , device cpu" in said


def test_one_way_is_no_matter_and_stores_may_say_nothing(plain: ReportData) -> None:
    one = dataclasses.replace(plain.provenance, features=(FeatureCompute(61, {}),))
    said = text_of(page_of(dataclasses.replace(plain, provenance=one)), "provenance")
    assert "61 slides not recorded" in said
    assert "ways" not in said


def test_points_scores_and_the_chosen_one_of_a_search() -> None:
    points = [
        {"settings": {"c": 0.1, "max_iter": 100}, "roc_auc": 0.75, "valid_loss": 0.5},
        {"settings": {"c": 0.01, "max_iter": 100}, "roc_auc": 0.875, "valid_loss": 0.625},
    ]
    found = search_of("logistic", {"chosen": {"c": 0.01, "max_iter": 100}, "points": points}, "roc_auc")
    assert [point.is_chosen for point in found.points] == [False, True]
    assert found.points[1].settings == {"c": "0.01", "max_iter": "100"}
    assert (found.points[1].figure, found.points[1].valid_loss) == (0.875, 0.625)


def test_the_page_shows_every_point(plain: ReportData) -> None:
    said = text_of(page_of(plain), "training")
    assert "tanh units = 2048 , momentum = 0.8 chosen 0.921 0.411" in said
    assert "tanh units = 512 , momentum = 0.8 0.900 0.422" in said
    assert "logistic c = 0.1 chosen 0.854 0.533" in said
    without = text_of(page_of(dataclasses.replace(plain, searches=())), "training")
    assert "Search" not in without and "points" not in without


def test_a_network_fine_tuned_from_random_weights_is_named_in_the_red_box(plain: ReportData) -> None:
    data = dataclasses.replace(plain, random_weights=False)
    html = page_of(data)
    assert html.count('<div role="note" class="banner alarm">') == 1
    assert "Random initialisation: finetune was fine-tuned from a random network." in html
    folds = page_of(dataclasses.replace(data, random_start=("finetune.fold0", "finetune.fold1")))
    assert "finetune.fold0, finetune.fold1 were fine-tuned from a random network." in folds
    assert "banner alarm" not in page_of(dataclasses.replace(data, random_start=())).partition("<body>")[2]


def test_tiles_that_a_network_was_not_made_for_stand_before_the_results(plain: ReportData) -> None:
    note = "uni was trained for tiles of 256 px"
    assert f"<li>{note}</li>" in page_of(dataclasses.replace(plain, tiles_note=note)).partition('class="answer"')[2]


@pytest.mark.parametrize(
    ("model", "unit"),
    [("tanh", "tile"), ("attention", "patient, a bag of tiles"), ("attention.fold1", "patient, a bag of tiles")],
)
def test_curves_say_what_they_are_of(plain: ReportData, model: str, unit: str) -> None:
    data = dataclasses.replace(plain, histories=(Curves(model, (1.0, 0.5), (0.5, 0.75)),))
    assert [figure.unit for figure in training_figures(data)] == [unit]
    assert f"{model} per {unit}" in text_of(page_of(data), "training")
