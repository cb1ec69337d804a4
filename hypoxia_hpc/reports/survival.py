"""The part of the page about survival: curves with numbers at risk, hazard table, forest plots. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hypoxia_hpc.records import Json
from hypoxia_hpc.reports.figures import Figure, legend_of, stem
from hypoxia_hpc.reports.plots import Frame, Line, forest_plot, line_plot
from hypoxia_hpc.reports.tables import Cell, Column, DataTable, Row, number
from hypoxia_hpc.reports.text import MISSING, count_of, fixed, interval, p_value

MOST_FOREST_ROWS = 60
DISCOVERY = "discovery"
GROUPS = {"low": "lower risk", "high": "higher risk"}


@dataclass(frozen=True, slots=True)
class AtRisk:
    """Numbers at risk under the curves of a set: ``rows`` are name and numbers at each of ``times``."""

    times: tuple[str, ...]
    rows: tuple[tuple[str, tuple[int, ...]], ...]


@dataclass(frozen=True, slots=True)
class SurvivalPart:
    """What the page has of one endpoint. ``sets``: a row for each set of patients, as text; ``curves``: a figure with
    the numbers at risk under it; ``forests``, ``hazards`` (None: no table)."""

    endpoint: str
    unit: str
    sentences: tuple[str, ...]
    sets: tuple[tuple[str, ...], ...]
    curves: tuple[tuple[Figure, AtRisk], ...]
    forests: tuple[Figure, ...]
    hazards: DataTable | None

    @property
    def figures(self) -> tuple[Figure, ...]:
        return (*(figure for figure, _ in self.curves), *self.forests)


SET_COLUMNS = (
    "patients",
    "n",
    "events",
    "concordance, Harrell",
    "Uno",
    "integrated Brier",
    "high / low hazard",
    "log-rank",
)


def survival_parts(content: Json) -> tuple[SurvivalPart, ...]:
    """Of the content of survival.json, a part for each endpoint; none where it is empty."""
    return tuple(
        SurvivalPart(
            endpoint,
            content["time_unit"],
            tuple(_sentences(found)),
            tuple(_set_rows(found)) if found["signature"] else (),
            tuple(_curves(endpoint, found, content)) if found["signature"] else (),
            tuple(_forests(endpoint, found)),
            _hazard_table(endpoint, found) if found.get("screen") else None,
        )
        for endpoint, found in content.get("endpoints", {}).items()
    )


def _sentences(found: Json) -> Iterator[str]:
    signature = found["signature"]
    if signature is None:
        yield f"No signature: {found['why']}."
    else:
        yield (
            f"The risk is made of {', '.join(signature['columns'])}; above {signature['cut']:.3g} it is called higher."
        )
    for why, ids in found["left_out"].items():
        yield f"Left out, {why}: {count_of(len(ids), 'patient')}."
    for note in found["notes"]:
        yield f"{note[0].upper()}{note[1:]}."
    if "constancy" in found:
        yield f"Proportional hazards, all columns together: {_p(found['constancy']['together']['p'])} against them."
    yield from _corrected(found)
    for name, one in found["sets"].items():
        yield from _beside(name, one)


def _corrected(found: Json) -> Iterator[str]:
    if "optimism" not in found:
        return
    optimism, folds = found["optimism"], found["cross_fitted"]
    harrell = optimism["figures"]["harrell"]
    yield (
        f"In discovery the concordance is {fixed(harrell['apparent'], 2)}, uncorrected; "
        f"{fixed(harrell['corrected'], 2)} with the optimism of {optimism['resamples']} of {optimism['asked']} "
        "resamples taken off, in which the whole signature was made anew."
    )
    if "why" in folds:
        yield f"Groups by signatures of other folds: none, {folds['why']}."
    else:
        yield (
            f"With each patient of discovery in a group by a signature of the other of {folds['folds']} folds: "
            f"{_p(folds['log_rank']['p'])}, hazard ratio {_ratio(folds['ratio'])}."
        )


def _beside(name: str, one: Json) -> Iterator[str]:
    if "adjusted" in one:
        found = one["adjusted"]
        rows = {row["name"]: row for row in found.get("rows", ())}
        said = _of_row(rows["risk"]) if rows else f"none, {found['why']}"
        others = ", ".join(column for column in rows if column != "risk")
        yield (
            f"{name}: hazard ratio of the risk for a standard deviation, "
            f"{f'beside {others}' if others else 'adjusted'}: {said} ({count_of(found['patients'], 'patient')})."
        )
    if "interaction" in one:
        found = one["interaction"]
        yield f"{name}: interaction of the risk with treatment: {_p(found.get('p'))}{_because(found)}."


def _because(found: Json) -> str:
    return f", {found['why']}" if "why" in found else ""


def _of_row(row: Json) -> str:
    return f"{fixed(row['ratio'], 2)} ({interval(row['low'], row['high'], 2)}), {_p(row['p'])}"


def _ratio(ratio: Json) -> str:
    return f"{fixed(ratio['value'], 2)} ({interval(ratio['low'], ratio['high'], 2)})" if "value" in ratio else MISSING


def _p(p: float | None) -> str:
    return MISSING if p is None else p_value(p)


def _set_rows(found: Json) -> Iterator[tuple[str, ...]]:
    for name, one in found["sets"].items():
        figures = one["figures"]
        shown = f"{name}, uncorrected" if name == DISCOVERY else name
        yield (
            shown,
            f"{one['patients']:,}",
            f"{one['events']:,}",
            *(_figure(figures[each]) for each in ("harrell", "uno", "integrated_brier")),
            _ratio(one["ratio"]),
            _p(one["log_rank"]["p"]),
        )


def _figure(one: Json) -> str:
    bounds = interval(one.get("low"), one.get("high"), 2)
    return f"{fixed(one['value'], 2)} ({bounds})" if bounds else fixed(one["value"], 2)


def _curves(endpoint: str, found: Json, content: Json) -> Iterator[tuple[Figure, AtRisk]]:
    for set_name, one in found["sets"].items():
        groups = {name: one["groups"][name] for name in GROUPS}  # a JSON file has them by name
        drawn_groups = [(place, name) for place, name in enumerate(groups, 1) if groups[name]["patients"]]
        lines = [_line(GROUPS[name], groups[name], place) for place, name in drawn_groups]
        name = f"survival-{stem(endpoint)}-{stem(set_name)}"
        frame = Frame(f"{endpoint} ({content['time_unit']})", "share without the event", xlim=None, ylim=(-0.02, 1.02))
        sizes = "; ".join(
            f"{GROUPS[group]}: {count_of(each['patients'], 'patient')}, {count_of(each['events'], 'event')}, median "
            f"{MISSING if each['median'] is None else format(each['median'], '.4g')}"
            for group, each in groups.items()
        )
        uncorrected = ", uncorrected" if set_name == DISCOVERY else ""
        note = f"Log-rank {_p(one['log_rank']['p'])}{uncorrected}. {sizes}."
        rows = tuple(
            (GROUPS[group], *step)
            for group, each in groups.items()
            for step in zip(*each["curve"].values(), strict=True)
        )
        columns = ("group", "time", "share", "low", "high", "at_risk")
        alt = f"Kaplan-Meier curves of the groups with lower and higher risk, {set_name}. {note}"
        title = f"Kaplan-Meier, {set_name}{uncorrected}"
        drawn = line_plot(name, frame, lines)
        yield Figure(name, title, drawn, alt, columns, rows, note, legend_of(lines)), _numbers_at_risk(one["at_risk"])


def _line(label: str, group: Json, series: int) -> Line:
    """From 0, where all are without the event, to the end of the follow-up; where there is no interval, none."""
    curve = {name: [np.nan if one is None else float(one) for one in column] for name, column in group["curve"].items()}
    shares, low, high = ([1.0, *curve[name]] for name in ("shares", "low", "high"))
    times = np.array([0.0, *curve["times"], max(group["last"], *curve["times"], 0.0)])
    spans = np.column_stack([np.array([*low, low[-1]]), np.array([*high, high[-1]])])
    return Line(label, times, np.array([*shares, shares[-1]]), series, spans, is_steps=True)


def _numbers_at_risk(table: Json) -> AtRisk:
    times = tuple(f"{one:g}" for one in table["times"])
    return AtRisk(times, tuple((GROUPS[name], tuple(table[name])) for name in GROUPS))


def _forests(endpoint: str, found: Json) -> Iterator[Figure]:
    hazards = [row for row in found.get("hazards", ()) if row["ratio"] is not None]
    if hazards:
        rows = [(row["name"], row["ratio"], row["low"], row["high"]) for row in hazards[:MOST_FOREST_ROWS]]
        yield _forest(f"forest-{stem(endpoint)}", "Hazard ratios of the signature", rows)
    for set_name, one in found["sets"].items():
        groups = [
            (f"{each['column']}: {each['group']} ({each['events']} events)", *_numbers(each["per_spread"]))
            for each in one.get("subgroups", ())
            if "value" in each["per_spread"]
        ]
        if groups:
            name = f"subgroups-{stem(endpoint)}-{stem(set_name)}"
            title = f"The risk in subgroups, {set_name}{', uncorrected' if set_name == DISCOVERY else ''}"
            yield _forest(name, title, groups[:MOST_FOREST_ROWS])


def _numbers(ratio: Mapping[str, float]) -> tuple[float, float, float]:
    return ratio["value"], ratio["low"], ratio["high"]


def _forest(name: str, title: str, rows: Sequence[tuple[str, float, float, float]]) -> Figure:
    frame = Frame("hazard ratio for a standard deviation", "", xlim=None, ylim=None)
    alt = f"{title}, for a standard deviation: " + "; ".join(
        f"{label} {fixed(ratio, 2)} ({interval(low, high, 2)})" for label, ratio, low, high in rows
    )
    return Figure(name, title, forest_plot(name, frame, rows), f"{alt}.", ("name", "ratio", "low", "high"), tuple(rows))


HAZARD_COLUMNS = (
    Column("column"),
    Column("alone", hint="hazard ratio for a standard deviation, this column by itself", is_number=True),
    Column("alone, interval"),
    Column("p", is_number=True),
    Column("q", is_number=True, hint="p corrected for the number of columns (Benjamini and Hochberg)"),
    Column("together", is_number=True, hint="hazard ratio for a standard deviation beside the other columns"),
    Column("together, interval"),
    Column("p, together", is_number=True),
    Column("p of the check", is_number=True, hint="against a hazard ratio that stays the same over time"),
    Column("left out because"),
)


def _hazard_table(endpoint: str, found: Json) -> DataTable:
    together = {row["name"]: row for row in found.get("hazards", ())}
    checks = found.get("constancy", {}).get("columns", {})
    nothing: Json = dict.fromkeys(("ratio", "low", "high", "p"))
    rows = []
    for row in found["screen"]:
        other, check = together.get(row["name"], nothing), checks.get(row["name"], nothing)
        rows.append(
            Row(
                (
                    Cell(row["name"]),
                    *_cells(row),
                    _small(row["q"]),
                    *_cells(other),
                    _small(check["p"]),
                    Cell(row["why"]),
                ),
                ("kept",) if row["kept"] else (),
            )
        )
    filters = (("kept", "in the signature"),)
    return DataTable(f"hazards-{stem(endpoint)}", f"hazards of {endpoint}", HAZARD_COLUMNS, tuple(rows), filters)


def _cells(row: Json) -> tuple[Cell, Cell, Cell]:
    return number(row["ratio"], 2), Cell(interval(row["low"], row["high"], 2)), _small(row["p"])


def _small(p: float | None) -> Cell:
    return Cell(MISSING) if p is None else Cell(_p(p).removeprefix("p = ").removeprefix("p "), p)
