"""The linear head: the optimum of its objective, what it learns of a score and of survival, and nothing where nothing
is."""

import threading
from pathlib import Path

import naive
import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import spearmanr
from stopping import StopAt
from stores_of_rows import store

from hypoxia_hpc.config import LinearTable, OutcomeTable
from hypoxia_hpc.errors import InputError, Stopped
from hypoxia_hpc.networks.data.rows import LabelledStore, TrainingData, opened_rows
from hypoxia_hpc.networks.data.standardise import LABEL_MEAN, LABEL_SCALE, standard_arrays
from hypoxia_hpc.networks.heads.checkpoints import Checkpoints
from hypoxia_hpc.networks.heads.linear import patient_means, train_linear
from hypoxia_hpc.networks.heads.registry import predictor
from hypoxia_hpc.networks.heads.result import Arrays
from hypoxia_hpc.outcomes.outcome import Outcome
from hypoxia_hpc.outcomes.registry import outcome_of
from hypoxia_hpc.records import Followed

LENGTH = 6
SCORE, SURVIVAL = (outcome_of(OutcomeTable(kind=kind)) for kind in ("score", "survival"))


def patients(folder: Path, outcome: Outcome, n: int, effect: float, *, seed: int = 0) -> tuple[LabelledStore, ...]:
    """A hidden number of each patient moves two of its features, and with ``effect`` its label."""
    random = np.random.default_rng(seed)
    folder.mkdir()
    stores = []
    for number in range(n):
        hidden = random.normal()
        values = random.normal(5, 1, (12, LENGTH))
        values[:, 1] += hidden
        values[:, 4] -= hidden
        signal = effect * hidden
        score = 50 + 20 * (signal + 0.3 * random.normal())
        time = float(random.exponential(10 * np.exp(-signal)))
        label = score if outcome.kind == "score" else Followed(time, int(random.random() < 0.7))
        stores.append(store(folder, f"s{number:03d}", values.astype(np.float32), label))
    return tuple(stores)


def fitted(
    outcome: Outcome, stores: tuple[LabelledStore, ...], folder: Path, stop: threading.Event | None = None
) -> Arrays:
    return train_linear(
        LinearTable(penalty=0.1),
        TrainingData(stores, (), LENGTH, outcome),
        seed=0,
        checkpoints=Checkpoints(folder / "checkpoint", "key", 60),
        on_epoch=lambda _: None,
        stop=stop or threading.Event(),
    ).arrays


def said_of(outcome: Outcome, arrays: Arrays, stores: tuple[LabelledStore, ...]) -> list[float]:
    """What is said of each patient: the mean over its tiles."""
    predict = predictor(LinearTable(), arrays, LENGTH, outcome)
    with opened_rows(TrainingData(stores, (), LENGTH, outcome)) as (rows, _):
        return [float(predict(rows.read(k, 0, one.n).astype(np.float32)).mean()) for k, one in enumerate(stores)]


@pytest.mark.parametrize(("effect", "least", "most"), [(1.0, 0.85, 1.0), (0.0, -0.4, 0.4)])
def test_a_score_is_learned_where_it_can_be(tmp_path: Path, effect: float, least: float, most: float) -> None:
    arrays = fitted(SCORE, patients(tmp_path / "train", SCORE, 60, effect), tmp_path)
    others = patients(tmp_path / "test", SCORE, 60, effect, seed=1)
    said, labels = said_of(SCORE, arrays, others), [float(one.label) for one in others]
    assert least <= spearmanr(said, labels).statistic <= most
    assert 40 < np.mean(said) < 60, "in the unit of the scores"


@pytest.mark.parametrize(("effect", "least", "most"), [(1.5, 0.7, 1.0), (0.0, -0.4, 0.4)])
def test_risks_are_learned_where_they_can_be(tmp_path: Path, effect: float, least: float, most: float) -> None:
    arrays = fitted(SURVIVAL, patients(tmp_path / "train", SURVIVAL, 80, effect), tmp_path)
    others = patients(tmp_path / "test", SURVIVAL, 80, effect, seed=1)
    said = said_of(SURVIVAL, arrays, others)
    died = [one.label for one in others if isinstance(one.label, Followed) and one.label.event]
    risks = [risk for risk, one in zip(said, others, strict=True) if one.label in died]
    assert least <= -spearmanr(risks, [one.time for one in died]).statistic <= most


def test_it_finds_the_optimum_of_cox_with_a_penalty(tmp_path: Path) -> None:
    """By another solver, of the loss of the slow twin; ties included."""
    stores = patients(tmp_path / "train", SURVIVAL, 30, 1.0)
    tied = tuple(
        LabelledStore(one.path, one.n, Followed(float(round(one.label.time / 4)), one.label.event), one.patient_id)
        for one in stores
        if isinstance(one.label, Followed)
    )
    arrays = fitted(SURVIVAL, tied, tmp_path)
    with opened_rows(TrainingData(tied, (), LENGTH, SURVIVAL)) as (rows, valid):
        means, labels = patient_means(rows, standard_arrays(rows, valid))

    def objective(w: np.ndarray) -> float:
        risks = (means @ w).tolist()
        loss = naive.cox_loss(risks, labels[:, 0].tolist(), (labels[:, 1] == 1).tolist())
        return float(loss + 0.1 * float(w @ w) / 2)

    exact = minimize(objective, np.zeros(LENGTH), method="BFGS", options={"gtol": 1e-6}).x
    np.testing.assert_allclose(arrays["coefficients"], exact, atol=1e-4)
    assert arrays["intercept"][0] == pytest.approx(0.0, abs=1e-12), "nothing moves it"


def test_a_score_is_standardised_by_patients_of_training_alone(tmp_path: Path) -> None:
    stores = patients(tmp_path / "train", SCORE, 20, 1.0)
    arrays = fitted(SCORE, stores, tmp_path)
    mean, deviation = naive.mean_and_deviation([float(one.label) for one in stores])
    assert arrays[LABEL_MEAN][0] == pytest.approx(mean)
    assert arrays[LABEL_SCALE][0] == pytest.approx(deviation)


def test_what_cannot_be_learned_is_refused(tmp_path: Path) -> None:
    stores = patients(tmp_path / "train", SURVIVAL, 4, 1.0)
    censored = tuple(LabelledStore(one.path, one.n, Followed(3.0, 0), one.patient_id) for one in stores)
    with pytest.raises(InputError, match="have 0 events among 4"):
        fitted(SURVIVAL, censored, tmp_path)


def test_it_stops_on_request(tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        fitted(SCORE, patients(tmp_path / "train", SCORE, 10, 1.0), tmp_path, StopAt(2))
