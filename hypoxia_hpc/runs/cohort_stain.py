"""stain.json: the stain that training slides of a run agree on, which all its slides get ([tile.stain] reference =
"cohort")."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from hypoxia_hpc.cohorts.given_split import read_given
from hypoxia_hpc.config import RunConfig, TileTable, stage_key
from hypoxia_hpc.errors import InputError, SlideError, Stopped, some
from hypoxia_hpc.progress import Progress
from hypoxia_hpc.reading import read_json
from hypoxia_hpc.records import Json, Slide
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.runs.keys import tile_spec
from hypoxia_hpc.slides.image_stain import sample_images
from hypoxia_hpc.slides.masks import tile_masks
from hypoxia_hpc.slides.opening import opened_slide
from hypoxia_hpc.slides.planning import plan_slide
from hypoxia_hpc.slides.slide_stain import sample_tissue
from hypoxia_hpc.slides.stain_fit import Sample, fit_of
from hypoxia_hpc.slides.stain_reference import numbers_of
from hypoxia_hpc.stores.commit import committed_file
from hypoxia_hpc.tiling.stain.methods import METHODS

# Slides, of a patient each. The median of 25 is as far off as a mean of 16.
MOST_SLIDES = 25
RULE = 1


def keep_cohort_stain(run: RunDir, config: RunConfig, progress: Progress, stop: threading.Event) -> None:
    """Write stain.json, unless it is there, made by the same rule of patients who still are in training. The same bytes
    whoever makes it, in whatever process.

    Raises:
        InputError: no patient is in training in every fold, or no slide of theirs has a stain that can be trusted.
        MachineError: disk or permission.
        Stopped: on request.
    """
    training = training_patients(Path(str(config.train.split_file)))
    slides = [slide for slide in run.slides() if slide.patient_id in training]
    key = _key(config.tile)
    if not _stands(run, key, slides):
        progress.note(f"{run.stain_file.name}: the stain of training slides, for all slides")
        record = cohort_stain(config.tile, slides, key, stop)
        committed_file(run.stain_file, (json.dumps(record, indent=1) + "\n").encode())


def training_patients(split_file: Path) -> frozenset[str]:
    """Those who are in training in every fold of a split. Raises InputError where none is, and as `read_given`."""
    given = read_given(split_file)
    sets = given.groupby("patient_id")["set"].agg(set)
    found = frozenset(str(name) for name, mine in sets.items() if mine == {"train"})
    if not found:
        raise InputError(
            f'[tile.stain] reference = "cohort": no patient of {split_file} is in training in all of '
            f"{some(given['fold'].nunique(), 'fold')}",
            remedy="name an image as reference: tiles are made once for all folds, and no test patient may have a part "
            "in their colours",
        )
    return found


def cohort_stain(table: TileTable, slides: Sequence[Slide], key: str, stop: threading.Event) -> Json:
    """What is written: the fits of slides drawn by chance, one of a patient, and their median. Slides that cannot be
    read, or whose fit is not trusted, are left out with the reason. Raises InputError where all are; Stopped."""
    used: list[Json] = []
    found: list[Any] = []
    left_out: dict[str, str] = {}
    for slide in in_drawn_order(slides):
        if len(found) == MOST_SLIDES:
            break
        if stop.is_set():
            raise Stopped(
                "stopped on request while fitting the stain of training slides", remedy="run the command again"
            )
        try:
            fit = fit_of(_sample(slide, table), table.stain.method, table.white)
        except SlideError as error:
            left_out[slide.slide_id] = error.reason
            continue
        if fit.found is None:
            left_out[slide.slide_id] = fit.why_not
            continue
        found.append(fit.found)
        used.append({"slide_id": slide.slide_id, "patient_id": slide.patient_id, "found": numbers_of(fit.found)})
    if not found:
        raise InputError(
            '[tile.stain] reference = "cohort": no training slide has a stain that can be trusted',
            offending=[f"{name}: {why}" for name, why in left_out.items()],
            remedy="name an image as reference, or look at the slides",
        )
    given = numbers_of(METHODS[table.stain.method].median(found))
    return {"schema": 1, "key": key, "method": table.stain.method, "given": given, "slides": used, "left_out": left_out}


def in_drawn_order(slides: Sequence[Slide]) -> list[Slide]:
    """One slide of each patient, by chance, and patients in an order by chance that no other patient changes."""
    first: dict[str, Slide] = {}
    for slide in sorted(slides, key=lambda slide: _drawn(slide.slide_id)):
        first.setdefault(slide.patient_id, slide)
    return sorted(first.values(), key=lambda slide: _drawn(slide.patient_id))


def _drawn(name: str) -> bytes:
    return hashlib.sha256(f"stain {name}".encode()).digest()


def _sample(slide: Slide, table: TileTable) -> Sample:
    if slide.images:
        return sample_images(slide, table)
    with opened_slide(slide.path) as opened:
        planned = plan_slide(opened, slide, table)
        masks = tile_masks(opened, planned.plan, table, planned.selected)
        return sample_tissue(opened, planned, masks.selected & ~masks.screened_background, table)


def _key(table: TileTable) -> str:
    """Of the rules that a fit goes by; the reference itself is none of them."""
    own = table.model_copy(update={"stain": table.stain.model_copy(update={"reference": None})})
    return stage_key("stain", RULE, tile_spec(own), [])


def _stands(run: RunDir, key: str, slides: Collection[Slide]) -> bool:
    """Whether a record of this key is there, of slides that are all among these."""
    try:
        record = read_json(run.stain_file)
        used = {(one["slide_id"], one["patient_id"]) for one in record["slides"]}
    except (FileNotFoundError, KeyError, TypeError, ValueError):
        return False
    return record.get("key") == key and used <= {(slide.slide_id, slide.patient_id) for slide in slides}
