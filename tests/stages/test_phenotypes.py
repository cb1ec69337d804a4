"""phenotypes: shares of slides and patients, what clusters are, the same bytes after a stop, frozen on other slides."""

from __future__ import annotations

import io
import json
import shutil
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from feature_runs import NAME, D, make_run, write_slide
from PIL import Image
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import adjusted_rand_score

from hypoxia_hpc.cli.text.stages import phenotypes_lines
from hypoxia_hpc.config import KMeansTable, TileTable, preset, render_config
from hypoxia_hpc.errors import InputError, NotReadyError, Stopped
from hypoxia_hpc.models import phenotypes as models_phenotypes
from hypoxia_hpc.models.galleries import strips
from hypoxia_hpc.monitoring.verify import verify
from hypoxia_hpc.networks.heads.kmeans import kmeans_predictor
from hypoxia_hpc.networks.heads.saved import load_model
from hypoxia_hpc.progress import NoProgress
from hypoxia_hpc.records import Slide
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.runs.made_by import made_by
from hypoxia_hpc.runs.stages import stage_named, stages_of
from hypoxia_hpc.runs.state import is_current, run_spec
from hypoxia_hpc.runs.survey import phenotypes_doubt, survey_run
from hypoxia_hpc.stages.evaluate import evaluate
from hypoxia_hpc.stages.phenotypes import Phenotyped, phenotypes
from hypoxia_hpc.stages.predict import predict
from hypoxia_hpc.stages.train import train
from hypoxia_hpc.stores.features import open_features
from hypoxia_hpc.stores.tiles import new_tile_store

K = 3
TRAIN = {"heads": ["logistic"], "clusterings": ["kmeans"], "kmeans": {"clusters": K}, "folds": 2}
FILES = ("patients.csv", "slides.csv", "phenotypes.json", "sample.csv")


def made(run: RunDir, stop: threading.Event | None = None) -> Phenotyped:
    return phenotypes(run, progress=NoProgress(), stop=stop or threading.Event())


def contents(run: RunDir) -> dict[str, bytes]:
    return {name: (run.phenotypes / name).read_bytes() for name in FILES}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    found = make_run(tmp_path_factory.mktemp("phenotypes") / "run", TRAIN, n_patients=20)
    train(found, progress=NoProgress(), stop=threading.Event())
    made(found)
    return found


def facts_of(run: RunDir) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads((run.phenotypes / "phenotypes.json").read_text())
    return facts


def test_shares_are_those_of_the_tiles_counted_one_by_one(run: RunDir) -> None:
    patients, slides = (pd.read_csv(run.phenotypes / name) for name in FILES[:2])
    clusters = [f"cluster_{number}" for number in range(K)]
    assert list(patients) == ["patient_id", "n_tiles", *clusters]
    assert list(slides) == ["slide_id", "patient_id", "n_tiles", *clusters]
    assert patients[clusters].sum(axis=1).to_numpy() == pytest.approx(np.ones(len(patients)))
    assert len(patients) == 21, "the one without a label, too"
    model = load_model(run.model("kmeans.fold0"))
    assert isinstance(model.table, KMeansTable)
    cluster_of = kmeans_predictor(model.table, model.arrays, model.record.feature_length)
    of_tiles = pd.read_parquet(run.phenotypes / "tiles.parquet")
    for row in slides.itertuples():
        found = open_features(run.features(NAME, str(row.slide_id)))
        clusters_of = [int(cluster_of(one[None].astype(np.float32))[0]) for one in found.values]
        assert row.n_tiles == len(clusters_of)
        shares = [clusters_of.count(number) / len(clusters_of) for number in range(K)]
        assert [getattr(row, name) for name in clusters] == pytest.approx(shares)
        assert of_tiles[of_tiles["slide_id"] == row.slide_id]["cluster"].tolist() == clusters_of


def test_the_facts_name_sizes_stability_typical_tiles_and_groups(run: RunDir) -> None:
    facts = facts_of(run)
    patients = pd.read_csv(run.phenotypes / "patients.csv")
    assert sum(facts["sizes"]) == patients["n_tiles"].sum()
    assert list(facts["stability"]["rand"]) == ["fold 1", "seed 1", "seed 2"]
    assert len(facts["stability"]["overlaps"]) == K
    assert {one["column"] for one in facts["enrichment"]} == {"label", "tumour_type"}
    assert facts["follows"]["site"] is None
    assert facts["score"] is None
    train_patients = pd.read_csv(run.split_file).query("fold == 0 and set == 'train'")["patient_id"]
    of_tiles = pd.read_parquet(run.phenotypes / "tiles.parquet").set_index(["slide_id", "x_l0", "y_l0"])["cluster"]
    owner = pd.read_csv(run.phenotypes / "slides.csv").set_index("slide_id")["patient_id"]
    assert len(facts["typical"]) == K
    for number, tiles in enumerate(facts["typical"]):
        assert 0 < len(tiles) <= 12
        for tile in tiles:
            assert of_tiles[tile["slide_id"], tile["x_l0"], tile["y_l0"]] == number
            assert owner[tile["slide_id"]] in set(train_patients), "typical tiles are those of training patients"
    sample = pd.read_csv(run.phenotypes / "sample.csv")
    assert np.isfinite(sample[["component_1", "component_2"]]).all(axis=None)


def test_what_is_there_is_found_and_what_is_damaged_is_made_again(run: RunDir, tmp_path: Path) -> None:
    copy = RunDir(shutil.copytree(run.root, tmp_path / "run"))
    assert not made(copy).fresh
    states = survey_run(copy, run_spec).features
    assert is_current(copy, stage_named("phenotypes"), states) and not phenotypes_doubt(copy)
    for name in ("patients.csv", "sample.csv"):
        (copy.phenotypes / name).write_text("patient_id\n")
        assert made(copy).fresh
        assert contents(copy) == contents(run)
    (copy.receipts("phenotypes") / "cohort.json").unlink()
    assert not made(copy).fresh
    assert is_current(copy, stage_named("phenotypes"), states), "a kill before the receipt costs nothing"
    assert not [one for one in verify(copy) if one.path == "phenotypes" and one.problems]


def test_what_is_gone_or_of_other_settings_is_not_done(run: RunDir, tmp_path: Path) -> None:
    copy = RunDir(shutil.copytree(run.root, tmp_path / "run"))
    text = copy.config_file.read_text()
    copy.config_file.write_text(text.replace("\ngallery = ", "\ngallery = 2 #"))
    assert "is not of the present slides, models and run.toml" in phenotypes_doubt(copy)
    copy.config_file.write_text(text)
    (copy.phenotypes / "phenotypes.json").unlink()
    assert not is_current(copy, stage_named("phenotypes"), survey_run(copy, run_spec).features)
    assert f"hypoxia-hpc phenotypes {copy.word}" in phenotypes_doubt(copy)


def test_stopped_between_seeds_it_goes_on_to_the_same_bytes(
    run: RunDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = RunDir(shutil.copytree(run.root, tmp_path / "run", ignore=shutil.ignore_patterns("phenotypes")))
    stop, trained = threading.Event(), []
    find = models_phenotypes.find_clustering

    class Told:
        def __init__(self, name: str) -> None:
            self.predictor = find(name).predictor
            self._train = find(name).train

        def train(self, *arguments: Any, seed: int, **options: Any) -> Any:
            trained.append(seed)
            stop.set()
            return self._train(*arguments, seed=seed, **options)

    monkeypatch.setattr(models_phenotypes, "find_clustering", Told)
    with pytest.raises(Stopped):
        made(copy, stop)
    assert not copy.phenotypes.exists()
    made(copy)
    assert trained == [1, 2], "no seed is trained twice"
    assert contents(copy) == contents(run)
    assert not list(copy.root.glob("checkpoints/phenotypes*"))


def test_more_clusters_than_tiles_are_refused_and_a_slide_of_one_tile_is_of_one_cluster(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", {**TRAIN, "folds": 1}, n_patients=12)
    slide = run.slides()[0]
    rewrite(run, slide, np.ones((1, D)))
    config = run.config()
    for name in ("kmeans", "mini_batch_kmeans", "deep_kmeans", "contrastive"):
        table = config.train.table_of(name).model_copy(update={"clusters": 999})
        changes = {"clusterings": (name,), name: table}
        run.config_file.write_text(
            render_config(config.model_copy(update={"train": config.train.model_copy(update=changes)}))
        )
        with pytest.raises(InputError, match=r"\d+ training tiles make no 999 clusters") as error:
            train(run, progress=NoProgress(), stop=threading.Event())
        assert f"[train.{name}] clusters" in error.value.remedy and error.value.exit_code == 2
        assert run.model("logistic").is_dir(), "what is trained stays"
    run.config_file.write_text(render_config(config))
    train(run, progress=NoProgress(), stop=threading.Event())
    made(run)
    of_slide = pd.read_csv(run.phenotypes / "slides.csv").set_index("slide_id").loc[slide.slide_id]
    assert of_slide["n_tiles"] == 1
    assert sorted(of_slide[[f"cluster_{number}" for number in range(K)]]) == [0, 0, 1]


def test_without_a_clustering_or_a_trained_one_it_says_what_to_do(run: RunDir, tmp_path: Path) -> None:
    copy = RunDir(shutil.copytree(run.root, tmp_path / "run", ignore=shutil.ignore_patterns("models")))
    with pytest.raises(NotReadyError, match="2 of 2 clusterings are not trained"):
        made(copy)
    config = copy.config()
    none = config.model_copy(update={"train": config.train.model_copy(update={"clusterings": ()})})
    copy.config_file.write_text(render_config(none))
    with pytest.raises(InputError, match=r"\[train\] clusterings is empty"):
        made(copy)


def test_outside_slides_get_the_same_clusters_frozen(run: RunDir, tmp_path: Path) -> None:
    """The same slides as another cohort, without labels: the shares that they have at home."""
    evaluate(run, progress=NoProgress(), stop=threading.Event())
    outside = RunDir(
        shutil.copytree(run.root, tmp_path / "outside", ignore=shutil.ignore_patterns("models", "predict*", "pheno*"))
    )
    for file in (outside.metrics_file, outside.split_file, outside.root / "split.json", outside.reference_file):
        file.unlink(missing_ok=True)
    outside.patients_file.unlink()
    predict(outside, run, progress=NoProgress(), stop=threading.Event())
    for name in FILES[:2]:
        assert (outside.phenotypes / name).read_bytes() == (run.phenotypes / name).read_bytes()
    ours, theirs = (made_by(one, run.config(), "phenotypes") for one in (outside, run))
    assert ours == theirs and list(ours.keys) == ["kmeans.fold0"]


def test_typical_tiles_are_shown_with_their_own_pixels(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    slides, pixels = {}, {}
    for slide_id in ("A", "B"):
        slides[slide_id] = Slide(slide_id, Path(f"{slide_id}.svs"), "P", 1)
        pixels[slide_id] = np.random.default_rng(len(pixels)).integers(0, 256, (3, 1, 1, 3), dtype=np.uint8)
        with new_tile_store(run.tiles(slide_id), 32) as store:
            for one in pixels[slide_id]:
                store.new_tile()[:] = one
            store.commit(np.arange(6).reshape(3, 2), np.zeros(3, dtype=np.float32), {"key": "k"})
    slides["gone"] = Slide("gone", Path("gone.svs"), "P", 1)
    rows = [[{"slide_id": name, "row": row} for name, row in (("B", 2), ("gone", 0), ("A", 0))], []]
    first, second = strips(run, TileTable(tile_px=32), slides, rows, NoProgress())
    assert second is None
    assert first is not None
    shown = np.asarray(Image.open(io.BytesIO(first)).convert("RGB"))
    assert shown.shape == (112, 2 * 112 + 4, 3)
    for left, expected in ((0, pixels["B"][2, 0, 0]), (116, pixels["A"][0, 0, 0])):
        assert np.abs(shown[50, left + 50].astype(int) - expected).max() < 8


def test_it_is_a_part_of_run_and_submit_where_run_toml_asks_for_it() -> None:
    without, asked = (preset("hypoxia", {"phenotypes": {"make": make}}) for make in (False, True))
    assert "phenotypes" not in [stage.name for stage in stages_of("cohort", without)]
    names = [stage.name for stage in stages_of("cohort", asked)]
    assert names[names.index("phenotypes") - 1 :] == ["evaluate", "phenotypes", "report"]


def test_what_is_to_be_careful_with_is_said(run: RunDir) -> None:
    facts = {**facts_of(run), "near_empty": [2], "one_hospital": {"1": "A7"}, "score": -0.2}
    said = "\n".join(phenotypes_lines(facts))
    assert "near-empty clusters: 2" in said
    assert "cluster 1 is one hospital: nearly all of its tiles are from A7" in said
    assert "the hospital at least as much as the tumour: score -0.20" in said


# --- planted textures ------------------------------------------------------------------------------------------------

TEXTURES = 4


def rewrite(run: RunDir, slide: Slide, values: np.ndarray) -> None:
    for store in (run.tiles(slide.slide_id), run.features(NAME, slide.slide_id)):
        shutil.rmtree(store)
    write_slide(run, slide.slide_id, slide.patient_id, values)


def planted_run(
    folder: Path, train_table: dict[str, Any], seed: int, n_patients: int
) -> tuple[RunDir, dict[str, np.ndarray]]:
    """A run whose patients are mixtures of textures, some of them of one texture for the most part; and the texture of
    every tile, by slide."""
    run = make_run(folder, train_table, n_patients=n_patients, n_unlabelled=0)
    rng = np.random.default_rng(seed)
    centres = 2.5 * np.random.default_rng(0).normal(size=(TEXTURES, D))
    textures = {}
    for slide in run.slides():
        mixture = rng.dirichlet(np.full(TEXTURES, 0.8))
        textures[slide.slide_id] = rng.choice(TEXTURES, 60, p=mixture)
        values = centres[textures[slide.slide_id]] + rng.normal(size=(60, D))
        rewrite(run, slide, values)
    train(run, progress=NoProgress(), stop=threading.Event())
    made(run)
    return run, textures


def matched(run: RunDir, textures: dict[str, np.ndarray]) -> tuple[float, float]:
    """Adjusted Rand index of tiles with what was planted, and the mean error of a slide's share of a texture."""
    tiles = pd.read_parquet(run.phenotypes / "tiles.parquet")
    of_tiles = np.concatenate([textures[name] for name in tiles["slide_id"].unique()])
    both = pd.crosstab(of_tiles, tiles["cluster"])
    rows, columns = linear_sum_assignment(both, maximize=True)
    slides = pd.read_csv(run.phenotypes / "slides.csv").set_index("slide_id")
    errors = [
        abs(slides.loc[name, f"cluster_{both.columns[column]}"] - (planted == both.index[row]).mean())
        for name, planted in textures.items()
        for row, column in zip(rows, columns, strict=True)
    ]
    return float(adjusted_rand_score(of_tiles, tiles["cluster"])), float(np.mean(errors))


def test_planted_textures_are_found_and_patients_of_the_test_set_change_no_cluster(tmp_path: Path) -> None:
    table = {"heads": ["logistic"], "clusterings": ["kmeans"], "kmeans": {"clusters": TEXTURES}}
    run, textures = planted_run(tmp_path / "run", table, seed=1, n_patients=16)
    rand, error = matched(run, textures)
    assert rand > 0.9
    assert error <= 0.03
    before = {name: load_model(run.model("kmeans")).arrays[name].tobytes() for name in ("mean", "scale", "centres")}
    sample, stability = (run.phenotypes / "sample.csv").read_bytes(), facts_of(run)["stability"]
    tested = set(pd.read_csv(run.split_file).query("set == 'test'")["patient_id"])
    for slide in run.slides():
        if slide.patient_id in tested:
            rewrite(run, slide, np.full((60, D), 50.0))
    shutil.rmtree(run.phenotypes)
    shutil.rmtree(run.root / "models")
    train(run, progress=NoProgress(), stop=threading.Event())
    made(run)
    assert {name: load_model(run.model("kmeans")).arrays[name].tobytes() for name in before} == before
    assert (run.phenotypes / "sample.csv").read_bytes() == sample
    assert facts_of(run)["stability"] == stability


@pytest.mark.long
@pytest.mark.parametrize("seed", range(3))
def test_contrastive_clusters_are_the_planted_textures(seed: int, tmp_path: Path) -> None:
    """With as many clusters as textures: adjusted Rand index of 0.8 or more, composition within 3 points, the mean
    over slides and textures."""
    contrastive = {"clusters": TEXTURES, "units": 64, "epochs": 20, "learning_rate": 0.005, "batch_size": 128}
    table = {"heads": ["logistic"], "clusterings": ["contrastive"], "contrastive": contrastive, "seed": seed}
    run, textures = planted_run(tmp_path / "run", table, seed, n_patients=48)
    rand, error = matched(run, textures)
    assert rand >= 0.8
    assert error <= 0.03
