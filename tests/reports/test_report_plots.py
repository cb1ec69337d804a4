"""Plots are right, deterministic, free of styles and of anything from outside."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pytest

from hypoxia_hpc.config import HEADS
from hypoxia_hpc.reports import plots as plots_module
from hypoxia_hpc.reports.data import ReportData
from hypoxia_hpc.reports.figures import stem, training_figures
from hypoxia_hpc.reports.plots import (
    Drawn,
    Frame,
    Line,
    Reference,
    dot_plot,
    line_plot,
    matrix_plot,
    scatter_plot,
    series_of,
)

FRAME = Frame("x axis", "y axis", references=(Reference((0, 1), (0, 1), "chance", (0.5, 0.5), 45),))
RATES = (np.array([0, 0.2, 1]), np.array([0, 0.8, 1]))


def plots() -> dict[str, Drawn]:
    dots = [("normoxic", np.array([0.1, 0.2, 0.6])), ("hypoxic", np.array([0.4, 0.9]))]
    nan = (np.arange(3.0), np.full(3, np.nan))
    spans = np.array([[0, 0.1], [0.7, 0.9], [0.9, 1]])
    free = Frame("epoch", "loss", None, None, has_whole_x=True)
    return {
        "roc": line_plot("roc", FRAME, [Line("tanh", *RATES, 1), Line("funnel", *RATES, 2)]),
        "spans": line_plot("spans", FRAME, [Line("tanh", *RATES, 1, spans, has_dots=True)]),
        "one point": line_plot("one", free, [Line("training", np.array([1.0]), np.array([0.5]), 1)]),
        "diverged": line_plot("nan", free, [Line("training", *nan, 1)]),
        "steps": line_plot("steps", free, [Line("low", *RATES, 1, is_steps=True)]),
        "dots": dot_plot("dots", Frame("probability", "", ylim=None), dots, 0.5),
        "no dot of a class": dot_plot("none", Frame("p", "", ylim=None), [("a", np.array([])), *dots[1:]], None),
        "scatter": scatter_plot("scatter", free, *RATES),
        "matrix": matrix_plot("matrix", Frame("called", "truth", None, None), ("a", "b", "c"), np.eye(3, dtype=int)),
    }


def parsed(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)  # noqa: S314 - drawn a moment ago


def test_svg_is_clean_and_repeats() -> None:
    first = plots()
    assert plots() == first
    for name, drawn in first.items():
        svg = drawn.inline
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
    svg = plots()["roc"].inline
    assert "var(--series-1, #0072b2)" in svg and "var(--ink, " in svg
    assert not re.search(r'(?:fill|stroke)="#(?!0{6}|f{6})', svg), "every colour of the palette has its variable"


def test_models_differ_in_colour_and_in_dash_in_the_plot_and_in_the_legend() -> None:
    chosen = [0, *(series_of(index) for index in range(8))]
    drawn_lines = line_plot("roc", FRAME, [Line(str(one), *RATES, one) for one in chosen])
    lines = [one for one in parsed(drawn_lines.inline).iter("path") if one.get("stroke")]
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
    root = parsed(plots()["dots"].inline)
    dots = [
        use for use in root.iter("use") if use.get("fill-opacity") or use.get("fill", "").startswith("var(--series")
    ]
    assert len(dots) == 5


@pytest.mark.parametrize("name", ["$\\frac$", "<script>alert(1)</script>", "a$b$c", "NUL\x00here", "}{", "_hidden"])
def test_names_are_drawn_as_they_are(name: str) -> None:
    frame = Frame(name, "", ylim=None)
    for drawn in (
        dot_plot("dots", frame, [(name, np.array([0.1]))], None),
        line_plot("lines", frame, [Line(name, *RATES, 1)]),
        matrix_plot("matrix", frame, (name, "b"), ((1, 0), (0, 1))),
    ):
        shown = [element.text for element in parsed(drawn.document).iter() if element.tag.endswith("text")]
        assert name.replace("\x00", "") in shown
        assert "<script" not in drawn.inline + drawn.document


def test_a_file_has_its_legend_and_its_colours() -> None:
    document = plots()["roc"].document
    texts = [element.text for element in parsed(document).iter() if element.tag.endswith("text")]
    assert {"tanh", "funnel", "chance", "x axis"} <= set(texts)
    assert "var(--" not in document


def test_the_axes_of_counts_are_those_of_the_points() -> None:
    drawn = line_plot(
        "free", Frame("epoch", "loss", None, None), [Line("a", np.array([1.0, 75.0]), np.array([3.0, 9.0]), 1)]
    )
    texts = {element.text for element in parsed(drawn.inline).iter("text")}
    assert {"60", "8"} <= texts


def test_sentences_state_the_message(full_report: ReportData) -> None:
    training = training_figures(full_report)
    assert [one.head for one in training] == ["tanh", "funnel"], "a head without epochs has no curve"
    loss, accuracy = training[0].figures
    assert (loss.name, accuracy.name) == ("loss-tanh", "accuracy-tanh")
    assert loss.alt.startswith("Loss of tanh over 75 epochs: training from 0.")
    assert len(loss.rows) == 150 and loss.rows[0][:2] == ("training", 1.0)


def test_a_name_becomes_a_name_of_a_file() -> None:
    assert stem("tanh.fold0") == "tanh-fold0"
    assert stem("../<x>") == "-x-"
