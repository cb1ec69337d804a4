"""One endpoint, as overall survival: a signature made on discovery patients, measured on them and on others. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hypoxia_hpc.analysis.cox import CoxFit, fit_cox
from hypoxia_hpc.analysis.proportional_hazards import constancy
from hypoxia_hpc.cohorts.covariates import Covariate, learnt
from hypoxia_hpc.cohorts.follow_ups import FollowUps, Words, follow_ups
from hypoxia_hpc.config.survival import SurvivalTable
from hypoxia_hpc.evaluation.candidates import Candidates, Source, learn
from hypoxia_hpc.evaluation.prognosis import (
    Watch,
    adjusted,
    counts,
    cross_fitted,
    interaction,
    measured,
    of_subgroup,
    one_group,
    optimism_of,
    watch_of,
)
from hypoxia_hpc.evaluation.signature import (
    Followed,
    Made,
    Rules,
    Signature,
    hazard_rows,
    make_signature,
    plain,
    screen_rows,
)
from hypoxia_hpc.records import AnyArray, Float64Array, Json

DISCOVERY = "discovery"
LEAST_IN_GROUP = 10


@dataclass(frozen=True, slots=True)
class Frozen:
    """What discovery leaves for other patients: how columns are made, the signature (None: there is none), when
    predictions are looked at, and the standard deviation of the risk."""

    candidates: Candidates
    signature: Signature | None
    watch: Watch
    spread: float
    why: str = ""


@dataclass(frozen=True, slots=True)
class Assessed:
    """``content`` for survival.json; ``risks`` of every patient with a follow-up and all columns, by id."""

    content: Json
    risks: Mapping[str, float]
    frozen: Frozen


def rules_of(table: SurvivalTable, confidence: float) -> Rules:
    """The rules of [survival]; a single column of a model is not screened by its p."""
    screen_p = 1.0 if table.of == "predictions" else table.screen_p
    return Rules(
        table.least_carriers, table.events_per_column, screen_p, table.ridge, table.ties, table.cut, confidence
    )


def words_of(table: SurvivalTable, number: int) -> Words:
    """How the columns of an endpoint are read."""
    return Words(table.times[number], table.events[number], table.time_unit, table.event_words, table.censored_words)


def discover(
    source: Source, sets: Sequence[str], table: SurvivalTable, number: int, confidence: float, seed: int
) -> Assessed:
    """Make the signature of endpoint ``number`` on patients whose set is ``discovery``, and measure every set. ``sets``
    (n,): "" for patients in none."""
    words = words_of(table, number)
    followed = _followed(source, words)
    in_discovery = np.array([name == DISCOVERY for name in sets]) & followed.usable
    candidates = learn(source, table, in_discovery)
    values, names = candidates.values(source), candidates.names
    known = followed.usable & ~np.isnan(values).any(axis=1)
    whole = Followed(followed.time, followed.event, values)
    mine = whole.rows(in_discovery & known)
    rules = rules_of(table, confidence)
    made = make_signature(mine, names, rules)
    watch = watch_of(mine.time, mine.event, table.horizons)
    frozen = Frozen(candidates, made.signature, watch, 1.0, made.why)
    content: Json = {"screen": screen_rows(made.screened, mine, names, confidence), "why": made.why}
    if made.signature is not None:
        frozen = Frozen(candidates, made.signature, watch, float(made.signature.risk(names, mine.values).std()))
        content |= _of_fit(made, mine, names, rules)
        content |= {
            "optimism": optimism_of(mine, names, rules, watch, table.bootstrap, seed),
            "cross_fitted": cross_fitted(mine, names, rules, table.folds, seed),
        }
    return _with_sets(source, sets, followed, whole, known, frozen, table, rules, content)


def apply(
    source: Source, sets: Sequence[str], table: SurvivalTable, number: int, confidence: float, frozen: Frozen
) -> Assessed:
    """Measure every set by a frozen signature: nothing is fitted but what describes these patients."""
    followed = _followed(source, words_of(table, number))
    values = frozen.candidates.values(source)
    known = followed.usable & ~np.isnan(values).any(axis=1)
    whole = Followed(followed.time, followed.event, values)
    rules = rules_of(table, confidence)
    return _with_sets(source, sets, followed, whole, known, frozen, table, rules, {"why": frozen.why})


def _followed(source: Source, words: Words) -> FollowUps:
    return follow_ups(source.patient_ids, source.cells[words.time], source.cells[words.event], words)


def _of_fit(made: Made, mine: Followed, names: Sequence[str], rules: Rules) -> Json:
    """The hazard table of the signature, and whether its hazard ratios stay the same."""
    if made.fit is None:
        return {}
    kept = mine._replace(values=mine.values[:, made.screened.kept])
    columns = [names[place] for place in made.screened.kept]
    return {
        "hazards": hazard_rows(made.fit, columns, rules.confidence),
        "likelihood_ratio_p": made.fit.likelihood_ratio_p,
        "constancy": _constancy(made.fit, kept, columns),
    }


def _constancy(fit: CoxFit, kept: Followed, columns: Sequence[str]) -> Json:
    # The check is of the model without a ridge.
    found = constancy(fit if fit.ridge == 0 else fit_cox(*kept, ties=fit.ties), *kept)
    tests = zip(found.statistics, found.p_values, found.slopes, strict=True)
    by_column = {
        name: plain({"statistic": one, "p": p, "slope": slope})
        for name, (one, p, slope) in zip(columns, tests, strict=True)
    }
    return {"columns": by_column, "together": plain({"statistic": found.together, "p": found.together_p})}


def _with_sets(
    source: Source,
    sets: Sequence[str],
    followed: FollowUps,
    whole: Followed,
    known: AnyArray,
    frozen: Frozen,
    table: SurvivalTable,
    rules: Rules,
    content: Json,
) -> Assessed:
    left_out = _left_out(source, sets, followed, known)
    content = content | {"left_out": left_out, "notes": list(followed.notes), "sets": {}}
    ids, placed = np.array(source.patient_ids, dtype=object), np.array(sets, dtype=object)
    risks: dict[str, float] = {}
    for name in sorted(set(placed[known].tolist()) - {""}):
        rows = known & (placed == name)
        patients = whole.rows(rows)
        content["sets"][name] = counts(patients)
        if frozen.signature is not None:
            risk = frozen.signature.risk(frozen.candidates.names, patients.values)
            risks |= dict(zip(ids[rows].tolist(), risk.tolist(), strict=True))
            content["sets"][name] = {
                **measured(patients, risk, frozen.signature, frozen.watch, rules.confidence),
                **_beside(source, rows, patients, risk, frozen, table, rules),
            }
            if why := one_group(name, risk, frozen.signature.cut, is_frozen=name != DISCOVERY):
                content["sets"][name]["one_group"] = why
                content["notes"].append(why)
    return Assessed(content, risks, frozen)


def _left_out(source: Source, sets: Sequence[str], followed: FollowUps, known: AnyArray) -> Json:
    """Ids of patients that are not measured, by reason."""
    ids, is_placed = np.array(source.patient_ids, dtype=object), np.array([name != "" for name in sets], dtype=bool)
    reasons = {
        "no value of a column": followed.usable & ~known & is_placed,
        "in no set": followed.usable & ~is_placed,
    }
    return followed.left_out | {why: ids[which].tolist() for why, which in reasons.items() if which.any()}


def _beside(
    source: Source,
    rows: AnyArray,
    patients: Followed,
    risk: Float64Array,
    frozen: Frozen,
    table: SurvivalTable,
    rules: Rules,
) -> Json:
    """The risk beside other columns, by treatment and in subgroups, among the patients ``rows``."""
    found: Json = {"subgroups": []}
    if table.adjust:
        others, names, there = _columns(source, rows, table.adjust)
        found["adjusted"] = adjusted(patients.rows(there), risk[there], others[there], names, rules)
    if table.treatment:
        arms, names, there = _columns(source, rows, (table.treatment,))
        found["interaction"] = interaction(patients.rows(there), risk[there], arms[there], names, rules)
    for column in table.subgroups:
        found["subgroups"] += _subgroups(
            np.array(source.cells[column], dtype=object)[rows], column, patients, risk, frozen, rules
        )
    return found


def _subgroups(
    cells: AnyArray, column: str, patients: Followed, risk: Float64Array, frozen: Frozen, rules: Rules
) -> list[Json]:
    """Of each value of a column that enough patients have."""
    cut = 0.0 if frozen.signature is None else frozen.signature.cut
    members = {word: cells == word for word in sorted(set(cells.tolist()) - {""})}
    return [
        {"column": column, "group": word, **of_subgroup(patients.rows(own), risk[own], cut, frozen.spread, rules)}
        for word, own in members.items()
        if own.sum() >= LEAST_IN_GROUP
    ]


def _columns(source: Source, rows: AnyArray, columns: Sequence[str]) -> tuple[Float64Array, list[str], AnyArray]:
    """The columns as numbers for the patients ``rows``, their names, and who of them has all."""
    made: list[Covariate] = [learnt(name, source.cells[name], rows) for name in columns]
    values = np.column_stack([one.values(source.cells[one.name]) for one in made])[rows]
    there = np.asarray(~np.isnan(values).any(axis=1))
    return values, [name for one in made for name in one.columns], there
