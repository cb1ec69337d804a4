"""Tiles that stand out, as the page shows them: each with its picture and its place on a slide that can be opened."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hypoxia_hpc.errors import NotReadyError, some
from hypoxia_hpc.models.reported import predictions_of
from hypoxia_hpc.progress import NoProgress
from hypoxia_hpc.records import Json, Slide
from hypoxia_hpc.reports.data import GalleriesShown, GalleryTile, PatientPrediction
from hypoxia_hpc.runs.cohort import patients_with_slides
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.viewer.shown import Shown

# What cuts tiles from slides is loaded where galleries are asked for: its compiled kernels take 60 MB.


@dataclass(frozen=True, slots=True)
class ViewedGalleries:
    """What the page is sent of galleries; in it a tile has the number of its picture. ``pictures``: JPEG files."""

    described: Json
    pictures: tuple[bytes, ...]


def galleries_shown(shown: Shown, key: str = "") -> ViewedGalleries:
    """The galleries of the slide with this key; of all that are shown, without one. They are of tiles of these slides
    alone; where the leading model says nothing of them, a ``note`` says so. Raises NotReadyError for slides without
    predictions, or with damaged ones."""
    if shown.run is None or not shown.model:
        raise NotReadyError("there are no predictions here", remedy="hypoxia-hpc run RUN makes them")
    ids = {slide.slide_id for slide in shown.slides if key in ("", slide.key)}
    slides = [slide for slide in shown.run.slides() if slide.slide_id in ids]
    found = _of_slides(shown.run, shown.model, slides) if key else _of_cohort(shown.run, shown.model, slides)
    if found is None:
        note = (
            f"{shown.model} says nothing of tiles of {'this slide' if key else 'patients that it was not trained on'}"
        )
        return ViewedGalleries({"note": note, "galleries": []}, ())
    return _described(found, {slide.slide_id: slide.key for slide in shown.slides})


def _of_cohort(run: RunDir, model: str, slides: Sequence[Slide]) -> GalleriesShown | None:
    from hypoxia_hpc.models.tile_galleries import galleries_of

    rows = _rows(run, slides)
    return galleries_of(run, run.config(), run.outcome(), model, rows, slides, NoProgress())


def _of_slides(run: RunDir, model: str, slides: Sequence[Slide]) -> GalleriesShown | None:
    from hypoxia_hpc.models.tile_galleries import galleries_of_slides

    rows = _rows(run, slides)
    found = galleries_of_slides(run, run.config(), run.outcome(), model, rows, slides, NoProgress())
    return next(iter(found.values()), None)


def _rows(run: RunDir, slides: Sequence[Slide]) -> list[PatientPrediction]:
    """What models say of the patients of these slides."""
    owners = {slide.patient_id for slide in slides}
    rows = predictions_of(run, run.config(), run.outcome(), patients_with_slides(run.slides(), run.patients()))
    return [row for row in rows if row.patient_id in owners]


def _described(found: GalleriesShown, keys: dict[str, str]) -> ViewedGalleries:
    pictures: list[bytes] = []

    def described(tile: GalleryTile) -> Json:
        number = None if tile.picture is None else len(pictures)
        if tile.picture is not None:
            pictures.append(tile.picture)
        said = {"words": tile.words, "truth": tile.truth, "call": tile.call, "patient_id": tile.patient_id}
        return {"key": keys[tile.slide_id], "x": tile.x_l0, "y": tile.y_l0, "picture": number, **said}

    galleries = [
        {"name": one.name, "title": one.title, "note": one.note, "tiles": [described(tile) for tile in one.tiles]}
        for one in found.galleries
    ]
    return ViewedGalleries({"who": found.who, "unread": [*_unread(found)], "galleries": galleries}, tuple(pictures))


def _unread(found: GalleriesShown) -> Iterator[str]:
    for reason, slide_ids in found.unread.items():
        yield f"no pictures of {some(len(slide_ids), 'slide')}: {reason}"
