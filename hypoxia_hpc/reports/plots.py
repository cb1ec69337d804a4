"""Plots as inline SVG: matplotlib draws, then the SVG is made a part of the page.

No text of a table enters a plot (titles and legends are the page's, where every character is escaped). Styles become
attributes, so that the page's Content-Security-Policy can forbid style attributes; colours become the page's variables,
so that a plot follows the light, the dark and the print scheme; fonts are the page's.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import numpy as np

from hypoxia_hpc.records import Float64Array
from hypoxia_hpc.reports.text import clean

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, MUTED, RULE = "#1b2330", "#5b6675", "#d9dee5"
# Okabe and Ito's colours, then four that lie farthest from these and from each other to normal, deutan and protan eyes;
# the first is the baseline's.
SERIES = ("#6f7a88", "#0072b2", "#d55e00", "#009e73", "#a8559b", "#602000", "#1010fa", "#501050", "#0020a0")
_VARIABLES = {INK: "ink", MUTED: "muted", RULE: "rule"} | {colour: f"series-{i}" for i, colour in enumerate(SERIES)}
# Dashes in multiples of the line's width. Colour is never the only difference. The page's legend repeats them.
DASHES: tuple[str | tuple[int, tuple[float, ...]], ...] = (
    (0, (1, 1.5)), "solid", (0, (5, 1.5)), (0, (5, 1.5, 1, 1.5)), (0, (2.5, 1.2)),
    (0, (5, 1.5, 1, 1.5, 1, 1.5)), (0, (10, 2)), (0, (5, 4)), (0, (2.5, 1.2, 1, 1.2)),
)  # fmt: skip
_RC = {"svg.hashsalt": "hypoxia_hpc", "svg.fonttype": "none", "font.size": 10.0, "axes.linewidth": 0.8}
_NAMESPACES = re.compile(r"\{[^}]*\}")


def series_of(index: int) -> int:
    """Which of the series' colours and dashes the ``index``-th model takes (0 is kept for the baseline)."""
    return 1 + index % (len(SERIES) - 1)


def roc_plot(name: str, curves: Sequence[tuple[Float64Array, Float64Array, int]]) -> str:
    """ROC curves: each a false and a true positive rate, float64 (n,), with its series. SVG text."""
    figure, axes = _canvas(4.4, 4.1)
    axes.plot([0, 1], [0, 1], color=RULE, linewidth=1.2)
    axes.text(0.62, 0.585, "chance", color=MUTED, size=9, rotation=45, rotation_mode="anchor", ha="center")
    for false_positive, true_positive, series in curves:
        axes.plot(false_positive, true_positive, color=SERIES[series], linestyle=DASHES[series], linewidth=2)
    axes.set(xlabel="false positive rate (1 − specificity)", ylabel="true positive rate (sensitivity)")  # noqa: RUF001
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    return _inline(figure, name)


def training_plot(name: str, ylabel: str, train: Sequence[float], valid: Sequence[float]) -> str:
    """One value per epoch on the training set (solid) and on the validation set (dashed; may be empty). SVG text."""
    from matplotlib.ticker import MaxNLocator

    figure, axes = _canvas(4.2, 2.8)
    for values, series in ((train, 1), (valid, 2)):
        epochs = np.arange(1, len(values) + 1)
        marker = "o" if len(values) == 1 else ""
        axes.plot(epochs, values, marker=marker, color=SERIES[series], linestyle=DASHES[series], linewidth=1.8)
    axes.set(xlabel="epoch", ylabel=ylabel)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=7, integer=True))
    if ylabel == "accuracy":
        axes.set_ylim(-0.02, 1.02)
    return _inline(figure, name)


def probability_plot(
    name: str, probabilities: tuple[Float64Array, Float64Array], threshold: float, class_names: tuple[str, str]
) -> str:
    """A dot per patient at its probability of class 1, a row for each true class, a line at the threshold. SVG text."""
    figure, axes = _canvas(3.5, 2.0)
    axes.axvline(threshold, color=MUTED, linewidth=1, linestyle=DASHES[4])
    for row, values in enumerate(probabilities):
        spread = (np.arange(len(values)) * 0.618034 % 1 - 0.5) * 0.5  # golden section: neighbours lie apart
        axes.plot(
            np.sort(values), row + spread, "D" if row else "o", color=SERIES[2 if row else 1], markersize=5, alpha=0.75
        )
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.5, 1.5), yticks=(0, 1), xlabel="predicted probability")
    axes.set_yticklabels([clean(class_name) for class_name in class_names], parse_math=False)
    axes.grid(visible=False, axis="y")
    return _inline(figure, name)


def _canvas(width_inches: float, height_inches: float) -> tuple[Figure, Axes]:
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(_RC):
        figure = Figure(figsize=(width_inches, height_inches), layout="constrained", facecolor="none")
        axes = figure.add_subplot(facecolor="none")
    axes.grid(visible=True, color=RULE, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(color=RULE, labelcolor=MUTED)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(RULE)
    axes.xaxis.label.set_color(INK)
    axes.yaxis.label.set_color(INK)
    return figure, axes


def _inline(figure: Figure, name: str) -> str:
    from matplotlib import rc_context

    buffer = io.StringIO()
    with rc_context(_RC):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return inline_svg(buffer.getvalue(), name)


def inline_svg(document: str, name: str) -> str:
    """matplotlib's SVG document as an element for an HTML page: no namespaces, metadata, style elements or attributes;
    only ids that something refers to, made unique by ``name``; palette colours as CSS variables."""
    root = ElementTree.fromstring(document)  # noqa: S314 - made by matplotlib a moment ago
    references = re.findall(r'(?:href="|url\()#([^")]+)', document)
    ids = {old: f"{name}-{number}" for number, old in enumerate(dict.fromkeys(references))}
    for parent in list(root.iter()):
        for child in [child for child in parent if child.tag.endswith(("}metadata", "}style"))]:
            parent.remove(child)
    for element in root.iter():
        element.tag = _NAMESPACES.sub("", element.tag)
        element.attrib = dict(_attributes(element.attrib, ids))
        element.text, element.tail = (element.text or "").strip(), None
    root.attrib = {"class": "plot", "viewBox": root.attrib["viewBox"], "aria-hidden": "true"}
    return ElementTree.tostring(root, encoding="unicode", short_empty_elements=False)


def _attributes(attributes: dict[str, str], ids: dict[str, str]) -> Iterator[tuple[str, str]]:
    for key, value in attributes.items():
        if key == "id":
            if value in ids:
                yield key, ids[value]
        elif key == "style":
            for declaration in value.split(";"):
                style, _, setting = declaration.partition(":")
                if style.strip() != "font-family":
                    yield style.strip(), _themed(setting.strip())
        else:
            yield _NAMESPACES.sub("", key), re.sub(r"#([\w-]+)", lambda hit: f"#{ids[hit[1]]}", " ".join(value.split()))


def _themed(setting: str) -> str:
    variable = _VARIABLES.get(setting.lower())
    return setting if variable is None else f"var(--{variable}, {setting})"
