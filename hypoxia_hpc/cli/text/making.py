"""What ``init`` and ``labels`` show."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from hypoxia_hpc.cli.text.words import spaced, table
from hypoxia_hpc.errors import some, some_names

if TYPE_CHECKING:
    from pathlib import Path

    from hypoxia_hpc.cohorts.flow import Flow, LeftOut
    from hypoxia_hpc.cohorts.scores import HypoxiaLabels
    from hypoxia_hpc.runs.initialised import Initialised


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
        yield f"set aside: rows that are further samples of a patient: {len(made.set_aside):,} ({names})"


def made_text(made: Initialised, run: Path) -> Iterator[str]:
    """What a run holds, how it came to that, what was left out, and what to do next."""
    from hypoxia_hpc.cohorts.labelling import balance

    if made.joined.labels is not None:
        yield scores_text(made.joined.labels)
    yield from notes_text(made.notes())
    yield spaced(flow_text(made.flow))
    labelled = sum(each.label is not None for each in made.patients)
    if labelled:
        yield table(*balance(made.patients, made.outcome)) + "\n"
    if made.grown is not None:
        slides, patients = (len(grown.added) for grown in made.grown)
        files = some(made.n_new_images, "image") if made.n_images else some(slides, "slide")
        yield f"added: {files} and {some(patients, 'patient')}; all rows stay"
    files = some(made.n_images, "image") if made.n_images else some(made.n_slides, "slide")
    word = shlex.quote(str(run))
    yield (
        f"{run}: {files} of {some(len(made.patients), 'patient')}, {labelled} with a label. "
        f"Look at run.toml, then: hypoxia-hpc run {word} (here) or submit {word} (as SLURM jobs)"
    )


def scores_text(labels: HypoxiaLabels) -> str:
    """Of the whole table; the balance of the cohort is another."""
    total, hypoxic = len(labels.table), int(labels.table["label"].sum())
    return (
        f"scores: {labels.column} by the rule {labels.rule}, {hypoxic:,} of {total:,} patients of the table are hypoxic"
    )


def flow_text(flow: Flow) -> str:
    """Slides and patients at each step, and who was left out between two."""
    rows = []
    for number, step in enumerate(flow.steps):
        rows += [[f"  {group.reason}", *_minus(group)] for group in step.left_out]
        rows.append([step.name, f"{step.slides:,}", f"{step.patients:,}"])
        if number == 0:
            rows += [[f"  of them {kind}", f"{n:,}", ""] for kind, n in (flow.counts or {}).items()]
    return table(["", "slides", "patients"], rows)


def _minus(group: LeftOut) -> tuple[str, str]:
    return ("", f"-{group.n:,}") if group.kind == "patient" else (f"-{group.n:,}", "")


def notes_text(notes: Iterable[str]) -> Iterator[str]:
    """Each on a line of its own, marked as a note."""
    for note in notes:
        yield f"note: {note}"
