"""What is left out before a fit, and that what is left has a sound one."""

from __future__ import annotations

import numpy as np
import pytest

from hypoxia_hpc.analysis.compositions import as_columns, commonest
from hypoxia_hpc.analysis.cox import fit_cox
from hypoxia_hpc.analysis.screening import carriers, screen

ALL = {"least_carriers": 5, "events_per_column": 1, "most_p": 1.0}


def followed(n, seed, risk=0.0):
    generator = np.random.default_rng(seed)
    dies, leaves = generator.exponential(np.exp(-risk), n), generator.exponential(1.5, n)
    return np.minimum(dies, leaves), (dies <= leaves).astype(int)


def test_carriers_of_a_spread():
    one, half = np.zeros(40), np.repeat([0.0, 1.0], 20)
    one[3] = 1
    normal = np.random.default_rng(0).normal(size=40)
    found = carriers(np.column_stack([np.full(40, 0.1), one, half, 1e9 + half]))
    assert found == pytest.approx([0, 1.05, 40, 40], abs=0.01)
    assert 8 < carriers(normal[:, None])[0] < 20


def test_each_reason_is_given_once():
    time, event = followed(60, 1)
    generator = np.random.default_rng(2)
    good = generator.normal(size=(60, 2))
    rare = np.zeros(60)
    rare[[5, 6]] = 1
    parts = event * np.linspace(1, 2, 60)[np.argsort(np.argsort(-time))]
    columns = np.column_stack([good, np.ones(60), rare, good.sum(axis=1), np.where(event == 1, 9.0 + parts, 0)])
    found = screen(time, event, columns, ["a", "b", "flat", "rare", "sum", "parts"], **ALL)
    assert found.kept == (0, 1)
    assert "same value for all 60" in found.dropped[2]
    assert "about 2 of 60 patients; 5 are needed" in found.dropped[3]
    assert found.dropped[4] == "follows from a, b"
    assert "separates" in found.dropped[5]


def test_events_allow_so_many_columns_and_the_smallest_p_stay():
    columns = np.random.default_rng(3).normal(size=(80, 6))
    time, event = followed(80, 4, risk=columns[:, 5])
    found = screen(time, event, columns, list("abcdef"), least_carriers=5, events_per_column=20, most_p=1.0)
    most = event.sum() // 20
    best = np.argsort(found.alone.p_values)[:most]
    assert found.kept == tuple(sorted(best.tolist())) and 5 in found.kept
    assert f"{event.sum()} events allow {most} columns" in found.dropped[int(np.argsort(found.alone.p_values)[-1])]
    # The first two are adjusted for, whatever their p; they take their part.
    adjusted = screen(
        time, event, columns, list("abcdef"), **(ALL | {"events_per_column": 20, "most_p": 0.01}), always=2
    )
    assert {0, 1} <= set(adjusted.kept) and len(adjusted.kept) == max(most, 3)


def test_a_screen_may_leave_nothing():
    time, event = followed(60, 5)
    columns = np.random.default_rng(6).normal(size=(60, 3))
    found = screen(time, event, columns, list("abc"), **(ALL | {"most_p": 1e-9}))
    assert found.kept == () and all("by itself, above 1e-09" in why for why in found.dropped.values())


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(1, 20))])
@pytest.mark.parametrize("spread", [0.2, 1.0])
def test_fifty_shares_with_one_nearly_empty_have_sound_intervals(seed, spread):
    """200 patients of 400 tiles, two of the shares with a planted hazard; every way to fit them."""
    generator = np.random.default_rng(seed)
    alpha = np.full(50, spread)
    alpha[7] = 0.005
    shares = np.array([generator.multinomial(400, each) for each in generator.dirichlet(alpha, 200)]) / 400
    time, event = followed(200, 100 + seed, risk=3 * shares[:, 0] - 3 * shares[:, 1])
    reference = commonest(shares)
    for kind in ("reference", "log-ratio"):
        columns = as_columns(shares, np.full(200, 400), kind, reference)
        names = [f"cluster_{place}" for place in range(50) if place != reference]
        for most_p in (0.05, 1.0):
            found = screen(time, event, columns, names, least_carriers=5, events_per_column=10, most_p=most_p)
            alone = [place for place in range(49) if "spread" not in found.dropped.get(place, "")]
            sd = columns.std(axis=0, ddof=1)[alone]
            reach = (np.abs(found.alone.coefficients) + 1.96 * found.alone.errors)[alone] * sd
            assert np.isfinite(reach).all() and reach.max() < np.log(1e3)
            if found.kept:
                fit = fit_cox(time, event, columns[:, found.kept])
                bounds = np.array(fit.bounds(0.95)) * fit.spreads
                assert np.isfinite(bounds).all() and np.abs(bounds).max() < np.log(1e3)
