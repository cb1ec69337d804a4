"""Clusters drawn on slides: a square for each tile where it lies, as SVG of a few bytes a tile."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from xml.sax.saxutils import escape

import numpy as np

from hypoxia_hpc.records import Int64Array
from hypoxia_hpc.reports.data import SlideMap
from hypoxia_hpc.reports.figures import Figure
from hypoxia_hpc.reports.plots import INK, SERIES, Drawn, series_of, themed
from hypoxia_hpc.reports.text import count_of

MOST_CELLS = 12_000  # of a picture; slides with more tiles are drawn coarser
OTHERS = "other clusters"
GRAY = 0.35  # how opaque those are
LINES_A_SIDE, LETTER = 24, 0.6  # of the legend: lines beside the longer side; width of a letter by its height


def map_figures(maps: Sequence[SlideMap]) -> Iterator[Figure]:
    """A figure for each slide, in the same colours: of the clusters that most of their tiles are in."""
    series = _series(maps)
    for number, one in enumerate(maps, start=1):
        shown, _ = np.unique(one.clusters, return_counts=True)
        legend = [(f"cluster {cluster}", series[cluster]) for cluster in shown.tolist() if cluster in series]
        legend += [(OTHERS, 0)] if len(legend) < len(shown) else []
        cells, clusters = coarser(grid_cells(one.xy_l0, one.side_l0), one.clusters)
        many = f"{count_of(len(one.clusters), 'tile')} in {count_of(len(shown), 'cluster')}"
        yield Figure(
            f"map-{number}",
            f"Clusters on {one.slide_id}",
            map_drawn(cells, np.array([series.get(cluster, 0) for cluster in clusters.tolist()]), legend),
            f"Tiles of {one.slide_id} where they lie, in the colours of their clusters: {many}",
            ("x_l0", "y_l0", "cluster"),
            tuple((*place, cluster) for place, cluster in zip(one.xy_l0.tolist(), one.clusters.tolist(), strict=True)),
            note=f"{one.group[:1].upper()}{one.group[1:]}{': ' if one.group else ''}{many}, {_width(one)}.",
            legend=tuple(legend),
        )


def _series(maps: Sequence[SlideMap]) -> Mapping[int, int]:
    """The series whose colour the largest clusters of these slides have."""
    if not maps:
        return {}
    return largest_clusters(np.bincount(np.concatenate([one.clusters for one in maps])))


def largest_clusters(counts: Int64Array) -> dict[int, int]:
    """The series whose colour each of the largest clusters has; ``counts`` (k,): their tiles."""
    largest = np.argsort(-counts, kind="stable")[: len(SERIES) - 1].tolist()
    return {cluster: series_of(place) for place, cluster in enumerate(largest) if counts[cluster]}


def _width(one: SlideMap) -> str:
    columns = np.ptp(one.xy_l0[:, 0]) / one.side_l0 + 1
    if one.mpp is None:
        return f"{columns:,.0f} tiles wide"
    return f"{columns * one.side_l0 * one.mpp / 1000:,.1f} mm wide"


def grid_cells(xy_l0: Int64Array, side_l0: float) -> Int64Array:
    """Column and row of tiles, int64 (n, 2), from 0. ``xy_l0`` (n, 2) and ``side_l0`` in level 0 pixels."""
    cells: Int64Array = np.rint((xy_l0 - xy_l0.min(axis=0)) / side_l0).astype(np.int64)
    return cells


def coarser(cells: Int64Array, clusters: Int64Array, most: int = MOST_CELLS) -> tuple[Int64Array, Int64Array]:
    """Cells (m, 2), at most ``most`` of them, each of as many tiles a side as it takes, and the cluster (m,) that most
    of its tiles are in, the lower number where several are."""
    factor = 1
    while len(np.unique(cells // factor, axis=0)) > most:
        factor += 1 + factor // 4
    found, counts = np.unique(np.column_stack([cells // factor, clusters]), axis=0, return_counts=True)
    order = np.lexsort((found[:, 2], -counts, found[:, 0], found[:, 1]))
    found = found[order]
    first = np.ones(len(found), dtype=bool)
    first[1:] = (found[1:, :2] != found[:-1, :2]).any(axis=1)
    return found[first, :2], found[first, 2]


def map_drawn(cells: Int64Array, series: Int64Array, legend: Sequence[tuple[str, int]] = ()) -> Drawn:
    """Squares at cells (n, 2), column and row, which come row by row, in the colours of their series (n,). Neighbours
    in a row with one colour are one rectangle. The file has the ``legend`` beside them, which the page has itself."""
    paths = [(number, row_path(cells[series == number])) for number in sorted(set(series.tolist()))]
    width, height = (cells.max(axis=0) + 1).tolist()
    inline, document = ("".join(_element(*one, colour) for one in paths) for colour in (themed, str))
    key, key_width, key_height = _key(legend, width, max(width, height) / LINES_A_SIDE)
    box, whole = (width, height), (width + key_width, max(height, key_height))
    inline_box, document_box = (f'viewBox="0 0 {x:g} {y:g}" shape-rendering="crispEdges"' for x, y in (box, whole))
    return Drawn(
        f'<svg class="plot map" {inline_box} aria-hidden="true">{inline}</svg>',
        f'<svg xmlns="http://www.w3.org/2000/svg" {document_box}>{document}{key}</svg>',
    )


def _element(number: int, path: str, colour: Callable[[str], str]) -> str:
    return f'<path fill="{colour(SERIES[number])}" fill-opacity="{1 if number else GRAY}" d="{path}"></path>'


def _key(legend: Sequence[tuple[str, int]], left: float, line: float) -> tuple[str, float, float]:
    """A square and a name, one below the other, beside what is ``left`` wide; how much wider and how high that is.
    ``line``: from one to the next."""
    size, gap = 0.7 * line, left + line
    entries = "".join(
        f'<rect x="{gap:g}" y="{number * line:g}" width="{size:g}" height="{size:g}" fill="{SERIES[series]}" '
        f'fill-opacity="{1 if series else GRAY}"></rect><text x="{gap + line:g}" y="{number * line + size:g}" '
        f'font-size="{size:g}" font-family="sans-serif" fill="{INK}">{escape(label)}</text>'
        for number, (label, series) in enumerate(legend)
    )
    letters = max((len(label) for label, _ in legend), default=0)
    return entries, (2 * line + letters * LETTER * size if legend else 0), len(legend) * line


def row_path(cells: Int64Array) -> str:
    """Squares at cells (n, 2), column and row, sorted by row, then column, as the path of an SVG."""
    begins = np.ones(len(cells), dtype=bool)
    begins[1:] = (cells[1:, 1] != cells[:-1, 1]) | (cells[1:, 0] != cells[:-1, 0] + 1)
    starts = np.flatnonzero(begins)
    lengths = np.diff(np.append(starts, len(cells)))
    runs = zip(cells[starts].tolist(), lengths.tolist(), strict=True)
    return "".join(f"M{column} {row}h{length}v1h-{length}z" for (column, row), length in runs)
