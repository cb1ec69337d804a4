"""Stages as another package adds them: one that goes slide by slide, one that sees the whole cohort."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from hypoxia_hpc.config import stage_key
from hypoxia_hpc.progress import Progress
from hypoxia_hpc.records import Receipt, Slide
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.runs.receipts import read_receipt, timed_receipt, write_receipt
from hypoxia_hpc.runs.stages import Stage
from hypoxia_hpc.runs.state import SlideState, tile_state
from hypoxia_hpc.stores.commit import committed_file
from hypoxia_hpc.stores.integrity import store_attributes
from hypoxia_hpc.workers.allocation import WHOLE, Allocation
from hypoxia_hpc.workers.slide_stage import StageOutcome

RULE = 1


def census_key(run: RunDir, tiles: SlideState) -> str:
    return stage_key("census", RULE, {}, tiles.key)


def census(
    run: RunDir,
    slides: Sequence[Slide],
    *,
    workers: int | None,
    retry: bool,
    progress: Progress,
    stop: threading.Event,
    allocation: Allocation = WHOLE,
) -> StageOutcome:
    """Count the tiles of each slide."""
    made = []
    for slide in slides:
        started = time.perf_counter()
        attributes = store_attributes(run.tiles(slide.slide_id))
        key = census_key(run, tile_state(run, run.config().tile, slide))
        n_tiles = int(attributes["counts"]["kept"]) if attributes is not None else 0
        receipt = Receipt(slide.slide_id, "done", key, rows=n_tiles, seconds=time.perf_counter() - started)
        write_receipt(run.receipts("census"), receipt)
        made.append(receipt)
    return StageOutcome("census", tuple(made), (), ())


def summary_key(run: RunDir, features: Sequence[SlideState]) -> str:
    return stage_key("summary", RULE, {}, [one.key for one in features])


def summary(run: RunDir, *, progress: Progress, stop: threading.Event) -> Path:
    """The number of tiles of the cohort."""
    from hypoxia_hpc.runs.state import feature_states, run_spec

    config, slides = run.config(), run.slides()
    key = summary_key(run, feature_states(run, config, slides, run_spec(config)))
    with timed_receipt(run.receipts("summary"), key):
        counted = [read_receipt(run.receipts("census"), slide.slide_id) for slide in slides]
        total = sum(receipt.rows for receipt in counted if receipt is not None)
        committed_file(run.root / "summary.json", json.dumps({"tiles": total}).encode())
    return run.root / "summary.json"


CENSUS = Stage(
    "census",
    "slide",
    ("tile",),
    "cpu",
    "example_stages:census",
    "Number of tiles of each slide: RUN/receipts/census/.",
    key="example_stages:census_key",
)
SUMMARY = Stage(
    "summary",
    "cohort",
    ("census", "evaluate"),
    "gpu",
    "example_stages:summary",
    "Number of tiles of the cohort: RUN/summary.json.",
    key="example_stages:summary_key",
)
NOT_A_STAGE = {"name": "nonsense"}
