"""Survival: do patients with a higher risk die earlier? Concordance of Harrell and of Uno, of weighted units."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hypoxia_hpc.analysis.rows import Statistic, divided
from hypoxia_hpc.machine.compiling import kernel
from hypoxia_hpc.records import Float64Array, Int64Array

SURVIVAL_METRICS = ("harrell", "uno")


class _Followed(NamedTuple):
    """Patients by falling time, at equal times those without an event first: all that an event may be compared with
    comes before it. ``group`` counts the steps (equal time and event) from 0; ``risk`` the different risks from 1."""

    group: Int64Array
    died: NDArray[np.bool_]
    risk: Int64Array
    unit: Int64Array


def concordance_statistic(
    time: NDArray[np.floating],
    event: NDArray[np.integer],
    risk: NDArray[np.floating],
    units: Int64Array,
    *,
    until: float | None = None,
) -> Statistic:
    """Harrell's and Uno's concordance of patients, in 0..1, 1/2 without a relation.

    ``time`` of the event or of the end of the follow-up, ``event`` 1 or 0, ``risk`` higher for those said to die
    earlier; all (n,). Harrell 1982: of the pairs of which it is known who dies first, the share in which that one has
    the higher risk, ties of risk half; at equal times one with an event dies before one without, two events are no
    pair. Uno 2011: the same, each pair weighted by 1 / G(t)², G(t) being the Kaplan-Meier share not censored before the
    time t of the event; pairs whose event is at or after ``until`` are left out (None: none is). G is estimated from
    the same patients, in each resample anew. NaN without pairs.
    """
    order = np.lexsort((units, risk, event, -np.asarray(time)))
    times, died = np.asarray(time, dtype=np.float64)[order], (np.asarray(event) == 1)[order]
    steps = np.concatenate([[0], (times[1:] != times[:-1]) | (died[1:] != died[:-1])])[: len(times)]
    risks = np.unique(np.asarray(risk)[order], return_inverse=True)[1] + 1
    within = np.ones(len(times), dtype=bool) if until is None else times < until
    followed = _Followed(np.cumsum(steps).astype(np.int64), died, risks.astype(np.int64), units[order])

    def measure(weights: Float64Array) -> Float64Array:
        uncensored = _uncensored(times, died, weights[followed.unit])
        one = concordant_pairs(*followed, np.ones_like(uncensored), weights)
        inverse = np.where(within[:, None], divided(np.ones_like(uncensored), uncensored**2), 0)
        other = concordant_pairs(*followed, np.nan_to_num(inverse), weights)
        return np.column_stack([divided(one[0], 2 * one[1]), divided(other[0], 2 * other[1])])

    return measure


def _uncensored(time: Float64Array, event: NDArray[np.bool_], weights: Float64Array) -> Float64Array:
    """(n, lanes): the Kaplan-Meier share not censored before each patient's time. Rows by falling time, ``weights``
    (n, lanes). At equal times events come before the censored, who are no longer at risk beside them."""
    starts = np.flatnonzero(np.concatenate([[True], time[1:] != time[:-1]])[: len(time)])
    at_risk = np.cumsum(np.add.reduceat(weights, starts, axis=0), axis=0)
    died = np.add.reduceat(weights * event[:, None], starts, axis=0)
    censored = np.add.reduceat(weights * ~event[:, None], starts, axis=0)
    stay = 1 - np.nan_to_num(divided(censored, at_risk - died))
    # Of the times before: from the earliest, which is last, on.
    until_then = np.cumprod(stay[::-1], axis=0)[::-1]
    before = np.concatenate([until_then[1:], np.ones((1, weights.shape[1]))])[: len(starts)]
    lengths = np.diff(np.append(starts, len(time)))
    return np.repeat(before, lengths, axis=0)


@kernel
def _add_up_to(tree: Float64Array, place: int, share: Float64Array, twice: Float64Array) -> None:
    """Adds to ``twice`` (lanes,) the ``share`` times the weights in a Fenwick tree (n + 1, lanes) of the risks up to
    ``place``."""
    while place > 0:
        for lane in range(len(share)):
            twice[lane] += share[lane] * tree[place, lane]
        place -= place & -place


@kernel
def concordant_pairs(
    group: Int64Array,
    died: NDArray[np.bool_],
    risk: Int64Array,
    unit: Int64Array,
    factor: Float64Array,
    weights: Float64Array,
) -> tuple[Float64Array, Float64Array]:
    """Per column of ``weights`` (n_units, lanes): twice the concordant pairs (ties once) and the pairs, each pair
    counting the product of both weights and the ``factor`` (n, lanes) of the one with the event.

    Rows as in `concordance_statistic`. A Fenwick tree over the risks holds the weights of those who outlive the event.
    """
    n, lanes = factor.shape
    size = risk.max() if n else 0
    tree = np.zeros((size + 1, lanes))
    total, share, twice, pairs = np.zeros(lanes), np.zeros(lanes), np.zeros(lanes), np.zeros(lanes)
    start = 0
    while start < n:
        stop = start
        while stop < n and group[stop] == group[start]:
            stop += 1
        if died[start]:
            for row in range(start, stop):
                for lane in range(lanes):
                    share[lane] = weights[unit[row], lane] * factor[row, lane]
                    pairs[lane] += share[lane] * total[lane]
                _add_up_to(tree, risk[row], share, twice)
                _add_up_to(tree, risk[row] - 1, share, twice)
        for row in range(start, stop):
            place = risk[row]
            while place <= size:
                for lane in range(lanes):
                    tree[place, lane] += weights[unit[row], lane]
                place += place & -place
            for lane in range(lanes):
                total[lane] += weights[unit[row], lane]
        start = stop
    return twice, pairs
