"""By what a search chooses: figures and losses against libraries, and where they are not defined."""

from __future__ import annotations

import lifelines
import numpy as np
import pytest
from lifelines.utils import concordance_index
from scipy.stats import spearmanr
from sklearn.metrics import log_loss, mean_absolute_error, roc_auc_score

from hypoxia_hpc.config.outcome import OUTCOME_KINDS
from hypoxia_hpc.models.criteria import CRITERIA

RANDOM = np.random.default_rng(0)
N = 40


def test_every_kind_has_one() -> None:
    assert tuple(CRITERIA) == OUTCOME_KINDS
    assert [one.name for one in CRITERIA.values()] == ["roc_auc", "roc_auc_macro", "spearman", "harrell"]


def test_two_classes() -> None:
    labels, said = RANDOM.integers(0, 2, N), RANDOM.random((N, 1)).round(1)
    one = CRITERIA["binary"]
    assert one.figure(labels, said) == roc_auc_score(labels, said[:, 0])
    assert one.loss(labels, said) == pytest.approx(log_loss(labels, np.clip(said[:, 0], 1e-7, 1 - 1e-7)))


def test_several_classes() -> None:
    labels, said = RANDOM.integers(0, 4, N), RANDOM.dirichlet(np.ones(4), N)
    one = CRITERIA["classes"]
    assert one.figure(labels, said) == pytest.approx(roc_auc_score(labels, said, multi_class="ovr", average="macro"))
    assert one.loss(labels, said) == pytest.approx(log_loss(labels, said))
    assert one.loss(np.array([0, 1]), np.array([[0.0, 1.0], [0.0, 1.0]])) == pytest.approx(-np.log(1e-7) / 2)


def test_a_score() -> None:
    labels = RANDOM.normal(50, 9, N).round()
    said = (labels + RANDOM.normal(0, 9, N)).round()[:, None]
    one = CRITERIA["score"]
    assert one.figure(labels, said) == pytest.approx(spearmanr(labels, said[:, 0]).statistic)
    assert one.loss(labels, said) == pytest.approx(mean_absolute_error(labels, said))
    assert one.figure(labels, np.full((N, 1), 7.0)) == 0.0, "no relation where all is the same"


def test_survival() -> None:
    time, event, said = RANDOM.exponential(5, N), RANDOM.integers(0, 2, N), RANDOM.normal(0, 1, (N, 1))
    labels = np.column_stack([time, event])
    one = CRITERIA["survival"]
    assert one.figure(labels, said) == pytest.approx(concordance_index(time, -said[:, 0], event))
    frame = lifelines.datasets.load_rossi()[["week", "arrest", "age"]].drop_duplicates("week")
    fitted = lifelines.CoxPHFitter().fit(frame, "week", "arrest")
    risks = (frame["age"].to_numpy() * fitted.params_.to_numpy())[:, None]
    loss = one.loss(frame[["week", "arrest"]].to_numpy(dtype=float), risks) * frame["arrest"].sum()
    assert loss == pytest.approx(-fitted.log_likelihood_)
    assert one.figure(np.array([[3.0, 0.0], [3.0, 1.0], [1.0, 0.0]]), np.array([[0.0], [1.0], [2.0]])) == 1.0
    nothing = np.array([[1.0, 0.0], [3.0, 1.0]])
    assert one.figure(nothing, np.array([[0.0], [1.0]])) == 0.5, "the event is last: there is no pair"
