"""Damaged files and bombs as one run: each ends in a tile store or with a reason; no crash, no hang, bounded memory."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import openslide
import pytest
import zarr
from bombs import bombs, cut_off_jpegs, jpeg2000_over_reads, jpeg_of_scans
from damage import damaged_files
from measured import command_line
from PIL import Image

from hypoxia_hpc.slides.judging import judge

EXIT_QUARANTINED = 3
MOST_SECONDS_A_SLIDE = 15.0  # the slowest takes 1.5 s on two busy cores
MOST_MIB = 600
TILE_PX = 64
# What no file may lead to: a fault of ours, and a fault of a library that takes the process with it.
FAULTS = {"internal-error", "worker-died"}
REASONS = {
    "absurd-mpp",
    "absurd-size",
    "anisotropic-mpp",
    "coarser-than-target",
    "inconsistent-header",
    "native-tile-too-large",
    "no-mpp",
    "no-tissue",
    "not-a-slide",
    "not-rgb",
    "not-supported",
    "several-images",
    "unreadable",
    "unsafe-to-open",
}
# Reasons that not every choice of damage leads to.
RARE = frozenset({"coarser-than-target", "several-images", "not-rgb", "not-supported", "unsafe-to-open"})


@dataclass(frozen=True)
class Tiled:
    """A tiled run: its folder, the receipts, the slides' files, and the memory of its largest process."""

    run: Path
    receipts: dict[str, dict[str, Any]]
    files: dict[str, Path]
    most_mib: float


def tile_all(files: Iterator[tuple[str, bytes]], folder: Path) -> Tiled:
    """Write the files, make a run of them, and tile it with two workers."""
    (folder / "slides").mkdir()
    for number, (name, data) in enumerate(files):
        (folder / "slides" / f"{number:04}-{name}").write_bytes(data)
    run = folder / "run"
    command_line("init", run, "--slides", folder / "slides", code=0)
    config = (run / "run.toml").read_text()
    (run / "run.toml").write_text(config.replace("tile_px = 299", f"tile_px = {TILE_PX}"))
    most_mib = command_line("tile", run, "--workers", "2", code=EXIT_QUARANTINED)
    with (run / "slides.csv").open(newline="") as file:
        paths = {row["slide_id"]: Path(row["path"]) for row in csv.DictReader(file)}
    receipts = {path.stem: json.loads(path.read_bytes()) for path in (run / "receipts" / "tile").glob("*.json")}
    return Tiled(run, receipts, paths, most_mib)


@pytest.fixture(scope="module")
def tiled(tmp_path_factory: pytest.TempPathFactory) -> Tiled:
    """Every second damaged file, which leaves some of every kind and base, and all bombs: some 800."""
    files = [*list(damaged_files(seed=0))[::2], *bombs()]
    return tile_all(iter(files), tmp_path_factory.mktemp("damaged"))


def check(tiled: Tiled) -> None:
    """What holds for any file."""
    assert tiled.receipts.keys() == tiled.files.keys()
    outcomes = {slide_id: str(receipt["reason"]) for slide_id, receipt in tiled.receipts.items()}
    assert {slide_id: reason for slide_id, reason in outcomes.items() if reason in FAULTS} == {}
    assert set(outcomes.values()) <= REASONS | {""}
    seconds = {slide_id: float(str(receipt["seconds"])) for slide_id, receipt in tiled.receipts.items()}
    assert {slide_id: took for slide_id, took in seconds.items() if took > MOST_SECONDS_A_SLIDE} == {}
    assert tiled.most_mib < MOST_MIB
    stores = {path.stem for path in (tiled.run / "tiles").glob("*.zarr")}
    assert stores == {slide_id for slide_id, reason in outcomes.items() if reason == ""}
    assert not list((tiled.run / "tiles").glob(".tmp-*")), "something was left behind"


def test_every_file_ends_in_a_store_or_with_a_reason(tiled: Tiled) -> None:
    assert len(tiled.files) >= 500
    check(tiled)


def test_the_corpus_reaches_every_end(tiled: Tiled) -> None:
    """Were all files damaged beyond opening, the readers would not be tested."""
    reasons = Counter(str(receipt["reason"]) for receipt in tiled.receipts.values())
    assert REASONS - RARE | {""} <= reasons.keys() <= REASONS | {""}
    assert min(reasons[""], reasons["unreadable"], reasons["not-a-slide"]) >= 100
    readers = Counter(receipt["extra"]["reader"] for receipt in tiled.receipts.values() if receipt["status"] == "done")
    assert set(readers) >= {"openslide", *(f"native-{name}" for name in "jpeg jpeg2000 lzw deflate zstd none".split())}  # noqa: SIM905


def test_a_quarantine_says_what_and_what_to_do(tiled: Tiled) -> None:
    for slide_id, receipt in tiled.receipts.items():
        if receipt["status"] == "quarantined":
            assert "remedy: " in str(receipt["detail"]), slide_id
            assert len(str(receipt["detail"])) < 2000, slide_id


def test_what_was_kept_is_what_openslide_shows(tiled: Tiled) -> None:
    """Damage that no reader notices is the same damage for every reader."""
    compared = 0
    for slide_id, receipt in tiled.receipts.items():
        if receipt["status"] != "done":
            continue
        store = zarr.open_group(tiled.run / "tiles" / f"{slide_id}.zarr", mode="r")
        plan = store.attrs["plan"]
        if plan["side_level"] != TILE_PX or plan["interpolated"] or judge(tiled.files[slide_id]).layout is not None:
            continue  # what OpenSlide does not read, or reads wrong, is compared with what was written: test_plain.py
        with openslide.OpenSlide(tiled.files[slide_id]) as slide:
            for xy, pixels in zip(store["xy"][:].tolist(), store["pixels"][:], strict=True):
                rgba = slide.read_region(tuple(xy), plan["level"], (TILE_PX, TILE_PX))
                shown = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
                np.testing.assert_array_equal(pixels, np.asarray(shown), err_msg=f"{slide_id} at {xy}")
                compared += 1
    assert compared >= 500


def test_a_jpeg_of_many_scans_takes_no_longer_than_others(tmp_path: Path) -> None:
    """It is refused or read, but the file's size bounds the work."""
    tiled = tile_all(iter([("scans.tiff", jpeg_of_scans(2_000))]), tmp_path)
    assert [float(str(receipt["seconds"])) < 3 for receipt in tiled.receipts.values()] == [True]


def test_jpegs_cut_off_early_are_unreadable(tmp_path: Path) -> None:
    tiled = tile_all(cut_off_jpegs(), tmp_path)
    assert {str(receipt["reason"]) for receipt in tiled.receipts.values()} <= {"unreadable", ""}


def test_openslide_is_not_given_what_makes_it_read_beyond_its_buffers(tmp_path: Path) -> None:
    tiled = tile_all(jpeg2000_over_reads(), tmp_path)
    assert {str(receipt["reason"]) for receipt in tiled.receipts.values()} == {"unreadable"}


@pytest.mark.long
@pytest.mark.parametrize("seed", range(1, 6))
def test_other_seeds(seed: int, tmp_path: Path) -> None:
    check(tile_all(damaged_files(seed), tmp_path))
