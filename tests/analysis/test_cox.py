"""Cox's model against R 4.2.2 with survival 3.5-3 (``coxph``, ``concordance``, ``basehaz``), and by hand."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import naive
import numpy as np
import pandas as pd
import pytest

from hypoxia_hpc.analysis.concordance import concordance_statistic
from hypoxia_hpc.analysis.cox import NoFitError, baseline_hazard, fit_cox, fit_each
from hypoxia_hpc.analysis.rows import point

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of its own imports
    from lifelines.datasets import load_lung, load_rossi

# Kalbfleisch and Prentice 1980, "The Statistical Analysis of Failure Time Data", data set I of the appendix.
VETERAN = Path(__file__).parents[1] / "recorded" / "veteran.csv"
# Therneau and Grambsch 2000, "Modeling Survival Data", appendix E.1: one binary column, with ties.
SMALL = ([9, 1, 1, 6, 6, 8], [1, 1, 0, 1, 1, 0], [[0], [1], [1], [1], [0], [0]])


def rossi():
    frame = load_rossi()
    return frame["week"], frame["arrest"], frame[["fin", "age", "race", "wexp", "mar", "paro", "prio"]].to_numpy(float)


def lung():
    frame = load_lung()[["time", "status", "age", "sex", "ph.ecog"]].dropna()
    return frame["time"], frame["status"], frame[["age", "sex", "ph.ecog"]].to_numpy(float)


def veteran():
    frame = pd.read_csv(VETERAN)
    cells = [(frame["celltype"] == name).astype(float) for name in ("smallcell", "adeno", "large")]
    return (
        frame["time"],
        frame["status"],
        np.column_stack([frame["trt"], *cells, *(frame[name] for name in ("karno", "diagtime", "age", "prior"))]),
    )


FROM_R = {
    ("rossi", "efron"): (
        rossi,
        [-0.3794221665, -0.0574377427, 0.3138997878, -0.1497956977, -0.4337038779, -0.0848710825, 0.0914970810],
        [0.1913794807, 0.0219994706, 0.3079927766, 0.2122242962, 0.3818680577, 0.1957566719, 0.0286485500],
        (-675.380632347, -658.747659446),
        0.640329247100,
    ),
    ("rossi", "breslow"): (
        rossi,
        [-0.3790218874, -0.0572459250, 0.3141297669, -0.1511146001, -0.4327825738, -0.0849828353, 0.0911115421],
        [0.1913644259, 0.0219831857, 0.3080172797, 0.2121231609, 0.3817949353, 0.1957482073, 0.0286312530],
        (-675.683389417, -659.120605677),
        0.640423183505,
    ),
    ("lung", "efron"): (
        lung,
        [0.0110667646, -0.5526123957, 0.4637284754],
        [0.0092674110, 0.1677390538, 0.1135772662],
        (-744.480455761, -729.230121375),
        0.637135493000,
    ),
    ("veteran", "efron"): (
        veteran,
        [0.294602822, 0.861560463, 1.196066374, 0.401291654, -0.032815326, 0.0000813205, -0.008706475, 0.007159360],
        [0.207549604, 0.275284474, 0.300916994, 0.282688638, 0.005507757, 0.0091360622, 0.009300299, 0.023230538],
        (-505.449054918, -474.397111715),
        0.736029077692,
    ),
}


@pytest.mark.parametrize(("data", "ties"), FROM_R)
def test_numbers_of_r(data, ties):
    load, coefficients, errors, likelihoods, concordance = FROM_R[data, ties]
    time, event, values = load()
    fit = fit_cox(time, event, values, ties=ties)
    assert fit.coefficients == pytest.approx(coefficients, abs=1e-6)
    assert fit.errors == pytest.approx(errors, abs=1e-6)
    assert (fit.null_log_likelihood, fit.log_likelihood) == pytest.approx(likelihoods, abs=1e-6)
    statistic = concordance_statistic(time, event, fit.risk(values), np.arange(len(values)))
    assert point(statistic, len(values))[0] == pytest.approx(concordance, abs=1e-6)


def test_uno_of_r():
    """``concordance(fit, timewt = "n/G2")``."""
    time, event, values = lung()
    risk = fit_cox(time, event, values).risk(values)
    found = point(concordance_statistic(time, event, risk, np.arange(len(values))), len(values))[1]
    assert found == pytest.approx(0.626148295214, abs=1e-6)


def test_breslow_where_it_is_asked_for_on_tied_times():
    time, event, values = veteran()
    found = fit_cox(time, event, values, ties="breslow").coefficients
    expected = [
        0.289935879,
        0.856486654,
        1.188299313,
        0.399627779,
        -0.032621719,
        -0.0000920017,
        -0.008549424,
        0.007232654,
    ]
    assert found == pytest.approx(expected, abs=1e-6)


def test_ridge_is_that_of_r():
    """``ridge(age, sex, ph.ecog, theta = 20, scale = TRUE)``."""
    fit = fit_cox(*lung(), ridge=20)
    assert fit.coefficients == pytest.approx([0.010397628749, -0.484005433645, 0.410049748843], abs=1e-6)
    assert fit.errors == pytest.approx([0.008644469003, 0.155925795024, 0.106688197058], abs=1e-6)


def test_baseline_hazard_is_that_of_r():
    frame = load_lung()
    columns = frame["time"], frame["status"], frame[["age", "sex"]].to_numpy(float)
    hazards = dict(baseline_hazard(fit_cox(*columns), *columns))
    assert (hazards[351], hazards[728]) == pytest.approx((0.795471922479, 2.143638125194), abs=1e-6)


def test_the_exact_formulas_of_therneau_and_grambsch():
    """Breslow's score (6 + 3r - r²) / ((r + 1)(r + 3)) is 0 at r = (3 + √33) / 2."""
    breslow = fit_cox(*SMALL, ties="breslow")
    r = (3 + np.sqrt(33)) / 2
    assert breslow.coefficients[0] == pytest.approx(np.log(r), abs=1e-9)
    assert breslow.covariance[0, 0] == pytest.approx(1 / (r / (r + 1) ** 2 + 6 * r / (r + 3) ** 2), abs=1e-9)
    efron = fit_cox(*SMALL)
    assert efron.coefficients[0] == pytest.approx(1.67685748559, abs=1e-8)
    assert (efron.null_log_likelihood, efron.log_likelihood) == pytest.approx((-4.27666611902, -3.35897484026))


@pytest.mark.parametrize(("ties", "twin"), [("efron", naive.cox_loss), ("breslow", naive.breslow_loss)])
def test_nothing_near_is_likelier_to_the_slow_twin(ties, twin):
    time, event, values = (np.asarray(one)[:80] for one in veteran())
    values = values[:, [0, 4]]
    fit = fit_cox(time, event, values, ties=ties)

    def loss(coefficients):
        return event.sum() * twin((values @ coefficients).tolist(), time.tolist(), event.tolist())

    assert loss(fit.coefficients) == pytest.approx(-fit.log_likelihood, rel=1e-9)
    for step in 0.01 * np.eye(2) * fit.errors:
        assert min(loss(fit.coefficients + step), loss(fit.coefficients - step)) > -fit.log_likelihood


def test_columns_one_by_one_are_single_fits():
    time, event, values = rossi()
    alone = fit_each(time, event, values)
    singles = [fit_cox(time, event, values[:, [place]]) for place in range(values.shape[1])]
    assert alone.coefficients == pytest.approx([one.coefficients[0] for one in singles], abs=1e-8)
    assert alone.errors == pytest.approx([one.errors[0] for one in singles], abs=1e-8)
    assert alone.p_values == pytest.approx([one.p_values[0] for one in singles], abs=1e-8)


TIMES = [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("event", "values", "said"),
    [
        ([0] * 6, [[1], [2], [3], [4], [5], [6]], "no patient had the event"),
        ([1] * 6, [[2]] * 6, "same value for all 6"),
        ([1, 1, 1, 0, 0, 0], [[1], [1], [1], [0], [0], [0]], "separate"),
        ([1] * 6, [[1, 2], [2, 4], [3, 6], [0, 0], [7, 14], [4, 8]], "follows from the others"),
    ],
)
def test_what_has_no_fit_is_said(event, values, said):
    with pytest.raises(NoFitError, match=said):
        fit_cox(TIMES, event, values)
    alone = fit_each(TIMES, event, values)
    if len(values[0]) == 1:
        assert np.isnan([*alone.coefficients, *alone.errors, *alone.p_values]).all()


def test_units_and_an_order_of_patients_change_nothing():
    time, event, values = lung()
    order = np.random.default_rng(0).permutation(len(values))
    one = fit_cox(time, event, values)
    other = fit_cox(np.asarray(time)[order] * 30.4, np.asarray(event)[order], values[order] * [1e6, 1, 1e-6])
    assert other.coefficients * [1e6, 1, 1e-6] == pytest.approx(one.coefficients, rel=1e-7)
    assert other.p_values == pytest.approx(one.p_values, rel=1e-6)


def test_hypoxia_and_survival_in_lung_adenocarcinoma(shared_data: Callable[[str], Path]) -> None:
    """Overall survival of TCGA LUAD by age and Buffa's score / 10 (``coxph``; patients with a time above 0)."""
    clinical = pd.read_csv(shared_data("survival/cbioportal_luad/data_clinical_patient.txt"), sep="\t", comment="#")
    scores = pd.read_csv(shared_data("survival/cbioportal_luad/Buffa_Hypoxia_Score.txt"), sep="\t")
    both = clinical.merge(scores, left_on="PATIENT_ID", right_on="Patient ID")
    numbers = both[["OS_MONTHS", "AGE", "Buffa Hypoxia Score"]].apply(pd.to_numeric, errors="coerce")
    used = numbers.notna().all(axis=1) & (numbers["OS_MONTHS"] > 0)
    time, event = numbers["OS_MONTHS"][used], (both["OS_STATUS"] == "1:DECEASED")[used].astype(int)
    values = numbers[used][["AGE", "Buffa Hypoxia Score"]].to_numpy() / [1, 10]
    fit = fit_cox(time, event, values)
    assert (fit.n, fit.n_events) == (487, 177)
    assert fit.coefficients[1] == pytest.approx(0.1763586, abs=1e-7)
    statistic = concordance_statistic(time, event, fit.risk(values), np.arange(fit.n))
    assert point(statistic, fit.n)[0] == pytest.approx(0.6140, abs=5e-5)


def test_hazards_that_floats_cannot_hold_end_in_words() -> None:
    """Columns with a few values far away, times that follow them: no warning, a fit or a sentence."""
    ends = set()
    for seed in range(150):
        generator = np.random.default_rng(seed)
        values = generator.normal(size=(int(generator.integers(4, 40)), 3)) ** 9
        time, event = np.exp(-np.clip(values[:, 0], -50, 50)) + 0.01, generator.random(len(values)) < 0.7
        try:
            fit = fit_cox(time, event.astype(int), values)
            ends.add("fit")
            assert np.isfinite(fit.coefficients).all()
        except NoFitError as error:
            ends.add(str(error).partition(":")[0])
    assert len(ends) > 1
