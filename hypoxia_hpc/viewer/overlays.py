"""Pictures that lie over a slide: what models say of its tiles, which cluster they are in, which tiles were kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from hypoxia_hpc.models.map_layers import ATTENTION, attention_scale, output_scales, times_mean
from hypoxia_hpc.models.said_of_tiles import said_of_tiles
from hypoxia_hpc.models.slide_size import with_size
from hypoxia_hpc.models.tile_predictions import cluster_sizes
from hypoxia_hpc.records import Float64Array, Int64Array, Json
from hypoxia_hpc.reports.heatmaps import Frame, Scale, colour_bar, overlay_png, painted, painted_classes
from hypoxia_hpc.reports.plots import SERIES
from hypoxia_hpc.reports.slide_maps import largest_clusters
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.stores.attributes import read_tile_attributes
from hypoxia_hpc.stores.tiles import open_tiles
from hypoxia_hpc.viewer.pyramid import DeepZoom, Place

CLUSTER, KEPT = "cluster", "kept tiles"
# The number of its colour in SERIES.
KEPT_SERIES = 1
BAR_STEPS = 32
# Side of a picture of an overlay: few, for most of them is one colour.
PICTURE_PX = 1024


@dataclass(frozen=True, eq=False)
class Overlay:
    """``name`` as it stands in links. ``values`` (n,) of tiles at ``xy_l0``, int64 (n, 2), top left in level 0 pixels.
    ``scale`` None: the values are numbers of colours in SERIES; ``words`` say what they stand for, each with its
    colour."""

    name: str
    xy_l0: Int64Array
    values: Float64Array
    scale: Scale | None = None
    words: tuple[tuple[str, str], ...] = ()

    def legend(self) -> Json:
        """What the colours stand for."""
        if self.scale is not None:
            bar = {"title": self.scale.title, "low": self.scale.words[0], "high": self.scale.words[1]}
            return {"name": self.name, **bar, "bar": colour_bar(BAR_STEPS)}
        return {"name": self.name, "title": self.name, "classes": [list(one) for one in self.words]}

    def png(self, side_l0: float, frame: Frame) -> bytes:
        """What ``frame`` shows of it; tiles have ``side_l0`` a side."""
        if self.scale is None:
            return overlay_png(painted_classes(self.xy_l0, side_l0, self.values.astype(np.int64), frame), None)
        return overlay_png(painted(self.xy_l0, side_l0, self.values, frame), self.scale)


@dataclass(frozen=True, eq=False)
class SlideOverlays:
    """All overlays of a slide, the side of its tiles in level 0 pixels, and the pyramid over it: each pixel of an
    overlay is one of the slide's, so that edges of tiles are where they are, however near one looks."""

    side_l0: float
    zoom: DeepZoom
    overlays: tuple[Overlay, ...]

    def png(self, number: int, place: Place) -> bytes | None:
        """A picture of the pyramid; None where there is no such overlay or place."""
        if number >= len(self.overlays) or place.level < self.first_level or not self.zoom.has(place):
            return None
        corner = place.column * PICTURE_PX, place.row * PICTURE_PX
        frame = Frame(1 / self.zoom.factor(place.level), self.zoom.size_of_tile(place), corner)
        return self.overlays[number].png(self.side_l0, frame)

    @property
    def first_level(self) -> int:
        """The finest level that is one picture: the coarser ones say nothing that it does not."""
        return max(level for level in range(self.zoom.last + 1) if max(self.zoom.size_of(level)) <= PICTURE_PX)


def overlays_of(run: RunDir, slide_id: str, path: Path, model: str) -> SlideOverlays | None:
    """What is stored of the tiles of the slide at ``path``, the ``model`` first; None where its tiles are not known.
    Raises NotReadyError for damaged tables, SlideError for a damaged store."""
    made = read_tile_attributes(run.tiles(slide_id))
    made = None if made is None else with_size(made, path)
    if made is None or made.slide.size_l0 is None or not made.plan.side_l0:
        return None
    said = said_of_tiles(run, [slide_id], run.outcome()).get(slide_id)
    found = [] if said is None else _of_models(run, said, model)
    if said is not None and CLUSTER in said:
        found.append(_of_clusters(run, said))
    kept = np.asarray(open_tiles(run.tiles(slide_id)).xy)
    found.append(Overlay(KEPT, kept, np.full(len(kept), float(KEPT_SERIES)), words=((SERIES[KEPT_SERIES], "tile"),)))
    return SlideOverlays(made.plan.side_l0, DeepZoom(made.slide.size_l0, PICTURE_PX), tuple(found))


def _of_models(run: RunDir, said: pd.DataFrame, model: str) -> list[Overlay]:
    xy_l0 = _places(said)
    models = {str(column).rpartition(": ")[0] for column in said} - {""}
    names = sorted(models, key=lambda one: (one != model, one))
    found = []
    for name in names:
        outputs = run.outcome().outputs
        for column, scale in zip(outputs, _scales(run, name), strict=True):
            if (whole := f"{name}: {column}") in said:
                found.append(Overlay(whole, xy_l0, said[whole].to_numpy(dtype=np.float64), scale))
        if (whole := f"{name}: {ATTENTION}") in said:
            values = times_mean(said[whole].to_numpy(dtype=np.float64))
            found.append(Overlay(whole, xy_l0, values, attention_scale(name)))
    return found


@cache
def _scales(run: RunDir, model: str) -> tuple[Scale, ...]:
    """Kept, for those of scores take a look at the whole cohort."""
    return tuple(output_scales(run, model, run.outcome()))


def _of_clusters(run: RunDir, said: pd.DataFrame) -> Overlay:
    """In the colours of maps of phenotypes: the largest clusters of the cohort have their own."""
    own = said[CLUSTER].dropna().astype("int64")
    series = _cluster_series(run)
    numbers, counts = np.unique(own.to_numpy(), return_counts=True)
    ordered = sorted(zip(numbers.tolist(), counts.tolist(), strict=True), key=lambda pair: -pair[1])
    words = tuple((SERIES[series.get(number, 0)], f"cluster {number}: {count:,}") for number, count in ordered)
    values = own.map(lambda number: series.get(number, 0)).to_numpy(dtype=np.float64)
    return Overlay("phenotypes", _places(own.to_frame()), values, words=words)


@cache
def _cluster_series(run: RunDir) -> Mapping[int, int]:
    return largest_clusters(cluster_sizes(run))


def _places(said: pd.DataFrame) -> Int64Array:
    found: Int64Array = said.index.to_frame(index=False).to_numpy(dtype=np.int64)
    return found
