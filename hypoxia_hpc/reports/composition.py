"""What patients are composed of, as a picture: a row for each cluster, a column for each patient, by risk or label."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hypoxia_hpc.outcomes.outcome import Outcome
from hypoxia_hpc.records import Float64Array
from hypoxia_hpc.reports.data import CohortPatient, PhenotypesShown, RisksShown
from hypoxia_hpc.reports.figures import Figure
from hypoxia_hpc.reports.plots import Blocks, composition_plot
from hypoxia_hpc.reports.text import count_of


@dataclass(frozen=True, slots=True)
class PatientOrder:
    """Patients as columns from the left: ``places`` of them, the ``blocks`` that they stand in, ``risks`` from the left
    (empty where they go by something else), ``by`` as words of a caption."""

    places: tuple[int, ...]
    blocks: tuple[tuple[str, int], ...]
    risks: tuple[float, ...]
    by: str


def composition_figure(shown: PhenotypesShown, patients: Sequence[CohortPatient], outcome: Outcome) -> Figure:
    """Shares of all patients."""
    risks = shown.risks
    ordered = patient_order(shown.patient_ids, risks, {one.patient_id: _class_name(one, outcome) for one in patients})
    shares = shown.shares[list(ordered.places)]
    names = tuple(f"cluster_{number}" for number in range(shares.shape[1]))
    drawn = composition_plot(
        "composition",
        "patient, from the lowest risk" if ordered.risks else "patient",
        shares.T,
        Blocks(ordered.blocks, np.array(ordered.risks), None if risks is None else risks.cut),
    )
    many = f"{count_of(len(shares), 'patient')} (columns) in {count_of(len(names), 'cluster')} (rows)"
    groups = ", ".join(f"{name}: {n:,}" for name, n in ordered.blocks if name)
    sizes = f". {groups[0].upper()}{groups[1:]}." if groups else "."
    return Figure(
        "composition",
        "Composition of patients",
        drawn,
        f"Shares of the tiles of {many}, darker where larger; patients {ordered.by}{sizes}",
        ("patient_id", "group", *(["risk"] if ordered.risks else []), *names),
        tuple(_rows(shown, ordered)),
        note=f"Share of a patient's tiles in each cluster, of {many}; patients {ordered.by}{sizes}",
    )


def _class_name(patient: CohortPatient, outcome: Outcome) -> str:
    is_named = outcome.kind in ("binary", "classes") and isinstance(patient.label, int)
    return outcome.table.classes[int(str(patient.label))] if is_named else ""


def patient_order(patient_ids: Sequence[str], risks: RisksShown | None, labels: Mapping[str, str]) -> PatientOrder:
    """By risk, those who have none behind; without any by label, and in a label by name; else by name alone."""
    if risks is not None and any(name in risks.by_patient for name in patient_ids):
        return _by_risk(patient_ids, risks)
    named = [labels.get(name, "") for name in patient_ids]
    places = tuple(sorted(range(len(patient_ids)), key=lambda one: (not named[one], named[one], patient_ids[one])))
    if not any(named):
        return PatientOrder(places, (("", len(places)),), (), "by name, as neither risk nor label is known")
    words = [*sorted(set(named) - {""}), *([""] if "" in named else [])]
    blocks = tuple((word or "no label", named.count(word)) for word in words)
    return PatientOrder(places, blocks, (), "by label, as no survival stage gave them a risk")


def _by_risk(patient_ids: Sequence[str], risks: RisksShown) -> PatientOrder:
    known = {place: risks.by_patient[name] for place, name in enumerate(patient_ids) if name in risks.by_patient}
    places = sorted(known, key=lambda place: (known[place], patient_ids[place]))
    without = sorted(set(range(len(patient_ids))) - set(known), key=lambda place: patient_ids[place])
    n_low = sum(risk <= risks.cut for risk in known.values())
    sizes = (("lower risk", n_low), ("higher risk", len(places) - n_low), ("no risk", len(without)))
    behind = ", those without one on the right" if without else ""
    by = f"by their risk ({risks.endpoint}), the lowest on the left{behind}"
    blocks = tuple((name, n) for name, n in sizes if n)
    return PatientOrder((*places, *without), blocks, tuple(known[place] for place in places), by)


def _rows(shown: PhenotypesShown, ordered: PatientOrder) -> Iterator[tuple[object, ...]]:
    groups = [name for name, n in ordered.blocks for _ in range(n)]
    risks: list[float | str] = [*ordered.risks, *[""] * (len(groups) - len(ordered.risks))]
    for place, group, risk in zip(ordered.places, groups, risks, strict=True):
        shares: Float64Array = shown.shares[place]
        yield shown.patient_ids[place], group, *([risk] if ordered.risks else []), *shares.tolist()
