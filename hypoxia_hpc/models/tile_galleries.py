"""Galleries of a run: tiles chosen in one pass over the predictions, with their pixels and their places on slides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from hypoxia_hpc.analysis.extremes import Extremes, ExtremeTile
from hypoxia_hpc.config import RunConfig, TileTable
from hypoxia_hpc.errors import SlideError, some_names
from hypoxia_hpc.models.galleries import jpeg, slide_pictures
from hypoxia_hpc.models.prediction_tables import TILES_FILE, tiles_of_slides
from hypoxia_hpc.models.slide_size import with_size
from hypoxia_hpc.models.tile_predictions import PLACE, each_slide
from hypoxia_hpc.outcomes.outcome import Outcome
from hypoxia_hpc.progress import Progress
from hypoxia_hpc.records import Float64Array, Json, Slide, Tiles
from hypoxia_hpc.reports.data import GalleriesShown, Gallery, GalleryTile, PatientPrediction, SlideOutline
from hypoxia_hpc.reports.gallery_plan import (
    ATTENDED,
    OF_PATIENT,
    SHOWN,
    Ask,
    attention_ask,
    error_asks,
    extreme_asks,
    owners,
    shown_patients,
    slide_words,
    tile_words,
)
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.stores.attributes import tile_attributes
from hypoxia_hpc.stores.tiles import open_tiles

ATTENTION = "attention"
SHOWN_PX = 224
Chosen = Mapping[str, Sequence[ExtremeTile]]


@dataclass(frozen=True, slots=True)
class _Seen:
    """A tile as it is found in its store and its slide."""

    image: str
    picture: bytes | None
    outline: SlideOutline | None


def galleries_of(
    run: RunDir,
    config: RunConfig,
    outcome: Outcome,
    model: str,
    rows: Sequence[PatientPrediction],
    slides: Sequence[Slide],
    progress: Progress,
) -> GalleriesShown | None:
    """Tiles of these slides of the patients that no model was trained on, by what ``model`` says; ``rows`` are the
    run's patients. None where it says nothing of them. What cannot be read of a slide is left out, and said in a note.

    Raises NotReadyError for damaged predictions, MachineError.
    """
    who, patients = shown_patients(rows, model, in_folds=config.train.folds > 1)
    if not patients or not (run.predictions / TILES_FILE).exists():
        return None
    asks = [*extreme_asks(outcome, patients), *error_asks(outcome, patients), attention_ask(patients)]
    tiles = each_slide(run, model, [*outcome.outputs, ATTENTION])
    of_cohort = _Cohort(outcome, patients, {one.slide_id: one for one in slides})
    return _shown(run, config.tile, of_cohort, model, who, asks, _chosen(of_cohort, asks, tiles, OF_PATIENT), progress)


def galleries_of_slides(
    run: RunDir,
    config: RunConfig,
    outcome: Outcome,
    model: str,
    rows: Sequence[PatientPrediction],
    slides: Sequence[Slide],
    progress: Progress,
) -> dict[str, GalleriesShown]:
    """Tiles of each of these slides by itself, of any set; slides of which ``model`` says nothing are left out. Raises
    as `galleries_of`."""
    patients = owners(rows, model)
    table = tiles_of_slides(run.predictions / TILES_FILE, [one.slide_id for one in slides])
    by_slide = dict(list(table[table["model"] == model].groupby("slide_id")))
    found = {}
    for slide in slides:
        owner, tiles = patients.get(slide.patient_id), by_slide.get(slide.slide_id)
        if owner is None or tiles is None:
            continue
        of_slide = _Cohort(outcome, {owner.patient_id: owner}, {slide.slide_id: slide})
        asks = [*extreme_asks(outcome, of_slide.patients), attention_ask(of_slide.patients)]
        # Half of the tiles at most, so that the highest are not the lowest, too.
        most = min(SHOWN, max(1, len(tiles) // 2))
        chosen = _chosen(of_slide, asks, [(slide.slide_id, tiles)], most)
        found[slide.slide_id] = _shown(
            run, config.tile, of_slide, model, slide_words(slide.slide_id, owner), asks, chosen, progress
        )
    return found


@dataclass(frozen=True, slots=True)
class _Cohort:
    """Whose tiles are shown."""

    outcome: Outcome
    patients: Mapping[str, PatientPrediction]
    slides: Mapping[str, Slide]


def _shown(
    run: RunDir,
    table: TileTable,
    cohort: _Cohort,
    model: str,
    who: str,
    asks: Sequence[Ask],
    chosen: Chosen,
    progress: Progress,
) -> GalleriesShown:
    seen, unread = _seen(run, table, cohort.slides, chosen)
    for why, names in unread.items():
        progress.note(f"no pictures of tiles from slides, {why}: {len(names):,} ({some_names(names)})")
    galleries = [_gallery(ask, cohort, chosen[ask.name], seen) for ask in asks]
    return GalleriesShown(model, who, tuple(one for one in galleries if one.tiles), unread)


def _chosen(
    cohort: _Cohort, asks: Sequence[Ask], tiles_of: Iterable[tuple[str, pd.DataFrame]], of_patient: int
) -> dict[str, list[ExtremeTile]]:
    """The tiles of each gallery, by its name."""
    found = {ask.name: Extremes(ask.sign, SHOWN, of_patient) for ask in asks}
    for slide_id, tiles in tiles_of:
        slide = cohort.slides.get(slide_id)
        owner = None if slide is None else cohort.patients.get(slide.patient_id)
        if owner is None:
            continue
        said, xy_l0 = _said(tiles, cohort.outcome, owner), tiles[[*PLACE]].to_numpy(dtype=np.int64)
        for ask in asks:
            if owner.patient_id in ask.outputs:
                values = said[:, ask.outputs[owner.patient_id]]
                found[ask.name].add(slide_id, owner.patient_id, xy_l0, values, said)
    return {name: one.chosen() for name, one in found.items()}


def _said(tiles: pd.DataFrame, outcome: Outcome, owner: PatientPrediction) -> Float64Array:
    """The outputs of tiles, and last their weight as a multiple of the mean of their patient's tiles, (n, m)."""
    said: Float64Array = tiles[[*outcome.outputs, ATTENTION]].to_numpy(dtype=np.float64, copy=True)
    said[:, ATTENDED] *= owner.n_tiles
    return said


def _gallery(
    ask: Ask, cohort: _Cohort, tiles: Sequence[ExtremeTile], seen: Mapping[tuple[str, int, int], _Seen]
) -> Gallery:
    outcome = cohort.outcome
    shown = []
    for tile in tiles:
        owner = cohort.patients[tile.patient_id]
        truth = "" if owner.label is None else outcome.shown(owner.label)
        of_store = seen.get((tile.slide_id, tile.x_l0, tile.y_l0), _Seen("", None, None))
        shown.append(
            GalleryTile(
                tile.slide_id,
                tile.patient_id,
                tile.x_l0,
                tile.y_l0,
                tile_words(ask, outcome, tile),
                truth,
                owner.call,
                of_store.image,
                of_store.picture,
                of_store.outline,
            )
        )
    return Gallery(ask.name, ask.title, ask.note, tuple(shown))


def _seen(
    run: RunDir, table: TileTable, slides: Mapping[str, Slide], chosen: Chosen
) -> tuple[dict[tuple[str, int, int], _Seen], dict[str, list[str]]]:
    """The chosen tiles by slide and place, each slide opened once; and slides without pictures, by the reason."""
    wanted: dict[str, set[tuple[int, int]]] = {}
    for tile in (one for tiles in chosen.values() for one in tiles):
        wanted.setdefault(tile.slide_id, set()).add((tile.x_l0, tile.y_l0))
    found: dict[tuple[str, int, int], _Seen] = {}
    unread: dict[str, list[str]] = {}
    for slide_id, places in sorted(wanted.items()):
        try:
            tiles = open_tiles(run.tiles(slide_id))
            rows = {place: row for row, place in enumerate(map(tuple, tiles.xy.tolist())) if place in places}
            if len(rows) < len(places):
                raise SlideError("slide-changed", "its store has no tile where one was predicted")
            outline, names = _outline(tiles, slides[slide_id]), _image_names(tiles)
            of_slide = {
                (slide_id, *place): _Seen(names[row] if names else "", None, outline) for place, row in rows.items()
            }
            found |= of_slide
            pictures = slide_pictures(table, slides[slide_id], tiles, sorted(rows.values()), SHOWN_PX)
        except SlideError as error:
            unread.setdefault(error.reason, []).append(slide_id)
            continue
        for place, row in rows.items():
            key = (slide_id, *place)
            found[key] = replace(of_slide[key], picture=jpeg(pictures[row]))
    return found, unread


def _outline(tiles: Tiles, slide: Slide) -> SlideOutline | None:
    """None where neither store nor slide say where tiles lie."""
    made = with_size(tile_attributes(tiles.attributes), slide.path)
    if made.slide.size_l0 is None or not made.plan.side_l0:
        return None
    return SlideOutline(made.slide.size_l0, tiles.xy, made.plan.side_l0)


def _image_names(tiles: Tiles) -> list[str]:
    """Of each tile the image that it is of, with the number of its slice in a file of several; none of a slide."""
    images = tile_attributes(tiles.attributes).images
    names = [_image_name(one) for one in images for _ in range(int(one.get("kept", 0)))]
    return names if len(names) == len(tiles.xy) else []


def _image_name(image: Json) -> str:
    return f"{image['path']}, slice {image['slice']}" if "slice" in image else str(image["path"])
