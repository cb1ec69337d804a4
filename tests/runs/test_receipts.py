"""Receipts on disk: the names of their entries are promises, and what does not fit does no harm."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hypoxia_hpc.records import (
    Details,
    ExtractWork,
    ModelsUsed,
    NativeTiles,
    Receipt,
    SlideSource,
    ThreadSeconds,
    TileCounts,
    TileWork,
)
from hypoxia_hpc.runs.receipts import Of, read_receipt, receipt_json, receipt_of, write_receipt

ON_DISK = {"slide_id", "status", "key", "reason", "detail", "attempts", "rows", "seconds", "bytes", "host", "finished"}
TILED = {
    "counts": {"planned": 9, "kept": 5, "background": 2, "unreadable": 1, "masked": 1},
    "reader": "native-jpeg",
    "threads": 2,
    "turbojpeg": True,
    "native_tiles": {"read": 3, "of": 4},
}
SECONDS = {"read": 0.5, "decode": 2.0, "kernel": 0.0, "encode": 0.0, "write": 0.0, "wait": 0.0, "other": 0.0}
EXTRACTED = {
    "threads": 4,
    "device": "NVIDIA A100",
    "batch_size": 16,
    "device_seconds": 8.0,
    "waited_seconds": 2.0,
    "queued_seconds": 0.5,
}
CASES: list[tuple[Details | None, dict[str, object], Of]] = [
    (None, {}, "slide"),
    (None, {}, "model"),
    (TileWork(TileCounts(9, 5, 2, 1, 1), "native-jpeg", 2, True, NativeTiles(3, 4)), TILED, "slide"),
    (
        TileWork(
            TileCounts(9, 5, 2, 1, 1), "native-jpeg", 2, True, NativeTiles(3, 4), thread_seconds=ThreadSeconds(0.5, 2.0)
        ),
        TILED | {"thread_seconds": SECONDS},
        "slide",
    ),
    (ExtractWork(4, "NVIDIA A100", 16, 8.0, 2.0, 0.5), EXTRACTED, "slide"),
    (
        ExtractWork(4, "NVIDIA A100", 16, 8.0, 2.0, 0.5, 77, "smaller"),
        EXTRACTED | {"bytes_read": 77, "note": "smaller"},
        "slide",
    ),
    (SlideSource("f" * 64), {"fingerprint": "f" * 64}, "slide"),
    (ModelsUsed("other", {"tanh": "k"}), {"model_run": "other", "models": {"tanh": "k"}}, "cohort"),
]


@pytest.mark.parametrize(("details", "extra", "of"), CASES)
def test_a_receipt_comes_back_as_it_was_written(
    tmp_path: Path, details: Details | None, extra: dict[str, object], of: Of
) -> None:
    receipt = Receipt("one", "done", "key", rows=3, seconds=1.5, bytes=7, details=details, of=of)
    write_receipt(tmp_path, receipt)
    held = json.loads((tmp_path / "one.json").read_text())
    assert held.keys() == ON_DISK | {"extra"}
    assert (held["slide_id"], held["extra"]) == ("one", extra)
    found = read_receipt(tmp_path, "one", of)
    assert found is not None
    assert (found.name, found.of, found.details, found.rows) == ("one", of, details, 3)
    assert receipt_of(receipt_json(receipt), of) == receipt


def test_details_that_do_not_fit_are_left_out_and_the_rest_is_kept() -> None:
    held = receipt_json(Receipt("one", "done", "key", rows=3))
    odd = EXTRACTED | {"threads": "many", "device_seconds": None, "of another version": 1}
    found = receipt_of(held | {"extra": odd}).details
    assert found == ExtractWork(1, "NVIDIA A100", 16, 0.0, 2.0, 0.5)
    assert receipt_of(held | {"extra": TILED | {"counts": "nine"}}).details == TileWork(
        TileCounts(), "native-jpeg", 2, True, NativeTiles(3, 4)
    )
    assert receipt_of(held | {"extra": {"threads": "many"}}) == Receipt("one", "done", "key", rows=3)


@pytest.mark.parametrize("document", [[], "receipt", {}, {"slide_id": 1, "status": "done", "key": "k"}, None])
def test_what_is_no_receipt(document: object) -> None:
    with pytest.raises(ValueError):
        receipt_of(document)
