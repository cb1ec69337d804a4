"""Fine-tuning in a run: its metrics stand beside those of other heads, what it says of tiles is kept slide by slide."""

from __future__ import annotations

import importlib
import json
import shutil
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from grainy_tiles import grainy_tiles
from own_package import EXAMPLE, install

from hypoxia_hpc.config import preset, render_config
from hypoxia_hpc.errors import InputError, MachineError, NotReadyError, Stopped
from hypoxia_hpc.models.clusterings import saved_clusterings
from hypoxia_hpc.models.finetuned import first_network, make_probabilities
from hypoxia_hpc.models.pixel_clusterings import clusters_of_tiles
from hypoxia_hpc.models.tensorboard import FILES, read_events
from hypoxia_hpc.monitoring.verify import verify
from hypoxia_hpc.networks.heads.saved import load_model, read_record
from hypoxia_hpc.progress import NoProgress
from hypoxia_hpc.records import Slide
from hypoxia_hpc.runs.cohort import load_cohort
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.runs.keys import extract_key, slide_tile_key, tile_spec
from hypoxia_hpc.runs.receipts import read_receipt
from hypoxia_hpc.runs.state import run_spec
from hypoxia_hpc.stages.demo import write_demo_cohort
from hypoxia_hpc.stages.evaluate import evaluate
from hypoxia_hpc.stages.extract import extract
from hypoxia_hpc.stages.init import init
from hypoxia_hpc.stages.phenotypes import phenotypes
from hypoxia_hpc.stages.predict import predict
from hypoxia_hpc.stages.tile import tile
from hypoxia_hpc.stages.train import require_splittable, train
from hypoxia_hpc.stores.features import open_features, write_features
from hypoxia_hpc.stores.tiles import new_tile_store, open_tiles

# Keras 3.15's own conversion of PyTorch's tensors to NumPy.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

PX, N_TILES = 24, 20
FINETUNE = {
    "backbone": "small",
    "weights": "random",
    "input_px": 16,
    "frozen_epochs": 2,
    "unfrozen_epochs": 4,
    "learning_rate": 0.05,
    "unfrozen_learning_rate": 0.005,
    "batch_size": 16,
}


@pytest.fixture(scope="module", autouse=True)
def small_network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The network "small" of an installed package: three convolutions."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("package")
        patch.syspath_prepend(install(folder, EXAMPLE, "small = example_backbones:SMALL"))
        patch.delitem(sys.modules, EXAMPLE.stem, raising=False)
        importlib.invalidate_caches()
        yield


def make_run(folder: Path, *, n_patients: int = 16, **train_table: Any) -> RunDir:
    """Patients of one slide each with the planted difference, the last one without a label; features say nothing."""
    run = RunDir(folder)
    folder.mkdir()
    changes = {
        "tile": {"tile_px": PX},
        "extract": {"name": "small", "backbone": "small", "weights": "random"},
        "train": {"heads": ["logistic", "finetune"], "clusterings": [], "finetune": FINETUNE, **train_table},
        "evaluate": {"bootstrap": 100},
    }
    run.config_file.write_text(render_config(preset("hypoxia", changes)))
    slides, patients = ["slide_id,path,patient_id,cost"], ["patient_id,label"]
    for number in range(n_patients):
        label = number % 2
        patients.append(f"P{number:02d},{'' if number == n_patients - 1 else label}")
        slides.append(f"S{number:02d},S{number:02d}.svs,P{number:02d},1")
        write_slide(run, f"S{number:02d}", grainy_tiles(number, label, N_TILES + number % 3, PX))
    run.slides_file.write_text("\n".join(slides) + "\n")
    run.patients_file.write_text("\n".join(patients) + "\n")
    return run


def write_slide(run: RunDir, slide_id: str, tiles: np.ndarray) -> None:
    """Stores of tiles and features as the stages before training leave them."""
    config = run.config()
    key = slide_tile_key(config.tile, Slide(slide_id, run.root / f"{slide_id}.svs", "", 1), slide_id)
    xy = np.arange(2 * len(tiles), dtype=np.int64).reshape(-1, 2)
    with new_tile_store(run.tiles(slide_id), PX) as store:
        for tile in tiles:
            store.new_tile()[:] = tile
        spec = config.tile.model_dump(mode="json")
        slide = {"fingerprint": slide_id, "size_l0": [9, 9]}
        store.commit(
            xy, np.zeros(len(tiles), np.float32), {"key": key, "spec": spec, "slide": slide, "plan": {"side_l0": 1}}
        )
    write_nothing(run, slide_id, len(tiles), key)


def write_nothing(run: RunDir, slide_id: str, n_tiles: int, tile_key: str) -> None:
    """A feature store that says nothing."""
    config = run.config()
    spec = run_spec(config)
    values = np.random.default_rng(n_tiles).normal(size=(n_tiles, 8)).astype(config.extract.dtype)
    attributes = {"key": extract_key(spec, tile_key), "spec": spec, "tile_spec": tile_spec(config.tile)}
    xy = np.arange(2 * n_tiles, dtype=np.int64).reshape(-1, 2)
    write_features(run.features(config.extract.name, slide_id), values, xy, attributes)


def trained(run: RunDir) -> RunDir:
    train(run, progress=NoProgress(), stop=threading.Event())
    return run


def evaluated(run: RunDir) -> dict[str, Any]:
    metrics: dict[str, Any] = evaluate(run, progress=NoProgress(), stop=threading.Event()).metrics
    return metrics["models"]


def copied(run: RunDir, folder: Path) -> RunDir:
    shutil.copytree(run.root, folder)
    return RunDir(folder)


def written_at(run: RunDir, name: str = "finetune") -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in run.features(name, "x").parent.glob("*.zarr")}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    made = trained(make_run(tmp_path_factory.mktemp("finetune") / "run"))
    evaluated(made)
    return made


def test_the_planted_difference_is_learned_and_stands_beside_the_others(run: RunDir) -> None:
    models = json.loads(run.metrics_file.read_text())["models"]
    assert set(models) == {"logistic", "finetune", "majority-class", "n-tiles", "colour"}
    assert models["finetune"]["test"]["patient"]["roc_auc"]["value"] > 0.95
    assert models["finetune"]["test"]["tile"]["roc_auc"]["value"] > 0.9
    patients = pd.read_csv(run.predictions / "patients.csv")
    assert len(patients[patients["model"] == "finetune"]) == 16


def test_probabilities_are_kept_by_slide_and_are_those_of_the_predictions(run: RunDir) -> None:
    tiles = pd.read_parquet(run.predictions / "tiles.parquet")
    content = read_record(run.model("finetune")).content
    for slide in run.slides():
        kept = open_features(run.features("finetune", slide.slide_id))
        assert (kept.values.dtype, kept.values.shape[1]) == (np.float32, 2)
        assert np.allclose(kept.values.sum(axis=1), 1, atol=1e-6)
        assert kept.attributes["spec"]["model"] == content
        mine = tiles[(tiles["model"] == "finetune") & (tiles["slide_id"] == slide.slide_id)]
        assert np.array_equal(mine["probability"], kept.values[:, 1].astype(np.float64))
        receipt = read_receipt(run.receipts("extract", "finetune"), slide.slide_id)
        assert receipt is not None
        assert (receipt.status, receipt.rows) == ("done", len(kept.values))
    assert not [one for one in verify(run) if one.problems]


def test_curves_tell_every_step_once(run: RunDir) -> None:
    (file,) = run.tensorboard("finetune").glob(FILES)
    steps: dict[str, list[int]] = {}
    for event in read_events(file):
        for value in event.summary.value:
            steps.setdefault(value.tag, []).append(event.step)
    history = load_model(run.model("finetune")).record.history
    n_epochs = len(history["loss"])
    per_epoch = len(steps["loss"]) // n_epochs
    assert set(steps) == {"loss", "accuracy", "learning_rate", "valid_loss", "valid_accuracy"}
    assert steps["loss"] == list(range(n_epochs * per_epoch))
    assert steps["valid_loss"] == [(epoch + 1) * per_epoch - 1 for epoch in range(n_epochs)]


def test_only_what_is_missing_is_made_again(run: RunDir, tmp_path: Path) -> None:
    copy = copied(run, tmp_path / "run")
    before = written_at(copy)
    shutil.rmtree(copy.features("finetune", "S03"))
    copy.metrics_file.unlink()
    evaluated(copy)
    after = written_at(copy)
    assert [name for name in before if before[name] != after[name]] == ["S03.zarr"]
    assert (copy.predictions / "patients.csv").read_bytes() == (run.predictions / "patients.csv").read_bytes()


def test_stopped_while_it_predicts_it_goes_on(run: RunDir, tmp_path: Path) -> None:
    copy = copied(run, tmp_path / "run")
    shutil.rmtree(copy.features("finetune", "x").parent)
    stop = threading.Event()

    class StopsAt(NoProgress):
        def item(self, cost: float) -> None:
            if len(written_at(copy)) == 5:
                stop.set()

    slides = copy.slides()
    with pytest.raises(Stopped):
        make_probabilities(copy, copy, slides, progress=StopsAt(), stop=stop)
    before = written_at(copy)
    assert len(before) == 5
    make_probabilities(copy, copy, slides, progress=NoProgress(), stop=threading.Event())
    after = written_at(copy)
    assert {name: after[name] for name in before} == before
    assert len(after) == 16


def test_another_model_makes_other_probabilities(run: RunDir, tmp_path: Path) -> None:
    copy = copied(run, tmp_path / "run")
    changed = copy.config_file.read_text().replace("unfrozen_epochs = 4", "unfrozen_epochs = 1")
    copy.config_file.write_text(changed)
    before = written_at(copy)
    trained(copy)
    assert read_record(copy.model("finetune")).content != read_record(run.model("finetune")).content
    after = written_at(copy)
    assert not [name for name in before if before[name] == after[name]]


def test_folds_have_networks_of_their_own(tmp_path: Path) -> None:
    crossed = trained(make_run(tmp_path / "run", folds=2, split=[0.5, 0.25, 0.25]))
    models = evaluated(crossed)
    assert models["finetune"]["test"]["patient"]["roc_auc"]["n"] == 15
    assert models["finetune"]["test"]["patient"]["roc_auc"]["value"] > 0.9
    for fold in (0, 1):
        assert len(written_at(crossed, f"finetune.fold{fold}")) == 16
        assert list(crossed.tensorboard(f"finetune.fold{fold}").glob(FILES))


def test_another_runs_slides_are_predicted_by_the_frozen_network(run: RunDir, tmp_path: Path) -> None:
    new = make_run(tmp_path / "new", n_patients=6)
    predict(new, run, progress=NoProgress(), stop=threading.Event())
    patients = pd.read_csv(new.predictions / "patients.csv")
    mine = patients[patients["model"] == "finetune"].set_index("id")
    old = pd.read_csv(run.predictions / "patients.csv")
    theirs = old[old["model"] == "finetune"].set_index("id")
    assert np.allclose(mine["probability"], theirs["probability"][mine.index])


def test_other_features_of_the_same_tiles_leave_the_network_as_it_is(run: RunDir, tmp_path: Path) -> None:
    copy = copied(run, tmp_path / "run")
    before = {model.name: model.key for model in load_cohort(copy).planned(load_cohort(copy).fold_sets())}
    text = copy.config_file.read_text().replace('name = "small"', 'name = "other"').replace('"float16"', '"float32"')
    copy.config_file.write_text(text)
    for slide in copy.slides():
        tiles = open_tiles(copy.tiles(slide.slide_id))
        write_nothing(copy, slide.slide_id, len(tiles.xy), tiles.attributes["key"])
    after = {model.name: model.key for model in load_cohort(copy).planned(load_cohort(copy).fold_sets())}
    assert after["finetune"] == before["finetune"]
    assert after["logistic"] != before["logistic"]


@pytest.mark.parametrize(
    ("changes", "kind", "said"),
    [
        ({"backbone": "smal"}, InputError, "[train.finetune] backbone = 'smal' is no network"),
        ({"input_px": 16, "backbone": "vgg16"}, InputError, "[train.finetune] input_px = 16 does not fit vgg16"),
        ({"weights": "imagenet", "backbone": "resnet50", "input_px": 64}, MachineError, "weights"),
    ],
)
def test_a_network_that_cannot_be_begun_with_is_told_before_slides_are_read(
    changes: dict[str, Any], kind: type[Exception], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HYPOXIA_HPC_WEIGHTS", str(tmp_path))
    with pytest.raises(kind) as caught:
        require_splittable(make_run(tmp_path / "run", finetune={**FINETUNE, **changes}))
    assert said in str(caught.value)
    assert "[extract]" not in str(caught.value)


def test_damaged_tile_stores_are_named_before_anything_is_trained(tmp_path: Path) -> None:
    damaged = make_run(tmp_path / "run")
    sets = load_cohort(damaged).fold_sets()[0]
    for name in ("train", "test"):  # of test patients nothing is read
        slide_id = next(slide.slide_id for slide in damaged.slides() if sets[slide.patient_id] == name)
        (damaged.tiles(slide_id) / "pixels" / "zarr.json").unlink()
    with pytest.raises(NotReadyError) as caught:
        trained(damaged)
    assert caught.value.problem == "1 tile store is damaged"
    assert not damaged.model("finetune").exists()


def test_another_rule_of_the_network_asks_for_another_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cohort = load_cohort(make_run(tmp_path / "run"))
    folds = cohort.fold_sets()
    before = {model.name: model.key for model in cohort.planned(folds)}
    package = importlib.import_module(EXAMPLE.stem)
    monkeypatch.setattr(package, "SMALL", replace(package.SMALL, rule=2))
    after = {model.name: model.key for model in cohort.planned(folds)}
    assert after["finetune"] != before["finetune"]
    assert after["logistic"] == before["logistic"]  # it goes by its features' keys


# --- a network trained to cluster ----------------------------------------------------------------------------------

CLUSTERED = {
    "backbone": "small",
    "weights": "random",
    "input_px": 16,
    "clusters": 2,
    "units": 16,
    "epochs": 1,
    "batch_size": 64,
}


def make_clustered_run(folder: Path, n_patients: int = 8) -> RunDir:
    of_pixels = {"clusterings": ["contrastive_network"], "contrastive_network": CLUSTERED}
    return make_run(folder, n_patients=n_patients, heads=["logistic"], split=[0.5, 0.0, 0.5], **of_pixels)


@pytest.fixture(scope="module")
def clustered(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    """With phenotypes; what is lost between stages is made again."""
    made = make_clustered_run(tmp_path_factory.mktemp("clustered") / "run")
    made.config_file.write_text(made.config_file.read_text().replace("seeds = 2", "seeds = 0"))
    trained(made)
    shutil.rmtree(made.features("contrastive_network", "S03"))
    phenotypes(made, progress=NoProgress(), stop=threading.Event())
    return made


def shares_of(run: RunDir) -> pd.DataFrame:
    return pd.read_csv(run.phenotypes / "slides.csv", index_col="slide_id")


def test_clusters_are_those_that_the_network_says_of_the_pixels(clustered: RunDir) -> None:
    tiles = pd.read_parquet(clustered.phenotypes / "tiles.parquet").groupby("slide_id", observed=True)
    for slide in clustered.slides():
        kept = open_features(clustered.features("contrastive_network", slide.slide_id))
        assert (kept.values.dtype, kept.values.shape[1]) == (np.float32, 2)
        assert tiles.get_group(slide.slide_id)["cluster"].tolist() == kept.values.argmax(axis=1).tolist()
    facts = json.loads((clustered.phenotypes / "phenotypes.json").read_text())
    assert sum(map(len, facts["typical"])) > 0
    assert not [one for one in verify(clustered) if one.problems]


def test_the_same_network_says_the_same_of_single_tiles(clustered: RunDir) -> None:
    """From pixels, row by row, as other seeds are compared; and from what is kept, as other folds are."""
    cohort = load_cohort(clustered)
    arrays = load_model(clustered.model("contrastive_network")).arrays
    names, rows = ["S02", "S02", "S02", "S00", "S00"], np.array([3, 0, 5, 19, 1])
    kept = [open_features(clustered.features("contrastive_network", name)).values for name in ("S02", "S00")]
    expected = [*kept[0].argmax(axis=1)[rows[:3]], *kept[1].argmax(axis=1)[rows[3:]]]
    assert clusters_of_tiles(cohort, "contrastive_network", arrays, names, rows).tolist() == expected
    (found,) = saved_clusterings(clustered, clustered, cohort.fold_sets())
    assert found.clusters.of_tiles(names, rows, np.zeros((5, 8), np.float32)).tolist() == expected


def test_outside_slides_get_the_clusters_of_the_frozen_network(clustered: RunDir, tmp_path: Path) -> None:
    copy = copied(clustered, tmp_path / "run")
    evaluated(copy)
    outside = make_clustered_run(tmp_path / "outside", n_patients=4)
    predict(outside, copy, progress=NoProgress(), stop=threading.Event())
    found = shares_of(outside)
    assert len(found) == 4
    assert found.equals(shares_of(clustered).loc[found.index])


@pytest.mark.long
def test_other_folds_and_seeds_are_held_against_it(tmp_path: Path) -> None:
    made = make_clustered_run(tmp_path / "run")
    text = made.config_file.read_text().replace("seeds = 2", "seeds = 1").replace("folds = 1", "folds = 2")
    made.config_file.write_text(text)
    trained(made)
    phenotypes(made, progress=NoProgress(), stop=threading.Event())
    rand = json.loads((made.phenotypes / "phenotypes.json").read_text())["stability"]["rand"]
    assert list(rand) == ["fold 1", "seed 1"]
    assert all(-1 <= value <= 1 for value in rand.values())
    assert not list(made.root.glob("checkpoints/phenotypes*"))


@pytest.mark.long
def test_slides_of_test_patients_change_no_byte_of_the_network(clustered: RunDir, tmp_path: Path) -> None:
    copy = copied(clustered, tmp_path / "run")
    tested = pd.read_csv(copy.split_file).query("fold == 0 and set == 'test'")["patient_id"].tolist()
    for number, slide in enumerate(copy.slides()):  # equal slides of several patients are refused
        if slide.patient_id in tested:
            for store in (copy.tiles(slide.slide_id), copy.features("small", slide.slide_id)):
                shutil.rmtree(store)
            write_slide(copy, slide.slide_id, np.full((N_TILES, PX, PX, 3), number, dtype=np.uint8))
    shutil.rmtree(copy.root / "models")
    train(copy, progress=NoProgress(), stop=threading.Event())
    names = [copy.model("contrastive_network"), clustered.model("contrastive_network")]
    contents = [read_record(folder).content for folder in names]
    assert contents[0] == contents[1]


def test_tiles_without_pixels_and_a_name_that_is_taken_are_refused_by_run_toml() -> None:
    asked = {"train": {"clusterings": ["contrastive_network"]}}
    with pytest.raises(InputError, match=r'clusterings has .*contrastive_network.*pixels = "store"'):
        preset("hypoxia", {**asked, "tile": {"pixels": "none"}})
    with pytest.raises(InputError, match=r"where the clustering .*contrastive_network.* keeps its own"):
        preset("hypoxia", {**asked, "extract": {"name": "contrastive_network"}})


@pytest.mark.long
def test_resnet50_learns_the_demo_cohort(tmp_path: Path) -> None:
    """The study's network and settings but for the batch, on real slide files; weights random."""
    stop = threading.Event()
    slides, patients = write_demo_cohort(
        tmp_path / "demo",
        n_patients=40,
        difference=None,
        seed=1,
        trained=False,
        workers=2,
        progress=NoProgress(),
        stop=stop,
    )
    settings = {"weights": "random", "batch_size": 32}
    changes = {
        "extract": {"name": "small", "backbone": "small", "weights": "random"},
        "train": {"heads": ["finetune"], "clusterings": [], "split": [0.4, 0.2, 0.4], "seed": 1, "finetune": settings},
    }
    demo = RunDir(tmp_path / "run")
    init(demo, preset("hypoxia", changes), slides, patients=patients)
    for stage in (tile, extract):
        stage(demo, demo.slides(), workers=1, retry=False, progress=NoProgress(), stop=stop)
    metrics = evaluated(trained(demo))["finetune"]["test"]
    assert metrics["patient"]["roc_auc"]["value"] > 0.85
    assert metrics["tile"]["roc_auc"]["value"] > 0.85


def test_a_foundation_model_to_begin_with_is_named_by_its_hash() -> None:
    """The key of a trained model has what stands in run.toml, and no record beside a file."""
    config = preset("hypoxia")
    begun = config.train.finetune.model_copy(update={"backbone": "uni", "weights": "imagenet"})
    config = config.model_copy(update={"train": config.train.model_copy(update={"finetune": begun})})
    with pytest.raises(InputError, match="no SHA-256 says with which weights"):
        first_network(config, "finetune")
