"""Slides that are one slide under two patients, and patients that are one patient under two ids."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from hypoxia_hpc.cohorts.barcodes import alike, without_case
from hypoxia_hpc.cohorts.groups import joined
from hypoxia_hpc.errors import SlideError
from hypoxia_hpc.records import Slide
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.slides.copies import READERS, equal_files
from hypoxia_hpc.slides.finding import nbytes_of
from hypoxia_hpc.stores.attributes import tile_attributes
from hypoxia_hpc.stores.features import open_features
from hypoxia_hpc.stores.integrity import store_attributes

FEATURES = "features"
Owners = tuple[tuple[str, str], ...]  # patient_id and slide_id


def shared_slides(run: RunDir, slides: Iterable[Slide], features: str) -> list[Owners]:
    """Slides of more than one patient that are one slide, as far as their stores are there.

    Two slides are one where their files have one fingerprint, or where every kept tile has the same pixels: a byte
    behind the image, or another header, makes another file of the same slide. ``content`` of a tile store is over
    pixels, coordinates and background alone. A store that keeps no pixels says too little; there the features
    (``features`` is their name) stand for them, unless they are not finite or one number all over.
    """
    owners: dict[tuple[str, str], set[tuple[str, str]]] = {}
    for slide in slides:
        for made_of in _made_of(run, slide, features):
            owners.setdefault(made_of, set()).add((slide.patient_id, slide.slide_id))
    shared = {
        tuple(sorted(found))
        for (kind, _), found in owners.items()
        if len({patient for patient, _ in found}) > 1
        and (kind != FEATURES or _is_telling(run.features(features, min(found)[1])))
    }
    return sorted(shared)


def equal_slides(slides: Sequence[Slide]) -> list[Owners]:
    """Slides of more than one patient whose files are equal, as far as the files are there: what `shared_slides` will
    find, known before any is tiled. Only files of equal size are read."""
    with ThreadPoolExecutor(READERS) as readers:
        sizes = list(readers.map(nbytes_of, (slide.path for slide in slides)))
    files = [(slide.path, size or 0) for slide, size in zip(slides, sizes, strict=True)]
    groups = [[slides[place] for place in places] for places in equal_files(files, threading.Event())]
    return sorted(
        tuple(sorted((slide.patient_id, slide.slide_id) for slide in group))
        for group in groups
        if len({slide.patient_id for slide in group}) > 1
    )


def _is_telling(store: Path) -> bool:
    try:
        values = open_features(store).values
    except SlideError:  # whoever reads it says so
        return False
    return bool(np.isfinite(values).all() and np.ptp(values) > 0)


def one_patient(run: RunDir, slides: Sequence[Slide], features: str) -> dict[str, str]:
    """A group for each patient, the same for those who have a slide in common or ids that differ only in case or
    separators. Only patients who share a group are in it."""
    values: dict[str, list[str]] = {}
    for found in (*shared_slides(run, slides, features), *_alike(slides)):
        for patient_id, _ in found:
            values.setdefault(patient_id, []).append("/".join(sorted({name for name, _ in found})))
    return joined(values)


def in_both(
    run: RunDir, slides: Iterable[Slide], features: str, other: RunDir, others: Iterable[Slide], other_features: str
) -> dict[str, str]:
    """Patients of ``slides`` of one run who are patients of ``others``, slides of the other run: the id there by the id
    here. They are one where they have a slide in common, as in `shared_slides`, or ids that differ in no more than case
    or separators."""
    there: dict[tuple[str, str], str] = {}
    for slide in others:
        for made_of in (_id(slide), *_made_of(other, slide, other_features)):
            there[made_of] = slide.patient_id
    found: dict[str, str] = {}
    for slide in slides:
        for made_of in (_id(slide), *_made_of(run, slide, features)):
            if made_of in there and (made_of[0] != FEATURES or _is_telling(run.features(features, slide.slide_id))):
                found[slide.patient_id] = there[made_of]
    return found


def _id(slide: Slide) -> tuple[str, str]:
    return "id", without_case(slide.patient_id)


def _alike(slides: Sequence[Slide]) -> Iterator[Owners]:
    for same in alike({slide.patient_id for slide in slides}):
        yield tuple((patient_id, "") for patient_id in same)


def _made_of(run: RunDir, slide: Slide, features: str) -> Iterator[tuple[str, str]]:
    held = store_attributes(run.tiles(slide.slide_id))
    if held is None:
        return
    tiles = tile_attributes(held)
    if tiles.slide.fingerprint:
        yield "file", tiles.slide.fingerprint
    if tiles.spec.get("pixels", "store") == "store":
        yield from _content("pixels", held)
    else:
        yield from _content(FEATURES, store_attributes(run.features(features, slide.slide_id)) or {})


def _content(kind: str, held: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    content = held.get("content")
    if isinstance(content, str):
        yield kind, content
