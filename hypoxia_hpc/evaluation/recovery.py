"""What was planted in a synthetic cohort, against what was found in it: textures against clusters, log hazards against
the model's. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hypoxia_hpc.records import Float64Array, Int64Array, Json

POINTS = 100.0
# Hazard ratios are of this much more of a texture's share.
MORE_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Recovered:
    """``rand``: adjusted Rand index of the clusters of tiles with their textures. ``texture_of`` (k,): the texture that
    each cluster is matched to, so that most tiles agree, -1 for none. ``points``: mean difference of a slide's share of
    a texture, planted and found, in points of a hundred; textures without a cluster count as found nowhere."""

    rand: float
    texture_of: tuple[int, ...]
    points: float


@dataclass(frozen=True, slots=True)
class Effect:
    """Hazard ratios of a tenth more of a texture's share, in place of as much of ``reference``: planted, and
    ``found`` with its bounds, None where the cluster is not in the signature, and ``why``."""

    texture: str
    reference: str
    planted: float
    found: float | None
    low: float | None
    high: float | None
    why: str = ""

    @property
    def is_within(self) -> bool:
        """Is what was planted within the interval?"""
        return self.low is not None and self.high is not None and self.low <= self.planted <= self.high


def recovered(textures: Int64Array, clusters: Int64Array, slides: Sequence[str], n_textures: int, k: int) -> Recovered:
    """Of n tiles: the texture (in 0..n_textures-1), the cluster (in 0..k-1) and the slide of each."""
    from scipy.optimize import linear_sum_assignment
    from sklearn.metrics import adjusted_rand_score

    both = np.zeros((k, n_textures))
    np.add.at(both, (clusters, textures), 1)
    texture_of = np.full(k, -1)
    matched = linear_sum_assignment(both, maximize=True)
    texture_of[matched[0]] = matched[1]
    places = np.unique(np.asarray(slides), return_inverse=True)[1]
    truth, found = (_shares(of_tiles, places, n_textures) for of_tiles in (textures, texture_of[clusters]))
    points = POINTS * float(np.abs(truth - found).mean())
    return Recovered(float(adjusted_rand_score(textures, clusters)), tuple(texture_of.tolist()), points)


def _shares(textures: Int64Array, slides: Int64Array, n_textures: int) -> Float64Array:
    """Of each slide, the share of its tiles in each texture, (number of slides, n_textures)."""
    counts = np.zeros((int(slides.max()) + 1, n_textures))
    known = textures >= 0
    np.add.at(counts, (slides[known], textures[known]), 1)
    shares: Float64Array = counts / np.bincount(slides)[:, None]
    return shares


def effects(endpoint: Json, texture_of: Sequence[int], log_hazards: Mapping[str, float]) -> list[Effect]:
    """Of the content of an endpoint in survival.json: for each texture with a cluster, but for that of the reference,
    the planted hazard ratio and the multivariate model's. ``log_hazards``: of one more of each texture's share, by
    name, in the order of textures."""
    names, planted = list(log_hazards), list(log_hazards.values())
    reference = texture_of[_number(endpoint["candidates"]["reference"])]
    together = {_number(row["name"]): row for row in endpoint.get("hazards", ())}
    why = {_number(row["name"]): str(row["why"]) for row in endpoint["screen"]}
    found = []
    for cluster, texture in sorted(enumerate(texture_of), key=lambda one: one[1]):
        if texture not in (-1, reference):
            ratio = float(np.exp(MORE_SHARE * (planted[texture] - planted[reference])))
            of_model = _ratios(together.get(cluster))
            because = "" if cluster in together else why.get(cluster) or str(endpoint["why"])
            found.append(Effect(names[texture], names[reference], ratio, *of_model, because))
    return found


def _ratios(row: Json | None) -> tuple[float | None, float | None, float | None]:
    """Hazard ratio and bounds, of which the table has those per standard deviation."""
    if row is None:
        return None, None, None
    ratio, low, high = np.exp(MORE_SHARE * np.log([row["ratio"], row["low"], row["high"]]) / row["spread"]).tolist()
    return ratio, low, high


def _number(name: str) -> int:
    """Of ``cluster_N``."""
    return int(name.rpartition("_")[2])
