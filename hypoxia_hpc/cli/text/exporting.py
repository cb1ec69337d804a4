"""What ``export``, ``maps``, ``gallery``, ``preview`` and ``quality`` print."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING

from hypoxia_hpc.errors import some, some_names

if TYPE_CHECKING:
    from pathlib import Path

    from hypoxia_hpc.runs.quality import QualityRecord
    from hypoxia_hpc.stages.export import Exported
    from hypoxia_hpc.stages.gallery import GalleryMade
    from hypoxia_hpc.stages.maps import Mapped
    from hypoxia_hpc.stages.preview import Previewed
    from hypoxia_hpc.stages.quality import Measured


def exported_text(made: Exported, run: Path) -> Iterator[str]:
    """What is in the folder, and what is not."""
    there = f", of which {made.n_there:,} were there" if made.n_there else ""
    yield f"{made.folder}: {some(made.n_slides, 'slide')}{there}"
    if made.model:
        yield f"tiles are classed by {made.model}, as the most probable class (operating points are of patients)"
    for reason in sorted({reason for _, reason in made.left_out}):
        names = [slide_id for slide_id, one in made.left_out if one == reason]
        yield f"left out, {reason}: {some(len(names), 'slide')} ({some_names(names)})"
        if reason in made.why:
            yield f"  {made.why[reason]}"
    if made.todo:
        yield f"not done yet, so not in it: {some(len(made.todo), 'slide')} ({some_names(made.todo)})"
        yield f"remedy: hypoxia-hpc run {shlex.quote(str(run))}, then the same command again"


def mapped_text(made: Mapped, run: Path) -> Iterator[str]:
    """How many pictures there are, and where."""
    there = f", of which {made.n_there:,} were there" if made.n_there else ""
    yield f"{made.folder}: {some(made.n_maps, 'map')} of {made.what}{there}"
    yield from _quarantined_text(made, run)
    if made.left_out:
        slides = f"{some(len(made.left_out), 'slide')} ({some_names(made.left_out)})"
        yield f"no map, since neither a tile store nor the slide at its path says how large the slide is: {slides}"
        tile = f"hypoxia-hpc tile {shlex.quote(str(run))}"
        yield f"remedy: {tile} (where features are imported: bring the slides there), then the same command again"


def _quarantined_text(made: Mapped, run: Path) -> Iterator[str]:
    for reason, names in made.quarantined.items():
        yield f"no map, since tile has quarantined it ({reason}): {some(len(names), 'slide')} ({some_names(names)})"
    if made.quarantined:
        word = shlex.quote(str(run))
        yield f"hypoxia-hpc status {word} says why; when that is mended, hypoxia-hpc tile {word} --retry tries again"


def gallery_text(made: GalleryMade) -> Iterator[str]:
    """Where the page is, and what is not on it."""
    yield f"{made.page}: tiles by {made.model}; open it in a browser"
    if made.left_out:
        yield f"{made.model} says nothing of: {some(len(made.left_out), 'slide')} ({some_names(made.left_out)})"


def previewed_text(made: Previewed) -> Iterator[str]:
    """Where the page is, and what it shows."""
    of_all = f" of {made.n_slides:,}" if len(made.shown) < made.n_slides else ""
    yield f"{made.page}: {some(len(made.shown), 'slide')}{of_all} ({some_names(made.shown)}); open it in a browser"
    for name, why in made.left_out:
        yield f"not shown: {name}: {why}"


def _unmeasured_text(made: Measured) -> Iterator[str]:
    """By what became of them and the reason: how many slides, and what is wrong with the first."""
    groups: dict[tuple[str, str], list[QualityRecord]] = {}
    for record in made.left_out:
        what = "not measured" if record.quality is None else "not read again, so what was measured before stays"
        groups.setdefault((what, record.reason), []).append(record)
    for (what, reason), records in groups.items():
        names = [record.slide_id for record in records]
        yield f"{what}: {reason}: {some(len(names), 'slide')} ({some_names(names)})"
        yield f"  {records[0].detail}"


def quality_text(made: Measured, run: Path) -> Iterator[str]:
    """Where the table is, which slides stand out, and which could not be measured."""
    there = f", of which {made.n_there:,} were measured before" if made.n_there else ""
    yield f"{made.table}: {some(made.n_slides, 'slide')}{there}"
    by_measure: dict[str, list[str]] = {}
    for slide_id, found in made.standing_out.items():
        for one in found:
            by_measure.setdefault(one.measure, []).append(slide_id)
    for measure, names in by_measure.items():
        yield f"stands out by {measure}: {some(len(names), 'slide')} ({some_names(names)})"
    yield from _unmeasured_text(made)
    if made.standing_out:
        yield f"look at them: the pictures beside the table, or hypoxia-hpc report {shlex.quote(str(run))} (Quality)"
