"""What ``init`` and ``labels`` show."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING

from hypoxia_hpc.cli.text.stages import remarks_text
from hypoxia_hpc.cli.text.words import some, spaced, table
from hypoxia_hpc.errors import some_names

if TYPE_CHECKING:
    from pathlib import Path

    from hypoxia_hpc.cohorts.flow import Flow, LeftOut
    from hypoxia_hpc.cohorts.growing import Grown
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
    """What a run holds, how it came to that, what was left out, and what to do next."""
    from hypoxia_hpc.cohorts.flow import left_out
    from hypoxia_hpc.cohorts.labelling import balance

    joined = made.joined
    if joined.labels is not None:
        yield scores_text(joined.labels)
    yield from _passed_over(joined.found)
    for group in left_out("slide", joined.slides.dropped):
        yield f"dropped {some(group.n, 'slide')}: {group.reason} ({some_names(group.names)})"
    for where, columns in joined.unused:
        yield f"note: columns of {where} that are not used: {some_names(columns)}"
    for note in joined.slides.notes:
        yield f"note: {note}"
    yield from remarks_text(made.remarks)
    yield spaced(flow_text(made.flow))
    labelled = sum(each.label is not None for each in made.patients)
    if labelled:
        yield table(*balance(made.patients, made.outcome)) + "\n"
    if made.grown is not None:
        yield from _grown_text(*made.grown)
    slides, patients = some(made.n_slides, "slide"), some(len(made.patients), "patient")
    word = shlex.quote(str(run))
    yield (
        f"{run}: {slides} of {patients}, {labelled} with a label. "
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


def _grown_text(slides: Grown, patients: Grown) -> Iterator[str]:
    yield f"added: {some(len(slides.added), 'slide')} and {some(len(patients.added), 'patient')}; all rows stay"
    facts = (
        (slides.moved, "slides that are not where they were; slides.csv has where they are now"),
        (slides.unnamed, "slides that are not found any more, and whose files are there; their rows stay"),
        (patients.filled, "patients with a value in a cell that was empty"),
        (patients.kept, "patients with another value in the table now; patients.csv keeps the one it has"),
    )
    for names, what in facts:
        if names:
            yield f"note: {what}: {len(names):,} ({some_names(names)})"


def _passed_over(found: Found) -> Iterator[str]:
    """``skipped 3 files by suffix or kind: .jpg 1, .txt 2``."""
    if found.skipped:
        kinds = [f"{kind} {count:,}" for kind, count in sorted(found.skipped.items())]
        yield f"skipped {some(sum(found.skipped.values()), 'file')} by suffix or kind: {some_names(kinds)}"
    if found.left_out:
        yield f"left out {some(found.left_out, 'file')} by --include and --exclude"
