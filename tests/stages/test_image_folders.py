"""A run on images in folders, by the command line: the same stores, shares, receipts and results as for slides."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fault_runs import change_setting
from image_folders import CLASSES, PX, tissue, write_cohort, write_folder
from PIL import Image
from slices_in_files import turned, volume, write_dicom, write_nifti, write_series

from hypoxia_hpc.cli.text.making import made_text
from hypoxia_hpc.config import load_config, preset
from hypoxia_hpc.errors import InputError
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.runs.image_update import MORE_IMAGES, NOT_FOUND
from hypoxia_hpc.stages.init import init, update
from hypoxia_hpc.stores.attributes import read_tile_attributes
from hypoxia_hpc.stores.tiles import open_tiles, read_pixels

Hypoxia = Callable[..., subprocess.CompletedProcess[str]]


def stores(run: Path) -> dict[str, bytes]:
    return {str(path.relative_to(run)): path.read_bytes() for path in (run / "tiles").rglob("*") if path.is_file()}


def rows_of(table: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(table.read_text().splitlines()))


def small_tiles(run: Path, *settings: tuple[str, str, str]) -> None:
    for setting in (("tile", "tile_px", str(PX)), ("site", "workers", "1"), *settings):
        change_setting(run, *setting)


def test_images_are_tiled_as_slides_are(tmp_path: Path, hypoxia: Hypoxia) -> None:
    """Corrupt images are named and left out, a patient without tissue is quarantined, shares make the same stores."""
    images, run, shared = write_folder(tmp_path / "images"), tmp_path / "run", tmp_path / "shared"
    done = hypoxia("init", run, "--images", images)
    assert done.returncode == 0, done.stderr
    small_tiles(run)
    shutil.copytree(run, shared)
    assert "images that cannot be read, not-an-image, and that tile leaves out: 1 (B/text.png)" in done.stdout
    assert "files passed over, by suffix or kind: 1 (.txt 1)" in done.stdout
    rows = rows_of(run / "slides.csv")
    assert [(row["slide_id"], row["patient_id"], row["path"]) for row in rows] == [
        (name, name, str(images)) for name in "ABC"
    ]
    assert RunDir(run).slides()[0].images == ("A/deep.tif", "A/2.png", "A/10.png")
    done = hypoxia("tile", run)
    assert done.returncode == 3, done.stderr
    assert "B: 2 of 4 images cannot be read and are left out (B/cut.jpg: unreadable, B/text.png" in done.stderr
    assert "note: images left out, unreadable: 1, of patients: 1 (B 1)" in done.stdout
    assert "each image left out: report/figures/left_out_images.csv" in done.stdout
    receipt = json.loads((run / "receipts" / "tile" / "C.json").read_bytes())
    assert (receipt["status"], receipt["reason"]) == ("quarantined", "no-tissue")
    for share in ("0/2", "1/2"):
        assert hypoxia("tile", shared, "--share", share).returncode in (0, 3)
    assert stores(run) == stores(shared)
    made = read_tile_attributes(run / "tiles" / "B.zarr")
    assert made is not None
    assert [image.get("reason", "") for image in made.images] == ["unreadable", "", "", "not-an-image"]
    assert len(list((run / "tiles" / "B.zarr").rglob("*"))) + 1 <= 14
    again = hypoxia("tile", run)
    assert "0 done now, 2 done before" in again.stdout + again.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "give --slides or --images"),
        (("--slides", "{images}", "--images", "{images}"), "both given"),
        (("--images", "{none}"), "is no folder"),
        (("--images", "{empty}"), "no image (PNG, JPEG, TIFF, DICOM, NIfTI)"),
        (("--images", "{images}", "--images-pattern", "{{image}}"), "has no {patient}"),
        (("--images", "{images}", "--images-table", "{key}"), "Path '../x.png' is no path below"),
        (("--images", "{images}", "--images-table", "{gone}"), "no image of"),
        (("--images", "{images}", "--sample", "tumour"), "--sample: not with --images"),
        (("--slides", "{images}", "--images-table", "{key}"), "--images-table: not with --slides"),
        (("--slides", "{images}", "--study", "mgmt"), "the study mgmt is of images in folders"),
        (("--images", "{images}", "--images-table", "{labels}", *["--class", "LMS", "--class", "SS"]), "'UPS'"),
    ],
)
def test_bad_input_is_refused_before_anything_is_made(
    tmp_path: Path, hypoxia: Hypoxia, arguments: tuple[str, ...], said: str
) -> None:
    places = {name: tmp_path / name for name in ("images", "none", "empty", "key", "gone", "labels")}
    write_folder(places["images"])
    places["empty"].mkdir()
    places["key"].write_text("patient_ID,Path\nA,../x.png\n")
    places["gone"].write_text("patient_ID,Path\nA,x.png\n")
    places["labels"].write_text("patient_ID,Path,Label\nA,A/2.png,LMS\nB,B/small.png,UPS\n")
    done = hypoxia("init", tmp_path / "run", *(word.format(**places) for word in arguments))
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert "remedy: " in done.stderr
    assert not (tmp_path / "run").exists()


def test_series_of_slices_are_chosen_scaled_and_counted(tmp_path: Path, hypoxia: Hypoxia) -> None:
    images, run = tmp_path / "images", tmp_path / "run"
    for patient, series in (("A", "FLAIR"), ("A", "T1w"), ("B", "FLAIR"), ("C", "T2w")):
        (images / patient / series).mkdir(parents=True)
        for number in range(1, 5):
            level = 0 if number == 2 else 1000 - 10 * number
            slice_of = np.full((PX, PX), level, dtype=np.uint16) + np.arange(PX, dtype=np.uint16) * (level > 0)
            Image.fromarray(slice_of).save(images / patient / series / f"{number}.png")
    asked = ("--images-pattern", "{patient}/{series}/{image}", "--series", "FLAIR", "--series", "T1w", "--middle", "3")
    done = hypoxia("init", run, "--images", images, *asked)
    assert done.returncode == 0, done.stderr
    assert "patients without series T1w: 1 (B)" in done.stdout
    assert "patients with none of the series, who are left out: 1 (C)" in done.stdout
    assert "9 images of 2 patients" in done.stdout
    small_tiles(run, ("tile.series", "scale", '"percentiles"'), ("tile", "max_background", "1.0"))
    done = hypoxia("tile", run)
    assert done.returncode == 0, done.stderr
    said = "note: images left out, near-empty: 3, of patients: 2 (A 2, B 1)"
    assert said in done.stdout
    assert said in hypoxia("status", run).stdout
    made = read_tile_attributes(run / "tiles" / "A.zarr")
    assert made is not None
    assert [(one["series"], one["plane"], one["slices"]) for one in made.series] == [
        ("FLAIR", "unknown", 3),
        ("T1w", "unknown", 3),
    ]
    dropped = json.loads((run / "receipts" / "init" / "cohort.json").read_bytes())["dropped"]
    assert {"kind": "series", "reason": "no series T1w", "names": ["B"]} in dropped
    assert "0 done now, 2 done before" in hypoxia("tile", run).stdout


def test_dicom_and_nifti_are_series_of_slices(tmp_path: Path, hypoxia: Hypoxia) -> None:
    """Of one volume in both formats; of patients whose series have slices of two planes, or turned ones."""
    images, run = tmp_path / "images", tmp_path / "run"
    write_series(images / "A" / "T1w", volume())
    write_nifti(images / "B" / "T1w" / "v.nii.gz", volume(), order=(2, 1, 0), flips=(True, False, True))
    write_series(images / "C" / "T1w", volume(), "coronal")
    write_dicom(images / "C" / "T1w" / "0009.dcm", volume()[..., 0], **AXIAL)
    for number in (1, 2):
        of_it = {"ImageOrientationPatient": turned(10.0 * number), "PatientID": f"SECRET{number}"}
        write_dicom(images / "D" / "T1w" / f"{number}.dcm", number * volume()[..., 0], **of_it)
    done = hypoxia("init", run, "--images", images, "--images-pattern", "{patient}/{series}/{image}")
    assert done.returncode == 0, done.stderr
    assert "D T1w: 5 x 4 axial, 5 x 4 axial turned by more than 5°" in done.stdout
    assert "PatientID" in done.stdout
    assert "SECRET" not in done.stdout
    assert 'each series gets one scale ([tile.series] scale = "percentiles"): 1 (T1w)' in done.stdout
    assert "C T1w: 5 x 4 axial, 4 x 3 coronal" in done.stdout
    assert [(row["path"], row["plane"], row["slices"]) for row in rows_of(run / "images.csv")][:4] == [
        *((f"A/T1w/000{number}.dcm", "axial", "") for number in (3, 2, 1)),
        ("B/T1w/v.nii.gz", "axial", "0-2"),
    ]
    small_tiles(run, ("tile", "max_background", "1.0"), ("tile.series", "min_content", "0.0"))
    done = hypoxia("tile", run)
    assert done.returncode == 3, done.stderr
    assert "quarantined C: mixed-series: series 'T1w' of patient C has slices of several planes" in done.stderr
    of_a, of_b = (open_tiles(run / "tiles" / f"{name}.zarr") for name in "AB")
    assert np.array_equal(read_pixels(of_a, 0, 3), read_pixels(of_b, 0, 3))
    made = read_tile_attributes(run / "tiles" / "B.zarr")
    assert made is not None
    assert [image["slice"] for image in made.images] == [0, 1, 2]


AXIAL = {"ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "ImagePositionPatient": [0, 0, 0]}


@pytest.fixture
def with_sets(tmp_path: Path, hypoxia: Hypoxia) -> Path:
    """A run with TRAIN, VALID and TEST by a key table, nothing done yet."""
    table = write_cohort(tmp_path / "images")
    classes = [word for name in CLASSES for word in ("--class", name)]
    run = tmp_path / "run"
    done = hypoxia(
        "init", run, "--images", tmp_path / "images", "--images-table", table, "--outcome", "classes", *classes
    )
    assert done.returncode == 0, done.stderr
    assert "24 images of 12 patients, 12 with a label" in done.stdout
    return run


def test_the_sets_of_a_key_table_are_kept(with_sets: Path, hypoxia: Hypoxia) -> None:
    config = load_config(with_sets / "run.toml")
    assert (config.source.kind, config.train.split_file, config.train.folds) == ("folders", "given_split.csv", 1)
    rows = rows_of(with_sets / "given_split.csv")
    assert {row["patient_id"]: row["set"] for row in rows}["P11"] == "test"
    assert sum(row["set"] == "train" for row in rows) == 6
    done = hypoxia("init", with_sets, "--slides", with_sets.parent / "images", "--update")
    assert (done.returncode, "name them by --images" in done.stderr) == (2, True)


def test_new_patients_get_the_sets_of_the_key_table_and_others_keep_theirs(with_sets: Path, hypoxia: Hypoxia) -> None:
    images, table = with_sets.parent / "images", with_sets.parent / "key.csv"
    before = (with_sets / "given_split.csv").read_text()
    Image.fromarray(tissue(77, 32, 32)).save(images / "new.png")
    with table.open("a") as file:
        file.write("P99,new.png,SS,TEST,False\n")
    asked = ("init", with_sets, "--images", images, "--images-table", table, "--update")
    done = hypoxia(*asked)
    assert done.returncode == 0, done.stderr
    assert "added: 1 image and 1 patient; all rows stay" in done.stdout
    assert "25 images of 13 patients, 13 with a label" in done.stdout
    grown = (with_sets / "given_split.csv").read_text()
    assert set(grown.splitlines()) - set(before.splitlines()) == {"P99,0,test"}
    table.write_text(table.read_text().replace("P99,new.png,SS,TEST", "P99,new.png,SS,TRAIN"))
    done = hypoxia(*asked)
    assert (done.returncode, "patient P99: test, now train" in done.stderr) == (2, True), done.stderr
    assert (with_sets / "given_split.csv").read_text() == grown


def test_a_run_on_folders_grows_by_images_and_patients(tmp_path: Path) -> None:
    images, run = tmp_path / "images", RunDir(tmp_path / "run")
    for number, name in enumerate(("A/1", "A/10", "B/1", "B/2")):
        (images / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(tissue(number)).save(images / f"{name}.png")
    init(run, preset("hypoxia", {"source": {"kind": "folders"}}), images)
    files = (run.slides_file, run.images_file, run.patients_file)
    before = [path.read_bytes() for path in files]
    assert update(run, images, of_images=True).grown is not None
    assert [path.read_bytes() for path in files] == before, "nothing is new"
    (images / "C").mkdir()
    for number, name in enumerate(("A/2", "C/1")):
        Image.fromarray(tissue(10 + number)).save(images / f"{name}.png")
    (images / "B" / "2.png").unlink()
    made = update(run, images, of_images=True)
    assert "added: 2 images and 1 patient; all rows stay" in list(made_text(made, run.root))
    assert made.remarks[MORE_IMAGES] == ("A",)
    assert made.remarks[NOT_FOUND] == ("B/2.png",)
    paths = [f"{name}.png" for name in ("A/1", "A/2", "A/10", "B/1", "B/2", "C/1")]
    assert [row["path"] for row in rows_of(run.images_file)] == paths
    assert before[0].decode().splitlines()[2] in run.slides_file.read_text().splitlines(), "B stays as it is"
    assert [slide.slide_id for slide in run.slides()] == ["A", "B", "C"]
    with pytest.raises(InputError, match="another folder"):
        update(run, tmp_path, of_images=True)
    images.rename(tmp_path / "elsewhere")
    assert update(run, tmp_path / "elsewhere", of_images=True).grown[0].moved == ("A", "B", "C")


def test_one_patient_id_in_the_folders_of_several_patients_is_said(tmp_path: Path, hypoxia: Hypoxia) -> None:
    images, run = tmp_path / "images", tmp_path / "run"
    ids = {"A": "SECRET1", "B": "SECRET1", "C": "SECRET2", "D": ""}
    for number, (name, of_it) in enumerate(ids.items()):
        write_dicom(images / name / "T1w" / "1.dcm", (number + 1) * volume()[..., 0], **AXIAL, PatientID=of_it)
    asked = ("init", run, "--images", images, "--images-pattern", "{patient}/{series}/{image}")
    done = hypoxia(*asked)
    assert done.returncode == 0, done.stderr
    [said] = [line for line in done.stdout.splitlines() if "whose DICOM files have one PatientID" in line]
    assert said.endswith("make the run again: 1 (A = B)") and "SECRET" not in done.stdout
    write_dicom(images / "E" / "T1w" / "1.dcm", 7 * volume()[..., 0], **AXIAL, PatientID="SECRET2")
    grown = hypoxia(*asked[:4], "--update")
    assert "make the run again: 2 (A = B, C = E)" in grown.stdout, grown.stderr
    assert "added: 1 image and 1 patient; all rows stay" in grown.stdout


@pytest.mark.long
def test_the_whole_path(with_sets: Path, hypoxia: Hypoxia) -> None:
    settings = (
        ("extract", "name", '"small"'),
        ("extract", "backbone", '"vgg16"'),
        ("extract", "weights", '"random"'),
        ("tile", "tile_px", "32"),
        ("train", "heads", '["logistic"]'),
        ("evaluate", "bootstrap", "100"),
    )
    small_tiles(with_sets, *settings)
    done = hypoxia("run", with_sets)
    assert done.returncode == 0, done.stderr
    metrics = json.loads((with_sets / "metrics.json").read_bytes())
    assert set(metrics["models"]["logistic"]) >= {"train", "valid", "test"}
    page = (with_sets / "report" / "index.html").read_text()
    assert "Images of 12 patients were taken" in page


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "pattern", "n"),
    [("crc_val_he_7k_70", "{label}___{patient}", 70), ("kather2016", "{label}/{patient}", 24)],
)
def test_real_tiles_with_cross_validation(
    name: str, pattern: str, n: int, tmp_path: Path, hypoxia: Hypoxia, shared_data: Callable[[str], Path]
) -> None:
    folder = shared_data(f"tiles/{name}")
    files = [path for path in folder.rglob("*.*") if path.is_file()]
    labels = sorted({path.name.split("___")[0] if "___" in pattern else path.parent.name for path in files})
    classes = [word for label in labels for word in ("--class", label)]
    run = tmp_path / "run"
    options = ("--images", folder, "--images-pattern", pattern, "--outcome", "classes", *classes)
    done = hypoxia("init", run, *options)
    assert (done.returncode, f"{n} images of {n} patients" in done.stdout) == (0, True), done.stderr
    settings = (
        ("tile", "tile_px", "64"),
        ("tile", "max_background", "1.0"),
        ("tile", "large_images", '"resize"'),
        ("extract", "name", '"small"'),
        ("extract", "backbone", '"vgg16"'),
        ("extract", "weights", '"random"'),
        ("train", "heads", '["logistic"]'),
        ("train", "folds", "3"),
        ("train", "split", "[0.34, 0.33, 0.33]"),
        ("evaluate", "bootstrap", "100"),
    )
    for setting in settings:
        change_setting(run, *setting)
    done = hypoxia("run", run)
    assert done.returncode == 0, done.stderr
    measured = json.loads((run / "metrics.json").read_bytes())["models"]["logistic"]["test"]["patient"]
    assert measured


def test_a_table_without_a_test_set_says_what_it_lacks(tmp_path: Path, hypoxia: Hypoxia) -> None:
    lines = ["patient_ID,Path,Label,is_valid"]
    for number in range(6):
        Image.fromarray(tissue(number)).save(tmp_path / f"{number}.png")
        lines.append(f"P{number},{number}.png,{CLASSES[number % 2]},{number > 3}")
    (tmp_path / "key.csv").write_text("\n".join(lines) + "\n")
    classes = [word for name in CLASSES[:2] for word in ("--class", name)]
    options = ("--images", tmp_path, "--images-table", tmp_path / "key.csv", *classes)
    done = hypoxia("init", tmp_path / "run", *options)
    assert done.returncode == 2
    assert "set test of fold 0 has no patient" in done.stderr and "is_valid has no TEST" in done.stderr
