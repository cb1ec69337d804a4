"""The split: each patient in exactly one set, shares within rounding, whatever the order."""

import math
import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypoxia_hpc.cohorts.splits import SplitRule, members_of, split_members
from hypoxia_hpc.config.outcome import OutcomeTable
from hypoxia_hpc.errors import InputError
from hypoxia_hpc.outcomes.registry import outcome_of
from hypoxia_hpc.records import Followed, Patient

FRACTIONS = st.sampled_from(
    [(0.7, 0.15, 0.15), (0.4, 0.2, 0.4), (0.5, 0.0, 0.5), (0.8, 0.1, 0.1), (1 / 3, 1 / 3, 1 / 3)]
)


@st.composite
def cohorts(draw, fractions):
    """Patients that can just be split, and up to 80 more."""
    labels = [0, 1] * max(3, math.ceil(1 / min(fraction for fraction in fractions if fraction > 0)))
    labels += draw(st.lists(st.sampled_from([0, 1, 1, None]), max_size=80))
    kinds = draw(st.lists(st.sampled_from("AAABC"), min_size=len(labels), max_size=len(labels)))
    return [Patient(f"p{i:03d}", *each) for i, each in enumerate(zip(labels, kinds, strict=True))]


def split_patients(patients, fractions, seed):
    return split_members(members_of(patients), SplitRule(fractions, seed=seed)).table


def split_folds(patients, fractions, folds, seed):
    return split_members(members_of(patients), SplitRule(fractions, folds, seed=seed)).table


def sets_of(split):
    return dict(zip(split["patient_id"], split["set"], strict=True))


@given(st.data(), FRACTIONS, st.integers(0, 2**31 - 1))
def test_split(data, fractions, seed):
    patients = data.draw(cohorts(fractions))
    split = split_patients(patients, fractions, seed)
    sets = sets_of(split)
    assert split["patient_id"].tolist() == sorted(each.patient_id for each in patients)  # everyone, once
    assert set(split["fold"]) == {0}
    assert all((sets[each.patient_id] == "unlabelled") == (each.label is None) for each in patients)

    labelled = [each for each in patients if each.label is not None]
    sizes = Counter(sets[each.patient_id] for each in labelled)
    by_label = Counter((sets[each.patient_id], each.label) for each in labelled)
    by_type = Counter((sets[each.patient_id], each.label, each.tumour_type) for each in labelled)
    for name, fraction in zip(("train", "valid", "test"), fractions, strict=True):
        assert abs(sizes[name] - fraction * len(labelled)) < 1
        for label in (0, 1):
            members = [each for each in labelled if each.label == label]
            got = by_label[name, label]
            share = sizes[name] * len(members) / len(labelled)
            assert (got == 0) == (fraction == 0)
            assert abs(got - share) < 1 or got in (1, sizes[name] - 1)
            for kind in "ABC":
                n_kind = sum(each.tumour_type == kind for each in members)
                assert abs(by_type[name, label, kind] - got * n_kind / len(members)) < 2


@given(cohorts((0.7, 0.15, 0.15)), st.randoms(use_true_random=False), st.integers(0, 5))
def test_order_does_not_matter(patients, chance, seed):
    shuffled = chance.sample(patients, len(patients))
    there, back = (split_patients(each, (0.7, 0.15, 0.15), seed) for each in (patients, shuffled))
    assert there.equals(back)


def test_known_split_stays_as_it_is():
    # SHA-256 and whole numbers: the same on every machine and with every library.
    patients = [Patient(f"p{i:02d}", i % 2, "AB"[i % 3 == 0]) for i in range(20)]
    sets = sets_of(split_patients(patients, (0.5, 0.2, 0.3), 7))
    assert "".join(sets[f"p{i:02d}"][:2] for i in range(20)) == "vavatrtrtrtrtrtrtetrtrtetrtevatetevatetr"


def test_seeds_move_everybody():
    patients = [Patient(f"p{i:02d}", i % 2, "T" if i < 39 else "rare") for i in range(40)]
    seen = [sets_of(split_patients(patients, (0.4, 0.2, 0.4), seed)) for seed in range(200)]
    for each in patients:  # a rare type too is not nailed to one set
        shares = Counter(sets[each.patient_id] for sets in seen)
        assert 50 <= shares["test"] <= 110
        assert 15 <= shares["valid"] <= 65


def test_cohort_of_the_study():
    chance = random.Random(1)
    kinds = [f"T{i:02d}" for i in range(19)]
    patients = [Patient(f"p{i:04d}", chance.randrange(2), chance.choice(kinds)) for i in range(7731)]
    sizes = split_patients(patients, (0.7, 0.15, 0.15), 0)["set"].value_counts()
    assert sizes.to_dict() == {"train": 5412, "valid": 1160, "test": 1159}  # of 5411.7, 1159.65, 1159.65


def test_smallest_cohort_that_can_be_split():
    patients = [Patient(f"p{i}", int(i < 3)) for i in range(14)]
    sets = sets_of(split_patients(patients, (0.7, 0.15, 0.15), 3))
    assert sorted(sets[f"p{i}"] for i in range(3)) == ["test", "train", "valid"]


def test_one_class_only():
    with pytest.raises(InputError, match="one class only: 30 with label 0, 0 with label 1") as caught:
        split_patients([Patient(f"p{i}", 0) for i in range(30)], (0.7, 0.15, 0.15), 0)
    assert caught.value.offending == ("label 1: 0 patients, needed 3",)


def test_too_few_patients_says_how_many_are_needed():
    patients = [Patient(f"p{i}", int(i < 2)) for i in range(9)] + [Patient("u", None)]
    with pytest.raises(InputError, match="too few patients to split: 7 with label 0, 2 with label 1") as caught:
        split_patients(patients, (0.7, 0.15, 0.15), 0)
    assert caught.value.offending == (
        "label 1: 2 patients, needed 3",
        "set test: 1 of 9 labelled patients (share 0.15), needed 2",
    )
    assert "14 or more labelled patients, 3 or more of each class" in caught.value.remedy


@given(FRACTIONS.filter(lambda fractions: 0 not in fractions))
def test_the_number_said_to_be_enough_is_enough(fractions):
    enough = math.ceil(2 / min(fractions))
    split_patients([Patient(f"p{i}", int(i < 3)) for i in range(enough)], fractions, 0)


def test_repeated_patients_are_named():
    patients = [Patient(name, 0) for name in "abcab"]
    with pytest.raises(InputError) as caught:
        split_patients(patients, (0.7, 0.15, 0.15), 0)
    assert caught.value.offending == ("a", "b")


@pytest.mark.parametrize("fractions", [(0.7, 0.2, 0.2), (1.1, 0.1, -0.2)])
def test_shares_that_are_no_split(fractions):
    with pytest.raises(InputError, match="no split"):
        split_patients([Patient("a", 0)], fractions, 0)


@st.composite
def cohorts_for_folds(draw):
    """Patients that can just be cross-validated with that many folds, and up to 60 more."""
    folds = draw(st.integers(2, 6))
    labels = [0, 1] * max(folds, 12) + draw(st.lists(st.sampled_from([0, 1, 1, None]), max_size=60))
    kinds = draw(st.lists(st.sampled_from("AAABC"), min_size=len(labels), max_size=len(labels)))
    return folds, [Patient(f"p{i:03d}", *each) for i, each in enumerate(zip(labels, kinds, strict=True))]


@given(cohorts_for_folds(), st.randoms(use_true_random=False), st.integers(0, 2**31 - 1))
def test_folds(case, chance, seed):
    folds, patients = case
    fractions = (0.7, 0.15, 0.15)
    split = split_folds(patients, fractions, folds, seed)
    assert split.equals(split_folds(chance.sample(patients, len(patients)), fractions, folds, seed))
    by_fold = [sets_of(split[split["fold"] == fold]) for fold in range(folds)]
    everyone = sorted(each.patient_id for each in patients)
    assert all(sorted(sets) == everyone for sets in by_fold)
    for each in patients:
        where = [sets[each.patient_id] for sets in by_fold]
        assert where.count("test") == (each.label is not None)
        assert where.count("unlabelled") == (folds if each.label is None else 0)
    for sets in by_fold:
        for label in (0, 1):
            members = [each for each in patients if each.label == label]
            tested = [each for each in members if sets[each.patient_id] == "test"]
            assert abs(len(tested) - len(members) / folds) < 1
            assert {sets[each.patient_id] for each in members} == {"train", "valid", "test"}
            for kind in "ABC":
                of_kind = sum(each.tumour_type == kind for each in members)
                assert abs(sum(each.tumour_type == kind for each in tested) - of_kind / folds) < 2
        sizes = Counter(sets[each.patient_id] for each in patients if each.label is not None)
        fitted = sizes["train"] + sizes["valid"]
        assert abs(sizes["valid"] - fitted * 0.15 / 0.85) < 1


def test_folds_watch_other_validation_patients():
    patients = [Patient(f"p{i:02d}", i % 2) for i in range(60)]
    split = split_folds(patients, (0.7, 0.15, 0.15), 5, 0)
    watched = [frozenset(part["patient_id"]) for _, part in split[split["set"] == "valid"].groupby("fold")]
    assert len(set(watched)) == 5


def test_known_folds_stay_as_they_are():
    """Each fold has a seed of its own: with the same one in all of them other patients would be watched."""
    patients = [Patient(f"p{i:02d}", i % 2, "AB"[i % 3 == 0]) for i in range(12)]
    split = split_folds(patients, (0.5, 0.25, 0.25), 3, 7)
    sets = ["".join(name[:2] for name in part["set"]) for _, part in split.groupby("fold")]
    assert sets == ["trvatrtrtrtetevavatetetr", "vatetevatetrtrtetrtrtrva", "tevavatetrtrtrvatetrtrte"]


def test_too_few_patients_for_the_folds_names_the_numbers():
    patients = [Patient(f"p{i}", int(i < 4)) for i in range(10)]
    with pytest.raises(InputError, match=r"folds = 5: 6 with label 0, 4 with label 1") as caught:
        split_folds(patients, (0.7, 0.15, 0.15), 5, 0)
    assert caught.value.offending == (
        "label 1: 4 patients, needed 5",
        "set valid of a fold: 1 of 8 patients outside its test set (share 0.18), needed 2",
    )


@given(st.integers(2, 8), st.integers(0, 1000))
def test_what_is_enough_for_folds_is_enough(folds, seed):
    """The fewest of one class, and as many of the other as the validation sets take: no split below fails."""
    least = max(folds, 3 if folds > 2 else 4)
    patients = [Patient(f"p{i}", int(i < least)) for i in range(least + 14 + folds)]
    split_folds(patients, (0.7, 0.15, 0.15), folds, seed)


def test_folds_without_validation_patients_need_fewer():
    """Two patients of a class make two folds where nothing is watched, and four where something is."""
    two, three = ([Patient(f"p{i}", i % 2) for i in range(2 * n)] for n in (2, 3))
    split = split_folds(two, (0.8, 0.0, 0.2), 2, 0)
    assert split["set"].value_counts().to_dict() == {"train": 4, "test": 4}
    with pytest.raises(InputError) as caught:
        split_folds(three, (0.4, 0.4, 0.2), 2, 0)
    assert str(caught.value).splitlines()[0] == (
        "too few patients for [train] folds = 2: 3 with label 0, 3 with label 1; every fold needs one of each class in "
        "each of its sets"
    )
    assert caught.value.offending[:2] == ("label 0: 3 patients, needed 4", "label 1: 3 patients, needed 4")
    assert caught.value.remedy == "give more labelled patients, lower [train] folds, or change [train] split"


def test_too_few_of_both_classes_are_named_each():
    with pytest.raises(InputError) as caught:
        split_patients([Patient(f"p{i}", i % 2) for i in range(4)], (0.4, 0.3, 0.3), 0)
    assert caught.value.offending[:2] == ("label 0: 2 patients, needed 3", "label 1: 2 patients, needed 3")


@given(cohorts((0.7, 0.15, 0.15)), st.integers(0, 2**31 - 1), st.sampled_from([1, 3]))
def test_an_unlabelled_patient_more_moves_nobody(patients, seed, folds):
    rule = SplitRule((0.7, 0.15, 0.15), folds, seed=seed)
    before = split_members(members_of(patients), rule).table
    after = split_members(members_of([*patients, Patient("new", None, "A")]), rule).table
    assert after[after["patient_id"] != "new"].reset_index(drop=True).equals(before)
    assert set(after.loc[after["patient_id"] == "new", "set"]) == {"unlabelled"}


def test_a_labelled_patient_more_moves_about_two_of_each_class():
    """A split that was dealt by a patient's place in the sorted table moved half of the cohort."""
    patients = [Patient(f"p{i:03d}", i % 2, "AB"[i % 3 == 0]) for i in range(200)]
    moved = []
    for seed in range(20):
        before, after = (
            sets_of(split_patients(each, (0.7, 0.15, 0.15), seed)) for each in (patients, [*patients, Patient("q", 1)])
        )
        moved.append(sum(before[name] != after[name] for name in before))
    assert sum(moved) / len(moved) <= 3
    assert max(moved) <= 8


def test_repeats_are_other_folds_of_everybody():
    patients = [Patient(f"p{i:02d}", i % 2) for i in range(40)]
    rule = SplitRule((0.7, 0.15, 0.15), folds=4, repeats=3, seed=1)
    table = split_members(members_of(patients), rule).table
    assert table["fold"].unique().tolist() == list(range(12))
    tested = table[table["set"] == "test"]
    for repeat in range(3):
        assert sorted(tested.loc[tested["fold"] // 4 == repeat, "patient_id"]) == [each.patient_id for each in patients]
    assert len({tuple(part["patient_id"]) for _, part in tested.groupby("fold")}) == 12
    once = split_members(members_of(patients), SplitRule((0.7, 0.15, 0.15), folds=4, seed=1)).table
    assert table[table["fold"] < 4].equals(once)


def test_three_classes_are_in_every_set():
    outcome = outcome_of(OutcomeTable(kind="classes", classes=("A", "B", "C")))
    rule = SplitRule((0.6, 0.2, 0.2), needed=outcome.needed_strata)
    patients = [Patient(f"p{i:02d}", min(i % 6, 2)) for i in range(60)]
    sets = sets_of(split_members(members_of(patients, outcome=outcome), rule).table)
    for name in ("train", "valid", "test"):
        assert {each.label for each in patients if sets[each.patient_id] == name} == {0, 1, 2}
    few = [*[each for each in patients if each.label != 1][:30], Patient("q", 1)]
    with pytest.raises(InputError, match="with label A, 1 with label B, ") as caught:
        split_members(members_of(few, outcome=outcome), rule)
    assert caught.value.offending == ("label B: 1 patient, needed 3",)


@pytest.mark.parametrize("kind", ["score", "survival"])
def test_fifths_of_a_score_or_a_follow_up_are_only_spread(kind):
    outcome = outcome_of(OutcomeTable(kind=kind))
    labels = [float(i) if kind == "score" else Followed(float(i), i % 2) for i in range(90)]
    patients = [Patient(f"p{i:02d}", label) for i, label in enumerate(labels)]
    members = members_of([*patients, Patient("u", None)], outcome=outcome)
    table = split_members(members, SplitRule((0.6, 0.2, 0.2), needed=outcome.needed_strata)).table
    assert table["set"].value_counts().to_dict() == {"train": 54, "valid": 18, "test": 18, "unlabelled": 1}
    strata = {each.patient_id: each.stratum for each in members}
    counts = Counter((strata[name], found) for name, found in sets_of(table).items())
    for stratum, n in Counter(filter(None, strata.values())).items():
        for name, share in (("train", 0.6), ("valid", 0.2), ("test", 0.2)):
            assert abs(counts[stratum, name] - n * share) < 2


@pytest.mark.parametrize(
    ("folds", "why"),
    [
        (
            1,
            r"too few patients to split: 4 with a label; each of the 3 sets needs at least 2\n[^$]*give 10 or more",
        ),
        (
            2,
            r"folds = 2: 4 with a label; every fold needs 2 patients in each of its sets",
        ),
    ],
)
def test_too_few_scores_are_said_without_classes(folds, why):
    outcome = outcome_of(OutcomeTable(kind="score"))
    members = members_of([Patient(f"p{i}", float(i)) for i in range(4)], outcome=outcome)
    with pytest.raises(InputError, match=why) as caught:
        split_members(members, SplitRule((0.6, 0.2, 0.2), folds, needed=outcome.needed_strata))
    assert "class" not in str(caught.value)


@st.composite
def cohorts_of_groups(draw):
    groups = draw(st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), min_size=6, max_size=9))
    patients = [
        (f"{group:02d}{label}{i}", label, f"g{group}")
        for group, counts in enumerate(groups)
        for label in (0, 1)
        for i in range(counts[label])
    ]
    return [Patient(name, label) for name, label, _ in patients], {name: group for name, _, group in patients}


@settings(max_examples=10)
@given(cohorts_of_groups(), st.sampled_from([1, 2]), st.integers(0, 99), st.randoms(use_true_random=False))
def test_groups_never_straddle(cohort, folds, seed, chance):
    patients, groups = cohort
    rule = SplitRule((0.6, 0.2, 0.2), folds, seed=seed, together=True)
    split = split_members(members_of(patients, groups), rule)
    shuffled = chance.sample(patients, len(patients))
    assert (
        split_members(members_of([*shuffled, Patient("u", None)], groups), rule)
        .table[lambda rows: rows["patient_id"] != "u"]
        .reset_index(drop=True)
        .equals(split.table)
    )
    assert len(split.balances) == (1 if folds == 1 else 3)
    for _, part in split.table.groupby("fold"):
        sets = sets_of(part)
        assert sorted(sets) == sorted(each.patient_id for each in patients)
        assert len({(groups[name], found) for name, found in sets.items()}) == len(set(groups.values()))
        for name in ("train", "valid", "test"):
            assert {each.label for each in patients if sets[each.patient_id] == name} == {0, 1}
