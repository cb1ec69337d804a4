"""maps of a run: one of each slide, drawn once for the same predictions; and galleries of its tiles."""

from __future__ import annotations

import io
import shutil
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from feature_runs import make_planted_run, make_run
from PIL import Image

from hypoxia_hpc.cli.text.exporting import mapped_text
from hypoxia_hpc.errors import InputError, NotReadyError
from hypoxia_hpc.models import tile_predictions
from hypoxia_hpc.models.reported import predictions_of
from hypoxia_hpc.models.tile_galleries import galleries_of
from hypoxia_hpc.models.tile_predictions import each_slide
from hypoxia_hpc.progress import NoProgress
from hypoxia_hpc.reports.data import GalleriesShown
from hypoxia_hpc.reports.heatmaps import STRIP_PX
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.stages.evaluate import evaluate
from hypoxia_hpc.stages.export import export
from hypoxia_hpc.stages.gallery import gallery as make_gallery
from hypoxia_hpc.stages.maps import Drawn, Mapped, maps
from hypoxia_hpc.stages.predict import predict
from hypoxia_hpc.stages.tile import tile
from hypoxia_hpc.stages.train import train
from hypoxia_hpc.stores.tiles import new_tile_store, open_tiles
from stages.test_export import Notes
from stages.test_predict import outside


def mapped(run: RunDir, model: str = "", of: Drawn = "predictions") -> Mapped:
    return maps(run, of=of, model=model, progress=NoProgress(), stop=threading.Event())


def evaluated(run: RunDir) -> RunDir:
    for stage in (train, evaluate):
        stage(run, progress=NoProgress(), stop=threading.Event())
    return run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    heads = {"heads": ["logistic", "attention"], "clusterings": []}
    return evaluated(make_run(tmp_path_factory.mktemp("maps") / "run", heads, n_patients=16))


def test_a_picture_of_each_slide_and_none_twice(run: RunDir, tmp_path: Path) -> None:
    copy = RunDir(shutil.copytree(run.root, tmp_path / "run"))
    n = len(copy.slides())
    first = mapped(copy, "attention")
    assert (first.n_maps, first.n_there, first.left_out) == (2 * n, 0, ())
    files = sorted(first.folder.glob("*.png"))
    assert {file.name for file in files} == {
        f"{slide.slide_id}{end}.png" for slide in copy.slides() for end in ("", ".attention")
    }
    for file in files[:4]:
        with Image.open(file) as image:
            assert image.size[0] == 1024
    files[0].unlink()
    before = {file: file.stat().st_mtime_ns for file in files[1:]}
    again = mapped(copy, "attention")
    assert again.n_there == 2 * n - 1 and {file: file.stat().st_mtime_ns for file in files[1:]} == before
    copy.metrics_file.write_text(copy.metrics_file.read_text().rstrip() + " \n")
    assert mapped(copy, "attention").n_there == 0, "of other predictions they are drawn anew"


def test_every_tile_is_read_once_whatever_the_parts(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = pd.read_parquet(run.predictions / "tiles.parquet")
    monkeypatch.setattr(tile_predictions, "ROWS_AT_ONCE", 37)
    found = dict(each_slide(run, "logistic", ["probability"]))
    own = whole[whole["model"] == "logistic"]
    assert set(found) == {slide.slide_id for slide in run.slides()} and sum(map(len, found.values())) == len(own)
    for slide_id, rows in found.items():
        expected = own[own["slide_id"] == slide_id]
        assert np.array_equal(rows["probability"], expected["probability"])
        assert np.array_equal(rows["x_l0"], expected["x_l0"])


def test_what_is_refused_or_left_out(run: RunDir, tmp_path: Path) -> None:
    copy = RunDir(shutil.copytree(run.root, tmp_path / "run"))
    with pytest.raises(InputError, match="--model tanh has no predictions"):
        mapped(copy, "tanh")
    gone = copy.slides()[3].slide_id
    shutil.rmtree(copy.tiles(gone))
    assert mapped(copy, "logistic").left_out == (gone,)
    table = pd.read_parquet(copy.predictions / "tiles.parquet")
    pd.concat([table, table.iloc[:1]]).to_parquet(copy.predictions / "tiles.parquet", index=False)
    with pytest.raises(NotReadyError, match="do not stand together"):
        list(each_slide(copy, str(table["model"].iloc[0]), ["probability"]))
    shutil.rmtree(copy.predictions)
    with pytest.raises(NotReadyError, match="has no predictions"):
        mapped(copy)


def test_scores_are_drawn_on_the_scale_of_the_cohort(tmp_path: Path) -> None:
    run = evaluated(make_planted_run(tmp_path / "score", "score", 1.0, 1, n_patients=40))
    made = mapped(run)
    assert made.n_maps == len(run.slides())


def galleries(run: RunDir, model: str = "attention") -> GalleriesShown:
    outcome, patients = run.outcome(), {one.patient_id: one for one in run.patients()}
    rows = predictions_of(run, run.config(), outcome, patients)
    found = galleries_of(run, run.config(), outcome, model, rows, run.slides(), NoProgress())
    assert found is not None
    return found


def test_the_galleries_have_the_tiles_that_the_predictions_name(run: RunDir) -> None:
    found = galleries(run)
    table = pd.read_parquet(run.predictions / "tiles.parquet")
    own = table[(table["model"] == "attention") & (table["set"] == "test")]
    by_name = {one.name: one.tiles for one in found.galleries}
    assert found.who == f"{own['patient_id'].nunique()} test patients"
    for name, best in (
        ("highest", own.loc[own["probability"].idxmax()]),
        ("lowest", own.loc[own["probability"].idxmin()]),
    ):
        first = by_name[name][0]
        assert (first.slide_id, first.x_l0, first.y_l0) == (best["slide_id"], best["x_l0"], best["y_l0"])
        assert first.words == f"hypoxic {best['probability']:.2f}"
        patients = [one.patient_id for one in by_name[name]]
        assert len(patients) == 12 or max(map(patients.count, patients)) == 3
    n_tiles = own.groupby("patient_id", observed=True).size()
    weights = own["attention"] * own["patient_id"].astype(str).map(n_tiles.to_dict())
    assert by_name["attended"][0].words.startswith(f"weight {weights.max():.1f} ×")  # noqa: RUF001
    assert "attended" not in {one.name for one in galleries(run, "logistic").galleries}


def test_tiles_of_slides_that_are_gone_stay_in_the_gallery_without_a_picture(run: RunDir, tmp_path: Path) -> None:
    """Tiles keep no pixels here, so they would be read from slides, which are not there; of one slide the store has
    pixels, of another one it is gone."""
    copy = RunDir(shutil.copytree(run.root, tmp_path / "run"))
    tiles = {one.slide_id: one for gallery in galleries(copy).galleries for one in gallery.tiles}
    kept, gone = sorted(tiles)[:2]
    before = open_tiles(copy.tiles(kept))
    shutil.rmtree(copy.tiles(gone))
    shutil.rmtree(copy.tiles(kept))
    with new_tile_store(copy.tiles(kept), 32, codec="none") as store:
        for number in range(len(before.xy)):
            store.new_tile()[:] = 10 * number
        attributes = {name: value for name, value in before.attributes.items() if name != "content"}
        store.commit(before.xy, before.background, {**attributes, "spec": {"codec": "none"}})
    found = galleries(copy)
    for one in (one for gallery in found.galleries for one in gallery.tiles):
        assert (one.picture is not None) == (one.slide_id == kept)
        assert (one.outline is None) == (one.slide_id == gone)
        if one.picture is not None:
            row = before.xy.tolist().index([one.x_l0, one.y_l0])
            with Image.open(io.BytesIO(one.picture)) as image:
                assert image.size == (224, 224) and abs(np.asarray(image).mean() - 10 * row) < 2
    assert found.unread["damaged-store"] == [gone] and kept not in found.unread["slide-gone"]


def made_gallery(run: RunDir, page: Path, *wanted: str) -> tuple[str, tuple[str, ...]]:
    made = make_gallery(run, wanted, model="attention", page=page, progress=NoProgress())
    return made.page.read_text(encoding="utf-8"), made.left_out


def test_a_page_of_a_slide_has_its_own_tiles_whatever_set_it_is_in(run: RunDir, tmp_path: Path) -> None:
    table = pd.read_parquet(run.predictions / "tiles.parquet")
    own = table[table["model"] == "attention"]
    trained, tested = (own[own["set"] == name]["slide_id"].astype(str).iloc[0] for name in ("train", "test"))
    page, left_out = made_gallery(run, tmp_path / "page.html", trained, tested)
    assert left_out == () and page.count("<section") == 2
    for slide_id, who in ((trained, "whom the models were trained or chosen by"), (tested, "a test patient")):
        section = next(part for part in page.split("<section")[1:] if slide_id in part)
        rows = own[own["slide_id"] == slide_id]
        assert who in section and section.count("<figure>") == 3 * min(12, len(rows) // 2)
        assert f"hypoxic {rows['probability'].max():.2f}" in section
    assert "<script" not in page and "no picture" in page


def test_a_page_of_what_is_not_there_is_refused_and_what_is_there_is_shown(run: RunDir, tmp_path: Path) -> None:
    copy = RunDir(shutil.copytree(run.root, tmp_path / "run"))
    first, second, *others = (slide.slide_id for slide in copy.slides())
    table = pd.read_parquet(copy.predictions / "tiles.parquet")
    table[table["slide_id"] != first].to_parquet(copy.predictions / "tiles.parquet", index=False)
    page, left_out = made_gallery(copy, tmp_path / "page.html", first, second)
    assert left_out == (first,) and page.count("<section") == 1
    with pytest.raises(NotReadyError, match="says nothing of the tiles that are asked for"):
        made_gallery(copy, tmp_path / "page.html", first)
    with pytest.raises(InputError, match=r"not in slides\.csv: 1"):
        made_gallery(copy, tmp_path / "page.html", "../etc")
    with pytest.raises(InputError, match="room for 8 slides"):
        made_gallery(copy, tmp_path / "page.html", *others[:9])
    with pytest.raises(InputError, match="--model tanh has no predictions"):
        make_gallery(copy, model="tanh", progress=NoProgress())


def test_a_quarantined_slide_is_named_with_its_reason(run: RunDir, tmp_path: Path) -> None:
    copy = RunDir(shutil.copytree(run.root, tmp_path / "run"))
    first = copy.slides()[0].slide_id
    shutil.rmtree(copy.tiles(first))
    slides = [slide for slide in copy.slides() if slide.slide_id == first]
    tile(copy, slides, workers=1, retry=False, progress=NoProgress(), stop=threading.Event())
    made = mapped(copy, of="tissue")
    assert (made.left_out, made.quarantined) == ((), {"missing-file": [first]})
    said = "\n".join(mapped_text(made, copy.root))
    assert "tile has quarantined it (missing-file)" in said and "--retry" in said and "remedy: " not in said


def test_tissue_is_drawn_without_predictions_and_anew_where_tiles_are(run: RunDir, tmp_path: Path) -> None:
    copy = RunDir(shutil.copytree(run.root, tmp_path / "run"))
    shutil.rmtree(copy.predictions)
    first, *others = (slide.slide_id for slide in copy.slides())
    made = mapped(copy, of="tissue")
    assert (made.what, made.n_maps, made.n_there, made.left_out) == ("tissue", 1 + len(others), 0, ())
    assert mapped(copy, of="tissue").n_there == 1 + len(others)
    shutil.rmtree(copy.tiles(first))
    again = mapped(copy, of="tissue")
    assert (again.n_maps, again.n_there, again.left_out) == (len(others), 0, (first,))
    assert again.quarantined == {}
    with pytest.raises(InputError, match="--model logistic: tissue are of no model"):
        mapped(copy, "logistic", of="tissue")
    shutil.rmtree(copy.root / "tiles")
    with pytest.raises(NotReadyError, match="has no tiles"):
        mapped(copy, of="tissue")


def test_phenotypes_are_drawn_in_the_colours_of_the_largest_clusters(run: RunDir, tmp_path: Path) -> None:
    copy = RunDir(shutil.copytree(run.root, tmp_path / "run"))
    with pytest.raises(NotReadyError, match=r"has no phenotypes\nremedy"):
        mapped(copy, of="phenotypes")
    (copy.predictions / "tile_clusters.parquet").touch()
    with pytest.raises(NotReadyError, match=r"tile_clusters\.parquet are not yet phenotypes"):
        mapped(copy, of="phenotypes")
    table = pd.read_parquet(copy.predictions / "tiles.parquet")
    table = table[table["model"] == "logistic"][["slide_id", "x_l0", "y_l0"]]
    # The smaller the number the larger the cluster: the first eight have colours, the ninth is one of the others.
    sizes = np.maximum(1, len(table) // 2 ** np.arange(1, 10))
    clusters = np.repeat(np.arange(9), [len(table) - sizes[1:].sum(), *sizes[1:]])[::-1]
    copy.phenotypes.mkdir()
    table.assign(cluster=clusters).to_parquet(copy.phenotypes / "tiles.parquet", index=False)
    made = mapped(copy, of="phenotypes")
    assert (made.what, made.n_maps) == ("phenotypes", len(copy.slides()))
    with Image.open(made.folder / f"{table['slide_id'].astype(str).iloc[0]}.png") as image:
        found = np.asarray(image)
    assert set(range(9)) <= set(found[-STRIP_PX:].ravel().tolist()), "eight clusters and the others, on every slide"
    assert 0 in found[:-STRIP_PX], "a tile of the ninth cluster"
    table.assign(cluster=-1).to_parquet(copy.phenotypes / "tiles.parquet", index=False)
    with pytest.raises(NotReadyError, match="numbers that are none of clusters"):
        mapped(copy, of="phenotypes")


def test_a_run_without_labels_has_maps_galleries_and_classes_of_the_model_that_leads(
    run: RunDir, tmp_path: Path
) -> None:
    new = outside(tmp_path / "new", labels=False, n=12)
    predict(new, run, progress=NoProgress(), stop=threading.Event())
    metrics = new.metrics()
    assert metrics is not None and metrics["models"] == {}
    made = mapped(new)
    assert (made.what, made.n_maps > 0, made.left_out) == (metrics["lead"]["model"], True, ())
    slide_id = new.slides()[0].slide_id
    for wanted in ((), (slide_id,)):
        page = make_gallery(new, wanted, progress=NoProgress()).page.read_text(encoding="utf-8")
        assert page.count("<figure>") > 3 and "without a label" in page
    notes = Notes()
    exported = export(new, "csv", None, progress=notes, stop=threading.Event())
    assert exported.model == metrics["lead"]["model"] and notes.said == [], "these predictions are of the present run"
    export(new, "qupath", None, model="attention", progress=notes, stop=threading.Event())
    new.patients_file.write_text(new.patients_file.read_text().replace("Q00,", "Q00,1"))
    export(new, "qupath", None, progress=notes, stop=threading.Event())
    assert any("is not known to be of the present slides" in note for note in notes.said)


def test_a_slide_of_any_set_has_its_page_beside_test_patients(run: RunDir, tmp_path: Path) -> None:
    table = pd.read_parquet(run.predictions / "tiles.parquet")
    slide_id = str(table.loc[table["set"] == "unlabelled", "slide_id"].iloc[0])
    page, left_out = made_gallery(run, tmp_path / "page.html", slide_id)
    assert left_out == () and "a patient without a label" in page and "<figure>" in page


def test_models_without_predictions_of_tiles_are_refused(run: RunDir, tmp_path: Path) -> None:
    words = r"--model majority-class has no predictions of tiles in .*\nremedy: name one that has: attention, logistic"
    with pytest.raises(InputError, match=words):
        mapped(run, "majority-class")
    with pytest.raises(InputError, match=words):
        make_gallery(run, model="majority-class", progress=NoProgress())
    copy = RunDir(shutil.copytree(run.root, tmp_path / "run"))
    lead, other = led(copy)
    table = pd.read_parquet(copy.predictions / "tiles.parquet")
    table[table["model"] == other].to_parquet(copy.predictions / "tiles.parquet", index=False)
    words = f"{lead}, the leading model, has no predictions of tiles.*\nremedy: hypoxia-hpc evaluate .*some: {other}"
    with pytest.raises(NotReadyError, match=words):
        mapped(copy)
    with pytest.raises(NotReadyError, match=words):
        make_gallery(copy, progress=NoProgress())
    notes = Notes()
    assert export(copy, "csv", None, progress=notes, stop=threading.Event()).model == ""
    assert f"{lead}, the leading model, has no predictions of tiles: no tile has a class" in "\n".join(notes.said)
    notes.said.clear()
    export(copy, "trident", None, progress=notes, stop=threading.Event())
    assert notes.said == [], "its files have no classes"
    assert mapped(copy, other).n_maps > 0
    table.iloc[:0].to_parquet(copy.predictions / "tiles.parquet", index=False)
    with pytest.raises(NotReadyError, match=f"{other} has no predictions of tiles"):
        mapped(copy, other)


def led(run: RunDir) -> tuple[str, str]:
    """The model that leads, and the other one."""
    metrics = run.metrics()
    assert metrics is not None
    lead = metrics["lead"]["model"]
    return lead, "logistic" if lead == "attention" else "attention"


def test_the_command(run: RunDir, hypoxia: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = hypoxia("maps", run.root, "--model", "logistic")
    assert done.returncode == 0, done.stderr
    assert f"{run.root / 'maps' / 'logistic'}: {len(run.slides())} maps of logistic" in done.stdout
    done = hypoxia("maps", run.root, "--of", "tissue")
    assert f"{run.root / 'maps' / 'tissue'}: {len(run.slides())} maps of tissue" in done.stdout
    done = hypoxia("maps", run.root, "--of", "phenotypes")
    assert (done.returncode, "has no phenotypes" in done.stderr) == (5, True)
    done = hypoxia("gallery", run.root, "--slide", next(iter(run.slides())).slide_id)
    assert done.returncode == 0, done.stderr
    assert f"{run.root / 'gallery.html'}: tiles by " in done.stdout and (run.root / "gallery.html").is_file()
