"""Plots are right, deterministic, free of styles and of anything from outside."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score, roc_curve

from hypoxia_hpc.config import HEADS
from hypoxia_hpc.reports import plots as plots_module
from hypoxia_hpc.reports.figures import calls_figures, roc_figure, roc_points, training_figures
from hypoxia_hpc.reports.page import ReportData
from hypoxia_hpc.reports.plots import probability_plot, roc_plot, series_of, training_plot

both_classes = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 12)), min_size=2, max_size=60).filter(
    lambda rows: len({label for label, _ in rows}) == 2
)


@given(both_classes)
def test_roc_points_are_those_of_scikit_learn(rows: list[tuple[int, int]]) -> None:
    labels, scores = [label for label, _ in rows], [score / 12 for _, score in rows]
    false_positive, true_positive = roc_points(labels, scores)
    expected = roc_curve(labels, scores, drop_intermediate=False)
    np.testing.assert_allclose(false_positive, expected[0])
    np.testing.assert_allclose(true_positive, expected[1])
    assert np.trapezoid(true_positive, false_positive) == pytest.approx(roc_auc_score(labels, scores))


def plots() -> dict[str, str]:
    rates = (np.array([0, 0.2, 1]), np.array([0, 0.8, 1]))
    spread = (np.array([0.1, 0.2, 0.6]), np.array([0.4, 0.9]))
    return {
        "roc": roc_plot("roc", [(*rates, 1), (*rates, 0)]),
        "loss": training_plot("loss", "loss", [0.7, 0.5, 0.4], [0.8, 0.6, 0.6]),
        "one epoch": training_plot("one", "accuracy", [0.5], []),
        "diverged": training_plot("nan", "loss", [float("nan")] * 3, [float("inf")] * 3),
        "calls": probability_plot("calls", spread, 0.5, ("normoxic", "hypoxic")),
        "no patient of a class": probability_plot("none", (np.array([]), np.array([0.3])), 0.5, ("a", "b")),
    }


def parsed(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)  # noqa: S314 - drawn a moment ago


def test_svg_is_clean_and_repeats() -> None:
    first = plots()
    assert plots() == first
    for name, svg in first.items():
        root = parsed(svg)
        assert {element.tag for element in root.iter()} <= {
            "svg",
            "g",
            "path",
            "text",
            "use",
            "defs",
            "clipPath",
            "rect",
        }, name
        assert not {"style", "xmlns", "onload", "class"} & {key for element in root[0].iter() for key in element.attrib}
        assert "http" not in svg, name
        ids = [element.attrib["id"] for element in root.iter() if "id" in element.attrib]
        references = re.findall(r'(?:href="|url\()#([^")]+)', svg)
        assert len(set(ids)) == len(ids) and set(references) == set(ids), name


def test_drawing_leaves_matplotlib_as_it_was() -> None:
    before = dict(mpl.rcParams)
    plots()
    assert dict(mpl.rcParams) == before


def test_colours_follow_the_page() -> None:
    svg = plots()["roc"]
    assert "var(--series-1, #0072b2)" in svg and "var(--ink, " in svg
    assert not re.search(r'(?:fill|stroke)="#(?!0{6}|f{6})', svg), "every colour of the palette has its variable"


def test_models_differ_in_colour_and_in_dash_in_the_plot_and_in_the_legend() -> None:
    chosen = [0, *(series_of(index) for index in range(8))]
    rates = (np.array([0, 0.2, 1]), np.array([0, 0.8, 1]))
    lines = [
        one for one in parsed(roc_plot("roc", [(*rates, one) for one in chosen])).iter("path") if one.get("stroke")
    ]
    drawn = [one for one in lines if "--series-" in str(one.get("stroke"))]
    assert len(drawn) == 9
    assert len({one.get("stroke") for one in drawn}) == len({one.get("stroke-dasharray") for one in drawn}) == 9
    css = (Path(plots_module.__file__).parent / "page.css").read_text()
    rules = re.findall(r"\.series-(\d+) { stroke: var\(--series-(\d+)\);(.*) }", css)
    assert [(int(one), int(other)) for one, other, _ in rules] == [(number, number) for number in sorted(chosen)]
    assert len({dash for _, _, dash in rules}) == 9
    for values in (re.findall(rf"--series-{number}: (#\w+);", css) for number in chosen):
        assert len(values) == 2, "light and dark"
    light = [re.findall(rf"--series-{number}: (#\w+);", css)[0] for number in sorted(chosen)]
    assert light == list(plots_module.SERIES)


def test_every_head_that_there_is_has_a_line_of_its_own() -> None:
    assert len({series_of(index) for index in range(len(HEADS))}) == len(HEADS)


def test_a_dot_for_every_patient() -> None:
    root = parsed(plots()["calls"])
    dots = [
        use for use in root.iter("use") if use.get("fill-opacity") or use.get("fill", "").startswith("var(--series")
    ]
    assert len(dots) == 5


@pytest.mark.parametrize("name", ["$\\frac$", "<script>alert(1)</script>", "a$b$c", "NUL\x00here", "}{"])
def test_class_names_are_drawn_as_they_are(name: str) -> None:
    svg = probability_plot("calls", (np.array([0.1]), np.array([0.9])), 0.5, (name, "hypoxic"))
    texts = [element.text for element in parsed(svg).iter("text")]
    assert name.replace("\x00", "") in texts


def test_sentences_state_the_message(full_report: ReportData) -> None:
    roc = roc_figure(full_report)
    assert roc is not None
    assert roc.plot.alt == (
        "ROC curves of 3 models on 24 test patients: the area under the curve of tanh is 0.930 (interval 0.840–1.000); "  # noqa: RUF001
        "chance is the diagonal, 0.5."
    )
    figure = calls_figures(full_report)[0]
    assert figure.plot.alt.startswith("Predicted probability of every test patient, model tanh: ")
    assert sum(map(sum, figure.confusion)) == 24
    training = training_figures(full_report)
    assert [one.head for one in training] == ["tanh", "funnel"], "a head without epochs has no curve"
    assert training[0].loss.alt.startswith("Loss of tanh over 75 epochs: training from 0.")
