"""How many slides and patients there were at each step from what was found to what is trained on, and who was left out
on the way: what a CONSORT diagram shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from hypoxia_hpc.records import Json


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What was left out for one reason. ``kind``: slide, patient, row, file; without ``names`` where ``n`` is known."""

    kind: str
    reason: str
    n: int
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """``left_out`` is what this step took away from the one before."""

    name: str
    slides: int
    patients: int
    left_out: tuple[LeftOut, ...] = ()


@dataclass(frozen=True, slots=True)
class Flow:
    """``counts``: slides that were found by what they are of ("tumour, diagnostic"). ``aside``: what never was a slide
    of a patient: files of another kind, patients without a slide, second samples of a score table."""

    steps: tuple[Step, ...] = ()
    aside: tuple[LeftOut, ...] = ()
    counts: Mapping[str, int] | None = None

    def as_json(self) -> Json:
        """The content of flow.json."""
        steps = [
            {"step": each.name, "slides": each.slides, "patients": each.patients, "left_out": _entries(each.left_out)}
            for each in self.steps
        ]
        return {"schema": 1, "found": dict(self.counts or {}), "steps": steps, "aside": _entries(self.aside)}


def left_out(kind: str, pairs: Iterable[tuple[str, str]]) -> tuple[LeftOut, ...]:
    """(name, reason) by reason, the most frequent first."""
    names: dict[str, list[str]] = {}
    for name, reason in pairs:
        names.setdefault(reason, []).append(name)
    groups = [LeftOut(kind, reason, len(found), tuple(sorted(found))) for reason, found in names.items()]
    return tuple(sorted(groups, key=lambda each: (-each.n, each.reason)))


def kinds(samples: Sequence[str], preparations: Sequence[str]) -> dict[str, int]:
    """How many slides are of what: ``tumour, diagnostic``; where no barcode or sheet says it, ``kind not known``."""
    said = (", ".join(filter(None, pair)) or "kind not known" for pair in zip(samples, preparations, strict=True))
    return dict(sorted(Counter(said).items()))


def _entries(groups: Sequence[LeftOut]) -> list[Json]:
    return [{"kind": each.kind, "reason": each.reason, "n": each.n, "names": list(each.names)} for each in groups]
