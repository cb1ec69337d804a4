"""What ``maps`` can draw of every slide: predictions and attention of a model, phenotypes, tissue."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from hypoxia_hpc.cohorts.slide_table import is_slide_id
from hypoxia_hpc.errors import InputError, NotReadyError, SlideError
from hypoxia_hpc.models.prediction_tables import TILE_CLUSTERS_FILE, TILES_FILE
from hypoxia_hpc.models.tile_predictions import PLACE, cluster_sizes, each_clustered_slide, each_slide, models_of_tiles
from hypoxia_hpc.outcomes.named import NamedClasses
from hypoxia_hpc.outcomes.outcome import Outcome
from hypoxia_hpc.outcomes.registry import outcome_of
from hypoxia_hpc.reading import MOST_PREDICTIONS_BYTES, sha256_of
from hypoxia_hpc.records import Float64Array
from hypoxia_hpc.reports.heatmaps import (
    MAP_PX,
    Legend,
    Scale,
    classes_png,
    heatmap_png,
    painted,
    painted_classes,
    whole_slide,
)
from hypoxia_hpc.reports.slide_maps import OTHERS, largest_clusters
from hypoxia_hpc.reports.text import one_line
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.runs.made_by import is_predicted, model_run_of
from hypoxia_hpc.stores.attributes import TileAttributes
from hypoxia_hpc.stores.integrity import store_key
from hypoxia_hpc.stores.tiles import open_tiles

ATTENTION, CLUSTER, TISSUE = "attention", "cluster", "tissue"
# Of scores and risks, which have no ends: where this share of all tiles is below, and above.
TAIL = 0.01
# Attention is shown as a multiple of the slide's mean, from an eighth to eight times.
MOST_TIMES = 8


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture of each slide: of this ``column``, in files that end with ``suffix``. With a legend the column has
    numbers of classes, and ``series`` says which colour each has; those that it does not name have the first."""

    column: str
    suffix: str
    key: Scale | Legend
    series: Mapping[int, int]

    def png(self, rows: pd.DataFrame, made: TileAttributes) -> bytes | None:
        """None where the tile store does not say how large slide and tiles are."""
        size_l0, side_l0 = made.slide.size_l0, made.plan.side_l0
        if size_l0 is None or not side_l0:
            return None
        xy_l0 = np.column_stack([rows[name].to_numpy(dtype=np.int64) for name in PLACE])
        frame = whole_slide(size_l0)
        mpp = None if made.slide.mpp is None else made.slide.mpp * max(size_l0) / MAP_PX
        if isinstance(self.key, Scale):
            return heatmap_png(painted(xy_l0, side_l0, self._values(rows), frame), self.key, mpp)
        numbers, inverse = np.unique(rows[self.column].to_numpy(dtype=np.int64), return_inverse=True)
        series = np.array([self.series.get(number, 0) for number in numbers.tolist()], dtype=np.int64)[inverse]
        return classes_png(painted_classes(xy_l0, side_l0, series, frame), self.key, mpp)

    def _values(self, rows: pd.DataFrame) -> Float64Array:
        """What is drawn of each tile, (n,)."""
        values: Float64Array = rows[self.column].to_numpy(dtype=np.float64)
        return times_mean(values) if self.column == ATTENTION else values


@dataclass(frozen=True, slots=True)
class Layer:
    """What is drawn: in the folder ``name``, of the present ``key``, which is another one where anything that is drawn
    is. ``slides``: each slide with its tiles, None where its store cannot be read."""

    name: str
    key: str
    pictures: tuple[Picture, ...]
    slides: Callable[[], Iterator[tuple[str, pd.DataFrame | None]]]


def refuse_images(run: RunDir) -> None:
    """Raises InputError where the tiles are of images in folders."""
    if any(slide.images for slide in run.slides()):
        raise InputError(
            f"the tiles of {run.root} are of images in folders, which have no place on a slide",
            remedy="hypoxia-hpc export RUN --to csv has what is said of each tile",
        )


def prediction_layer(run: RunDir, model: str) -> Layer:
    """What ``model`` (empty: the leading one) says of tiles. Raises InputError for one without predictions,
    NotReadyError where there are none, or damaged ones."""
    chosen = model_with_tiles(run, model)
    pictures = _pictures(run, chosen, outcome_of(run.config().outcome))
    columns = [picture.column for picture in pictures]
    key = sha256_of(run.metrics_file, MOST_PREDICTIONS_BYTES)
    return Layer(chosen, key, tuple(pictures), lambda: each_slide(run, chosen, columns))


def phenotype_layer(run: RunDir) -> Layer:
    """The cluster of each tile, in the colours of the largest ones. Raises NotReadyError without phenotypes."""
    if not (run.phenotypes / TILES_FILE).exists():
        clusters = run.predictions / TILE_CLUSTERS_FILE
        but = f"; the clusters of the models in {clusters} are not yet phenotypes" if clusters.exists() else ""
        raise NotReadyError(
            f"{run.root} has no phenotypes{but}", remedy=f"hypoxia-hpc phenotypes {run.word} makes them"
        )
    sizes = cluster_sizes(run)
    series = largest_clusters(sizes)
    names = [(number, f"cluster {cluster}") for cluster, number in series.items()]
    names += [(0, OTHERS)] if len(series) < np.count_nonzero(sizes) else []
    picture = Picture(CLUSTER, "", Legend("phenotypes", tuple(names)), series)
    key = sha256_of(run.phenotypes / TILES_FILE, MOST_PREDICTIONS_BYTES)
    return Layer("phenotypes", key, (picture,), lambda: each_clustered_slide(run))


def tissue_layer(run: RunDir) -> Layer:
    """The kept tiles, by the share of them that is tissue. Raises NotReadyError where no slide is tiled."""
    slide_ids = [slide.slide_id for slide in run.slides()]
    keys = {slide_id: store_key(run.tiles(slide_id)) for slide_id in slide_ids}
    if not any(keys.values()):
        raise NotReadyError(f"{run.root} has no tiles", remedy=f"hypoxia-hpc tile {run.word}")
    least = 1 - run.config().tile.max_background
    scale = Scale("tissue of kept tiles", least, 1, (f"{100 * least:g} %", "100 %"))
    key = hashlib.sha256(repr(sorted(keys.items())).encode()).hexdigest()
    return Layer(TISSUE, key, (Picture(TISSUE, "", scale, {}),), lambda: _tissue(run, slide_ids))


def _tissue(run: RunDir, slide_ids: list[str]) -> Iterator[tuple[str, pd.DataFrame | None]]:
    for slide_id in slide_ids:
        try:
            tiles = open_tiles(run.tiles(slide_id))
        except SlideError:
            yield slide_id, None
            continue
        places = dict(zip(PLACE, tiles.xy.T, strict=True))
        yield slide_id, pd.DataFrame({**places, TISSUE: 1 - tiles.background.astype(np.float64)})


def model_with_tiles(run: RunDir, asked: str) -> str:
    """The model of which tiles are shown: the one ``asked`` for, else the leading one. Raises NotReadyError without
    predictions, or where the leading model has none of tiles; InputError for another model that has none."""
    metrics = run.metrics()
    if metrics is None or not (run.predictions / TILES_FILE).exists():
        raise NotReadyError(
            f"{run.root} has no predictions",
            remedy=f"hypoxia-hpc run {run.word}; where no patient has a label, hypoxia-hpc predict {run.word} "
            "--model TRAINED_RUN",
        )
    there = [name for name in models_of_tiles(run) if is_slide_id(name)]  # it names a folder
    chosen = asked or str(metrics.get("lead", {}).get("model") or next(iter(there), ""))
    if chosen in there:
        return chosen
    if asked and there:
        problem = f"--model {asked} has no predictions of tiles in {run.root}"
        raise InputError(problem, remedy=f"name one that has: {', '.join(there)}")
    who = chosen if asked or not chosen else f"{chosen}, the leading model,"
    others = f", or --model with one that has some: {', '.join(there)}" if there else ""
    raise NotReadyError(
        f"{who or 'no model'} has no predictions of tiles in {run.root}",
        remedy=f"{remake_predictions(run)} makes them{others}",
    )


def remake_predictions(run: RunDir) -> str:
    """The command that makes predictions of a run anew."""
    if not is_predicted(run):
        return f"hypoxia-hpc evaluate {run.word}"
    model_run = model_run_of(run)
    return f"hypoxia-hpc predict {run.word} --model {'MODEL_RUN' if model_run is None else model_run.word}"


def _pictures(run: RunDir, model: str, outcome: Outcome) -> list[Picture]:
    """A picture for each output, on a scale that is the same for all slides, and one of attention if there is any."""
    scales = output_scales(run, model, outcome)
    many = len(outcome.outputs) > 1
    found = [
        Picture(column, f".{number}" if many else "", scale, {})
        for number, (column, scale) in enumerate(zip(outcome.outputs, scales, strict=True))
    ]
    if _weighs_tiles(run, model):
        found.append(Picture(ATTENTION, ".attention", attention_scale(model), {}))
    return found


def output_scales(run: RunDir, model: str, outcome: Outcome) -> list[Scale]:
    """Of each of ``outcome.outputs``, in their order. Raises NotReadyError for a damaged table of tiles."""
    if not isinstance(outcome, NamedClasses):
        return [_scale_of_cohort(run, model, column) for column in outcome.outputs]
    names = outcome.table.classes[-1:] if len(outcome.outputs) == 1 else outcome.table.classes
    return [Scale(f"probability of {one_line(name)}, {model}", 0, 1, ("0", "1")) for name in names]


def attention_scale(model: str) -> Scale:
    """Of what :func:`times_mean` gives."""
    most = float(np.log2(MOST_TIMES))
    words = f"1/{MOST_TIMES}", f"{MOST_TIMES} times"
    return Scale(f"attention, by the slide's mean, {model}", -most, most, words)


def times_mean(attention: Float64Array) -> Float64Array:
    """The logarithm, to base 2, of attention (n,) as multiples of its mean; NaN where there is none."""
    if np.isnan(attention).all():
        return attention
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Float64Array = np.log2(attention / np.nanmean(attention))
    return found


def _scale_of_cohort(run: RunDir, model: str, column: str) -> Scale:
    """Between the values that a hundredth of all tiles is below and above."""
    parts = [rows[column].to_numpy(dtype=np.float32) for _, rows in each_slide(run, model, [column])]
    low, high = np.nanquantile(np.concatenate(parts), [TAIL, 1 - TAIL]).tolist() if parts else (0.0, 1.0)
    return Scale(f"{column}, {model}", low, high, (f"{low:.3g}", f"{high:.3g}"))


def _weighs_tiles(run: RunDir, model: str) -> bool:
    _, rows = next(each_slide(run, model, [ATTENTION]), ("", pd.DataFrame({ATTENTION: [np.nan]})))
    return bool(rows[ATTENTION].notna().any())
