"""The check of proportional hazards against R 4.2.2 with survival 3.5-3 (``cox.zph``)."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.test_cox import lung, rossi
from hypoxia_hpc.analysis.cox import fit_cox
from hypoxia_hpc.analysis.proportional_hazards import constancy

FROM_R = [
    (rossi, [0.06242975, 5.97398165, 2.06826539, 4.22459563, 1.01102156, 0.01838330, 0.52058425], 17.69441525),
    (lung, [0.18798767, 2.30543723, 2.05424877], 4.46365759),
]


@pytest.mark.parametrize(("load", "statistics", "together"), FROM_R)
def test_statistics_of_r(load, statistics, together):
    time, event, values = load()
    found = constancy(fit_cox(time, event, values), time, event, values)
    assert found.statistics == pytest.approx(statistics, abs=1e-6)
    assert found.together == pytest.approx(together, abs=1e-6)


def test_a_hazard_that_fades_is_seen_and_its_direction_told():
    """High hazard early, the opposite late: the log hazard ratio falls."""
    generator = np.random.default_rng(0)
    group = np.repeat([0.0, 1.0], 150)
    time = np.where(group == 1, generator.weibull(0.5, 300), generator.weibull(3, 300))
    event = np.ones(300)
    found = constancy(fit_cox(time, event, group[:, None]), time, event, group[:, None])
    assert found.p_values[0] < 1e-6 and found.slopes[0] < 0
