"""Each MD5 that a manifest gives of a slide's files is held against them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pandas as pd
from slides.dicom_series import write_series

from hypoxia_hpc.config import preset
from hypoxia_hpc.monitoring.doctor import examine_run
from hypoxia_hpc.monitoring.sums import Compared, compared_md5
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.stages.init import init


def md5_of(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def test_a_plain_file_has_one(tmp_path: Path) -> None:
    file = tmp_path / "a.svs"
    file.write_bytes(b"slide")
    assert compared_md5(file, {md5_of(file)}) == Compared()
    wrong = compared_md5(file, {"0" * 32})
    assert (wrong.problem, wrong.remedy) == (f"MD5 {md5_of(file)}, slides.csv has {'0' * 32}", "download it again")
    assert compared_md5(tmp_path / "gone.svs", {"0" * 32}).problem.endswith("cannot be read: No such file or directory")


def test_damage_in_any_instance_that_a_manifest_names_is_found(tmp_path: Path) -> None:
    files = write_series(tmp_path / "data", 1, patient="P")
    rows = [f"data/{file.name},{md5_of(file)}" for file in files]
    (tmp_path / "manifest.csv").write_text("\n".join(["path,md5", *rows]) + "\n")
    run = RunDir(tmp_path / "run")
    init(run, preset("hypoxia"), tmp_path / "manifest.csv")
    assert sorted(pd.read_csv(run.slides_file)["md5"][0].split()) == sorted(map(md5_of, files))
    run.slides()
    damaged = sorted(files)[1]
    before, data = md5_of(damaged), bytearray(damaged.read_bytes())
    sound = next(one for one in examine_run(run, md5=True) if one.name == "md5")
    assert (sound.verdict, sound.detail) == ("ok", "1 of 1 slide with the MD5 that slides.csv has")
    data[-9] ^= 1
    damaged.write_bytes(data)
    bad, total = (one for one in examine_run(run, md5=True) if one.name.startswith("md5"))
    assert (bad.verdict, total.detail.split(";")[0]) == ("bad", "0 of 1 slide with the MD5 that slides.csv has")
    assert bad.detail == (
        f"no file of the slide has the MD5 {before}, which slides.csv has; files with another MD5: {damaged.name}"
    )


def test_files_whose_md5_is_not_known_are_counted(tmp_path: Path) -> None:
    files = sorted(write_series(tmp_path, 1))
    assert compared_md5(files[0], {md5_of(files[1])}) == Compared(n_unsaid=len(files) - 1)


def test_files_that_may_be_sound_are_not_called_damaged(tmp_path: Path) -> None:
    """Of a series of four whose manifest names two."""
    files = sorted(write_series(tmp_path, 1))
    found = compared_md5(files[0], {md5_of(files[1]), "0" * 32})
    names = ", ".join(file.name for file in files if file != files[1])
    assert f"it is of one of these 3, and slides.csv does not have the MD5 of each: {names}" in found.problem
    assert found.remedy == "download the files again that the manifest names"
