"""quality: blur, pens, folds, borders and stain of every slide, and which slides stand out; RUN/quality/."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import pandas as pd

from hypoxia_hpc.analysis.cohort_outliers import Finding
from hypoxia_hpc.cohorts.csvfiles import csv_text
from hypoxia_hpc.errors import InputError, SlideError
from hypoxia_hpc.machine.cores import usable_cores
from hypoxia_hpc.progress import Progress
from hypoxia_hpc.records import Slide
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.runs.quality import (
    QualityRecord,
    findings_of,
    quality_key,
    read_quality,
    record_bytes,
    record_file,
)
from hypoxia_hpc.slides.fingerprint import fingerprint_of
from hypoxia_hpc.stores.commit import committed_file
from hypoxia_hpc.tiling.quality.measures import Quality
from hypoxia_hpc.workers.pool import FailedItem, Finished, deal


@dataclass(frozen=True, slots=True)
class Measured:
    """``table``: quality.csv, of ``n_slides``, of which ``n_there`` were measured before. ``standing_out``: what stands
    out of slides, by id. ``left_out``: slides that could not be measured; those of them that have a ``quality`` were
    measured before, and keep it."""

    table: Path
    n_slides: int
    n_there: int
    standing_out: Mapping[str, tuple[Finding, ...]]
    left_out: tuple[QualityRecord, ...]


@dataclass(frozen=True, slots=True)
class MeasureSlide:
    """The work on one slide in a worker process: its record and its picture in RUN/quality/."""

    run: RunDir
    default_mpp: float | None

    def __call__(self, slide: Slide, tick: Callable[[int], None]) -> tuple[QualityRecord, bool]:
        """The record, and whether what was measured was there."""
        held = read_quality(self.run, slide.slide_id)
        record = self._now(slide, held)
        if record != held:
            committed_file(record_file(self.run, slide.slide_id), record_bytes(record), durable=False)
        return record, held is not None and held.quality is not None and record.key == held.key

    def _now(self, slide: Slide, held: QualityRecord | None) -> QualityRecord:
        """The record of the slide as it is; of a file that is gone that of before, with the reason."""
        measured = _measured_before(slide, held)
        try:
            key = quality_key(slide, self.default_mpp, fingerprint_of(slide))
        except SlideError as error:
            return replace(measured, reason=error.reason, detail=str(error))
        if measured.key == key:
            return replace(measured, reason="", detail="")
        try:
            return self._measured(slide, key)
        except SlideError as error:
            return QualityRecord(slide.slide_id, "", reason=error.reason, detail=str(error))

    def failed(self, slide: Slide, reason: str, detail: str) -> QualityRecord:
        """The record of a slide whose worker died, written: what was measured before stays."""
        held = read_quality(self.run, slide.slide_id)
        record = replace(_measured_before(slide, held), reason=reason, detail=detail)
        committed_file(record_file(self.run, slide.slide_id), record_bytes(record), durable=False)
        return record

    def _measured(self, slide: Slide, key: str) -> QualityRecord:
        from hypoxia_hpc.reports.quality_maps import quality_png
        from hypoxia_hpc.slides.quality import slide_quality

        found = slide_quality(slide, self.default_mpp)
        picture = quality_png(found.image, found.marked, found.xy_px, found.side_px, found.sharpness)
        target = record_file(self.run, slide.slide_id)
        committed_file(target.with_name(f"{slide.slide_id}.png"), picture, durable=False)
        return QualityRecord(slide.slide_id, key, found.quality)


def _measured_before(slide: Slide, held: QualityRecord | None) -> QualityRecord:
    """The record that ``held`` is, where something was measured."""
    return QualityRecord(slide.slide_id, "") if held is None or held.quality is None else held


def quality(run: RunDir, *, progress: Progress, stop: threading.Event) -> Measured:
    """Measure every slide that is not measured yet, and write RUN/quality/quality.csv. A slide that cannot be measured
    is tried again each time.

    Raises:
        InputError: images in folders.
        Stopped: on request; given again, it goes on.
    """
    config, slides = run.config(), run.slides()
    if any(slide.images for slide in slides):
        raise InputError(
            f"{run.root} is of images in folders: quality is measured of slides",
            remedy="look at the sheets of tiles in the report",
        )
    workers = config.site.workers or usable_cores()
    records, n_there = _measure_all(slides, MeasureSlide(run, config.tile.default_mpp), workers, progress, stop)
    standing_out = {slide_id: found for slide_id, found in findings_of(records).items() if found}
    table = run.quality_file
    committed_file(table, csv_text(_frame(records, standing_out)).encode())
    left_out = tuple(record for record in records if record.reason)
    return Measured(table, len(slides), n_there, standing_out, left_out)


def _measure_all(
    slides: Sequence[Slide], work: MeasureSlide, workers: int, progress: Progress, stop: threading.Event
) -> tuple[list[QualityRecord], int]:
    """The records of slides by id, and how many were there."""
    found: list[QualityRecord] = []
    n_there = 0
    progress.begin("quality", len(slides), len(slides), "slide")
    try:
        for event in deal(slides, work, workers=workers, stop=stop):
            if isinstance(event, FailedItem):
                found.append(work.failed(event.item, event.why, event.detail))
                n_there += found[-1].quality is not None
            elif isinstance(event, Finished):
                found.append(event.result[0])
                n_there += event.result[1]
            else:
                continue
            progress.item(1)
    finally:
        progress.end()
    return sorted(found, key=lambda record: record.slide_id), n_there


def _frame(records: Sequence[QualityRecord], standing_out: Mapping[str, tuple[Finding, ...]]) -> pd.DataFrame:
    names = [one.name for one in fields(Quality)]
    rows = []
    for record in records:
        values = dict.fromkeys(names) if record.quality is None else asdict(record.quality)
        found = " ".join(one.measure for one in standing_out.get(record.slide_id, ()))
        rows.append([record.slide_id, *values.values(), found, record.reason])
    return pd.DataFrame(rows, columns=["slide_id", *names, "stands_out", "reason"], dtype=object)
