"""Learning rates over the steps of a phase of training: pure functions of the step."""

from __future__ import annotations

import math
from typing import Literal

Schedule = Literal["constant", "one-cycle", "step", "warm-cosine"]

# As torch.optim.lr_scheduler.OneCycleLR has them by default.
RISING_SHARE = 0.3
START_DIVISOR = 25.0
END_DIVISOR = 1e4
WARM_SHARE = 0.1  # of the steps: 10 of the 100 epochs of the study of small cell lung cancer


def learning_rate(schedule: Schedule, largest: float, step: int, n_steps: int) -> float:
    """Learning rate of step ``step`` (from 0) of the ``n_steps`` of a phase; ``largest`` is its maximum.

    "step" is a tenth after each third of the steps. "one-cycle" (Smith 2018, arXiv 1803.09820) rises from a 25th to
    ``largest`` over 30 % of the steps and falls to a 250,000th, along cosines, step for step as PyTorch's OneCycleLR;
    the momentum, which OneCycleLR changes too, stays constant. "warm-cosine" rises in equal steps to ``largest`` over
    the first tenth of the steps and falls to 0 along a cosine. A phase of one step takes ``largest``.
    """
    if schedule == "constant" or n_steps == 1:
        return largest
    if schedule == "step":
        return largest * 0.1 ** (3 * step // n_steps)
    if schedule == "warm-cosine":
        warm = max(1, round(WARM_SHARE * n_steps))
        return (
            largest * (step + 1) / warm if step < warm else _along_cosine(largest, 0, (step - warm) / (n_steps - warm))
        )
    start, top, end = largest / START_DIVISOR, RISING_SHARE * n_steps - 1, n_steps - 1
    if step <= top:
        return _along_cosine(start, largest, step / top)
    return _along_cosine(largest, start / END_DIVISOR, (step - top) / (end - top))


def _along_cosine(first: float, last: float, share: float) -> float:
    return last + (first - last) / 2 * (1 + math.cos(math.pi * share))
