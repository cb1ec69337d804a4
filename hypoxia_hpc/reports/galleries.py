"""Galleries on the page: files of their pictures, and each tile's place on a small map of its slide."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from math import ceil

import numpy as np

from hypoxia_hpc.errors import some_names
from hypoxia_hpc.records import Int64Array
from hypoxia_hpc.reports.data import GalleriesShown, Gallery, GalleryTile, SlideOutline
from hypoxia_hpc.reports.rendering import code, digest, environment
from hypoxia_hpc.reports.slide_maps import row_path
from hypoxia_hpc.reports.text import thousands

# Cells of the longer side of a small map, and the least side of the mark on it.
MAP_CELLS, MARK_CELLS = 48, 3.0


@dataclass(frozen=True, slots=True)
class ShownTile:
    """``source``: of its picture, a path beside the page or a part of it; empty without one. ``map``: markup made here,
    empty without a place."""

    tile: GalleryTile
    source: str
    map: str


def shown_galleries(shown: GalleriesShown | None) -> list[tuple[Gallery, list[ShownTile]]]:
    """Each gallery with its tiles, whose pictures lie beside the page."""
    numbers = count(1)  # of pictures, for no name becomes a path
    return _galleries(shown, lambda _: f"galleries/{next(numbers):04d}.jpg")


def gallery_pictures(shown: GalleriesShown | None) -> Iterator[tuple[str, bytes]]:
    """The pictures of tiles by their paths."""
    for _, tiles in shown_galleries(shown):
        for one in tiles:
            if one.tile.picture is not None:
                yield one.source, one.tile.picture


def gallery_page(title: str, pages: Sequence[GalleriesShown]) -> str:
    """A page of its own, with all pictures in it, a section for each of ``pages`` (one or more)."""
    css, templates = code("page.css"), environment()
    templates.filters["thousands"] = thousands
    templates.globals["some_names"] = some_names
    return templates.get_template("gallery_page.html").render(
        title=title,
        pages=[(one, _galleries(one, _data_url)) for one in pages],
        css=css,
        css_hash=digest(css),
    )


def _data_url(picture: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(picture).decode()}"


def _galleries(shown: GalleriesShown | None, source: Callable[[bytes], str]) -> list[tuple[Gallery, list[ShownTile]]]:
    def shown_tile(tile: GalleryTile) -> ShownTile:
        return ShownTile(tile, "" if tile.picture is None else source(tile.picture), _map(tile))

    galleries = shown.galleries if shown is not None else ()
    return [(gallery, [shown_tile(tile) for tile in gallery.tiles]) for gallery in galleries]


def _map(tile: GalleryTile) -> str:
    return "" if tile.outline is None else slide_map(tile.outline, tile.x_l0, tile.y_l0)


def slide_map(outline: SlideOutline, x_l0: int, y_l0: int) -> str:
    """An SVG element of the slide, its kept tiles in gray, with a mark round the tile at this place."""
    scale = MAP_CELLS / max(outline.size_l0)
    width, height = (max(1.0, side * scale) for side in outline.size_l0)
    side = max(outline.side_l0 * scale, MARK_CELLS)
    x, y = (place * scale + (outline.side_l0 * scale - side) / 2 for place in (x_l0, y_l0))
    return (
        f'<svg class="place" viewBox="-2 -2 {width + 4:.1f} {height + 4:.1f}" aria-hidden="true">'
        f'<rect class="place-slide" width="{width:.1f}" height="{height:.1f}"></rect>'
        f'<path class="place-tissue" d="{row_path(_covered(outline, scale, (ceil(width), ceil(height))))}"></path>'
        f'<rect class="place-mark" x="{x:.1f}" y="{y:.1f}" width="{side:.1f}" height="{side:.1f}"></rect></svg>'
    )


def _covered(outline: SlideOutline, scale: float, size: tuple[int, int]) -> Int64Array:
    """The cells that a tile covers, at least in part; column and row, row by row, int64 (n, 2)."""
    begins = np.clip((outline.xy_l0 * scale).astype(np.int64), 0, np.array(size) - 1)
    ends = np.maximum(np.ceil((outline.xy_l0 + outline.side_l0) * scale - 1e-9).astype(np.int64), begins + 1)
    covered = np.zeros(size[::-1], dtype=bool)
    for (left, top), (right, bottom) in np.unique(np.stack([begins, ends], axis=1), axis=0).tolist():
        covered[top:bottom, left:right] = True
    found: Int64Array = np.argwhere(covered)[:, ::-1]
    return found
