"""Clusters drawn on slides: every tile where it lies in the colour of its cluster; large slides are drawn coarser."""

from __future__ import annotations

import re
from collections import Counter
from xml.etree import ElementTree

import numpy as np
import pytest

from hypoxia_hpc.records import Int64Array
from hypoxia_hpc.reports.data import SlideMap
from hypoxia_hpc.reports.plots import SERIES
from hypoxia_hpc.reports.slide_maps import coarser, grid_cells, map_drawn, map_figures


def drawn_cells(document: str) -> dict[tuple[int, int], str]:
    """The colour of each cell, from the paths, one by one."""
    found: dict[tuple[int, int], str] = {}
    for colour, path in re.findall(r'<path fill="([^"]+)"[^>]* d="([^"]+)"', document):
        for run in re.findall(r"M(\d+) (\d+)h(\d+)v1h-(\d+)z", path):
            column, row, length, back = map(int, run)
            assert length == back
            for one in range(length):
                assert (column + one, row) not in found, "no cell is drawn twice"
                found[column + one, row] = colour
    return found


def test_every_tile_is_drawn_once_in_its_colour() -> None:
    rng = np.random.default_rng(0)
    rows, columns = np.nonzero(rng.random((13, 17)) < 0.7)
    cells = np.column_stack([columns, rows])
    series = rng.integers(0, 4, len(cells))
    drawn = map_drawn(cells, series)
    expected = {(int(x), int(y)): SERIES[one] for (x, y), one in zip(cells, series, strict=True)}
    assert drawn_cells(drawn.document) == expected
    assert set(drawn_cells(drawn.inline).values()) == {f"var(--series-{n}, {SERIES[n]})" for n in range(4)}


def test_the_file_has_its_legend_beside_the_slide_and_escapes_it() -> None:
    cells = np.array([[0, 0], [1, 0]])
    drawn = map_drawn(cells, np.array([1, 0]), (("cluster <1>", 1), ("other clusters", 0)))
    root = ElementTree.fromstring(drawn.document)  # noqa: S314 - made here
    texts = [one for one in root if one.tag.endswith("text")]
    assert [one.text for one in texts] == ["cluster <1>", "other clusters"]
    assert [one.get("fill") for one in root if one.tag.endswith("rect")] == [SERIES[1], SERIES[0]]
    _, _, width, height = map(float, str(root.get("viewBox")).split())
    assert all(2 < float(str(one.get("x"))) < width and 0 < float(str(one.get("y"))) <= height for one in texts)
    assert "<text" not in drawn.inline
    assert 'viewBox="0 0 2 1"' in map_drawn(cells, np.array([1, 0])).document


def naive_coarser(cells: Int64Array, clusters: Int64Array, factor: int) -> dict[tuple[int, int], int]:
    found: dict[tuple[int, int], Counter[int]] = {}
    for (x, y), cluster in zip(cells.tolist(), clusters.tolist(), strict=True):
        found.setdefault((x // factor, y // factor), Counter())[cluster] += 1
    return {place: min(counts, key=lambda one: (-counts[one], one)) for place, counts in found.items()}


@pytest.mark.parametrize(("most", "factor"), [(10_000, 1), (100, 2), (1, 17)])
def test_a_cell_of_several_tiles_has_the_cluster_of_most(most: int, factor: int) -> None:
    rng = np.random.default_rng(1)
    cells = np.argwhere(np.ones((16, 17)))
    clusters = rng.integers(0, 3, len(cells))
    found, of = coarser(cells, clusters, most)
    assert len(found) <= most
    by_cell = {(int(x), int(y)): int(one) for (x, y), one in zip(found, of, strict=True)}
    assert by_cell == naive_coarser(cells, clusters, factor)


def test_the_largest_clusters_have_one_colour_on_all_slides_and_the_rest_is_gray() -> None:
    sizes = [40, 30, 20, 10, 9, 8, 7, 6, 5, 4]
    clusters = np.repeat(np.arange(10), sizes)
    xy = 100 + 448 * np.column_stack([np.arange(len(clusters)) % 12, np.arange(len(clusters)) // 12])
    assert grid_cells(xy, 448.4).max(axis=0).tolist() == [11, 11]
    one = SlideMap("<S1>", "higher risk", xy, clusters, 448.4, 0.25)
    other = SlideMap("S2", "", xy[:2], np.array([9, 0]), 448.4, None)
    first, second = map_figures([one, other])
    assert first.legend == (*((f"cluster {n}", n + 1) for n in range(8)), ("other clusters", 0))
    assert second.legend == (("cluster 0", 1), ("other clusters", 0))
    assert first.note == "Higher risk: 139 tiles in 10 clusters, 1.3 mm wide."
    assert second.note == "2 tiles in 2 clusters, 2 tiles wide."
    assert (first.name, first.title) == ("map-1", "Clusters on <S1>")
    assert second.rows == ((100, 100, 9), (548, 100, 0))
