"""The files of a slide of many files are those that its index names."""

from __future__ import annotations

from pathlib import Path

import pytest

from hypoxia_hpc.errors import SlideError
from hypoxia_hpc.slides.companions import companions
from hypoxia_hpc.slides.fingerprint import fingerprint

SLIDEDAT = """\ufeff[GENERAL]
SLIDE_VERSION = 01.03
SLIDE_NAME = 100% a: b
[HIERARCHICAL]
INDEXFILE = Index.dat
HIER_COUNT = 2
[DATAFILE]
FILE_COUNT = 2
FILE_0 = Data0000.dat
FILE_1 = Data0001.dat
"""
VMS = """[Virtual Microscope Specimen]
NoLayers=1
ImageFile=a.jpg
ImageFile(1,0)=a(1,0).jpg
MapFile=a_map2.jpg
OptimisationFile=a.opt
AuthCode=a.secret
MacroImage=a_macro.jpg
"""
VMU = "[Uncompressed Virtual Microscope Specimen]\nImageFile=a.vmu.ngr\nMapFile=a_map.ngr\nMacroImage=a_macro.jpg\n"


def mirax(folder: Path) -> Path:
    (folder / "a").mkdir()
    (folder / "a" / "Slidedat.ini").write_text(SLIDEDAT, encoding="utf-8")
    for name in ("Index.dat", "Data0000.dat", "Data0001.dat"):
        (folder / "a" / name).write_bytes(name.encode())
    (folder / "a.mrxs").write_bytes(b"jpeg")
    return folder / "a.mrxs"


def hamamatsu(folder: Path, suffix: str) -> Path:
    text, names = {
        ".vms": (VMS, ("a.jpg", "a(1,0).jpg", "a_map2.jpg", "a.opt", "a_macro.jpg")),
        ".vmu": (VMU, ("a.vmu.ngr", "a_map.ngr", "a_macro.jpg")),
    }[suffix]
    for name in names:
        (folder / name).write_bytes(name.encode())
    (folder / f"a{suffix}").write_text(text)
    return folder / f"a{suffix}"


def test_a_mirax_slide_is_what_its_index_names(tmp_path: Path) -> None:
    path = mirax(tmp_path)
    names = ["Data0000.dat", "Data0001.dat", "Index.dat", "Slidedat.ini"]
    assert companions(path) == [tmp_path / "a" / name for name in names]


@pytest.mark.parametrize(
    ("suffix", "names"),
    [
        (".vms", ["a(1,0).jpg", "a.jpg", "a.opt", "a.vms", "a_macro.jpg", "a_map2.jpg"]),
        (".vmu", ["a.vmu", "a.vmu.ngr", "a_macro.jpg", "a_map.ngr"]),
    ],
)
def test_a_hamamatsu_slide_is_what_its_file_names(tmp_path: Path, suffix: str, names: list[str]) -> None:
    assert companions(hamamatsu(tmp_path, suffix)) == [tmp_path / name for name in names]


@pytest.mark.parametrize("kind", [".mrxs", ".vms", ".vmu"])
def test_neighbours_change_nothing_and_named_files_do(tmp_path: Path, kind: str) -> None:
    path = mirax(tmp_path) if kind == ".mrxs" else hamamatsu(tmp_path, kind)
    before = fingerprint(path)
    for neighbour in (".DS_Store", "a.txt", "a_note.jpg", "a2.mrxs", "a/Thumbs.db"):
        if (tmp_path / neighbour).parent.is_dir():
            (tmp_path / neighbour).write_bytes(b"1")
    assert fingerprint(path) == before
    for file in companions(path):
        data = file.read_bytes()
        file.write_bytes(data + b"\n")
        assert fingerprint(path) != before, file
        file.write_bytes(data)
    assert fingerprint(path) == before


@pytest.mark.parametrize("kind", [".mrxs", ".vms", ".vmu"])
def test_a_named_file_that_is_missing_is_said(tmp_path: Path, kind: str) -> None:
    path = mirax(tmp_path) if kind == ".mrxs" else hamamatsu(tmp_path, kind)
    for file in companions(path):
        if file in (path, tmp_path / "a.opt"):  # optimisation only saves time
            continue
        data = file.read_bytes()
        file.unlink()
        with pytest.raises(SlideError, match=r"needs files that do not exist") as caught:
            fingerprint(path)
        assert (caught.value.reason, file.name in caught.value.problem) == ("missing-file", True)
        file.write_bytes(data)
    assert fingerprint(path)


def test_hamamatsu_goes_without_its_optimisation(tmp_path: Path) -> None:
    path = hamamatsu(tmp_path, ".vms")
    (tmp_path / "a.opt").unlink()
    assert tmp_path / "a.opt" not in companions(path)


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "b\\c", "..", ""])
def test_an_index_leads_nowhere_else(tmp_path: Path, name: str) -> None:
    path = mirax(tmp_path)
    (tmp_path / "a" / "Slidedat.ini").write_text(SLIDEDAT.replace("Data0001.dat", name), encoding="utf-8")
    with pytest.raises(SlideError, match="no plain name") as caught:
        fingerprint(path)
    assert caught.value.reason == "not-a-slide"


@pytest.mark.parametrize("text", ["no ini", "= x", "[DATAFILE\nFILE_0=a", "\0\0\0"])
def test_an_index_that_is_none_is_a_slide_error(tmp_path: Path, text: str) -> None:
    path = mirax(tmp_path)
    (tmp_path / "a" / "Slidedat.ini").write_text(text)
    with pytest.raises(SlideError) as caught:
        fingerprint(path)
    assert (caught.value.reason, bool(caught.value.remedy)) == ("not-a-slide", True)


def test_a_slide_of_one_file_has_none(tmp_path: Path) -> None:
    for name in ("a.svs", "a.tiff", "a.ndpi", "a.dcm", "a"):
        (tmp_path / name).write_bytes(b"slide")
        assert companions(tmp_path / name) == []
