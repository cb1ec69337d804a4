"""Patients into training, validation and test: stratified, seeded, the same for any order of the input."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pandas as pd

from hypoxia_hpc.cohorts.csvfiles import refuse
from hypoxia_hpc.errors import InputError
from hypoxia_hpc.records import Patient

SETS = ("train", "valid", "test")
UNLABELLED = "unlabelled"


def split_patients(patients: Sequence[Patient], fractions: tuple[float, float, float], seed: int) -> pd.DataFrame:
    """patient_id, fold (0), set: every patient once, sorted by patient_id; without a label, the set is ``unlabelled``.

    ``fractions`` of train, valid, test sum to 1; the sizes follow them by largest remainder. Each class is spread over
    the sets within one patient of its share (further only where a set would lack a class), and so is each tumour type
    of a class within two. Raises InputError: a patient twice, one class only, too few patients for every set that is
    not empty to have one of each class.
    """
    _check(patients, fractions)
    _check_sets(patients, fractions)
    sets = {each.patient_id: UNLABELLED for each in patients if each.label is None}
    sets |= {name: SETS[place] for name, place in _deal(patients, fractions, seed).items()}
    patient_ids = sorted(sets)
    return pd.DataFrame({"patient_id": patient_ids, "fold": 0, "set": [sets[name] for name in patient_ids]})


def split_folds(
    patients: Sequence[Patient], fractions: tuple[float, float, float], folds: int, seed: int
) -> pd.DataFrame:
    """patient_id, fold, set: every patient once in each of ``folds`` folds, sorted by fold and patient_id.

    Every labelled patient is in the test set of exactly one fold; each class is spread over the test sets within one
    patient of its share, each tumour type of a class within two. The others of a fold are its training and validation
    patients, split as the first two of ``fractions`` (above 0 the first) are to each other. With one fold this is
    `split_patients`. Raises InputError as that one does, naming the numbers.
    """
    if folds == 1:
        return split_patients(patients, fractions, seed)
    _check(patients, fractions)
    labelled = [each for each in patients if each.label is not None]
    train, valid = (fraction / (fractions[0] + fractions[1]) for fraction in fractions[:2])
    _check_folds(labelled, (train, valid), folds)
    test_fold = _deal(labelled, (1 / folds,) * folds, seed)
    unlabelled = [each.patient_id for each in patients if each.label is None]
    parts = []
    for fold in range(folds):
        others = [each for each in labelled if test_fold[each.patient_id] != fold]
        # A seed for each fold: its validation patients are other ones.
        fitted = split_patients(others, (train, valid, 0.0), seed + fold + 1)
        tested = [name for name, where in test_fold.items() if where == fold]
        left = pd.DataFrame({"patient_id": [*tested, *unlabelled]})
        left["set"] = [SETS[2]] * len(tested) + [UNLABELLED] * len(unlabelled)
        part = pd.concat([fitted[["patient_id", "set"]], left]).sort_values("patient_id")
        parts.append(part.assign(fold=fold)[["patient_id", "fold", "set"]])
    return pd.concat(parts, ignore_index=True)


def largest_remainder(total: int, fractions: Sequence[float]) -> list[int]:
    """Whole numbers that sum to ``total``, each within one of its share of it (Hamilton's method; ties: the first)."""
    quotas = [total * fraction / sum(fractions) for fraction in fractions]
    sizes = [math.floor(quota + 1e-9) for quota in quotas]  # 0.15 * 100 is 15.000000000000002, 0.29 * 100 below 29
    by_remainder = sorted(range(len(sizes)), key=lambda i: (round(sizes[i] - quotas[i], 9), i))
    for i in by_remainder[: total - sum(sizes)]:
        sizes[i] += 1
    return sizes


def _check(patients: Sequence[Patient], fractions: tuple[float, float, float]) -> None:
    if min(fractions) < 0 or abs(sum(fractions) - 1) > 1e-6:
        raise InputError(f"split {list(fractions)} is no split", remedy="give three shares from 0 to 1 that sum to 1")
    repeated = [name for name, n in Counter(each.patient_id for each in patients).items() if n > 1]
    refuse("patients that occur twice", sorted(repeated), "give each patient one row")


def _deal(patients: Sequence[Patient], fractions: Sequence[float], seed: int) -> dict[str, int]:
    """The place, one of ``len(fractions)``, of each labelled patient. Each class has enough patients."""
    by_class = [[each for each in patients if each.label == label] for label in (0, 1)]
    rank, turns = _random_ranks(patients, seed)
    sizes = largest_remainder(len(by_class[0]) + len(by_class[1]), fractions)
    ones = _ones_per_set(len(by_class[1]), sizes)
    counts = [size - one for size, one in zip(sizes, ones, strict=True)], ones
    dealt: dict[str, int] = {}
    for members, count, turn in zip(by_class, counts, turns, strict=True):
        # Rotated by a random number of places, so that a tumour type with one patient does not always get the same
        # place.
        places = np.roll(_spread(count), turn % len(members)).tolist()
        dealt |= {each.patient_id: place for each, place in zip(_types_together(members, rank), places, strict=True)}
    return dealt


def _class_sizes(patients: Sequence[Patient]) -> tuple[int, int]:
    counts = Counter(each.label for each in patients)
    return counts[0], counts[1]


def _check_folds(labelled: Sequence[Patient], shares: tuple[float, float], folds: int) -> None:
    """Of each class one patient for the test set of every fold, and what is left of any fold can be split by
    ``shares`` into training and validation."""
    n_0, n_1 = _class_sizes(labelled)
    used = sum(share > 0 for share in shares)
    needed = max(folds, _least_for(used, folds))
    offending = [f"label {label}: {n} patients, needed {needed}" for label, n in ((0, n_0), (1, n_1)) if n < needed]
    others = n_0 + n_1 - math.ceil((n_0 + n_1) / folds)
    offending += [
        f"set {name} of a fold: {size} of {others} patients outside its test set (share {share:.2g}), needed 2"
        for name, size, share in zip(SETS, largest_remainder(others, shares), shares, strict=False)
        if share > 0 and size < 2
    ]
    if offending:
        raise InputError(
            f"too few patients for [train] folds = {folds}: {n_0} with label 0, {n_1} with label 1; every fold needs "
            "one of each class in each of its sets",
            offending=offending,
            remedy="give more labelled patients, lower [train] folds, or change [train] split",
        )


def _least_for(sets: int, folds: int) -> int:
    """The fewest patients of a class of which ``sets`` are left when the largest of ``folds`` parts is taken away."""
    return next(n for n in itertools.count(1) if n - math.ceil(n / folds) >= sets)


def _check_sets(patients: Sequence[Patient], fractions: tuple[float, float, float]) -> None:
    """Each set that is used gets at least one patient of either class."""
    n_0, n_1 = _class_sizes(patients)
    sizes = largest_remainder(n_0 + n_1, fractions)
    used = sum(fraction > 0 for fraction in fractions)
    offending = [f"label {label}: {n} patients, needed {used}" for label, n in ((0, n_0), (1, n_1)) if n < used]
    offending += [
        f"set {name}: {size} of {n_0 + n_1} labelled patients (share {fraction}), needed 2"
        for name, size, fraction in zip(SETS, sizes, fractions, strict=True)
        if fraction > 0 and size < 2
    ]
    if offending:
        enough = math.ceil(2 / min(fraction for fraction in fractions if fraction > 0))
        only = "patients of one class only" if 0 in (n_0, n_1) else "too few patients to split"
        raise InputError(
            f"{only}: {n_0} with label 0, {n_1} with label 1; each of the {used} sets needs at least one of each",
            offending=offending,
            remedy=f"give {enough} or more labelled patients, {used} or more of each class, or change [train] split",
        )


def _ones_per_set(n_1: int, sizes: list[int]) -> list[int]:
    """Each set's share of the n_1 in whole numbers, with one or more of either class in every set that is not empty."""
    quotas = [n_1 * size / sum(sizes) for size in sizes]
    ones = [min(max(math.floor(quota), 1), size - 1) if size else 0 for quota, size in zip(quotas, sizes, strict=True)]
    while sum(ones) != n_1:
        step = 1 if sum(ones) < n_1 else -1
        free = [i for i, size in enumerate(sizes) if 1 <= ones[i] + step <= size - 1]
        best = max(free, key=lambda i: (step * (quotas[i] - ones[i]), -i))
        ones[best] += step
    return ones


def _random_ranks(patients: Sequence[Patient], seed: int) -> tuple[dict[tuple[str, str], int], list[int]]:
    """A random number for each patient and tumour type, and two more. NumPy never changes the raw output of PCG64."""
    names = sorted({("id", each.patient_id) for each in patients} | {("type", each.tumour_type) for each in patients})
    *turns, numbers = np.split(np.random.PCG64(seed).random_raw(2 + len(names)), [1, 2])
    return dict(zip(names, numbers.tolist(), strict=True)), [int(turn[0]) for turn in turns]


def _types_together(members: Sequence[Patient], rank: dict[tuple[str, str], int]) -> list[Patient]:
    """Tumour types in random order, in each its patients in random order (ids break a tie)."""

    def position(each: Patient) -> tuple[int, str, int, str]:
        return rank["type", each.tumour_type], each.tumour_type, rank["id", each.patient_id], each.patient_id

    return sorted(members, key=position)


def _spread(counts: list[int]) -> list[int]:
    """Set indices, ``counts[i]`` times i, such that any first k hold k · counts[i] / sum(counts) of i to within one.

    Tijdeman 1980, "The chairman assignment problem", Discrete Mathematics 32: among the sets that are due, the one
    whose deadline is nearest. In whole numbers, so that no rounding decides.
    """
    used, total = [i for i, count in enumerate(counts) if count], sum(counts)
    slack = max(2 * len(used) - 2, 1)
    given = [0] * len(counts)
    order = []
    for k in range(1, total + 1):
        due = [i for i in used if slack * (k * counts[i] - given[i] * total) >= total]
        room = {i: total * (slack - 1 + slack * given[i]) - slack * k * counts[i] for i in due}
        chosen = min(due, key=lambda i: (Fraction(room[i], counts[i]), i))
        given[chosen] += 1
        order.append(chosen)
    return order
