"""From what models say to probabilities and calls: the sampling's prior is taken away, thresholds are chosen."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from judged import CLASSES, measures, rows_of
from scipy.special import expit, logit

from hypoxia_hpc.evaluation.operating import Seen, with_calls


def patients(n: int, share: float, seed: int, *, slope: float = 1.5, prior: float = 0.0) -> pd.DataFrame:
    """Patients whose true log-odds a model knows, with ``prior`` added to them."""
    generator = np.random.default_rng(seed)
    odds = logit(share) + slope * generator.normal(size=n)
    labels = (generator.random(n) < expit(odds)).astype(int)
    ids = [f"P{number}" for number in range(n)]
    rows = pd.DataFrame({"model": "m", "set": "valid", "id": ids, "patient_id": ids, "label": labels, "n_tiles": 1})
    return rows.assign(fold=pd.array([0] * n, dtype="Int64"), probability=expit(odds + prior))


def called(rows: pd.DataFrame, valid: pd.DataFrame, seen: Seen) -> pd.DataFrame:
    judge = measures("binary")
    operating = {"m": [judge.fit_operating(valid, seen)]}
    return with_calls(rows, operating, judge.outcome.outputs, judge.calibrated, judge.outcome.table.classes)


@pytest.mark.parametrize("n_valid", [0, 40, 300])
def test_a_balanced_training_at_a_prevalence_of_one_in_ten(n_valid: int) -> None:
    """The issue's figure: 500 test patients, mean probability within 0.05 of the prevalence, Brier score no worse than
    that of the prevalence; without it a quarter and more is called."""
    prior = -float(logit(0.15))
    test = patients(500, 0.1, 1, prior=prior)
    prevalence = test["label"].mean()
    raw = (test["probability"] > 0.5).mean()
    seen = Seen((85.0, 15.0), (1.0, 1.0))
    assert seen.log_odds[1] == pytest.approx(np.log(85 / 15))
    found = called(test, patients(n_valid, 0.1, 2, prior=prior), seen)
    assert raw > 0.25
    assert abs(found["calibrated"].mean() - prevalence) <= 0.05
    assert ((found["calibrated"] - found["label"]) ** 2).mean() <= prevalence * (1 - prevalence)
    assert (found["call"] == "hypoxic").tolist() == (found["calibrated"] > found["threshold"]).tolist()
    said = list(found.columns).index("probability")
    assert list(found.columns)[said + 1 : said + 4] == ["calibrated", "threshold", "call"]


def test_validation_patients_that_show_no_threshold_leave_it_as_it_is() -> None:
    judge = measures("binary", threshold=0.4)
    few = judge.fit_operating(patients(18, 0.5, 3), Seen((9.0, 9.0), (1.0, 1.0)))
    assert few.as_json()["rule"] == "fixed"
    assert few.threshold == 0.4
    many = judge.fit_operating(patients(200, 0.3, 3), Seen((9.0, 9.0), (1.0, 1.0)))
    assert many.as_json()["rule"] == "youden"
    alike = judge.fit_operating(patients(200, 0.3, 3).assign(probability=0.45), Seen((9.0, 9.0), (1.0, 1.0)))
    assert (alike.as_json()["rule"], alike.threshold) == ("fixed", 0.4)
    wanted = measures("binary", threshold_rule="sensitivity", wanted_sensitivity=0.95)
    valid = patients(200, 0.3, 3)
    found = wanted.fit_operating(valid, Seen((9.0, 9.0), (1.0, 1.0)))
    above = found.calibrated(valid["probability"].to_numpy()) > (found.threshold or 0)
    assert above[valid["label"] == 1].mean() >= 0.95


@pytest.mark.parametrize("kind", ["binary", "classes"])
def test_it_is_read_as_it_was_written(kind: str) -> None:
    judge = measures(kind)
    n = judge.outcome.n_outputs + 1 if kind == "binary" else judge.outcome.n_outputs
    made = judge.fit_operating(rows_of(kind, 90, 1.0), Seen((10.0,) * n, tuple(range(1, n + 1))))
    assert judge.read_operating(made.as_json()) == made
    with pytest.raises((KeyError, TypeError, ValueError)):
        judge.read_operating({"log_odds": "no number"})


def test_calls_of_classes_are_the_likeliest_after_the_sampling_is_taken_away() -> None:
    judge = measures("classes")
    operating = judge.fit_operating(rows_of("classes", 9, 1.0), Seen((80.0, 10.0, 10.0), (1.0, 1.0, 1.0)))
    rows = rows_of("classes", 1, 0.0).assign(**dict(zip(judge.outcome.outputs, (0.3, 0.4, 0.3), strict=True)))
    found = with_calls(rows, {"m": [operating]}, judge.outcome.outputs, judge.calibrated, CLASSES)
    expected = np.array([0.3 * 0.8, 0.4 * 0.1, 0.3 * 0.1])
    assert found[list(judge.calibrated)].to_numpy()[0] == pytest.approx(expected / expected.sum())
    assert found["call"].tolist() == ["spindle"]
    assert "threshold" not in found


def test_a_row_that_no_fold_claims_has_the_mean_over_folds() -> None:
    judge = measures("binary")
    seen = [Seen((1.0, 1.0), (1.0, 1.0)), Seen((3.0, 1.0), (1.0, 1.0))]
    operating = {"m": [judge.fit_operating(patients(0, 0.5, 1), one) for one in seen]}
    rows = pd.concat([patients(1, 0.5, 4)] * 3, ignore_index=True).assign(fold=pd.array([1, 0, None], dtype="Int64"))
    found = with_calls(rows, operating, judge.outcome.outputs, judge.calibrated, judge.outcome.table.classes)
    one, two, mean = found["calibrated"]
    said = rows["probability"][0]
    assert (one, two) == pytest.approx((expit(logit(said) - np.log(3)), said))
    assert mean == pytest.approx((one + two) / 2)
