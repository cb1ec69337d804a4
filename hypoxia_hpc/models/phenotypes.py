"""Phenotypes of a run: the cluster of every tile, what slides and patients are composed of, and what clusters are.

The clusters are those of the first fold's clustering, for all slides. With more folds, or other seeds, other
clusterings of the same tiles are held against it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hypoxia_hpc.analysis.colours import evenly_spaced
from hypoxia_hpc.analysis.embedding import UMAP, umap_places
from hypoxia_hpc.analysis.phenotypes import (
    Agreement,
    agreement,
    biology_score,
    enrichment,
    one_hospital,
    principal_components,
    rand_with,
)
from hypoxia_hpc.cohorts.csvfiles import csv_text
from hypoxia_hpc.cohorts.groups import SITE
from hypoxia_hpc.config import PhenotypesTable
from hypoxia_hpc.config.heads.registry import is_on_pixels
from hypoxia_hpc.models.clusterings import ByFeatures, ClusterTables
from hypoxia_hpc.models.pixel_clusterings import clusters_of_tiles, train_network
from hypoxia_hpc.models.training_job import n_epochs, training_data
from hypoxia_hpc.networks.data.rows import TrainingData
from hypoxia_hpc.networks.heads.checkpoints import Checkpoints
from hypoxia_hpc.networks.heads.loop import OnEpoch
from hypoxia_hpc.networks.heads.registry import find_clustering
from hypoxia_hpc.networks.heads.result import Arrays
from hypoxia_hpc.outcomes.named import NamedClasses
from hypoxia_hpc.progress import Progress
from hypoxia_hpc.reading import MOST_TABLE_BYTES, UnfitFileError, read_json, sha256_of
from hypoxia_hpc.records import Features, Float32Array, Float64Array, Int64Array, Json
from hypoxia_hpc.runs.cohort import Cohort, Planned
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.runs.made_by import write_frozen_keys
from hypoxia_hpc.runs.state import SlideState
from hypoxia_hpc.stores.commit import committing_directory
from hypoxia_hpc.stores.layout import content_digest

PATIENTS_FILE, SLIDES_FILE, TILES_FILE = "patients.csv", "slides.csv", "tiles.parquet"
FACTS_FILE, SAMPLE_FILE, PICTURES = "phenotypes.json", "sample.csv", "typical"
# Training tiles that clusterings are compared on, and typical ones chosen from; all are in memory.
SAMPLE_TILES = 20_000
PICTURED_TILES = 800
# Columns of sample.csv by [phenotypes] picture.
AXES = {"pca": ("component_1", "component_2"), UMAP: ("umap_1", "umap_2")}


# Slide and row of some tiles, and their features -> the cluster of each, int64 (n,).
SampleClusters = Callable[[Sequence[str], Int64Array, Float32Array], Int64Array]


@dataclass(frozen=True, slots=True)
class Sample:
    """Training tiles, evenly spaced over their slides: of each its slide, its row in that slide's stores, its place
    (n, 2) in level 0 pixels, and its features float32 (n, d)."""

    slide_ids: tuple[str, ...]
    rows: Int64Array
    xy: Int64Array
    values: Float32Array

    def place(self, number: int) -> Json:
        """Where one of them lies."""
        x, y = self.xy[number].tolist()
        return {"slide_id": self.slide_ids[number], "row": int(self.rows[number]), "x_l0": x, "y_l0": y}

    def clusters(self, clusters_of: SampleClusters) -> Int64Array:
        """The cluster of each, int64 (n,)."""
        return clusters_of(self.slide_ids, self.rows, self.values)


class Sampling:
    """Keeps some tiles of training slides as their features pass by."""

    def __init__(self, slide_ids: Sequence[str]) -> None:
        self._wanted = frozenset(slide_ids)
        self._most = max(1, SAMPLE_TILES // max(1, len(self._wanted)))
        self._kept: list[tuple[str, Int64Array, Features]] = []

    def passing(self, features: Iterable[tuple[SlideState, Features]]) -> Iterator[tuple[SlideState, Features]]:
        """The same features."""
        for state, found in features:
            if state.slide.slide_id in self._wanted:
                rows = evenly_spaced(len(found.xy), self._most)
                kept = Features(found.slide_id, found.values[rows].astype(np.float32), found.xy[rows], {})
                self._kept.append((state.slide.slide_id, rows, kept))
            yield state, found

    def sample(self) -> Sample:
        """Of all that have passed."""
        names = [name for name, rows, _ in self._kept for _ in range(len(rows))]
        return Sample(
            tuple(names),
            np.concatenate([rows for _, rows, _ in self._kept]),
            np.concatenate([kept.xy for *_, kept in self._kept]),
            np.concatenate([kept.values for *_, kept in self._kept]),
        )


def of_other_seeds(
    cohort: Cohort, model: Planned, sets: Mapping[str, str], *, progress: Progress, stop: threading.Event
) -> dict[str, SampleClusters]:
    """The clustering of the first fold, trained again with the next seeds. What is trained stays as a checkpoint until
    `forget_seeds`. Raises what its training raises."""
    data = training_data(cohort, sets, 0)
    found = {}
    for number in range(1, cohort.config.phenotypes.seeds + 1):
        checkpoints = _checkpoints(cohort, model, number)
        held, seed = checkpoints.load(), cohort.config.train.seed + number
        if held is None or not held.state.get("trained"):
            epochs = n_epochs(cohort.config.train.table_of(model.head))
            progress.begin(f"phenotypes {model.head}, seed {seed}", epochs, epochs, "epoch")
            try:
                arrays = _trained_again(cohort, model, sets, data, seed, checkpoints, lambda _: progress.item(1), stop)
            finally:
                progress.end()
            checkpoints.save({"trained": True}, arrays)
        else:
            arrays = held.arrays
        found[f"seed {seed}"] = _clusters_by(cohort, model, data, arrays)
    return found


def _trained_again(
    cohort: Cohort,
    model: Planned,
    sets: Mapping[str, str],
    data: TrainingData,
    seed: int,
    checkpoints: Checkpoints,
    on_epoch: OnEpoch,
    stop: threading.Event,
) -> Arrays:
    how: dict[str, Any] = {"seed": seed, "checkpoints": checkpoints, "on_epoch": on_epoch, "stop": stop}
    if is_on_pixels(model.head):
        curves = f"phenotypes.seed{seed}"
        return train_network(cohort, model.head, cohort.of_set(sets, "train"), curves=curves, **how).arrays
    table = cohort.config.train.table_of(model.head)
    return find_clustering(model.head).train(table, data, **how).arrays


def _clusters_by(cohort: Cohort, model: Planned, data: TrainingData, arrays: Arrays) -> SampleClusters:
    predictor = find_clustering(model.head).predictor
    if predictor is None:
        return lambda slide_ids, rows, _: clusters_of_tiles(cohort, model.head, arrays, slide_ids, rows)
    table = cohort.config.train.table_of(model.head)
    return ByFeatures(predictor(table, arrays, data.feature_length)).of_tiles


def forget_seeds(cohort: Cohort, model: Planned) -> None:
    """Delete what `of_other_seeds` trained. Raises MachineError."""
    for number in range(1, cohort.config.phenotypes.seeds + 1):
        _checkpoints(cohort, model, number).clear()


def _checkpoints(cohort: Cohort, model: Planned, number: int) -> Checkpoints:
    folder = cohort.run.checkpoint(f"phenotypes.seed{number}")
    return Checkpoints(folder, f"{model.key}:{number}", cohort.config.site.checkpoint_minutes)


def composition(tables: ClusterTables, level: str, owners: Mapping[str, str] | None = None) -> pd.DataFrame:
    """Of each slide or patient its tiles and the share of them in every cluster of the first fold: ``patient_id``,
    ``n_tiles``, ``cluster_0``, ..., of slides ``slide_id`` before; ``owners``: the patient of each slide."""
    rows = tables.shares[(tables.shares["level"] == level) & (tables.shares["fold"] == 0)]
    shares = [str(column) for column in rows if str(column).startswith("share_")]
    names = {column: f"cluster_{number}" for number, column in enumerate(shares)}
    found: pd.DataFrame = rows[["id", "n_tiles", *shares]].rename(columns={"id": f"{level}_id", **names})
    if owners is not None:
        found.insert(1, "patient_id", found[f"{level}_id"].map(owners))
    return found.reset_index(drop=True)


def write_composition(folder: Path, tables: ClusterTables, owners: Mapping[str, str]) -> pd.DataFrame:
    """patients.csv, slides.csv and tiles.parquet in a folder that is being made; the first as a frame. Equal tables
    give equal bytes."""
    patients = composition(tables, "patient")
    (folder / PATIENTS_FILE).write_text(csv_text(patients), encoding="utf-8")
    (folder / SLIDES_FILE).write_text(csv_text(composition(tables, "slide", owners)), encoding="utf-8")
    tables.tiles.drop(columns="fold").to_parquet(folder / TILES_FILE, index=False, compression="zstd")
    return patients


def keep_frozen_phenotypes(cohort: Cohort, tables: ClusterTables, keys: Mapping[str, str]) -> None:
    """Commit RUN/phenotypes/ of slides of which another run's clustering says the clusters; ``keys``: its key by its
    name. Raises MachineError."""
    owners = {state.slide.slide_id: state.slide.patient_id for state in cohort.done}
    with committing_directory(cohort.run.phenotypes, lambda _: False) as folder:
        write_composition(folder, tables, owners)
        write_frozen_keys(folder, folder / PATIENTS_FILE, keys)


def composition_digest(folder: Path) -> str:
    """SHA-256 (hex) over patients.csv and slides.csv. Raises FileNotFoundError, UnfitFileError."""
    return content_digest({name: sha256_of(folder / name, MOST_TABLE_BYTES) for name in (PATIENTS_FILE, SLIDES_FILE)})


def read_facts(run: RunDir) -> Json | None:
    """phenotypes.json; None where there is none, or it is not of the tables beside it."""
    try:
        facts: Json = read_json(run.phenotypes / FACTS_FILE)
        return facts if facts["tables"] == composition_digest(run.phenotypes) else None
    except (FileNotFoundError, UnfitFileError, ValueError, KeyError, TypeError):
        return None


def write_pictures(folder: Path, strips: Sequence[bytes | None]) -> None:
    """The typical tiles of each cluster, in a folder that is being made."""
    (folder / PICTURES).mkdir()
    for number, strip in enumerate(strips):
        if strip is not None:
            (folder / PICTURES / f"{number:04d}.jpg").write_bytes(strip)


def size_facts(patients: pd.DataFrame, table: PhenotypesTable) -> Json:
    """Of ``patients`` (`composition`): the tiles of each cluster, and which clusters are near-empty."""
    sizes = counts_of(patients).sum(axis=0)
    near_empty = np.flatnonzero(sizes < table.near_empty * sizes.sum()).tolist()
    return {"clusters": len(sizes), "sizes": sizes.tolist(), "near_empty": near_empty}


def counts_of(patients: pd.DataFrame) -> Int64Array:
    """Tiles of each patient in each cluster, int64 (n, k)."""
    shares = patients.filter(regex=r"^cluster_\d+$").to_numpy(dtype=np.float64)
    counts: Int64Array = np.rint(shares * patients["n_tiles"].to_numpy()[:, None]).astype(np.int64)
    return counts


def known_groups(cohort: Cohort, patient_ids: Sequence[str]) -> dict[str, list[str]]:
    """Label (of classes), tumour type and site of patients, "" where one is not known."""
    outcome, sites = cohort.outcome, cohort.groups(SITE)
    patients = [cohort.patients[name] for name in patient_ids]
    classes = outcome.table.classes if isinstance(outcome, NamedClasses) else None
    labels = [classes[one.label] if classes is not None and isinstance(one.label, int) else "" for one in patients]
    return {
        "label": labels,
        "tumour_type": [one.tumour_type for one in patients],
        SITE: [sites.get(name, "") for name in patient_ids],
    }


def group_facts(patients: pd.DataFrame, groups: Mapping[str, Sequence[str]]) -> Json:
    """What clusters have to do with ``groups`` (`known_groups`) of the same patients. ``follows``: adjusted Rand index
    of the clusters of tiles with each; ``score``: that with the tumour (its type, else its label) less that with the
    site, above 0 where clusters follow biology; ``one_hospital``: the site of clusters that are one hospital."""
    counts = counts_of(patients)
    shares = counts / patients["n_tiles"].to_numpy()[:, None]
    by_group = {column: _counts_by_group(counts, values) for column, values in groups.items()}
    follows = {column: rand_with(of_groups) for column, of_groups in by_group.items()}
    biology = follows["label"] if follows["tumour_type"] is None else follows["tumour_type"]
    return {
        "follows": follows,
        "score": biology_score(biology, follows[SITE]),
        "one_hospital": {str(number): site for number, site in one_hospital(by_group[SITE], counts.shape[1]).items()},
        "enrichment": [asdict(one) for one in enrichment(shares, groups)],
    }


def _counts_by_group(counts: Int64Array, values: Sequence[str]) -> dict[str, Int64Array]:
    named = np.asarray(values, dtype=object)
    return {name: counts[named == name].sum(axis=0) for name in sorted(set(values) - {""})}


def stability_facts(clusters: Int64Array, others: Mapping[str, Int64Array], k: int) -> Json:
    """How far other clusterings of the same tiles find the same clusters. ``rand``: adjusted Rand index by their names;
    ``overlaps``: of each cluster, with those that are matched to it, on average, null where none has a tile."""
    found: dict[str, Agreement] = {name: agreement(clusters, other, k) for name, other in others.items()}
    overlaps = np.array([one.overlaps for one in found.values()]).reshape(-1, k)
    known = np.isfinite(overlaps).sum(axis=0)
    means = np.nansum(overlaps, axis=0) / np.maximum(known, 1)
    return {
        "rand": {name: one.rand for name, one in found.items()},
        "overlaps": [float(mean) if n else None for mean, n in zip(means, known, strict=True)],
    }


def pictured(
    sample: Sample, values: Float64Array, clusters: Int64Array, picture: str = "pca", seed: int = 0
) -> pd.DataFrame:
    """Some tiles of the sample on its first two principal components, or by UMAP with a seed; ``values``:
    `standardised`."""
    chosen = evenly_spaced(len(clusters), PICTURED_TILES)
    places = umap_places(values[chosen], seed) if picture == UMAP else principal_components(values)[chosen]
    first, second = AXES[picture]
    return pd.DataFrame(
        {
            "slide_id": [sample.slide_ids[number] for number in chosen.tolist()],
            "x_l0": sample.xy[chosen, 0],
            "y_l0": sample.xy[chosen, 1],
            "cluster": clusters[chosen],
            first: places[:, 0],
            second: places[:, 1],
        }
    )


def standardised(sample: Sample) -> Float64Array:
    """Features of the sample, float64 (n, d), each at mean 0 and spread 1 (0 where it never changes)."""
    values = sample.values.astype(np.float64)
    spread = values.std(axis=0)
    scaled: Float64Array = (values - values.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    return scaled
