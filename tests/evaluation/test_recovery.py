"""What was planted against what was found: tiles one by one, and ratios by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hypoxia_hpc.evaluation.recovery import effects, recovered

NAMES = {"tumour": 4.0, "stroma": -3.0, "other": 0.0}


def test_clusters_are_matched_to_textures_and_shares_are_counted_one_by_one() -> None:
    rng = np.random.default_rng(0)
    textures = rng.integers(3, size=200)
    slides = [f"S{number}" for number in rng.integers(5, size=200)]
    clusters = np.array([2, 0, 1])[textures]
    wrong = rng.choice(200, 20, replace=False)
    clusters[wrong] = rng.integers(3, size=20)
    found = recovered(textures, clusters, slides, 3, 3)
    assert found.texture_of == (1, 2, 0)
    errors = []
    for slide in set(slides):
        own = [place for place in range(200) if slides[place] == slide]
        for texture in range(3):
            planted = sum(textures[place] == texture for place in own) / len(own)
            there = sum(found.texture_of[clusters[place]] == texture for place in own) / len(own)
            errors.append(100 * abs(planted - there))
    assert found.points == pytest.approx(np.mean(errors))
    assert 0.7 < found.rand < 1


def test_other_clusters_than_textures() -> None:
    """One cluster for two textures; and one more than there are."""
    textures = np.array([0, 0, 1, 1, 2, 2])
    fewer = recovered(textures, np.array([0, 0, 0, 0, 1, 1]), ["S"] * 6, 3, 2)
    assert fewer.texture_of[1] == 2 and fewer.rand < 1 and fewer.points == pytest.approx(100 * 2 / 9)
    more = recovered(textures, np.array([0, 0, 1, 1, 2, 3]), ["S"] * 6, 3, 4)
    assert sorted(more.texture_of) == [-1, 0, 1, 2]


def endpoint(rows: list[dict[str, Any]]) -> dict[str, Any]:
    screen = [{"name": "cluster_1", "why": ""}, {"name": "cluster_2", "why": "p = 0.2 by itself"}]
    return {"candidates": {"reference": "cluster_0"}, "hazards": rows, "screen": screen, "why": ""}


def test_ratios_are_of_a_tenth_more_in_place_of_the_reference() -> None:
    """A standard deviation of 0.2 is two tenths."""
    row = {"name": "cluster_1", "ratio": 1.21, "low": 1.0, "high": 1.44, "spread": 0.2}
    one, other = effects(endpoint([row]), (1, 2, 0), NAMES)
    assert (one.texture, one.reference, other.texture) == ("tumour", "stroma", "other")
    assert one.planted == pytest.approx(np.exp(0.7)) and other.planted == pytest.approx(np.exp(0.3))
    assert one.found is None and one.why == "p = 0.2 by itself" and not one.is_within
    assert (other.found, other.low, other.high) == pytest.approx((1.1, 1.0, 1.2))
    assert not other.is_within
    (wide, *_) = effects(endpoint([{**row, "name": "cluster_2", "high": 9.0}]), (1, 2, 0), NAMES)
    assert wide.is_within
