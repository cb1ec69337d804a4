"""What clusters of tiles are: how large, how far they come again, and whether they follow the tumour or the hospital.

Pure. Clusters are numbers 0..k-1 of tiles; patients have a share of their tiles in each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hypoxia_hpc.records import Float64Array, Int64Array

# A cluster is one hospital where at least the first of these shares of its tiles is of one site, and that share is at
# least the second of them times the site's share of all tiles.
ONE_SITE_SHARE, ONE_SITE_TIMES = 0.8, 1.5
LEAST_PATIENTS = 3  # of a group, for it to be compared with others
PICTURED = 2  # principal components in the picture


@dataclass(frozen=True, slots=True)
class Agreement:
    """Two clusterings of the same tiles: ``rand``, the adjusted Rand index, 1 where they are the same and about 0 by
    chance; ``overlaps`` (k,) of each cluster of the first with the one that is matched to it, the tiles in both by
    the tiles in either, NaN where neither has a tile."""

    rand: float
    overlaps: Float64Array


@dataclass(frozen=True, slots=True)
class Enrichment:
    """A test of whether patients of different groups have different shares of tiles in a ``cluster``: Kruskal and
    Wallis's, ``p_value``, and ``corrected`` for all tests of the table (Holm). ``highest``: the group with the highest
    mean share."""

    column: str
    cluster: int
    highest: str
    p_value: float
    corrected: float


def agreement(one: Int64Array, other: Int64Array, k: int) -> Agreement:
    """Clusters of the same tiles, (n,) in 0..k-1, matched one to one so that most tiles agree (the Hungarian
    method)."""
    from scipy.optimize import linear_sum_assignment
    from sklearn.metrics import adjusted_rand_score

    both = np.zeros((k, k))
    np.add.at(both, (one, other), 1)
    rows, columns = linear_sum_assignment(both, maximize=True)
    shared = both[rows, columns]
    either = both.sum(axis=1)[rows] + both.sum(axis=0)[columns] - shared
    overlaps = np.full(k, np.nan)
    np.divide(shared, either, out=overlaps, where=either > 0)
    return Agreement(float(adjusted_rand_score(one, other)), overlaps)


def holm(p_values: Sequence[float]) -> Float64Array:
    """Holm's correction (1979) of p-values for the number of them, (n,)."""
    values = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    steps = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    corrected = np.empty_like(values)
    corrected[order] = np.minimum(steps, 1.0)
    return corrected


def enrichment(shares: Float64Array, groups: Mapping[str, Sequence[str]]) -> list[Enrichment]:
    """Every cluster against every column of ``groups``: its values for the patients of ``shares`` (n, k), "" where one
    is not known. Columns with fewer than two groups of three patients are left out, and so are clusters of which all
    patients have the same share."""
    from scipy.stats import kruskal

    found = []
    for column, values in groups.items():
        known = {name: shares[np.asarray(values, dtype=object) == name] for name in sorted(set(values) - {""})}
        compared = {name: rows for name, rows in known.items() if len(rows) >= LEAST_PATIENTS}
        if len(compared) < 2:
            continue
        together = np.concatenate(list(compared.values()))
        for cluster in np.flatnonzero(together.min(axis=0) < together.max(axis=0)).tolist():
            means = {name: float(rows[:, cluster].mean()) for name, rows in compared.items()}
            test = kruskal(*(rows[:, cluster] for rows in compared.values()))
            found.append((column, cluster, max(means, key=means.__getitem__), float(test.pvalue)))
    corrected = holm([p_value for *_, p_value in found])
    return [Enrichment(*one, float(value)) for one, value in zip(found, corrected, strict=True)]


def one_hospital(counts: Mapping[str, Int64Array], k: int) -> dict[int, str]:
    """The site of each cluster that is one hospital. ``counts``: tiles in each of ``k`` clusters, (k,), by site; those
    of no known site are not among them."""
    if len(counts) < 2:
        return {}
    sites, table = list(counts), np.array(list(counts.values()), dtype=np.float64)
    of_all = table.sum(axis=1) / table.sum()
    found = {}
    for cluster in range(k):
        n_tiles = table[:, cluster].sum()
        if n_tiles:
            share = table[:, cluster] / n_tiles
            site = int(share.argmax())
            if share[site] >= ONE_SITE_SHARE and share[site] >= ONE_SITE_TIMES * of_all[site]:
                found[cluster] = sites[site]
    return found


def rand_with(counts: Mapping[str, Int64Array]) -> float | None:
    """Adjusted Rand index of the clusters of tiles with a group of each, from the tiles of every group in each cluster,
    (k,); None where fewer than two groups have tiles."""
    table = np.array([row for row in counts.values() if row.any()], dtype=np.float64)
    if len(table) < 2:
        return None
    of_groups, of_clusters, both = _pairs(table.sum(axis=1)), _pairs(table.sum(axis=0)), _pairs(table)
    expected, most = of_groups * of_clusters / _pairs(table.sum()), (of_groups + of_clusters) / 2
    return float((both - expected) / (most - expected)) if most > expected else None


def _pairs(counts: Any) -> float:
    """How many pairs there are within each of these numbers, together."""
    return float((counts * (counts - 1) / 2).sum())


def biology_score(biology: float | None, site: float | None) -> float | None:
    """Adjusted Rand index with the tumour minus that with the hospital, -1..1, as the clustering score of PathoROB
    (Kömen et al. 2025): above 0 clusters follow biology, below 0 the hospital. None where either is not known."""
    return None if biology is None or site is None else biology - site


def most_typical(features: Float64Array, clusters: Int64Array, k: int, most: int) -> list[Int64Array]:
    """For each cluster the tiles nearest to the mean of its tiles, ``most`` or fewer, the nearest first: their places
    in ``features`` (n, d), which are standardised."""
    found = []
    for cluster in range(k):
        places = np.flatnonzero(clusters == cluster)
        away = ((features[places] - features[places].mean(axis=0)) ** 2).sum(axis=1) if len(places) else np.zeros(0)
        found.append(places[np.argsort(away, kind="stable")[:most]])
    return found


def varied_slides(shares: Float64Array, patients: Sequence[str], groups: Mapping[str, str], most: int) -> list[int]:
    """Places of at most ``most`` slides, of the clusters in which their tiles are (shares (n, k)), one a patient: from
    each group of patients in turn the slide whose tiles are spread over most clusters (by entropy)."""
    logs = np.log(shares, out=np.zeros_like(shares), where=shares > 0)
    waiting: dict[str, list[int]] = {}
    for place in np.argsort((shares * logs).sum(axis=1), kind="stable").tolist():
        waiting.setdefault(groups.get(patients[place], ""), []).append(place)
    chosen: list[int] = []
    while any(waiting.values()) and len(chosen) < most:
        for name in sorted(waiting):
            shown = {patients[place] for place in chosen}
            waiting[name] = [place for place in waiting[name] if patients[place] not in shown]
            if waiting[name] and len(chosen) < most:
                chosen.append(waiting[name].pop(0))
    return chosen


def principal_components(features: Float64Array) -> Float64Array:
    """Tiles (n, d) on the two directions in which they differ most, (n, 2); the largest entry of each direction is
    positive. Zeros where there are fewer than two tiles."""
    if len(features) < 2:
        return np.zeros((len(features), PICTURED))
    centred = features - features.mean(axis=0)
    values, vectors = np.linalg.eigh(centred.T @ centred)
    directions = vectors[:, np.argsort(-values, kind="stable")[:PICTURED]]
    largest = directions[np.abs(directions).argmax(axis=0), np.arange(directions.shape[1])]
    shown: Float64Array = centred @ (directions * np.sign(largest))
    return shown
