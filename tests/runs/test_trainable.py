"""What train would refuse is known from tables and files, before anything is tiled."""

from __future__ import annotations

from pathlib import Path

import pytest

from hypoxia_hpc.config import preset, render_config
from hypoxia_hpc.errors import InputError
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.runs.trainable import refuse_untrainable, why_untrainable

N = 16


def new_run(folder: Path, *, labels: dict[int, str] | None = None, content: dict[int, bytes] | None = None) -> RunDir:
    """Sixteen patients with a slide each, the first half of one class; with other labels (an empty one is none) and
    bytes where they are given."""
    run = RunDir(folder)
    run.root.mkdir(exist_ok=True)
    run.config_file.write_text(render_config(preset("hypoxia")))
    rows = ["slide_id,patient_id,path,cost", *(f"s{n},P{n:02},{folder}/{n}.svs,1" for n in range(N))]
    run.slides_file.write_text("\n".join(rows) + "\n")
    known = {n: str(2 * n // N) for n in range(N)} | (labels or {})
    run.patients_file.write_text("\n".join(["patient_id,label", *(f"P{n:02},{known[n]}" for n in range(N))]) + "\n")
    for n in range(N):
        (folder / f"{n}.svs").write_bytes((content or {}).get(n, b"slide %03d" % n))
    return run


def test_a_sound_cohort(tmp_path: Path) -> None:
    assert why_untrainable(new_run(tmp_path)) is None


def test_equal_files_under_two_patients(tmp_path: Path) -> None:
    run = new_run(tmp_path, content={1: b"the same", 7: b"the same", 8: b"not same"})
    with pytest.raises(InputError, match="more than one patient") as caught:
        refuse_untrainable(run)
    assert caught.value.offending == ("P01 (s1) and P07 (s7)",)
    assert why_untrainable(run) is not None


def test_equal_files_of_patients_without_label_are_no_leak(tmp_path: Path) -> None:
    run = new_run(tmp_path, labels={7: ""}, content={1: b"the same", 7: b"the same"})
    assert why_untrainable(run) is None


def test_files_that_are_not_there_are_equal_to_nothing(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    for n in range(N):
        (tmp_path / f"{n}.svs").unlink()
    assert why_untrainable(run) is None


def test_patients_of_one_class(tmp_path: Path) -> None:
    why = why_untrainable(new_run(tmp_path, labels=dict.fromkeys(range(N), "1")))
    assert why is not None
    assert "normoxic" in str(why)


def test_without_labels_nothing_is_to_be_trained(tmp_path: Path) -> None:
    assert why_untrainable(new_run(tmp_path, labels=dict.fromkeys(range(N), ""))) is None


def test_one_patient_under_two_ids(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    for file in (run.slides_file, run.patients_file):
        file.write_text(file.read_text().replace("P01", "p00"))
    why = why_untrainable(run)
    assert why is not None
    assert why.offending == ("'P00', 'p00'",)
