"""Which clusters the tiles of slides and patients are in: counted while the features pass by, written as tables."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hypoxia_hpc.models.outputs import kept_probabilities
from hypoxia_hpc.models.training_job import TrainingJob
from hypoxia_hpc.networks.heads.cluster_parts import ClusterOf
from hypoxia_hpc.networks.heads.contrastive_network import clusters_said
from hypoxia_hpc.networks.heads.loop import OnEpoch
from hypoxia_hpc.networks.heads.registry import find_clustering
from hypoxia_hpc.networks.heads.result import TrainedHead
from hypoxia_hpc.networks.heads.sound import load_sound_model
from hypoxia_hpc.records import Features, Float32Array, Int64Array, Slide
from hypoxia_hpc.runs.cohort import model_names
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.runs.state import SlideState

LEVELS = ("slide", "patient")


class SlideClusters(Protocol):
    """The clusters of tiles, by whatever a clustering goes by."""

    def of_slide(self, slide_id: str, values: Float32Array) -> Int64Array:
        """Of all tiles of a slide, int64 (n,); ``values``: their features (n, d)."""

    def of_tiles(self, slide_ids: Sequence[str], rows: Int64Array, values: Float32Array) -> Int64Array:
        """Of some tiles, int64 (n,): the slide and row of each, those of a slide one behind the other, and their
        features (n, d)."""


@dataclass(frozen=True, slots=True)
class ByFeatures:
    """Clusters by a function of feature vectors."""

    cluster_of: ClusterOf

    def of_slide(self, slide_id: str, values: Float32Array) -> Int64Array:
        return self.cluster_of(values)

    def of_tiles(self, slide_ids: Sequence[str], rows: Int64Array, values: Float32Array) -> Int64Array:
        return self.cluster_of(values)


@dataclass(frozen=True, slots=True)
class ByPixels:
    """Clusters by what a network has said of the pixels, which ``run`` keeps under ``name``. Raises NotReadyError
    where it is damaged."""

    run: RunDir
    name: str

    def of_slide(self, slide_id: str, values: Float32Array) -> Int64Array:
        return clusters_said(kept_probabilities(self.run, self.name, slide_id))

    def of_tiles(self, slide_ids: Sequence[str], rows: Int64Array, values: Float32Array) -> Int64Array:
        owners = np.asarray(slide_ids, dtype=object)
        wanted = dict.fromkeys(slide_ids)
        return np.concatenate([self.of_slide(slide_id, values)[rows[owners == slide_id]] for slide_id in wanted])


@dataclass(frozen=True, slots=True)
class FoldClustering:
    """A trained clustering of one fold: the set of every patient in it, ``k`` clusters, and the cluster of the tiles
    of a slide."""

    name: str
    fold: int
    sets: Mapping[str, str]
    k: int
    clusters: SlideClusters


@dataclass(frozen=True, slots=True)
class ClusterTables:
    """``shares``: level (slide, patient), model, fold, set, id, n_tiles, and the share of its tiles in each cluster,
    share_000, ...; ``tiles``: slide_id, x_l0, y_l0, cluster, fold: that which has the patient in its test set, the
    first where none has."""

    shares: pd.DataFrame
    tiles: pd.DataFrame


def fit_clustering(job: TrainingJob, on_epoch: OnEpoch) -> TrainedHead:
    """Cluster the training tiles of a fold. Raises what the clustering's own training raises."""
    return find_clustering(job.model.head).train(
        job.table,
        job.data,
        seed=job.seed,
        checkpoints=job.checkpoints,
        on_epoch=on_epoch,
        stop=job.stop,
    )


def saved_clusterings(run: RunDir, model_run: RunDir, folds: Sequence[Mapping[str, str]]) -> list[FoldClustering]:
    """The clusterings that run.toml of ``model_run`` asks for, for the tiles of ``run``; those of each fold with its
    sets of patients. Raises NotReadyError where one is missing or damaged."""
    table = model_run.config().train
    wanted = [(name, head, fold) for name, head, fold in model_names(table) if head in table.clusterings]
    found = []
    for name, head, fold in wanted:
        model = load_sound_model(model_run.model(name))
        clustering = find_clustering(head)
        clusters: SlideClusters = ByPixels(run, name)
        if clustering.predictor is not None:
            clusters = ByFeatures(clustering.predictor(model.table, model.arrays, model.record.feature_length))
        found.append(FoldClustering(head, fold, folds[fold], clustering.n_clusters(model.table), clusters))
    return found


@dataclass(frozen=True, slots=True)
class _Counted:
    """A slide, the places of its tiles, how many each clustering put in each cluster; and the cluster of each tile by
    the clustering that has number ``kept``."""

    slide: Slide
    xy: Int64Array
    counts: Sequence[Int64Array]
    kept: int
    clusters: NDArray[np.int16]


class ClusterTally:
    """Counts the tiles of slides in clusters, as their features pass by on their way to the models."""

    def __init__(self, clusterings: Sequence[FoldClustering]) -> None:
        self._clusterings = clusterings
        self._counted: list[_Counted] = []

    def passing(self, features: Iterable[tuple[SlideState, Features]]) -> Iterator[tuple[SlideState, Features]]:
        """The same features."""
        for state, found in features:
            if self._clusterings:
                self._counted.append(self._count(state.slide, found))
            yield state, found

    def tables(self) -> ClusterTables | None:
        """Of all that have passed; None without clusterings. Equal features give equal tables."""
        if not self._clusterings:
            return None
        shares = [self._shares(number, level) for level in LEVELS for number in range(len(self._clusterings))]
        return ClusterTables(pd.concat(shares, ignore_index=True), self._tiles())

    def _count(self, slide: Slide, features: Features) -> _Counted:
        values = features.values.astype(np.float32)
        clusters = [one.clusters.of_slide(slide.slide_id, values) for one in self._clusterings]
        counts = [np.bincount(of, minlength=one.k) for of, one in zip(clusters, self._clusterings, strict=True)]
        sets = [one.sets.get(slide.patient_id) for one in self._clusterings]
        kept = sets.index("test") if "test" in sets else 0
        return _Counted(slide, features.xy, counts, kept, clusters[kept].astype(np.int16))

    def _tiles(self) -> pd.DataFrame:
        n_tiles = [len(one.xy) for one in self._counted]
        # As categories: 26 million tiles with a string each would take gigabytes.
        slide_ids = pd.Categorical([one.slide.slide_id for one in self._counted])
        xy_l0 = np.concatenate([one.xy for one in self._counted])
        folds = np.array([self._clusterings[one.kept].fold for one in self._counted], dtype=np.int16)
        return pd.DataFrame(
            {
                "slide_id": slide_ids.take(np.repeat(np.arange(len(n_tiles)), n_tiles)),
                "x_l0": xy_l0[:, 0],
                "y_l0": xy_l0[:, 1],
                "cluster": np.concatenate([one.clusters for one in self._counted]),
                "fold": np.repeat(folds, n_tiles),
            }
        )

    def _shares(self, number: int, level: str) -> pd.DataFrame:
        """Of one clustering, by id."""
        clustering = self._clusterings[number]
        counts: dict[str, Int64Array] = defaultdict(lambda: np.zeros(clustering.k, dtype=np.int64))
        owners: dict[str, str] = {}
        for one in self._counted:
            name = one.slide.slide_id if level == "slide" else one.slide.patient_id
            counts[name] += one.counts[number]
            owners[name] = one.slide.patient_id
        names = sorted(counts)
        n_tiles = [int(counts[name].sum()) for name in names]
        frame = pd.DataFrame({"level": level, "model": clustering.name, "fold": clustering.fold, "id": names})
        frame.insert(3, "set", [clustering.sets.get(owners[name], "") for name in names])
        shares = np.array([counts[name] for name in names]) / np.array(n_tiles)[:, None]
        columns = [f"share_{cluster:03d}" for cluster in range(clustering.k)]
        return pd.concat([frame.assign(n_tiles=n_tiles), pd.DataFrame(shares, columns=columns)], axis=1)
