"""Are areas under the ROC curve told from chance? Exact and permutation tests, two-sided, and Holm over several."""

from __future__ import annotations

import functools
import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hypoxia_hpc.analysis.auc_intervals import area_spreads
from hypoxia_hpc.analysis.rows import Ids, group_codes, grouped
from hypoxia_hpc.machine.compiling import kernel
from hypoxia_hpc.records import Float64Array, Int64Array

# Additions that an exact distribution may take: 150 patients of either class, some 0.5 s and 80 MB.
EXACT_ADDITIONS = 2e9
PERMUTATIONS = 20_000
_BLOCK = 500

Method = Literal["exact", "permutation", "clustered", "interval", "none"]
Verdict = Literal["above", "below", "not told apart"]


@dataclass(frozen=True, slots=True)
class Chance:
    """Two-sided p of "the area is 1/2" (of another metric: of its value without any relation), in 0..1, and how it was
    found; 1 by "none" where no pair tells anything."""

    p: float
    method: Method


def auc_chance(
    labels: NDArray[np.integer],
    probabilities: NDArray[np.floating],
    *,
    within: Sequence[Hashable] | None = None,
    units: Ids | None = None,
    folds: int = 1,
    seed: int = 0,
) -> Chance:
    """The p of an area under the ROC curve of patients, all (n,), against 1/2.

    Patients are independent: their labels are exchanged (Wilcoxon, Mann and Whitney), ``within`` groups if given, for
    the area within groups (`baselines.within_statistic`). Every way to do so is counted, with the ties as they are;
    where that takes too long, 20,000 at random by ``seed``. The p is twice the smaller tail, at most 1: so "above
    chance" is said in at most 2.5 % where there is no signal, and "below" likewise.

    With ``units`` (sites that are drawn as a whole) patients of one are not exchangeable, nor are the test patients of
    a cross-validation in ``folds``, each of whom trained the others' models: then p is 1 less the largest confidence of
    the interval (`auc_interval`) that leaves 1/2 out.
    """
    positive, probabilities = np.asarray(labels) == 1, np.asarray(probabilities)
    units = grouped(units)
    if units is not None or folds > 1:
        if len(np.unique(positive)) < 2:
            return Chance(1.0, "none")
        [spread], _ = area_spreads(labels, probabilities[:, None], units, folds)
        return Chance(spread.p_of_chance(), "interval" if units is None else "clustered")
    codes = np.zeros(len(positive), dtype=np.int64) if within is None else group_codes(within)
    groups = [_Ranked.of(positive[codes == code], probabilities[codes == code]) for code in np.unique(codes)]
    return _exchanged([each for each in groups if each.size], seed)


def class_auc_chance(labels: NDArray[np.integer], probabilities: NDArray[np.floating], *, seed: int = 0) -> Chance:
    """The p of the mean area of K classes, each against the rest by its own probability, against 1/2.

    ``labels`` (n,) in 0..K-1, ``probabilities`` (n, K), of independent patients. Their labels are exchanged 20,000
    times at random by ``seed``; twice the smaller tail, at most 1, as `auc_chance`. 1 by "none" where a class has no
    patient.
    """
    from scipy.stats import rankdata

    n, n_classes = probabilities.shape
    counts = np.bincount(labels, minlength=n_classes)
    if not counts.all():
        return Chance(1.0, "none")
    # Summed over patients, each in the column of the own class: the mean area, but for a factor and a constant.
    scores = rankdata(probabilities, axis=0) / (counts * (n - counts))
    found, sums = scores[np.arange(n), labels].sum(), _exchanged_sums(scores, np.asarray(labels), seed)
    slack = 1e-9 * abs(found)  # equal sums, in another order, differ by the last bits
    tails = ((1 + np.count_nonzero(side)) / (1 + len(sums)) for side in (sums <= found + slack, sums >= found - slack))
    return Chance(_two_sided(*tails), "permutation")


def _exchanged_sums(scores: Float64Array, labels: NDArray[np.integer], seed: int) -> Float64Array:
    """(PERMUTATIONS,): the sum over rows of the score in the column of a label, labels (n,) exchanged at random."""
    generators = np.random.default_rng(seed).spawn(PERMUTATIONS // _BLOCK)
    drawn = (generator.permuted(np.tile(labels, (_BLOCK, 1)), axis=1) for generator in generators)
    return np.concatenate([scores[np.arange(len(labels)), shuffled].sum(axis=1) for shuffled in drawn])


def least_p(n_positive: int, n_negative: int) -> float:
    """The p of an area of 1 with these numbers of patients, the smallest that `auc_chance` can find by exchanging
    labels: 1/10 for 3 + 3. Where it is 0.05 or more, nothing can be said of any model."""
    return min(1.0, 2 / math.comb(n_positive + n_negative, n_positive))


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Each p adjusted for all of them (Holm 1979), in the order given: below 0.05 for any means that the chance of one
    or more false claims is below 0.05."""
    adjusted, least = {}, 0.0
    for rank, name in enumerate(sorted(p_values, key=lambda each: p_values[each])):
        least = max(least, min(1.0, (len(p_values) - rank) * p_values[name]))
        adjusted[name] = least
    return {name: adjusted[name] for name in p_values}


def verdict(auc: float | None, p: float, alpha: float = 0.05) -> Verdict:
    """What may be said of an area in 0..1 (None: not defined) whose p, adjusted where there are several, is ``p``."""
    if auc is None or p >= alpha or auc == 0.5:
        return "not told apart"
    return "above" if auc > 0.5 else "below"


class _Ranked(NamedTuple):
    """Doubled middle ranks of a group's patients, rising; how many are of its smaller class, and the sum of theirs; the
    sign is -1 where these are the negative ones."""

    twice_ranks: Int64Array
    size: int
    found: int
    sign: int

    @classmethod
    def of(cls, positive: NDArray[np.bool_], probabilities: NDArray[np.floating]) -> _Ranked:
        from scipy.stats import rankdata

        twice_ranks = np.rint(2 * rankdata(probabilities)).astype(np.int64)
        # One class's rank sum gives the other's: the distribution of the smaller class is the quicker.
        few = 2 * np.count_nonzero(positive) <= len(positive)
        own = positive if few else ~positive
        found = int(twice_ranks[own].sum())
        return cls(np.sort(twice_ranks), int(np.count_nonzero(own)), found, 1 if few else -1)

    @property
    def most(self) -> int:
        return int(self.twice_ranks[len(self.twice_ranks) - self.size :].sum())

    def chances(self) -> Float64Array:
        """The probability of each rank sum from 0, turned where the sign is -1."""
        ways: Float64Array = rank_sum_ways(self.twice_ranks, self.size)
        turned: Float64Array = (ways / ways.sum())[:: self.sign]
        return turned


def _exchanged(groups: list[_Ranked], seed: int) -> Chance:
    """The sum over groups of the sums of ranks, each group with its sign, against that of exchanged labels."""
    if not groups:
        return Chance(1.0, "none")
    # In a table that is turned, a sum stands as far from the end as it was from the beginning.
    found = sum(each.found if each.sign > 0 else each.most - each.found for each in groups)
    if _additions(groups) <= EXACT_ADDITIONS:
        chances = functools.reduce(np.convolve, (each.chances() for each in groups))
        return Chance(_two_sided(chances[: found + 1].sum(), chances[found:].sum()), "exact")
    generators = np.random.default_rng(seed).spawn(PERMUTATIONS // _BLOCK)
    sums = np.concatenate([sum(_random_sums(each, generator) for each in groups) for generator in generators])
    tails = ((1 + np.count_nonzero(side)) / (1 + len(sums)) for side in (sums <= found, sums >= found))
    return Chance(_two_sided(*tails), "permutation")


def _additions(groups: list[_Ranked]) -> float:
    """What the exact distributions of the groups and their sum take."""
    own = sum(len(each.twice_ranks) * each.size * each.most / 2 for each in groups)
    lengths = np.array([each.most + 1.0 for each in groups])
    return own + float((np.cumsum(lengths)[:-1] * lengths[1:]).sum())


def _two_sided(lower: float, upper: float) -> float:
    return float(min(1.0, 2 * min(lower, upper)))


def _random_sums(group: _Ranked, generator: np.random.Generator) -> Int64Array:
    shuffled = generator.permuted(np.tile(group.twice_ranks, (_BLOCK, 1)), axis=1)
    sums: Int64Array = shuffled[:, : group.size].sum(axis=1)
    return sums if group.sign > 0 else group.most - sums


@kernel
def rank_sum_ways(values: Int64Array, size: int) -> Float64Array:
    """(most + 1,): in how many ways ``size`` of the ``values`` (n,), rising and not below 0, have each sum; float64,
    exact up to 2**53 and to 16 digits above."""
    n = len(values)
    most = 0
    for index in range(n - size, n):
        most += values[index]
    ways = np.zeros((size + 1, most + 1))
    ways[0, 0] = 1
    reach = np.zeros(size + 1, dtype=np.int64)  # the largest sum of each number of the values so far
    for index in range(n):
        value = values[index]
        for chosen in range(min(index + 1, size), 0, -1):
            reach[chosen] = reach[chosen - 1] + value
            for total in range(value, min(reach[chosen], most) + 1):
                ways[chosen, total] += ways[chosen - 1, total - value]
    found: Float64Array = ways[size]
    return found
