"""A split that the user gives: read, checked against the cohort, and used as it is."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd

from hypoxia_hpc.cohorts.barcodes import plain_patient_id
from hypoxia_hpc.cohorts.csvfiles import read_table
from hypoxia_hpc.cohorts.dealing import Member
from hypoxia_hpc.cohorts.splits import SETS, UNLABELLED, Split, SplitRule
from hypoxia_hpc.cohorts.textfiles import refuse, unguard
from hypoxia_hpc.errors import InputError

# Other names of sets, as other programs write them.
NAMES = {"training": "train", "val": "valid", "validation": "valid", "testing": "test"}
OF_FILE = "mend the table, or leave out [train] split_file"
# Of sets in a table of images.
OF_IMAGES = (
    "give patients of TRAIN, VALID and TEST, some of each class in each (is_valid has no TEST); or leave the column of "
    "sets out, and train makes a split"
)
_COUNT = re.compile(r"\d{1,3}", re.ASCII)


def read_given(path: Path) -> pd.DataFrame:
    """patient_id, fold (int64; 0 without such a column), set of a table with these columns. Raises InputError with
    every wrong cell."""
    table = read_table(path, ("patient_id", "set"), ("fold",)).map(unguard).map(str.strip)
    table = table.assign(
        patient_id=table["patient_id"].map(plain_patient_id),
        fold=table.get("fold", "0"),
        set=table["set"].str.casefold().replace(NAMES),
    )
    rules = {"patient_id": (table["patient_id"] == "", "is empty")}
    rules |= {"fold": (~table["fold"].str.fullmatch(_COUNT), "is not a whole number from 0")}
    rules |= {"set": (~table["set"].isin([*SETS, UNLABELLED]), f"is none of {', '.join(SETS)}")}
    offending = [
        f"line {line}: {column} {cell!r} {rule}"
        for column, (wrong, rule) in rules.items()
        for line, cell in table.loc[wrong, column].items()
    ]
    key = table["patient_id"] + " in fold " + table["fold"]
    offending += [
        f"patient {name}: lines {', '.join(map(str, rows.index))}, sets {', '.join(rows['set'])}"
        for name, rows in table[key.duplicated(keep=False)].groupby(key)
    ]
    refuse(f"{path} has {len(offending)} wrong entries", offending, "each patient stands once in each fold, in one set")
    return table[["patient_id", "fold", "set"]].astype({"fold": "int64"}).reset_index(drop=True)


def given_split(
    given: pd.DataFrame, members: Sequence[Member], rule: SplitRule, source: str, remedy: str = OF_FILE
) -> Split:
    """A given split of these members: theirs as it says, the unlabelled ones without a set; others are left out.

    Raises InputError where it has other folds than the rule, lacks a labelled patient in a fold, has a patient in more
    test sets than there are repeats, has a set without a stratum that is needed, or a group in two sets of a fold that
    should stay together.
    """
    folds, expected = sorted(set(given["fold"])), list(range(rule.folds * rule.repeats))
    if folds != expected:
        raise InputError(
            f"{source} has the folds {', '.join(map(str, folds))}, and [train] asks for {len(expected)} (from 0)",
            remedy=f"set [train] folds = {len(folds)}, or number the folds of the table from 0",
        )
    sets = {fold: dict(zip(part["patient_id"], part["set"], strict=True)) for fold, part in given.groupby("fold")}
    labelled = {each.patient_id: each for each in members if each.stratum is not None}
    offending = [problem for fold in folds for problem in _wrong(fold, sets[fold], labelled, rule)]
    tested = Counter(name for found in sets.values() for name in labelled if found.get(name) == SETS[2])
    offending += [
        f"patient {name} is in the test set of {n} folds" for name, n in sorted(tested.items()) if n > rule.repeats
    ]
    refuse(f"{source} is no split of this cohort", offending, remedy)
    rows = [
        (each.patient_id, fold, sets[fold][each.patient_id] if each.patient_id in labelled else UNLABELLED)
        for fold in folds
        for each in sorted(members, key=lambda each: each.patient_id)
    ]
    return Split(pd.DataFrame(rows, columns=["patient_id", "fold", "set"]).astype({"fold": "int64"}))


def _wrong(fold: int, sets: Mapping[str, str], labelled: Mapping[str, Member], rule: SplitRule) -> Iterator[str]:
    for name in sorted(labelled):
        if sets.get(name, UNLABELLED) == UNLABELLED:
            yield f"patient {name} has a label and no set in fold {fold}"
    used = {sets[name] for name in labelled if name in sets} | {SETS[0], SETS[2]}
    for set_name in SETS:
        held = {each.stratum for name, each in labelled.items() if sets.get(name) == set_name}
        if set_name in used and (lacking := [name for one, name in rule.needed.items() if one not in held]):
            yield f"set {set_name} of fold {fold} has no patient with label {' or '.join(lacking)}"
    if rule.together:
        yield from straddling(sets, {name: each.group for name, each in labelled.items()}, f" of fold {fold}")


def straddling(sets: Mapping[str, str], groups: Mapping[str, str], where: str = "") -> list[str]:
    """A sentence for each group that is in more than one set."""
    found: dict[str, dict[str, str]] = {}
    for name, group in sorted(groups.items()):
        if sets.get(name, UNLABELLED) != UNLABELLED:
            found.setdefault(group, {}).setdefault(sets[name], name)
    return [
        f"group {group} is in {len(held)} sets{where}: " + ", ".join(f"{one} ({name})" for one, name in held.items())
        for group, held in found.items()
        if len(held) > 1
    ]
