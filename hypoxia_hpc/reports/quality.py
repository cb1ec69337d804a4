"""The report's table of the quality of slides: what stands out first, with pictures of those."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hypoxia_hpc.analysis.cohort_outliers import FEWEST_SLIDES, Finding
from hypoxia_hpc.reports.tables import Cell, Column, DataTable, Row, number
from hypoxia_hpc.reports.text import MISSING

if TYPE_CHECKING:  # its kernels take 60 MB, and much imports the rows of a report
    from hypoxia_hpc.tiling.quality.measures import Quality

NAME = "quality"
WORDS = {
    "tissue_mm2": "area of tissue",
    "blurred": "blur",
    "pen": "pen",
    "folds": "folds",
    "border": "black border",
    "saturation": "saturation",
    "haematoxylin": "haematoxylin",
    "eosin": "eosin",
}
COLUMNS = (
    Column("slide"),
    Column("stands out by"),
    Column("tissue mm²", is_number=True),
    Column("blurred", is_number=True, hint="share of squares of tissue that are out of focus"),
    Column("pen", is_number=True, hint="share of the slide"),
    Column("folds", is_number=True, hint="share of the tissue"),
    Column("border", is_number=True, hint="share of the slide that is black, from its edge on"),
    Column("saturation", is_number=True, hint="median of the tissue, 0 to 1"),
    Column("haematoxylin", is_number=True, hint="median optical density"),
    Column("eosin", is_number=True, hint="median optical density"),
)


@dataclass(frozen=True, slots=True)
class QualityRow:
    """A slide: its ``quality``, None with the ``reason`` why it could not be measured; with both, it was measured
    before its file was gone. What stands out, the furthest first; ``picture``: what ``quality_png`` made (PNG)."""

    slide_id: str
    quality: Quality | None
    reason: str = ""
    findings: tuple[Finding, ...] = ()
    picture: bytes | None = field(default=None, repr=False)


def worst_first(rows: Sequence[QualityRow]) -> list[QualityRow]:
    """Slides that could not be measured, then those of which most stands out, then by id."""
    return sorted(rows, key=lambda row: (row.quality is not None, -len(row.findings), _furthest(row), row.slide_id))


def quality_table(rows: Sequence[QualityRow]) -> DataTable | None:
    """None where nothing was measured."""
    if not rows:
        return None
    made = tuple(_row(row) for row in worst_first(rows))
    n_out = sum("out" in row.tags for row in made)
    return DataTable(NAME, "slides", COLUMNS, made, (("out", "standing out"),) if n_out else ())


def quality_pictures(rows: Sequence[QualityRow], most: int) -> list[tuple[str, QualityRow]]:
    """The slides that stand out and have a picture, worst first, at most ``most``, with the names of their files."""
    shown = [row for row in worst_first(rows) if row.picture is not None and row.findings][:most]
    return [(f"quality/{number:04d}.png", row) for number, row in enumerate(shown, start=1)]


def said_of(row: QualityRow) -> str:
    """What stands out of a slide, in words."""
    if row.quality is None:
        return f"not measured: {row.reason}"
    before = [f"measured before: {row.reason}"] if row.reason else []
    return ", ".join([*(_said(finding, row.quality) for finding in row.findings), *before])


def rule_of(rows: Sequence[QualityRow]) -> str:
    """How it was decided what stands out."""
    n = sum(row.quality is not None for row in rows)
    limits = (
        "more than 25 % of squares blurred, 1 % of the slide under a pen, 5 % of the tissue in folds, a border of 5 %"
    )
    if n < FEWEST_SLIDES:
        return f"A slide stands out with {limits}. Fewer than {FEWEST_SLIDES} slides are not compared with each other."
    return (
        "A slide stands out where a measure lies more than 3.5 robust deviations (1.4826 times the median absolute "
        f"deviation) from the median of the cohort, or with {limits}."
    )


def _furthest(row: QualityRow) -> float:
    return -max((abs(one.z) for one in row.findings if one.z is not None), default=0.0)


def _said(finding: Finding, quality: Quality) -> str:
    word = WORDS[finding.measure]
    if finding.measure == "pen" and quality.pen_colour:
        word = f"{quality.pen_colour} pen"
    if finding.measure in ("saturation", "haematoxylin", "eosin", "tissue_mm2") and finding.z is not None:
        return f"{'much' if finding.z > 0 else 'little'} {word}" if finding.measure != "tissue_mm2" else f"small {word}"
    return word


def _row(row: QualityRow) -> Row:
    own = (Cell(row.slide_id), Cell(said_of(row) or MISSING))
    found = row.quality
    if found is None:
        return Row((*own, *(number(None) for _ in COLUMNS[2:])), ("out",))
    cells = (
        number(found.tissue_mm2, 1),
        *(_share(share) for share in (found.blurred, found.pen, found.folds, found.border)),
        number(found.saturation, 2),
        number(found.haematoxylin, 2),
        number(found.eosin, 2),
    )
    return Row((*own, *cells), ("out",) if row.findings else ())


def _share(share: float | None) -> Cell:
    return number(None) if share is None else Cell(f"{100 * share:.1f} %", share)
