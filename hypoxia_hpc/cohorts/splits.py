"""Patients into training, validation and test: stratified, seeded, the same for any order of the input."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from hypoxia_hpc.cohorts.dealing import Member, deal, largest_remainder
from hypoxia_hpc.cohorts.grouping import Balance, deal_groups
from hypoxia_hpc.cohorts.textfiles import refuse
from hypoxia_hpc.errors import InputError, some
from hypoxia_hpc.outcomes.outcome import Outcome
from hypoxia_hpc.outcomes.registry import BINARY
from hypoxia_hpc.records import Patient

SETS = ("train", "valid", "test")
UNLABELLED = "unlabelled"


@dataclass(frozen=True, slots=True)
class SplitRule:
    """How a cohort is split. ``fractions`` of train, valid, test sum to 1. ``folds`` above 1: cross-validation, done
    ``repeats`` times over. ``together``: members of one group stay in one set. ``needed``: the strata that every set
    that is used has to hold, with their names for a reader; none where strata are only spread evenly, as the fifths of
    a score are."""

    fractions: tuple[float, float, float]
    folds: int = 1
    repeats: int = 1
    seed: int = 0
    together: bool = False
    needed: Mapping[str, str] = field(default_factory=lambda: {"0": "0", "1": "1"})


@dataclass(frozen=True, eq=False)
class Split:
    """``table``: patient_id, fold (int64, from 0), set; every patient once in each fold, sorted by fold and patient_id.
    ``balances``: where groups stay whole, how even each division came out, by what was divided."""

    table: pd.DataFrame
    balances: tuple[tuple[str, Balance], ...] = ()


def members_of(
    patients: Sequence[Patient], groups: Mapping[str, str] | None = None, outcome: Outcome = BINARY
) -> tuple[Member, ...]:
    """The patients as a split sees them, with the stratum that the outcome has for their label. ``groups``: the group
    of each patient."""
    labelled = [(each.patient_id, each.label) for each in patients if each.label is not None]
    strata = outcome.strata([label for _, label in labelled])
    stratum_of = {patient_id: stratum for (patient_id, _), stratum in zip(labelled, strata, strict=True)}
    return tuple(
        Member(
            each.patient_id,
            None if each.label is None else stratum_of[each.patient_id],
            each.tumour_type,
            (groups or {}).get(each.patient_id, ""),
        )
        for each in patients
    )


def split_members(members: Sequence[Member], rule: SplitRule) -> Split:
    """Every member into a set of every fold; without a stratum, the set is ``unlabelled``.

    With one fold, sizes follow the fractions by largest remainder. With more, every labelled patient is in the test set
    of exactly one fold of each repeat; the others of a fold are its training and validation patients, split as the
    first two of the fractions are to each other. Strata and tumour types are spread as `deal` says; whole groups, where
    they stay ``together``, as `deal_groups` says. An unlabelled patient more moves nobody.

    Raises InputError: a patient twice, one class only, too few patients or groups for every set that is used to have
    each stratum that is needed, naming the numbers.
    """
    _check(members, rule.fractions)
    labelled = [each for each in members if each.stratum is not None]
    aside = {each.patient_id: UNLABELLED for each in members if each.stratum is None}
    dealing = _Dealing(rule, labelled)
    if rule.folds == 1:
        _check_sets(labelled, rule.fractions, rule.needed)
        found = [dealing.sets(labelled, rule.fractions, str(rule.seed), "the sets")]
    else:
        _check_folds(labelled, rule)
        found = [sets for repeat in range(rule.repeats) for sets in dealing.folds(repeat)]
    return Split(_table([aside | sets for sets in found]), tuple(dealing.balances))


@dataclass
class _Dealing:
    """Deals members by one rule, and remembers how even whole groups came out."""

    rule: SplitRule
    labelled: Sequence[Member]
    balances: list[tuple[str, Balance]] = field(default_factory=list)

    def folds(self, repeat: int) -> Iterator[dict[str, str]]:
        """The set of each labelled patient in each fold of a repeat."""
        rule = self.rule
        salt = f"{rule.seed}" if repeat == 0 else f"{rule.seed} repeat {repeat}"
        tests = "the test sets" + (f" of repeat {repeat}" if rule.repeats > 1 else "")
        place_of = self.places(self.labelled, (1 / rule.folds,) * rule.folds, salt, tests)
        for fold in range(rule.folds):
            others = [each for each in self.labelled if place_of[each.patient_id] != fold]
            what = f"training and validation of fold {repeat * rule.folds + fold}"
            # A salt for each fold: its validation patients are other ones.
            fitted = self.sets(others, (*_fitted(rule), 0.0), f"{salt} fold {fold}", what)
            yield {name: SETS[2] for name, place in place_of.items() if place == fold} | fitted

    def sets(self, members: Sequence[Member], fractions: Sequence[float], salt: str, what: str) -> dict[str, str]:
        return {name: SETS[place] for name, place in self.places(members, fractions, salt, what).items()}

    def places(self, members: Sequence[Member], fractions: Sequence[float], salt: str, what: str) -> dict[str, int]:
        least = 1 if self.rule.needed else 0
        if not self.rule.together or sum(fraction > 0 for fraction in fractions) == 1:
            return deal(members, fractions, salt, least)
        placed, balance = deal_groups(members, fractions, salt, least, self.rule.needed)
        self.balances.append((what, balance))
        return placed


def _fitted(rule: SplitRule) -> tuple[float, float]:
    """Shares of training and validation among the patients of a fold who are not in its test set."""
    train, valid, _ = rule.fractions
    return train / (train + valid), valid / (train + valid)


def _table(folds: Sequence[dict[str, str]]) -> pd.DataFrame:
    parts = [(name, fold, sets[name]) for fold, sets in enumerate(folds) for name in sorted(sets)]
    return pd.DataFrame(parts, columns=["patient_id", "fold", "set"]).astype({"fold": "int64"})


def _check(members: Sequence[Member], fractions: tuple[float, float, float]) -> None:
    if min(fractions) < 0 or abs(sum(fractions) - 1) > 1e-6:
        raise InputError(f"split {list(fractions)} is no split", remedy="give three shares from 0 to 1 that sum to 1")
    repeated = [name for name, n in Counter(each.patient_id for each in members).items() if n > 1]
    refuse("patients that occur twice", sorted(repeated), "give each patient one row")


def _counts_of(labelled: Sequence[Member], needed: Mapping[str, str]) -> tuple[dict[str, int], str]:
    """How many patients each needed stratum has, by its name, and the same in words."""
    found = Counter(each.stratum for each in labelled)
    counts = {name: found[stratum] for stratum, name in needed.items()}
    text = ", ".join(f"{n} with label {name}" for name, n in counts.items())
    return counts, text or f"{len(labelled)} with a label"


def _check_folds(labelled: Sequence[Member], rule: SplitRule) -> None:
    """Of each class one patient for the test set of every fold, and what is left of any fold can be split into training
    and validation."""
    folds, least_size = rule.folds, max(2, len(rule.needed))
    counts, text = _counts_of(labelled, rule.needed)
    shares = _fitted(rule)
    needed = max(folds, _least_for(sum(share > 0 for share in shares), folds))
    offending = [f"label {name}: {some(n, 'patient')}, needed {needed}" for name, n in counts.items() if n < needed]
    others = len(labelled) - math.ceil(len(labelled) / folds)
    offending += [
        f"set {name} of a fold: {size} of {others} patients outside its test set (share {share:.2g}), "
        f"needed {least_size}"
        for name, size, share in zip(SETS, largest_remainder(others, shares), shares, strict=False)
        if share > 0 and size < least_size
    ]
    if offending:
        every = "one of each class" if len(counts) < 3 else f"one of each of {len(counts)} classes"
        every = every if counts else f"{least_size} patients"
        raise InputError(
            f"too few patients for [train] folds = {folds}: {text}; every fold needs {every} in each of its sets",
            offending=offending,
            remedy="give more labelled patients, lower [train] folds, or change [train] split",
        )


def _least_for(sets: int, folds: int) -> int:
    """The fewest patients of a class of which ``sets`` are left when the largest of ``folds`` parts is taken away."""
    return next(n for n in itertools.count(1) if n - math.ceil(n / folds) >= sets)


def _check_sets(labelled: Sequence[Member], fractions: tuple[float, float, float], needed: Mapping[str, str]) -> None:
    """Each set that is used gets at least one patient of each class."""
    counts, text = _counts_of(labelled, needed)
    least_size, total = max(2, len(needed)), len(labelled)
    sizes = largest_remainder(total, fractions)
    used = sum(fraction > 0 for fraction in fractions)
    offending = [f"label {name}: {some(n, 'patient')}, needed {used}" for name, n in counts.items() if n < used]
    offending += [
        f"set {name}: {size} of {total} labelled patients (share {fraction}), needed {least_size}"
        for name, size, fraction in zip(SETS, sizes, fractions, strict=True)
        if fraction > 0 and size < least_size
    ]
    if offending:
        enough = math.ceil(least_size / min(fraction for fraction in fractions if fraction > 0))
        one_class = total and sum(n > 0 for n in counts.values()) == 1
        only = "patients of one class only" if one_class else "too few patients to split"
        of_each = f", {used} or more of each class" if counts else ""
        raise InputError(
            f"{only}: {text}; each of the {used} sets needs at least {'one of each' if counts else least_size}",
            offending=offending,
            remedy=f"give {enough} or more labelled patients{of_each}, or change [train] split",
        )
