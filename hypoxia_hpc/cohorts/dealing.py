"""Who goes into which set: strata and tumour types are spread evenly, and a patient's place hangs on a hash of its own.

A patient's rank is a hash of a seed and its id. So the order of a table plays no part, and one patient more moves
few others: only where it changes a rounded number, and there the patients whose rank is next to the cut.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

_HASHES = 2**64


@dataclass(frozen=True, slots=True)
class Member:
    """A patient as a split sees it. ``stratum``: what is spread evenly over the sets, such as a label; None without
    one. ``group``: patients of one group stay together where that is asked for."""

    patient_id: str
    stratum: str | None
    tumour_type: str = ""
    group: str = ""


def largest_remainder(total: int, fractions: Sequence[float]) -> list[int]:
    """Whole numbers that sum to ``total``, each within one of its share of it (Hamilton's method; ties: the first)."""
    quotas = [total * fraction / sum(fractions) for fraction in fractions]
    sizes = [math.floor(quota + 1e-9) for quota in quotas]  # 0.15 * 100 is 15.000000000000002, 0.29 * 100 below 29
    by_remainder = sorted(range(len(sizes)), key=lambda i: (round(sizes[i] - quotas[i], 9), i))
    for i in by_remainder[: total - sum(sizes)]:
        sizes[i] += 1
    return sizes


def deal(members: Sequence[Member], fractions: Sequence[float], salt: str, least: int = 1) -> dict[str, int]:
    """The place, one of ``len(fractions)``, of each member; all have a stratum.

    Sizes of places follow the fractions by largest remainder. Each place that has a share gets ``least`` or more of
    every stratum, for which there have to be enough. Apart from that a stratum is within one of its share of a place
    where there are two strata, within two where there are more. A tumour type is within two of its share of a
    stratum's places; of more than six places within three.
    """
    by_stratum = {name: [each for each in members if each.stratum == name] for name in strata_of(members)}
    sizes = largest_remainder(len(members), fractions)
    counts = stratum_counts([len(each) for each in by_stratum.values()], sizes, least)
    dealt: dict[str, int] = {}
    for (name, mine), row in zip(by_stratum.items(), counts, strict=True):
        cells: dict[str, list[str]] = {}
        for each in sorted(mine, key=lambda each: (hashed(salt, "id", each.patient_id), each.patient_id)):
            cells.setdefault(each.tumour_type, []).append(each.patient_id)
        dealt |= _dealt(cells, row, 0, f"{salt}\n{name}")
    return dealt


def strata_of(members: Sequence[Member]) -> list[str]:
    """The strata that occur, sorted."""
    return sorted({each.stratum for each in members if each.stratum is not None})


def hashed(*parts: str) -> int:
    """A number from 0 to 2**64 - 1 that depends on these texts alone, the same on every machine."""
    return int.from_bytes(hashlib.sha256("\n".join(parts).encode("utf-8", "surrogatepass")).digest()[:8])


def stratum_counts(n_of: Sequence[int], sizes: Sequence[int], least: int = 1) -> list[list[int]]:
    """How many of each stratum go into each set, (strata, sets): rows sum to ``n_of``, columns to ``sizes``.

    Strata are halved until one is left, and each half gets its rounded share of every set.
    """
    if len(n_of) == 1:
        return [list(sizes)]
    middle = len(n_of) // 2
    first, second = least * middle, least * (len(n_of) - middle)
    bounds = [(min(first, size), max(size - second, 0)) for size in sizes]
    mine = _shared_out(sum(n_of[:middle]), sizes, bounds)
    others = [size - one for size, one in zip(sizes, mine, strict=True)]
    return stratum_counts(n_of[:middle], mine, least) + stratum_counts(n_of[middle:], others, least)


def _shared_out(total: int, sizes: Sequence[int], bounds: Sequence[tuple[int, int]]) -> list[int]:
    """Each set's share of the total in whole numbers, within its bounds."""
    whole = max(sum(sizes), 1)
    quotas = [Fraction(total * size, whole) for size in sizes]
    found = [min(max(math.floor(quota), low), high) for quota, (low, high) in zip(quotas, bounds, strict=True)]
    while sum(found) != total:
        step = 1 if sum(found) < total else -1
        free = [i for i, (low, high) in enumerate(bounds) if low <= found[i] + step <= high]
        best = max(free, key=lambda i: (step * (quotas[i] - found[i]), -i))
        found[best] += step
    return found


def _dealt(cells: dict[str, list[str]], counts: Sequence[int], start: int, salt: str) -> dict[str, int]:
    """The place, ``start`` and on, of each patient of one stratum. ``cells``: by tumour type, patients by their rank.

    The places are halved until one is left; at each cut a tumour type's share is rounded up or down.
    """
    if len(counts) == 1 or not any(cells.values()):
        return {patient_id: start for mine in cells.values() for patient_id in mine}
    middle = len(counts) // 2
    left, total = sum(counts[:middle]), sum(counts)
    n_left = _rounded({name: len(mine) for name, mine in cells.items()}, left, total, f"{salt}\n{start} {len(counts)}")
    first = {name: mine[: n_left[name]] for name, mine in cells.items()}
    second = {name: mine[n_left[name] :] for name, mine in cells.items()}
    return _dealt(first, counts[:middle], start, salt) | _dealt(second, counts[middle:], start + middle, salt)


def _rounded(n_of: dict[str, int], left: int, total: int, salt: str) -> dict[str, int]:
    """Of each cell ``n · left / total`` rounded up or down, such that the sum is ``left``.

    Those with the least (u / (1 - u)) / (f / (1 - f)) are rounded up, f being what the rounding cuts off and u a hash
    in 0..1: about f of all seeds round a cell up. Rosén 1997, "On sampling with probability proportional to size",
    Journal of Statistical Planning and Inference 62 (Pareto sampling).
    """
    rest = {name: n * left % total for name, n in n_of.items()}
    floors = {name: n * left // total for name, n in n_of.items()}

    def score(name: str) -> tuple[Fraction, str]:
        u = hashed(salt, name)
        return Fraction(u * (total - rest[name]), (_HASHES - u) * rest[name]), name

    up = sorted((name for name in n_of if rest[name]), key=score)[: left - sum(floors.values())]
    return {name: floor + (name in up) for name, floor in floors.items()}
