"""What a class counts in a loss."""

from __future__ import annotations

import numpy as np
import pytest

from hypoxia_hpc.networks.data.classes import class_weights


@pytest.mark.parametrize("counts", [(1, 1), (3, 1), (7, 1_000_000)])
def test_both_classes_count_the_same_and_one_on_average(counts: tuple[int, int]) -> None:
    weights = class_weights(np.array(counts))
    assert weights[0] * counts[0] == pytest.approx(weights[1] * counts[1])
    assert weights @ counts / sum(counts) == pytest.approx(1)
