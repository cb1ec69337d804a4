"""Clusters of a run: trained with the heads, counted for slides and patients, written beside the predictions."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from feature_runs import NAME, make_run

from hypoxia_hpc.errors import InputError
from hypoxia_hpc.models.prediction_tables import CLUSTERS_FILE, TILE_CLUSTERS_FILE
from hypoxia_hpc.monitoring.verify import verify
from hypoxia_hpc.networks.heads.deep_kmeans import cluster_predictor
from hypoxia_hpc.networks.heads.saved import load_model
from hypoxia_hpc.progress import NoProgress
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.stages.evaluate import evaluate
from hypoxia_hpc.stages.predict import predict
from hypoxia_hpc.stages.train import train
from hypoxia_hpc.stores.features import open_features

# Keras 3.15's own conversion of PyTorch's tensors to NumPy.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

K = 3
CLUSTERS = {"clusters": K, "units": [16], "code": 2, "pretrain_epochs": 2, "epochs": 2, "learning_rate": 0.01}
TRAIN = {"heads": ["logistic"], "clusterings": ["deep_kmeans"], "deep_kmeans": CLUSTERS}
SHARES = [f"share_{cluster:03d}" for cluster in range(K)]


def done(run: RunDir) -> RunDir:
    train(run, progress=NoProgress(), stop=threading.Event())
    evaluate(run, progress=NoProgress(), stop=threading.Event())
    return run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    return done(make_run(tmp_path_factory.mktemp("clusters") / "run", TRAIN, n_patients=20))


@pytest.fixture(scope="module")
def crossed(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    return done(make_run(tmp_path_factory.mktemp("crossed") / "run", {**TRAIN, "folds": 2}, n_patients=20))


def shares_of(run: RunDir) -> pd.DataFrame:
    return pd.read_csv(run.predictions / CLUSTERS_FILE)


def naive_counts(run: RunDir, model: str, slide_id: str) -> np.ndarray:
    """Tiles of a slide in each cluster, one tile at a time."""
    found = load_model(run.model(model))
    cluster_of = cluster_predictor(found.table, found.arrays, found.record.feature_length)  # type: ignore[arg-type]
    counts = np.zeros(K, dtype=np.int64)
    for row in open_features(run.features(NAME, slide_id)).values:
        counts[cluster_of(row[None].astype(np.float32))[0]] += 1
    return counts


def test_shares_of_slides_and_patients_are_those_of_their_tiles(run: RunDir) -> None:
    table = shares_of(run)
    assert list(table.columns) == ["level", "model", "fold", "set", "id", "n_tiles", *SHARES]
    assert set(zip(table["model"], table["fold"], strict=True)) == {("deep_kmeans", 0)}
    slides = table[table["level"] == "slide"].set_index("id")
    patients = table[table["level"] == "patient"].set_index("id")
    assert sorted(slides.index) == sorted(slide.slide_id for slide in run.slides())
    assert np.allclose(table[SHARES].sum(axis=1), 1, atol=1e-12)
    by_patient: dict[str, np.ndarray] = {}
    for slide in run.slides()[:12]:
        counts = naive_counts(run, "deep_kmeans", slide.slide_id)
        assert slides.loc[slide.slide_id, "n_tiles"] == counts.sum()
        assert np.allclose(slides.loc[slide.slide_id, SHARES].astype(float), counts / counts.sum())
        by_patient[slide.patient_id] = by_patient.get(slide.patient_id, 0) + counts
    for patient_id, counts in list(by_patient.items())[:-1]:  # of the last one a slide may be missing here
        assert np.allclose(patients.loc[patient_id, SHARES].astype(float), counts / counts.sum())


def test_every_patient_is_there_with_its_set(run: RunDir) -> None:
    patients = shares_of(run)[lambda table: table["level"] == "patient"].set_index("id")
    split = pd.read_csv(run.split_file).set_index("patient_id")
    assert patients["set"].to_dict() == split["set"].to_dict()
    assert patients.loc["P20", "set"] == "unlabelled"


def test_the_cluster_of_every_tile_adds_up_to_the_shares(run: RunDir) -> None:
    tiles = pd.read_parquet(run.predictions / TILE_CLUSTERS_FILE)
    assert list(tiles.columns) == ["slide_id", "x_l0", "y_l0", "cluster", "fold"]
    counts = pd.crosstab(tiles["slide_id"].astype(str), tiles["cluster"])
    shares = shares_of(run)[lambda table: table["level"] == "slide"].set_index("id").loc[counts.index]
    assert np.allclose(counts.div(counts.sum(axis=1), axis=0), shares[SHARES].to_numpy()[:, counts.columns])
    first = run.slides()[0].slide_id
    here = tiles[tiles["slide_id"] == first][["x_l0", "y_l0"]].to_numpy()
    assert np.array_equal(here, open_features(run.features(NAME, first)).xy)


def test_only_training_patients_decide(run: RunDir, tmp_path: Path) -> None:
    """Other features of test patients change their shares, not the model."""
    split = pd.read_csv(run.split_file)
    record = load_model(run.model("deep_kmeans")).record
    train_patients = split[split["set"] == "train"]["patient_id"]
    n_slides = sum(slide.patient_id in set(train_patients) for slide in run.slides())
    assert record.sets["train"] == {
        "patients": len(train_patients),
        "slides": n_slides,
        "tiles": record.sets["train"]["tiles"],
    }
    other = RunDir(tmp_path / "run")
    shutil.copytree(run.root, other.root)
    shutil.rmtree(other.model("deep_kmeans"))
    done(other)
    assert load_model(other.model("deep_kmeans")).record.content == record.content


def test_a_cluster_table_that_is_changed_or_gone_is_made_again(run: RunDir, tmp_path: Path) -> None:
    copy = RunDir(tmp_path / "run")
    shutil.copytree(run.root, copy.root)
    table = copy.predictions / CLUSTERS_FILE
    whole = table.read_bytes()

    def again() -> bool:
        return evaluate(copy, progress=NoProgress(), stop=threading.Event()).fresh

    assert not again()
    table.write_bytes(whole.replace(b"unlabelled", b"test", 1))
    assert [one.path for one in verify(copy) if one.problems] == ["metrics.json"]
    assert again()
    assert table.read_bytes() == whole
    table.unlink()
    assert again()
    assert table.read_bytes() == whole


def test_folds_have_clusters_of_their_own(crossed: RunDir) -> None:
    table, split = shares_of(crossed), pd.read_csv(crossed.split_file)
    for fold in (0, 1):
        mine = table[(table["fold"] == fold) & (table["level"] == "patient")].set_index("id")
        assert mine["set"].to_dict() == split[split["fold"] == fold].set_index("patient_id")["set"].to_dict()
        slide_id = crossed.slides()[3].slide_id
        counts = naive_counts(crossed, f"deep_kmeans.fold{fold}", slide_id)
        shares = table[(table["fold"] == fold) & (table["id"] == slide_id)][SHARES]
        assert np.allclose(shares.to_numpy()[0], counts / counts.sum())
    tiles = pd.read_parquet(crossed.predictions / TILE_CLUSTERS_FILE)
    tested = split[split["set"] == "test"].set_index("patient_id")["fold"]
    for slide in crossed.slides():
        expected = tested.get(slide.patient_id, 0)
        assert set(tiles[tiles["slide_id"] == slide.slide_id]["fold"]) == {expected}


def test_another_runs_patients_are_clustered_by_the_frozen_model(run: RunDir, tmp_path: Path) -> None:
    new = make_run(tmp_path / "new", TRAIN, n_patients=4)
    predict(new, run, progress=NoProgress(), stop=threading.Event())
    table = shares_of(new)
    assert set(table["set"]) == {"trained-on", "external"}  # patients of the same ids
    slide_id = new.slides()[0].slide_id
    found = load_model(run.model("deep_kmeans"))
    cluster_of = cluster_predictor(found.table, found.arrays, found.record.feature_length)  # type: ignore[arg-type]
    counts = np.bincount(cluster_of(open_features(new.features(NAME, slide_id)).values.astype(np.float32)), minlength=K)
    assert np.allclose(table[table["id"] == slide_id][SHARES].to_numpy()[0], counts / counts.sum())


def test_more_clusters_than_tiles_is_said_before_anything_is_trained(tmp_path: Path) -> None:
    many = make_run(tmp_path / "run", {**TRAIN, "deep_kmeans": {**CLUSTERS, "clusters": 1000}}, n_patients=12)
    with pytest.raises(InputError, match="training tiles make no 1000 clusters"):
        train(many, progress=NoProgress(), stop=threading.Event())


def test_without_clusterings_there_are_no_tables(tmp_path: Path) -> None:
    plain = done(make_run(tmp_path / "run", {**TRAIN, "clusterings": []}, n_patients=12))
    assert sorted(path.name for path in plain.predictions.iterdir()) == [
        "patients.csv",
        "slides.csv",
        "tiles.parquet",
        "training.csv",
    ]
