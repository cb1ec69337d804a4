"""Statistics of clusters: matching, Holm's correction, hospitals, typical tiles; each against a small case by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from hypoxia_hpc.analysis.phenotypes import (
    agreement,
    biology_score,
    enrichment,
    holm,
    most_typical,
    one_hospital,
    principal_components,
    rand_with,
    varied_slides,
)


def test_the_same_clusters_under_other_numbers_agree_wholly() -> None:
    one = np.array([0, 0, 1, 1, 2, 2, 2])
    found = agreement(one, np.array([2, 0, 1])[one], 4)
    assert found.rand == 1
    assert found.overlaps.tolist()[:3] == [1, 1, 1]
    assert np.isnan(found.overlaps[3])


def test_clusters_are_matched_as_the_best_of_all_orders_matches_them() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.integers(0, 4, 60), rng.integers(0, 4, 60)
    both = np.array([[(one[other == b] == a).sum() for b in range(4)] for a in range(4)])
    orders = list(itertools.permutations(range(4)))
    best = max(orders, key=lambda order: sum(both[a, b] for a, b in enumerate(order)))
    expected = [both[a, b] / ((one == a) | (other == b)).sum() for a, b in enumerate(best)]
    found = agreement(one, other, 4)
    assert found.overlaps == pytest.approx(expected)
    assert abs(found.rand) < 0.1


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == pytest.approx([1, 1])
    assert len(holm([])) == 0


def test_a_cluster_of_one_group_is_enriched_and_small_groups_are_not_compared() -> None:
    rng = np.random.default_rng(0)
    site = ["a"] * 10 + ["b"] * 10 + ["c"] * 2
    shares = rng.dirichlet(np.ones(3), 22)
    shares[:10, 1] += 2
    found = {one.cluster: one for one in enrichment(shares, {"site": site, "label": ["x"] * 22})}
    assert {one.column for one in found.values()} == {"site"}
    assert found[1].highest == "a"
    assert found[1].corrected < 0.01
    assert found[1].corrected == pytest.approx(3 * found[1].p_value)
    assert found[0].corrected > 0.05
    assert enrichment(shares, {"site": [""] * 22}) == []
    assert enrichment(np.ones((22, 1)), {"site": site}) == []


def test_a_cluster_is_a_hospital_where_nearly_all_its_tiles_are_of_one_that_has_few_of_all() -> None:
    counts = {"a": np.array([90, 50, 0, 0]), "b": np.array([10, 50, 0, 100])}
    assert one_hospital(counts, 4) == {0: "a", 3: "b"}
    assert one_hospital({"a": counts["a"]}, 4) == {}
    assert one_hospital({"a": np.array([900]), "b": np.array([100])}, 1) == {}, "nearly all tiles are of a anyway"


def test_the_score_says_whether_clusters_follow_the_tumour_or_the_hospital() -> None:
    rng = np.random.default_rng(0)
    clusters, tumour = rng.integers(0, 3, 90), rng.choice(["x", "y"], 90)
    counts = {name: np.bincount(clusters[tumour == name], minlength=3) for name in ("x", "y")}
    assert rand_with(counts) == pytest.approx(adjusted_rand_score(tumour, clusters))
    parted = {"x": np.array([10, 0]), "y": np.array([0, 10])}
    mixed = {"a": np.array([5, 5]), "b": np.array([5, 5])}
    assert rand_with(parted) == 1
    score, turned = (
        biology_score(rand_with(one), rand_with(other)) for one, other in ((parted, mixed), (mixed, parted))
    )
    assert score is not None
    assert turned is not None
    assert score > 0.9
    assert turned < -0.9
    assert rand_with({"x": np.array([10, 0]), "y": np.array([0, 0])}) is None
    assert biology_score(None, 0.5) is None


def test_the_most_typical_tiles_are_those_nearest_to_the_mean_of_their_cluster() -> None:
    features = np.array([[0.0], [1.0], [5.0], [10.0], [10.2]])
    found = most_typical(features, np.array([0, 0, 0, 2, 2]), 3, 2)
    assert [places.tolist() for places in found] == [[1, 0], [], [3, 4]]


def test_the_picture_shows_the_directions_in_which_tiles_differ_most() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(200, 5)) * [1, 9, 0.1, 3, 0.1]
    shown = principal_components(features)
    assert abs(np.corrcoef(shown[:, 0], features[:, 1])[0, 1]) > 0.99
    assert abs(np.corrcoef(shown[:, 1], features[:, 3])[0, 1]) > 0.99
    assert np.array_equal(shown, principal_components(features))
    assert principal_components(features[:1]).tolist() == [[0, 0]]


def test_slides_of_most_clusters_are_shown_one_a_patient_from_each_group_in_turn() -> None:
    even, two, one = [0.25] * 4, [0.5, 0.5, 0, 0], [1.0, 0, 0, 0]
    shares = np.array([even, even, two, one, two, even])
    patients = ["A", "A", "B", "C", "D", "E"]
    groups = {"A": "high", "B": "high", "C": "low", "D": "low"}
    assert varied_slides(shares, patients, groups, 10) == [5, 0, 4, 2, 3]
    assert varied_slides(shares, patients, groups, 3) == [5, 0, 4]
    assert varied_slides(shares, patients, {}, 2) == [0, 5]
    assert varied_slides(np.zeros((0, 4)), [], {}, 2) == []
