"""init says what it knows of the slides before any work."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest
from slides.dicom_series import write_series

from hypoxia_hpc.cli.text.making import made_text
from hypoxia_hpc.config import preset
from hypoxia_hpc.errors import InputError
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.slides.finding import SERIES_ELSEWHERE
from hypoxia_hpc.stages.init import OTHER_PATIENT, SAME_PATIENT, init
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
    (dropped,) = [line for line in said if line.startswith("dropped")]
    assert dropped.startswith(f"dropped 2 slides, {SERIES_ELSEWHERE}: ")
    assert str(tmp_path / "data" / "a") in dropped
    assert str(tmp_path / "data" / "c") in dropped
    (tmp_path / "manifest.csv").write_text("path,slide_id\ndata/a,one\ndata/c,two\ndata/other,three\n")
    assert any(SERIES_ELSEWHERE in line for line in said_by_init(tmp_path / "again", tmp_path / "manifest.csv"))
    assert sorted(pd.read_csv(tmp_path / "again" / "slides.csv")["slide_id"]) == ["three", "two"]


def test_a_series_under_two_patients_is_refused(tmp_path: Path) -> None:
    files = write_series(tmp_path / "a", 1, patient="P1")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    (tmp_path / "manifest.csv").write_text("path,patient_id\na,P\nb,Q\n")
    with pytest.raises(InputError, match="under two patients") as caught:
        init(RunDir(tmp_path / "run"), preset("hypoxia"), tmp_path / "manifest.csv")
    first = min(files[:2])
    assert caught.value.offending == (f"{first} (P) and {tmp_path / 'b' / first.name} (Q)",)
