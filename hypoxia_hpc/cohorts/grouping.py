"""Groups of patients, such as those of one hospital, into sets that no group straddles: as even as whole groups allow.

A mixed integer program (scipy.optimize.milp) chooses for each group one place, such that the sum of the distances from
every stratum's share of every place is least. It is stopped after a number of nodes, never after a time, so that the
same input gives the same sets on every machine with the same solver.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from hypoxia_hpc.cohorts.dealing import Member, hashed, strata_of
from hypoxia_hpc.cohorts.textfiles import refuse
from hypoxia_hpc.errors import InputError, some_names
from hypoxia_hpc.records import Float64Array

if TYPE_CHECKING:
    from scipy.optimize import OptimizeResult

# Nodes of the search: enough for 36 sites in five folds (252 patients, one node), and fewer where a node takes longer.
# Measured with both limits: 20 sites, five classes, five folds: proven in 6 s; 500 sites: stopped at 1.6 of 9,000.
MOST_NODES = 2000
MOST_NODES_TIMES_CHOICES = 200_000
SOLVER_FAILED = 4  # a status of milp: neither a division nor a proof that there is none


@dataclass(frozen=True, slots=True)
class Balance:
    """How even a division into whole groups is. ``off``: patients beyond the exact share of their stratum's place,
    summed; ``least_off``: no division has fewer, as far as the solver could prove; ``is_best``: it proved this one."""

    off: float
    least_off: float
    is_best: bool

    @property
    def text(self) -> str:
        """A sentence for the user."""
        told = f"{self.off:.1f} patients are off from exact shares, since groups stay whole"
        if self.is_best:
            return f"{told}; no division is better"
        return f"{told}; the search for a better division was cut short (none has less than {self.least_off:.1f})"


def deal_groups(
    members: Sequence[Member],
    fractions: Sequence[float],
    salt: str,
    least: int = 1,
    names: Mapping[str, str] = MappingProxyType({}),
) -> tuple[dict[str, int], Balance]:
    """The place, one of ``len(fractions)``, of each member, all of whom have a stratum and a group; members of one
    group have one place. Each place that has a share gets ``least`` or more of every stratum. ``names``: of strata, for
    a reader.

    Raises InputError where that is not possible, naming the strata that occur in too few groups.
    """
    used = [place for place, fraction in enumerate(fractions) if fraction > 0]
    strata = strata_of(members)
    groups = _groups_in_order(members, salt)
    counts = _counts(members, groups, strata)
    _refuse_too_few(groups, [names.get(stratum, stratum) for stratum in strata], counts, len(used), least)
    shares = np.array([fractions[place] for place in used]) / sum(fractions)
    targets = np.outer(counts.sum(axis=0), shares)
    chosen, balance = _solved(counts, targets, least, _openings(groups, shares))
    # Equal places change their names by chance: otherwise the largest group is always in the first one.
    place_of = dict(zip(groups, (_renamed(used, shares, salt)[place] for place in chosen), strict=True))
    return {each.patient_id: place_of[each.group] for each in members}, balance


def _groups_in_order(members: Sequence[Member], salt: str) -> list[str]:
    """Largest first; those of one size by a hash, which is what a seed changes."""
    sizes = Counter(each.group for each in members)
    return sorted(sizes, key=lambda group: (-sizes[group], hashed(salt, "group", group), group))


def _counts(members: Sequence[Member], groups: Sequence[str], strata: Sequence[str]) -> Float64Array:
    """Members of each group and stratum, float64 (groups, strata)."""
    found = Counter((each.group, each.stratum) for each in members)
    return np.array([[found[group, stratum] for stratum in strata] for group in groups], dtype=np.float64)


def _refuse_too_few(
    groups: Sequence[str], strata: Sequence[str], counts: Float64Array, n_used: int, least: int
) -> None:
    offending = (
        [] if len(groups) >= n_used else [f"{len(groups)} groups for {n_used} sets: {some_names(sorted(groups))}"]
    )
    for stratum, column in zip(strata, counts.T, strict=True):
        holding = [group for group, n in zip(groups, column, strict=True) if n]
        if least and len(holding) < n_used:
            offending.append(
                f"label {stratum}: only in {some_names(sorted(holding))}, needed in {n_used} groups or more"
            )
    refuse(
        f"too few groups to keep them together: each of {n_used} sets needs whole groups with every label",
        offending,
        'lower [train] folds, set split[1] to 0, or choose another column for [train] keep_together ("" for none)',
    )


def _openings(groups: Sequence[str], shares: Float64Array) -> Float64Array:
    """1 where a group may go, float64 (groups, places). Of equal places only names differ: the first group goes to the
    first, the second to one of two, and so on, so that the solver does not look at the same division again."""
    open_to = np.ones((len(groups), len(shares)))
    if np.ptp(shares) < 1e-12:
        open_to = np.tril(open_to)
    return open_to


def _renamed(used: Sequence[int], shares: Float64Array, salt: str) -> list[int]:
    if np.ptp(shares) > 1e-12:
        return list(used)
    return sorted(used, key=lambda place: hashed(salt, "place", str(place)))


def _solved(
    counts: Float64Array, targets: Float64Array, least: int, open_to: Float64Array
) -> tuple[list[int], Balance]:
    """The place of each group. Raises InputError where there is no division, or none was found."""
    n_groups, n_places = len(counts), targets.shape[1]
    found = _program(counts, targets, least, open_to)
    if found.x is None:
        raise _no_division(found.message)
    chosen = found.x[: n_groups * n_places].reshape(n_groups, n_places).argmax(axis=1).tolist()
    reached = np.array([counts[np.equal(chosen, place)].sum(axis=0) for place in range(n_places)]).T
    off = round(float(np.abs(reached - targets).sum()) / 2, 6)
    bound = off if found.mip_dual_bound is None else min(round(float(found.mip_dual_bound) / 2, 6), off)
    return chosen, Balance(off, bound, found.status == 0)


def _program(counts: Float64Array, targets: Float64Array, least: int, open_to: Float64Array) -> OptimizeResult:
    """What the solver found: 1 where a group is in a place, (groups · places), then the distance of each stratum."""
    from scipy.optimize import Bounds, LinearConstraint, milp

    n_groups, n_strata = counts.shape
    n_places = targets.shape[1]
    n_x, n_d = n_groups * n_places, n_strata * n_places
    once = np.hstack([np.kron(np.eye(n_groups), np.ones(n_places)), np.zeros((n_groups, n_d))])
    # Row (stratum, place), column (group, place): the members of that stratum whom the group brings to the place.
    brought = np.einsum("gk,pq->kpgq", counts, np.eye(n_places)).reshape(n_d, n_x)
    flat = targets.ravel()
    program = {
        "c": np.concatenate([np.zeros(n_x), np.ones(n_d)]),
        "integrality": np.concatenate([np.ones(n_x), np.zeros(n_d)]),
        "bounds": Bounds(0, np.concatenate([open_to.ravel(), np.full(n_d, np.inf)])),
        "constraints": [
            LinearConstraint(once, 1, 1),
            LinearConstraint(np.hstack([brought, -np.eye(n_d)]), -np.inf, flat),
            LinearConstraint(np.hstack([brought, np.eye(n_d)]), flat, np.inf),
            LinearConstraint(np.hstack([brought, np.zeros((n_d, n_d))]), least, np.inf),
        ],
    }
    nodes = max(min(MOST_NODES, MOST_NODES_TIMES_CHOICES // n_x), 1)
    found = milp(**program, options={"node_limit": nodes})
    if found.x is None and found.status == SOLVER_FAILED:
        # HiGHS as of SciPy 1.17 fails on about one program of a hundred when it simplifies it first ("Solve error").
        found = milp(**program, options={"node_limit": nodes, "presolve": False})
    return found


def _no_division(message: str) -> InputError:
    return InputError(
        f"no way was found to keep groups together with every label in every set (solver: {message})",
        remedy='lower [train] folds, or choose another column for [train] keep_together ("" for none)',
    )
