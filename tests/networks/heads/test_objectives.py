"""Losses by Keras and by NumPy are the same, and those of Cox are those of the slow twins."""

import naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypoxia_hpc.config import OutcomeTable
from hypoxia_hpc.networks.data.standardise import LABEL_MEAN, LABEL_SCALE
from hypoxia_hpc.networks.heads.linear import CoxLoss
from hypoxia_hpc.networks.heads.objectives import cox_loss, cox_mean, huber, in_units_of_labels, objective_of
from hypoxia_hpc.networks.runtime import start_keras
from hypoxia_hpc.outcomes.registry import outcome_of

FOUR = ("a", "b", "c", "d")
STANDARD = {LABEL_MEAN: np.array([10.0]), LABEL_SCALE: np.array([4.0])}
FOLLOWED = st.lists(st.tuples(st.floats(-3, 3), st.integers(0, 6), st.booleans()), min_size=2, max_size=25).filter(
    lambda rows: any(event for _, _, event in rows)
)


@pytest.mark.parametrize(
    ("table", "n_outputs", "labels"),
    [
        (OutcomeTable(), 1, np.array([0, 1, 1, 0, 1, 0])),
        (OutcomeTable(kind="classes", classes=FOUR), 4, np.array([0, 1, 2, 3, 3, 0])),
        (OutcomeTable(kind="score"), 1, np.array([10.0, 2.0, 30.0, 11.0, 9.0, -40.0])),
        (
            OutcomeTable(kind="survival"),
            1,
            np.array([[5.0, 1.0], [3.0, 0.0], [3.0, 1.0], [9.0, 1.0], [5.0, 1.0], [1.0, 0.0]]),
        ),
    ],
)
def test_keras_and_numpy_agree(table: OutcomeTable, n_outputs: int, labels: np.ndarray) -> None:
    objective = objective_of(outcome_of(table), STANDARD)
    outputs = np.random.default_rng(3).normal(0, 2, (len(labels), n_outputs))
    ops = start_keras().ops
    targets, said = (ops.convert_to_tensor(one.astype(np.float32)) for one in (objective.targets(labels), outputs))
    losses = np.asarray(ops.convert_to_numpy(objective.keras_loss()(targets, said)))
    assert losses.mean() == pytest.approx(objective.measured(outputs, labels)["valid_loss"], rel=1e-5)


@given(FOLLOWED)
def test_cox_by_efron_is_that_of_the_slow_twin_and_its_gradient_is_its_slope(
    rows: list[tuple[float, int, bool]],
) -> None:
    risks, times, events = (list(column) for column in zip(*rows, strict=True))
    followed = np.array([times, events], dtype=np.float64).T
    loss = CoxLoss.of(followed)
    value, gradient = loss(np.array(risks))
    assert value == pytest.approx(naive.cox_loss(risks, times, events), rel=1e-9, abs=1e-12)
    for place in range(len(risks)):
        step = np.eye(len(risks))[place] * 1e-5
        slope = (loss(risks + step)[0] - loss(risks - step)[0]) / 2e-5
        assert gradient[place] == pytest.approx(slope, rel=1e-4, abs=1e-8)


@given(FOLLOWED)
def test_cox_by_breslow_is_that_of_the_slow_twin(rows: list[tuple[float, int, bool]]) -> None:
    risks, times, events = (list(column) for column in zip(*rows, strict=True))
    followed = np.array([times, events], dtype=np.float64).T
    expected = naive.breslow_loss(risks, times, events)
    assert cox_mean(np.array(risks), followed) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_a_step_without_an_event_has_no_loss() -> None:
    followed = np.array([[1.0, 0.0], [2.0, 0.0]], dtype=np.float32)
    risks = np.array([[0.3], [-1.0]], dtype=np.float32)
    ops = start_keras().ops
    assert np.asarray(ops.convert_to_numpy(cox_loss(*map(ops.convert_to_tensor, (followed, risks))))).tolist() == [0, 0]
    assert cox_mean(risks[:, 0].astype(np.float64), followed) == 0


def test_an_error_far_away_counts_by_its_size() -> None:
    assert huber(np.array([0.0, 0.5, -1.0, 3.0])).tolist() == [0.0, 0.125, 0.5, 2.5]


def test_scores_come_back_in_their_unit_and_all_else_as_it_is() -> None:
    assert in_units_of_labels(np.array([0.0, 1.0]), STANDARD).tolist() == [10.0, 14.0]
    assert in_units_of_labels(np.array([0.0, 1.0]), {}).tolist() == [0.0, 1.0]
