"""What ``init`` and ``labels`` show."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING

from hypoxia_hpc.cli.text.stages import remarks_text
from hypoxia_hpc.cli.text.words import some, table
from hypoxia_hpc.errors import some_names

if TYPE_CHECKING:
    from pathlib import Path

    from hypoxia_hpc.cohorts.scores import HypoxiaLabels
    from hypoxia_hpc.slides.finding import Found
    from hypoxia_hpc.stages.init import Initialised


def labels_text(made: HypoxiaLabels) -> Iterator[str]:
    """Patients of each tumour type and how many of them are hypoxic, and what was left out."""
    columns = zip(*(made.counts[name].tolist() for name in ("tumour_type", "n", "hypoxic")), strict=True)
    rows = [[kind, str(n), str(hypoxic), f"{hypoxic / n:.0%}"] for kind, n, hypoxic in columns]
    total, hypoxic = len(made.table), int(made.table["label"].sum())
    rows.append(["all", str(total), str(hypoxic), f"{hypoxic / total:.0%}"])
    yield table(["tumour type", "patients", "hypoxic", ""], rows)
    yield f"rule {made.rule}: {hypoxic:,} of {total:,} patients are hypoxic"
    if made.set_aside:
        names = some_names(made.set_aside)
        yield f"set aside: {len(made.set_aside)} rows that are further samples of a patient: {names}"


def made_text(made: Initialised, run: Path) -> Iterator[str]:
    """What a new run holds, what was left out of it, and what to do next."""
    if made.labels is not None:
        yield from labels_text(made.labels)
    yield from _passed_over(made.found)
    by_reason: dict[str, list[str]] = {}
    for name, reason in made.slides.dropped:
        by_reason.setdefault(reason, []).append(name)
    for reason, names in by_reason.items():
        yield f"dropped {some(len(names), 'slide')}, {reason}: {some_names(names)}"
    if made.found.unused:
        yield f"note: columns of the manifest that are not used: {some_names(made.found.unused)}"
    for note in made.slides.notes:
        yield f"note: {note}"
    yield from remarks_text(made.remarks)
    labelled = int((made.patients["label"] != "").sum())
    slides, patients = some(len(made.slides.slides), "slide"), some(len(made.patients), "patient")
    word = shlex.quote(str(run))
    yield (
        f"{run}: {slides} of {patients}, {labelled} with a label. "
        f"Look at run.toml, then: hypoxia-hpc run {word} (here) or submit {word} (as SLURM jobs)"
    )


def _passed_over(found: Found) -> Iterator[str]:
    """``skipped 3 files by suffix or kind: .jpg 1, .txt 2``."""
    if found.skipped:
        kinds = [f"{kind} {count:,}" for kind, count in sorted(found.skipped.items())]
        yield f"skipped {some(sum(found.skipped.values()), 'file')} by suffix or kind: {some_names(kinds)}"
    if found.left_out:
        yield f"left out {some(found.left_out, 'file')} by --include and --exclude"
