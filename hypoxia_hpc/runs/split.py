"""The split of a run: made as [train] says, kept in split.csv with a record of what it was made of (split.json)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from hypoxia_hpc.cohorts.dealing import Member
from hypoxia_hpc.cohorts.given_split import given_split, read_given, straddling
from hypoxia_hpc.cohorts.grouping import Balance
from hypoxia_hpc.cohorts.groups import read_groups
from hypoxia_hpc.cohorts.splits import UNLABELLED, Split, SplitRule, members_of, split_members
from hypoxia_hpc.cohorts.tables import read_split, split_csv
from hypoxia_hpc.config import RunConfig, TrainTable
from hypoxia_hpc.errors import InputError
from hypoxia_hpc.outcomes.outcome import Outcome
from hypoxia_hpc.outcomes.registry import BINARY, outcome_of
from hypoxia_hpc.reading import MOST_TABLE_BYTES, read_json, sha256_of
from hypoxia_hpc.records import Json, Patient
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.runs.identity import one_patient
from hypoxia_hpc.runs.keys import split_key
from hypoxia_hpc.stores.commit import committed_file


def split_rule(table: TrainTable, outcome: Outcome = BINARY) -> SplitRule:
    """What [train] says of the split, with the strata that every set needs for this outcome."""
    together = bool(table.keep_together)
    return SplitRule(table.split, table.folds, table.repeats, table.seed, together, outcome.needed_strata)


def make_split(table: TrainTable, members: Sequence[Member], outcome: Outcome = BINARY) -> Split:
    """The split that [train] asks for. Raises InputError where it cannot be made."""
    rule = split_rule(table, outcome)
    if table.split_file is None:
        return split_members(members, rule)
    return given_split(read_given(Path(table.split_file)), members, rule, table.split_file)


def members_of_run(run: RunDir, config: RunConfig, patients: Sequence[Patient]) -> tuple[Member, ...]:
    """The patients as the split of a run sees them. Raises what ``read_groups`` does."""
    groups, column = None, config.train.keep_together
    if column:
        labelled = [each.patient_id for each in patients if each.label is not None]
        groups = read_groups([run.patients_file, run.slides_file], column, labelled)
    return members_of(patients, groups, outcome_of(config.outcome))


def split_of_run(run: RunDir, config: RunConfig, patients: Sequence[Patient]) -> Split:
    """The split of a run: the one it keeps, where whole groups were divided and that was made of the same (the search
    for it takes seconds, and another version of the solver may find another one that is as good); else it is made.

    Raises InputError where it cannot be made.
    """
    members, table = members_of_run(run, config, patients), config.train
    if table.keep_together and table.split_file is None and (kept := _kept(run, split_key(table, members))) is not None:
        return kept
    return make_split(table, members, outcome_of(config.outcome))


def keep_split(run: RunDir, config: RunConfig, patients: Sequence[Patient], split: Split) -> None:
    """Write split.csv, then split.json. Raises MachineError."""
    text, table = split_csv(split.table), config.train
    record = {
        "schema": 1,
        "key": split_key(table, members_of_run(run, config, patients)),
        "digest": hashlib.sha256(text.encode()).hexdigest(),
        "keep_together": table.keep_together,
        "split_file": "" if table.split_file is None else Path(table.split_file).name,
        "balances": [{"of": what, **asdict(balance)} for what, balance in split.balances],
    }
    committed_file(run.split_file, text.encode())
    committed_file(run.split_record_file, (json.dumps(record, indent=1) + "\n").encode())


def split_problems(run: RunDir) -> list[str]:
    """What is wrong with split.csv: a patient in two sets of a fold (also one who has two ids, or whose slide is
    another's too) or, where [train] keeps them together, a group; or text that is not as it was written."""
    try:
        split = read_split(run.split_file)
    except InputError as error:
        return [f"{error.problem}: {'; '.join(error.offending)}"]
    record = _record(run)
    problems = []
    if record is not None and record.get("digest") != sha256_of(run.split_file, MOST_TABLE_BYTES):
        problems.append("split.csv is not as it was written")
    return problems + _straddling(run, split)


def _straddling(run: RunDir, split: pd.DataFrame) -> list[str]:
    config, slides = run.config(), run.slides()
    groupings = [one_patient(run, slides, config.extract.name)]
    if config.train.keep_together:
        known = {slide.patient_id for slide in slides}
        placed = known.intersection(split.loc[split["set"] != UNLABELLED, "patient_id"])
        groupings.append(read_groups([run.patients_file, run.slides_file], config.train.keep_together, placed))
    return [
        problem
        for fold, part in split.groupby("fold")
        for groups in groupings
        for problem in straddling(dict(zip(part["patient_id"], part["set"], strict=True)), groups, f" of fold {fold}")
    ]


def _kept(run: RunDir, key: str) -> Split | None:
    record = _record(run)
    if record is None or record.get("key") != key or not run.split_file.exists():
        return None
    if record.get("digest") != sha256_of(run.split_file, MOST_TABLE_BYTES):
        return None
    table = read_split(run.split_file).sort_values(["fold", "patient_id"], ignore_index=True)
    balances = _balances(record)
    return None if balances is None else Split(table, balances)


def _balances(record: Mapping[str, Any]) -> tuple[tuple[str, Balance], ...] | None:
    """None where the record is damaged."""
    try:
        return tuple(
            (str(one["of"]), Balance(float(one["off"]), float(one["least_off"]), bool(one["is_best"])))
            for one in record["balances"]
        )
    except (KeyError, TypeError, ValueError):
        return None


def _record(run: RunDir) -> Json | None:
    try:
        record = read_json(run.split_record_file)
    except (FileNotFoundError, ValueError):
        return None
    return record if isinstance(record, dict) else None
