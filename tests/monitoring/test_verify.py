"""verify of what phenotypes and survival have made: every file and the receipt, by name."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hypoxia_hpc.models.phenotypes import composition_digest
from hypoxia_hpc.monitoring.verify import verify
from hypoxia_hpc.records import Receipt
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.runs.prognosis import content_of
from hypoxia_hpc.runs.receipts import COHORT, write_receipt
from hypoxia_hpc.stores.commit import committing_directory

FILES = {
    "phenotypes": ("patients.csv", "slides.csv", "tiles.parquet", "sample.csv", "phenotypes.json", "typical/0000.jpg"),
    "survival": ("hazards.csv", "curves.csv", "patients.csv", "survival.json"),
}


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    """Both folders as their stages leave them, of little content."""
    run = RunDir(tmp_path)
    for stage, names in FILES.items():
        with committing_directory(run.root / stage, lambda _: False) as folder:
            (folder / "typical").mkdir()
            for name in names:
                (folder / name).write_text(f"{name}\n")
            if stage == "survival":
                record = {"schema": 1, "key": "k", "content": ""}
                (folder / "survival.json").write_text(json.dumps({**record, "content": content_of(record)}))
            else:
                facts = {"key": "k", "tables": composition_digest(folder)}
                (folder / "phenotypes.json").write_text(json.dumps(facts))
        write_receipt(run.receipts(stage), Receipt(COHORT, "done", "k", of="cohort"))
    return run


def problems(run: RunDir) -> dict[str, str]:
    return {one.path: "; ".join(one.problems) for one in verify(run) if one.problems}


def test_what_the_stages_left_is_sound(run: RunDir) -> None:
    assert [one.path for one in verify(run)] == ["phenotypes", "survival"]
    assert problems(run) == {}


@pytest.mark.parametrize(("stage", "name"), [(stage, name) for stage, names in FILES.items() for name in names])
def test_a_byte_or_a_file_is_missed(run: RunDir, stage: str, name: str) -> None:
    file = run.root / stage / name
    data = file.read_bytes()
    file.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert f"{name} is not as it was written" in problems(run).pop(stage)
    file.unlink()
    assert list(problems(run)) == [stage] and f"{name} is missing" in problems(run)[stage]


@pytest.mark.parametrize("stage", FILES)
def test_a_receipt_that_is_gone_damaged_or_of_another_result(run: RunDir, stage: str) -> None:
    file = run.receipts(stage) / f"{COHORT}.json"
    write_receipt(run.receipts(stage), Receipt(COHORT, "done", "another", of="cohort"))
    assert problems(run) == {stage: f"receipts/{stage}/cohort.json is of another result: its key is another one"}
    for text in ("{", None):
        file.unlink() if text is None else file.write_text(text)
        assert problems(run) == {stage: f"receipts/{stage}/cohort.json is missing or damaged"}


def test_frozen_clusters_of_outside_slides_have_the_receipt_of_predict(run: RunDir) -> None:
    with committing_directory(run.phenotypes, lambda _: False) as folder:
        (folder / "patients.csv").write_text("patient_id\n")
    assert problems(run) == {"phenotypes": "receipts/predict/cohort.json is missing or damaged"}
    write_receipt(run.receipts("predict"), Receipt(COHORT, "done", "k", of="cohort"))
    assert problems(run) == {}


@pytest.mark.parametrize("name", ["tiles", "features", "features/x", "models", "phenotypes", "phenotypes/typical"])
def test_a_folder_that_may_not_be_listed_is_not_passed_over(
    run: RunDir, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Its stores would be missing from what is called sound."""
    (run.root / name).mkdir(parents=True, exist_ok=True)
    for function in ("listdir", "scandir"):
        monkeypatch.setattr(os, function, refusing(getattr(os, function), run.root / name))
    with pytest.raises(PermissionError):
        list(verify(run))


def refusing(function: Callable[[Any], Any], folder: Path) -> Callable[[Any], Any]:
    def refuse(path: Any) -> Any:
        if Path(path) == folder:
            raise PermissionError(errno.EACCES, "no", str(path))
        return function(path)

    return refuse
