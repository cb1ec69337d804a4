"""The columns that a signature may be made of: shares of clusters, what a model says, or columns of patients.csv. What
they mean is learnt on discovery patients and frozen. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import pandas as pd

from hypoxia_hpc.analysis.compositions import Composition, as_columns, commonest
from hypoxia_hpc.cohorts.covariates import Covariate, learnt
from hypoxia_hpc.config.survival import SurvivalTable
from hypoxia_hpc.errors import InputError
from hypoxia_hpc.records import AnyArray, Float64Array, Json

# Sums of shares may be off by what a CSV file rounds.
SUM_SLACK = 1e-6


@dataclass(frozen=True, slots=True)
class Source:
    """What is known of the n patients of a run: ``cells`` of the columns of patients.csv that [survival] names, by
    column; ``shares``, where risks are made of phenotypes: n_tiles and a column for each cluster; ``said``, where of
    predictions: a column for each output. Both have a row for each patient, NaN where there is nothing."""

    patient_ids: tuple[str, ...]
    cells: Mapping[str, Sequence[str]]
    shares: pd.DataFrame | None = None
    said: pd.DataFrame | None = None


@dataclass(frozen=True, slots=True)
class Candidates:
    """How columns are made of a `Source`. ``clusters`` in their order and the ``reference`` among them; ``outputs`` of
    a model; ``covariates``. Only those of the kind ``of`` are not empty."""

    of: str
    composition: Composition = "reference"
    clusters: tuple[str, ...] = ()
    reference: str = ""
    outputs: tuple[str, ...] = ()
    covariates: tuple[Covariate, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        clusters = tuple(name for name in self.clusters if name != self.reference)
        return (*clusters, *self.outputs, *(name for one in self.covariates for name in one.columns))

    def values(self, source: Source) -> Float64Array:
        """(n, number of names); NaN where a patient lacks something. Raises InputError where the source has other
        clusters or outputs."""
        parts = [one.values(source.cells[one.name]) for one in self.covariates]
        if self.clusters and source.shares is not None:
            parts.append(self._of_clusters(source.shares))
        if self.outputs and source.said is not None:
            _require_columns(self.outputs, list(source.said.columns), "outputs of a model")
            parts.append(source.said[list(self.outputs)].to_numpy(dtype=np.float64))
        return np.column_stack(parts)

    def _of_clusters(self, shares: pd.DataFrame) -> Float64Array:
        _require_columns(self.clusters, clusters_of(shares), "clusters")
        table = shares[list(self.clusters)].to_numpy(dtype=np.float64)
        known = ~np.isnan(table).any(axis=1)
        found = np.full((len(table), len(self.names)), np.nan)
        n_tiles = shares["n_tiles"].to_numpy(dtype=np.float64)[known]
        found[known] = as_columns(table[known], n_tiles, self.composition, self.clusters.index(self.reference))
        return found

    def as_json(self) -> Json:
        return {
            "of": self.of,
            "composition": self.composition,
            "clusters": list(self.clusters),
            "reference": self.reference,
            "outputs": list(self.outputs),
            "covariates": [{"name": one.name, "words": list(one.words)} for one in self.covariates],
        }


def candidates_of(document: Json) -> Candidates:
    """From `Candidates.as_json`. Raises KeyError, TypeError or ValueError where it is none."""
    covariates = tuple(Covariate(str(one["name"]), tuple(map(str, one["words"]))) for one in document["covariates"])
    clusters, outputs = (tuple(map(str, document[name])) for name in ("clusters", "outputs"))
    composition = cast(Composition, str(document["composition"]))
    found = Candidates(str(document["of"]), composition, clusters, str(document["reference"]), outputs, covariates)
    if found.composition not in ("reference", "log-ratio") or (
        found.clusters and found.reference not in found.clusters
    ):
        raise ValueError("candidates whose composition or reference is none")
    return found


def learn(source: Source, table: SurvivalTable, is_discovery: AnyArray) -> Candidates:
    """What the columns mean, from the patients of discovery (bool (n,)). Raises InputError for a reference that is no
    cluster, and as `covariates.learnt`."""
    if table.of == "columns":
        covariates = tuple(learnt(name, source.cells[name], is_discovery) for name in table.columns)
        return Candidates("columns", covariates=covariates)
    if source.said is not None:
        # Probabilities of classes sum to one, too: the first is left out.
        outputs = tuple(source.said.columns)
        return Candidates("predictions", outputs=outputs[1:] if len(outputs) > 1 else outputs)
    if source.shares is None:
        raise ValueError("neither phenotypes nor predictions nor columns")
    clusters = clusters_of(source.shares)
    there = source.shares[is_discovery][clusters].dropna().to_numpy(dtype=np.float64)
    if not len(there):
        raise InputError(
            "no patient of discovery has phenotypes", remedy="look at the sets in split.csv, and at phenotypes/"
        )
    reference = table.reference or clusters[commonest(there)]
    if reference not in clusters:
        raise InputError(
            f"[survival] reference = {reference!r} is no cluster",
            remedy=f"name one of {clusters[0]} to {clusters[-1]}, or leave it out for the largest",
        )
    return Candidates("phenotypes", table.composition, tuple(clusters), reference)


def clusters_of(shares: pd.DataFrame) -> list[str]:
    """The columns of shares, in their order."""
    return [str(name) for name in shares.columns if str(name).startswith("cluster_")]


def _require_columns(wanted: Sequence[str], there: Sequence[str], noun: str) -> None:
    missing = [name for name in wanted if name not in there]
    if missing or len(there) < len(wanted):
        raise InputError(
            f"the {noun} are not those that the signature was made of",
            offending=[f"missing: {name}" for name in missing],
            remedy="assign these patients with the same model as those of discovery",
        )
