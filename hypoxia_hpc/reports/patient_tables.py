"""The tables of patients: those of the test set, those without a label, and test patients by type and by site."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence

from hypoxia_hpc.reports.data import CohortPatient, PatientPrediction, ReportData
from hypoxia_hpc.reports.kinds.kind import Kind
from hypoxia_hpc.reports.lead import BASELINES, model_order, test_rows
from hypoxia_hpc.reports.summary import CALLED
from hypoxia_hpc.reports.tables import Cell, Column, DataTable, Row, count, number
from hypoxia_hpc.reports.text import MISSING

TILES = Column("tiles", is_number=True)


def patient_table(data: ReportData, kind: Kind, lead: str) -> DataTable | None:
    """Test patients: truth, what the lead model says, and how far the other heads are from it. The most wrong first
    where there are calls. None without labelled test patients."""
    by_model = test_rows(data)
    if lead not in by_model:
        return None
    facts = {one.patient_id: one for one in data.patients}
    by_patient: dict[str, list[PatientPrediction]] = {row.patient_id: [] for row in by_model[lead]}
    for row in itertools.chain(*by_model.values()):
        if row.patient_id in by_patient:
            by_patient[row.patient_id].append(row)
    rows = [_row(data, kind, said, lead, facts.get(name)) for name, said in by_patient.items()]
    rows.sort(key=lambda row: ("wrong" not in row.tags, row.cells[0].text))
    has_calls = any(row.call for row in by_model[lead])
    columns = (
        Column("patient"),
        *_fact_columns(data),
        Column("truth", kind.truth_is_number),
        *kind.columns(data.outcome),
    )
    columns += (*_head_columns(data, kind, has_calls=has_calls), *_distance_columns(data), TILES)
    return DataTable("test-patients", "test patients", columns, tuple(rows), _filters(data, rows))


def unlabelled_table(data: ReportData, kind: Kind, lead: str) -> DataTable | None:
    """Patients without a label, by model; None where there are none."""
    found = [row for row in data.predictions if row.set_name in CALLED and row.model not in BASELINES]
    models = model_order(row.model for row in found)
    if not found:
        return None
    by_patient: dict[str, dict[str, PatientPrediction]] = {}
    for row in found:
        by_patient.setdefault(row.patient_id, {})[row.model] = row
    first = lead if lead in models else models[0]
    ordered = sorted(by_patient, key=lambda name: (-_said(by_patient[name], first), name))
    own = kind.columns(data.outcome)
    columns = [Column(f"{model}: {column.title}", column.is_number) for model in models for column in own]
    rows = []
    for name in ordered:
        cells = [_cells(data, kind, by_patient[name].get(model), len(own)) for model in models]
        first_row = next(iter(by_patient[name].values()))
        own_cells = (Cell(name), count(first_row.n_tiles), *_distance_cells(data, first_row))
        rows.append(Row((*own_cells, *(cell for group in cells for cell in group)), _unlike(first_row)))
    titles = (Column("patient"), TILES, *_distance_columns(data), *columns)
    return DataTable("unlabelled-patients", "predictions", titles, tuple(rows), _filters(data, rows))


def group_tables(data: ReportData, kind: Kind, lead: str) -> list[DataTable]:
    """Test patients of the lead model by tumour type and by site, the largest group first; a table only where a
    patient has a group."""
    rows = test_rows(data).get(lead, [])
    facts = {one.patient_id: one for one in data.patients}
    ways: Mapping[str, Callable[[CohortPatient], str]] = {
        "tumour type": lambda one: one.tumour_type,
        "site": lambda one: one.site,
    }
    tables = [_group_table(name, of, rows, facts, data, kind) for name, of in ways.items()]
    return [table for table in tables if table is not None]


def _group_table(
    name: str,
    group_of: Callable[[CohortPatient], str],
    rows: Sequence[PatientPrediction],
    facts: Mapping[str, CohortPatient],
    data: ReportData,
    kind: Kind,
) -> DataTable | None:
    groups: dict[str, list[PatientPrediction]] = {}
    for row in rows:
        fact = facts.get(row.patient_id)
        groups.setdefault(group_of(fact) if fact else "", []).append(row)
    if not any(groups):
        return None
    ordered = sorted(groups.items(), key=lambda pair: (-len(pair[1]), pair[0]))
    lines = tuple(
        Row((Cell(group or "not given"), count(len(own)), *kind.group_cells(own, data.outcome)))
        for group, own in ordered
    )
    columns = (Column(name), Column("patients", is_number=True), *kind.group_columns(data.outcome))
    return DataTable(f"by-{name.replace(' ', '-')}", f"test patients by {name}", columns, lines)


def _row(data: ReportData, kind: Kind, said: Sequence[PatientPrediction], lead: str, fact: CohortPatient | None) -> Row:
    """``said``: what every head says of one patient, the lead model's being one of them."""
    row = next(one for one in said if one.model == lead)
    facts = {"tumour type": fact.tumour_type if fact else "", "site": fact.site if fact else ""}
    cells = [Cell(row.patient_id), *(Cell(facts[column.title]) for column in _fact_columns(data))]
    cells += [kind.truth(row, data.outcome), *kind.cells(row, data.outcome)]
    otherwise = sum(one.call != row.call for one in said)
    if _has_heads(data) and row.call:
        cells.append(Cell(f"{otherwise} of {len(said) - 1}", float(otherwise)))
    if _has_heads(data) and kind.has_spread:
        cells.append(number(kind.spread(said)))
    tags = (*kind.tags(row, data.outcome), *(("split",) if otherwise else ()))
    return Row((*cells, *_distance_cells(data, row), count(row.n_tiles)), (*tags, *_unlike(row)))


def _unlike(row: PatientPrediction) -> tuple[str, ...]:
    return ("unlike",) if row.is_unlike else ()


def _distance_columns(data: ReportData) -> tuple[Column, ...]:
    """How far patients are from those of training, where that was measured."""
    hint = "root mean square over features, in units of the spread of training patients; about 1 is usual"
    is_there = any(row.distance is not None for row in data.predictions)
    return (
        (Column("distance from training", is_number=True, hint=hint), Column("training patients")) if is_there else ()
    )


def _distance_cells(data: ReportData, row: PatientPrediction) -> tuple[Cell, ...]:
    if not _distance_columns(data):
        return ()
    return number(row.distance, 2), Cell("unlike training", look="status bad") if row.is_unlike else Cell("alike")


def _has_heads(data: ReportData) -> bool:
    return len(test_rows(data)) > 1


def _fact_columns(data: ReportData) -> tuple[Column, ...]:
    """Tumour type and site, where a patient has one."""
    there = {
        "tumour type": any(one.tumour_type for one in data.patients),
        "site": any(one.site for one in data.patients),
    }
    return tuple(Column(name) for name, is_there in there.items() if is_there)


def _head_columns(data: ReportData, kind: Kind, *, has_calls: bool) -> tuple[Column, ...]:
    if not _has_heads(data):
        return ()
    calls = Column("other heads differ", is_number=True, hint="how many of the other heads call the patient otherwise")
    spread = Column("spread of heads", is_number=True, hint="largest less smallest prediction of the heads")
    return (*((calls,) if has_calls else ()), *((spread,) if kind.has_spread else ()))


def _filters(data: ReportData, rows: Sequence[Row]) -> tuple[tuple[str, str], ...]:
    """Those that keep some rows, with their titles."""
    used = {tag for row in rows for tag in row.tags}
    negative, positive = data.outcome.table.classes[0], data.outcome.table.classes[-1]
    titles = {
        "wrong": "wrong",
        "missed": f"{positive}, called {negative}",
        "overcalled": f"{negative}, called {positive}",
        "split": "heads differ",
        "unlike": "unlike training",
    }
    return tuple((tag, title) for tag, title in titles.items() if tag in used)


def _said(by_model: Mapping[str, PatientPrediction], model: str) -> float:
    return by_model[model].said[-1] if model in by_model else float("-inf")


def _cells(data: ReportData, kind: Kind, row: PatientPrediction | None, n: int) -> tuple[Cell, ...]:
    return (Cell(MISSING),) * n if row is None else kind.cells(row, data.outcome)
