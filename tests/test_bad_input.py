"""Bad input through the command line: the right exit code, a message with value, rule, remedy and all offending items,
and everything done already stays."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import tifffile
from fault_runs import change_setting
from numpy.typing import NDArray
from PIL import Image
from waiting import wait_until

from hypoxia_hpc.cli.text.words import harmless
from hypoxia_hpc.synthetic.svs import write_svs
from hypoxia_hpc.tiling.remarks import CONTRADICTION, SENTENCES

Hypoxia = Callable[..., subprocess.CompletedProcess[str]]

HTML_NAME = "<img src=x onerror=alert(1)>.svs"
HTML_ID = "img-src-x-onerror-alert-1--"
ESCAPE_NAME = "red\x1b[31m.svs"
BAD = {
    "no-slide": "not-a-slide",
    "unreadable": "unreadable",
    "no-mpp": "no-mpp",
    "white": "no-tissue",
    "missing": "missing-file",
    "red--31m": "not-a-slide",
}
GOOD = ["good-1", "good-2", HTML_ID]


def tissue(seed: int, side: int = 600) -> NDArray[np.uint8]:
    """Uint8 RGB (side, side, 3) without background: 600 px are 4 tiles of 299."""
    coarse = np.random.default_rng(seed).integers(60, 190, (side // 30, side // 30, 3)).astype(np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC))


def write_mixed_slides(folder: Path) -> Path:
    """Three good slides, the second with an objective that contradicts its µm/px, one of every bad kind, and a manifest
    of them all."""
    folder.mkdir()
    for seed, name in enumerate(("good-1.svs", "good-2.svs", HTML_NAME)):
        write_svs(folder / name, tissue(seed), 0.5)
    (folder / "no-slide.svs").write_text("this is no slide")
    (folder / ESCAPE_NAME).write_text("nor is this")
    contradicted = (folder / "good-2.svs").read_bytes().replace(b"AppMag = 20", b"AppMag = 40")
    (folder / "good-2.svs").write_bytes(contradicted)
    write_unreadable(folder / "unreadable.svs")
    tifffile.imwrite(folder / "no-mpp.tiff", tissue(4), tile=(256, 256), photometric="rgb", metadata=None)
    write_svs(folder / "white.svs", np.full((600, 600, 3), 240, dtype=np.uint8), 0.5)
    names = [*sorted(path.name for path in folder.iterdir()), "missing.svs"]
    return write_rows(folder / "manifest.csv", ["path"], [[name] for name in names])


def write_unreadable(path: Path) -> None:
    """A slide that opens, and then every read fails."""
    write_svs(path, tissue(5), 0.5)
    with tifffile.TiffFile(path) as file:
        places = list(zip(file.pages[0].dataoffsets, file.pages[0].databytecounts, strict=True))
    data = bytearray(path.read_bytes())
    for offset, nbytes in places:
        data[offset : offset + nbytes] = bytes(nbytes)
    path.write_bytes(data)


def write_rows(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def run_of(folder: Path, hypoxia: Hypoxia, *arguments: object) -> Path:
    """A fresh run directory; [extract] asks for no weights file."""
    done = hypoxia("init", folder, *arguments)
    assert done.returncode == 0, done.stderr
    (folder.parent / "init").write_text(done.stdout)
    config = folder / "run.toml"
    config.write_text(config.read_text().replace('weights = "imagenet"', 'weights = "random"'))
    return folder


def run_of_missing_slides(folder: Path, hypoxia: Hypoxia, labels: dict[str, str]) -> Path:
    """A run of patients with these labels, none of whose slides is there: each is quarantined at once."""
    folder.mkdir()
    manifest = write_rows(folder / "manifest.csv", ["path", "patient_id"], [[f"{name}.svs", name] for name in labels])
    patients = write_rows(folder / "patients.csv", ["patient_id", "label"], [*labels.items()])
    return run_of(folder / "run", hypoxia, "--slides", manifest, "--patients", patients)


def receipts(run: Path, stage: str = "tile") -> dict[str, dict[str, object]]:
    return {path.stem: json.loads(path.read_bytes()) for path in (run / "receipts" / stage).glob("*.json")}


def stores(run: Path) -> dict[str, bytes]:
    """Every file of every tile store, by path."""
    return {str(path.relative_to(run)): path.read_bytes() for path in (run / "tiles").rglob("*") if path.is_file()}


def refused(done: subprocess.CompletedProcess[str], code: int, *said: str) -> None:
    """Exit code, an error of one line, a remedy, no traceback, and everything of ``said`` in it."""
    assert done.returncode == code, done.stderr
    assert "error: " in done.stderr
    assert "remedy: " in done.stderr
    assert "Traceback" not in done.stderr
    for text in said:
        assert text in done.stderr


# --- tables -----------------------------------------------------------------------------------------------------


def test_a_long_list_of_wrong_rows_is_a_count_and_a_file(
    tmp_path: Path, hypoxia: Hypoxia, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    (tmp_path / "slides").mkdir()
    manifest = write_rows(tmp_path / "manifest.csv", ["path", "mpp"], [[f"{n}.svs", "x"] for n in range(3000)])
    done = hypoxia("init", tmp_path / "run", "--slides", manifest, fresh=True)
    refused(done, 2, "line 21: mpp 'x'", "and 2,980 more", "all 3,000 are listed in")
    assert len(done.stderr.splitlines()) == 24
    (listed,) = tmp_path.glob("hypoxia-hpc-*.txt")
    assert listed.read_text().splitlines()[-1].startswith("line 3001: mpp 'x'")
    assert str(listed) in done.stderr


# --- one run with every kind of bad slide ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory, hypoxia: Hypoxia) -> Path:
    """A tiled run of good and bad slides; tests that change it take a copy."""
    folder = tmp_path_factory.mktemp("mixed")
    run = run_of(folder / "run", hypoxia, "--slides", write_mixed_slides(folder / "slides"))
    done = hypoxia("tile", run, "--workers", 2)
    (folder / "first").write_text(f"{done.returncode}\n{done.stdout}\n{done.stderr}")
    return run


@pytest.fixture
def copy(mixed: Path, tmp_path: Path) -> Path:
    """A copy of the mixed run and its slides."""
    shutil.copytree(mixed.parent, tmp_path / "mixed")
    table = tmp_path / "mixed" / "run" / "slides.csv"
    table.write_text(table.read_text().replace(str(mixed.parent), str(tmp_path / "mixed")))
    return tmp_path / "mixed" / "run"


def test_bad_slides_are_quarantined_and_the_others_done(mixed: Path, hypoxia: Hypoxia) -> None:
    code, said = (mixed.parent / "first").read_text().split("\n", maxsplit=1)
    assert code == "3"
    assert "tile: 3 done now, 0 done before, 6 quarantined (not-a-slide 2, " in said
    assert "Traceback" not in said
    found = receipts(mixed)
    assert {name: one["reason"] for name, one in found.items() if one["status"] == "quarantined"} == BAD
    assert sorted(name for name, one in found.items() if one["status"] == "done") == sorted(GOOD)
    assert sorted(path.name for path in (mixed / "tiles").iterdir()) == sorted(f"{name}.zarr" for name in GOOD)
    for name, reason in BAD.items():
        assert f"quarantined {name}: {reason}: " in said
        detail = harmless(str(found[name]["detail"]))
        assert "remedy: " in detail
        assert said.count(detail.partition("\n")[0]) == 1, "each is said once"
        assert found[name]["attempts"] == 1
    assert said.count("quarantined in tile, not-a-slide: 2 slides (") == 1
    assert "2 slides (no-slide, " in said or ", no-slide)" in said

    state = json.loads(hypoxia("status", mixed, "--json").stdout)
    assert {one["slide_id"]: (one["stage"], one["reason"]) for one in state["quarantined"]} == {
        name: ("tile", reason) for name, reason in BAD.items()
    }
    assert (state["stages"][0]["done"], state["stages"][0]["quarantined"], state["stages"][0]["todo"]) == (3, 6, 0)


def test_a_header_that_contradicts_itself_is_said(mixed: Path, copy: Path, hypoxia: Hypoxia) -> None:
    """By init and tile, which name the slide, by status and in the report, whoever tiled it."""
    note = f"note: {SENTENCES[CONTRADICTION]}: 1 (good-2)"
    assert note in (mixed.parent / "init").read_text().splitlines()
    assert note in (mixed.parent / "first").read_text().splitlines()
    (copy / "receipts" / "tile" / "good-2.json").unlink()
    assert note in hypoxia("status", copy).stdout.splitlines()
    assert json.loads(hypoxia("status", copy, "--json").stdout)["remarks"] == {SENTENCES[CONTRADICTION]: ["good-2"]}
    assert hypoxia("report", copy).returncode == 0
    assert f"<p>Note: {SENTENCES[CONTRADICTION]}: 1 (good-2).</p>" in (copy / "report" / "index.html").read_text()


def test_a_second_call_does_nothing_twice(copy: Path, hypoxia: Hypoxia) -> None:
    before, held = stores(copy), receipts(copy)
    done = hypoxia("tile", copy, "--workers", 1)
    assert done.returncode == 3
    for name in BAD:
        assert (done.stdout + done.stderr).count(harmless(str(held[name]["detail"])).partition("\n")[0]) == 1
    assert "tile: 0 done now, 3 done before, 6 quarantined" in done.stdout
    assert (stores(copy), receipts(copy)) == (before, held)


def test_a_quarantine_holds_until_retry_or_until_the_slide_is_mended(copy: Path, hypoxia: Hypoxia) -> None:
    before = stores(copy)
    done = hypoxia("tile", copy, "--retry", "--slide", "no-slide", "--slide", "white", "--workers", 1)
    assert (done.returncode, "2 quarantined" in done.stdout) == (3, True)
    attempts = {name: one["attempts"] for name, one in receipts(copy).items()}
    assert attempts == {**dict.fromkeys([*BAD, *GOOD], 1), "no-slide": 2, "white": 2}

    slides = copy.parent / "slides"
    write_svs(slides / "no-slide.svs", tissue(7), 0.5)  # the same id, another file
    write_svs(slides / "missing.svs", tissue(8), 0.5)
    table = (copy / "slides.csv").read_text().replace("no-mpp.tiff,no-mpp,", "no-mpp.tiff,no-mpp,")
    rows = list(csv.DictReader(table.splitlines()))
    for row in rows:
        row["mpp"] = "0.5" if row["slide_id"] == "no-mpp" else row["mpp"]
    write_rows(copy / "slides.csv", list(rows[0]), [list(row.values()) for row in rows])
    done = hypoxia("tile", copy, "--workers", 2)
    assert done.returncode == 3
    assert "tile: 3 done now, 3 done before, 3 quarantined" in done.stdout
    assert before.items() <= stores(copy).items()
    found = receipts(copy)
    assert {name for name, one in found.items() if one["status"] == "quarantined"} == {
        "unreadable",
        "white",
        "red--31m",
    }
    assert found["no-slide"]["attempts"] == 1  # of this file


def test_names_are_never_run_by_terminal_or_browser(copy: Path, hypoxia: Hypoxia) -> None:
    assert "\x1b" not in (copy.parent / "first").read_text()
    done = hypoxia("report", copy)
    assert done.returncode == 0, done.stderr
    page = (copy / "report" / "index.html").read_text()
    assert "<img src=x" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;.svs" in page
    assert "\x1b" not in page
    assert "\x1b" not in hypoxia("status", copy).stdout


def test_slides_in_quarantine_since_tile_do_not_make_extract_unready(copy: Path, hypoxia: Hypoxia) -> None:
    done = hypoxia("extract", copy, *(f"--slide={name}" for name in BAD))
    assert done.returncode == 3
    assert "6 quarantined (not-a-slide 2, " in done.stdout
    (copy / "receipts" / "tile" / "white.json").unlink()
    done = hypoxia("extract", copy, "--slide", "white")
    assert done.returncode == 5
    assert "not ready: white" in done.stderr
    assert "hypoxia-hpc tile" in done.stderr


def test_a_damaged_store_is_found_and_quarantined(copy: Path, hypoxia: Hypoxia) -> None:
    assert hypoxia("verify", copy).returncode == 0
    damage(copy / "tiles" / "good-1.zarr" / "pixels" / "c.0.0.0.0", lambda data: data[:-100])
    damage(copy / "tiles" / "good-2.zarr" / "background" / "c.0", lambda data: data[:1] + b"\xff" + data[2:])
    others = {path: data for path, data in stores(copy).items() if HTML_ID in path}
    done = hypoxia("verify", copy)
    refused(
        done,
        5,
        "2 of 3 stores, models and results are not sound",
        "tiles/good-1.zarr: ",
        "tiles/good-2.zarr: ",
        "delete",
    )
    assert HTML_ID not in done.stderr
    assert list(json.loads(hypoxia("verify", copy, "--json").stdout)["problems"]) == [
        "tiles/good-1.zarr",
        "tiles/good-2.zarr",
    ]
    done = hypoxia("extract", copy, "--slide", "good-1", "--slide", "good-2")
    assert done.returncode == 3, done.stderr
    assert "2 quarantined (damaged-store 2)" in done.stdout
    # The remedy works: delete, tile again.
    for name in ("good-1", "good-2"):
        shutil.rmtree(copy / "tiles" / f"{name}.zarr")
    assert "2 done now, 1 done before" in hypoxia("tile", copy).stdout
    assert hypoxia("verify", copy).returncode == 0
    assert others.items() <= stores(copy).items()


def damage(path: Path, change: Callable[[bytes], bytes]) -> None:
    path.write_bytes(change(path.read_bytes()))


# --- tables ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ([], ["no slide below"]),
        (["TCGA-AA-0001-11A-01-TS1.svs"], ["no slide to work on", "normal sample"]),
    ],
)
def test_folders_of_slides(tmp_path: Path, hypoxia: Hypoxia, files: list[str], said: list[str]) -> None:
    (tmp_path / "slides").mkdir()
    for name in files:
        (tmp_path / "slides" / name).touch()
    refused(hypoxia("init", tmp_path / "run", "--slides", tmp_path / "slides"), 2, *said)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("header", "rows", "said"),
    [
        (
            ["path", "slide_id"],
            [["a.svs", "../../evil"], ["b.svs", "<b>"]],
            ["'../../evil'", "'<b>'", "line 2", "line 3"],
        ),
        (["path", "slide_id"], [["a.svs", "x"], ["b.svs", "X"]], ["slides with the same path or id", "a.svs", "b.svs"]),
        (["path"], [["a.svs"], ["./a.svs"]], ["files that stand in several rows", "stands in 2 rows"]),
        (["file"], [["a.svs"]], ["a manifest needs a column path"]),
        (["path", "mpp"], [["a.svs", "-1"], ["b.svs", "20x"]], ["'-1'", "'20x'"]),
    ],
)
def test_manifests(tmp_path: Path, hypoxia: Hypoxia, header: list[str], rows: list[list[str]], said: list[str]) -> None:
    manifest = write_rows(tmp_path / "manifest.csv", header, rows)
    refused(hypoxia("init", tmp_path / "run", "--slides", manifest), 2, *said)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("header", "rows", "said"),
    [
        (["patient", "hypoxic"], [["p", "1"]], ["missing column: patient_id", "missing column: label"]),
        (["patient_id", "label"], [["p", "1"], ["q", "0"], ["p", "0"]], ["patient 'p'", "lines 2, 4", "'1', '0'"]),
        (["patient_id", "label"], [["p", "maybe"], ["q", "2"]], ["'maybe'", "'2'", "is not 0, 1, normoxic"]),
    ],
)
def test_label_tables(
    tmp_path: Path, hypoxia: Hypoxia, header: list[str], rows: list[list[str]], said: list[str]
) -> None:
    manifest = write_rows(tmp_path / "manifest.csv", ["path", "patient_id"], [["a.svs", "p"]])
    patients = write_rows(tmp_path / "patients.csv", header, rows)
    refused(hypoxia("init", tmp_path / "run", "--slides", manifest, "--patients", patients), 2, *said)
    assert not (tmp_path / "run").exists()


def test_score_tables(tmp_path: Path, hypoxia: Hypoxia) -> None:
    scores = write_rows(tmp_path / "scores.csv", ["patient_id", "score"], [["p", "1"]])
    refused(hypoxia("labels", scores, fresh=True), 2, "missing column: Buffa_hypoxia_score_pan_cancer")
    refused(hypoxia("labels", tmp_path / "none.txt"), 2, "none.txt is not a file")


def test_a_slide_table_edited_by_hand(tmp_path: Path, hypoxia: Hypoxia) -> None:
    run = run_of_missing_slides(tmp_path / "a", hypoxia, {"p": "0", "q": "1"})
    rows = [["../../evil", "a.svs", "p", "1"], ["ok", "b.svs", "p", "1"], ["OK", "c.svs", "", "x"]]
    write_rows(run / "slides.csv", ["slide_id", "path", "patient_id", "cost"], rows)
    for verb in ("tile", "train"):
        refused(hypoxia(verb, run), 2, "'../../evil'", "slide id 'ok' occurs on lines 3, 4", "cost 'x'", "line 4")
    assert not (tmp_path / "evil.zarr").exists()
    assert not (run / "tiles").exists()


def test_models_of_a_run_that_is_not_there(tmp_path: Path, hypoxia: Hypoxia) -> None:
    done = hypoxia("predict", tmp_path / "new", "--slides", tmp_path, "--model", tmp_path / "nomodel")
    refused(done, 2, f"{tmp_path}/nomodel/run.toml does not exist", "remedy: name a run that was trained")
    assert "init" not in done.stderr
    assert not (tmp_path / "new").exists()


def test_predict_leaves_nothing_where_it_is_refused(tmp_path: Path, hypoxia: Hypoxia) -> None:
    untrained, new = run_of_missing_slides(tmp_path / "a", hypoxia, {"p": "0", "q": "1"}), tmp_path / "new"
    refused(hypoxia("predict", new, "--slides", untrained.parent / "p.svs", "--model", untrained), 5, "train")
    assert not new.exists()
    made_so = f"remedy: make it of the slides: hypoxia-hpc predict {new} --slides DIR --model {untrained}"
    refused(hypoxia("predict", new, "--model", untrained), 2, f"{new} is no run directory", made_so)


def test_one_class_only_and_too_few_patients(tmp_path: Path, hypoxia: Hypoxia) -> None:
    one_class = run_of_missing_slides(tmp_path / "one", hypoxia, {f"p{n}": "1" for n in range(4)})
    refused(hypoxia("run", one_class), 2, "patients of one class only: 0 with label normoxic, 4 with label hypoxic")
    assert receipts(one_class) == {}  # told before any slide was read
    too_few = run_of_missing_slides(tmp_path / "few", hypoxia, {"p": "1", "q": "0", "r": ""})
    assert hypoxia("tile", too_few).returncode == 3
    refused(
        hypoxia("train", too_few),
        2,
        "too few patients to split: 1 with label normoxic, 1 with label hypoxic",
        "set test",
    )
    assert not (too_few / "split.csv").exists()
    assert len(receipts(too_few)) == 3


def test_groups_that_cannot_be_kept_together_are_told_before_slides_are_read(tmp_path: Path, hypoxia: Hypoxia) -> None:
    """Two hospitals for three sets, one of them with a single patient; then a column that is not there."""
    run = run_of_missing_slides(tmp_path / "a", hypoxia, {f"p{n:02d}": str(n % 2) for n in range(20)})
    rows = [[f"p{n:02d}", str(n % 2), "North" if n else "South"] for n in range(20)]
    write_rows(run / "patients.csv", ["patient_id", "label", "hospital"], rows)
    change_setting(run, "train", "keep_together", '"hospital"')
    said = ("too few groups", "2 groups for 3 sets: north, south", "label hypoxic: only in north, needed in 3 groups")
    refused(hypoxia("run", run), 2, *said)
    change_setting(run, "train", "folds", "4")
    refused(hypoxia("run", run), 2, "2 groups for 4 sets: north, south")
    change_setting(run, "train", "keep_together", '"ward"')
    refused(hypoxia("run", run), 2, "'ward' is no column of patients.csv or slides.csv", "hospital, label")
    change_setting(run, "train", "folds", "1")
    change_setting(run, "train", "repeats", "3")
    refused(hypoxia("run", run), 2, "repeats = 3 repeats a cross-validation, so folds must be above 1")
    assert receipts(run) == {}


def test_patients_of_several_writings_and_barcodes_that_contradict(tmp_path: Path, hypoxia: Hypoxia) -> None:
    rows = [["a.svs", "P-1"], ["b.svs", "p_1"], ["TCGA-E7-A6MF-01Z-00-DX1.svs", "TCGA-E7-A6MG"]]
    for chosen, said in (
        (rows[:2], ["differ only in case, separators or leading zeros", "'P-1', 'p_1'"]),
        (rows[2:], ["barcode is another patient's", "TCGA-E7-A6MF-01Z-00-DX1.svs: patient_id TCGA-E7-A6MG"]),
    ):
        manifest = write_rows(tmp_path / "manifest.csv", ["path", "patient_id"], chosen)
        refused(hypoxia("init", tmp_path / "run", "--slides", manifest), 2, *said)
    assert not (tmp_path / "run").exists()


def test_update_of_a_run(tmp_path: Path, hypoxia: Hypoxia) -> None:
    run = run_of_missing_slides(tmp_path / "a", hypoxia, {"p": "0", "q": "1"})
    manifest = write_rows(tmp_path / "a" / "more.csv", ["path", "patient_id"], [["q.svs", "q"], ["r.svs", "r"]])
    refused(hypoxia("init", run, "--slides", manifest, "--update"), 2, "neither found nor there any more", "- p")
    refused(hypoxia("init", run, "--slides", manifest, "--update", "--sample", "normal"), 2, "changes no entry")
    refused(
        hypoxia("init", run, "--slides", manifest), 2, f"hypoxia-hpc init {run} --slides DIR (or --images DIR) --update"
    )
    write_rows(manifest, ["path", "patient_id"], [["q.svs", "q"], ["r.svs", "r"], ["p.svs", "p"]])
    done = hypoxia("init", run, "--slides", manifest, "--update")
    assert done.returncode == 0, done.stderr
    assert "added: 1 slide and 1 patient; all rows stay" in done.stdout
    assert (run / "patients.csv").read_text() == "patient_id,label,tumour_type\np,0,\nq,1,\nr,,\n"


# --- usage -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def seven(tmp_path_factory: pytest.TempPathFactory, hypoxia: Hypoxia) -> Path:
    """A run of seven slides that are not there."""
    labels = {f"p{n}": str(n % 2) for n in range(7)}
    return run_of_missing_slides(tmp_path_factory.mktemp("seven") / "a", hypoxia, labels)


def test_shares_take_every_slide_once(seven: Path, tmp_path: Path, hypoxia: Hypoxia) -> None:
    run = Path(shutil.copytree(seven, tmp_path / "run"))
    seen: list[str] = []
    for index in range(3):
        before = set(receipts(run))
        done = hypoxia("tile", run, "--share", f"{index}/3", "--workers", 1)
        assert done.returncode == 3
        mine = set(receipts(run)) - before
        assert f"0 done before, {len(mine)} quarantined (missing-file {len(mine)})" in done.stdout
        seen += mine
    assert sorted(seen) == [f"p{n}" for n in range(7)]


def test_a_run_says_each_quarantine_once_and_each_remedy_at_its_end(
    seven: Path, tmp_path: Path, hypoxia: Hypoxia
) -> None:
    run = Path(shutil.copytree(seven, tmp_path / "run"))
    write_rows(run / "patients.csv", ["patient_id", "label"], [[f"p{n}", ""] for n in range(7)])
    for title in ("tile, missing-file: 7 slides (p0, p1, p2, p3, p4, p5, p6)\n", "tile, missing-file: 7 slides\nslide"):
        done = hypoxia("run", run)
        said = done.stdout + done.stderr
        for name in receipts(run):
            assert said.count(f"/{name}.svs does not exist") == 1
        assert said.count("remedy: bring it back") == 1
        assert said.count("quarantined in ") == 1
        assert f"\n7 slides quarantined: missing-file 7\n\nquarantined in {title}" in done.stdout
        assert done.stdout.index("extract ") < done.stdout.index("\n7 slides quarantined")


def test_slides_by_name(seven: Path, tmp_path: Path, hypoxia: Hypoxia) -> None:
    run = Path(shutil.copytree(seven, tmp_path / "run"))
    names = tmp_path / "names.txt"
    names.write_text("p3\n\np5\r\n")
    assert hypoxia("tile", run, "--slides-from", names, "--slide", "p1").returncode == 3
    assert sorted(receipts(run)) == ["p1", "p3", "p5"]
    names.write_text("p3\nunknown\nnothing\n")
    refused(hypoxia("tile", run, "--slides-from", names), 2, "  - nothing\n  - unknown\n", "not in slides.csv")
    names.write_text("\n")
    refused(hypoxia("tile", run, "--slides-from", names), 2, "names no slide")
    refused(hypoxia("tile", run, "--slides-from", tmp_path / "none"), 2, "none does not exist")


def test_usage(seven: Path, tmp_path: Path, hypoxia: Hypoxia) -> None:
    refused(hypoxia("tile", seven, "--share", "3/3"), 2, "share '3/3' is not I/N with 0 <= I < N")
    refused(hypoxia("tile", tmp_path / "none"), 2, "is no run directory", "hypoxia-hpc init")
    other_slides = Path(__file__).parents[1] / "hypoxia_hpc" / "slides"
    refused(hypoxia("init", seven, "--slides", other_slides), 2, "would overwrite", str(seven / "slides.csv"))
    refused(hypoxia("init", tmp_path / "run", "--slides", tmp_path / "none"), 2, "none does not exist")
    refused(hypoxia("init", tmp_path / "run", "--slides", tmp_path, "--study", "lung"), 2, "'lung'", "hypoxia")
    refused(
        hypoxia("init", tmp_path / "run", "--slides", tmp_path, "--rule", "mean"),
        2,
        "--rule 'mean'",
        "type-median, pan-median, intra",
    )
    for arguments in (["tile"], ["tile", seven, "--workers", "0"], ["tile", seven, "--nonsense"], ["nonsense"]):
        done = hypoxia(*arguments)
        assert done.returncode == 2
        assert "Traceback" not in done.stderr
        assert "Usage: " in done.stderr


def test_a_wrong_run_toml(seven: Path, tmp_path: Path, hypoxia: Hypoxia) -> None:
    run = Path(shutil.copytree(seven, tmp_path / "run"))
    (run / "run.toml").write_text("[tile]\nwhite = 300\ntile_pixels = 299\n")
    for verb in ("tile", "report"):
        refused(hypoxia(verb, run), 2, "white = 300", "valid keys of [tile]", "tile_px = 299", "2 wrong entries")


def test_stages_that_are_not_ready(seven: Path, hypoxia: Hypoxia) -> None:
    refused(
        hypoxia("train", seven), 5, "7 of 7 slides have no features yet", "  - p0\n", "  - p6\n", "hypoxia-hpc tile"
    )
    done = hypoxia("extract", seven)
    assert done.returncode == 5
    assert "7 not ready" in done.stdout


def test_weights_that_are_not_there(seven: Path, tmp_path: Path, hypoxia: Hypoxia) -> None:
    run = Path(shutil.copytree(seven, tmp_path / "run"))
    (run / "run.toml").write_text('[extract]\nweights = "imagenet"\n')
    done = hypoxia("extract", run, env={**os.environ, "HYPOXIA_HPC_WEIGHTS": str(tmp_path)})
    refused(done, 4, "not on this machine", f"looked in {tmp_path}")


# --- the machine -------------------------------------------------------------------------------------------------


def test_a_full_and_a_read_only_disk(small_disk: Path, tmp_path: Path, hypoxia: Hypoxia) -> None:
    """A store of four tiles takes 2.1 MB (a chunk is eight): on 3 MB there is room for one."""
    slides = tmp_path / "slides"
    slides.mkdir()
    for seed in range(2):
        write_svs(slides / f"s{seed}.svs", tissue(seed), 0.5)
    run = run_of(small_disk / "run", hypoxia, "--slides", slides)
    done = hypoxia("tile", run, "--workers", 1)
    refused(done, 4, str(run), "the disk is full", "free space")
    held = stores(run)
    assert len({path.split("/")[1] for path in held}) == 1
    assert not [path for path in (run / "tiles").iterdir() if path.name.startswith(".")]
    assert hypoxia("verify", run).returncode == 0

    subprocess.run(["mount", "-o", "remount,ro,size=16m", small_disk], check=True)
    refused(hypoxia("tile", run, "--workers", 1), 4, str(run), "cannot be written")
    refused(hypoxia("init", small_disk / "other", "--slides", slides), 4, str(small_disk / "other"))
    assert stores(run) == held
    assert hypoxia("status", run).returncode == 0

    subprocess.run(["mount", "-o", "remount,rw", small_disk], check=True)
    done = hypoxia("tile", run, "--workers", 1)
    assert (done.returncode, done.stdout) == (0, "tile: 1 done now, 1 done before\n")
    assert held.items() <= stores(run).items()


def test_a_term_signal_ends_it_and_a_second_call_completes(real_slide: Path, tmp_path: Path, hypoxia: Hypoxia) -> None:
    (tmp_path / "slides").mkdir()
    shutil.copy(real_slide, tmp_path / "slides")
    run = run_of(tmp_path / "run", hypoxia, "--slides", tmp_path / "slides")
    rows = [[f"s{n}", real_slide, "p", "1"] for n in range(8)]
    write_rows(run / "slides.csv", ["slide_id", "path", "patient_id", "cost"], rows)
    command = [sys.executable, "-m", "hypoxia_hpc", "tile", str(run), "--workers", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        wait_until((run / "receipts" / "tile" / "s0.json").exists)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 75
    assert "SIGTERM: finishing what is under way, then stopping" in said
    assert "remedy: run the same command again to go on" in said
    held = stores(run)
    n_done = len(receipts(run))
    assert 1 <= n_done < 8
    done = hypoxia("tile", run, "--workers", 1)
    assert (done.returncode, done.stdout) == (0, f"tile: {8 - n_done} done now, {n_done} done before\n")
    assert held.items() <= stores(run).items()
    assert hypoxia("verify", run).returncode == 0


def test_output_into_a_pipe_without_a_reader_ends_no_work(seven: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(seven, tmp_path / "run"))
    (run / "patients.csv").unlink()  # without labels there is no training
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "hypoxia_hpc", "run", str(run)]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, check=False, timeout=120)
    os.close(writer)
    assert done.returncode == 3, done.stderr
    assert len(receipts(run)) == 7
    assert (run / "report" / "index.html").exists()
