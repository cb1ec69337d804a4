"""Slides below a folder: each once, whatever lies beside them; and what is no slide is counted."""

from __future__ import annotations

import os
import socket
from pathlib import Path, PurePath

import numpy as np
import pandas as pd
import pytest
import tifffile
from slides.dicom_series import generate_uid, image_of, write_instance, write_series
from slides.test_companions import hamamatsu, mirax

from hypoxia_hpc.cohorts.manifests import Candidate
from hypoxia_hpc.cohorts.naming import derived_ids
from hypoxia_hpc.config import preset
from hypoxia_hpc.errors import InputError, SlideError
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.slides.finding import OF_SEVERAL_PATIENTS, find_below, is_selected, nbytes_of, series_of_manifest
from hypoxia_hpc.slides.opening import opened_slide
from hypoxia_hpc.stages.init import init


def touched(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"slide")


def ids_below(folder: Path, **patterns: list[str]) -> list[str]:
    found = find_below(folder, **patterns)
    return sorted(derived_ids(found.candidates, found.root))


def test_what_is_no_slide_is_counted_by_suffix(tmp_path: Path) -> None:
    touched(tmp_path, "a.svs", "b.xyz", "c.XYZ", "d/notes.txt", "README", ".hidden", "._a.svs", ".cache/e.svs")
    found = find_below(tmp_path)
    assert [each.path.name for each in found.candidates] == ["a.svs"]
    assert found.skipped == {".xyz": 2, ".txt": 1, "no suffix": 1}
    assert found.left_out == 0


@pytest.mark.parametrize("name", ["a.qptiff", "a.btf", "a.tf8", "a.ome.tif", "a.OME.TIFF"])
def test_a_tiff_is_found_by_each_of_its_suffixes(tmp_path: Path, name: str) -> None:
    """And read as the TIFF that it is."""
    image = np.full((64, 64, 3), 90, dtype=np.uint8)
    tifffile.imwrite(tmp_path / name, image, tile=(64, 64), photometric="rgb", ome=False)
    (slide,) = find_below(tmp_path).candidates
    assert slide.path.name == name
    with opened_slide(slide.path) as opened:
        assert opened.pyramid.size_l0 == (64, 64)


def test_a_folder_without_slides_says_what_is_there(tmp_path: Path) -> None:
    touched(tmp_path, "b.xyz", "c.xyz", "mask.jpg")
    with pytest.raises(InputError, match=r"\.xyz 2; --include and --exclude leave out 1\)[^$]*give the folder"):
        find_below(tmp_path, exclude=["*mask*"])


@pytest.mark.parametrize(
    ("include", "exclude", "leaves", "idle"),
    [
        (["*.ndip"], [], "no files", ["--include '*.ndip' matches no file"]),
        (
            ["old", "*.txt"],
            ["*maks*"],
            ".txt 1",
            ["--include 'old' matches no file", "--exclude '*maks*' matches no file"],
        ),
        ([], ["*.svs"], ".txt 1", []),
    ],
)
def test_patterns_that_leave_no_slide_are_what_is_to_mend(
    tmp_path: Path, include: list[str], exclude: list[str], leaves: str, idle: list[str]
) -> None:
    touched(tmp_path, "a.svs", "old/b.svs", "c.txt")
    with pytest.raises(InputError, match=f"they leave: {leaves}; they leave out: .*svs 2") as caught:
        find_below(tmp_path, include, exclude)
    assert list(caught.value.offending) == idle
    assert caught.value.remedy.startswith("mend the patterns")


def test_a_pattern_that_matches_nothing_is_said(tmp_path: Path, real_slide: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a_mask.svs").write_bytes(real_slide.read_bytes())
    made = init(RunDir(tmp_path / "run"), preset("hypoxia"), tmp_path / "data", include=["*.svs"], exclude=["*maks*"])
    assert "patterns that no file of the folder matches: --exclude '*maks*'" in made.notes()


def test_patterns_choose_files(tmp_path: Path) -> None:
    touched(tmp_path, "a.svs", "a_mask.tif", "old/b.svs", "c.ndpi")
    assert ids_below(tmp_path, exclude=["*mask*"]) == ["a", "b", "c"]
    assert ids_below(tmp_path, include=["*.SVS"]) == ["a", "b"]
    assert ids_below(tmp_path, include=["*.svs", "*.tif"], exclude=["old/*", "*_mask.*"]) == ["a"]
    assert find_below(tmp_path, exclude=["*mask*"]).left_out == 1


@pytest.mark.parametrize(
    ("path", "include", "exclude", "selected"),
    [
        ("a/b.svs", [], [], True),
        ("a/b.svs", ["b.*"], [], True),
        ("a/b.svs", ["a/*"], [], True),
        ("a/b.svs", ["a"], [], False),
        ("a/b.svs", ["*.svs"], ["*.svs"], False),
        ("a/[1].svs", ["*[[]1].svs"], [], True),
    ],
)
def test_a_pattern_is_of_a_name_or_a_path(path: str, include: list[str], exclude: list[str], selected: bool) -> None:
    assert is_selected(PurePath(path), include, exclude) == selected


@pytest.mark.parametrize("suffix", [".dcm", ""])
def test_a_series_is_one_slide_of_its_patient(tmp_path: Path, suffix: str) -> None:
    flat = [write_series(tmp_path, seed, patient=f"P{seed}", suffix=suffix) for seed in range(3)]
    alone = write_series(tmp_path / "case 7", 7, patient="P7", suffix=suffix)
    found = find_below(tmp_path)
    assert {each.path: each.patient_id for each in found.candidates} == {
        **{min(files[:2]): f"P{seed}" for seed, files in enumerate(flat)},
        min(alone[:2]): "P7",
    }
    by_path = {each.path: each for each in found.candidates}
    ids = dict(zip(by_path, derived_ids(found.candidates, found.root), strict=True))
    assert ids[min(alone[:2])] == "case-7"
    assert ids[min(flat[0][:2])] == min(flat[0][:2]).name.removesuffix(".dcm")
    for files in (*flat, alone):
        assert by_path[min(files[:2])].nbytes == sum(file.stat().st_size for file in files[:2])
    assert found.skipped == {}


def test_dicom_that_is_no_slide_is_counted(tmp_path: Path) -> None:
    touched(tmp_path, "a.svs", "broken.dcm")
    write_instance(
        tmp_path / "mr.dcm", image_of(1, 64, 64), series=generate_uid(), sop_class="1.2.840.10008.5.1.4.1.1.4"
    )
    whole = write_instance(tmp_path / "whole.dcm", image_of(1, 64, 64), series=generate_uid()).read_bytes()
    (tmp_path / "whole.dcm").rename(tmp_path / "cut.1")
    (tmp_path / "cut.1").write_bytes(whole[:420])
    write_instance(tmp_path / "label.dcm", image_of(1, 64, 64), series=generate_uid(), kind="LABEL")
    found = find_below(tmp_path)
    assert [each.path.name for each in found.candidates] == ["a.svs", "cut.1"]
    assert found.skipped == {
        "DICOM of another kind": 1,
        "DICOM without a VOLUME image": 1,
        "no DICOM under a name that ends in .dcm": 1,
    }


def test_parts_of_a_slide_of_many_files_are_not_skipped_files(tmp_path: Path) -> None:
    mirax(tmp_path)
    (tmp_path / "a" / "extra.tif").write_bytes(b"1")
    (tmp_path / "h").mkdir()
    hamamatsu(tmp_path / "h", ".vms")
    touched(tmp_path, "h/other.jpg")
    found = find_below(tmp_path)
    assert sorted(each.path.name for each in found.candidates) == ["a.mrxs", "a.vms"]
    assert found.skipped == {".jpg": 1}


def test_a_manifest_names_any_file_of_a_series_or_its_folder(tmp_path: Path) -> None:
    files = write_series(tmp_path / "S 1", 1, patient="P1", suffix="")
    touched(tmp_path, "b.svs")
    for named in (*files, tmp_path / "S 1"):
        (slide,) = series_of_manifest([Candidate(named, nbytes_of(named))])
        assert (slide.path, slide.patient_id) == (min(files[:2]), "P1")
        assert derived_ids([slide], None) == ["S-1" if named.is_dir() else named.name]
    given = Candidate(files[1], 1, slide_id="mine", patient_id="Q")
    (slide,) = series_of_manifest([given])
    assert (slide.path, slide.patient_id, slide.slide_id) == (min(files[:2]), "Q", "mine")
    others = [Candidate(tmp_path / "b.svs", 5), Candidate(tmp_path / "gone.dcm", None)]
    assert series_of_manifest(others) == others


@pytest.mark.parametrize("suffix", ["", ".dcm"])
@pytest.mark.parametrize("folder", ["1.2/{}", "flat"])
def test_a_manifest_of_all_files_gives_the_ids_that_their_folder_gives(
    tmp_path: Path, folder: str, suffix: str
) -> None:
    """Folders of UIDs too; no name is said to be another slide's."""
    files = [write_series(tmp_path / "data" / folder.format(seed), seed, suffix=suffix)[:2] for seed in (1, 2)]
    init(RunDir(tmp_path / "run"), preset("hypoxia"), tmp_path / "data")
    (tmp_path / "m.csv").write_text("path\n" + "".join(f"{file}\n" for two in files for file in two[::-1]))
    made = init(RunDir(tmp_path / "other"), preset("hypoxia"), tmp_path / "m.csv")
    assert (tmp_path / "other" / "slides.csv").read_text() == (tmp_path / "run" / "slides.csv").read_text()
    assert made.joined.slides.lengthened == ()


@pytest.mark.parametrize("patient", ["ANONYMOUS", "0"])
@pytest.mark.parametrize("source", ["data", "m.csv"])
def test_a_placeholder_in_headers_makes_no_patient_of_several_slides(tmp_path: Path, patient: str, source: str) -> None:
    """A name of the series, its folder's, that the patients table or a barcode has stands for it; else its own id."""
    for seed, folder in enumerate(("TCGA-E7-A6MF-01Z-00-DX1", "Case 2", "c3")):
        write_series(tmp_path / "data" / folder, seed, patient=patient)
    series = generate_uid()
    for name, said in (("1.dcm", patient), ("2.dcm", "P")):
        write_instance(tmp_path / "data" / "c4" / name, image_of(9, 64, 64), series=series, patient=said)
    files = sorted((tmp_path / "data").rglob("*.dcm"))
    (tmp_path / "m.csv").write_text("path\n" + "".join(f"{file}\n" for file in files))
    (tmp_path / "p.csv").write_text("patient_id,label\nCase 2,1\n")
    made = init(RunDir(tmp_path / "run"), preset("hypoxia"), tmp_path / source, patients=tmp_path / "p.csv")
    slides = made.joined.slides
    assert dict(slides.slides[["slide_id", "patient_id"]].to_numpy().tolist()) == {
        "TCGA-E7-A6MF-01Z-00-DX1": "TCGA-E7-A6MF",
        "Case-2": "Case 2",
        "c3": "c3",
        "c4": "P",
    }
    named = ("Case-2", "TCGA-E7-A6MF-01Z-00-DX1", "c3")
    assert slides.anonymous == tuple(f"{slide_id}: {patient}" for slide_id in named)
    assert any("placeholder" in note and f"c3: {patient}" in note for note in made.notes())


def test_zeros_among_numbers_are_a_patient(tmp_path: Path) -> None:
    for seed, patient in enumerate(("0", "0", "1")):
        write_series(tmp_path / f"s{seed}", seed, patient=patient)
    assert [each.patient_id for each in find_below(tmp_path).candidates] == ["0", "0", "1"]


def test_a_series_whose_headers_name_two_patients_is_refused(tmp_path: Path) -> None:
    """A manifest may say whose it is."""
    series = generate_uid()
    for name, patient in (("1.dcm", "P"), ("2.dcm", "Q"), ("3.dcm", "")):
        write_instance(tmp_path / name, image_of(1, 64, 64), series=series, patient=patient)
    with pytest.raises(InputError, match="headers of its files name several patients") as caught:
        series_of_manifest([Candidate(tmp_path / "3.dcm", 1)])
    assert caught.value.offending == (f"{tmp_path}, series {series}: P (1.dcm) and Q (2.dcm)",)
    (slide,) = series_of_manifest([Candidate(tmp_path / "3.dcm", 1, patient_id="R")])
    assert slide.patient_id == "R"


def test_a_series_of_two_patients_ends_no_search(tmp_path: Path) -> None:
    """It is set aside with its reason; a copy of it that names one patient is taken."""
    series = generate_uid()
    for name, patient in (("a/1.dcm", "P"), ("a/2.dcm", "Q"), ("b/1.dcm", "P")):
        write_instance(tmp_path / "data" / name, image_of(1, 64, 64), series=series, patient=patient)
    found = find_below(tmp_path / "data")
    assert [(each.left_out, each.patient_id) for each in found.candidates] == [(OF_SEVERAL_PATIENTS, ""), ("", "P")]
    made = init(RunDir(tmp_path / "run"), preset("hypoxia"), tmp_path / "data")
    (aside,) = made.flow.steps[1].left_out
    assert (aside.reason, aside.names) == (OF_SEVERAL_PATIENTS, (str(tmp_path / "data" / "a" / "1.dcm"),))
    assert any(OF_SEVERAL_PATIENTS in note for note in made.notes())


def test_a_folder_of_a_manifest_holds_one_series(tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    for seed in (1, 2):
        write_series(tmp_path / "two", seed)
    with pytest.raises(InputError, match="one DICOM series") as caught:
        series_of_manifest([Candidate(tmp_path / "none", 1), Candidate(tmp_path / "two", 1)])
    assert [line.rpartition("/")[2] for line in caught.value.offending] == ["none: 0 series", "two: 2 series"]


def test_init_of_a_mixed_folder(tmp_path: Path, real_slide: Path) -> None:
    """Six series in a flat folder are six slides of their patients, also where a manifest names each of their files."""
    for seed in range(6):
        write_series(tmp_path / "data", seed, patient=f"P{seed // 2}")
    for case in ("case1", "case2"):
        touched(tmp_path / "data", f"{case}/HE.svs")
        (tmp_path / "data" / case / "HE.svs").write_bytes(real_slide.read_bytes())
    made = init(RunDir(tmp_path / "run"), preset("hypoxia"), tmp_path / "data", exclude=["*label*"])
    table = pd.read_csv(tmp_path / "run" / "slides.csv")
    assert len(table) == 8
    assert set(table["patient_id"]) == {"P0", "P1", "P2", "case1-HE", "case2-HE"}
    assert made.joined.found.left_out == 0
    rows = "\n".join(str(file) for file in sorted((tmp_path / "data").glob("*.dcm")))
    (tmp_path / "manifest.csv").write_text(f"path\n{rows}\n")
    made = init(RunDir(tmp_path / "other"), preset("hypoxia"), tmp_path / "manifest.csv")
    again = pd.read_csv(tmp_path / "other" / "slides.csv")
    assert again.equals(table[table["patient_id"].str.startswith("P")].reset_index(drop=True))
    assert made.joined.slides.merged == tuple(again["slide_id"])
    assert made.joined.flow.steps[0].slides == 6


def test_patterns_are_for_folders(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("path\na.svs\n")
    with pytest.raises(InputError, match="--include and --exclude"):
        init(RunDir(tmp_path / "run"), preset("hypoxia"), tmp_path / "m.csv", include=["*.svs"])


def test_pipes_among_slides_do_not_stop_the_search(tmp_path: Path) -> None:
    """Opening one would wait for ever: they are passed over, and said."""
    for name in ("a.svs", "no_suffix", "b.dcm", "1.2.840", "d.vms", "e.mrxs"):
        os.mkfifo(tmp_path / name)
    (tmp_path / "null.tif").symlink_to("/dev/null")
    (tmp_path / "gone.tif").symlink_to(tmp_path / "nowhere")
    (tmp_path / "c.svs").write_bytes(b"slide")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(tmp_path / "f.tif"))
        found = find_below(tmp_path)
    assert [one.path.name for one in found.candidates] == ["c.svs", "gone.tif"]
    named = {kind: n for kind, n in found.skipped.items() if "under the name of a slide" in kind}
    assert named == {
        "a named pipe under the name of a slide": 3,
        "a socket under the name of a slide": 1,
        "a device under the name of a slide": 1,
    }
    with pytest.raises(SlideError, match="no plain file"), opened_slide(tmp_path / "a.svs"):
        pass
