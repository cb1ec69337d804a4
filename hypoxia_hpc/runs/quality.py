"""What ``quality`` leaves in RUN/quality/, written and read: a record and a picture of each slide, and a table."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from hypoxia_hpc.analysis.cohort_outliers import Finding, MeasureRule, findings
from hypoxia_hpc.config import canonical_json
from hypoxia_hpc.reading import MOST_RECEIPT_BYTES, read_json, read_plain
from hypoxia_hpc.records import Slide
from hypoxia_hpc.reports.quality import QualityRow
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.tiling.quality.measures import Quality

RULE = 1  # raised where a measure changes
PNG = b"\x89PNG\r\n"  # what such a file begins with
# What stands out of a cohort, and above which value in any.
RULES = {
    "tissue_mm2": MeasureRule("low", 2.0),
    "blurred": MeasureRule("high", 0.05, most=0.25),
    "pen": MeasureRule("high", 0.003, most=0.01),
    "folds": MeasureRule("high", 0.01, most=0.05),
    "border": MeasureRule("high", 0.01, most=0.05),
    "saturation": MeasureRule("both", 0.02),
    "haematoxylin": MeasureRule("both", 0.05),
    "eosin": MeasureRule("both", 0.05),
}
_NUMBERS = tuple(one.name for one in fields(Quality) if one.name != "pen_colour")


@dataclass(frozen=True, slots=True)
class QualityRecord:
    """Of one slide: its ``quality``, or None with the ``reason`` and the sentence why it could not be measured. With
    both, it was measured before, and the file cannot be read any more."""

    slide_id: str
    key: str
    quality: Quality | None = None
    reason: str = ""
    detail: str = ""


def quality_key(slide: Slide, default_mpp: float | None, fingerprint: str) -> str:
    """Of what a measurement depends on: the slide's content and its resolution."""
    made_of = {"rule": RULE, "slide": fingerprint, "mpp": slide.mpp, "default_mpp": default_mpp}
    return hashlib.sha256(canonical_json(made_of).encode()).hexdigest()


def record_file(run: RunDir, slide_id: str) -> Path:
    """RUN/quality/ID.json; the picture ID.png lies beside it."""
    return run.root / "quality" / f"{slide_id}.json"


def record_bytes(record: QualityRecord) -> bytes:
    return canonical_json({"schema": 1, **asdict(record)}).encode()


def read_quality(run: RunDir, slide_id: str) -> QualityRecord | None:
    """None where there is none, or it is not as it was written."""
    try:
        found = read_json(record_file(run, slide_id), MOST_RECEIPT_BYTES)
        quality = None if found["quality"] is None else Quality(**found["quality"])
        record = QualityRecord(slide_id, found["key"], quality, found["reason"], found["detail"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    words = (record.key, record.reason, record.detail, "" if quality is None else quality.pen_colour)
    numbers = [] if quality is None else [getattr(quality, name) for name in _NUMBERS]
    is_sound = all(isinstance(one, str) for one in words) and all(
        one is None or (isinstance(one, int | float) and not isinstance(one, bool)) for one in numbers
    )
    return record if is_sound else None


def findings_of(records: Sequence[QualityRecord]) -> dict[str, tuple[Finding, ...]]:
    """What stands out of each slide that was measured, by its id."""
    measured = [(one.slide_id, one.quality) for one in records if one.quality is not None]
    table = {name: [getattr(quality, name) for _, quality in measured] for name in RULES}
    return dict(zip((slide_id for slide_id, _ in measured), findings(table, RULES), strict=True))


def shown_quality(run: RunDir, slides: Sequence[Slide], *, with_pictures: bool) -> tuple[QualityRow, ...]:
    """For the report, of the slides that were measured; pictures of those that stand out."""
    records = [record for slide in slides if (record := read_quality(run, slide.slide_id)) is not None]
    standing_out = findings_of(records)
    rows = []
    for record in records:
        found = standing_out.get(record.slide_id, ())
        picture = _picture(run, record.slide_id) if with_pictures and found else None
        rows.append(QualityRow(record.slide_id, record.quality, record.reason, found, picture))
    return tuple(rows)


def _picture(run: RunDir, slide_id: str) -> bytes | None:
    try:
        picture = read_plain(record_file(run, slide_id).with_suffix(".png"), MOST_RECEIPT_BYTES)
    except (OSError, ValueError):
        return None
    return picture if picture.startswith(PNG) else None
