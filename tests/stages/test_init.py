"""init says what it knows of the slides before any work."""

from __future__ import annotations

import json
import shutil
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from slides.dicom_series import write_series

from hypoxia_hpc.cli.text.making import made_text
from hypoxia_hpc.cohorts.series import SERIES_ELSEWHERE
from hypoxia_hpc.config import preset
from hypoxia_hpc.errors import InputError, SlideError
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.runs.initialised import EXCLUDED
from hypoxia_hpc.slides.fingerprint import fingerprint
from hypoxia_hpc.slides.opening import opened_slide
from hypoxia_hpc.stages.init import OTHER_PATIENT, REFUSED, SAME_PATIENT, init, update
from hypoxia_hpc.tiling.remarks import CONTRADICTION, SENTENCES


def said_by_init(run: Path, slides: Path) -> list[str]:
    return list(made_text(init(RunDir(run), preset("hypoxia"), slides), run))


def test_files_of_the_same_content_are_said(tmp_path: Path, real_slide: Path) -> None:
    rows = ["a.svs,P", "b.svs,P", "c.svs,Q", "d.svs,Q", "e.svs,R"]
    data = real_slide.read_bytes()
    for name in "abcde":
        (tmp_path / f"{name}.svs").write_bytes(data if name in "abe" else data.replace(b"AppMag = 20", b"AppMag = 40"))
    (tmp_path / "one.csv").write_text("path,patient_id\n" + "\n".join(rows[:4]) + "\n")
    said = said_by_init(tmp_path / "one", tmp_path / "one.csv")
    assert f"note: {SAME_PATIENT}: 2 (a = b, c = d)" in said
    assert f"note: {SENTENCES[CONTRADICTION]}: 2 (c, d)" in said
    (tmp_path / "two.csv").write_text("path,patient_id\n" + "\n".join(rows) + "\n")
    said = said_by_init(tmp_path / "two", tmp_path / "two.csv")
    assert f"note: {OTHER_PATIENT}: 1 (a = b = e)" in said
    assert f"note: {SAME_PATIENT}: 1 (c = d)" in said


def test_a_series_in_two_folders_is_one_slide(tmp_path: Path) -> None:
    """That with the most files is taken, whether a folder or a manifest names them."""
    files = write_series(tmp_path / "data" / "b", 1, patient="P1")
    write_series(tmp_path / "data" / "other", 2, patient="P2")
    for folder, kept in (("a", files[:1]), ("c", files)):
        (tmp_path / "data" / folder).mkdir()
        for file in kept:
            shutil.copy(file, tmp_path / "data" / folder)
    said = said_by_init(tmp_path / "run", tmp_path / "data")
    table = pd.read_csv(tmp_path / "run" / "slides.csv").set_index("slide_id")
    assert sorted(table.index) == ["b", "other"]
    assert Path(table["path"]["b"]) == min(files[:2])
    copies = ", ".join(str(tmp_path / "data" / folder / min(files[:2]).name) for folder in "ac")
    assert f"note: slides left out, {SERIES_ELSEWHERE}: 2 ({copies})" in said
    (tmp_path / "manifest.csv").write_text("path,slide_id\ndata/a,one\ndata/c,two\ndata/other,three\n")
    assert any(SERIES_ELSEWHERE in line for line in said_by_init(tmp_path / "again", tmp_path / "manifest.csv"))
    assert sorted(pd.read_csv(tmp_path / "again" / "slides.csv")["slide_id"]) == ["three", "two"]


def test_a_series_under_two_patients_is_refused(tmp_path: Path) -> None:
    files = write_series(tmp_path / "a", 1, patient="P1")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    (tmp_path / "manifest.csv").write_text("path,patient_id\na,P\nb,Q\n")
    with pytest.raises(InputError, match="under several patients") as caught:
        init(RunDir(tmp_path / "run"), preset("hypoxia"), tmp_path / "manifest.csv")
    first = min(files[:2])
    assert caught.value.offending == (f"{first} (P) and {tmp_path / 'b' / first.name} (Q)",)


def test_rows_of_one_series_that_contradict_each_other_are_named(tmp_path: Path) -> None:
    files = write_series(tmp_path / "S", 1, patient="P1")
    rows = "".join(f"S/{file.name},{patient}\n" for file, patient in zip(files, "PPQ", strict=False))
    (tmp_path / "manifest.csv").write_text(f"path,patient_id\n{rows}")
    with pytest.raises(InputError, match="contradict each other") as caught:
        init(RunDir(tmp_path / "run"), preset("hypoxia"), tmp_path / "manifest.csv")
    (line,) = caught.value.offending
    assert line.endswith(f"patient_id P ({files[0].name}) and Q ({files[2].name}.dcm)".replace(".dcm.dcm", ".dcm"))
    (tmp_path / "manifest.csv").write_text(f"path,patient_id\n{rows.replace('Q', 'P')}")
    said = said_by_init(tmp_path / "run", tmp_path / "manifest.csv")
    merged = "DICOM series of which the manifest names several files; each series is one slide"
    first = min(files[:2]).stem
    assert f"note: {merged}: 1 ({first})" in said
    assert (tmp_path / "run" / "patients.csv").read_text() == "patient_id,label\nP,\n"


def test_md5_and_size_of_a_row_are_those_of_its_own_file(tmp_path: Path) -> None:
    """Not always of the series' first file, which is the path in slides.csv."""
    files = write_series(tmp_path / "S", 1, patient="P1")
    first, second = sorted(files[:2])
    for named in (first, second):
        manifest = written(tmp_path / "gdc.txt", "id\tfilename\tmd5\tsize\n")
        manifest.write_text(f"{manifest.read_text()}S\t{named.name}\t{'a' * 32}\t{named.stat().st_size}\n")
        made = init(RunDir(tmp_path / named.name), preset("hypoxia"), manifest)
        assert made.joined.slides.resized == ()
        assert list(made.joined.slides.slides.get("md5", [""])) == ["a" * 32]
        manifest.write_text(manifest.read_text().replace(str(named.stat().st_size), "7"))
        assert len(init(RunDir(tmp_path / f"{named.name}-7"), preset("hypoxia"), manifest).joined.slides.resized) == 1


def test_names_that_give_one_id_are_no_error(tmp_path: Path) -> None:
    for name in ("Müller.svs", "Möller.svs", "a b.svs", "a-b.svs"):
        written(tmp_path / "slides" / name, name)
    said = said_by_init(tmp_path / "run", tmp_path / "slides")
    table = pd.read_csv(tmp_path / "run" / "slides.csv").set_index("name")["slide_id"]
    (digested,) = {*table} - {"Muller", "Moller", "a-b"}
    assert table["a b.svs"] == digested
    assert any(line.startswith("note: slides whose names alone give the id") and digested in line for line in said)


def test_names_that_no_file_can_have_end_nothing(tmp_path: Path, real_slide: Path) -> None:
    (tmp_path / "ok.svs").symlink_to(real_slide)
    (tmp_path / "loop.svs").symlink_to("loop.svs")
    long, deep = "x" * 300 + ".dcm", "/".join(["d" * 250] * 20)
    paths = {"ok": "ok.svs", "loop": "loop.svs", "long": long, "deep": deep, "below": "ok.svs/a"}
    rows = "".join(f"{path},{name}\n" for name, path in paths.items())
    (tmp_path / "manifest.csv").write_text(f"path,slide_id\n{rows}")
    run = RunDir(tmp_path / "run")
    made = init(run, preset("hypoxia"), tmp_path / "manifest.csv")
    assert made.joined.slides.missing == ("below", "deep", "long", "loop")
    assert update(run, tmp_path / "manifest.csv").n_slides == 5
    for slide in run.slides():
        for look in (fingerprint, lambda path: opened_slide(path).__enter__()):
            if slide.slide_id == "ok":
                continue
            with pytest.raises(SlideError) as caught:
                look(slide.path)
            assert caught.value.reason == "missing-file", caught.value


def test_what_is_passed_over_is_counted(tmp_path: Path) -> None:
    for name in ("a.svs", "b.svs", "c.jpg", "d.txt", "e.txt"):
        written(tmp_path / "slides" / name, name)
    made = init(RunDir(tmp_path / "run"), preset("hypoxia"), tmp_path / "slides", exclude=["b.*"])
    assert made.notes()[:2] == (
        "files passed over, by suffix or kind: 3 (.jpg 1, .txt 2)",
        "files left out by --include and --exclude: 1",
    )


def test_remarks_that_another_stage_makes_can_be_left_out(tmp_path: Path, real_slide: Path) -> None:
    """tile repeats what is odd about a header, and not which files have the same content."""
    for name in "ab":
        written(tmp_path / "slides" / f"{name}.svs", "").write_bytes(
            real_slide.read_bytes().replace(b"AppMag = 2", b"AppMag = 4")
        )
    made = init(RunDir(tmp_path / "run"), preset("hypoxia"), tmp_path / "slides")
    odd = f"{SENTENCES[CONTRADICTION]}: 2 (a, b)"
    assert odd in made.notes()
    assert made.notes(without=SENTENCES.values()) == tuple(note for note in made.notes() if note != odd)
    assert any(note.startswith(OTHER_PATIENT) for note in made.notes(without=SENTENCES.values()))


def test_slides_that_will_be_quarantined_are_said(tmp_path: Path, real_slide: Path) -> None:
    written(tmp_path / "slides" / "a.svs", "no slide")
    written(tmp_path / "slides" / "b.svs", "no slide either")
    (tmp_path / "slides" / "c.svs").write_bytes(real_slide.read_bytes())
    made = init(RunDir(tmp_path / "run"), preset("hypoxia"), tmp_path / "slides")
    assert f"{REFUSED.format(reason='not-a-slide')}: 2 (a, b)" in made.notes()
    assert made.n_slides == 3


# --- tables of every kind ---------------------------------------------------------------------------------------------

SCORES = "patient_id\tBuffa_hypoxia_score_pan_cancer\tmine\ttumour_type\n"


def made_by(run: Path, slides: Path, **sources: Any) -> tuple[list[str], pd.DataFrame]:
    """What init says of a cohort whose slides are not there, and patients.csv."""
    said = list(made_text(init(RunDir(run), preset("hypoxia"), slides, **sources), run))
    return said, pd.read_csv(run / "patients.csv", dtype=str).fillna("")


def written(path: Path, text: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def test_labels_of_the_manifest_are_used(tmp_path: Path) -> None:
    manifest = written(
        tmp_path / "m.csv",
        "path,patient_id,label,ward\na.svs,P,hypoxic,1\nb.svs,P,,1\nc.svs,Q,normoxic,2\nd.svs,R,,3\n",
    )
    said, patients = made_by(tmp_path / "run", manifest)
    assert patients.to_numpy().tolist() == [["P", "1"], ["Q", "0"], ["R", ""]]
    assert "note: columns of the manifest that are not used: ward" in said
    assert any("all          3         1         1        1" in block for block in said)
    assert said[-1].startswith(f"{tmp_path / 'run'}: 4 slides of 3 patients, 2 with a label.")


def test_labels_of_the_manifest_that_give_way_are_said(tmp_path: Path) -> None:
    manifest = written(tmp_path / "m.csv", "path,patient_id,label\na.svs,P,1\n")
    table = written(tmp_path / "p.csv", "case,y\nP,0\n")
    said, patients = made_by(tmp_path / "run", manifest, patients=table, patient_column="case", label_column="y")
    assert patients.to_numpy().tolist() == [["P", "0", ""]]
    assert "note: columns of the manifest that are not used: label" in said


def test_columns_of_any_name(tmp_path: Path) -> None:
    manifest = written(tmp_path / "m.csv", "path,case,patient_id,y\na.svs,P,x,1.0\nb.svs,Q,x,0.0\n")
    said, patients = made_by(tmp_path / "run", manifest, patient_column="case", label_column="y")
    assert patients.to_numpy().tolist() == [["P", "1"], ["Q", "0"]]
    assert "note: columns of the manifest that are not used: patient_id" in said
    for sources, message in (
        ({"patient_column": "case2"}, "is a column of neither"),
        ({"label_column": "y", "scores": tmp_path}, "--label-column y names a column of --patients"),
        ({"score_column": "y"}, "--score-column y names a column of --scores"),
    ):
        with pytest.raises(InputError, match=message):
            made_by(tmp_path / "other", manifest, **sources)


def test_scores_by_any_column(tmp_path: Path) -> None:
    scores = written(tmp_path / "s.txt", SCORES + "P\t1\t9\tA\nQ\t2\t-1\tA\nR\t3\t0\tA\n")
    manifest = written(tmp_path / "m.csv", "path,patient_id\na.svs,P\nb.svs,Q\n")
    said, patients = made_by(tmp_path / "run", manifest, scores=scores, score_column="mine")
    assert patients[["patient_id", "label"]].to_numpy().tolist() == [["P", "1"], ["Q", "0"]]
    assert said[0] == "scores: mine by the rule type-median, 1 of 3 patients of the table are hypoxic"
    assert "note: columns of the score table that are not used: Buffa_hypoxia_score_pan_cancer" in said


# --- the flow ---------------------------------------------------------------------------------------------------------

MIXED = {
    "TCGA-AA-0001-01Z-00-DX1.svs": "diagnostic",
    "TCGA-AA-0001-01A-01-TS1.svs": "frozen",
    "TCGA-AA-0002-01Z-00-DX1.svs": "diagnostic",
    "TCGA-AA-0003-11A-01-TS1.svs": "normal, of a patient with nothing else",
    "TCGA-AA-0004-01Z-00-DX1.svs": "no label",
    "tcga.aa.0005.01Z.00.DX1.svs": "not in the table",
}


def test_the_flow_of_a_mixed_manifest(tmp_path: Path) -> None:
    """Frozen, normal and unmatched slides."""
    rows = "".join(f"u{number}\t{name}\t\t5\n" for number, name in enumerate(MIXED))
    manifest = written(tmp_path / "gdc.txt", "id\tfilename\tmd5\tsize\n" + rows)
    table = written(
        tmp_path / "p.csv", "patient_id,label\nTCGA-AA-0001,1\nTCGA-AA-0002,0\nTCGA-AA-0004,\nTCGA-AA-0009,1\n"
    )
    config = preset("hypoxia", {"cohort": {"preparations": ["diagnostic"]}})
    run = RunDir(tmp_path / "run")
    said = list(made_text(init(run, config, manifest, patients=table), run.root))
    flow = json.loads(run.flow_file.read_text())
    assert flow["found"] == {"normal, frozen": 1, "tumour, diagnostic": 4, "tumour, frozen": 1}
    assert [(step["step"], step["slides"], step["patients"]) for step in flow["steps"]] == [
        ("found", 6, 5),
        ("in the run", 4, 4),
        ("with a label", 2, 2),
    ]
    reasons = {one["reason"]: one["names"] for step in flow["steps"] for one in step["left_out"]}
    assert reasons == {
        "frozen slide, not in [cohort] preparations": ["TCGA-AA-0001-01A-01-TS1.svs"],
        "normal sample (TCGA sample type 11), not in [cohort] samples": ["TCGA-AA-0003-11A-01-TS1.svs"],
        "no label": ["TCGA-AA-0004"],
        "not in the table of labels": ["TCGA-AA-0005"],
    }
    assert flow["aside"] == [{"kind": "patient", "reason": "no slide", "n": 1, "names": ["TCGA-AA-0009"]}]
    (shown,) = [block for block in said if "found " in block]
    assert [line.split() for line in shown.strip().splitlines()[2:5]] == [
        ["found", "6", "5"], ["of", "them", "normal,", "frozen", "1"], ["of", "them", "tumour,", "diagnostic", "4"],
    ]  # fmt: skip
    assert shown.strip().splitlines()[-1].split() == ["with", "a", "label", "2", "2"]


def test_the_real_manifest_with_the_real_scores(shared_data: Callable[[str], Path], tmp_path: Path) -> None:
    """258 diagnostic slides of 252 colorectal patients; the files themselves are not here."""
    run = RunDir(tmp_path / "run")
    scores = shared_data("scores/BhandariHypoxiaScores.txt")
    made = init(run, preset("hypoxia"), shared_data("gdc/gdc_manifest.txt"), scores=scores)
    flow = json.loads(run.flow_file.read_text())
    assert flow["found"] == {"tumour, diagnostic": 258}
    found, taken, labelled = flow["steps"]
    assert (found["slides"], found["patients"]) == (taken["slides"], taken["patients"]) == (258, 252)
    patients = pd.read_csv(run.patients_file)
    n_labelled = int(patients["label"].notna().sum())
    assert labelled["patients"] == n_labelled
    assert sum(one["n"] for one in labelled["left_out"]) == 252 - n_labelled
    (aside,) = [one for one in flow["aside"] if one["kind"] == "score row"]
    assert aside["n"] == 60
    said = list(made_text(made, run.root))
    assert said[0] == (
        "scores: Buffa_hypoxia_score_pan_cancer by the rule type-median, 3,634 of 7,731 patients of the table are "
        "hypoxic"
    )
    assert said[-1].startswith(f"{run.root}: 258 slides of 252 patients, {n_labelled} with a label.")


# --- runs that grow, and splits that are given ------------------------------------------------------------------------


def test_a_run_grows(tmp_path: Path, real_slide: Path) -> None:
    run = RunDir(tmp_path / "run")
    for name in ("a", "b"):
        shutil.copy(real_slide, tmp_path / f"{name}.svs")
    first = written(tmp_path / "one.csv", "path,patient_id,label\na.svs,P,1\nb.svs,Q,\n")
    init(run, preset("hypoxia"), first)
    before = run.slides_file.read_text().splitlines()
    run.config_file.write_text(run.config_file.read_text().replace("tile_px = 299", "tile_px = 224"))
    config = run.config_file.read_text()
    shutil.copy(real_slide, tmp_path / "c.svs")
    second = written(tmp_path / "two.csv", "path,patient_id,label\nb.svs,Q,0\nc.svs,R,1\na.svs,P,0\n")
    made = update(run, second)
    said = "\n".join(made_text(made, run.root))
    assert "added: 1 slide and 1 patient; all rows stay" in said
    assert f"note: {OTHER_PATIENT}: 1 (c = a = b)" in said
    assert "note: patients with a value in a cell that was empty: 1 (Q)" in said
    assert "note: patients with another value in the table now; patients.csv keeps the one it has: 1 (P)" in said
    assert run.slides_file.read_text().splitlines()[:3] == before
    assert [slide.cost > 0 for slide in run.slides()] == [True] * 3
    assert run.patients_file.read_text() == "patient_id,label\nP,1\nQ,0\nR,1\n"
    assert run.config_file.read_text() == config
    files = {path: path.read_bytes() for path in (run.slides_file, run.patients_file, run.flow_file)}
    assert update(run, second).remarks == {}  # of slides that are new
    assert {path: path.read_bytes() for path in files} == files
    assert [step["slides"] for step in json.loads(run.flow_file.read_text())["steps"]] == [3, 3, 3]


def test_patterns_take_no_slide_out_of_a_run(tmp_path: Path) -> None:
    """That is said, with the rows and what to do; once their rows are deleted they do not come back."""
    run, slides = RunDir(tmp_path / "run"), tmp_path / "slides"
    slides.mkdir()
    for name in ("a.tif", "a_mask.tif", "old/b.tif"):
        written(slides / name, name)
    init(run, preset("hypoxia"), slides)
    before = run.slides_file.read_text()
    made = update(run, slides, exclude=["*mask*"])
    assert f"{EXCLUDED}: 1 (a_mask)" in made.notes()
    assert not any("not found any more" in note for note in made.notes())
    assert run.slides_file.read_text() == before
    made = update(run, slides / "old", exclude=["*mask*"])
    assert not any(EXCLUDED in note for note in made.notes())
    assert any(note.endswith("their rows stay: 2 (a, a_mask)") for note in made.notes())
    run.slides_file.write_text("".join(line for line in before.splitlines(keepends=True) if "mask" not in line))
    assert not any("any more" in note or EXCLUDED in note for note in update(run, slides, exclude=["*mask*"]).notes())
    assert [slide.slide_id for slide in run.slides()] == ["a", "b"]


@pytest.mark.parametrize(("second", "added"), [("", ("q-HE",)), ("q", ())])
def test_a_copy_is_a_slide_of_its_own_where_both_are_found(tmp_path: Path, second: str, added: tuple[str, ...]) -> None:
    run = RunDir(tmp_path / "run")
    for name in ("p", "q"):
        (tmp_path / "slides" / name).mkdir(parents=True)
    written(tmp_path / "slides" / "p" / "HE.tif", "one")
    init(run, preset("hypoxia"), tmp_path / "slides")
    written(tmp_path / "slides" / "q" / "HE.tif", "one")
    made = update(run, tmp_path / "slides" / second)
    assert made.grown is not None
    assert made.grown[0].added == added
    assert any(note.startswith(OTHER_PATIENT) for note in made.notes()) == bool(added)


@pytest.mark.parametrize("second", ["slides", "slides/case2", "more.csv"])
def test_a_run_grows_by_a_file_of_the_same_name(tmp_path: Path, second: str) -> None:
    run = RunDir(tmp_path / "run")
    (tmp_path / "slides").mkdir()
    written(tmp_path / "slides" / "case1" / "HE.svs", "one")
    init(run, preset("hypoxia"), tmp_path / "slides")
    edited = run.slides_file.read_text().replace(",HE,", ",Anna,")  # a patient whom nothing else names
    run.slides_file.write_text(edited)
    written(run.patients_file, "patient_id,label\nAnna,1\n")
    written(tmp_path / "slides" / "case2" / "HE.svs", "two")
    written(tmp_path / "more.csv", "path\nslides/case2/HE.svs\n")
    for added in (("case2-HE",), ()):
        made = update(run, tmp_path / second)
        assert made.grown is not None
        assert made.grown[0].added == added
        assert run.slides_file.read_text().splitlines()[:2] == edited.splitlines()
        assert run.patients_file.read_text() == "patient_id,label\nAnna,1\ncase2-HE,\n"
    written(tmp_path / "copy" / "HE.svs", "one")
    made = update(run, tmp_path / "copy")
    assert made.grown is not None
    assert made.grown[0].added == ()


def test_a_run_does_not_grow_where_a_slide_vanished(tmp_path: Path, real_slide: Path) -> None:
    run = RunDir(tmp_path / "run")
    (tmp_path / "slides").mkdir()
    for name in ("a", "b"):
        shutil.copy(real_slide, tmp_path / "slides" / f"{name}.svs")
    init(run, preset("hypoxia"), tmp_path / "slides")
    (tmp_path / "slides" / "b.svs").unlink()
    with pytest.raises(InputError, match="neither found nor there any more") as caught:
        update(run, tmp_path / "slides")
    assert caught.value.offending == ("b",)
    assert len(run.slides()) == 2
    with pytest.raises(InputError, match="is no run directory"):
        update(RunDir(tmp_path / "none"), tmp_path / "slides")


def test_a_split_is_kept_in_the_run(tmp_path: Path) -> None:
    names = [f"p{number}" for number in range(6)]
    manifest = written(
        tmp_path / "m.csv",
        "path,patient_id,label\n" + "".join(f"{name}.svs,{name},{name[1] in '024'}\n" for name in names),
    )
    sets = ("train", "train", "valid", "valid", "test", "test")
    split = written(
        tmp_path / "split.csv",
        "patient_id,set\n" + "".join(f"{one}\n" for one in map(",".join, zip(names, sets, strict=True))),
    )
    run = RunDir(tmp_path / "run")
    config = preset("hypoxia", {"train": {"split_file": "given_split.csv"}})
    init(run, config, manifest, split=split)
    assert pd.read_csv(run.given_split_file)["set"].tolist() == list(sets)
    assert run.config().train.split_file == str(run.given_split_file.absolute())
    split.write_text(split.read_text().replace("p5,test\n", ""))
    with pytest.raises(InputError, match="is no split of this cohort") as caught:
        init(RunDir(tmp_path / "other"), config, manifest, split=split)
    assert caught.value.offending[0] == "patient p5 has a label and no set in fold 0"
    assert not (tmp_path / "other").exists()


def test_a_cohort_with_a_follow_up(tmp_path: Path) -> None:
    manifest = written(tmp_path / "m.csv", "path,patient_id\na.svs,P\nb.svs,Q\nc.svs,R\n")
    table = written(tmp_path / "p.csv", "patient_id,time,event,age\nP,10,1,61\nQ,3.5,0,\nR,,,70\n")
    config = preset("hypoxia", {"outcome": {"kind": "survival"}, "train": {"heads": ["attention"]}})
    run = RunDir(tmp_path / "run")
    said = list(made_text(init(run, config, manifest, patients=table), run.root))
    assert run.patients_file.read_text().splitlines()[1] == "P,10,1,61,"
    assert [each.label for each in run.patients()] == [(10.0, 1), (3.5, 0), None]
    assert said[-1].startswith(f"{run.root}: 3 slides of 3 patients, 2 with a label.")
    assert any("all          3         2                 1       3.5               1" in block for block in said)
    update(run, manifest, patients=table)
    with pytest.raises(InputError, match="asks for what --scores does not give") as caught:
        scores = written(tmp_path / "s.txt", SCORES + "P\t1\t9\tA\n")
        init(RunDir(tmp_path / "other"), config, manifest, scores=scores)
    assert caught.value.offending == ("column time", "column event")


def test_a_label_of_the_manifest_that_is_none(tmp_path: Path) -> None:
    manifest = written(tmp_path / "m.csv", "path,patient_id,label\na.svs,P,maybe\nb.svs,Q,1\n")
    with pytest.raises(InputError, match="a label that is none") as caught:
        made_by(tmp_path / "run", manifest)
    assert caught.value.offending[0].startswith("patient P: label 'maybe' is not")
    assert not (tmp_path / "run").exists()


FORMS = pytest.mark.parametrize(("on_disk", "in_tables"), [("NFD", "NFC"), ("NFC", "NFD"), ("NFD", "NFD")])


@FORMS
def test_a_name_is_the_same_in_both_forms_of_unicode(tmp_path: Path, on_disk: str, in_tables: str) -> None:
    """macOS has files in NFD; most keyboards and tables NFC. Names of files and folders, patients, columns, classes and
    patterns of files."""

    def disk(text: str) -> str:
        return unicodedata.normalize(on_disk, text)

    def table(text: str) -> str:
        return unicodedata.normalize(in_tables, text)

    data = tmp_path / disk("Fälle") / "more"
    data.mkdir(parents=True)
    for name in ("Müller", "Åse", "Zoë mask"):
        (data / disk(f"{name}.svs")).write_bytes(name.encode())
    (tmp_path / "m.csv").write_text(
        table("path,Fall,Größe\nFälle/more/Müller.svs,Müller,groß\n Fälle/more/Åse.svs,Åse,\n")
    )
    (tmp_path / "p.csv").write_text(table("Fall,Größe\nMüller,groß\nÅse,größer\n"))
    changes = {"outcome": {"classes": [unicodedata.normalize("NFC", name) for name in ("größer", "groß")]}}
    columns = {"patient_column": disk("Fall"), "label_column": disk("Größe"), "patients": tmp_path / "p.csv"}

    def labels_of(run: str, slides: Path, **sources: Any) -> dict[str, Any]:
        made = init(RunDir(tmp_path / run), preset("hypoxia", changes), slides, **sources)
        assert made.joined.slides.missing == ()
        return {each.patient_id: each.label for each in made.patients}

    assert labels_of("1", data, **columns, exclude=[table("*zoë*")]) == {"Müller": 1, "Åse": 0}
    assert labels_of("2", tmp_path / "m.csv", **columns) == {"Müller": 1, "Åse": 0}
    columns.pop("patients")
    assert labels_of("3", tmp_path / "m.csv", **columns) == {"Müller": 1, "Åse": None}


@pytest.mark.parametrize("kind", ["patients", "scores"])
def test_a_table_of_labels_without_any_patient_of_the_slides_is_refused(tmp_path: Path, kind: str) -> None:
    """With ids of both sides; `--update` counts the patients that the run has."""
    for name in ("a", "b"):
        written(tmp_path / "slides" / f"{name}.svs", name)
    written(tmp_path / "more" / "c.svs", "c")
    column = {"patients": "label", "scores": "Buffa_hypoxia_score_pan_cancer"}[kind]

    def table_of(*ids: str) -> dict[str, Any]:
        rows = "".join(f"{patient},{n % 2},x\n" for n, patient in enumerate(ids))
        (tmp_path / "t.csv").write_text(f"patient_id,{column},tumour_type\n{rows}")
        return {kind: tmp_path / "t.csv"}

    run = RunDir(tmp_path / "run")
    with pytest.raises(InputError, match="has a slide") as caught:
        init(run, preset("hypoxia"), tmp_path / "slides", **table_of("X", "Y"))
    assert caught.value.offending == ("patients of the slides: a, b", "patients of the table: X, Y")
    assert not run.config_file.exists()
    init(run, preset("hypoxia"), tmp_path / "slides", **table_of("a", "Y"))
    made = update(run, tmp_path / "more", **table_of("a", "c", "Y"))
    assert made.joined.slides.unlabelled == ()  # b is not in this call
    made = update(run, tmp_path / "slides", **table_of("c", "Y"))
    assert made.joined.slides.unlabelled == ("b",)  # a has its label from before
    with pytest.raises(InputError, match="has a slide"):
        update(run, tmp_path / "more", **table_of("X", "Y"))


@pytest.mark.parametrize("theirs", ["123", "123.0", "0123"])
def test_zeros_that_a_spreadsheet_drops_are_said(tmp_path: Path, theirs: str) -> None:
    written(tmp_path / "slides" / "a.svs", "a")
    (tmp_path / "slides" / "m.csv").write_text("path,patient_id\na.svs,00123\n")
    (tmp_path / "t.csv").write_text(f"patient_id,label\n{theirs},1\n")
    with pytest.raises(InputError, match="leading zeros") as caught:
        init(RunDir(tmp_path / "run"), preset("hypoxia"), tmp_path / "slides" / "m.csv", patients=tmp_path / "t.csv")
    assert caught.value.offending == (", ".join(map(repr, sorted(["00123", theirs]))),)
