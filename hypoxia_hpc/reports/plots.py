"""Plots as SVG: matplotlib draws, then the SVG is made a part of the page, and a file beside it.

Text of a table enters a plot cleaned and is never read as a formula; SVG escapes it. Styles become
attributes, so that the page's Content-Security-Policy can forbid style attributes; colours become the page's variables,
so that a plot follows the light, the dark and the print scheme; fonts are the page's.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import numpy as np

from hypoxia_hpc.records import Float64Array, Int64Array
from hypoxia_hpc.reports.text import one_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
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
MARKERS = ("o", "D", "s", "^", "v")
RATIO_TICKS = (0.001, 0.01, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 100, 1000)
LONGEST_LABEL, INCHES_PER_LETTER = 28, 0.085
# Of a composition: rows that have their names, and how large its parts are.
MOST_ROW_NAMES, RISK_INCHES, INCHES_PER_ROW, MOST_INCHES, BLOCKS_INCHES = 52, 0.75, 0.17, 9.0, 5.5
LINE: Mapping[str, Any] = MappingProxyType({"linewidth": 2, "markersize": 4})
_RC = {"svg.hashsalt": "hypoxia_hpc", "svg.fonttype": "none", "font.size": 10.0, "axes.linewidth": 0.8}
BACKGROUND, LEGEND = "patch_1", "legend_1"  # ids that matplotlib gives them
_NAMESPACES = re.compile(r"\{[^}]*\}")


def series_of(index: int) -> int:
    """Which of the series' colours and dashes the ``index``-th model takes (0 is kept for the baseline)."""
    return 1 + index % (len(SERIES) - 1)


@dataclass(frozen=True, slots=True)
class Drawn:
    """A plot as an element of the page, and as a file of its own (SVG, white, with a legend)."""

    inline: str
    document: str


@dataclass(frozen=True, slots=True)
class Line:
    """Points (x, y), float64 (n,), joined by a line of this series; ``spans`` are their intervals, (n, 2):
    a band where the line goes in steps."""

    label: str
    x: Float64Array
    y: Float64Array
    series: int
    spans: Float64Array | None = None
    is_steps: bool = False
    has_dots: bool = False


@dataclass(frozen=True, slots=True)
class Reference:
    """What the lines are to be compared with: a thin line through points, and the word that stands at its ``at``."""

    x: tuple[float, ...]
    y: tuple[float, ...]
    word: str = ""
    at: tuple[float, float] = (0.0, 0.0)
    angle: float = 0.0


@dataclass(frozen=True, slots=True)
class Frame:
    """What a plot is drawn in: names and limits of the axes (None: as the points ask for), size in inches."""

    xlabel: str
    ylabel: str
    xlim: tuple[float, float] | None = (-0.01, 1.01)
    ylim: tuple[float, float] | None = (-0.01, 1.01)
    size: tuple[float, float] = (4.4, 3.4)
    is_square: bool = False
    has_whole_x: bool = False
    references: tuple[Reference, ...] = ()


def line_plot(name: str, frame: Frame, lines: Sequence[Line]) -> Drawn:
    """Lines in their colours and dashes."""
    figure, axes = _canvas(frame)
    drawn = []
    for line in lines:
        colour, dash = SERIES[line.series], DASHES[line.series]
        marker = "o" if line.has_dots or len(line.x) == 1 else ""
        style = "steps-post" if line.is_steps else "default"
        drawn += axes.plot(line.x, line.y, color=colour, linestyle=dash, marker=marker, drawstyle=style, **LINE)
        if line.spans is not None and line.is_steps:
            low, high = line.spans.T
            axes.fill_between(line.x, low, high, step="post", color=colour, alpha=0.15, linewidth=0)
        elif line.spans is not None:
            axes.vlines(line.x, line.spans[:, 0], line.spans[:, 1], color=colour, linewidth=1, alpha=0.6)
    # "best" is the default; where it is said, matplotlib does not warn that a busy machine took long to find it.
    labels = [_short(line.label) for line in lines]
    legend = axes.legend(drawn, labels, loc="best", frameon=False, fontsize=8, handlelength=4)
    for text in legend.get_texts():
        text.set_parse_math(False)
    return _drawn(figure, name)


def dot_plot(name: str, frame: Frame, rows: Sequence[tuple[str, Float64Array]], threshold: float | None) -> Drawn:
    """A row of dots for each name, a dot at each value (x), and a line at the threshold."""
    longest = max((len(_short(label)) for label, _ in rows), default=0) * INCHES_PER_LETTER
    figure, axes = _canvas(replace(frame, size=(2.8 + longest, frame.size[1])))
    if threshold is not None:
        axes.axvline(threshold, color=MUTED, linewidth=1, linestyle=DASHES[4])
    for row, (_, values) in enumerate(rows):
        spread = (np.arange(len(values)) * 0.618034 % 1 - 0.5) * 0.5  # golden section: neighbours lie apart
        series = series_of(row)
        marker = MARKERS[row % len(MARKERS)]
        axes.plot(np.sort(values), row + spread, marker, color=SERIES[series], markersize=5, alpha=0.75)
    axes.set(ylim=(-0.5, len(rows) - 0.5), yticks=range(len(rows)))
    axes.set_yticklabels([_short(label) for label, _ in rows], parse_math=False)
    axes.grid(visible=False, axis="y")
    return _drawn(figure, name)


def forest_plot(name: str, frame: Frame, rows: Sequence[tuple[str, float, float, float]]) -> Drawn:
    """A dot with its interval for each name, from the top, on a scale of ratios with a line at 1. ``rows``: name,
    ratio, low and high, all above 0."""
    longest = max((len(_short(label)) for label, *_ in rows), default=0) * INCHES_PER_LETTER
    figure, axes = _canvas(replace(frame, size=(3.2 + longest, 1.1 + 0.28 * len(rows))))
    lowest, highest = min(low for *_, low, _ in rows), max(high for *_, high in rows)
    axes.set_xscale("log", subs=[])
    ticks = [tick for tick in RATIO_TICKS if min(lowest, 0.9) / 2 < tick < max(highest, 1.1) * 2]
    axes.set(xticks=ticks, xticklabels=[f"{tick:g}" for tick in ticks])
    axes.axvline(1, color=MUTED, linewidth=1, linestyle=DASHES[4])
    for place, (_, ratio, low, high) in enumerate(rows):
        axes.hlines(place, low, high, color=SERIES[1], linewidth=2)
        axes.plot(ratio, place, "o", color=SERIES[1], markersize=6)
    axes.set(ylim=(len(rows) - 0.5, -0.5), yticks=range(len(rows)))
    axes.set_yticklabels([_short(label) for label, *_ in rows], parse_math=False)
    axes.grid(visible=False, axis="y")
    return _drawn(figure, name)


def scatter_plot(name: str, frame: Frame, x: Float64Array, y: Float64Array) -> Drawn:
    """A dot for each pair of values."""
    figure, axes = _canvas(frame)
    axes.plot(x, y, "o", color=SERIES[1], markersize=5, alpha=0.75)
    return _drawn(figure, name)


def cloud_plot(name: str, frame: Frame, places: Float64Array, groups: Int64Array) -> Drawn:
    """A dot at each place (n, 2), those of the first groups in a colour and mark of their own, the others gray."""
    figure, axes = _canvas(frame)
    colours = len(SERIES) - 1
    for group in [colours, *range(colours)]:
        chosen = places[groups >= colours if group == colours else groups == group]
        series = 0 if group == colours else series_of(group)
        marker = MARKERS[group % len(MARKERS)]
        axes.plot(chosen[:, 0], chosen[:, 1], marker, color=SERIES[series], markersize=3, alpha=0.6)
    return _drawn(figure, name)


@dataclass(frozen=True, slots=True)
class Blocks:
    """What stands above the columns of a composition: ``names`` and numbers of columns of the blocks, from the left;
    ``risks`` of the first columns, (n,) or (0,), and the ``cut`` between low and high ones."""

    names: tuple[tuple[str, int], ...]
    risks: Float64Array
    cut: float | None = None


def composition_plot(name: str, xlabel: str, shares: Float64Array, blocks: Blocks) -> Drawn:
    """Shares (k, n) in 0..1 as a picture: a row for each of k clusters, a column for each of n patients, the deeper the
    colour the larger; blocks of columns apart, and their risks above them."""
    k, n = shares.shape
    tall = (RISK_INCHES, max(1.6, min(INCHES_PER_ROW * k, MOST_INCHES)))[0 if len(blocks.risks) else 1 :]
    figure = _blank((7.2, sum(tall) + 0.9))
    grid = figure.add_gridspec(len(tall), 2, height_ratios=tall, width_ratios=(40, 1))
    axes = _axes(figure, Frame(xlabel, "cluster", (0.5, n + 0.5), (k, 0), has_whole_x=True), grid=grid[-1, 0])
    extent = (0.5, n + 0.5, k, 0)
    image = axes.imshow(shares, cmap=_deeper(), vmin=0, aspect="auto", interpolation="none", extent=extent)
    image.set_clim(vmax=max(float(shares.max(initial=0)), 0.01))
    step = -(-k // MOST_ROW_NAMES)
    axes.set(yticks=np.arange(0, k, step) + 0.5, yticklabels=range(0, k, step))
    axes.tick_params(axis="y", labelsize=8, length=0)
    axes.grid(visible=False)
    _scale(figure, figure.add_subplot(grid[-1, 1], facecolor="none"), image)
    top = _risk_curve(figure, blocks, grid=grid[0, 0], sharex=axes) if len(tall) > 1 else axes
    _name_blocks(axes, top, blocks.names)
    return _drawn(figure, name)


def _deeper() -> Colormap:
    """Of one colour, from transparent: white paper and a dark page both show through where a share is 0."""
    from matplotlib.colors import ListedColormap, to_rgb

    return ListedColormap([(*to_rgb(SERIES[1]), alpha) for alpha in np.linspace(0, 1, 256)])


def _risk_curve(figure: Figure, blocks: Blocks, **place: Any) -> Axes:
    axes = _axes(figure, Frame("", "risk", None, None), **place)
    places = np.arange(1, len(blocks.risks) + 1)
    axes.plot(places, blocks.risks, color=SERIES[2], linewidth=1.5)
    if blocks.cut is not None:
        axes.axhline(blocks.cut, color=MUTED, linewidth=0.9, linestyle=DASHES[4])
    axes.tick_params(labelbottom=False, labelsize=8)
    axes.locator_params(axis="y", nbins=3)
    axes.grid(visible=False, axis="x")
    return axes


def _scale(figure: Figure, axes: Axes, image: Any) -> None:
    """What a colour stands for."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    bar = figure.colorbar(image, cax=axes, ticks=MaxNLocator(5), format=FuncFormatter(lambda x, _: f"{100 * x:.3g} %"))
    axes.tick_params(color=RULE, labelcolor=MUTED, labelsize=8)
    bar.outline.set_edgecolor(RULE)
    bar.set_label("share of a patient's tiles", color=INK)


def _name_blocks(axes: Axes, top: Axes, names: Sequence[tuple[str, int]]) -> None:
    """Lines between the blocks of columns, and above them the names of those that are wide enough."""
    ends = np.cumsum([n for _, n in names]).tolist()
    for each in {axes, top}:
        for end in ends[:-1]:
            each.axvline(end + 0.5, color=INK, linewidth=0.8)
    for end, (word, n) in zip(ends, names, strict=True):
        label = f"{_short(word)} ({n:,})"
        if word and n / ends[-1] * BLOCKS_INCHES > len(label) * INCHES_PER_LETTER:
            top.annotate(
                label, (end - (n - 1) / 2, 1), (0, 3), xycoords=("data", "axes fraction"), textcoords="offset points",
                ha="center", color=MUTED, fontsize=8, parse_math=False,
            )  # fmt: skip


def matrix_plot(name: str, frame: Frame, names: Sequence[str], counts: Sequence[Sequence[int]]) -> Drawn:
    """Counts as a table of shaded cells: a row for each true class, a column for each called one. As large as it has
    to be."""
    labels = [_short(one) for one in names]
    longest = max(map(len, labels)) * INCHES_PER_LETTER
    angle, reach = (30, longest / 2) if len(names) > 2 or longest > 1 else (0, 0.2)
    sides = 0.6 * len(names) + 0.8
    figure, axes = _canvas(replace(frame, size=(sides + longest, sides + reach)))
    table = np.asarray(counts, dtype=np.float64)
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    axes.pcolormesh(shares, cmap="Blues", vmin=0, vmax=1.4, edgecolors="white", linewidth=2)
    for (row, column), count in np.ndenumerate(table):
        axes.text(column + 0.5, row + 0.5, f"{count:.0f}", ha="center", va="center", color=INK)
    middles = np.arange(len(names)) + 0.5
    axes.set(xticks=middles, yticks=middles, xlim=(0, len(names)), ylim=(len(names), 0))
    axes.set_xticklabels(labels, parse_math=False, rotation=angle, ha="right" if angle else "center")
    axes.set_yticklabels(labels, parse_math=False)
    axes.grid(visible=False)
    return _drawn(figure, name)


def _short(name: str) -> str:
    """A name of a class, which may have 64 letters, as a label."""
    name = one_line(name)
    return name if len(name) <= LONGEST_LABEL else f"{name[: LONGEST_LABEL - 1]}…"


def _canvas(frame: Frame) -> tuple[Figure, Axes]:
    figure = _blank(frame.size)
    return figure, _axes(figure, frame)


def _blank(size: tuple[float, float]) -> Figure:
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(_RC):
        return Figure(figsize=size, layout="constrained", facecolor="white")


def _axes(figure: Figure, frame: Frame, **place: Any) -> Axes:
    """The project's axes: names, limits, quiet lines. ``place``: in a figure of several."""
    from matplotlib import rc_context
    from matplotlib.ticker import MaxNLocator

    with rc_context(_RC):
        axes: Axes = figure.add_subplot(place.pop("grid", 111), facecolor="none", **place)
    axes.grid(visible=True, color=RULE, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(color=RULE, labelcolor=MUTED)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(RULE)
    axes.set_xlabel(one_line(frame.xlabel), color=INK, parse_math=False)
    axes.set_ylabel(one_line(frame.ylabel), color=INK, parse_math=False)
    limits = {"xlim": frame.xlim, "ylim": frame.ylim}
    axes.set(**{name: limit for name, limit in limits.items() if limit is not None})
    if frame.is_square:
        axes.set_aspect("equal")
    if frame.has_whole_x:
        axes.xaxis.set_major_locator(MaxNLocator(nbins=7, integer=True))
    for one in frame.references:
        axes.plot(one.x, one.y, color=MUTED, linewidth=0.9, linestyle=(0, (1, 2)))
        axes.text(
            *one.at, one.word, color=MUTED, size=9, rotation=one.angle, rotation_mode="anchor", ha="center"
        )  # fmt: skip
    return axes


def _drawn(figure: Figure, name: str) -> Drawn:
    from matplotlib import rc_context

    buffer = io.StringIO()
    with rc_context(_RC):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return Drawn(inline_svg(buffer.getvalue(), name), buffer.getvalue())


def inline_svg(document: str, name: str) -> str:
    """matplotlib's SVG document as an element for an HTML page: no namespaces, metadata, style elements or attributes;
    only ids that something refers to, made unique by ``name``; palette colours as CSS variables. Without background and
    legend, which the page has itself."""
    root = ElementTree.fromstring(document)  # noqa: S314 - made by matplotlib a moment ago
    references = re.findall(r'(?:href="|url\()#([^")]+)', document)
    ids = {old: f"{name}-{number}" for number, old in enumerate(dict.fromkeys(references))}
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag.endswith(("}metadata", "}style")) or child.get("id") in (BACKGROUND, LEGEND):
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
                    yield style.strip(), themed(setting.strip())
        else:
            yield _NAMESPACES.sub("", key), re.sub(r"#([\w-]+)", lambda hit: f"#{ids[hit[1]]}", " ".join(value.split()))


def themed(setting: str) -> str:
    """A colour of the palette as the page's variable; what is none stays."""
    variable = _VARIABLES.get(setting.lower())
    return setting if variable is None else f"var(--{variable}, {setting})"
