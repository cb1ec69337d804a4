"""Tiles to slides to patients."""

import statistics
from functools import partial

import naive
import numpy as np
import pandas as pd
import pytest

from hypoxia_hpc.analysis.pooling import SERIES, Pooling, attention_weights, fused, pool_series, pool_tiles


def tiles_of(n, seed):
    generator = np.random.default_rng(seed)
    slide = generator.integers(0, 12, n)
    return pd.DataFrame(
        {
            "slide_id": [f"s{i}" for i in slide],
            "patient_id": [f"p{i // 3}" for i in slide],
            # Of 53 bits, as logistic regression gives: sums of float32 values in float64 are exact in any order.
            "probability": generator.random(n),
        }
    )


def test_by_hand():
    tiles = pd.DataFrame(
        {
            "slide_id": ["b", "b", "a", "c"],
            "patient_id": ["q", "q", "q", "p"],
            "probability": [0.5, 1.0, 0.0, 0.25],
        }
    )
    slides = pool_tiles(tiles, "slide")
    assert slides.to_numpy().tolist() == [["a", "q", 0.0, 1], ["b", "q", 0.75, 2], ["c", "p", 0.25, 1]]
    # The mean over tiles, (0.5 + 1 + 0) / 3, not over slides, (0.75 + 0) / 2.
    assert pool_tiles(tiles, "patient").to_numpy().tolist() == [["p", "p", 0.25, 1], ["q", "q", 0.5, 3]]


@pytest.mark.parametrize("level", ["slide", "patient"])
def test_equals_twin(level):
    tiles = tiles_of(500, 1)
    pooled = pool_tiles(tiles, level)
    expected = naive.pooled(tiles, level)
    assert pooled["id"].tolist() == sorted(expected)
    for row in pooled.itertuples():
        mean, n_tiles = expected[row.id]
        assert row.probability == pytest.approx(mean, abs=1e-12)
        assert row.n_tiles == n_tiles


POOLINGS = {
    "median": (Pooling("median"), statistics.median),
    "top-k": (Pooling("top-k", k=5), partial(naive.top_mean, k=5)),
    "top-1": (Pooling("top-k", k=1), max),
    "share-above": (Pooling("share-above", threshold=0.3), partial(naive.share_above, threshold=0.3)),
}


@pytest.mark.parametrize("level", ["slide", "patient"])
@pytest.mark.parametrize("name", POOLINGS)
def test_each_pooling_equals_its_twin(level, name):
    tiles = tiles_of(90, 10)
    tiles.loc[:40, "probability"] = tiles["probability"][:41].round(1)  # ties, and some at the threshold
    pooling, statistic = POOLINGS[name]
    pooled = pool_tiles(tiles, level, pooling=pooling)
    expected = naive.pooled(tiles, level, statistic)
    assert {row.id: (pytest.approx(row.probability), row.n_tiles) for row in pooled.itertuples()} == expected
    assert len(pool_tiles(tiles[:0], level, pooling=pooling)) == 0


@pytest.mark.parametrize("level", ["slide", "patient"])
@pytest.mark.parametrize("pooling", [Pooling(), Pooling("median"), Pooling("top-k"), Pooling("share-above")])
def test_order_does_not_matter_to_the_last_bit(level, pooling):
    tiles = tiles_of(2000, 2)
    shuffled = tiles.sample(frac=1, random_state=3)
    pd.testing.assert_frame_equal(
        pool_tiles(tiles, level, pooling=pooling), pool_tiles(shuffled, level, pooling=pooling), check_exact=True
    )


def test_attention_keeps_its_own_pooling():
    tiles = weighed_tiles_of(100, 3)
    pd.testing.assert_frame_equal(pool_tiles(tiles, "slide"), pool_tiles(tiles, "slide", pooling=Pooling("median")))


def test_patient_of_its_own_slides():
    slides = pool_tiles(tiles_of(300, 4), "slide")
    assert all(
        patient == f"p{int(slide[1:]) // 3}" for slide, patient in zip(slides["id"], slides["patient_id"], strict=True)
    )


def test_categories_and_no_tiles():
    tiles = tiles_of(50, 5)
    as_categories = tiles.astype({"slide_id": "category", "patient_id": "category"})
    assert pool_tiles(as_categories, "slide").to_numpy().tolist() == pool_tiles(tiles, "slide").to_numpy().tolist()
    assert len(pool_tiles(tiles[:0], "slide")) == 0


# --- attention ---------------------------------------------------------------------------------------------------


def weighed_tiles_of(n, seed):
    generator = np.random.default_rng(seed)
    tiles = tiles_of(n, seed).drop(columns="probability")
    return tiles.assign(attention_logit=generator.normal(0, 3, n), logit=generator.normal(0, 2, n))


def test_attention_by_hand():
    tiles = pd.DataFrame(
        {
            "slide_id": ["b", "b", "a"],
            "patient_id": ["q", "q", "q"],
            "attention_logit": [np.log(1.0), np.log(3.0), np.log(4.0)],
            "logit": [8.0, 0.0, -1.0],
        }
    )
    slides = pool_tiles(tiles, "slide")
    assert slides["probability"].tolist() == pytest.approx([1 / (1 + np.e), 1 / (1 + np.exp(-2.0))])
    assert slides["n_tiles"].tolist() == [1, 2]
    # (1 · 8 + 3 · 0 - 4 · 1) / 8 = 0.5: over the tiles of all slides, not over slides.
    assert pool_tiles(tiles, "patient")["probability"].tolist() == pytest.approx([1 / (1 + np.exp(-0.5))])
    assert attention_weights(tiles).tolist() == pytest.approx([1 / 8, 3 / 8, 4 / 8])


@pytest.mark.parametrize("level", ["slide", "patient"])
def test_attention_equals_twin(level):
    tiles = weighed_tiles_of(500, 6)
    pooled = pool_tiles(tiles, level)
    expected = naive.attention_pooled(tiles, level)
    assert pooled["id"].tolist() == sorted(expected)
    for row in pooled.itertuples():
        probability, n_tiles = expected[row.id]
        assert row.probability == pytest.approx(probability, abs=1e-12)
        assert row.n_tiles == n_tiles


@pytest.mark.parametrize("level", ["slide", "patient"])
def test_with_attention_too_the_order_does_not_matter_to_the_last_bit(level):
    tiles = weighed_tiles_of(2000, 7)
    tiles.loc[:99, "attention_logit"] = 1.0  # ties
    shuffled = tiles.sample(frac=1, random_state=3)
    pd.testing.assert_frame_equal(pool_tiles(tiles, level), pool_tiles(shuffled, level), check_exact=True)
    assert (
        attention_weights(tiles).tolist()
        == pd.Series(attention_weights(shuffled), shuffled.index).sort_index().tolist()
    )


def test_equal_attention_is_the_mean_of_the_logits():
    tiles = weighed_tiles_of(300, 8).assign(attention_logit=-5.0)
    means = tiles.groupby("patient_id")["logit"].mean()
    assert pool_tiles(tiles, "patient")["probability"].tolist() == pytest.approx((1 / (1 + np.exp(-means))).tolist())


def test_attention_of_any_size_overflows_nowhere():
    tiles = weighed_tiles_of(100, 9)
    tiles["attention_logit"] *= 1000
    assert pool_tiles(tiles, "patient")["probability"].between(0, 1).all()
    sums = pd.Series(attention_weights(tiles)).groupby(tiles["patient_id"]).sum()
    assert sums.tolist() == pytest.approx([1.0] * len(sums))
    assert len(pool_tiles(tiles[:0], "slide")) == len(attention_weights(tiles[:0])) == 0


def series_of(n, seed):
    tiles = tiles_of(n, seed)
    return tiles.assign(**{SERIES: [("FLAIR", "T1w", "T2w")[i % 3] for i in range(n)]})


def test_late_fusion_is_the_mean_of_the_logits_of_series():
    """Also where a patient lacks a series, and in any order of the rows."""
    tiles = series_of(200, 2)
    tiles = tiles[(tiles["patient_id"] != "p1") | (tiles[SERIES] != "T1w")]
    late = pool_tiles(tiles, "patient", pooling=Pooling(is_late=True))
    rows = tiles[["patient_id", SERIES, "probability"]].itertuples(index=False, name=None)
    expected = naive.late_fusion(rows)
    assert late["id"].tolist() == sorted(expected)
    assert late["probability"].tolist() == pytest.approx([expected[name] for name in late["id"]], rel=1e-12)
    assert late["n_tiles"].tolist() == pool_tiles(tiles, "patient")["n_tiles"].tolist()
    shuffled = tiles.sample(frac=1, random_state=3)
    pd.testing.assert_frame_equal(
        late, pool_tiles(shuffled, "patient", pooling=Pooling(is_late=True)), check_exact=True
    )


def test_series_count_for_nothing_where_they_are_not_asked_for_or_a_model_weighs_tiles():
    tiles = series_of(90, 4)
    plain = pool_tiles(tiles.drop(columns=SERIES), "slide")
    pd.testing.assert_frame_equal(pool_tiles(tiles, "slide"), plain)
    pd.testing.assert_frame_equal(pool_tiles(tiles.drop(columns=SERIES), "slide", pooling=Pooling(is_late=True)), plain)
    weighed = tiles.assign(attention_logit=0.5, logit=np.linspace(-2, 2, len(tiles)))
    both = [pool_tiles(weighed, "patient", pooling=Pooling(is_late=late)) for late in (False, True)]
    pd.testing.assert_frame_equal(*both)


@pytest.mark.parametrize(("link", "expected"), [("softmax", [0.5, 0.5]), ("identity", [0.5, 0.5])])
def test_what_is_fused_depends_on_what_is_said(link, expected):
    tiles = pd.DataFrame(
        {"slide_id": "s", "patient_id": "p", SERIES: ["a", "a", "b"], "one": [1.0, 0.6, 0.2], "other": [0.0, 0.4, 0.8]}
    )
    by_series = pool_series(tiles, "patient", ("one", "other"), link, Pooling())
    assert by_series[["one", "other"]].to_numpy().tolist() == [pytest.approx([0.8, 0.2]), pytest.approx([0.2, 0.8])]
    found = fused(by_series, ["id"], ("one", "other"), link)
    assert found[["one", "other"]].to_numpy()[0].tolist() == pytest.approx(expected)


def test_a_series_of_which_a_model_is_certain_does_not_decide_alone():
    tiles = pd.DataFrame({"slide_id": "s", "patient_id": "p", SERIES: ["a", "b"], "probability": [0.0, 1.0]})
    assert pool_tiles(tiles, "patient", pooling=Pooling(is_late=True))["probability"].tolist() == pytest.approx([0.5])
