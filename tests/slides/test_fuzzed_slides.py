"""Slides of every kind with changed headers, in one folder with a sound one, through ``init``, ``doctor`` and ``tile``:
no crash, a reason for each that is not tiled, bounded memory, and the sound one is done."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fuzz import WRITERS, sound_slides, write_mutated
from measured import command_line
from mirax import write_mirax

EXIT_QUARANTINED, EXIT_NOT_SOUND = 3, 5
MOST_MIB = 600
TILE_PX = 64
FAULTS = {"internal-error", "worker-died"}
Hypoxia = Callable[..., subprocess.CompletedProcess[str]]


def through_the_verbs(slides: Path, folder: Path, hypoxia: Hypoxia, real_slide: Path) -> dict[str, str]:
    """The reason of each slide's quarantine, "" for one that is tiled, by slide_id."""
    shutil.copy(real_slide, slides / "sound.svs")
    run = folder / "run"
    most_mib = [command_line("init", run, "--slides", slides, code=0)]
    config = (run / "run.toml").read_text()
    (run / "run.toml").write_text(config.replace("tile_px = 299", f"tile_px = {TILE_PX}"))
    doctor = hypoxia("doctor", run, "--json")
    assert doctor.returncode == EXIT_NOT_SOUND, doctor.stderr[-4000:]
    most_mib.append(command_line("tile", run, "--workers", "2", code=EXIT_QUARANTINED))
    with (run / "slides.csv").open(newline="") as file:
        slide_ids = {row["slide_id"] for row in csv.DictReader(file)}
    receipts = {path.stem: json.loads(path.read_bytes()) for path in (run / "receipts" / "tile").glob("*.json")}
    assert receipts.keys() == slide_ids
    assert max(most_mib) < MOST_MIB
    _check_doctor(json.loads(doctor.stdout), receipts)
    return {slide_id: str(receipt["reason"]) for slide_id, receipt in receipts.items()}


def _check_doctor(checks: list[dict[str, str]], receipts: dict[str, dict[str, Any]]) -> None:
    """What doctor finds bad of a header has the reason that tile gives."""
    bad = {one["name"].removeprefix("slide "): one for one in checks if one["name"].startswith("slide ")}
    assert bad.keys() == receipts.keys()
    for slide_id, receipt in receipts.items():
        if receipt["status"] == "quarantined":
            assert str(receipt["reason"]) not in FAULTS, receipt["detail"]
            assert "remedy: " in str(receipt["detail"]), slide_id
        said = bad[slide_id]
        if said["verdict"] == "bad" and said["detail"].split(":")[0] == "unsafe-to-open":
            assert receipt["reason"] == "unsafe-to-open", (said, receipt["detail"])


def test_chosen_headers(tmp_path: Path, hypoxia: Hypoxia, real_slide: Path) -> None:
    """One of each kind as it is, one of each with changes, and one that asks for gigabytes."""
    slides = tmp_path / "slides"
    sound = [folder.name for folder in sound_slides(slides / "whole")]
    write_mutated(slides / "changed", seed=0, number=len(WRITERS))
    huge = {("GENERAL", f"IMAGENUMBER_{axis}"): "20000" for axis in "XY"}
    write_mirax(slides / "huge.mrxs", changes=huge)
    reasons = through_the_verbs(slides, tmp_path, hypoxia, real_slide)
    assert reasons["huge"] == "unsafe-to-open"
    assert len(sound) + len(WRITERS) + 2 == len(reasons)
    whole = {slide_id for slide_id in reasons if slide_id.startswith(("sound", "whole")) or slide_id == "dicom"}
    assert len(whole) == len(sound) + 1
    assert {reasons[slide_id] for slide_id in whole} == {""}


@pytest.mark.long
@pytest.mark.parametrize("seed", range(1, 7))
def test_hundreds_of_headers(tmp_path: Path, hypoxia: Hypoxia, real_slide: Path, seed: int) -> None:
    write_mutated(tmp_path / "slides", seed, 240)
    reasons = through_the_verbs(tmp_path / "slides", tmp_path, hypoxia, real_slide)
    assert reasons["sound"] == ""
    assert len(set(reasons.values())) > 5
