"""Each kind of outcome has its own figures, columns and words."""

from __future__ import annotations

import io
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from report_data import make_report_of, page_of

from hypoxia_hpc.analysis.calibration import Calibration
from hypoxia_hpc.config.outcome import OUTCOME_KINDS
from hypoxia_hpc.evaluation.binary import BinaryOperating, Threshold
from hypoxia_hpc.reports.figures import Figure
from hypoxia_hpc.reports.kinds.binary import thresholds_of
from hypoxia_hpc.reports.kinds.registry import KINDS
from hypoxia_hpc.reports.page import report_files
from hypoxia_hpc.reports.patient_tables import patient_table

FIGURES = {
    "binary": ["roc", "precision-recall", "calibration", "decision", "confusion-linear", "probabilities-linear",
               "confusion-attention", "probabilities-attention"],
    "classes": ["roc", "confusion-linear", "confusion-attention"],
    "score": ["scatter-linear", "scatter-attention"],
    "survival": ["kaplan-meier-linear", "kaplan-meier-attention"],
}  # fmt: skip


def figures_of(kind: str) -> dict[str, Figure]:
    data = make_report_of(kind)
    return {figure.name: figure for figure in KINDS[data.outcome.kind].figures(data, "attention")}


def test_every_kind_has_a_page() -> None:
    assert tuple(KINDS) == OUTCOME_KINDS


@pytest.mark.parametrize("kind", OUTCOME_KINDS)
def test_figures_are_drawn_described_and_written(kind: str) -> None:
    found = figures_of(kind)
    assert list(found) == FIGURES[kind]
    for figure in found.values():
        assert len(pd.read_csv(io.StringIO(figure.csv()))) == len(figure.rows) > 1
        root = ElementTree.fromstring(figure.drawn.document)  # noqa: S314 - drawn a moment ago
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert figure.alt.endswith(".") and figure.title


@pytest.mark.parametrize("kind", OUTCOME_KINDS)
def test_the_page_of_a_kind_has_its_metric_its_figures_and_every_patient(kind: str) -> None:
    data = make_report_of(kind)
    html, page = page_of(data), KINDS[data.outcome.kind]
    assert f"{page.headline_name} 0.70 (0.60–0.80) on 40 test patients, model linear." in html  # noqa: RUF001
    assert all(f'href="figures/{name}.svg"' in html for name in FIGURES[kind])
    assert all(f'<th scope="row">P{number:02d}</th>' in html for number in range(40))
    assert f"figures/{FIGURES[kind][0]}.csv" in report_files(data)


def test_thresholds_are_those_that_evaluate_wrote() -> None:
    data = make_report_of("binary")
    folds = [
        BinaryOperating(Threshold(value, "youden", 10, 10), Calibration(0.0, 1.0, "none", 10, 10)).as_json()
        for value in (0.3, 0.6)
    ]
    held = replace(data, metrics={**data.metrics, "operating": {"attention": folds}})
    assert thresholds_of(held, "attention") == [0.3, 0.6]
    assert thresholds_of(held, "linear") == [data.threshold]


def test_points_of_binary_curves_are_those_of_the_predictions() -> None:
    found = figures_of("binary")
    rates = pd.DataFrame(found["roc"].rows, columns=found["roc"].columns)
    own = rates[rates["model"] == "attention"]
    data = make_report_of("binary")
    rows = [row for row in data.predictions if row.model == "attention"]
    positive = [row.said[0] for row in rows if row.label == 1]
    negative = [row.said[0] for row in rows if row.label == 0]
    pairs = np.mean([[(p > n) + 0.5 * (p == n) for n in negative] for p in positive])
    area = np.trapezoid(own["true_positive_rate"], own["false_positive_rate"])
    assert area == pytest.approx(pairs)
    matrix = np.array(found["confusion-attention"].matrix)
    assert matrix.tolist() == [
        [sum(p <= 0.5 for p in negative), sum(p > 0.5 for p in negative)],
        [sum(p <= 0.5 for p in positive), sum(p > 0.5 for p in positive)],
    ]
    decision = pd.DataFrame(found["decision"].rows, columns=found["decision"].columns)
    half = decision[(decision["model"] == "attention") & np.isclose(decision["threshold"], 0.5)]
    assert half["net_benefit"].item() == pytest.approx((matrix[1, 1] - matrix[0, 1]) / 40)
    calibration = pd.DataFrame(found["calibration"].rows, columns=found["calibration"].columns)
    assert calibration[calibration["model"] == "attention"]["n"].sum() == 40


def test_calls_say_what_they_go_by() -> None:
    data, page = make_report_of("binary"), KINDS["binary"]
    fixed = (
        "Called hot: a probability above 0.50, the one of run.toml: validation patients are too few, or show no better."
    )
    assert page.call_rule(data, "linear") == fixed
    nothing = Calibration(0.0, 1.0, "none", 10, 10)
    folds = [BinaryOperating(Threshold(at, "youden", 10, 10), nothing).as_json() for at in (0.3, 0.6)]
    chosen = replace(data, metrics={**data.metrics, "operating": {"linear": folds}})
    expected = "a probability above 0.30 to 0.60, chosen on validation patients (largest sensitivity + specificity)."
    assert page.call_rule(chosen, "linear") == f"Called hot: {expected}"
    assert KINDS["score"].call_rule(make_report_of("score"), "linear") == ""


def test_curves_of_classes_have_their_areas_with_intervals() -> None:
    data = make_report_of("classes")
    names = data.outcome.table.classes
    areas = {f"roc_auc_{n}": {"value": 0.9 - n / 10, "low": 0.5, "high": 0.95, "n": 40} for n in range(len(names))}
    figure, *_ = KINDS["classes"].figures(
        replace(data, metrics={"models": {"linear": {"test": {"patient": areas}}}}), "linear"
    )
    spans = [f"{name} 0.{9 - n}00 (0.500–0.950)" for n, name in enumerate(names)]  # noqa: RUF001
    assert [label for label, _ in figure.legend] == spans
    bare, *_ = KINDS["classes"].figures(replace(data, metrics={}), "linear")
    assert [label.split()[0] for label, _ in bare.legend] == list(names)


def test_confusion_of_several_classes_and_right_calls() -> None:
    matrix = np.array(figures_of("classes")["confusion-linear"].matrix)
    assert matrix.shape == (3, 3) and matrix.sum() == 40
    data = make_report_of("classes")
    rows = [row for row in data.predictions if row.model == "linear"]
    right = [isinstance(row.label, int) and row.call == data.outcome.table.classes[row.label] for row in rows]
    assert np.trace(matrix) == sum(right)


def test_a_score_says_how_far_off_it_is_and_has_no_wrong() -> None:
    data = make_report_of("score")
    table = patient_table(data, KINDS["score"], "linear")
    assert table is not None and table.filters == ()
    titles = [column.title for column in table.columns]
    assert titles[3:] == ["truth", "predicted", "off by", "spread of heads", "tiles"]
    cells = table.rows[0].cells
    assert table.columns[3].is_number and cells[3].value is not None
    truth, predicted = cells[3].value, cells[4].value
    assert isinstance(truth, float) and isinstance(predicted, float)
    assert cells[5].value == pytest.approx(predicted - truth)


def test_risks_of_heads_are_on_no_common_scale() -> None:
    data = make_report_of("survival")
    table = patient_table(data, KINDS["survival"], "linear")
    assert table is not None
    assert [column.title for column in table.columns][3:] == ["truth", "risk", "tiles"]
    assert table.rows[0].cells[3].text.endswith(("event", "censored"))
    assert ",222.984 censored," in table.csv()
    curves = figures_of("survival")["kaplan-meier-linear"]
    steps = pd.DataFrame(curves.rows, columns=curves.columns)
    ends = steps.groupby("half")["share_without_event"].min()
    assert ends["lower risk"] > ends["higher risk"], "a planted effect"


def test_heads_of_a_binary_outcome_with_one_class_have_no_curve() -> None:
    data = make_report_of("binary")
    rows = tuple(replace(row, label=1) for row in data.predictions)
    names = [figure.name for figure in KINDS["binary"].figures(replace(data, predictions=rows), "attention")]
    assert names == [name for name in FIGURES["binary"] if "-a" in name or "-l" in name]
