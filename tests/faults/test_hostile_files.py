"""Every file of a run that somebody else may have written, in every form that it should not have, for every verb that
reads it: an exit code and a message with the file's name, never a bug, a wait or a full memory."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from fault_runs import copy_parts

Hypoxia = Callable[..., subprocess.CompletedProcess[str]]
ONE = "TCGA-ZZ-0003-01Z-00-DX1"
PARTS = ("tiles", "features", "models", "predictions", "receipts", "report")
TABLES = ("run.toml", "slides.csv", "patients.csv", "split.csv", "split.json", "metrics.json", "reference.npy")
FILES = (
    *TABLES,
    f"receipts/tile/{ONE}.json",
    f"receipts/extract/small/{ONE}.json",
    "receipts/train/tanh.json",
    "receipts/evaluate/cohort.json",
    "receipts/init/cohort.json",
    "models/tanh/model.json",
    "models/attention/weights.safetensors",
    f"tiles/{ONE}.zarr/zarr.json",
    f"features/small/{ONE}.zarr/zarr.json",
    "predictions/patients.csv",
    "predictions/training.csv",
    "predictions/tiles.parquet",
)
GIANT_BYTES = 2**45  # sparse: more than any kind of file may have
SAID_BY_BUG = "This is a bug"


def pipe(path: Path) -> None:
    os.mkfifo(path)


def endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def ring(path: Path) -> None:
    path.symlink_to(path.name)


def giant(path: Path) -> None:
    with path.open("wb") as file:
        try:
            file.truncate(GIANT_BYTES)
        except OSError:  # a file system that has no file as large
            file.truncate(2**43)


def folder(path: Path) -> None:
    path.mkdir()


def holding(content: bytes) -> Callable[[Path], None]:
    return lambda path: [path.write_bytes(content)].clear()


FORMS: dict[str, Callable[[Path], None]] = {
    "pipe": pipe,
    "endless": endless,
    "ring": ring,
    "giant": giant,
    "folder": folder,
    "empty": holding(b""),
    "noise": holding(bytes(range(256)) * 64),
    "deep": holding(b"[" * 100_000),
    "deep object": holding(b'{"a":' * 100_000),
    "long integer": holding(b'{"schema": ' + b"9" * 10_000 + b', "key": 1}'),
    "no numbers": holding(b'{"schema": NaN, "rows": Infinity, "seconds": -1e400, "counts": {"a": NaN}}'),
    "other types": holding(b'{"schema": [], "status": {}, "key": 7, "models": "many", "counts": null}'),
    "long key": holding(b"a." * 50_000 + b"a = 1\n"),
    "long line": holding(b"slide_id,patient_id,path\n" + b"a" * 10**7),
    "many columns": holding(b",".join(b"c%d" % n for n in range(100_000)) + b"\n"),
    "not text": holding(b"\xff\xfe\x00\xd8slide_id,patient_id"),
}
VERBS = ("status", "verify", "evaluate", "report")
# By default each file in one form for one verb, so that each form and verb is there.
SOME = {(file, [*FORMS][number % len(FORMS)], VERBS[number % len(VERBS)]) for number, file in enumerate(FILES)}
CASES = [
    pytest.param(
        *(file, form, verb), id=f"{file}-{form}-{verb}", marks=() if (file, form, verb) in SOME else pytest.mark.long
    )
    for file in FILES
    for form in FORMS
    for verb in VERBS
]


def test_every_form_and_verb_is_there_by_default() -> None:
    assert {form for _, form, _ in SOME} == {*FORMS}
    assert {verb for _, _, verb in SOME} == {*VERBS}


@pytest.mark.parametrize(("file", "form", "verb"), CASES)
def test_it_ends_with_a_code_and_the_name(
    whole: Path, tmp_path: Path, hypoxia: Hypoxia, file: str, form: str, verb: str
) -> None:
    run = tmp_path / "run"
    copy_parts(whole, run, [*TABLES, *PARTS])
    target = run / file
    assert target.exists(), "a run has no such file any more"
    if target.is_dir():
        shutil.rmtree(target)
    else:
        target.unlink()
    FORMS[form](target)
    done = hypoxia(verb, run)
    said = done.stdout + done.stderr
    assert done.returncode in (0, 2, 3, 4, 5), said
    assert SAID_BY_BUG not in said and "Traceback" not in said
    if done.returncode in (2, 5):
        assert Path(file).name in said or ONE in said or Path(file).parent.name in said, said
