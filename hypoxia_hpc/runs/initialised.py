"""What init made, and what is odd about it; the files that a new run and one that grew have in common."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from hypoxia_hpc.cohorts.flow import Flow, LeftOut, left_out
from hypoxia_hpc.cohorts.growing import Grown
from hypoxia_hpc.cohorts.joining import SlideTable
from hypoxia_hpc.cohorts.naming import KnownSlide
from hypoxia_hpc.cohorts.scores import HypoxiaLabels
from hypoxia_hpc.config.text_paths import is_there, path_of_text
from hypoxia_hpc.errors import some_names
from hypoxia_hpc.outcomes.outcome import Outcome
from hypoxia_hpc.records import Json, Patient
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.runs.sources import Joined
from hypoxia_hpc.stores.commit import committed_file

EXCLUDED = (
    "slides of the run that --include and --exclude leave out now, which removes nothing: their rows stay; to take "
    "these slides out of the run delete their rows in slides.csv"
)


@dataclass(frozen=True, slots=True)
class Initialised:
    """What init made: slides and patients as they were joined, what the tables of a run that grew got (``slides`` and
    ``patients`` of it, None for a new one), and what is odd about slides that are used all the same, as sentences with
    the ids of the slides. ``patients`` are those of the run, ``flow`` is how it came to them.
    ``n_images``: of a run on images in folders, of which ``n_new_images`` came when it grew."""

    joined: Joined
    patients: tuple[Patient, ...]
    outcome: Outcome
    n_slides: int
    flow: Flow
    remarks: Mapping[str, tuple[str, ...]]
    grown: tuple[Grown, Grown] | None = None
    n_images: int = 0
    n_new_images: int = 0

    def notes(self, *, without: Collection[str] = ()) -> tuple[str, ...]:
        """What the user should know, a sentence each: what was left out, what is not used, what is odd. ``without``:
        remarks that another stage makes."""
        found = self.joined.found
        kinds = [f"{kind} {count:,}" for kind, count in sorted(found.skipped.items())]
        facts = [
            ("files passed over, by suffix or kind", sum(found.skipped.values()), kinds),
            ("files left out by --include and --exclude", found.left_out, []),
            *((f"slides left out, {each.reason}", each.n, each.names) for each in self._dropped),
        ]
        named = [(f"columns of {where} that are not used", names) for where, names in self.joined.unused]
        named += [("patterns that no file of the folder matches", found.idle)] if found.idle else []
        remarks = [(what, names) for what, names in self.remarks.items() if what not in without]
        changed = [] if self.grown is None else _changes(*self.grown)
        return (
            *(_note(*fact) for fact in facts if fact[1]),
            *(f"{what}: {some_names(names)}" for what, names in named),
            *self.joined.slides.notes,
            *(_note(what, len(names), names) for what, names in (*remarks, *changed) if names),
        )

    @property
    def _dropped(self) -> tuple[LeftOut, ...]:
        return left_out("slide", self.joined.slides.dropped)


def _note(what: str, n: int, names: Sequence[str]) -> str:
    return f"{what}: {n:,}{f' ({some_names(names)})' if names else ''}"


def _changes(slides: Grown, patients: Grown) -> list[tuple[str, tuple[str, ...]]]:
    """What is odd about a run that grew, with the slides or patients concerned."""
    return [
        ("slides that are not where they were; slides.csv has where they are now", slides.moved),
        (EXCLUDED, slides.excluded),
        (
            "slides that are not found any more, and whose files are there; their rows stay",
            tuple(name for name in slides.unnamed if name not in slides.excluded),
        ),
        ("patients with a value in a cell that was empty", patients.filled),
        ("patients with another value in the table now; patients.csv keeps the one it has", patients.kept),
    ]


def without_labelled(joined: Joined, patients: Sequence[Patient]) -> Joined:
    """Without a note on patients whom the table does not have and whose label the run has."""
    labelled = {each.patient_id for each in patients if each.label is not None}
    unlabelled = tuple(name for name in joined.slides.unlabelled if name not in labelled)
    return replace(joined, slides=replace(joined.slides, unlabelled=unlabelled))


def known_slides(run: RunDir, there: pd.DataFrame) -> list[KnownSlide]:
    """The rows of slides.csv, as text, and whether their files are there."""
    rows = zip(there["slide_id"], there["patient_id"], there["path"], strict=True)
    places = ((*ids, run.root.absolute() / path_of_text(path)) for *ids, path in rows)
    return [KnownSlide(slide_id, patient_id, path, is_there(path)) for slide_id, patient_id, path in places]


def with_costs(table: pd.DataFrame, costs: Mapping[str, int]) -> pd.DataFrame:
    """slides.csv with the cost of those slides that ``costs`` has, by slide id."""
    rows = zip(table["slide_id"], table["cost"], strict=True)
    return table.assign(cost=pd.Series([costs.get(*row) for row in rows], table.index, dtype=object))


def records(run: RunDir, joined: Joined, flow: Flow, others: Sequence[Json] = ()) -> dict[Path, str]:
    """What was left out on the way; ``others`` is what else was."""
    dropped = [*_left_out(joined.slides, joined.labels), *others]
    return {
        run.flow_file: json.dumps(flow.as_json(), indent=1) + "\n",
        run.receipts("init") / "cohort.json": json.dumps({"dropped": dropped}, indent=1),
    }


def write_files(files: Mapping[Path, str]) -> None:
    """Write these texts, in their order. Raises MachineError."""
    for path, text in files.items():
        committed_file(path, text.encode())


def _left_out(table: SlideTable, labels: HypoxiaLabels | None) -> list[Json]:
    groups: dict[str, list[str]] = {}
    for name, reason in table.dropped:
        groups.setdefault(reason, []).append(name)
    dropped: list[Json] = [{"kind": "slide", "reason": reason, "names": names} for reason, names in groups.items()]
    if table.without_slide:
        dropped.append({"kind": "patient", "reason": "no slide", "names": list(table.without_slide)})
    if labels is not None and labels.set_aside:
        reason = "second sample of a patient in the score table"
        dropped.append({"kind": "score row", "reason": reason, "names": list(labels.set_aside)})
    return dropped
