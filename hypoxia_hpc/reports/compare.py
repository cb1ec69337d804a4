"""Several runs side by side: what their lead models reach, whom they are about, which settings differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hypoxia_hpc.records import Json
from hypoxia_hpc.reports.content import SHOWN_SETS
from hypoxia_hpc.reports.data import ReportData
from hypoxia_hpc.reports.kinds.registry import KINDS
from hypoxia_hpc.reports.lead import lead_model, measured_set
from hypoxia_hpc.reports.methods import flattened
from hypoxia_hpc.reports.summary import value_and_span, verdict
from hypoxia_hpc.reports.text import MISSING, thousands

# Where a run lies and what the machine has is no difference of results.
NO_DIFFERENCE = "site"


@dataclass(frozen=True, slots=True)
class SideBySide:
    """``runs`` are titles, the values of every line in their order."""

    runs: tuple[str, ...]
    results: tuple[tuple[str, tuple[str, ...]], ...]
    cohorts: tuple[tuple[str, tuple[str, ...]], ...]
    settings: tuple[tuple[str, tuple[str, ...]], ...]


def side_by_side(runs: Sequence[ReportData]) -> SideBySide:
    """The runs as lines of a table."""
    return SideBySide(
        tuple(run.title for run in runs),
        _lines([_results(run) for run in runs]),
        _lines([_cohort(run) for run in runs]),
        tuple(line for line in _lines([_settings(run.settings) for run in runs]) if len(set(line[1])) > 1),
    )


def _lines(columns: Sequence[Mapping[str, str]]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The union of the names in their order, a dash where a run has none."""
    names = dict.fromkeys(name for column in columns for name in column)
    return tuple((name, tuple(column.get(name) or MISSING for column in columns)) for name in names)


def _results(run: ReportData) -> dict[str, str]:
    kind = KINDS[run.outcome.kind]
    lead, _ = lead_model(run, kind.headline)
    set_name = measured_set(run, lead)
    found = run.metrics.get("models", {}).get(lead, {}).get(set_name, {}).get("patient", {})
    names = [(name, title) for group in kind.metric_groups(run).values() for name, title in group.items()]
    there = {name for name, one in found.items() if one.get("value") is not None}
    values = {title: value_and_span(found[name]) for name, title in names if name in there}
    n = max((one["n"] for one in found.values()), default=0)
    head = {
        "model": lead,
        "test patients": thousands(n),
        "against chance": verdict(run.metrics.get("chance", {}), lead),
    }
    return head | values


def _cohort(run: ReportData) -> dict[str, str]:
    sets = [one.set_name for one in run.patients]
    ordered = [name for name in SHOWN_SETS if name in sets] + sorted(set(sets) - {*SHOWN_SETS, ""})
    return {
        "patients": thousands(len(run.patients)),
        **{f"patients, {name}": thousands(sets.count(name)) for name in ordered},
        "slides": thousands(len(run.slides)),
        "slides quarantined": thousands(len({one.slide_id for one in run.quarantined})),
    }


def _settings(settings: Json) -> dict[str, str]:
    return {name: word for name, word in flattened(settings).items() if name.partition(".")[0] != NO_DIFFERENCE}
